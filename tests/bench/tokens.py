"""Access tokens for whom `demo load` has signed in: they last too short a time to stand in its file."""

import itertools
from collections.abc import Iterator

from flask import Flask

from auth import access_tokens, sessions, users
from tenants.context import bound
from tenants.lifecycle import find_tenant


def sign_in_programs(app: Flask, credentials: list[dict[str, str]]) -> Iterator[str]:
    """A JSON web token for each of these people, in their order, each of a login session of its own."""
    for host, people in itertools.groupby(credentials, lambda entry: entry["host"]):
        # A login session notes where it was begun: the request's address and program.
        with app.test_request_context(base_url=f"http://{host}"), bound(find_tenant(host.partition(".")[0])):
            for person in people:
                user = users.get_by_email(person["email"])
                login = sessions.start_program(user, provider="database", methods=["password"])
                yield access_tokens.issue(login.id, user.id, login.expires_at)[0]

"""Workspaces connected to a provider that misbehaves, and people who come back from it."""

import itertools
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth.audit_models import AuditEvent
from auth.breakers import Breakers
from auth.models import User
from auth.providers.models import LinkedIdentity
from auth.providers.oauth import provider as module
from auth.providers.oauth.metadata import issuers
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace, make_workspace
from tests.servers.hostile_oidc import REMOVED, HostileProvider
from tests.visitor import Visitor

SECRET = "the-client-secret-c0ffee"
CLIENT = "the-client"
PAGES = {502: "does not work", 503: "cannot be reached", 403: "You were not signed in"}
"""By status: what the page of a failed sign-in says."""
_numbers = itertools.count()
LOST = "This sign-in cannot be finished"


def brief(value: object) -> str:
    """A name for a parameter of a test, however long it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... {len(text)}"


def prepare(provider: HostileProvider, monkeypatch: pytest.MonkeyPatch) -> HostileProvider:
    """A provider that was told nothing, and of which nothing is known."""
    provider.behave()
    issuers.forget()
    monkeypatch.setattr(module, "breakers", Breakers())
    return provider


def connect(
    app: Flask,
    workspace: Workspace,
    provider: HostileProvider,
    name: str = "work",
    *,
    kind: str = "oidc",
    owns: bool = True,
    rehearsed: bool = True,
    **settings: Any,
) -> uuid.UUID:
    """Connect the workspace, whose domain it is to make users of, if it `owns` that."""
    domains = [sources.own(app, workspace, f"{workspace.slug}.example")] if owns else []
    given: dict[str, Any] = {"client_id": CLIENT, "insecure": True, "groups_claim": "groups"}
    if kind == "oidc":
        given["issuer"] = provider.issuer
    else:
        named = {"authorization": "/authorize", "token": "/token", "userinfo": "/user", "emails": "/user/emails"}
        given |= {"preset": "github", **{f"{name}_endpoint": provider.url + path for name, path in named.items()}}
    return sources.add(
        app, workspace, name, kind, given | settings, secret=SECRET, rehearsed=rehearsed, label="Acme ID",
        domains=domains,
    )  # fmt: skip


def changed(address: str, **parameters: Any) -> str:
    """An address with other parameters."""
    parts = urlsplit(address)
    kept = {name: value for name, value in (dict(parse_qsl(parts.query)) | parameters).items() if value is not REMOVED}
    return parts._replace(query=urlencode(kept)).geturl()


class Way:
    """One browser's way to a workspace's source, and back."""

    def __init__(
        self, app: Flask, workspace: Workspace, provider: HostileProvider, config_id: uuid.UUID, **options: Any
    ) -> None:
        self.app, self.workspace, self.provider, self.config_id = app, workspace, provider, config_id
        # Each at an address of their own: what is counted by address is not what these tests are about.
        number = next(_numbers)
        self.visitor = Visitor(
            app, workspace.host, **{"address": f"198.18.{number // 250}.{number % 250 + 1}"} | options
        )

    def again(self, **options: Any) -> "Way":
        """The same way, of another browser."""
        return Way(self.app, self.workspace, self.provider, self.config_id, **options)

    def person(self, **claims: Any) -> dict[str, Any]:
        """The claims of somebody of the workspace's domain."""
        return {"sub": "alice", "email": f"alice@{self.workspace.slug}.example", "email_verified": True,
                "name": "Alice Adams", "groups": ["engineering"]} | claims  # fmt: skip

    def back(self, step: str = "start", **told: Any) -> str:
        """Go there; the address at which one comes back, if the provider does as told."""
        return self.provider.authorize(sources.depart(self.visitor, self.config_id, step), **self.person(**told))

    def follow(self, address: str) -> TestResponse:
        """Go on to an address, and by the broker to where that sends one."""
        answer = sources.follow(self.visitor, address)
        if answer.status_code == 302 and "/finish?" in answer.headers["Location"]:
            answer = sources.follow(self.visitor, answer.headers["Location"])
        return answer

    def come(self, step: str = "start", **told: Any) -> TestResponse:
        """Go there and come back; the answer to the return."""
        return self.follow(self.back(step, **told))

    def try_out(self) -> TestResponse:
        """Go there, and come back if there is a way; the last answer."""
        answer = self.visitor.get(f"/sso/{self.config_id}/start")
        if answer.status_code != 302:
            return answer
        return self.follow(self.provider.authorize(answer.headers["Location"], **self.person()))

    def assert_in(self, answer: TestResponse) -> None:
        """Assert that this answer signed somebody in."""
        assert (answer.status_code, answer.headers.get("Location")) == (302, "/"), self.events()[-1:]
        assert self.visitor.is_signed_in()

    def assert_out(self, answer: TestResponse, fault: str, status: int = 502) -> None:
        """Assert that this answer says what is wrong, and signed nobody in."""
        assert answer.status_code == status, (answer.headers.get("Location"), self.events()[-1:])
        assert PAGES[status] in answer.text
        assert not self.visitor.is_signed_in()
        assert self.events()[-1].partition(":")[0] == fault

    def assert_lost(self, answer: TestResponse) -> None:
        """Assert that this answer is to nothing that was asked in this browser."""
        assert answer.status_code == 400
        assert LOST in answer.text
        assert not self.visitor.is_signed_in()

    def events(self, kind: str = "single sign-on failed") -> list[str]:
        """The first detail of each of the workspace's events of a kind, in their order."""
        with inside(self.app, self.workspace) as session:
            wanted = select(AuditEvent.details).where(AuditEvent.kind == kind).order_by(AuditEvent.id)
            return [str(next(iter(details.values()), "")) for details in session.scalars(wanted)]

    def emails(self) -> set[str]:
        """The addresses of the workspace's users."""
        with inside(self.app, self.workspace) as session:
            return set(session.scalars(select(User.email)))

    def subjects(self) -> set[str]:
        """Who is linked at the workspace's sources."""
        with inside(self.app, self.workspace) as session:
            return set(session.scalars(select(LinkedIdentity.subject)))


def other_way(way: Way, **settings: Any) -> Way:
    """To a source with other settings, of a workspace of its own."""
    workspace = make_workspace(way.app)
    return Way(way.app, workspace, way.provider, connect(way.app, workspace, way.provider, **settings))

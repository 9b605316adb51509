"""`python -m tests.bench.scim`: what an identity provider's requests cost, with few people provisioned and with many,
on PostgreSQL: statements, round trips, and milliseconds of a warm request.
"""

import argparse
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import uuid_utils.compat as uuid7
from flask import Flask
from sqlalchemy import insert
from werkzeug.test import TestResponse

from auth.models import Group, Membership, User
from auth.scim.models import ScimResource
from tenants.context import bound
from tenants.db import TenantSession, now
from tests.auth import sources
from tests.auth.scim.conftest import GROUP, SETTINGS, Provider, provider_for
from tests.bench.members import WARM, Cost, took
from tests.bench.sync import make_app, peak_mib
from tests.factories import Workspace, make_workspace
from tests.servers import postgres
from tests.statements import counted
from tests.test_budget import Trips

_AT_ONCE = 2000
_IN_EACH = 10  # members of every other group than the largest
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(frozen=True)
class Size:
    """How much a source has provisioned."""

    users: int
    groups: int
    largest: int
    """How many are in the largest group."""


@dataclass(frozen=True)
class Asked:
    """A source, and what of it is asked for."""

    provider: Provider
    users: Sequence[uuid.UUID]
    """Ids of SCIM's, the members of the largest group first."""
    groups: Sequence[uuid.UUID]
    """The largest first."""
    size: Size


def fill(app: Flask, size: Size) -> Asked:
    """A workspace with a source that has provisioned so much."""
    workspace = make_workspace(app)
    config_id = sources.add(app, workspace, "work", "oidc", SETTINGS, secret="secret")
    with app.app_context(), bound(workspace.tenant) as session:
        people = _add_people(session, config_id, size)
        teams = _add_groups(session, config_id, size, people)
    return Asked(_provider(app, workspace, config_id), [row["id"] for row in people], teams, size)


def _provider(app: Flask, workspace: Workspace, config_id: uuid.UUID) -> Provider:
    return provider_for(app, workspace, config_id)


def _add_people(session: TenantSession, config_id: uuid.UUID, size: Size) -> list[dict[str, Any]]:
    rows = [_person(number, config_id) for number in range(size.users)]
    for start in range(0, len(rows), _AT_ONCE):
        part = list(enumerate(rows[start : start + _AT_ONCE], start))
        session.execute(
            insert(User),
            [
                {"id": row["user_id"], "email": row["name_key"], "name": f"Person {number}", "password": None,
                 "confirmed_at": now(), "active": number % 50 != 1}
                for number, row in part
            ],
        )  # fmt: skip
        session.execute(insert(ScimResource), [row for _, row in part])
    return rows


def _person(number: int, config_id: uuid.UUID) -> dict[str, Any]:
    name = f"person{number}@bench.example"
    attributes = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": name,
        "displayName": f"Person {number}",
        "name": {"formatted": f"Person {number}", "familyName": f"Number {number}", "givenName": "Person"},
        "title": "Engineer",
        "active": True,
        "emails": [{"value": name, "type": "work", "primary": True}],
        "phoneNumbers": [{"value": f"+34 600 {number:06}", "type": "mobile"}],
        "addresses": [{"type": "work", "streetAddress": "Calle Mayor 1", "locality": "Madrid", "country": "ES"}],
        ENTERPRISE: {"employeeNumber": str(number), "department": f"Department {number % 40}"},
    }
    return {
        "id": uuid7.uuid7(), "provider_id": config_id, "kind": "User", "user_id": uuid7.uuid7(), "name_key": name,
        "external_id": f"ext-{number}", "attributes": attributes,
    }  # fmt: skip


def _add_groups(
    session: TenantSession, config_id: uuid.UUID, size: Size, people: Sequence[dict[str, Any]]
) -> list[uuid.UUID]:
    groups = [(uuid7.uuid7(), uuid7.uuid7(), f"Team {number}") for number in range(size.groups)]
    origin = f"provider:{config_id}"
    session.execute(
        insert(Group), [{"id": id, "name": name, "origin": origin, "external_key": name} for _, id, name in groups]
    )
    session.execute(
        insert(ScimResource),
        [
            {"id": row, "provider_id": config_id, "kind": "Group", "group_id": id, "name_key": name.lower(),
             "external_id": f"g-{name}", "attributes": {"schemas": [GROUP], "displayName": name}}
            for row, id, name in groups
        ],
    )  # fmt: skip
    for number, (_, group, _name) in enumerate(groups):
        first = number * _IN_EACH % len(people)
        within = people[: size.largest] if not number else people[first : first + _IN_EACH]
        session.execute(insert(Membership), [{"group_id": group, "user_id": row["user_id"]} for row in within])
    return [row for row, _, _ in groups]


def searches(asked: Asked) -> dict[str, tuple[str, dict[str, str]]]:
    """What is looked for, by what it is called: kind and query."""
    user, last = str(asked.users[0]), asked.size.users - 1
    moment = "2020-01-01T00:00:00Z"
    filters = {
        "userName eq": f'userName eq "person{last}@bench.example"',
        "externalId eq": f'externalId eq "ext-{last}"',
        "id eq": f'id eq "{user}"',
        "emails.value eq": f'emails.value eq "person{last}@bench.example"',
        "emails[type eq and].value eq": f'emails[type eq "work" and value eq "person{last}@bench.example"]',
        "emails[type eq].value eq": f'emails[type eq "work"].value eq "person{last}@bench.example"',
        "displayName eq (user)": f'displayName eq "Person {last}"',
        "active eq false": "active eq false",
        "userName sw": 'userName sw "person1"',
        "userName co": 'userName co "son1"',
        "or of names": " or ".join(f'userName eq "person{number}@bench.example"' for number in range(10)),
        "and, or, not": 'not (active eq false) and (userName sw "person1" or externalId eq "ext-2")',
        "meta.lastModified gt": f'meta.lastModified gt "{moment}"',
        "title eq (everybody's)": 'title eq "engineer"',
        "title ne (nobody's)": 'title ne "engineer"',
        "department eq (a 40th)": f'{ENTERPRISE}:department eq "Department 7"',
        "groups.value eq": f'groups.value eq "{asked.groups[0]}"',
    }
    found: dict[str, tuple[str, dict[str, str]]] = {name: ("Users", {"filter": text}) for name, text in filters.items()}
    found |= {
        "page of 10": ("Users", {"count": "10"}),
        "page of 100": ("Users", {"count": "100"}),
        "last page of 100": ("Users", {"count": "100", "startIndex": str(max(asked.size.users - 99, 1))}),
        "sorted by userName": ("Users", {"count": "100", "sortBy": "userName"}),
        "sorted by name.familyName": ("Users", {"count": "100", "sortBy": "name.familyName"}),
        "groups: displayName eq": ("Groups", {"filter": 'displayName eq "team 1"', "excludedAttributes": "members"}),
        "groups: members.value eq": ("Groups", {"filter": f'members.value eq "{user}"', "attributes": "displayName"}),
        "groups: members[value eq]": ("Groups", {"filter": f'members[value eq "{user}"]', "attributes": "id"}),
        "groups: id and members": (
            "Groups",
            {"filter": f'id eq "{asked.groups[0]}" and members[value eq "{user}"]', "attributes": "id"},
        ),
        "groups: page of 10": ("Groups", {"count": "10", "startIndex": "2"}),
        "groups: page of 100": ("Groups", {"count": "100", "startIndex": "2"}),
        "groups: 100 without members": ("Groups", {"count": "100", "excludedAttributes": "members"}),
    }
    return found


def calls(asked: Asked) -> dict[str, Callable[[], TestResponse]]:
    """Every request, as something to be called again and again."""
    provider, group, user = asked.provider, f"/Groups/{asked.groups[0]}", asked.users[-1]
    resource = {"id": str(asked.groups[0])}
    every: dict[str, Callable[[], TestResponse]] = {
        name: partial(provider.get, f"/{kind}", query_string=query) for name, (kind, query) in searches(asked).items()
    }
    everybody = [{"value": str(one)} for one in asked.users[: asked.size.largest]]
    whole = {"schemas": [GROUP], "displayName": "Team 0", "externalId": "g-Team 0"}
    turns = [0]

    def in_and_out() -> TestResponse:
        turns[0] += 1
        if turns[0] % 2:
            return provider.patch("Groups", resource, {"op": "Add", "path": "members", "value": [{"value": str(user)}]})
        return provider.patch("Groups", resource, {"op": "Remove", "path": f'members[value eq "{user}"]'})

    def replace() -> TestResponse:
        turns[0] += 1
        members = everybody if turns[0] % 2 else everybody[:-1]
        return provider.send("PUT", group, whole | {"members": members})

    def rename() -> TestResponse:
        turns[0] += 1
        change = {"op": "replace", "path": "externalId", "value": f"g-{turns[0]}"}
        return provider.patch("Groups", resource, change)

    def change() -> TestResponse:
        turns[0] += 1
        title = {"op": "Replace", "path": "title", "value": f"Engineer {turns[0]}"}
        return provider.patch("Users", {"id": str(user)}, title)

    return every | {
        "user": partial(provider.get, f"/Users/{user}"),
        "user, changed": change,
        "group": partial(provider.get, group),
        "group without members": partial(provider.get, group, query_string={"excludedAttributes": "members"}),
        "group: one in, one out": in_and_out,
        "group: externalId replaced": rename,
        "group: replaced as a whole": replace,
    }


def measure(app: Flask, asked: Asked) -> dict[str, tuple[Cost, str]]:
    """What each of them costs once it is warm, and what it is answered with."""
    trips = Trips(app)
    counts: dict[str, tuple[int, int, str]] = {}
    every = calls(asked)
    for name, call in every.items():
        for _ in range(WARM):
            answer = call()
        assert answer.status_code != 500, (name, answer.text)
        with counted(app) as sent:
            waited = trips.during(call)
        counts[name] = len(sent), waited, _told(answer)
    trips.close()
    return {name: (Cost(*counts[name][:2], took(call)), counts[name][2]) for name, call in every.items()}


def _told(answer: TestResponse) -> str:
    told = json.loads(answer.data) if answer.data else {}
    if answer.status_code >= 400:
        return f"{answer.status_code} {told.get('scimType', '')}"
    return f"{answer.status_code}" + (f" {told['totalResults']}" if "totalResults" in told else "")


def main() -> None:
    """Provision two workspaces and print what each request costs in both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--largest", type=int, default=5_000)
    options = parser.parse_args()
    with postgres.start() as server:
        app = make_app(server, log_level="ERROR", public_port=None)
        few = fill(app, Size(20, 20, 10))
        many = fill(app, Size(options.users, options.groups, options.largest))
        server.psql("ANALYZE", "bench")
        small, large = measure(app, few), measure(app, many)
        print(f"{'':<32}{'statements':>14}{'round trips':>14}{'milliseconds':>18}")
        print(f"{'users':<32}" + f"{20:>7}{options.users:>7}" * 2 + f"{20:>9}{options.users:>9}")
        for name, (cost, _) in small.items():
            other, told = large[name]
            print(
                f"{name:<32}{cost.statements:>7}{other.statements:>7}{cost.trips:>7}{other.trips:>7}"
                f"{cost.milliseconds:>9.1f}{other.milliseconds:>9.1f}   {told}"
            )
        print(f"peak {peak_mib()} MiB")
        app.extensions["tenants"].engines.dispose()


if __name__ == "__main__":
    main()

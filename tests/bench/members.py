"""`python -m tests.bench.members`: what the pages of the administration and their API cost, in a small workspace and
in a large one, on PostgreSQL: statements, round trips, and milliseconds of a warm request.
"""

import argparse
import secrets
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import uuid_utils.compat as uuid7
from flask import Flask
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from auth import audit, local_groups, roles
from auth.models import Grant, Group, Invitation, LoginSession, Membership, Role, User
from tenants.context import bound
from tenants.db import TenantSession, now
from tests.bench.sync import make_app
from tests.factories import make_workspace
from tests.servers import postgres
from tests.statements import counted
from tests.test_budget import Trips
from tests.visitor import Visitor, sign_in

WARM = 8  # a statement is prepared on its sixth run, which is a trip of its own
REPEATED = 5
_AT_ONCE = 2000
_FEW = 10


@dataclass(frozen=True)
class Size:
    """How much there is in a workspace."""

    members: int
    groups: int
    roles: int


@dataclass(frozen=True)
class Asked:
    """Somebody who administers a workspace, and what the addresses of its pages need."""

    visitor: Visitor
    ids: dict[str, str]
    people: list[str]


@dataclass(frozen=True)
class Cost:
    """Of one request."""

    statements: int
    trips: int
    milliseconds: float


def fill(app: Flask, size: Size) -> Asked:
    """A workspace of that size: everybody has a role and has signed in, half of them are in a group, too."""
    workspace = make_workspace(app)
    with app.app_context(), bound(workspace.tenant) as session:
        custom = [roles.create_role(f"Role {n}", ["project:read"], actor=None) for n in range(size.roles)]
        groups = [local_groups.create_group(f"Group {n}", actor=None) for n in range(size.groups)]
        for group in groups:
            local_groups.give_role(group, custom[0], actor=None)
        people = [uuid7.uuid7() for _ in range(size.members)]
        for start in range(0, len(people), _AT_ONCE):
            _add(session, people[start : start + _AT_ONCE], groups, custom, start)
        session.execute(insert(Invitation), [_invitation(n, custom[0]) for n in range(size.members // 10)])
        viewer = session.scalars(select(Role.id).where(Role.name == "viewer")).one()
        ids = {"member": people[0], "group": groups[0].id, "role": custom[0].id, "viewer": viewer}
    visitor = sign_in(app, workspace, "owner")
    return Asked(visitor, {name: str(one) for name, one in ids.items()}, [str(one) for one in people])


def _add(session: TenantSession, people: list[uuid.UUID], groups: list[Group], custom: list[Role], start: int) -> None:
    moment = now()
    named = list(enumerate(people, start))
    session.execute(insert(User), [_person(number, one) for number, one in named])
    viewer = roles.get_role("viewer")
    # The first custom role is everybody's: what is asked about it is asked about all.
    given = [{"user_id": one, "role_id": role.id} for _, one in named for role in (viewer, custom[0])]
    session.execute(insert(Grant), given)
    within = [{"user_id": one, "group_id": groups[number % len(groups)].id} for number, one in named if number % 2]
    session.execute(insert(Membership), within)
    session.execute(
        insert(LoginSession),
        [
            {
                "user_id": one,
                "token_hash": secrets.token_hex(32),
                "provider": "password",
                "methods": "password",
                "user_agent": "bench",
                "address": "192.0.2.1",
                "seen_at": moment - timedelta(minutes=number),
                "expires_at": moment + timedelta(days=1),
            }
            for number, one in named
            if number % 3
        ],
    )
    for _ in range(5):
        signed_in = [audit.Party("user", one, f"person{number}@bench.example") for number, one in named]
        audit.record_all("signed in", signed_in, details={})


def _person(number: int, user_id: uuid.UUID) -> dict[str, object]:
    email = f"person{number}@bench.example"
    return {"id": user_id, "email": email, "name": f"Person {number:05}", "password": "x", "confirmed_at": now()}


def _invitation(number: int, role: Role) -> dict[str, object]:
    ends = now() + timedelta(days=7)
    return {"email": f"guest{number}@bench.example", "role_id": role.id, "nonce": "x", "expires_at": ends}


def pages(asked: Asked, last: int) -> dict[str, str]:
    """Every list and every detail, by what it is called."""
    ids = asked.ids
    queries = {
        "": "",
        ", last page": f"page={last}",
        ", last seen first": "sort=-seen",
        ", by sign-in": "sort=signed_in",
        ", searched": "search=person0",
        ", of a role": f"role={ids['role']}",
        ", of a group": f"group={ids['group']}",
        ", of a state": "state=active",
    }
    member, role, who = (
        f"/admin/members/{ids['member']}",
        f"/admin/roles/{ids['role']}",
        "/admin/permissions/project:read",
    )
    return {
        **{f"members{name}": f"/admin/members/?{query}" for name, query in queries.items()},
        "member": member,
        "member, why": f"{member}/why?permission=project:read",
        "member, removal": f"{member}/remove",
        "who can": who,
        "who can, last page": f"{who}?page={last}",
        "groups": "/admin/groups/",
        "group": f"/admin/groups/{ids['group']}",
        "group, deletion": f"/admin/groups/{ids['group']}/delete",
        "roles": "/admin/roles/",
        "role": role,
        "role, last page": f"{role}?page={last}",
        "role, deletion": f"{role}/delete",
        "role, deletion for another": f"{role}/delete?replacement={ids['viewer']}",
        "invitations": "/admin/invitations/",
        "invitation form": "/admin/invitations/new",
        "overview": "/admin/",
        "sign-in": "/admin/sign-in/",
        "audit log": "/admin/audit/",
        "projects": "/projects/",
        **{
            f"API: members{name}": f"/api/v1/members?limit=50&{query}"
            for name, query in queries.items()
            if "page" not in query
        },
        "API: member": f"/api/v1/members/{ids['member']}",
        "API: why": f"/api/v1/explain?user={ids['member']}&permission=project:read",
        "API: who can": "/api/v1/permissions/project:read/holders?limit=50",
        "API: groups": "/api/v1/groups?limit=50",
        "API: group's members": f"/api/v1/groups/{ids['group']}/members?limit=50",
        "API: roles": "/api/v1/roles?limit=50",
        "API: role": f"/api/v1/roles/{ids['role']}",
        "API: invitations": "/api/v1/invitations?limit=50",
        "API: audit": "/api/v1/audit?limit=50",
    }


def calls(asked: Asked, last: int) -> dict[str, Callable[[], TestResponse]]:
    """Every page, and what is decided about many at once, as something to be called again and again."""
    visitor, ids = asked.visitor, asked.ids
    token = visitor.csrf_token()
    form = {"name": "Role 0", "description": "", "permissions": ["project:create"], "step": "preview"}
    some = {"role": "member", "user": asked.people[:200]}
    return {
        **{name: partial(visitor.get, path) for name, path in pages(asked, last).items()},
        "role, preview": partial(visitor.post, f"/admin/roles/{ids['role']}/edit", form, csrf=token),
        "a role for 200": partial(visitor.post, "/admin/members/give-role", some, csrf=token),
    }


def measure(app: Flask, asked: Asked, last: int) -> dict[str, Cost]:
    """What each of them costs once it is warm."""
    every = calls(asked, last)
    trips = Trips(app)
    counts: dict[str, tuple[int, int]] = {}
    for name, call in every.items():
        for _ in range(WARM):
            answer = call()
            assert answer.status_code in (200, 302), (name, answer.status_code)
        with counted(app) as sent:
            waited = trips.during(call)
        counts[name] = len(sent), waited
    trips.close()
    return {name: Cost(*counts[name], took(call)) for name, call in every.items()}


def took(call: Callable[[], object]) -> float:
    """Milliseconds of a call, in the middle of several."""
    times = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    """Fill two workspaces and print what each page costs in both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--roles", type=int, default=20)
    options = parser.parse_args()
    with postgres.start() as server:
        app = make_app(server, log_level="ERROR", public_port=None)
        few = fill(app, Size(_FEW, 2, 2))
        many = fill(app, Size(options.members, options.groups, options.roles))
        server.psql("ANALYZE", "bench")
        small, large = measure(app, few, 1), measure(app, many, max(1, options.members // 50))
        print(f"{'':<32}{'statements':>14}{'round trips':>14}{'milliseconds':>18}")
        print(f"{'members':<32}" + f"{_FEW:>7}{options.members:>7}" * 2 + f"{_FEW:>9}{options.members:>9}")
        for name, cost in small.items():
            other = large[name]
            print(
                f"{name:<32}{cost.statements:>7}{other.statements:>7}{cost.trips:>7}{other.trips:>7}"
                f"{cost.milliseconds:>9.1f}{other.milliseconds:>9.1f}"
            )
        app.extensions["tenants"].engines.dispose()


if __name__ == "__main__":
    main()

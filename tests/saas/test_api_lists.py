"""Lists of the API: what a long page costs, that pages fit together, and that filters and orders do what they say.

Which lists there are, and by what they are filtered and sorted, is read from the description: a new one is tested, too.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth import api_tokens, clients, groups, invitations, local_groups, roles, service_accounts, sessions
from auth.client_models import Consent, OAuthClient
from auth.models import Grant, Group, LoginSession, Role, User
from auth.providers.models import MailDomain, ProviderConfig, ProvisioningToken
from auth.scim import tokens
from auth.scim.models import ScimResource
from saas import openapi
from saas.projects.models import Project, ProjectStatus, ProjectUpdate
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import inside, row_of
from tests.auth.scim.conftest import SETTINGS
from tests.factories import Person, Workspace, add_person, make_project, make_workspace
from tests.program import Program, signed_in_program
from tests.statements import counted

MANY = 20
SHORT = 9
Query = Mapping[str, Any]


@dataclass(frozen=True)
class Listed:
    """A list of the API, as it is described."""

    path: str
    parameters: Mapping[str, Any]

    @property
    def sorts(self) -> list[str]:
        """The names of its orders."""
        return list(self.parameters.get("sort", {}).get("enum", ()))

    @property
    def queries(self) -> list[Query]:
        """Every order and every choice of a filter, one at a time; nothing at all for a list without."""
        return [{"sort": sort} for sort in self.sorts] + [
            {name: value} for name, values in self.choices.items() for value in values
        ] or [{}]

    @property
    def choices(self) -> dict[str, list[str]]:
        """The filters that have few values."""
        found = {name: schema for name, schema in self.parameters.items() if name != "sort"}
        booleans = {name: ["true", "false"] for name, schema in found.items() if schema.get("type") == "boolean"}
        return booleans | {name: schema["enum"] for name, schema in found.items() if "enum" in schema}


@dataclass(frozen=True)
class Full:
    """A workspace with many of everything that is listed."""

    app: Flask
    workspace: Workspace
    ids: dict[str, uuid.UUID] = field(default_factory=dict)

    def address(self, path: str) -> str:
        """The path with the ids of things that have many others below them."""
        return re.sub(r"{(\w+)}", lambda found: str(self.ids.get(found[1], "project:read")), path)

    def pages(self, program: Program, path: str, query: Query, cursor: str = "") -> Iterator[dict[str, Any]]:
        """The pages from that cursor on."""
        while True:
            asked = {**query, "cursor": cursor} if cursor else query
            answer = program.get(self.address(path), query_string=asked)
            assert answer.status_code == 200, (path, query, answer.text)
            yield answer.json
            if answer.json["next_cursor"] is None:
                return
            cursor = answer.json["next_cursor"]

    def ids_of(self, program: Program, path: str, query: Query, cursor: str = "") -> list[str]:
        """The ids of all that is listed from there on."""
        return [id_of(item) for page in self.pages(program, path, query, cursor) for item in page["items"]]


def id_of(item: dict[str, Any]) -> str:
    """What tells an item of a list from the others: permissions have names, and mappings what they map."""
    return str(item.get("id") or item.get("name") or (item["key"], item["role"]))


def described(app: Flask) -> dict[str, Any]:
    with app.app_context():
        paths: dict[str, Any] = openapi.describe(app)["paths"]
    return paths


def lists(app: Flask) -> list[Listed]:
    """The lists that go on at a cursor."""
    found = [
        Listed(path, {one["name"]: one["schema"] for one in methods["get"]["parameters"] if one["in"] == "query"})
        for path, methods in described(app).items()
        if "get" in methods
    ]
    return [one for one in found if "cursor" in one.parameters]


@pytest.fixture(scope="module")
def full(app: Flask) -> Full:
    """Names are in capitals or not, some are alike, and some times are not set: all that makes orders hard."""
    acme = make_workspace(app)
    people = [add_person(app, acme) for _ in range(MANY)]
    project = make_project(app, acme)
    source = sources.add(app, acme, "work", "oidc", SETTINGS, secret="secret")
    for state in ("pending", "proved", "warning", "lapsed"):
        sources.own(app, acme, f"{state}.{acme.slug}.example", state)
    with inside(app, acme) as session:
        group = local_groups.create_group("Everybody", actor=None)
        account = service_accounts.create_account("Robot", actor=None)
        ids = {"project_id": project, "group_id": group.id, "config_id": source, "account_id": account.id}
        for number, person in enumerate(people):
            local_groups.add_member(group, row_of(person), actor=None)
            add_one_of_each(session, acme, person, number, ids)
        add_rare_ones(session, acme)
    return Full(app, acme, ids | {"user_id": acme.people["owner"].id})


@pytest.fixture(scope="module")
def program(app: Flask, full: Full) -> Program:
    return signed_in_program(app, full.workspace, "owner")  # in person: login sessions are a list, too


def add_one_of_each(
    session: Session, workspace: Workspace, person: Person, number: int, ids: Mapping[str, uuid.UUID]
) -> None:
    project, source = ids["project_id"], ids["config_id"]
    name = f"{('Alpha', 'alpha', 'BETA', 'Émile')[number % 4]} {number // 8}"  # twice each
    unique = f"{name} {uuid.uuid4().hex[:8]}"
    moment = now() - timedelta(days=number // 2)
    row_of(person).name, row_of(person).active = name, number % 5 > 0
    other = local_groups.create_group(unique, actor=None)
    role = roles.create_role(unique, ["project:read"], actor=None)
    if number % 2:
        local_groups.give_role(other, role, actor=None)
    roles.grant_role(row_of(person), unique, actor=None, expires_at=now() + timedelta(days=1) if number % 3 else None)
    service_accounts.create_account(name, actor=None).active = number % 3 > 0
    app_, _secret = clients.add_app(name, redirects=["https://app.example/"], permissions=[], actor=None)
    app_.active, app_.last_used_at = number % 4 > 0, moment if number % 3 else None
    add_below(session, workspace, person, number, ids, app_, role)
    for kind, held in (("User", {"user_id": person.id}), ("Group", {"group_id": other.id})):
        key = f"{unique.casefold()} {kind}"
        session.add(ScimResource(provider_id=source, kind=kind, name_key=key, modified_at=moment, **held))
    session.add(ProjectUpdate(project_id=project, author_id=person.id, body=name))
    due_on = date(2030, 1, 1 + number // 3) if number % 3 else None
    status = list(ProjectStatus)[number % 3]
    session.add(Project(name=name, owner_id=person.id, updated_at=moment, due_on=due_on, status=status))
    (invited,) = invitations.invite([f"{unique.split()[-1]}@{workspace.slug}.example"], "viewer", actor=None)
    invited.sent_at, invited.expires_at = moment, now() + timedelta(days=3 - number % 6)
    owner = workspace.people["owner"].id
    token, _secret = api_tokens.issue(
        owner, kind=api_tokens.PERSONAL, permissions=["project:read"], expires_at=None, name=name, provider="database"
    )
    token.last_used_at = moment if number % 3 else None
    add_login(session, owner, seconds=number // 2)
    session.flush()


def add_below(
    session: Session,
    workspace: Workspace,
    person: Person,
    number: int,
    ids: Mapping[str, uuid.UUID],
    client: OAuthClient,
    role: Role,
) -> None:
    """One more of what is listed below something else, and of what there are few of."""
    config = session.get_one(ProviderConfig, (workspace.tenant.id, ids["config_id"]))
    session.flush()
    session.add(Consent(user_id=workspace.people["owner"].id, client_id=client.id, permissions=["project:read"]))
    local_groups.give_role(session.get_one(Group, (workspace.tenant.id, ids["group_id"])), role, actor=None)
    roles.grant_role(row_of(person), EDITOR.name, actor=None, on=(OBJECT_TYPE, ids["project_id"]))
    groups.map_group(config, f"group {number // 2}", client.name, role.name, actor=None)
    session.add(ProvisioningToken(provider_id=config.id, token_hash=uuid.uuid4().hex))
    credential, account = uuid.uuid4().hex, ids["account_id"]
    session.add(
        OAuthClient(client_id=credential, name=client.name, kind="service", user_id=account, auth_method="none")
    )
    domain = f"{uuid.uuid4().hex}.example"
    session.add(MailDomain(domain=domain, token="none", state="pending"))
    label, position = client.name, number // 2
    session.add(ProviderConfig(name=domain[:20], label=label, kind="oidc", settings=SETTINGS, position=position))


def add_login(session: Session, user_id: uuid.UUID, *, seconds: int) -> None:
    """A login session that was seen so long ago: some at the same moment."""
    _secret, values = sessions.issue(user_id, "Firefox")
    begun = now() - timedelta(hours=1)
    seen = begun.replace(microsecond=0, second=0) + timedelta(seconds=seconds)
    session.add(LoginSession(**values, created_at=begun, seen_at=seen))


def add_rare_ones(session: Session, workspace: Workspace) -> None:
    """What only some filter finds."""
    session.add(Project(name="Old", owner_id=workspace.people["owner"].id, status=ProjectStatus.ARCHIVED))
    viewer = workspace.people["viewer"].id
    session.execute(update(User).where(User.id == viewer).values(confirmed_at=None))
    session.execute(update(Grant).where(Grant.user_id == viewer).values(expires_at=now() - timedelta(days=1)))
    session.flush()


def test_every_list_goes_on_at_a_cursor(app: Flask, program: Program) -> None:
    with app.app_context():
        told = openapi.describe(app)
    paged = {each.path for each in lists(app)}
    given: set[str] = set()
    for path, methods in told["paths"].items():
        for answer in methods.get("get", {"responses": {}})["responses"].values():
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            named = told["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            if named.get("type") == "array" or {"items", "next_cursor"} & named.get("properties", {}).keys():
                given.add(path)
    assert len(given) > 25
    assert given == paged


def test_a_long_page_costs_no_more_statements_than_a_short_one(app: Flask, full: Full, program: Program) -> None:
    costs: dict[tuple[str, str], tuple[int, int]] = {}
    for each in lists(app):
        for sort in each.sorts or [""]:
            sent, order = [], {"sort": sort} if sort else {}
            program.get(full.address(each.path), query_string=order)  # what is learned once is no part of it
            for limit in (2, 100):
                query = {"limit": limit, **order}
                with counted(app) as statements:
                    answer = program.get(full.address(each.path), query_string=query)
                assert len(answer.json["items"]) > (2 if limit > 2 else 1), (each.path, answer.text[:300])
                sent.append(len(statements))
            costs[each.path, sort] = (sent[0], sent[1])
    assert len(costs) > 60
    assert {which: cost for which, cost in costs.items() if cost[0] != cost[1]} == {}


def test_pages_fit_together_without_a_gap_in_every_order_and_filter(app: Flask, full: Full, program: Program) -> None:
    for each in lists(app):
        if each.path.endswith("/audit"):  # grows while it is read, at the end that is read first
            continue
        for query in each.queries:
            short = full.ids_of(program, each.path, {**query, "limit": SHORT})
            assert short == full.ids_of(program, each.path, {**query, "limit": 100}), (each.path, query)
            assert short, (each.path, query)
            assert len(short) == len(set(short)), (each.path, query)


def test_an_order_with_a_minus_is_the_other_one_backwards(app: Flask, full: Full, program: Program) -> None:
    for each in lists(app):
        nulls_last = {"seen", "signed_in"} if each.path.endswith("/members") else set()
        for sort in {sort.removeprefix("-") for sort in each.sorts} - nulls_last:
            up, down = (full.ids_of(program, each.path, {"sort": order, "limit": 100}) for order in (sort, f"-{sort}"))
            assert up == down[::-1], (each.path, sort)


def test_pages_are_stable_while_rows_are_added(app: Flask, full: Full, program: Program) -> None:
    begun: list[tuple[str, Query, list[str], list[str], str]] = []
    for each in lists(app):
        for sort in each.sorts:
            query = {"sort": sort, "limit": 100}
            before = full.ids_of(program, each.path, query)
            page = next(full.pages(program, each.path, {"sort": sort, "limit": SHORT}))
            begun.append((each.path, query, before, [id_of(item) for item in page["items"]], page["next_cursor"]))
    people = [add_person(app, full.workspace) for _ in range(4)]
    with inside(app, full.workspace) as session:
        group = session.find(Group, full.ids["group_id"])
        for number, person in enumerate(people):
            local_groups.add_member(group, row_of(person), actor=None)
            add_one_of_each(session, full.workspace, person, number, full.ids)
    for path, query, before, seen, cursor in begun:
        listed = seen + full.ids_of(program, path, query, cursor)
        assert len(listed) == len(set(listed)), (path, query)
        assert [one for one in listed if one in set(before)] == before, (path, query)


def test_a_cursor_of_another_order_is_refused(app: Flask, full: Full, program: Program) -> None:
    tried = 0
    for each in lists(app):
        cursors = {
            sort: next(full.pages(program, each.path, {"sort": sort, "limit": 2}))["next_cursor"]
            for sort in each.sorts
            if not sort.startswith("-")
        }
        for sort, cursor in cursors.items():
            for other in each.sorts:
                if other.startswith("-") and other != f"-{sort}":
                    answer = program.get(full.address(each.path), query_string={"sort": other, "cursor": cursor})
                    assert answer.status_code == 422, (each.path, sort, other)
                    assert [error["field"] for error in answer.json["errors"]] == ["cursor"]
                    tried += 1
    assert tried > 60


def test_a_filter_of_few_values_divides_the_list(app: Flask, full: Full, program: Program) -> None:
    tried = 0
    for each in lists(app):
        for name, values in each.choices.items():
            found = [set(full.ids_of(program, each.path, {name: value, "limit": 100})) for value in values]
            everything = set(full.ids_of(program, each.path, {"limit": 100}))
            assert set().union(*found) >= everything, (each.path, name)
            assert sum(map(len, found)) == len(set().union(*found)), (each.path, name)
            tried += 1
    assert tried > 6


def test_a_search_finds_part_of_a_text_in_capitals_or_not(app: Flask, full: Full, program: Program) -> None:
    tried = 0
    for each in lists(app):
        if "search" not in each.parameters:
            continue
        item = next(full.pages(program, each.path, {"limit": 1}))["items"][0]
        text = next(item[name] for name in ("user_name", "email", "name") if item.get(name))
        found = full.ids_of(program, each.path, {"search": text[1:].upper(), "limit": 100})
        assert item["id"] in found, (each.path, text)
        for wildcard in ("%", "_", "\\"):
            assert full.ids_of(program, each.path, {"search": wildcard}) == [], (each.path, wildcard)
        tried += 1
    assert tried > 8


def test_a_role_and_an_origin_filter_who_and_what_has_them(app: Flask, full: Full, program: Program) -> None:
    with inside(app, full.workspace) as session:
        viewer = session.scalar(select(Role).where(Role.name == "viewer"))
        group = local_groups.create_group("Watchers", actor=None)
        local_groups.give_role(group, viewer, actor=None)
        session.add(Group(name="Theirs", origin="provider:other", external_key="theirs"))
        account = service_accounts.create_account("Watcher", actor=None)
        service_accounts.give_role(account, "viewer", actor=None)
        admin = session.scalar(select(Role).where(Role.name == "admin"))
        (invited,) = invitations.invite(["watcher@example.com"], "admin", actor=None)

    def names(path: str, **query: object) -> list[str]:
        items = program.get(f"/api/v1/{path}", query_string=query).json["items"]
        return [item.get("name") or item["email"] for item in items]

    assert names("groups", role=viewer.id) == ["Watchers"]
    assert names("groups", origin="provider:other") == ["Theirs"]
    assert names("service-accounts", role=viewer.id) == ["Watcher"]
    assert names("invitations", role=admin.id) == [invited.email]


def test_what_has_an_id_in_a_list_can_be_asked_for_by_it(app: Flask) -> None:
    paths = described(app)
    below = {re.sub(r"/{[^/}]+}$", "", path): path for path in paths if re.search(r"{\w+_id}$", path)}
    found = {path for parent, path in below.items() if "get" in paths.get(parent, ())}
    assert len(found) > 15
    assert {path for path in found if "get" not in paths[path]} == set()


BODIES: Mapping[str, Any] = {
    "invitations": {"emails": ["one@example.com"], "role": "viewer"},
    "groups": {"name": "One"},
    "groups/{group_id}/members": None,
    "groups/{group_id}/roles": {"role": "viewer"},
    "roles": {"name": "One", "permissions": ["project:read"]},
    "apps": {"name": "One", "redirect_uris": ["https://one.example/"]},
    "service-accounts": {"name": "One"},
    "service-accounts/{account_id}/credentials": {"name": "One"},
    "providers/{config_id}/provisioning/tokens": {},
    "projects": {"name": "One"},
    "projects/{project_id}/updates": {"body": "One"},
    "domains": {"domain": "one.example.com"},
    "tokens": {"name": "One", "permissions": ["project:read"]},
}


@pytest.mark.parametrize("path", BODIES)
def test_what_is_made_says_where_it_is(app: Flask, full: Full, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CREDENTIALS", 1000)  # of these there are more here than can be made
    monkeypatch.setattr(tokens, "MOST", 1000)
    program = signed_in_program(app, full.workspace, "owner")
    body = BODIES[path] if BODIES[path] is not None else {"email": add_person(app, full.workspace).email}
    made = program.post(full.address(f"/api/v1/{path}"), body)
    assert made.status_code == 201, made.text
    shown = program.get(made.headers["Location"])
    assert shown.status_code == 200, shown.text
    assert shown.json["id"] in made.text


def test_invitations_of_several_people_are_at_no_one_address(program: Program) -> None:
    made = program.post("/api/v1/invitations", {"emails": ["two@example.com", "three@example.com"], "role": "viewer"})
    assert made.status_code == 201
    assert "Location" not in made.headers

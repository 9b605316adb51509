"""Provisioned groups: who is in them, and the roles that they give."""

import uuid

import pytest
from flask import Flask, g
from sqlalchemy import event, func, select

from auth import groups
from auth.models import Group, Membership, User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.provisioning import user_for
from auth.scim.models import ScimResource
from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.scim.conftest import GROUP, Provider
from tests.factories import Person, Workspace
from tests.visitor import Visitor


@pytest.fixture
def alice(acme: Workspace, provider: Provider) -> dict[str, object]:
    """Somebody whom acme's source has provisioned."""
    return provider.add_user(f"alice@{acme.slug}.example", externalId="00u1")


@pytest.fixture
def browser(app: Flask, acme: Workspace, alice: dict[str, object]) -> Visitor:
    """A browser in which alice is signed in, by a password that she has set."""
    with inside(app, acme):
        row = g.db.find(ScimResource, uuid.UUID(str(alice["id"])))
        user = g.db.find(User, row.user_id)
        user.password = g.db.find(User, acme.people["member"].id).password
        person = Person(user.id, user.email)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(person)
    return visitor


def roles_in(visitor: Visitor) -> list[str]:
    me = visitor.get("/api/v1/me")
    assert me.status_code == 200, me.text
    found: list[str] = me.get_json()["roles"]
    return found


def adding(*members: dict[str, object]) -> dict[str, object]:
    return {"op": "add", "path": "members", "value": [{"value": member["id"]} for member in members]}


def removing(member: dict[str, object]) -> dict[str, object]:
    return {"op": "remove", "path": f'members[value eq "{member["id"]}"]'}


def test_a_mapped_group_gives_its_role_at_once_and_takes_it(
    app: Flask, acme: Workspace, provider: Provider, alice: dict[str, object], browser: Visitor
) -> None:
    sources.map_group(app, acme, "admins", "admin")
    assert "admin" not in roles_in(browser)
    made = provider.add_group("admins", alice)
    assert "admin" in roles_in(browser)
    assert provider.patch("Groups", made, removing(alice)).status_code == 204
    assert "admin" not in roles_in(browser)
    assert provider.patch("Groups", made, adding(alice)).status_code == 204
    assert "admin" in roles_in(browser)
    assert provider.send("DELETE", f"/Groups/{made['id']}").status_code == 204
    assert "admin" not in roles_in(browser)


def test_a_group_that_is_mapped_later_gives_its_role_from_then_on(
    app: Flask, acme: Workspace, provider: Provider, alice: dict[str, object], browser: Visitor
) -> None:
    provider.add_group("viewers", alice)
    before = roles_in(browser)
    sources.map_group(app, acme, "viewers", "viewer")
    assert set(roles_in(browser)) == {*before, "viewer"}


def test_a_mapping_outlives_its_group_and_a_group_its_mapping(
    app: Flask, acme: Workspace, provider: Provider, alice: dict[str, object], browser: Visitor
) -> None:
    sources.map_group(app, acme, "viewers", "viewer")
    made = provider.add_group("viewers", alice)
    provider.send("DELETE", f"/Groups/{made['id']}")
    again = provider.add_group("viewers", alice)
    assert "viewer" in roles_in(browser)
    with inside(app, acme) as session:
        config = session.scalar(select(ProviderConfig))
        assert groups.unmap_group(config, "viewers", "viewer", actor=None) == 1
    assert "viewer" not in roles_in(browser)
    assert [one["value"] for one in provider.get(f"/Groups/{again['id']}").get_json()["members"]] == [alice["id"]]


def test_a_sign_in_says_nothing_about_a_provisioned_group(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, alice: dict[str, object], browser: Visitor
) -> None:
    sources.map_group(app, acme, "admins", "admin")
    sources.map_group(app, acme, "viewers", "viewer")
    provider.add_group("viewers", alice)
    provider.add_group("admins")
    identity = ExternalIdentity(provider=str(work), subject="https://id.example 00u1", groups=frozenset({"admins"}))
    with inside(app, acme):
        user_for(identity, g.db.find(ProviderConfig, work))
    assert "viewer" in roles_in(browser)
    assert "admin" not in roles_in(browser)


def test_a_renamed_group_keeps_its_role_and_meets_no_other_mapping(
    app: Flask, acme: Workspace, provider: Provider, alice: dict[str, object], browser: Visitor
) -> None:
    sources.map_group(app, acme, "viewers", "viewer")
    sources.map_group(app, acme, "admins", "admin")
    made = provider.add_group("viewers", alice)
    rename = {"op": "replace", "path": "displayName", "value": "readers"}
    assert provider.patch("Groups", made, rename).status_code == 204
    assert "viewer" in roles_in(browser)
    assert provider.patch("Groups", made, rename | {"value": "admins"}).status_code == 409
    assert "admin" not in roles_in(browser)


def test_names_of_groups_are_unique_at_the_source(provider: Provider) -> None:
    provider.add_group("staff")
    body = {"schemas": [GROUP], "displayName": "Staff"}
    assert provider.send("POST", "/Groups", body).status_code == 409


def test_a_group_of_another_origin_is_another_group(app: Flask, acme: Workspace, provider: Provider) -> None:
    with inside(app, acme) as session:
        session.add(Group(name="staff"))
    provider.add_group("staff")
    assert len(provider.find("Groups", 'displayName eq "staff"')) == 1
    with inside(app, acme) as session:
        assert session.scalar(select(func.count()).select_from(Group).where(Group.name == "staff")) == 2


@pytest.mark.parametrize("who", ["member", "nobody", "text"])
def test_nobody_but_the_sources_users_can_be_members(app: Flask, acme: Workspace, provider: Provider, who: str) -> None:
    value = {"member": str(acme.people["member"].id), "nobody": str(uuid.uuid4()), "text": "x' OR 1=1"}[who]
    body = {"schemas": [GROUP], "displayName": "staff", "members": [{"value": value}]}
    assert provider.send("POST", "/Groups", body).status_code == 400
    assert provider.get("/Groups").get_json()["totalResults"] == 0  # nothing of it stays
    with inside(app, acme) as session:
        assert session.scalar(select(func.count()).select_from(Membership)) == 0


def test_a_user_tells_their_groups_and_leaves_them_when_deleted(provider: Provider, alice: dict[str, object]) -> None:
    made = provider.add_group("staff", alice)
    before = provider.get(f"/Groups/{made['id']}").headers["ETag"]
    (group,) = provider.get(f"/Users/{alice['id']}").get_json()["groups"]
    assert (group["value"], group["display"], group["$ref"]) == (made["id"], "staff", made["meta"]["location"])
    provider.send("DELETE", f"/Users/{alice['id']}")
    after = provider.get(f"/Groups/{made['id']}")
    assert "members" not in after.get_json()
    assert after.headers["ETag"] != before


def test_entra_names_whom_to_remove_in_the_value(provider: Provider, alice: dict[str, object]) -> None:
    bob = provider.add_user("bob")
    made = provider.add_group("staff", alice, bob)
    operation = {"op": "Remove", "path": "members", "value": [{"value": alice["id"]}]}
    assert provider.patch("Groups", made, operation).status_code == 204
    left = provider.get(f"/Groups/{made['id']}").get_json()["members"]
    assert [one["value"] for one in left] == [bob["id"]]


def test_a_list_costs_the_same_statements_with_many_members(
    app: Flask, acme: Workspace, provider: Provider, alice: dict[str, object]
) -> None:
    provider.add_group("one", alice)
    few = _statements(app, provider, "/Groups")
    for number in range(5):
        provider.add_group(f"g{number}", alice, *(provider.add_user(f"u{number}-{one}") for one in range(2)))
    assert _statements(app, provider, "/Groups") == few
    assert _statements(app, provider, "/Users") <= few + 1


def _statements(app: Flask, provider: Provider, path: str) -> int:
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    engine = app.extensions["tenants"].engines.shared
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert provider.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return count

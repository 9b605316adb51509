"""JSON of identity providers: connected, changed, switched, ordered, mapped, rehearsed, removed."""

import json
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth.models import User
from auth.providers import configs
from auth.providers.models import LinkedIdentity, ProviderConfig
from saas import create_app
from tests.auth import sources
from tests.auth.directories import connect, settings_of, unique
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.servers import hostile_ldap, openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor, sign_in

AT_WORK = "the password at work"
BASE = "/api/v1/providers"
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}
SECRET = "s3cret-of-the-client"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def uid(directory: OpenLdapServer) -> str:
    name = unique("alice")
    directory.add_person(name, password=AT_WORK)
    return name


@pytest.fixture
def closed_app(sqlite_database: Database) -> Iterator[Flask]:
    """An application that may ask public addresses only, as in production."""
    app = create_app(sqlite_database.settings(outgoing_networks=()))
    yield app
    app.extensions["tenants"].engines.dispose()


def saved(app: Flask, workspace: Workspace, directory: OpenLdapServer) -> uuid.UUID:
    connect(app, workspace, directory)
    with inside(app, workspace):
        return configs.get_config("office").id


def draft(directory: OpenLdapServer, uid: str, **changes: object) -> dict[str, object]:
    settings = settings_of(directory, **changes)
    return {"kind": "ldap", "settings": settings, "secret": directory.service_password, "login": uid}


def test_a_configuration_is_rehearsed_before_it_is_saved(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer, uid: str
) -> None:
    answer = admin.post_json(f"{BASE}/rehearsal", draft(directory, uid))
    assert answer.status_code == 200
    found = answer.get_json()
    assert found["ok"]
    assert all(step["ok"] and step["milliseconds"] >= 0 for step in found["steps"])
    assert found["sign_in"]["happens"] == "created"
    assert directory.service_password not in answer.text
    with inside(app, acme):
        assert not configs.list_configs()


def test_a_mistake_is_named_in_the_language_of_the_page(admin: Visitor, directory: OpenLdapServer, uid: str) -> None:
    found = admin.post_json(f"{BASE}/rehearsal", draft(directory, uid) | {"secret": "wrong"}).get_json()
    assert not found["ok"]
    assert found["steps"][-1]["fault"] == "bind-refused"
    assert "bind DN" in found["steps"][-1]["explanation"]
    spanish = admin.post_json(
        f"{BASE}/rehearsal", draft(directory, uid) | {"secret": "wrong"}, headers={"Accept-Language": "es"}
    ).get_json()
    assert spanish["steps"][-1]["explanation"] != found["steps"][-1]["explanation"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_dn": "here"}, "settings.base_dn"),
        ({"servers": []}, "settings.servers"),
        ({"user_filter": "(uid="}, "settings.user_filter"),
        ({"surprise": 1}, "settings.surprise"),
    ],
)
def test_a_faulty_setting_is_named(
    admin: Visitor, directory: OpenLdapServer, uid: str, changes: dict[str, object], field: str
) -> None:
    answer = admin.post_json(f"{BASE}/rehearsal", draft(directory, uid, **changes))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]
    assert directory.service_password not in answer.text


@pytest.mark.parametrize("body", [{}, {"login": ""}, {"login": "x", "surprise": 1}, {"login": 7}, {"login": ["x"]}])
def test_a_body_of_another_shape_is_refused(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer, body: dict[str, object]
) -> None:
    assert admin.post_json(f"{BASE}/{saved(app, acme, directory)}/rehearsal", body).status_code == 422


def test_a_saved_directory_is_rehearsed_with_its_own_secret(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer, uid: str
) -> None:
    found = admin.post_json(f"{BASE}/{saved(app, acme, directory)}/rehearsal", {"login": uid}).get_json()
    assert found["ok"]


def test_a_persons_password_can_be_tried_and_counts(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer, uid: str
) -> None:
    path = f"{BASE}/{saved(app, acme, directory)}/rehearsal"
    right = admin.post_json(path, {"login": uid, "password": AT_WORK})
    assert right.get_json()["ok"]
    assert AT_WORK not in right.text
    answers = [admin.post_json(path, {"login": uid, "password": "guess"}).status_code for _ in range(11)]
    assert answers[-1] == 429


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_manage_providers_sees_and_rehearses_none(
    app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str, role: str
) -> None:
    provider_id = saved(app, acme, directory)
    visitor = sign_in(app, acme, role)
    assert visitor.get(BASE).status_code == 403
    assert visitor.post_json(f"{BASE}/rehearsal", draft(directory, uid)).status_code == 403
    assert visitor.post_json(f"{BASE}/{provider_id}/rehearsal", {"login": uid}).status_code == 403


def test_the_list_has_no_secret(app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer) -> None:
    saved(app, acme, directory)
    answer = admin.get(BASE)
    (found,) = answer.get_json()["items"]
    assert (found["name"], found["has_secret"], found["enabled"]) == ("office", True, True)
    assert directory.service_password not in answer.text


def test_what_a_provider_has_to_be_told_is_named_as_all_fields_are(app: Flask, acme: Workspace, admin: Visitor) -> None:
    sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET)
    (found,) = admin.get(f"{BASE}?fields=name,addresses").get_json()["items"]
    assert found.keys() == {"name", "addresses"}
    assert found["addresses"].keys() == {"redirect_address", "after_signing_out", "back_channel", "to_rehearse_it"}


def test_the_directory_of_another_workspace_is_not_there(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor, directory: OpenLdapServer, uid: str
) -> None:
    foreign = saved(app, globex, directory)
    assert admin.get(BASE).get_json()["items"] == []
    for path in (f"{BASE}/{foreign}/rehearsal", f"{BASE}/{uuid.uuid4()}/rehearsal"):
        assert admin.post_json(path, {"login": uid}).status_code == 404


def test_an_internal_address_is_not_asked_where_it_is_not_allowed(closed_app: Flask, directory: OpenLdapServer) -> None:
    workspace = make_workspace(closed_app)
    visitor = sign_in(closed_app, workspace, "admin")
    with hostile_ldap.Hostile() as internal:
        body = {"login": "x", "settings": {"servers": [internal.url], "insecure": True, "base_dn": "dc=x"}}
        found = visitor.post_json(f"{BASE}/rehearsal", body).get_json()
        assert found["steps"][-1]["fault"] == "forbidden-address"
        assert internal.connections == 0
    assert "127.0.0.1" not in json.dumps(found)


def send(visitor: Visitor, method: str, path: str, body: object = None) -> TestResponse:
    """Send JSON by any method."""
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    return visitor.client.open(
        path, method=method, base_url=visitor.base, json=body, headers=headers, environ_base=visitor.environ
    )


def new(**changes: object) -> dict[str, object]:
    return {"name": "work", "kind": "oidc", "settings": dict(OIDC), "secret": SECRET} | changes


def faults(answer: TestResponse) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.get_json()["errors"]]


def link(app: Flask, workspace: Workspace, role: str, config_id: str) -> None:
    with inside(app, workspace) as session:
        person = workspace.people[role].id
        session.add(LinkedIdentity(user_id=person, provider_id=uuid.UUID(config_id), subject=f"s {person}"))


def test_a_provider_is_connected_changed_and_removed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    answer = admin.post_json(BASE, new(label="Acme ID", domains=["acme.example"]))
    assert answer.status_code == 201
    made = answer.get_json()
    assert (made["label"], made["domains"], made["enabled"], made["has_secret"]) == (
        "Acme ID", ["acme.example"], False, True,
    )  # fmt: skip
    path = f"{BASE}/{made['id']}"
    changed = send(admin, "PATCH", path, {"settings": {"client_id": "another"}, "creates_users": "never"})
    assert changed.get_json()["settings"]["client_id"] == "another"
    assert changed.get_json()["settings"]["issuer"] == OIDC["issuer"]
    assert (changed.get_json()["creates_users"], changed.get_json()["label"]) == ("never", "Acme ID")
    assert changed.get_json()["provisional_until"] is None  # it is off
    assert admin.get(path).get_json() == changed.get_json()
    for one in (answer, changed):
        assert SECRET not in one.text
    assert send(admin, "DELETE", path).status_code == 204
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"settings": {}}, ["settings.client_id", "settings.issuer"]),
        ({"settings": {**OIDC, "surprise": 1}}, ["settings.surprise"]),
        ({"secret": None}, ["secret"]),
        ({"name": "No Name"}, ["name"]),
        ({"domains": ["no domain"]}, ["domains"]),
        ({"kind": "made-up"}, ["kind"]),
        ({"surprise": 1}, ["surprise"]),
        ({"creates_users": "always"}, ["creates_users"]),
        ({"most_departures": 101}, ["most_departures"]),
    ],
)
def test_what_is_wrong_with_a_provider_is_named(
    app: Flask, acme: Workspace, admin: Visitor, changes: dict[str, object], fields: list[str]
) -> None:
    answer = admin.post_json(BASE, new(**changes))
    assert faults(answer) == fields
    assert SECRET not in answer.text
    with inside(app, acme):
        assert not configs.list_configs()


def test_a_provider_in_use_is_changed_provisionally_and_set_back(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = f"{BASE}/{sources.add(app, acme, 'work', 'oidc', dict(OIDC), secret=SECRET)}"
    assert send(admin, "POST", f"{path}/go-back").status_code == 404
    changed = send(admin, "PATCH", path, {"settings": {"client_id": "another"}})
    assert changed.get_json()["provisional_until"]
    back = send(admin, "POST", f"{path}/go-back").get_json()
    assert (back["settings"]["client_id"], back["provisional_until"]) == ("tenantry", None)


def test_a_change_that_leaves_no_administrator_a_way_in_is_refused(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = str(sources.add(app, acme, "work", "oidc", dict(OIDC), secret=SECRET))
    link(app, acme, "admin", config_id)
    with inside(app, acme) as session:
        for role in ("owner", "admin"):
            session.get_one(User, (acme.tenant.id, acme.people[role].id)).password = None
    path = f"{BASE}/{config_id}"
    for method, end, body in (
        ("PATCH", "", {"settings": {"client_id": "x"}}), ("PATCH", "", {"secret": "x"}), ("POST", "/disable", {}),
        ("DELETE", "", None),
    ):  # fmt: skip
        answer = send(admin, method, path + end, body)
        assert answer.status_code == 403
        assert "No administrator could sign in any more" in answer.get_json()["detail"]
    assert admin.get(path).get_json()["enabled"]


def test_providers_are_switched_and_ordered(app: Flask, acme: Workspace, admin: Visitor) -> None:
    ids = [str(sources.add(app, acme, name, "oidc", dict(OIDC), secret=SECRET)) for name in ("one", "two", "three")]
    assert send(admin, "POST", f"{BASE}/{ids[0]}/disable", {"end_sessions": True}).get_json()["enabled"] is False
    assert send(admin, "POST", f"{BASE}/{ids[0]}/enable").get_json()["enabled"] is True
    order = [ids[2], ids[0], ids[1]]
    assert [one["id"] for one in send(admin, "PUT", f"{BASE}/order", {"ids": order}).get_json()["items"]] == order
    assert faults(send(admin, "PUT", f"{BASE}/order", {"ids": order[:2]})) == ["order"]


def test_an_unrehearsed_web_source_is_not_switched_on(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = sources.add(app, acme, "work", "oidc", dict(OIDC), secret=SECRET, enabled=False, rehearsed=False)
    assert faults(send(admin, "POST", f"{BASE}/{config_id}/enable")) == ["enabled"]


def test_a_provider_is_enforced_and_relaxed(app: Flask, acme: Workspace) -> None:
    owner = sign_in(app, acme, "owner")
    domain = sources.own(app, acme, f"{acme.slug}.example")
    config_id = sources.add(app, acme, "work", "oidc", dict(OIDC), secret=SECRET, domains=[domain])
    path, named = f"{BASE}/{config_id}", {"break_glass": acme.people["owner"].email}
    assert faults(send(owner, "POST", f"{path}/enforce", named)) == ["enforced"]
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
        config.admin_seen_at = config.rehearsed_at
    assert faults(send(owner, "POST", f"{path}/enforce", {"break_glass": "nobody@x.example"})) == ["break_glass"]
    assert send(owner, "POST", f"{path}/enforce", named).get_json()["state"] == "enforced"
    assert faults(send(owner, "DELETE", path)) == ["enabled"]
    assert send(owner, "POST", f"{path}/relax").get_json()["state"] == "on"


def test_groups_are_mapped_and_unmapped(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = f"{BASE}/{sources.add(app, acme, 'work', 'oidc', dict(OIDC), secret=SECRET)}/mappings"
    answer = admin.post_json(path, {"group": "staff", "role": "member"})
    assert answer.status_code == 201
    assert answer.get_json()["items"] == [{"group": "staff", "key": "staff", "role": "member", "members": 0}]
    assert admin.get(path).get_json()["items"] == answer.get_json()["items"]
    assert faults(admin.post_json(path, {"group": "staff", "role": "made-up"})) == ["role"]
    assert admin.post_json(path, {"group": "staff", "role": "owner"}).status_code == 403
    assert send(admin, "DELETE", f"{path}?group=staff&role=member").status_code == 204
    assert send(admin, "DELETE", f"{path}?group=staff&role=member").status_code == 404
    assert send(admin, "DELETE", f"{path}?group=staff&role=made-up").status_code == 404


def test_a_group_that_the_directory_does_not_know_is_not_mapped(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer
) -> None:
    path = f"{BASE}/{saved(app, acme, directory)}/mappings"
    assert faults(admin.post_json(path, {"group": unique("nobodies"), "role": "member"})) == ["group"]


def test_nobody_changes_a_provider_of_people_with_more_rights(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = str(sources.add(app, acme, "work", "oidc", dict(OIDC), secret=SECRET))
    link(app, acme, "owner", config_id)
    for method, end, body in changes_of(acme.people["owner"].email):
        assert send(admin, method, f"{BASE}/{config_id}{end}", body).status_code in (403, 404), end
    found = admin.get(f"{BASE}/{config_id}").get_json()
    assert (found["enabled"], found["settings"]["client_id"], found["label"]) == (True, "tenantry", "work")


def changes_of(break_glass: str = "x@y.example") -> list[tuple[str, str, object]]:
    return [
        ("PATCH", "", {"label": "mine"}), ("DELETE", "", None), ("POST", "/enable", {}), ("POST", "/disable", {}),
        ("POST", "/enforce", {"break_glass": break_glass}), ("POST", "/relax", {}), ("POST", "/go-back", {}),
        ("DELETE", "/mappings?group=a&role=member", None),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_manage_providers_changes_none(app: Flask, acme: Workspace, role: str) -> None:
    config_id = sources.add(app, acme, "work", "oidc", dict(OIDC), secret=SECRET)
    visitor = sign_in(app, acme, role)
    also = [("GET", "", None), ("GET", "/mappings", None), ("POST", "/mappings", {"group": "a", "role": "viewer"})]
    for method, end, body in [*changes_of(), *also]:
        assert send(visitor, method, f"{BASE}/{config_id}{end}", body).status_code == 403, (method, end)
    assert visitor.post_json(BASE, new(name="mine")).status_code == 403
    assert send(visitor, "PUT", f"{BASE}/order", {"ids": [str(config_id)]}).status_code == 403


def test_another_workspaces_provider_is_not_there_to_be_changed(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor
) -> None:
    foreign = sources.add(app, globex, "work", "oidc", dict(OIDC), secret=SECRET)
    also = [("GET", "", None), ("GET", "/mappings", None), ("POST", "/mappings", {"group": "a", "role": "viewer"})]
    for method, end, body in [*changes_of(), *also]:
        assert send(admin, method, f"{BASE}/{foreign}{end}", body).status_code == 404, (method, end)
    with inside(app, globex):
        assert configs.get_config("work").enabled

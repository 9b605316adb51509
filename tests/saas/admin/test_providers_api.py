"""JSON of identity providers: what admin pages will be made of."""

import json
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from auth.providers import configs
from saas import create_app
from tests.auth.directories import connect, settings_of, unique
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.servers import hostile_ldap, openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor, sign_in

AT_WORK = "the password at work"
BASE = "/api/v1/providers"


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

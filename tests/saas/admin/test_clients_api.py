"""JSON of apps and service accounts."""

import uuid
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import ECKey
from sqlalchemy import select

from auth.models import Role
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import BACK, employ, register
from tests.factories import Workspace
from tests.saas.admin.test_clients_views import registrar
from tests.saas.admin.test_roles_api import send
from tests.visitor import Visitor, sign_in

APPS, ACCOUNTS = "/api/v1/apps", "/api/v1/service-accounts"
KEYS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def test_an_app_is_registered_shown_changed_and_removed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    body = {"name": "Planner", "redirect_uris": [BACK], "permissions": ["project:read"]}
    made = send(admin, "POST", APPS, body)
    assert made.status_code == 201, made.text
    secret = made.json["client_secret"]
    assert secret.startswith("tnt_cs_")
    path = made.headers["Location"]
    shown = send(admin, "GET", path).json
    assert "client_secret" not in shown
    assert {name: shown[name] for name in body} == body
    assert (shown["auth_method"], shown["active"], shown["jwks"]) == ("client_secret_basic", True, None)
    listed = send(admin, "GET", APPS).json
    assert ([item["id"] for item in listed["items"]], listed["total"]) == ([shown["id"]], 1)
    changed = send(admin, "PATCH", path, {"name": "Other", "active": False})
    assert changed.status_code == 200, changed.text
    assert changed.json["name"] == "Other"
    assert changed.json["active"] is False
    assert changed.json["redirect_uris"] == [BACK]
    fresh = send(admin, "POST", f"{path}/secret")
    assert fresh.json["client_secret"] not in (secret, None)
    assert send(admin, "DELETE", path).status_code == 204
    assert send(admin, "GET", path).status_code == 404


def test_an_app_with_keys_or_with_nothing_has_no_secret(admin: Visitor) -> None:
    body: dict[str, Any] = {"name": "x", "redirect_uris": [BACK]}
    keyed = send(admin, "POST", APPS, body | {"auth_method": "private_key_jwt", "jwks": KEYS}).json
    assert keyed["client_secret"] is None
    assert keyed["jwks"]["keys"][0]["x"] == KEYS["keys"][0]["x"]
    assert send(admin, "POST", APPS, body | {"auth_method": "none"}).json["client_secret"] is None
    assert send(admin, "POST", f"{APPS}/{keyed['id']}/secret").status_code == 403


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"redirect_uris": ["http://app.example/"]}, "redirect_uris"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"permissions": ["no:such"]}, "permissions"),
        ({"auth_method": "private_key_jwt"}, "jwks"),
        ({"auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "x"}]}}, "jwks"),
        ({"auth_method": "tls"}, "auth_method"),
        ({"name": ""}, "name"),
        ({"secret": "x"}, "secret"),
    ],
    ids=range(8),
)
def test_an_app_that_cannot_be_is_told_by_its_field(admin: Visitor, changed: dict[str, Any], field: str) -> None:
    answer = send(admin, "POST", APPS, {"name": "x", "redirect_uris": [BACK]} | changed)
    assert answer.status_code == 422, answer.text
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


def test_nobody_registers_by_the_api_what_may_do_more_than_they(app: Flask, acme: Workspace) -> None:
    visitor, strong, robot = registrar(app, acme), register(app, acme), employ(app, acme, "admin")
    body = {"name": "x", "redirect_uris": [BACK], "permissions": ["member:read"]}
    assert send(visitor, "POST", APPS, body).status_code == 403
    for method, path, given in (
        ("PATCH", f"{APPS}/{strong.id}", {"redirect_uris": ["https://evil.example/"]}),
        ("POST", f"{APPS}/{strong.id}/secret", None),
        ("DELETE", f"{APPS}/{strong.id}", None),
        ("PATCH", f"{ACCOUNTS}/{robot.account}", {"name": "x"}),
        ("PATCH", f"{ACCOUNTS}/{robot.account}", {"active": False}),
        ("POST", f"{ACCOUNTS}/{robot.account}/credentials", {"name": "x"}),
        ("DELETE", f"{ACCOUNTS}/{robot.account}/credentials/{robot.id}", None),
        ("POST", f"{ACCOUNTS}/{robot.account}/roles", {"role": "admin"}),
        ("DELETE", f"{ACCOUNTS}/{robot.account}", None),
    ):
        assert send(visitor, method, path, given).status_code == 403, (method, path)


def test_a_service_account_is_made_given_roles_and_credentials(app: Flask, acme: Workspace, admin: Visitor) -> None:
    made = send(admin, "POST", ACCOUNTS, {"name": "Night shift"})
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    given = send(admin, "POST", f"{path}/roles", {"role": "viewer"})
    assert given.json["roles"] == ["viewer"]
    credential = send(admin, "POST", f"{path}/credentials", {"name": "server"})
    assert credential.status_code == 201, credential.text
    data = {
        "grant_type": "client_credentials",
        "client_id": credential.json["client_id"],
        "client_secret": credential.json["client_secret"],
    }
    assert app.test_client().post("/oauth/token", base_url=acme.url, data=data).status_code == 200
    (listed,) = send(admin, "GET", f"{path}/credentials").json["items"]
    assert "client_secret" not in listed
    assert listed["last_used_at"] is not None
    keyed = send(admin, "POST", f"{path}/credentials", {"name": "k", "auth_method": "private_key_jwt", "jwks": KEYS})
    assert keyed.json["client_secret"] is None
    assert send(admin, "PATCH", path, {"name": "Day shift", "active": False}).json["active"] is False
    assert send(admin, "PATCH", path, {"active": True}).json["name"] == "Day shift"
    with inside(app, acme) as session:
        role_id = session.scalars(select(Role.id).where(Role.name == "viewer")).one()
    assert send(admin, "DELETE", f"{path}/roles/{role_id}").status_code == 204
    assert send(admin, "DELETE", f"{path}/roles/{role_id}").status_code == 404
    assert send(admin, "DELETE", f"{path}/credentials/{listed['id']}").status_code == 204
    page = send(admin, "GET", ACCOUNTS).json
    assert (page["total"], page["items"][0]["roles"]) == (1, [])
    assert send(admin, "DELETE", path).status_code == 204
    assert send(admin, "GET", path).status_code == 404


def test_a_service_account_is_given_no_role_that_there_is_not_and_never_that_of_owner(
    app: Flask, acme: Workspace
) -> None:
    owner, robot = sign_in(app, acme, "owner"), employ(app, acme)
    path = f"{ACCOUNTS}/{robot.account}/roles"
    assert send(owner, "POST", path, {"role": "nothing"}).status_code == 422
    assert send(owner, "POST", path, {"role": "owner"}).status_code == 403


def test_a_list_goes_on_where_it_ended(app: Flask, acme: Workspace, admin: Visitor) -> None:
    names = [f"App {number}" for number in range(5)]
    for name in names:
        register(app, acme, name=name)
    seen, cursor = [], ""
    while True:
        page = send(admin, "GET", f"{APPS}?limit=2&cursor={cursor}").json
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names
    for base in (APPS, ACCOUNTS):
        assert send(admin, "GET", f"{base}?cursor=WyJ4Il0").status_code == 422


def test_what_is_another_workspaces_or_nobodys_is_not_found(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor
) -> None:
    foreign, robot, own = register(app, globex), employ(app, globex), employ(app, acme)
    for path in (
        f"{APPS}/{foreign.id}", f"{APPS}/{uuid.uuid4()}", f"{APPS}/{own.id}", f"{ACCOUNTS}/{robot.account}",
        f"{ACCOUNTS}/{uuid.uuid4()}", f"{ACCOUNTS}/{acme.people['member'].id}",
    ):  # fmt: skip
        assert send(admin, "GET", path).status_code == 404
        assert send(admin, "DELETE", path).status_code == 404
    assert send(admin, "DELETE", f"{ACCOUNTS}/{own.account}/credentials/{robot.id}").status_code == 404


def test_members_see_none_of_it(app: Flask, acme: Workspace, member: Visitor) -> None:
    for path in (APPS, ACCOUNTS):
        assert send(member, "GET", path).status_code == 403
        assert send(member, "POST", path, {"name": "x"}).status_code == 403

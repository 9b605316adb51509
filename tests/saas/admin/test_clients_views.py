"""Pages of apps and service accounts, as administrators use them."""

import json
import re
import uuid

import pytest
from flask import Flask
from joserfc.jwk import ECKey
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth import clients
from auth.client_models import OAuthClient
from auth.models import Role
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import BACK, employ, make_role, obtain, register, row_of
from tests.factories import Workspace, add_person
from tests.statements import counted
from tests.visitor import Visitor, sign_in

APPS, ACCOUNTS = "/admin/apps/", "/admin/service-accounts/"
NEW = {"name": "Planner", "redirect_uris": f"{BACK}\r\n", "auth_method": "client_secret_basic"}
KEYS = json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def registrar(app: Flask, workspace: Workspace) -> Visitor:
    """A browser of somebody who registers programs, and holds little else."""
    make_role(app, workspace, "registrar", "client:manage", "client:read", "role:manage", "role:read", "project:read")
    visitor = Visitor(app, workspace.host)
    visitor.sign_in(add_person(app, workspace, role="registrar"))
    return visitor


def shown_secret(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    found = re.search(r'id="client-secret">(tnt_cs_\w+)<', answer.text)
    assert found is not None
    return found[1]


def test_an_app_is_registered_and_its_secret_shown_once(app: Flask, acme: Workspace, admin: Visitor) -> None:
    secret = shown_secret(admin.post(f"{APPS}new", NEW | {"permissions": ["project:read"]}))
    with inside(app, acme) as session:
        row = session.scalars(select(OAuthClient)).one()
        assert (row.redirect_uris, row.permissions, row.created_by) == (
            [BACK],
            ["project:read"],
            acme.people["admin"].id,
        )
        path = f"{APPS}{row.id}"
    page = admin.get(path)
    assert row.client_id in page.text
    assert secret not in page.text
    assert "Planner" in admin.get(APPS).text


def test_an_app_is_changed_switched_off_and_removed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    program = register(app, acme, permissions=["project:read"])
    path = f"{APPS}{program.id}"
    assert f">{BACK}</textarea>" in admin.get(f"{path}/edit").text.replace("\r", "").replace("\n", "")
    changed = {"name": "Other", "redirect_uris": "https://other.example/", "permissions": ["member:read"]}
    assert admin.post(f"{path}/edit", changed).status_code == 302
    with inside(app, acme):
        row = row_of(program)
        assert (row.name, row.redirect_uris, row.permissions) == ("Other", ["https://other.example/"], ["member:read"])
        assert row.auth_method == "client_secret_basic"
    fresh = shown_secret(admin.post(f"{path}/secret"))
    assert fresh != program.secret
    assert admin.post(f"{path}/disable").status_code == 302
    assert "Switched off" in admin.get(path).text
    assert admin.post(f"{path}/enable").status_code == 302
    assert "It cannot be undone." in admin.get(f"{path}/remove").text
    assert admin.post(f"{path}/remove").status_code == 302
    assert admin.get(path).status_code == 404


def test_the_keys_of_an_app_are_changed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    program = register(app, acme, auth_method=clients.KEYS)
    path = f"{APPS}{program.id}"
    assert admin.post(f"{path}/keys", {"jwks": "{"}).status_code == 422
    assert admin.post(f"{path}/keys", {"jwks": KEYS}).status_code == 302
    with inside(app, acme):
        assert row_of(program).jwks["keys"][0]["x"] == json.loads(KEYS)["keys"][0]["x"]
    assert admin.post(f"{path}/secret").status_code == 403


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"redirect_uris": "http://app.example/"}, "cannot be returned to"),
        ({"redirect_uris": ""}, "This field is required"),
        ({"name": " "}, "A name has|This field is required"),
        ({"auth_method": "private_key_jwt"}, "This is no JSON"),
        ({"auth_method": "private_key_jwt", "jwks": '{"keys": []}'}, "A key set is JSON"),
        ({"auth_method": "nothing"}, "Not a valid choice"),
        ({"permissions": ["no:such"]}, "not valid choices|is not a valid choice"),
    ],
    ids=range(7),
)
def test_an_app_that_cannot_be_is_told_beside_its_field(
    app: Flask, acme: Workspace, admin: Visitor, changed: dict[str, str], said: str
) -> None:
    answer = admin.post(f"{APPS}new", NEW | changed)
    assert answer.status_code == 422
    assert re.search(said, answer.text), answer.text
    with inside(app, acme) as session:
        assert not session.scalars(select(OAuthClient)).all()


def test_nobody_registers_what_may_do_more_than_they(app: Flask, acme: Workspace) -> None:
    visitor, strong = registrar(app, acme), register(app, acme, permissions=["workspace:manage"])
    assert visitor.post(f"{APPS}new", NEW | {"permissions": ["member:read"]}).status_code == 422
    assert visitor.post(f"{APPS}new", NEW | {"permissions": ["project:read"]}).status_code == 200
    page = visitor.get(f"{APPS}{strong.id}")
    assert page.status_code == 200
    assert "you cannot change it" in page.text
    for end in ("edit", "secret", "disable", "remove"):
        assert visitor.post(f"{APPS}{strong.id}/{end}", NEW).status_code == 403
    robot = employ(app, acme, "admin")
    path = f"{ACCOUNTS}{robot.account}"
    assert "you cannot change it" in visitor.get(path).text
    for end in ("rename", "credentials", f"credentials/{robot.id}/secret", f"credentials/{robot.id}/remove",
                "deactivate", "remove"):  # fmt: skip
        assert visitor.post(f"{path}/{end}", {"name": "x", "auth_method": "client_secret_basic"}).status_code == 403
    with inside(app, acme) as session:
        role_id = session.scalars(select(Role.id).where(Role.name == "admin")).one()
    assert visitor.post(f"{path}/roles/{role_id}/take").status_code == 403
    assert visitor.post(f"{path}/roles", {"role": "admin"}).status_code == 422


def test_a_service_account_is_made_given_roles_and_credentials(app: Flask, acme: Workspace, admin: Visitor) -> None:
    made = admin.post(f"{ACCOUNTS}new", {"name": "Night shift"})
    assert made.status_code == 302
    path = made.location
    assert admin.post(f"{path}/roles", {"role": "viewer"}).status_code == 302
    secret = shown_secret(admin.post(f"{path}/credentials", {"name": "server", "auth_method": "client_secret_basic"}))
    page = admin.get(path)
    assert secret not in page.text
    assert "server" in page.text
    with inside(app, acme) as session:
        row = session.scalars(select(OAuthClient)).one()
        role_id = session.scalars(select(Role.id).where(Role.name == "viewer")).one()
    data = {"grant_type": "client_credentials", "client_id": row.client_id, "client_secret": secret}
    token = app.test_client().post("/oauth/token", base_url=acme.url, data=data)
    assert "project:read" in token.get_json()["scope"]
    assert shown_secret(admin.post(f"{path}/credentials/{row.id}/secret")) != secret
    assert admin.post(f"{path}/rename", {"name": "Day shift"}).status_code == 302
    assert "Day shift" in admin.get(ACCOUNTS).text
    assert admin.post(f"{path}/roles/{role_id}/take").status_code == 302
    assert admin.post(f"{path}/deactivate").status_code == 302
    assert "Deactivated" in admin.get(path).text
    assert admin.post(f"{path}/reactivate").status_code == 302
    assert admin.post(f"{path}/credentials/{row.id}/remove").status_code == 302
    assert admin.get(f"{path}/remove").status_code == 200
    assert admin.post(f"{path}/remove").status_code == 302
    assert admin.get(path).status_code == 404


def test_the_role_of_owner_is_not_offered(app: Flask, acme: Workspace) -> None:
    owner, robot = sign_in(app, acme, "owner"), employ(app, acme)
    path = f"{ACCOUNTS}{robot.account}"
    assert 'value="owner"' not in owner.get(path).text
    assert owner.post(f"{path}/roles", {"role": "owner"}).status_code == 422


def test_where_roles_are_shown_a_service_account_is_shown_as_one(app: Flask, acme: Workspace, admin: Visitor) -> None:
    robot = employ(app, acme, "viewer", name="Night shift")
    with inside(app, acme) as session:
        role_id = session.scalars(select(Role.id).where(Role.name == "viewer")).one()
    for path in (f"/admin/roles/{role_id}", "/admin/permissions/?permission=project:read"):
        page = admin.get(path).text
        if "Night shift" in page:
            assert "service.invalid" not in page
    assert f"{ACCOUNTS}{robot.account}" in admin.get(f"/admin/roles/{role_id}").text


def test_pages_of_others_and_of_nobody_are_not_found(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor
) -> None:
    foreign, robot, own = register(app, globex), employ(app, globex), employ(app, acme)
    for app_id in (foreign.id, uuid.uuid4(), own.id):
        assert admin.get(f"{APPS}{app_id}").status_code == 404
        assert admin.post(f"{APPS}{app_id}/remove").status_code == 404
    for account_id in (robot.account, uuid.uuid4(), acme.people["member"].id):
        assert admin.get(f"{ACCOUNTS}{account_id}").status_code == 404
        assert admin.post(f"{ACCOUNTS}{account_id}/deactivate").status_code == 404
    for credential in (robot.id, foreign.id):
        assert admin.post(f"{ACCOUNTS}{own.account}/credentials/{credential}/remove").status_code == 404


def test_who_may_see_them_changes_nothing(app: Flask, acme: Workspace) -> None:
    make_role(app, acme, "looker", "client:read")
    visitor, program, robot = Visitor(app, acme.host), register(app, acme), employ(app, acme, "viewer")
    visitor.sign_in(add_person(app, acme, role="looker"))
    for path in (APPS, f"{APPS}{program.id}", ACCOUNTS, f"{ACCOUNTS}{robot.account}"):
        page = visitor.get(path)
        assert page.status_code == 200
        assert "<form" not in page.text.partition("<main")[2].partition("</main")[0]
    for path in (f"{APPS}new", f"{APPS}{program.id}/edit", f"{ACCOUNTS}new", f"{ACCOUNTS}{robot.account}/remove"):
        assert visitor.get(path).status_code == 403
    member = sign_in(app, acme, "member")
    assert member.get(APPS).status_code == 403
    assert member.get(ACCOUNTS).status_code == 403


def test_a_long_list_costs_as_many_statements_as_a_short_one(app: Flask, acme: Workspace, admin: Visitor) -> None:
    for number in range(2):
        register(app, acme, name=f"App {number}")
        employ(app, acme, "viewer", name=f"Robot {number}")
    admin.get(APPS)
    before = {}
    for path in (APPS, ACCOUNTS):
        with counted(app) as statements:
            admin.get(path)
        before[path] = len(statements)
    for number in range(2, 8):
        register(app, acme, name=f"App {number}")
        employ(app, acme, "viewer", name=f"Robot {number}")
    admin.get(APPS)
    for path in (APPS, ACCOUNTS):
        with counted(app) as statements:
            assert "7" in admin.get(path).text
        assert len(statements) == before[path]


def test_how_many_allow_it_is_told_before_an_app_is_removed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    program = register(app, acme)
    obtain(sign_in(app, acme, "member"), program)
    assert "1 person allows it something." in admin.get(f"{APPS}{program.id}/remove").text

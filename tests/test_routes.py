"""Every endpoint declares its access; what declares none is refused."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from auth.permissions import AccessPermission, access_of, public, requires, signed_in
from saas import create_app
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor, sign_in

REFUSED = {
    "security.two_factor_rescue": "mails the operator on behalf of a stranger, and would be a way around the factor",
}
"""Endpoints that Flask-Security registers and that we do not serve, with the reason."""

VALUES = {"token": "made-up", "filename": "made-up", "path": "made-up"}


def is_static(endpoint: str) -> bool:
    return endpoint == "static" or endpoint.endswith(".static")


def address(app: Flask, rule: Rule) -> str:
    values: dict[str, Any] = {name: VALUES.get(name, uuid.uuid4()) for name in rule.arguments}
    return app.url_map.bind("localhost").build(rule.endpoint, values)


@pytest.fixture(scope="module")
def extended(sqlite_database: Database) -> Iterator[Flask]:
    """An application with endpoints of the tests' own."""
    app = create_app(sqlite_database.settings())
    app.add_url_rule("/undeclared", "undeclared", lambda: "secret", methods=["GET", "POST"])
    yield app
    app.extensions["tenants"].engines.dispose()


def test_every_endpoint_declares_its_access(app: Flask) -> None:
    undeclared = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if access_of(app, rule.endpoint) is None and not is_static(rule.endpoint)
    }
    assert undeclared == set(REFUSED)


def test_every_permission_that_an_endpoint_asks_for_is_in_the_catalogue(app: Flask) -> None:
    catalogue = app.extensions["auth"].catalogue
    asked = {access_of(app, rule.endpoint) for rule in app.url_map.iter_rules()} - {None}
    assert {access.permission for access in asked if access and access.permission} <= set(catalogue.permissions)


def test_an_access_on_an_object_names_an_argument_of_its_route(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        access = access_of(app, rule.endpoint)
        if access is not None and access.on is not None:
            assert access.on[1] in rule.arguments, rule.endpoint


def test_an_undeclared_endpoint_is_refused_to_everybody(app: Flask, acme: Workspace) -> None:
    owner, stranger = sign_in(app, acme, "owner"), Visitor(app, acme.host)
    for rule in app.url_map.iter_rules():
        if rule.endpoint in REFUSED:
            for caller in (owner, stranger):
                assert caller.get(address(app, rule)).status_code in (403, 404)
                assert caller.post(address(app, rule)).status_code in (403, 404)


def test_an_endpoint_that_somebody_forgot_to_declare_is_refused_to_an_owner(extended: Flask) -> None:
    owner = sign_in(extended, make_workspace(extended), "owner")
    assert owner.get("/undeclared").status_code in (403, 404)
    assert "secret" not in owner.post("/undeclared").get_data(as_text=True)


def test_a_stranger_gets_into_nothing_that_is_not_public(app: Flask, acme: Workspace) -> None:
    stranger = Visitor(app, acme.host)
    for rule in app.url_map.iter_rules():
        access = access_of(app, rule.endpoint)
        if access is None or access.public:
            continue
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}:
            answer = stranger.client.open(
                address(app, rule), method=method, base_url=acme.url, headers={"Accept": "application/json"}
            )
            assert answer.status_code in (400, 401), f"{method} {rule.rule}: {answer.status_code}"


def test_who_lacks_the_permission_is_refused_before_anything_is_looked_up(app: Flask, acme: Workspace) -> None:
    viewer = sign_in(app, acme, "viewer")
    assert viewer.get(f"/projects/{uuid.uuid4()}/edit").status_code == 403
    assert viewer.post(f"/projects/{uuid.uuid4()}/delete").status_code == 403


@pytest.mark.parametrize("need", ["", "project:read", None, (), [], AccessPermission])
def test_requires_takes_nothing_but_a_permission(need: Any) -> None:
    with pytest.raises(TypeError):
        requires(need)


def test_requires_takes_no_empty_call() -> None:
    with pytest.raises(TypeError):
        requires()  # type: ignore[call-arg]


@pytest.mark.parametrize("second", [public, signed_in, requires(AccessPermission.ROLE_READ)])
def test_an_endpoint_declares_its_access_once(second: Any) -> None:
    view = signed_in(lambda: "")
    with pytest.raises(TypeError):
        second(view)


def test_a_declaration_is_kept_where_it_is_read() -> None:
    app = Flask("tests")
    app.add_url_rule("/", "here", requires(AccessPermission.ROLE_READ)(lambda: ""))
    access = access_of(app, "here")
    assert access is not None
    assert (access.public, access.permission) == (False, "role:read")
    assert access_of(app, "nowhere") is None

"""`flask users ...` and `flask roles ...`."""

import json

import pytest
from click.testing import Result
from flask import Flask

from tests.auth.helpers import inside, mail_to, row_of
from tests.factories import Person, Workspace
from tests.visitor import Visitor, sign_in

PASSWORD = "a password from standard input"


def run(app: Flask, *words: str, tenant: Workspace | None, input: str | None = None) -> Result:
    options = ["--tenant", tenant.slug] if tenant else []
    return app.test_cli_runner().invoke(args=[*words, *options], input=input)


def signs_in(app: Flask, workspace: Workspace, email: str, password: str) -> bool:
    visitor = Visitor(app, workspace.host)
    visitor.post("/auth/login", {"email": email, "password": password})
    return visitor.is_signed_in()


def test_a_user_is_created_with_a_password_from_standard_input(app: Flask, acme: Workspace) -> None:
    email = f"new@{acme.slug}.example"

    result = run(app, "users", "create", email, "--password-stdin", tenant=acme, input=f"{PASSWORD}\n")

    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert signs_in(app, acme, email, PASSWORD)


def test_a_user_without_password_is_mailed_a_link(app: Flask, acme: Workspace) -> None:
    email = f"new@{acme.slug}.example"

    assert run(app, "users", "create", email, tenant=acme).exit_code == 0

    assert len(mail_to(app, email)) == 1


def test_a_user_is_created_with_roles(app: Flask, acme: Workspace) -> None:
    email = f"new@{acme.slug}.example"
    words = ("users", "create", email, "--role", "admin", "--role", "viewer", "--password-stdin")
    run(app, *words, tenant=acme, input=PASSWORD)

    visitor = Visitor(app, acme.host)
    visitor.post("/auth/login", {"email": email, "password": PASSWORD})
    assert visitor.get("/api/v1/me").get_json()["roles"] == ["admin", "viewer"]


@pytest.mark.parametrize(
    "words",
    [
        ("users", "create", "no-address"),
        ("users", "create", "x@y.example", "--role", "janitor"),
        ("users", "create", "x@y.example", "--password-stdin"),
        ("users", "deactivate", "nobody@y.example"),
        ("users", "reactivate", "nobody@y.example"),
        ("roles", "grant", "nobody@y.example", "admin"),
        ("roles", "revoke", "nobody@y.example", "admin"),
        ("roles", "explain", "nobody@y.example", "project:read"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_told_in_a_line_and_an_exit_code(app: Flask, acme: Workspace, words: tuple[str, ...]) -> None:
    result = run(app, *words, tenant=acme, input="short")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_failed_creation_leaves_nobody_behind(app: Flask, acme: Workspace) -> None:
    run(app, "users", "create", f"new@{acme.slug}.example", "--role", "janitor", tenant=acme)

    assert f"new@{acme.slug}.example" not in run(app, "users", "list", tenant=acme).output
    assert mail_to(app, f"new@{acme.slug}.example") == []


def test_an_address_is_taken_in_any_case(app: Flask, acme: Workspace) -> None:
    result = run(app, "users", "create", acme.people["member"].email.upper(), tenant=acme)

    assert result.exit_code == 1


@pytest.mark.parametrize(
    "words", [("roles", "grant"), ("roles", "revoke"), ("roles", "explain")], ids=lambda words: words[1]
)
def test_an_unknown_role_or_permission_is_an_error(app: Flask, acme: Workspace, words: tuple[str, ...]) -> None:
    result = run(app, *words, acme.people["member"].email, "janitor", tenant=acme)

    assert result.exit_code == 1
    assert "janitor" in result.output


@pytest.mark.parametrize("words", [("users", "list"), ("roles", "list")], ids=" ".join)
def test_an_unknown_or_missing_tenant_is_an_error(app: Flask, words: tuple[str, ...]) -> None:
    unknown = app.test_cli_runner().invoke(args=[*words, "--tenant", "no-such-tenant"])
    missing = app.test_cli_runner().invoke(args=[*words])

    assert (unknown.exit_code, missing.exit_code) == (1, 2)
    assert "no-such-tenant" in unknown.output


def test_users_are_listed_of_one_workspace_only(app: Flask, acme: Workspace, globex: Workspace) -> None:
    output = run(app, "users", "list", tenant=acme).output
    listed = json.loads(run(app, "users", "list", "--json", tenant=acme).output)

    assert {entry["email"] for entry in listed} == {person.email for person in acme.people.values()}
    assert all(person.email in output for person in acme.people.values())
    assert not any(person.email in output for person in globex.people.values())


def test_deactivating_ends_sessions_and_reactivating_lets_in_again(app: Flask, acme: Workspace) -> None:
    person: Person = acme.people["member"]
    browser = sign_in(app, acme)
    assert run(app, "users", "deactivate", person.email, tenant=acme).exit_code == 0
    assert not browser.is_signed_in()
    assert not signs_in(app, acme, person.email, person.password)
    assert run(app, "users", "reactivate", person.email, tenant=acme).exit_code == 0

    assert signs_in(app, acme, person.email, person.password)


def test_the_last_owner_is_not_deactivated(app: Flask, acme: Workspace) -> None:
    result = run(app, "users", "deactivate", acme.people["owner"].email, tenant=acme)

    assert result.exit_code == 1
    with inside(app, acme):
        assert row_of(acme.people["owner"]).active


def test_roles_are_listed_with_their_permissions(app: Flask, acme: Workspace) -> None:
    listed = json.loads(run(app, "roles", "list", "--json", tenant=acme).output)
    by_name = {entry["name"]: entry for entry in listed}

    assert {"owner", "admin", "member", "viewer", "project-editor"} <= by_name.keys()
    assert "project:delete" in by_name["owner"]["permissions"]
    assert "project:delete" not in by_name["viewer"]["permissions"]
    assert "viewer" in run(app, "roles", "list", tenant=acme).output


def test_a_role_is_given_and_taken(app: Flask, acme: Workspace) -> None:
    email, browser = acme.people["viewer"].email, sign_in(app, acme, "viewer")
    assert run(app, "roles", "grant", email, "admin", "--reason", "holidays", tenant=acme).exit_code == 0
    assert "admin" in browser.get("/api/v1/me").get_json()["roles"]
    assert run(app, "roles", "revoke", email, "admin", tenant=acme).exit_code == 0
    assert "admin" not in browser.get("/api/v1/me").get_json()["roles"]

    assert run(app, "roles", "revoke", email, "admin", tenant=acme).exit_code == 1


def test_a_role_is_given_on_one_object(app: Flask, acme: Workspace) -> None:
    email, place = acme.people["viewer"].email, "project:01980000-0000-7000-8000-000000000000"
    assert run(app, "roles", "grant", email, "project-editor", "--on", place, tenant=acme).exit_code == 0

    told = run(app, "roles", "explain", email, "project:update", "--on", place, tenant=acme).output
    assert f"{email} may project:update" in told
    assert place.split(":")[1] in told
    assert "may not" in run(app, "roles", "explain", email, "project:update", tenant=acme).output


def test_a_place_that_is_none_is_a_mistake_in_the_command(app: Flask, acme: Workspace) -> None:
    words = ("roles", "grant", acme.people["viewer"].email, "project-editor", "--on", "project:x")

    assert run(app, *words, tenant=acme).exit_code == 2


def test_a_right_is_explained(app: Flask, acme: Workspace) -> None:
    result = run(app, "roles", "explain", acme.people["member"].email, "project:create", tenant=acme)

    assert result.exit_code == 0
    assert "role 'member'" in result.output
    assert "origin 'manual'" in result.output

"""`flask providers ...`: from a directory's address to people who sign in with their account there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from tests.auth.directories import roles_of, sign_in, unique
from tests.factories import Workspace, add_person
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor

AT_WORK = "the password at work"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def bundle(directory: OpenLdapServer, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(directory.ca)
    return path


def run(app: Flask, workspace: Workspace, *words: str, input: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["providers", *words, "--tenant", workspace.slug], input=input)


@pytest.fixture
def office(app: Flask, acme: Workspace, directory: OpenLdapServer, bundle: Path) -> list[str]:
    """The words that connect the workspace with the directory; they are run."""
    words = [
        "add", "office", "--label", "Acme staff", "--server", directory.tls_url, "--ca-bundle", str(bundle),
        "--bind-dn", directory.service_dn, "--base-dn", directory.people, "--group-base", directory.groups,
        "--secret-stdin",
    ]  # fmt: skip
    result = run(app, acme, *words, input=directory.service_password)
    assert result.exit_code == 0, result.output
    assert directory.service_password not in result.output
    return words


def test_a_directory_is_connected_mapped_and_synchronised(
    app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]
) -> None:
    uid, team = unique("alice"), unique("team")
    dn = directory.add_person(uid, password=AT_WORK)
    group = directory.add_group(team, [dn, directory.nobody])
    assert run(app, acme, "test", "office", uid).exit_code == 0
    assert run(app, acme, "enable", "office").exit_code == 0
    assert run(app, acme, "map", "office", team, "member").exit_code == 0
    visitor = Visitor(app, acme.host)
    sign_in(visitor, uid, AT_WORK)
    assert roles_of(visitor) == ["member"]

    directory.remove_member(group, dn)
    assert "1 removed" in run(app, acme, "sync", "office").output
    assert roles_of(visitor) == []

    directory.disable(dn)
    assert f"{uid}@acme.example" in run(app, acme, "sync", "office").output
    assert not visitor.is_signed_in()


def test_a_rehearsal_shows_every_step_and_what_would_happen(
    app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]
) -> None:
    uid, team = unique("alice"), unique("team")
    dn = directory.add_person(uid, password=AT_WORK, name="Alice Adams")
    directory.add_group(team, [dn])
    run(app, acme, "map", "office", team, "viewer")

    told = run(app, acme, "test", "office", uid, "--password-stdin", input=AT_WORK)
    assert told.exit_code == 0, told.output
    assert f"would be made a new user, {uid}@acme.example" in told.output
    assert "roles by groups: viewer" in told.output
    assert AT_WORK not in told.output

    found = json.loads(run(app, acme, "test", "office", uid, "--json").stdout)
    assert found["ok"]
    assert found["identity"]["place"] == dn
    assert found["sign_in"] == {
        "user": f"{uid}@acme.example", "happens": "created", "groups": [team], "roles": ["viewer"],
        "default_role": None,
    }  # fmt: skip
    assert Visitor(app, acme.host).get("/api/v1/me").status_code == 401


def test_a_rehearsal_of_nobody_fails_with_words_and_an_exit_code(
    app: Flask, acme: Workspace, office: list[str]
) -> None:
    result = run(app, acme, "test", "office", "nobody-at-all")
    assert result.exit_code == 1
    assert "Nobody is found by that name" in result.output


def test_the_list_shows_order_state_and_mappings_and_no_secret(
    app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]
) -> None:
    team = unique("team")
    directory.add_group(team, [directory.nobody])
    run(app, acme, "map", "office", team, "member")
    output = run(app, acme, "list").output
    assert "office" in output
    assert f"group {team} → role member" in output
    (found,) = json.loads(run(app, acme, "list", "--json").stdout)
    assert found["has_secret"] is True
    assert "secret" not in found
    assert directory.service_password not in json.dumps(found)


def test_a_disabled_directory_can_take_its_login_sessions_along(
    app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]
) -> None:
    uid = unique("alice")
    directory.add_person(uid, password=AT_WORK)
    run(app, acme, "enable", "office")
    visitor = Visitor(app, acme.host)
    sign_in(visitor, uid, AT_WORK)
    assert run(app, acme, "disable", "office").exit_code == 0
    assert visitor.is_signed_in()
    assert "1 login sessions ended" in run(app, acme, "disable", "office", "--end-sessions").output
    assert not visitor.is_signed_in()


def test_a_change_keeps_what_is_not_given(app: Flask, acme: Workspace, office: list[str]) -> None:
    assert run(app, acme, "change", "office", "--timeout", "3", "--domain", "acme.example").exit_code == 0
    (found,) = json.loads(run(app, acme, "list", "--json").stdout)
    assert found["settings"]["timeout"] == 3
    assert found["domains"] == ["acme.example"]
    assert found["label"] == "Acme staff"


def test_the_stored_password_is_not_sent_to_another_server(
    app: Flask, acme: Workspace, office: list[str], directory: OpenLdapServer
) -> None:
    result = run(app, acme, "change", "office", "--server", "ldaps://elsewhere.example")
    assert result.exit_code == 1
    assert "give it again" in result.output
    again = run(app, acme, "change", "office", "--server", "ldaps://elsewhere.example", "--secret-stdin", input="new")
    assert again.exit_code == 0


def test_an_administrator_joins_an_account_with_a_person(
    app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]
) -> None:
    uid, person = unique("alice"), add_person(app, acme)
    directory.add_person(uid, password=AT_WORK)
    run(app, acme, "enable", "office")
    assert run(app, acme, "link", "office", uid, person.email).exit_code == 0
    visitor = Visitor(app, acme.host)
    sign_in(visitor, uid, AT_WORK)
    assert visitor.get("/api/v1/me").get_json()["user"]["id"] == str(person.id)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("test", "nowhere", "alice"), "no identity provider 'nowhere'"),
        (("enable", "nowhere"), "no identity provider 'nowhere'"),
        (("add", "Bad Name", "--server", "ldaps://x", "--base-dn", "dc=x"), "name:"),
        (("add", "x", "--server", "http://x", "--base-dn", "dc=x"), "servers:"),
        (("add", "x", "--server", "ldaps://x", "--base-dn", "here"), "base_dn:"),
        (("add", "x", "--server", "ldaps://x", "--base-dn", "dc=x", "--user-filter", "(uid=*"), "user_filter:"),
        (("add", "x", "--server", "ldaps://x", "--base-dn", "dc=x", "--preset", "novell"), "preset:"),
        (("add", "x", "--server", "ldaps://x", "--base-dn", "dc=x", "--domain", "no domain"), "domains:"),
        (("add", "x", "--server", "ldaps://x", "--base-dn", "dc=x", "--page-size", "many"), "page_size:"),
        (("add", "office", "--server", "ldaps://x", "--base-dn", "dc=x"), "there is a provider “office” already"),
        (("map", "office", "no such group", "member"), "knows no group"),
        (("map", "office", "no such group", "janitor"), "knows no group"),
        (("unmap", "office", "no such group", "member"), "gives no role"),
        (("link", "office", "nobody-at-all", "somebody@acme.example"), "no user"),
        (("sync", "nowhere"), "no identity provider 'nowhere'"),
    ],
    ids=lambda value: " ".join(value[:3] + value[-1:]) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_in_a_line_and_an_exit_code(
    app: Flask, acme: Workspace, office: list[str], words: tuple[str, ...], said: str
) -> None:
    result = run(app, acme, *words)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_directory_that_does_not_answer_is_told_in_words(app: Flask, acme: Workspace, office: list[str]) -> None:
    run(app, acme, "change", "office", "--server", "ldaps://localhost:1", "--secret-stdin", input="x")
    for words in (("sync", "office"), ("map", "office", "staff", "member")):
        result = run(app, acme, *words)
        assert result.exit_code == 1
        assert "Nothing listens on this port" in result.output


def test_a_removal_asks_first(app: Flask, acme: Workspace, office: list[str]) -> None:
    assert run(app, acme, "remove", "office", input="n\n").exit_code == 1
    assert "office" in run(app, acme, "list").output
    assert run(app, acme, "remove", "office", input="y\n").exit_code == 0
    assert run(app, acme, "list").output == ""


def test_a_sync_shows_its_progress(app: Flask, acme: Workspace, directory: OpenLdapServer, office: list[str]) -> None:
    directory.add_person(unique("alice"))
    assert "people read" in run(app, acme, "sync", "office").stderr


def test_the_secret_of_a_file_is_its_first_line(
    app: Flask, acme: Workspace, directory: OpenLdapServer, bundle: Path, tmp_path: Path
) -> None:
    file, uid = tmp_path / "secret", unique("alice")
    file.write_text(directory.service_password + "\n")
    directory.add_person(uid)
    result = run(
        app, acme, "add", "files", "--server", directory.tls_url, "--ca-bundle", str(bundle),
        "--bind-dn", directory.service_dn, "--base-dn", directory.people, "--secret-file", str(file),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert run(app, acme, "test", "files", uid).exit_code == 0


def test_every_option_may_come_from_the_environment(
    app: Flask, acme: Workspace, directory: OpenLdapServer, bundle: Path, tmp_path: Path
) -> None:
    file, uid = tmp_path / "secret", unique("alice")
    file.write_text(directory.service_password)
    directory.add_person(uid)
    given = {
        "SERVERS": directory.tls_url,
        "CA_BUNDLE": str(bundle),
        "BIND_DN": directory.service_dn,
        "BASE_DN": directory.people,
        "SECRET_FILE": str(file),
    }
    environ = {f"FLASK_PROVIDERS_ADD_{name}": value for name, value in given.items()}
    # As the flask command itself names its variables.
    result = app.test_cli_runner().invoke(
        args=["providers", "add", "environment", "--tenant", acme.slug], env=environ, auto_envvar_prefix="FLASK"
    )
    assert result.exit_code == 0, result.output
    assert run(app, acme, "test", "environment", uid).exit_code == 0

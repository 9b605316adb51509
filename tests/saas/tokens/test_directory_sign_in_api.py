"""Signing in by API with the account that people have at work, on a real directory."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.auth.directories import connect, unique
from tests.factories import Workspace
from tests.program import Program
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer

AT_WORK = "the password at work"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def uid(directory: OpenLdapServer) -> str:
    """Somebody who is in the directory."""
    name = unique("alice")
    directory.add_person(name, password=AT_WORK, name="Alice Adams")
    return name


def test_a_user_name_in_the_directory_gives_tokens(
    app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
) -> None:
    connect(app, acme, directory)
    program = Program(app, acme.host)
    assert program.ask_tokens(grant="password", username=uid, password=AT_WORK).status_code == 200
    assert program.get("/api/v1/me").json["user"]["name"] == "Alice Adams"
    assert program.refresh().status_code == 200


def test_another_password_gives_nothing(app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str) -> None:
    connect(app, acme, directory)
    answer = Program(app, acme.host).ask_tokens(grant="password", username=uid, password="wrong")
    assert answer.status_code == 401


def test_a_directory_that_does_not_answer_is_told_as_such(
    app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
) -> None:
    connect(app, acme, directory, servers=["ldaps://127.0.0.1:1"])
    answer = Program(app, acme.host).ask_tokens(grant="password", username=uid, password=AT_WORK)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_whose_address_an_account_has_is_told_to_connect_the_two(
    app: Flask, acme: Workspace, directory: OpenLdapServer
) -> None:
    name = unique("member")
    directory.add_person(name, password=AT_WORK, name="Member", email=acme.people["member"].email)
    connect(app, acme, directory)
    answer = Program(app, acme.host).ask_tokens(grant="password", username=name, password=AT_WORK)
    assert answer.status_code == 403
    assert "connect the two" in answer.json["detail"]
    assert "Set-Cookie" not in answer.headers

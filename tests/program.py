"""A program that uses the API: no cookies, and a token in the Authorization header."""

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from auth import api_tokens
from tenants.context import bound
from tests.factories import Person, Workspace


class Program:
    """One program on one host."""

    def __init__(self, app: Flask, host: str, token: str = "", address: str = "127.0.0.1") -> None:
        self.client = app.test_client(use_cookies=False)
        self.base = f"http://{host}"
        self.token = token
        self.refresh_token = ""
        self.environ = {"REMOTE_ADDR": address}

    def open(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.client.open(
            path,
            method=method,
            base_url=self.base,
            headers=shown | (headers or {}),
            environ_base=self.environ,
            **options,
        )

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        return self.open("POST", path, json=body, **options) if body is not None else self.open("POST", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.open("DELETE", path, **options)

    def ask_tokens(self, **grant: Any) -> TestResponse:
        """Ask for tokens; keeps those that are given."""
        answer = self.post("/api/v1/auth/token", grant)
        if answer.status_code == 200:
            self.token, self.refresh_token = answer.json["access_token"], answer.json["refresh_token"]
        return answer

    def sign_in(self, person: Person) -> TestResponse:
        return self.ask_tokens(grant="password", username=person.email, password=person.password)

    def refresh(self, token: str | None = None) -> TestResponse:
        return self.ask_tokens(grant="refresh", refresh_token=token or self.refresh_token)

    @property
    def is_signed_in(self) -> bool:
        answer = self.get("/api/v1/me")
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


def signed_in_program(app: Flask, workspace: Workspace, role: str = "member") -> Program:
    """A program in which the workspace's person of that role is signed in."""
    program = Program(app, workspace.host)
    assert program.sign_in(workspace.people[role]).status_code == 200
    return program


def personal_token(app: Flask, workspace: Workspace, role: str = "member", *, only: set[str] | None = None) -> Program:
    """A program with a personal token of the workspace's person of that role, for everything or for `only` some."""
    with app.app_context(), bound(workspace.tenant):
        permissions = only if only is not None else set(app.extensions["auth"].catalogue.permissions)
        _row, secret = api_tokens.issue(
            workspace.people[role].id,
            kind=api_tokens.PERSONAL,
            permissions=permissions,
            expires_at=None,
            name="test",
            provider="database",
        )
    return Program(app, workspace.host, secret)

"""A browser without a screen: Flask's test client that sends what a browser sends."""

import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Person, Workspace

_TOKEN = re.compile(r'name="csrf_token"[^>]*?value="([^"]+)"')


class Visitor:
    """One browser on one host, with its cookies."""

    def __init__(self, app: Flask, host: str, address: str = "127.0.0.1") -> None:
        self.client = app.test_client()
        self.host = host
        self.base = f"http://{host}"
        self.environ = {"REMOTE_ADDR": address}

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, base_url=self.base, environ_base=self.environ, **options)

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, csrf: str | None = None, **options: Any
    ) -> TestResponse:
        """Submit a form, with the token of this browser's session and the Origin of its host."""
        headers = {"Origin": self.base, **options.pop("headers", {})}
        form = {"csrf_token": csrf if csrf is not None else self.csrf_token(), **(data or {})}
        return self.client.post(
            path, base_url=self.base, data=form, headers=headers, environ_base=self.environ, **options
        )

    def post_json(self, path: str, body: Any, **options: Any) -> TestResponse:
        headers = {"Origin": self.base, "X-CSRFToken": self.csrf_token(), **options.pop("headers", {})}
        return self.client.post(
            path, base_url=self.base, json=body, headers=headers, environ_base=self.environ, **options
        )

    def csrf_token(self) -> str:
        """The token that the pages of this browser's session carry, read from one of them."""
        return self._token_on("/auth/change", "/account/", "/auth/login")  # the cheapest first

    def sign_in(self, person: Person, *, remember: bool = False) -> TestResponse:
        data = {"email": person.email, "password": person.password}
        csrf = self._token_on("/auth/login", "/auth/change", "/account/")  # of a browser in which nobody is signed in
        return self.post("/auth/login", data | ({"remember": "y"} if remember else {}), csrf=csrf)

    def is_signed_in(self) -> bool:
        return self.get("/api/v1/me").status_code == 200

    def _token_on(self, *paths: str) -> str:
        """The token on the first of these pages that carries one."""
        for path in paths:
            found = _TOKEN.search(self.get(path).get_data(as_text=True))
            if found:
                return found.group(1)
        raise AssertionError("no page carries a CSRF token")

    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.client._cookies.values()}

    def take_cookies(self, cookies: dict[str, str]) -> None:
        """Have these cookies, as a thief would."""
        for name, value in cookies.items():
            self.client.set_cookie(name, value, domain=self.host)


def sign_in(app: Flask, workspace: Workspace, role: str = "member") -> Visitor:
    """A browser in which the workspace's person of that role is signed in."""
    visitor = Visitor(app, workspace.host)
    assert visitor.sign_in(workspace.people[role]).status_code == 302
    assert visitor.is_signed_in()
    return visitor

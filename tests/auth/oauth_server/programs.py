"""Programs of others at our OAuth 2 server: an Authlib client whose requests reach the application under test."""

import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import Flask, g
from joserfc.jwk import ECKey
from requests.adapters import BaseAdapter
from werkzeug.test import TestResponse

from auth import clients, roles, service_accounts
from auth.client_models import OAuthClient
from auth.identity import Identity, snapshot_of
from auth.models import User
from tests.auth.helpers import inside
from tests.factories import Person, Workspace
from tests.visitor import Visitor

BACK = "https://app.example/back"


class _Wire(BaseAdapter):
    """Carries a program's requests to the application, without a network."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._client = app.test_client(use_cookies=False)

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        parts = urlsplit(request.url)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        given = self._client.open(
            parts.path, method=request.method, base_url=f"http://{parts.netloc}", query_string=parts.query,
            headers=headers, data=request.body,
        )  # fmt: skip
        answer = requests.Response()
        answer.status_code, answer._content, answer.url, answer.request = (
            given.status_code, given.data, request.url, request
        )  # fmt: skip
        answer.headers.update(given.headers)
        return answer

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Program:
    """A registered program, as its makers run it."""

    app: Flask
    host: str
    id: uuid.UUID
    client_id: str
    secret: str = ""
    key: ECKey | None = None
    redirect_uri: str = BACK
    account: uuid.UUID | None = None
    verifier: str = field(default_factory=lambda: generate_token(48))
    state: str = field(default_factory=lambda: generate_token(20))

    def session(self, **options: Any) -> OAuth2Session:
        """Authlib's client, set up for this program."""
        method = "private_key_jwt" if self.key else "client_secret_basic" if self.secret else "none"
        values = {
            "client_id": self.client_id,
            "client_secret": self.key or self.secret or None,
            "token_endpoint_auth_method": method,
            "revocation_endpoint_auth_method": method,
            "redirect_uri": self.redirect_uri,
            "code_challenge_method": "S256",
        }
        session = OAuth2Session(**(values | options))
        if self.key is not None:
            session.register_client_auth_method(PrivateKeyJWT(self.token_url, alg="ES256"))
        session.mount("http://", _Wire(self.app))
        return session

    @property
    def token_url(self) -> str:
        return f"http://{self.host}/oauth/token"

    def ask(self, scope: str = "openid project:read", **changed: str | None) -> str:
        """The path to which it sends a person; None leaves a parameter out."""
        values: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": scope,
            "state": self.state,
            "code_challenge": create_s256_code_challenge(self.verifier),
            "code_challenge_method": "S256",
        }
        given = {name: value for name, value in (values | changed).items() if value is not None}
        return "/oauth/authorize?" + requests.models.PreparedRequest._encode_params(given)

    def post(self, path: str, data: dict[str, str] | bytes, **options: Any) -> TestResponse:
        """Send a form to one of the endpoints for programs, with nothing but that."""
        options = {"method": "POST"} | ({"data": data} if "json" not in options else {}) | options
        return self.app.test_client(use_cookies=False).open(path, base_url=f"http://{self.host}", **options)

    def own(self, data: dict[str, str]) -> dict[str, str]:
        """The form, with what shows who the program is."""
        return {"client_id": self.client_id} | ({"client_secret": self.secret} if self.secret else {}) | data

    def redeem(self, code: str, **changed: str) -> TestResponse:
        """Redeem a code as the specification has it, with what is changed."""
        data = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }  # fmt: skip
        return self.post("/oauth/token", self.own(data) | changed)

    def refresh(self, token: str, **changed: str) -> TestResponse:
        return self.post("/oauth/token", self.own({"grant_type": "refresh_token", "refresh_token": token}) | changed)

    def call(self, path: str, token: str, method: str = "GET", **options: Any) -> TestResponse:
        """Call an endpoint with a token."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        client = self.app.test_client(use_cookies=False)
        return client.open(path, method=method, base_url=f"http://{self.host}", headers=headers, **options)


def register(app: Flask, workspace: Workspace, name: str = "Planner", **options: Any) -> Program:
    """Register an app, which may ask for what people do with projects, and see members."""
    values = {
        "redirects": [BACK],
        "permissions": ["member:read", "project:create", "project:read"],
        "auth_method": clients.SECRET,
    }
    key = ECKey.generate_key("P-256", auto_kid=True) if options.get("auth_method") == clients.KEYS else None
    if key is not None:
        values["jwks"] = {"keys": [key.as_dict(private=False)]}
    with inside(app, workspace):
        row, secret = clients.add_app(name, actor=None, **(values | options))
        back = row.redirect_uris[0]
        return Program(app, workspace.host, row.id, row.client_id, secret, key, back)


def employ(app: Flask, workspace: Workspace, *held: str, key: ECKey | None = None, name: str = "Robot") -> Program:
    """Make a service account with those roles and one credential."""
    with inside(app, workspace):
        account = service_accounts.create_account(name, actor=None)
        for role in held:
            service_accounts.give_role(account, role, actor=None)
        method, jwks = (clients.KEYS, {"keys": [key.as_dict(private=False)]}) if key else (clients.SECRET, None)
        row, secret = clients.add_credential(account, "first", auth_method=method, jwks=jwks, actor=None)
        return Program(app, workspace.host, row.id, row.client_id, secret, key, account=account.id)


def allow(visitor: Visitor, program: Program, scope: str = "openid project:read", **changed: str | None) -> str:
    """Have whoever is signed in allow the app; gives back the address to which they are sent."""
    path = program.ask(scope, **changed)
    page = visitor.get(path)
    if page.status_code == 200:
        page = visitor.post(path, {"decision": "allow"})
    assert page.status_code == 303, page.text
    return page.location


def answered(location: str) -> dict[str, str]:
    """What an address that leads back to an app says."""
    return dict(parse_qsl(urlsplit(location).query))


def obtain(visitor: Visitor, program: Program, scope: str = "openid project:read", **changed: str) -> dict[str, Any]:
    """The tokens that an app gets by that person."""
    given = program.redeem(answered(allow(visitor, program, scope, **changed))["code"])
    assert given.status_code == 200, given.text
    tokens: dict[str, Any] = given.get_json()
    return tokens


def row_of(program: Program) -> OAuthClient:
    """The program's row, of the bound workspace."""
    row: OAuthClient | None = g.db.find(OAuthClient, program.id)
    assert row is not None
    return row


def account_of(program: Program) -> User:
    """The service account's row, of the bound workspace."""
    account = service_accounts.find_account(program.account or uuid.uuid4())
    assert account is not None
    return account


def actor(person: Person) -> Identity:
    """Somebody as services know them, of the bound workspace."""
    return Identity(person.id, snapshot_of(person.id))


def make_role(app: Flask, workspace: Workspace, name: str, *permissions: str) -> str:
    """A role of the workspace's own."""
    with inside(app, workspace):
        return roles.create_role(name, permissions, actor=None).name

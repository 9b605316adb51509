"""An identity provider that provisions acme's people."""

import uuid
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth.providers.models import ProviderConfig
from auth.scim import tokens
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SETTINGS = {"issuer": "https://id.example", "client_id": "acme"}


class Provider:
    """What an identity provider sends with its provisioning token."""

    def __init__(self, app: Flask, host: str, token: str) -> None:
        self.client = app.test_client()
        self.base = f"http://{host}"
        self.token = token

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        return self.client.open(f"/scim/v2{path}", method=method, base_url=self.base, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.send("GET", path, **options)

    def find(self, kind: str, filter: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.get(f"/{kind}", query_string={"filter": filter, **query})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.get_json().get("Resources", [])
        return found

    def add_user(self, user_name: str, **attributes: Any) -> dict[str, Any]:
        answer = self.send("POST", "/Users", {"schemas": [USER], "userName": user_name} | attributes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.get_json()
        return made

    def add_group(self, name: str, *members: dict[str, Any], **attributes: Any) -> dict[str, Any]:
        told = [{"value": member["id"]} for member in members]
        answer = self.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": told} | attributes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.get_json()
        return made

    def patch(self, kind: str, resource: dict[str, Any], *operations: dict[str, Any], **options: Any) -> TestResponse:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self.send("PATCH", f"/{kind}/{resource['id']}", body, **options)


def provider_for(app: Flask, workspace: Workspace, config_id: uuid.UUID) -> Provider:
    """Who provisions that source, with a token made now."""
    with inside(app, workspace) as session:
        config = session.find(ProviderConfig, config_id)
        assert config is not None
        _row, secret = tokens.issue(config, actor=None)
    return Provider(app, workspace.host, secret)


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    """A domain that acme has proved."""
    return sources.own(app, acme, f"{acme.slug}.example")


@pytest.fixture
def work(app: Flask, acme: Workspace, domain: str) -> uuid.UUID:
    """acme's source; nobody signs in at it."""
    return sources.add(app, acme, "work", "oidc", SETTINGS, secret="secret", domains=[domain])


@pytest.fixture
def provider(app: Flask, acme: Workspace, work: uuid.UUID) -> Provider:
    """Who provisions acme's source."""
    return provider_for(app, acme, work)

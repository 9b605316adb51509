"""What the gate notes of a sign-in."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from auth.models import LoginSession
from auth.providers import configs
from auth.providers.base import ExternalIdentity, PasswordProvider
from tenants.context import bound
from tenants.db import now
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in


class Directory(PasswordProvider):
    """A source that vouches for whoever it is told to."""

    kind = "directory"

    def __init__(self, id: str, subject: str) -> None:
        self.id = id
        self.subject = subject

    def authenticate(self, login: str, password: str, *, count: Callable[[str], None]) -> ExternalIdentity:
        return ExternalIdentity(provider=self.id, subject=self.subject)


def providers_of(app: Flask, workspace: Workspace) -> list[str]:
    with app.app_context(), bound(workspace.tenant) as session:
        return list(session.scalars(select(LoginSession.provider)))


def test_a_login_session_names_the_provider_that_vouched_for_it(app: Flask, acme: Workspace) -> None:
    sign_in(app, acme)
    assert providers_of(app, acme) == ["database"]


def test_a_provider_that_vouches_for_a_stranger_signs_nobody_in(
    app: Flask, acme: Workspace, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The subject is a user's id, but the key is (tenant, provider, subject): another provider's says nothing.
    settings = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
    with inside(app, acme):
        configs.enable_provider(configs.add_provider("office", "ldap", settings, actor=None), actor=None)
    subject = str(acme.people["owner"].id)
    monkeypatch.setattr("auth.routing.provider_of", lambda config: Directory(str(config.id), subject))
    visitor.post("/auth/login", {"email": "somebody", "password": "anything"})
    assert not visitor.is_signed_in()
    assert providers_of(app, acme) == []


def test_ended_login_sessions_are_cleared_at_the_next_sign_in(app: Flask, acme: Workspace) -> None:
    sign_in(app, acme)
    with app.app_context(), bound(acme.tenant) as session:
        session.execute(update(LoginSession).values(expires_at=now() - timedelta(days=1)))
    sign_in(app, acme)
    with app.app_context(), bound(acme.tenant) as session:
        assert len(session.scalars(select(LoginSession)).all()) == 1

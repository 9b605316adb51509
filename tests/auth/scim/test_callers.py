"""Who gets into `/scim/v2`, and where a provisioning token is worth nothing."""

import uuid
from datetime import timedelta

import pytest
from flask import Flask, g
from sqlalchemy import select, update

from auth import policy_changes, roles, token_secrets
from auth.audit_models import AuditEvent
from auth.errors import InvalidProvider, NotAllowed
from auth.identity import Identity, snapshot_of
from auth.models import User
from auth.providers.models import ProviderConfig, ProvisioningToken
from auth.scim import tokens
from tenants.db import now
from tenants.lifecycle import suspend_tenant
from tests.auth import sources
from tests.auth.conftest import Clock
from tests.auth.helpers import inside
from tests.auth.scim.conftest import SETTINGS, Provider, provider_for
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def test_nobody_gets_in_without_a_token(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    for visitor in (Visitor(app, acme.host), sign_in(app, acme, "owner")):
        for path in ("/Users", "/ServiceProviderConfig", "/", "/nothing/at/all"):
            answer = visitor.get(f"/scim/v2{path}")
            assert answer.status_code == 401
            assert answer.headers.getlist("WWW-Authenticate") == ['Bearer realm="SCIM"']
            assert answer.content_type == "application/scim+json"
            assert answer.get_json()["schemas"] == [ERROR]


@pytest.mark.parametrize("made_up", ["", "x", "tnt_scim_x", "other"])
def test_a_made_up_token_is_refused(provider: Provider, made_up: str) -> None:
    provider.token = token_secrets.make(token_secrets.PROVISIONING) if made_up == "other" else made_up
    assert provider.get("/Users").status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token"])
def test_it_is_a_bearer_token(provider: Provider, scheme: str) -> None:
    assert provider.get("/Users", headers={"Authorization": f"{scheme} {provider.token}"}).status_code == 401


def test_a_provisioning_token_is_nobody_elsewhere(provider: Provider) -> None:
    for path in ("/api/v1/me", "/api/v1/members", "/projects/", "/admin/members/"):
        answer = provider.client.get(
            path, base_url=provider.base,
            headers={"Authorization": f"Bearer {provider.token}", "Accept": "application/json"},
        )  # fmt: skip
        assert answer.status_code == 401, path


def test_it_counts_in_its_own_workspace_only(provider: Provider, globex: Workspace) -> None:
    provider.base = f"http://{globex.host}"
    assert provider.get("/Users").status_code == 401


def test_it_is_the_source_that_it_was_made_for(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    other = sources.add(app, acme, "other", "oidc", SETTINGS, secret="secret")
    provider.add_user("bob")
    assert provider_for(app, acme, other).get("/Users").get_json()["totalResults"] == 0
    assert provider_for(app, acme, work).get("/Users").get_json()["totalResults"] == 1


def test_it_ends_at_its_time(app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock) -> None:
    with inside(app, acme):
        config = g.db.find(ProviderConfig, work)
        _row, secret = tokens.issue(config, actor=None, expires_at=now() + timedelta(hours=1))
    provider = Provider(app, acme.host, secret)
    assert provider.get("/Users").status_code == 200
    clock.advance(hours=1, seconds=1)
    assert provider.get("/Users").status_code == 401


def test_it_ends_when_it_is_revoked(app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID) -> None:
    with inside(app, acme):
        config = g.db.find(ProviderConfig, work)
        (row,) = tokens.list_of(config)
        assert tokens.revoke(config, row.id, actor=None)
        assert not tokens.revoke(config, row.id, actor=None)
    assert provider.get("/Users").status_code == 401


def test_a_source_that_is_off_provisions_nothing(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    with inside(app, acme):
        g.db.find(ProviderConfig, work).enabled = False
    for answer in (provider.get("/Users"), provider.send("POST", "/Users", {})):
        assert answer.status_code == 403
        assert answer.get_json()["schemas"] == [ERROR]


def test_a_suspended_workspace_is_closed_to_it(app: Flask, acme: Workspace, provider: Provider) -> None:
    with app.app_context():
        suspend_tenant(acme.slug)
    assert provider.get("/Users").status_code == 403


def test_the_networks_of_the_workspace_hold(app: Flask, acme: Workspace, provider: Provider) -> None:
    with inside(app, acme):
        policy_changes.change_policy({"networks": ["203.0.113.0/24"]}, actor=None)
    assert provider.get("/Users").status_code == 403
    assert provider.get("/Users", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 200


def test_only_its_hash_is_kept_and_its_use_is_noted_once_a_minute(
    app: Flask, acme: Workspace, provider: Provider, clock: Clock
) -> None:
    provider.get("/Users")
    first = _last_used(app, acme)
    assert first is not None
    clock.advance(seconds=30)
    provider.get("/Users")
    assert _last_used(app, acme) == first
    clock.advance(seconds=31)
    provider.get("/Users")
    assert _last_used(app, acme) > first
    with inside(app, acme) as session:
        row = session.scalar(select(ProvisioningToken))
        assert provider.token not in (row.token_hash, str(row.id))
        assert row.token_hash == token_secrets.digest(provider.token)


def test_making_and_revoking_is_recorded_without_the_secret(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    with inside(app, acme) as session:
        config = g.db.find(ProviderConfig, work)
        tokens.revoke(config, tokens.list_of(config)[0].id, actor=None)
        events = session.scalars(select(AuditEvent).where(AuditEvent.kind.startswith("provisioning"))).all()
        assert [event.kind for event in events] == ["provisioning token made", "provisioning token revoked"]
        assert provider.token not in str([event.details for event in events])


class TestGuards:
    """Who may make tokens: whoever may change the source."""

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_not_everybody(self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, role: str) -> None:
        with inside(app, acme):
            config, actor = g.db.find(ProviderConfig, work), _identity(acme, role)
            with pytest.raises(NotAllowed):
                tokens.issue(config, actor=actor)
            with pytest.raises(NotAllowed):
                tokens.revoke(config, tokens.list_of(config)[0].id, actor=actor)

    def test_nobody_with_fewer_rights_than_a_provisioned_person(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
    ) -> None:
        provider.add_user("bob")
        with inside(app, acme):
            config = g.db.find(ProviderConfig, work)
            tokens.issue(config, actor=_identity(acme, "admin"))
            from_provider = g.db.scalar(select(User).where(User.email.endswith(".invalid")))
            roles.grant_role(from_provider, "owner", actor=None)
            with pytest.raises(NotAllowed):
                tokens.issue(config, actor=_identity(acme, "admin"))

    def test_nobody_for_a_directory(self, app: Flask, acme: Workspace, work: uuid.UUID) -> None:
        with inside(app, acme) as session:
            session.execute(update(ProviderConfig).values(kind="ldap"))
            with pytest.raises(InvalidProvider):
                tokens.issue(session.find(ProviderConfig, work), actor=None)

    def test_not_without_end(self, app: Flask, acme: Workspace, work: uuid.UUID) -> None:
        with inside(app, acme):
            config = g.db.find(ProviderConfig, work)
            for _ in range(tokens.MOST):
                tokens.issue(config, actor=None)
            with pytest.raises(InvalidProvider):
                tokens.issue(config, actor=None)

    def test_not_for_the_past(self, app: Flask, acme: Workspace, work: uuid.UUID) -> None:
        with inside(app, acme), pytest.raises(InvalidProvider):
            tokens.issue(g.db.find(ProviderConfig, work), actor=None, expires_at=now() - timedelta(seconds=1))


def _identity(workspace: Workspace, role: str) -> Identity:
    user_id = workspace.people[role].id
    return Identity(user_id, snapshot_of(user_id))


def _last_used(app: Flask, workspace: Workspace) -> object:
    with inside(app, workspace) as session:
        return session.scalar(select(ProvisioningToken.last_used_at))

"""Where a sign-in meets what was provisioned, and what never joins the two."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, g

from auth import users
from auth.errors import LinkNeeded, SignInRefused
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.provisioning import preview, user_for
from auth.scim.models import ScimResource
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.scim.conftest import SETTINGS, Provider, provider_for
from tests.factories import Workspace
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor

ISSUER = "https://id.example"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def email(acme: Workspace) -> str:
    return f"alice@{acme.slug}.example"


def person(config_id: uuid.UUID, subject: str = "s-1", email: str | None = None, **said: object) -> ExternalIdentity:
    """Somebody whom the source has proved."""
    known = ExternalIdentity(provider=str(config_id), subject=f"{ISSUER} {subject}", email=email, email_vouched=True)
    return replace(known, **said)


def arrive(app: Flask, workspace: Workspace, identity: ExternalIdentity) -> uuid.UUID:
    """Who that is here, by a sign-in."""
    with inside(app, workspace):
        return user_for(identity, g.db.find(ProviderConfig, uuid.UUID(identity.provider))).id


def account_in(app: Flask, workspace: Workspace, made: dict[str, object]) -> uuid.UUID:
    with inside(app, workspace):
        row = g.db.find(ScimResource, uuid.UUID(str(made["id"])))
        assert row is not None
        assert row.user_id is not None
        return row.user_id


def test_a_subject_that_is_the_external_id_is_the_person(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    made = provider.add_user("alice", externalId="00u1")
    assert arrive(app, acme, person(work, "00u1")) == account_in(app, acme, made)
    assert arrive(app, acme, person(work, "00u1")) == account_in(app, acme, made)


def test_so_is_whoever_has_the_address_by_the_sources_word(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    made = provider.add_user(email, externalId="entra-object")
    assert arrive(app, acme, person(work, email=email.upper())) == account_in(app, acme, made)


def test_a_rehearsal_says_so(app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str) -> None:
    provider.add_user(email)
    with inside(app, acme):
        config = g.db.find(ProviderConfig, work)
        assert preview(person(work, email=email), config).happens == "known"
        assert preview(person(work, email=email, email_vouched=False), config).happens == "refused"


def test_an_unverified_address_joins_nothing(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    provider.add_user(email)
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(work, email=email, email_vouched=False))


def test_a_user_name_that_is_only_claimed_joins_nothing(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    provider.add_user("alice", externalId="00u1")
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(work, "00u2", login="alice"))


def test_an_address_of_no_proved_domain_joins_nothing(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
) -> None:
    provider.add_user("ceo@elsewhere.example")
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(work, email="ceo@elsewhere.example"))


def test_who_has_the_address_next_is_not_who_came_first(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    provider.add_user(email)
    arrive(app, acme, person(work, "s-1", email=email))
    with pytest.raises(LinkNeeded):
        arrive(app, acme, person(work, "s-2", email=email))


@pytest.mark.parametrize("subject", ["00u1", "s-1"])
def test_another_sources_word_joins_nothing(
    app: Flask, acme: Workspace, provider: Provider, email: str, subject: str
) -> None:
    other = sources.add(app, acme, "other", "oidc", SETTINGS, secret="secret")
    with inside(app, acme):
        g.db.find(ProviderConfig, other).rehearsed_at = now()
    provider.add_user(email, externalId="00u1")
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(other, subject, email=email))


def test_an_external_id_that_is_an_id_of_ours_joins_nobody_else(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    owner = acme.people["owner"].id
    made = provider.add_user(email, externalId=str(owner))
    assert arrive(app, acme, person(work, str(owner))) == account_in(app, acme, made) != owner
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(work, str(account_in(app, acme, made))))


def test_who_was_closed_or_deleted_does_not_come_in_by_it(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    closed = provider.add_user(email, active=False)
    with inside(app, acme):
        config = g.db.find(ProviderConfig, work)
        assert not user_for(person(work, email=email), config).active
        assert preview(person(work, email=email), config).happens == "refused"
    provider.send("DELETE", f"/Users/{closed['id']}")
    with inside(app, acme):
        assert not user_for(person(work, email=email), g.db.find(ProviderConfig, work)).active


def test_a_deleted_user_whom_nobody_came_to_is_met_by_nobody(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    made = provider.add_user(email, externalId="00u1")
    provider.send("DELETE", f"/Users/{made['id']}")
    with pytest.raises(SignInRefused):
        arrive(app, acme, person(work, "00u1", email=email))


def test_an_account_whose_address_was_not_believed_gets_it_by_a_sign_in(
    app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
) -> None:
    made = provider.add_user("alice", externalId="00u1")
    arrive(app, acme, person(work, "00u1", email=email))
    with inside(app, acme):
        user = users.find_by_email(email)
        assert isinstance(user, User)
        assert user.id == g.db.find(ScimResource, uuid.UUID(made["id"])).user_id


def test_who_was_provisioned_signs_in_at_the_provider_until_they_are_closed(
    app: Flask, acme: Workspace, email: str, server: OidcServer
) -> None:
    domain = sources.own(app, acme, f"{acme.slug}.example")
    config_id = sources.connect(app, acme, server, domains=[domain], creates_users="never")
    sub = sources.add_person(server, email, groups=["staff"])
    visitor = Visitor(app, acme.host)
    sources.sign_in(visitor, server, config_id, sub)
    assert not visitor.is_signed_in()
    with inside(app, acme):
        g.db.find(ProviderConfig, config_id).creates_users = "sync"
    provider = provider_for(app, acme, config_id)
    made = provider.add_user(email)
    sources.map_group(app, acme, "readers", "viewer")
    provider.add_group("readers", made)
    sources.sign_in(visitor, server, config_id, sub)
    me = visitor.get("/api/v1/me").get_json()
    assert (uuid.UUID(me["user"]["id"]), me["roles"]) == (account_in(app, acme, made), ["viewer"])
    assert sources.subjects_of(app, acme, email) == [sub]
    provider.patch("Users", made, {"op": "replace", "path": "active", "value": False})
    assert not visitor.is_signed_in()
    sources.sign_in(visitor, server, config_id, sub)
    assert not visitor.is_signed_in()

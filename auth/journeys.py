"""A person's way to a web source and back: sent off here, received by `auth/sso.py`, or by the broker on its host."""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import replace

from flask import current_app, g, request

from auth import attempts, enforcement
from auth.mail import normal_domain
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth import Errand, Visit, claims
from auth.providers.oauth.configuration import TENANT_ID
from auth.providers.oauth.faults import Fault, OAuthFault
from auth.providers.registry import web_provider_of

BROKER = "auth"
"""The label of the broker's host before the base domain."""


def depart(
    config: ProviderConfig,
    purpose: str,
    *,
    next_path: str = "",
    user_id: uuid.UUID | None = None,
    login_hint: str = "",
) -> str:
    """Where to send the browser, of which it is remembered that it is on its way. Raises SourceUnavailable."""
    provider = web_provider_of(config)
    state = secrets.token_urlsafe(32)
    if provider.configuration.broker:
        state = f"{g.tenant.slug}.{state}"  # the broker serves all tenants
    attempt = attempts.begin(
        config,
        purpose,
        state=state,
        return_to=request.host_url.rstrip("/"),
        next_path=next_path,
        user_id=user_id,
        brokered=provider.configuration.broker,
    )
    g.db.release()  # nothing is held while the source takes its time
    return provider.authorization_url(_errand(attempt, state, config), login_hint=login_hint)


def receive(config: ProviderConfig, attempt: SignInAttempt, answer: Mapping[str, str]) -> Visit:
    """Who has come back with that answer, of an attempt that was used up just now. Raises SourceUnavailable."""
    provider = web_provider_of(config)
    errand = _errand(attempt, answer.get("state", ""), config)
    asked = digest_of(config)
    g.db.release()
    visit = replace(provider.redeem(answer, errand), asked=asked)
    if not provider.configuration.trust_email or visit.identity.email is None:
        return visit
    # The tenant owns the domain and has said that the source may speak for it.
    ours = normal_domain(visit.identity.email.rpartition("@")[2]) in enforcement.held_domains()
    return replace(visit, identity=replace(visit.identity, email_vouched=visit.identity.email_vouched or ours))


def digest_of(config: ProviderConfig) -> str:
    """What a source is set to, in short: whoever comes back was vouched for by that, and by nothing newer."""
    settings = json.dumps([config.kind, config.settings, config.secret], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def subject_of(config: ProviderConfig, person: str) -> str:
    """The subject of the person whom a web source names so: by what never changes of them, in words.

    Raises SourceUnavailable.
    """
    configuration = web_provider_of(config).configuration
    words = person.split()
    issuer = configuration.issuer.replace(TENANT_ID, words[0] if words else "")
    named = {str(place): word for place, word in enumerate(words)}
    return claims.subject_of(issuer, named, list(named))


def redirect_uri(config: ProviderConfig, host_url: str = "") -> str:
    """Where the source sends people back to, as it has to be registered there; by default of the tenant's own host."""
    if config.kind == "platform" or config.settings.get("broker"):
        settings = current_app.extensions["tenants"].settings
        return f"{settings.external_url(f'{BROKER}.{settings.base_domain}')}/broker/{broker_key(config)}/callback"
    return f"{host_url or own_url()}/sso/{config.id}/callback"


def broker_key(config: ProviderConfig) -> str:
    """What tells sources apart at the broker's address: no two providers have the same."""
    return str(config.settings["platform"]) if config.kind == "platform" else str(config.id)


def own_url() -> str:
    """The address of the bound tenant's host."""
    settings = current_app.extensions["tenants"].settings
    return str(settings.external_url(f"{g.tenant.slug}.{settings.base_domain}"))


def fault_of(error: Exception) -> OAuthFault:
    """What was wrong, as a fault of the source's kind."""
    return error if isinstance(error, OAuthFault) else OAuthFault(Fault.PAUSED, str(error))


def _errand(attempt: SignInAttempt, state: str, config: ProviderConfig) -> Errand:
    return Errand(
        state=state,
        nonce=attempt.nonce,
        verifier=attempt.verifier,
        redirect_uri=redirect_uri(config, attempt.return_to),
        anew_since=attempt.created_at.timestamp() if attempt.purpose == "verify" else None,
    )

"""Which of a tenant's sources is asked about a login name and a password, and in which order.

A user who belongs to a directory is vouched for by it alone: neither another directory nor our own database is asked
in its place, be it down or be the password wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app, g, request, session, url_for
from flask_babel import gettext as _

from auth import attempts, links
from auth.breakers import in_turn
from auth.errors import SourceUnavailable, WrongCredentials
from auth.identity import current_user
from auth.mail import normal_domain
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.providers.registry import DATABASE, list_configs, provider_of
from auth.redirects import back_to
from auth.throttle import Attempt


@dataclass(frozen=True, slots=True)
class Proof:
    """Whom a source has vouched for. `config` is None for our own accounts."""

    identity: ExternalIdentity
    config: ProviderConfig | None


@dataclass(frozen=True, slots=True)
class Route:
    """The sources to ask, in order; None stands for our own accounts."""

    sources: Sequence[ProviderConfig | None]
    owners: frozenset[str]
    """Ids of the sources that an account of that name belongs to."""


def prove(login: str, password: str, attempt: Attempt) -> Proof:
    """Whom the login name and password prove, by the sources whose turn it is.

    Raises WrongCredentials, SourceUnavailable, SignInRefused, Throttled and Busy.
    """
    route = route_of(login)
    g.db.release()  # no connection is held while a directory takes its time
    unavailable: SourceUnavailable | None = None
    for config in route.sources:
        source = DATABASE.id if config is None else str(config.id)
        if unavailable is not None and source not in route.owners:
            continue  # whoever belongs to what is down must not get in by what is not
        try:
            return Proof(_ask(config, login, password, attempt), config)
        except WrongCredentials:
            attempt.looked_at = True
        except SourceUnavailable as error:
            unavailable = unavailable or error
    if None not in route.sources:
        # As slow as for a name that nobody has, which our own accounts are asked about.
        current_app.extensions["security"].pwd_context.verify(password, None)
    raise unavailable or WrongCredentials


def _ask(config: ProviderConfig | None, login: str, password: str, attempt: Attempt) -> ExternalIdentity:
    if config is None:
        return DATABASE.authenticate(login, password, count=attempt.count)
    provider = provider_of(config)
    with in_turn(g.tenant.id):
        return provider.authenticate(login, password, count=attempt.count)


def prove_again(user: User, password: str, attempt: Attempt) -> Proof:
    """Whom the password proves, by a source that vouches for the user already. Raises what `prove` raises."""
    linked = links.directories_of(user.id)
    if not linked:
        return Proof(DATABASE.authenticate(user.email, password, count=attempt.count), None)
    asked = [(config, link.subject, link.login or user.email) for link, config in linked if config.enabled]
    g.db.release()
    unavailable: SourceUnavailable | None = None
    for config, subject, login in asked:
        try:
            provider = provider_of(config)
            with in_turn(g.tenant.id):
                identity = provider.authenticate_again(subject, login, password, count=attempt.count)
            return Proof(identity, config)
        except WrongCredentials:
            attempt.looked_at = True
        except SourceUnavailable as error:
            unavailable = unavailable or error
    raise unavailable or WrongCredentials


def describe_sign_in() -> dict[str, Any]:
    """What the sign-in page has to know of the tenant's sources."""
    enabled = list_configs(enabled_only=True)
    web = [config for config in enabled if config.is_web]
    next_path = back_to(request.args.get("next"), "") or None
    if web:
        attempts.mark_browser()
    return {
        "takes_user_names": len(web) < len(enabled),
        # With several ways, the address says which: people need not know.
        "email_first": any(config.domains for config in web) and request.args.get("step") != "password",
        "login_hint": session.get("login_hint", ""),
        "sign_in_links": [
            {
                "label": _("Sign in with %(source)s", source=config.label),
                "url": url_for("sso.start", config_id=config.id, next=next_path),
            }
            for config in web
        ],
    }


def describe_step_up() -> dict[str, Any]:
    """What the page that asks for one more proof has to know of the caller's sources."""
    user, next_path = current_user(), back_to(request.args.get("next"), "") or None
    return {
        "has_password": not links.is_enforced(user)
        and (user.password is not None or links.directory_of(user.id) != ""),
        "verify_links": [
            {
                "label": _("Confirm with %(source)s", source=config.label),
                "url": url_for("sso.verify", config_id=config.id, next=next_path),
            }
            for config in links.verifiers_of(user)
        ],
    }


def route_of(login: str) -> Route:
    """The sources to ask about a login name."""
    configs = [config for config in list_configs(enabled_only=True) if not config.is_web]
    account = links.account_of(login)
    if account.by_address:
        return Route([config for config in configs if str(config.id) in account.by_address], account.by_address)
    domain = normal_domain(login.strip().rpartition("@")[2]) if "@" in login else ""
    assigned = [config for config in configs if domain and domain in config.domains]
    directories = assigned or configs
    if account.is_local:
        # Their own password first, which no directory need see.
        return Route([None, *directories], frozenset({DATABASE.id}))
    # Who knows the name goes first: a password is shown to no directory before the one that it is for.
    known_first = sorted(directories, key=lambda config: str(config.id) not in account.by_name)
    return Route([*known_first, None], account.by_name)

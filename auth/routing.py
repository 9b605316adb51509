"""Which of a tenant's sources is asked about a login name and a password, and in which order.

A user who belongs to a directory is vouched for by it alone: neither another directory nor our own database is asked
in its place, be it down or be the password wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app, g

from auth import links
from auth.errors import SourceUnavailable, WrongCredentials
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.providers.registry import DATABASE, list_configs, provider_of
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
            provider = DATABASE if config is None else provider_of(config)
            return Proof(provider.authenticate(login, password, count=attempt.count), config)
        except WrongCredentials:
            attempt.looked_at = True
        except SourceUnavailable as error:
            unavailable = unavailable or error
    if None not in route.sources:
        # As slow as for a name that nobody has, which our own accounts are asked about.
        current_app.extensions["security"].pwd_context.verify(password, None)
    raise unavailable or WrongCredentials


def prove_again(user: User, password: str, attempt: Attempt) -> Proof:
    """Whom the password proves, by a source that vouches for the user already. Raises what `prove` raises."""
    linked = [(link.login or user.email, config) for link, config in links.links_of(user.id) if config.enabled]
    if not linked and not links.is_linked(user.id):
        return Proof(DATABASE.authenticate(user.email, password, count=attempt.count), None)
    g.db.release()
    unavailable: SourceUnavailable | None = None
    for login, config in linked:
        try:
            return Proof(provider_of(config).authenticate(login, password, count=attempt.count), config)
        except WrongCredentials:
            attempt.looked_at = True
        except SourceUnavailable as error:
            unavailable = unavailable or error
    raise unavailable or WrongCredentials


def describe_sign_in() -> dict[str, bool]:
    """What the sign-in page has to know of the tenant's sources."""
    return {"takes_user_names": bool(list_configs(enabled_only=True))}


def route_of(login: str) -> Route:
    """The sources to ask about a login name."""
    configs = list_configs(enabled_only=True)
    account = links.account_of(login)
    if account.by_address:
        return Route([config for config in configs if str(config.id) in account.by_address], account.by_address)
    domain = login.strip().rpartition("@")[2].lower() if "@" in login else ""
    assigned = [config for config in configs if domain and domain in config.domains]
    directories = assigned or configs
    if account.is_local:
        # Their own password first, which no directory need see.
        return Route((None, *directories), frozenset({DATABASE.id}))
    return Route((*directories, None), account.by_name)

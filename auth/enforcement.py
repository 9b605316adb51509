"""Who signs in through one source only: the people of a proved domain whose source is enforced.

What follows from the providers and domains is kept with the tenant, where every request reads it anyway: the check
costs nothing, and holds from the next request on.
"""

import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import idna
from flask import g
from sqlalchemy import Select, delete, false, func, or_, select

from auth import tenant_settings
from auth.mail import normal_domain
from auth.models import LoginSession, User
from auth.providers.models import MailDomain, ProviderConfig
from auth.token_models import ApiToken, RefreshToken

_KEY = "enforcement"
HELD = ("proved", "warning")
"""States of a domain in which it counts as the tenant's."""


def required_source(email: str) -> str | None:
    """Id of the source through which alone people with that address sign in; None: any will do."""
    domains: Mapping[str, str] = _policy().get("domains", {})
    return domains.get(_domain_of(email)) if domains else None


def is_break_glass(user_id: uuid.UUID) -> bool:
    """Whether that is the owner who is named to get in when the source does not answer."""
    return _policy().get("break_glass") == str(user_id)


def allows(user_id: uuid.UUID, email: str, provider: str, *, owner: bool) -> bool:
    """Whether a user may be signed in by what that source says. The named one counts only while they are an owner."""
    required = required_source(email)
    return required is None or required == provider or (owner and is_break_glass(user_id))


def held_domains(*states: str) -> frozenset[str]:
    """The domains of the bound tenant in one of the states; by default those that count as its own."""
    return frozenset(g.db.scalars(select(MailDomain.domain).where(MailDomain.state.in_(states or HELD))))


def publish(*, break_glass: uuid.UUID | None = None) -> None:
    """Work out anew which domains sign in where, after a change of providers or domains.

    Where a domain is new to a source, login sessions that another has vouched for end. So do apps' tokens: of those
    nobody knows any more by which source somebody had come who has allowed them.
    """
    # First: whoever changes providers or domains at the same time waits here, and sees what was done.
    row = tenant_settings.lock()
    before: Mapping[str, Any] = row.settings.get(_KEY, {})
    held = held_domains()
    enforced = g.db.execute(
        select(ProviderConfig.id, ProviderConfig.domains).where(ProviderConfig.enforced_at.is_not(None))
    ).all()
    domains = {domain: str(id) for id, listed in enforced for domain in listed if domain in held}
    named = str(break_glass) if break_glass else before.get("break_glass")
    after = {"domains": domains, "break_glass": named} if enforced else {}
    if after == before:
        return
    tenant_settings.keep(row, _KEY, after)
    for domain, provider in domains.items():
        # Whoever was named before is as all the others are from now on.
        if before.get("domains", {}).get(domain) != provider or before.get("break_glass") != named:
            _end_sessions(domain, provider)


def follow_address(user: User) -> None:
    """End the login sessions of a user whose new address lets one source only vouch for them: others opened these."""
    required = required_source(user.email)
    if required is not None and not is_break_glass(user.id):
        g.db.execute(delete(LoginSession).where(LoginSession.user_id == user.id, LoginSession.provider != required))
        _end_tokens([user.id])


def people_at(domains: Iterable[str]) -> Select[uuid.UUID]:
    """The ids of those with an address at one of some domains."""
    # Addresses are stored with the domain as people write it: perhaps in letters that the Internet's names lack.
    spellings = {spelling for domain in domains for spelling in (domain, _in_letters(domain))}
    ends = (func.lower(User.email).endswith(f"@{spelling}", autoescape=True) for spelling in sorted(spellings))
    return select(User.id).where(or_(false(), *ends))


def _end_sessions(domain: str, provider: str) -> None:
    named = _policy().get("break_glass")
    people = people_at([domain])
    if named:
        people = people.where(User.id != uuid.UUID(named))
    g.db.execute(delete(LoginSession).where(LoginSession.user_id.in_(people), LoginSession.provider != provider))
    _end_tokens(people)


def _end_tokens(people: Any) -> None:
    # A personal token knows by which source its owner had come: that is looked at whenever it is used.
    g.db.execute(delete(ApiToken).where(ApiToken.user_id.in_(people), ApiToken.client_id.is_not(None)))
    g.db.execute(delete(RefreshToken).where(RefreshToken.user_id.in_(people), RefreshToken.client_id.is_not(None)))


def _in_letters(domain: str) -> str:
    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def _policy() -> Mapping[str, Any]:
    policy: Mapping[str, Any] = g.tenant.settings.get(_KEY, {})
    return policy


@lru_cache(maxsize=10_000)
def _domain_of(email: str) -> str:
    return normal_domain(email.rpartition("@")[2])

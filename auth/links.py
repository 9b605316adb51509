"""Linked identities: which sources vouch for a user, and whose account a login name means."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import g, has_request_context
from sqlalchemy import delete, func, or_, select

from auth import sessions
from auth.mail import LONGEST_ADDRESS
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.ldap.names import fold
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.db import now


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a login name: the ids of the providers that an account of that name belongs to."""

    by_address: frozenset[str]
    """Providers of the one user with that e-mail address."""
    by_name: frozenset[str]
    """Providers at which somebody has that user name."""
    is_local: bool
    """Whether there is a user with that address whom no other source vouches for."""


def account_of(login: str) -> Account:
    """What the bound tenant knows of a login name: an e-mail address or a user name at a source."""
    login = login.strip()[:LONGEST_ADDRESS]
    rows = g.db.execute(
        select(User.id, func.lower(User.email) == func.lower(login), LinkedIdentity.provider_id)
        .outerjoin(LinkedIdentity, (LinkedIdentity.tenant_id == User.tenant_id) & (LinkedIdentity.user_id == User.id))
        .where(or_(func.lower(User.email) == func.lower(login), LinkedIdentity.login == fold(login)))
    ).all()
    addressed = [row for row in rows if row[1]]
    return Account(
        by_address=frozenset(str(provider) for _user, _same, provider in addressed if provider is not None),
        by_name=frozenset(str(provider) for _user, same, provider in rows if not same and provider is not None),
        is_local=bool(addressed) and all(provider is None for _user, _same, provider in addressed),
    )


def users_called(login: str) -> Sequence[User]:
    """The users who have that user name at a source: several, if several sources know the name."""
    named = select(LinkedIdentity.user_id).where(LinkedIdentity.login == fold(login[:LONGEST_ADDRESS]))
    users: Sequence[User] = g.db.scalars(select(User).where(User.id.in_(named))).all()
    return users


def find_link(provider: str, subject: str) -> LinkedIdentity | None:
    """The link of (bound tenant, provider, subject): the only key there is."""
    link: LinkedIdentity | None = g.db.scalar(
        select(LinkedIdentity).where(
            LinkedIdentity.provider_id == uuid.UUID(provider), LinkedIdentity.subject == subject
        )
    )
    return link


def links_of(user_id: uuid.UUID) -> Sequence[tuple[LinkedIdentity, ProviderConfig]]:
    """The sources that vouch for a user, with their configurations."""
    return [(link, config) for config, link in sources_of(user_id) if link is not None]


def is_of(account: str, user_id: str) -> bool:
    """Whether "PROVIDER SUBJECT" names somebody whom that provider vouches for as being the user."""
    provider, _, subject = account.partition(" ")
    found = find_link(provider, subject)
    g.db.release()
    return found is not None and str(found.user_id) == user_id


def sources_of(user_id: uuid.UUID) -> Sequence[tuple[ProviderConfig, LinkedIdentity | None]]:
    """Every configured source of the tenant, with its link to the user if it vouches for them."""
    rows = g.db.execute(
        select(ProviderConfig, LinkedIdentity)
        .outerjoin(
            LinkedIdentity,
            (LinkedIdentity.tenant_id == ProviderConfig.tenant_id)
            & (LinkedIdentity.provider_id == ProviderConfig.id)
            & (LinkedIdentity.user_id == user_id),
        )
        .order_by(ProviderConfig.position, ProviderConfig.created_at)
    )
    return [(config, link) for config, link in rows]


def is_linked(user_id: uuid.UUID) -> bool:
    """Whether another source than our own database vouches for the user: then only it does."""
    return g.db.scalar(select(LinkedIdentity.id).where(LinkedIdentity.user_id == user_id).limit(1)) is not None


def source_of(user_id: uuid.UUID) -> str:
    """The name of the first source that vouches for the user; empty for our own accounts."""
    return next((config.label for _link, config in links_of(user_id)), "")


def link(user: User, identity: ExternalIdentity) -> LinkedIdentity:
    """Let the source vouch for the user from now on; their own password counts no more, and is forgotten.

    So are the login sessions that it has opened, but the calling browser's.
    """
    row = LinkedIdentity(**as_row(user.id, identity))
    g.db.add(row)
    user.password = None
    sessions.end_all(user.id, but_current=has_request_context())
    return row


def as_row(user_id: uuid.UUID, identity: ExternalIdentity) -> dict[str, Any]:
    """The values of a link between a user and a person at a source."""
    return {
        "user_id": user_id,
        "provider_id": uuid.UUID(identity.provider),
        "subject": identity.subject,
        "login": fold(identity.login)[:LONGEST_ADDRESS],
        "place": identity.place,
    }


def note_seen(row: LinkedIdentity, identity: ExternalIdentity) -> None:
    """Note what the source says of the person now: they may have been renamed or moved there."""
    login = fold(identity.login)[:LONGEST_ADDRESS]
    if (row.login, row.place) != (login, identity.place):
        row.login, row.place = login, identity.place
    row.seen_at = now()


def unlink(user_id: uuid.UUID, provider_id: uuid.UUID) -> bool:
    """Let a source vouch for the user no more, and end what it has vouched for; False when it did not."""
    found = g.db.execute(
        delete(LinkedIdentity).where(LinkedIdentity.user_id == user_id, LinkedIdentity.provider_id == provider_id)
    )
    sessions.end_all(user_id)
    return bool(found.rowcount)

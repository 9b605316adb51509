"""Linked identities: which sources vouch for a user, and whose account a login name means."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import g, has_request_context
from flask_babel import gettext as _
from sqlalchemy import delete, func, or_, select

from auth import attempts, enforcement, sessions
from auth.mail import LONGEST_ADDRESS
from auth.models import LoginSession, User
from auth.providers.base import ExternalIdentity
from auth.providers.ldap.names import fold
from auth.providers.models import WEB_KINDS, LinkedIdentity, ProviderConfig
from tenants.db import now

_OF_LINK = (ProviderConfig.tenant_id == LinkedIdentity.tenant_id) & (ProviderConfig.id == LinkedIdentity.provider_id)


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a login name: the ids of the directories that an account of that name belongs to."""

    by_address: frozenset[str]
    """Providers of the one user with that e-mail address."""
    by_name: frozenset[str]
    """Providers at which somebody has that user name."""
    is_local: bool
    """Whether there is a user with that address whom no directory vouches for."""


def account_of(login: str) -> Account:
    """What the bound tenant knows of a login name: an e-mail address or a user name at a source."""
    login = login.strip()[:LONGEST_ADDRESS]
    rows = g.db.execute(
        select(User.id, func.lower(User.email) == func.lower(login), ProviderConfig.id)
        .outerjoin(LinkedIdentity, (LinkedIdentity.tenant_id == User.tenant_id) & (LinkedIdentity.user_id == User.id))
        .outerjoin(ProviderConfig, _OF_LINK & ProviderConfig.kind.not_in(WEB_KINDS))
        .where(or_(func.lower(User.email) == func.lower(login), LinkedIdentity.login == fold(login)))
    ).all()
    addressed = [row for row in rows if row[1]]
    return Account(
        by_address=frozenset(str(provider) for _user, _same, provider in addressed if provider is not None),
        by_name=frozenset(str(provider) for _user, same, provider in rows if not same and provider is not None),
        is_local=bool(addressed) and all(provider is None for _user, _same, provider in addressed),
    )


def users_called(login: str) -> Sequence[User]:
    """The users who have that user name at a directory: several, if several directories know the name."""
    named = (
        select(LinkedIdentity.user_id)
        .join(ProviderConfig, _OF_LINK)
        .where(LinkedIdentity.login == fold(login[:LONGEST_ADDRESS]), ProviderConfig.kind.not_in(WEB_KINDS))
    )
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


def directories_of(user_id: uuid.UUID) -> Sequence[tuple[LinkedIdentity, ProviderConfig]]:
    """The directories among them: whoever belongs to one has no other first factor."""
    return [(link, config) for link, config in links_of(user_id) if not config.is_web]


def verifiers_of(user: User) -> Sequence[ProviderConfig]:
    """The enabled sources at which the user can be made to sign in anew: of OpenID Connect, and allowed to vouch."""
    required = enforcement.required_source(user.email)
    found = [config for _link, config in links_of(user.id) if config.enabled and config.kind == "oidc"]
    if required is None:
        return [] if directory_of(user.id) else found
    return [config for config in found if str(config.id) == required or enforcement.is_break_glass(user.id)]


def is_of(account: str, user_id: str) -> bool:
    """Whether "PROVIDER SUBJECT" names somebody whom that provider vouches for as being the user."""
    provider, _space, subject = account.partition(" ")
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


def directory_of(user_id: uuid.UUID) -> str:
    """The name of the first directory that vouches for the user; empty when none does."""
    return next((config.label for _link, config in directories_of(user_id)), "")


def sole_source_of(user: User) -> str:
    """The name of what alone signs the user in: their directory, or the source that is enforced for their address.

    Empty for everybody else: the owner who is named to get in whatever happens, and whoever was just proved at the
    enforced source in this browser, and has to prove the account as ever, once, for the two to be joined.
    """
    required = enforcement.required_source(user.email)
    if required is None:
        return directory_of(user.id)
    if enforcement.is_break_glass(user.id) or attempts.waits_to_link(user.id, required):
        return ""
    return label_of(required)


def is_enforced(user: User) -> bool:
    """Whether one source alone may vouch for the user, because it is enforced for their address."""
    return enforcement.required_source(user.email) is not None and not enforcement.is_break_glass(user.id)


def label_of(provider_id: str) -> str:
    """The name of a source for people; a word for one that is gone."""
    config = g.db.find(ProviderConfig, uuid.UUID(provider_id)) if provider_id else None
    return config.label if config is not None else str(_("another source"))


def link(user: User, identity: ExternalIdentity, config: ProviderConfig) -> LinkedIdentity:
    """Let the source vouch for the user from now on.

    If it is a directory, their own password counts no more, and is forgotten; so are the login sessions that it has
    opened, but the calling browser's. A web source stands beside it, until it is enforced.
    """
    row = LinkedIdentity(**as_row(user.id, identity))
    g.db.add(row)
    if not config.is_web:
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
    g.db.execute(delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.provider == str(provider_id)))
    return bool(found.rowcount)

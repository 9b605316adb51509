"""Whether a workspace's administrators still get in: looked at after a change of sources, before it is kept."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from flask import g
from sqlalchemy import ColumnElement, and_, exists, false, or_, select

from auth import enforcement, policy, provisional
from auth.guards import is_owner, permissions_of
from auth.models import Grant, Membership, Passkey, Role, User
from auth.permissions import AccessPermission
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.db import now


@dataclass(frozen=True, slots=True)
class _Administrator:
    id: uuid.UUID
    email: str
    has_own: bool
    """Whether they have a password or a passkey that the rules take."""


@dataclass(frozen=True, slots=True)
class _Link:
    source: uuid.UUID
    is_directory: bool
    enabled: bool


def some_administrator_gets_in(*, without: Collection[uuid.UUID] = ()) -> bool:
    """Whether anybody who manages sources has a way in, be it with one of those sources or one that is unproved.

    By their own password or passkey, unless they belong to a directory or their domain to an enforced source; or by a
    source that vouches for them and is on.
    """
    found = _administrators()
    linked = _links([person.id for person in found])
    untried = provisional.pending() | frozenset(without)
    return any(_gets_in(person, linked.get(person.id, []), untried) for person in found)


def _gets_in(person: _Administrator, linked: list[_Link], untried: frozenset[uuid.UUID]) -> bool:
    # As gate._check_source decides, which has the last word.
    required = enforcement.required_source(person.email)
    exempt = required is not None and enforcement.is_break_glass(person.id) and is_owner(person.id)
    directories = {link.source for link in linked if link.is_directory} if required is None else set()
    if person.has_own and not directories and (required is None or exempt):
        return True
    return any(
        link.enabled
        and link.source not in untried
        and (not directories or link.source in directories)
        and (required is None or exempt or str(link.source) == required)
        for link in linked
    )


def _administrators() -> list[_Administrator]:
    roles = [role.id for role in g.db.scalars(select(Role)) if AccessPermission.PROVIDER_MANAGE in permissions_of(role)]
    counts = and_(
        Grant.role_id.in_(roles),
        Grant.object_type == "",
        or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
    )
    direct = select(Grant.user_id).where(counts, Grant.user_id.is_not(None))
    groups = select(Grant.group_id).where(counts, Grant.group_id.is_not(None))
    in_group = select(Membership.user_id).where(Membership.group_id.in_(groups))
    rows = g.db.execute(
        select(User.id, User.email, _has_own()).where(
            User.active, User.confirmed_at.is_not(None), or_(User.id.in_(direct), User.id.in_(in_group))
        )
    )
    return [_Administrator(*row) for row in rows]


def _has_own() -> ColumnElement[bool]:
    methods = policy.current().methods
    password = User.password.is_not(None)
    passkey = exists().where(Passkey.tenant_id == User.tenant_id, Passkey.user_id == User.id, Passkey.usage == "first")
    return or_(false(), *([password] if "password" in methods else []), *([passkey] if "passkey" in methods else []))


def _links(users: Collection[uuid.UUID]) -> dict[uuid.UUID, list[_Link]]:
    rows = g.db.execute(
        select(LinkedIdentity.user_id, ProviderConfig)
        .join(
            ProviderConfig,
            and_(ProviderConfig.tenant_id == LinkedIdentity.tenant_id, ProviderConfig.id == LinkedIdentity.provider_id),
        )
        .where(LinkedIdentity.user_id.in_(list(users)))
    )
    found: dict[uuid.UUID, list[_Link]] = {}
    for user_id, config in rows:
        found.setdefault(user_id, []).append(_Link(config.id, not config.is_web, config.enabled))
    return found

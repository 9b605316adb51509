"""Whether administrators and owners still get in: looked at before a change of sources or rules is kept."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select

from auth import enforcement, policy, provisional, roles
from auth.guards import is_owner, permissions_of
from auth.models import Grant, Membership, Passkey, Role, User
from auth.permissions import AccessPermission
from auth.policy import Policy
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.db import now


@dataclass(frozen=True, slots=True)
class _Person:
    id: uuid.UUID
    email: str
    has_own: bool
    """Whether they have a password or a passkey that the rules take."""
    has_any: bool
    """Whether they have one at all: whoever is named for emergencies is not bound by these rules."""


@dataclass(frozen=True, slots=True)
class _Link:
    source: uuid.UUID
    is_directory: bool
    works: bool
    """It is on, and an administrator has signed in by its present settings."""


def some_administrator_gets_in(*, without: Collection[uuid.UUID] = ()) -> bool:
    """Whether anybody who manages sources has a way in, be it with one of those sources or one that is unproved.

    By their own password or passkey, unless they belong to a directory or their domain to an enforced source; or by a
    source that vouches for them, is on, and has let an administrator in by its present settings.
    """
    return _some_get_in(_administrators(), policy.current(), provisional.pending() | frozenset(without))


def some_owner_gets_in(rules: Policy) -> bool:
    """Whether an owner has a way in by these rules; a source that is unproved is none."""
    return _some_get_in(roles.owners(), rules, provisional.pending())


def _some_get_in(wanted: Select[Any] | Collection[uuid.UUID], rules: Policy, untried: frozenset[uuid.UUID]) -> bool:
    rows = g.db.execute(
        select(User.id, User.email, _has_own(rules), _has_own(policy.DEFAULT)).where(
            User.active, User.confirmed_at.is_not(None), User.id.in_(wanted)
        )
    )
    found = [_Person(*row) for row in rows]
    linked = _links([person.id for person in found])
    return any(_gets_in(person, linked.get(person.id, []), untried) for person in found)


def _gets_in(person: _Person, linked: list[_Link], untried: frozenset[uuid.UUID]) -> bool:
    # As gate._check_source decides, which has the last word.
    required = enforcement.required_source(person.email)
    named = enforcement.is_break_glass(person.id)
    exempt = required is not None and named and is_owner(person.id)
    directories = {link.source for link in linked if link.is_directory} if required is None else set()
    if (person.has_any if named else person.has_own) and not directories and (required is None or exempt):
        return True
    return any(
        link.works
        and link.source not in untried
        and (not directories or link.source in directories)
        and (required is None or exempt or str(link.source) == required)
        for link in linked
    )


def _administrators() -> Select[Any]:
    """The ids of those who manage sources."""
    known = g.db.scalars(select(Role))
    managing = [role.id for role in known if AccessPermission.PROVIDER_MANAGE in permissions_of(role)]
    counts = and_(
        Grant.role_id.in_(managing),
        Grant.object_type == "",
        or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
    )
    direct = select(Grant.user_id).where(counts, Grant.user_id.is_not(None))
    groups = select(Grant.group_id).where(counts, Grant.group_id.is_not(None))
    in_group = select(Membership.user_id).where(Membership.group_id.in_(groups))
    return select(User.id).where(or_(User.id.in_(direct), User.id.in_(in_group)))


def _has_own(rules: Policy) -> ColumnElement[bool]:
    password = User.password.is_not(None)
    passkey = exists().where(Passkey.tenant_id == User.tenant_id, Passkey.user_id == User.id, Passkey.usage == "first")
    ways = {"password": password, "passkey": passkey}
    return or_(false(), *(way for method, way in ways.items() if method in rules.methods))


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
        works = config.enabled and config.admin_seen_at is not None
        found.setdefault(user_id, []).append(_Link(config.id, not config.is_web, works))
    return found

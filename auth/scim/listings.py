"""What a source has provisioned, for administrators."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from auth import journeys
from auth.models import Grant, Group, Membership, Role, User
from auth.providers.models import ProviderConfig
from auth.scim.models import ScimResource
from tenants.keysets import Orders, Place

PREFIX = "/scim/v2"
Rows = Select[*tuple[Any, ...]]
_PEOPLE: Rows = select(ScimResource, User).join(
    User, and_(User.tenant_id == ScimResource.tenant_id, User.id == ScimResource.user_id)
)
_TEAMS: Rows = select(ScimResource, Group).join(
    Group, and_(Group.tenant_id == ScimResource.tenant_id, Group.id == ScimResource.group_id)
)


ORDERS = Orders(ScimResource.id, created=(), name=(ScimResource.name_key,), modified=(ScimResource.modified_at,))
"""Orders of both lists; a name is as SCIM compares it, in small letters."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which users or groups are wanted; what is empty does not matter."""

    search: str = ""
    """Part of a name, of the source's own id, or of a user's address."""
    active: bool | None = None
    """Of users."""
    mapped: bool | None = None
    """Of groups: whether they give a role."""


@dataclass(frozen=True, slots=True)
class Team:
    """A provisioned group: how many are in it, and the roles that it gives; without one it gives nothing."""

    row: ScimResource
    group: Group
    members: int = 0
    roles: list[str] = field(default_factory=list)


def address() -> str:
    """Where identity providers provision the bound tenant."""
    return f"{journeys.own_url()}{PREFIX}"


def count_of(config: ProviderConfig, kind: str) -> int:
    """How many users, or groups, the source has provisioned."""
    found: int | None = g.db.scalar(select(func.count()).select_from(ScimResource).where(*_own(config, kind)))
    return found or 0


def people_of(
    config: ProviderConfig,
    wanted: Filter = Filter(),
    *,
    sort: str = "created",
    limit: int,
    offset: int = 0,
    after: Place | None = None,
) -> Sequence[tuple[ScimResource, User]]:
    """Some of the users whom the source has provisioned, in one of the orders of ORDERS, with their accounts."""
    conditions = [*_own(config, "User"), *_matching(wanted, User.name, User.email)]
    if wanted.active is not None:
        conditions.append(User.active.is_(wanted.active))
    statement = ORDERS[sort].page(_PEOPLE.where(*conditions), limit=limit, offset=offset, after=after)
    return [(row, user) for row, user in g.db.execute(statement)]


def teams_of(
    config: ProviderConfig,
    wanted: Filter = Filter(),
    *,
    sort: str = "created",
    limit: int,
    offset: int = 0,
    after: Place | None = None,
) -> Sequence[Team]:
    """Some of the groups that the source has provisioned, in one of the orders of ORDERS."""
    conditions = [*_own(config, "Group"), *_matching(wanted, Group.name)]
    if wanted.mapped is not None:
        giving = select(Grant.group_id).where(Grant.group_id.is_not(None))
        conditions.append(Group.id.in_(giving) if wanted.mapped else Group.id.not_in(giving))
    statement = ORDERS[sort].page(_TEAMS.where(*conditions), limit=limit, offset=offset, after=after)
    return _described(g.db.execute(statement).all())


def person_of(config: ProviderConfig, resource_id: uuid.UUID) -> tuple[ScimResource, User] | None:
    """The user of that id whom the source has provisioned."""
    row = g.db.execute(_PEOPLE.where(*_own(config, "User"), ScimResource.id == resource_id)).first()
    return (row[0], row[1]) if row is not None else None


def team_of(config: ProviderConfig, resource_id: uuid.UUID) -> Team | None:
    """The group of that id that the source has provisioned."""
    found = _described(g.db.execute(_TEAMS.where(*_own(config, "Group"), ScimResource.id == resource_id)).all())
    return found[0] if found else None


def _described(found: Sequence[Any]) -> list[Team]:
    """The groups with what stands beside them, in two statements."""
    ids = [group.id for _row, group in found]
    counted = select(Membership.group_id, func.count()).where(Membership.group_id.in_(ids))
    members = {row[0]: row[1] for row in g.db.execute(counted.group_by(Membership.group_id))}
    roles: dict[uuid.UUID, list[str]] = {}
    given = (
        select(Grant.group_id, Role.name)
        .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
        .where(Grant.group_id.in_(ids))
        .order_by(Role.name)
    )
    for group_id, name in g.db.execute(given):
        roles.setdefault(group_id, []).append(name)
    return [Team(row, group, members.get(group.id, 0), roles.get(group.id, [])) for row, group in found]


def _matching(wanted: Filter, *names: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
    if not wanted.search:
        return []
    texts = (*names, ScimResource.name_key, ScimResource.external_id)
    return [or_(*(text.icontains(wanted.search, autoescape=True) for text in texts))]


def _own(config: ProviderConfig, kind: str) -> tuple[ColumnElement[bool], ...]:
    return (ScimResource.provider_id == config.id, ScimResource.kind == kind, ScimResource.deleted_at.is_(None))

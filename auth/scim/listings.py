"""What a source has provisioned, for administrators."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Select, and_, func, select

from auth import journeys
from auth.models import Grant, Group, Membership, Role, User
from auth.providers.models import ProviderConfig
from auth.scim.models import ScimResource

PREFIX = "/scim/v2"
Rows = Select[*tuple[Any, ...]]
_PEOPLE: Rows = select(ScimResource, User).join(
    User, and_(User.tenant_id == ScimResource.tenant_id, User.id == ScimResource.user_id)
)
_TEAMS: Rows = select(ScimResource, Group).join(
    Group, and_(Group.tenant_id == ScimResource.tenant_id, Group.id == ScimResource.group_id)
)


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
    config: ProviderConfig, *, limit: int, offset: int = 0, after: uuid.UUID | None = None
) -> Sequence[tuple[ScimResource, User]]:
    """Some of the users whom the source has provisioned, in that order, with their accounts."""
    statement = _part(_PEOPLE.where(*_own(config, "User")), limit, offset, after)
    return [(row, user) for row, user in g.db.execute(statement)]


def teams_of(config: ProviderConfig, *, limit: int, offset: int = 0, after: uuid.UUID | None = None) -> Sequence[Team]:
    """Some of the groups that the source has provisioned, in that order."""
    found = g.db.execute(_part(_TEAMS.where(*_own(config, "Group")), limit, offset, after)).all()
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


def _part(statement: Rows, limit: int, offset: int, after: uuid.UUID | None) -> Rows:
    statement = statement.order_by(ScimResource.id).limit(limit).offset(offset)
    return statement.where(ScimResource.id > after) if after is not None else statement


def _own(config: ProviderConfig, kind: str) -> tuple[ColumnElement[bool], ...]:
    return (ScimResource.provider_id == config.id, ScimResource.kind == kind, ScimResource.deleted_at.is_(None))

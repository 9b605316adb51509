"""Groups whose members a source decides, and the roles that they give.

A mapping is a group of the source's origin with a grant of the same origin. Who is in it is what the source says, at
each sign-in and sync; nothing of another origin is ever touched by that.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from auth import audit, roles, tenant_settings
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import Grant, Group, Membership, Role, User
from auth.permissions import OWNER
from auth.providers.ldap.names import dn_key, is_dn
from auth.providers.models import ProviderConfig
from auth.scim.models import ScimResource

LONGEST_NAME = 200
LONGEST_KEY = 1000
MAPPINGS = (
    select(Grant.id, Group, Group.name.label("group_name"), Role.name.label("role_name"))
    .join(Grant, (Grant.tenant_id == Group.tenant_id) & (Grant.group_id == Group.id))
    .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
    .where(Grant.origin == Group.origin)
)
"""Groups with the roles that they give as their sources say, and the id of each grant."""
_BY_NAME = (Group.name, Role.name)
_PROVISIONED = exists().where(ScimResource.tenant_id == Group.tenant_id, ScimResource.group_id == Group.id)


def map_group(config: ProviderConfig, key: str, name: str, role_name: str, *, actor: Identity | None) -> Group:
    """Give the members of a source's group a role, in this workspace, from their next sign-in or sync on.

    Raises NotAllowed for a role that the actor may not give, and UnknownRole.
    """
    if len(key) > LONGEST_KEY:
        raise NotAllowed(_("The name of the group is too long."))
    role = roles.get_role(role_name)
    if role.builtin and role.name == OWNER.name:
        raise NotAllowed(_("Who owns a workspace is said by its owners, not by a group of a directory."))
    tenant_settings.lock()  # or two could make the same one at once
    group: Group | None = g.db.scalar(select(Group).where(Group.origin == config.origin, Group.external_key == key))
    if group is None:
        group = Group(name=unused_name(config.origin, name), origin=config.origin, external_key=key)
        g.db.add(group)
        g.db.flush()  # the grant refers to its id
    roles.grant_to_group(group, role, actor=actor, origin=config.origin, reason=f"group of {config.label}"[:255])
    audit.record("group mapped", config, details={"group": group.name, "role": role.name}, actor=actor)
    return group


def unmap_group(config: ProviderConfig, name: str, role_name: str, *, actor: Identity | None) -> int:
    """Take a role from the members of a source's group again; gives back how many mappings there were.

    `name` is the group's name, or its DN in any spelling. Raises NotAllowed, UnknownRole.
    """
    role = roles.get_role(role_name)
    removed, key = 0, dn_key(name) if is_dn(name) else name
    for group in mapped_groups(config):
        if name == group.name or key == group.external_key:
            if revoked := roles.revoke_from_group(group, role, actor=actor, origin=config.origin):
                removed += revoked
                audit.record("group unmapped", config, details={"group": group.name, "role": role.name}, actor=actor)
            granted = g.db.scalar(select(Grant.id).where(Grant.group_id == group.id).limit(1))
            if granted is None:  # nothing is left that it means, unless the source itself keeps it here
                g.db.execute(delete(Group).where(Group.id == group.id, ~_PROVISIONED))
    return removed


def mapped_groups(config: ProviderConfig) -> Sequence[Group]:
    """The groups of a source that mean something here."""
    groups: Sequence[Group] = g.db.scalars(
        select(Group).where(Group.origin == config.origin).order_by(Group.name)
    ).all()
    return groups


def mappings_of(config: ProviderConfig) -> list[tuple[Group, str]]:
    """The mappings of a source: its groups, each with the name of a role."""
    return mappings_of_all([config])[config.origin]


def mappings_of_all(configs: Iterable[ProviderConfig]) -> dict[str, list[tuple[Group, str]]]:
    """The mappings of each of these sources, by its origin, in one statement."""
    found: dict[str, list[tuple[Group, str]]] = {config.origin: [] for config in configs}
    for _grant_id, group, _name, role in g.db.execute(MAPPINGS.where(Group.origin.in_(found)).order_by(*_BY_NAME)):
        found[group.origin].append((group, role))
    return found


def memberships_of(
    groups: Iterable[uuid.UUID], users: Collection[uuid.UUID] | None = None
) -> dict[uuid.UUID, set[uuid.UUID]]:
    """Which of the groups each user is in, by user; of some users, or of everybody."""
    statement = select(Membership.user_id, Membership.group_id).where(Membership.group_id.in_(list(groups)))
    if users is not None:
        statement = statement.where(Membership.user_id.in_(list(users)))
    found: dict[uuid.UUID, set[uuid.UUID]] = {}
    for user_id, group_id in g.db.execute(statement):
        found.setdefault(user_id, set()).add(group_id)
    return found


def matching(groups: Iterable[Group], keys: Collection[str]) -> set[uuid.UUID]:
    """The ids of those groups that a person is in whom the source says to be in the groups of these keys."""
    return {group.id for group in groups if group.external_key in keys}


def set_memberships(config: ProviderConfig, user: User, keys: Collection[str]) -> None:
    """Put the user into the source's groups of these keys, and out of its others; none of another origin.

    Of groups that it provisions it says elsewhere who is in them, see `auth/scim/teams.py`.
    """
    groups = g.db.scalars(select(Group).where(Group.origin == config.origin, ~_PROVISIONED)).all()
    wanted = matching(groups, keys)
    held = memberships_of([group.id for group in groups], [user.id]).get(user.id, set())
    add_memberships({user.id: wanted - held})
    remove_memberships({user.id: held - wanted})


def add_memberships(wanted: Mapping[uuid.UUID, Collection[uuid.UUID]]) -> int:
    """Put users into groups; who is in one already stays. Gives back how many were asked for."""
    rows = [{"user_id": user, "group_id": group} for user, groups in wanted.items() for group in sorted(groups)]
    if rows:
        dialect: Any = postgresql if g.db.get_bind().dialect.name == "postgresql" else sqlite
        # Two sign-ins of one person, or a sync and a sign-in, may both find them missing.
        g.db.execute(
            dialect.insert(Membership).on_conflict_do_nothing(index_elements=["tenant_id", "user_id", "group_id"]), rows
        )
    return len(rows)


def remove_memberships(unwanted: Mapping[uuid.UUID, Collection[uuid.UUID]]) -> int:
    """Take users out of groups; gives back how many memberships there were."""
    removed = 0
    for user, groups in unwanted.items():
        if groups:
            gone = delete(Membership).where(Membership.user_id == user, Membership.group_id.in_(list(groups)))
            removed += g.db.execute(gone).rowcount
    return removed


def drop_origin(origin: str) -> None:
    """Take back everything that a source has caused: its groups, their grants and memberships."""
    g.db.execute(delete(Grant).where(Grant.origin == origin))
    g.db.execute(delete(Group).where(Group.origin == origin))


def unused_name(origin: str, name: str) -> str:
    """The name, or one like it, that no group of that origin has."""
    taken = set(g.db.scalars(select(Group.name).where(Group.origin == origin)))
    wanted = name[:LONGEST_NAME]
    number = 2
    while wanted in taken:
        suffix = f" ({number})"
        wanted, number = name[: LONGEST_NAME - len(suffix)] + suffix, number + 1
    return wanted

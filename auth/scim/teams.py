"""Provisioned groups: groups of the source's origin, whose members the source alone says.

One that an administrator has mapped to a role (`auth/groups.py`) is met by its name, once, and gives that role; any
other is kept, gives nothing, and can be mapped at any time.
"""

import uuid
from collections.abc import Collection

from flask import g
from scim2_models import InvalidValueException, UniquenessException
from sqlalchemy import exists, or_, select

from auth import audit, groups
from auth.models import Grant, Group, User
from auth.providers.models import ProviderConfig
from auth.scim.documents import kept
from auth.scim.filters import resource_id
from auth.scim.models import ScimResource
from auth.scim.names import comparable
from auth.scim.people import check_names
from auth.scim.schemas import Group as GroupResource
from auth.scim.schemas import GroupMember
from tenants.db import now

MOST_MEMBERS = 20_000
_CHUNK = 500


def create(config: ProviderConfig, resource: GroupResource) -> ScimResource:
    """The row of a group that the source provisions. Raises UniquenessException, and InvalidValueException."""
    name = _name_in(config, resource)
    group = _mapped_as(config, name)
    if group is None:
        group = Group(name=groups.unused_name(config.origin, name), origin=config.origin, external_key=name)
        g.db.add(group)
        g.db.flush()
        audit.record("group created", group)
    row = ScimResource(provider_id=config.id, kind="Group", group_id=group.id, name_key=comparable(name))
    g.db.add(row)
    _write(config, row, group, resource)
    return row


def change(config: ProviderConfig, row: ScimResource, resource: GroupResource) -> None:
    """Bring a group into line with what the source says now. Raises UniquenessException, and InvalidValueException."""
    name = _name_in(config, resource, but=row)
    group = _group_of(row)
    if name != group.external_key:
        # A mapping that waits for a group of that name is not met by renaming another one.
        if _of_key(config, name) is not None:
            raise UniquenessException(detail="A group of this name is mapped to a role already")
        before, group.external_key = group.name, name
        group.name = groups.unused_name(config.origin, name)
        row.name_key = comparable(name)
        audit.record("group changed", group, details={"name": [before, group.name]})
    row.version += 1
    _write(config, row, group, resource)


def delete(row: ScimResource) -> None:
    """Forget a group. What it was mapped to stays, and waits for a group of that name."""
    group = _group_of(row)
    _set_members(group, set())
    g.db.delete(row)
    g.db.flush()
    if g.db.scalar(select(Grant.id).where(Grant.group_id == group.id).limit(1)) is None:
        audit.record("group deleted", group)
        g.db.delete(group)
    g.db.flush()


def _write(config: ProviderConfig, row: ScimResource, group: Group, resource: GroupResource) -> None:
    row.external_id, row.attributes, row.modified_at = resource.external_id, kept(resource), now()
    g.db.flush()
    _set_members(group, _users_in(config, resource.members or []))


def _name_in(config: ProviderConfig, resource: GroupResource, *, but: ScimResource | None = None) -> str:
    """The group's name, which no other of the source's may have."""
    name = resource.display_name or ""
    check_names(name, resource.external_id, longest=groups.LONGEST_NAME)
    taken = select(ScimResource.id).where(
        ScimResource.provider_id == config.id,
        ScimResource.kind == "Group",
        or_(ScimResource.name_key == comparable(name), ScimResource.external_id == (resource.external_id or "")),
    )
    if but is not None:
        taken = taken.where(ScimResource.id != but.id)
    if g.db.scalar(taken.limit(1)) is not None:
        raise UniquenessException(detail="Another group has this displayName, or this externalId")
    return name


def _group_of(row: ScimResource) -> Group:
    group: Group = g.db.get_one(Group, (g.tenant.id, row.group_id))
    return group


def _of_key(config: ProviderConfig, name: str) -> Group | None:
    found: Group | None = g.db.scalar(select(Group).where(Group.origin == config.origin, Group.external_key == name))
    return found


def _mapped_as(config: ProviderConfig, name: str) -> Group | None:
    """The group of that name that is mapped, and that nothing was provisioned for."""
    provisioned = exists().where(ScimResource.tenant_id == Group.tenant_id, ScimResource.group_id == Group.id)
    waiting = select(Group).where(Group.origin == config.origin, Group.external_key == name, ~provisioned)
    found: Group | None = g.db.scalar(waiting)
    return found


def _users_in(config: ProviderConfig, members: Collection[GroupMember]) -> set[uuid.UUID]:
    """The users whom the members are. Raises InvalidValueException for whoever is none of this source."""
    if len(members) > MOST_MEMBERS:
        raise InvalidValueException(detail=f"A group has at most {MOST_MEMBERS} members")
    wanted = {resource_id(member.value or "") for member in members}
    ids = [one for one in wanted if one is not None]
    found: dict[uuid.UUID, uuid.UUID] = {}
    for start in range(0, len(ids), _CHUNK):
        known = select(ScimResource.id, ScimResource.user_id).where(
            ScimResource.provider_id == config.id,
            ScimResource.kind == "User",
            ScimResource.deleted_at.is_(None),
            ScimResource.id.in_(ids[start : start + _CHUNK]),
        )
        found |= {row.id: row.user_id for row in g.db.execute(known)}
    if wanted - found.keys():
        raise InvalidValueException(detail="A member is no user that this provider has provisioned")
    return set(found.values())


def _set_members(group: Group, wanted: set[uuid.UUID]) -> None:
    held = set(groups.memberships_of([group.id]))
    for kind, changed in (("group joined", wanted - held), ("group left", held - wanted)):
        parties = [audit.party_of(user) for user in _users(changed)]
        audit.record_all(kind, parties, details={"group": group.name, "group_id": str(group.id)})
    groups.add_memberships({user: [group.id] for user in wanted - held})
    groups.remove_memberships({user: [group.id] for user in held - wanted})


def _users(ids: Collection[uuid.UUID]) -> list[User]:
    ordered = sorted(ids)
    return [
        user
        for start in range(0, len(ordered), _CHUNK)
        for user in g.db.scalars(select(User).where(User.id.in_(ordered[start : start + _CHUNK])))
    ]

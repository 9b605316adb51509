"""Provisioned groups: groups of the source's origin, whose members the source alone says.

One that an administrator has mapped to a role (`auth/groups.py`) is met by its name, once, and gives that role; any
other is kept, gives nothing, and can be mapped at any time.
"""

import uuid
from collections.abc import Collection, Iterator

import sqlalchemy as sa
from flask import g
from scim2_models import InvalidValueException, UniquenessException
from sqlalchemy import exists, func, or_, select

from auth import audit, groups
from auth.models import Grant, Group, Membership, User
from auth.providers.models import ProviderConfig
from auth.scim.documents import kept
from auth.scim.filters import resource_id
from auth.scim.membership import MemberChanges
from auth.scim.models import ScimResource
from auth.scim.names import comparable
from auth.scim.people import check_names
from auth.scim.schemas import Group as GroupResource
from auth.scim.schemas import GroupMember
from tenants.db import now

MOST_MEMBERS = 20_000
_CHUNK = 500
_SIZE = select(func.count()).select_from(Membership)
_TOO_LARGE = f"A group has at most {MOST_MEMBERS} members"
_UNKNOWN_MEMBER = "A member is no user that this provider has provisioned"


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
    _write(row, resource)
    _set_members(group, _users_in(config, resource.members or []))
    return row


def change(config: ProviderConfig, row: ScimResource, resource: GroupResource) -> None:
    """Bring a group into line with what the source says now. Raises UniquenessException, and InvalidValueException."""
    group = _rename(config, row, resource)
    _set_members(group, _users_in(config, resource.members or []))


def amend(config: ProviderConfig, row: ScimResource, resource: GroupResource | None, members: MemberChanges) -> None:
    """Let some members come and some go, and bring the group itself into line if there is a `resource`.

    Raises UniquenessException, and InvalidValueException for who comes and is none of this source.
    """
    group = _group_of(row)
    coming = _users_of(config, members.added)
    if len(coming) < len(members.added):
        raise InvalidValueException(detail=_UNKNOWN_MEMBER)
    going = _users_of(config, members.removed)
    held = set(groups.memberships_of([group.id], [*coming, *going]))
    if resource is not None:
        _rename(config, row, resource)
    elif coming - held or going & held:
        row.version, row.modified_at = row.version + 1, now()
    _let_go(group, going & held)
    _let_come(group, coming - held)
    if coming - held and (g.db.scalar(_SIZE.where(Membership.group_id == group.id)) or 0) > MOST_MEMBERS:
        raise InvalidValueException(detail=_TOO_LARGE)
    g.db.flush()


def _rename(config: ProviderConfig, row: ScimResource, resource: GroupResource) -> Group:
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
    _write(row, resource)
    return group


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


def _write(row: ScimResource, resource: GroupResource) -> None:
    row.external_id, row.attributes, row.modified_at = resource.external_id, kept(resource), now()
    g.db.flush()


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
        raise InvalidValueException(detail=_TOO_LARGE)
    wanted = {resource_id(member.value or "") for member in members}
    found = _users_of(config, wanted)
    if len(found) < len(wanted):
        raise InvalidValueException(detail=_UNKNOWN_MEMBER)
    return found


def _users_of(config: ProviderConfig, wanted: Collection[uuid.UUID | None]) -> set[uuid.UUID]:
    """The users of those ids of SCIM's, as far as the source has provisioned them: each has one."""
    own = select(ScimResource.user_id).where(
        ScimResource.provider_id == config.id, ScimResource.kind == "User", ScimResource.deleted_at.is_(None)
    )
    chunks = _chunks({one for one in wanted if one is not None})
    return {user for some in chunks for user in g.db.scalars(own.where(ScimResource.id.in_(some)))}


def _set_members(group: Group, wanted: set[uuid.UUID]) -> None:
    held = set(groups.memberships_of([group.id]))
    _let_come(group, wanted - held)
    _let_go(group, held - wanted)


def _let_come(group: Group, users: set[uuid.UUID]) -> None:
    _record("group joined", group, users)
    groups.add_memberships({user: [group.id] for user in users})


def _let_go(group: Group, users: set[uuid.UUID]) -> None:
    _record("group left", group, users)
    for some in _chunks(users):
        g.db.execute(sa.delete(Membership).where(Membership.group_id == group.id, Membership.user_id.in_(some)))


def _record(kind: str, group: Group, users: set[uuid.UUID]) -> None:
    parties = [audit.party_of(user) for user in _users(users)]
    audit.record_all(kind, parties, details={"group": group.name, "group_id": str(group.id)})


def _users(ids: set[uuid.UUID]) -> list[User]:
    return [user for some in _chunks(ids) for user in g.db.scalars(select(User).where(User.id.in_(some)))]


def _chunks(ids: set[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    ordered = sorted(ids)
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))

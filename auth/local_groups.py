"""Groups of the workspace's own: who is in them, and which roles they give. Those of a source are its alone.

Whoever puts somebody into a group gives them its roles, and whoever takes them out takes these: they have to hold all
of that. Each change first waits for the tenant's row, and looks at the group as it is then.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, func, select

from auth import audit, enforcement, guards, roles, tenant_settings
from auth.errors import NotAllowed, UnsuitableName
from auth.groups import LONGEST_NAME, add_memberships
from auth.identity import Identity
from auth.models import PERSON, Grant, Group, Membership, Role, User
from auth.permissions import OWNER

ORIGIN = "manual"


def find_group(group_id: uuid.UUID) -> Group | None:
    """The tenant's group of that id, its own or a source's."""
    found: Group | None = g.db.find(Group, group_id)
    return found


def is_local(group: Group) -> bool:
    """Whether the workspace, and no source, says who is in the group."""
    return group.origin == ORIGIN


def create_group(name: str, *, actor: Identity | None) -> Group:
    """Make a group without members and roles. Raises NotAllowed, UnsuitableName."""
    guards.check_may_manage(actor)
    tenant_settings.lock()  # or two could make the same one at once
    group = Group(name=_usable_name(name), origin=ORIGIN)
    g.db.add(group)
    g.db.flush()  # the audit log names its id
    audit.record("group created", group, actor=actor)
    return group


def rename_group(group: Group, name: str, *, actor: Identity | None) -> None:
    """Give a group another name. Raises NotAllowed, UnsuitableName."""
    # Who could rename what they may not touch would have others put people into it in error.
    group = _changeable(group, actor)
    wanted = _usable_name(name, of=group)
    if wanted != group.name:
        audit.record("group changed", group, details={"name": [group.name, wanted]}, actor=actor)
        group.name = wanted
        g.db.flush()


def delete_group(group: Group, *, actor: Identity | None) -> None:
    """Delete a group: its members stay, and lose the roles that it gives. Raises NotAllowed."""
    group = _changeable(group, actor)
    details = {"members": count_members(group), "roles": [role.name for role, _grant in roles_of(group)]}
    with _owners_kept():
        audit.record("group deleted", group, details=details, actor=actor)
        g.db.delete(group)  # with its memberships and grants


def add_member(group: Group, user: User, *, actor: Identity | None) -> bool:
    """Put somebody into a group; gives back whether they were not in it before. Raises NotAllowed."""
    group = _changeable(group, actor)
    if user.kind != PERSON:
        raise NotAllowed(_("Service accounts are in no group: give them roles of their own."))
    if _is_member(group, user):
        return False
    guards.check_present([user.id])
    add_memberships({user.id: [group.id]})
    audit.record("group joined", user, details=_named(group), actor=actor)
    return True


def remove_member(group: Group, user: User, *, actor: Identity | None) -> bool:
    """Take somebody out of a group; gives back whether they were in it. Raises NotAllowed."""
    group = _changeable(group, actor)
    if not _is_member(group, user):
        return False
    with _owners_kept():
        g.db.execute(delete(Membership).where(Membership.group_id == group.id, Membership.user_id == user.id))
        audit.record("group left", user, details=_named(group), actor=actor)
    return True


def give_role(
    group: Group,
    role: Role,
    *,
    actor: Identity | None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Grant:
    """Give the members of a group a role, until then if at all; given again, with another end. Raises NotAllowed."""
    group = _changeable(group, actor)
    guards.check_end(expires_at)
    guards.check_present([], role)
    return roles.grant_to_group(group, role, actor=actor, origin=ORIGIN, reason=reason, expires_at=expires_at)


def take_role(group: Group, role: Role, *, actor: Identity | None) -> int:
    """Take a role from the members of a group; gives back how many grants there were. Raises NotAllowed."""
    group = _changeable(group, actor)
    with _owners_kept():
        return roles.revoke_from_group(group, role, actor=actor, origin=ORIGIN)


def givable_roles(actor: Identity | None) -> list[Role]:
    """The roles that the actor may give to a group."""
    return [role for role in roles.list_roles() if _may_give(actor, role)]


def roles_of(group: Group) -> list[tuple[Role, Grant]]:
    """The roles that a group gives, by name, each with its grant; those whose end has come, too."""
    rows = g.db.execute(
        select(Role, Grant)
        .join(Grant, (Grant.tenant_id == Role.tenant_id) & (Grant.role_id == Role.id))
        .where(Grant.group_id == group.id)
        .order_by(Role.name, Grant.id)
    )
    return [(role, grant) for role, grant in rows]


def count_members(group: Group) -> int:
    """How many are in a group."""
    return g.db.scalar(select(func.count(Membership.id)).where(Membership.group_id == group.id)) or 0


def may_change(group: Group, actor: Identity) -> bool:
    """Whether the actor may say who is in the group."""
    try:
        check_may_change(group, actor)
    except NotAllowed:
        return False
    return True


def _changeable(group: Group, actor: Identity | None) -> Group:
    group = _current(group)
    check_may_change(group, actor)
    return group


def check_may_change(group: Group, actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may say who is in the group, what it is called, and what it gives."""
    guards.check_may_manage(actor)
    _check_local(group)
    if actor is None:
        return
    owned = (
        select(Grant.id)
        .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
        .where(Grant.group_id == group.id, Role.builtin, Role.name == OWNER.name)
    )
    if OWNER.name not in actor.roles and g.db.scalar(owned.limit(1)):
        raise NotAllowed(_("Only owners change a group that makes its members owners."))
    guards.check_holds_all_given(actor, [group.id])


def _check_local(group: Group) -> None:
    if not is_local(group):
        raise NotAllowed(_("Who is in this group, and what it is called, is said by the source that it comes from."))


def _current(group: Group) -> Group:
    tenant_settings.lock()
    again = select(Group).where(Group.id == group.id).execution_options(populate_existing=True)
    found: Group | None = g.db.scalar(again)
    if found is None:
        raise NotAllowed(_("The group was deleted in this moment."))
    return found


@contextmanager
def _owners_kept() -> Iterator[None]:
    """Undo what is done within, and raise NotAllowed, if it leaves the workspace without the owners that it needs."""
    before = guards.owners()
    with g.db.begin_nested():
        yield
        g.db.flush()
        gone = before - guards.owners()
        if any(map(enforcement.is_break_glass, gone)):
            raise NotAllowed(
                _("One of them is named to get in should the enforced source be down; name another first.")
            )
        if gone and not guards.owners(active_only=True):
            raise NotAllowed(_("The last owner of a workspace cannot go; appoint another one first."))


def _is_member(group: Group, user: User) -> bool:
    same = select(Membership.id).where(Membership.group_id == group.id, Membership.user_id == user.id)
    return g.db.scalar(same) is not None


def _may_give(actor: Identity | None, role: Role) -> bool:
    try:
        guards.check_may_give(actor, role)
    except NotAllowed:
        return False
    return True


def _named(group: Group) -> dict[str, Any]:
    return {"group": group.name, "group_id": str(group.id)}


def _usable_name(name: str, *, of: Group | None = None) -> str:
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UnsuitableName(_("A group's name has 1 to %(most)s letters.", most=LONGEST_NAME))
    same = select(Group.id).where(Group.origin == ORIGIN, func.lower(Group.name) == func.lower(name))
    if of is not None:
        same = same.where(Group.id != of.id)
    if g.db.scalar(same.limit(1)) is not None:
        raise UnsuitableName(_("There is a group “%(name)s” already.", name=name))
    return name

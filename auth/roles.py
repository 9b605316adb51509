"""Roles and grants, and the guards that nobody gets past.

Nobody gives, or takes, a role with permissions they do not hold; only owners give or take `owner`; a workspace always
keeps an active owner. The command line and the system act without an actor: they are bound by the last guard only.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import ColumnExpressionArgument, Select, delete, or_, select

from auth import enforcement
from auth.errors import NotAllowed, UnknownRole
from auth.identity import Identity
from auth.models import Grant, Group, Membership, Role, User
from auth.permissions import OWNER, AccessPermission, BuiltinRole, Catalogue
from tenants.db import now
from tenants.models import TenantRow


def catalogue() -> Catalogue:
    """The permissions of this application."""
    found: Catalogue = current_app.extensions["auth"].catalogue
    return found


def create_builtin_roles() -> None:
    """Give the bound tenant a row for every built-in role."""
    for role in catalogue().roles.values():
        g.db.add(Role(name=role.name, description=None, builtin=True))


def list_roles() -> Sequence[Role]:
    """The bound tenant's roles, built-in ones first."""
    roles: Sequence[Role] = g.db.scalars(select(Role).order_by(Role.builtin.desc(), Role.name)).all()
    return roles


def get_role(name: str) -> Role:
    """The role of that name. A built-in role that came with a newer release is made on first use.

    Raises UnknownRole.
    """
    role: Role | None = g.db.scalar(select(Role).where(Role.name == name))
    if role is None and name in catalogue().roles:
        role = Role(name=name, description=None, builtin=True)
        g.db.add(role)
        g.db.flush()  # grants refer to its id
    if role is None:
        raise UnknownRole(f"no role '{name}'; there are {', '.join(known.name for known in list_roles())}")
    return role


def permissions_of(role: Role) -> frozenset[str]:
    """What a role permits."""
    return catalogue().of_builtin(role.name) if role.builtin else catalogue().of_custom(role.stored_permissions)


def create_role(name: str, permissions: Collection[str], *, actor: Identity | None) -> Role:
    """Make a custom role. Raises NotAllowed, UnknownPermission."""
    _check_may_manage(actor)
    names = frozenset(catalogue().check(permission) for permission in permissions)
    if names & catalogue().operator_side:
        raise NotAllowed(_("A workspace's role cannot hold a permission of the operators."))
    if name in catalogue().roles or g.db.scalar(select(Role.id).where(Role.name == name)):
        raise NotAllowed(_("There is a role “%(name)s” already.", name=name))
    _check_holds(actor, names)
    role = Role(name=name, builtin=False, stored_permissions=sorted(names))
    g.db.add(role)
    return role


def grant_role(
    user: User,
    role_name: str,
    *,
    actor: Identity | None,
    on: tuple[str, uuid.UUID] | None = None,
    origin: str = "manual",
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Grant:
    """Give a user a role, on the whole tenant or `on` one object (its type and id).

    Giving what is given already gives back the existing grant. Raises NotAllowed, UnknownRole.
    """
    role = get_role(role_name)
    check_may_give(actor, role, on=on, expires_at=expires_at)
    object_type, object_id = on or ("", None)
    existing: Grant | None = g.db.scalar(
        select(Grant).where(
            Grant.user_id == user.id,
            Grant.role_id == role.id,
            Grant.object_type == object_type,
            Grant.object_id == object_id,
            Grant.origin == origin,
        )
    )
    if existing is not None:
        existing.expires_at = expires_at
        return existing
    grant = Grant(
        user_id=user.id,
        role_id=role.id,
        object_type=object_type,
        object_id=object_id,
        origin=origin,
        granted_by=actor.user_id if actor else None,
        reason=reason,
        expires_at=expires_at,
    )
    g.db.add(grant)
    return grant


def check_may_give(
    actor: Identity | None,
    role: Role,
    *,
    on: tuple[str, uuid.UUID] | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Raise NotAllowed unless the actor may give that role there, and until then."""
    _check_place(role, on[0] if on else "")
    _check_may_change(actor, role, on)
    if role.name == OWNER.name and role.builtin and expires_at is not None:
        raise NotAllowed(_("An owner is not appointed for a time: the workspace could be left without one."))


def revoke_role(user: User, role_name: str, *, actor: Identity | None, on: tuple[str, uuid.UUID] | None = None) -> int:
    """Take a role from a user, whatever the origin of the grants; gives back how many there were. Raises NotAllowed."""
    role = get_role(role_name)
    object_type, object_id = on or ("", None)
    _check_may_change(actor, role, on)
    if role.builtin and role.name == OWNER.name:
        keep_an_owner(without=user.id)
    statement = delete(Grant).where(
        Grant.user_id == user.id,
        Grant.role_id == role.id,
        Grant.object_type == object_type,
        Grant.object_id == object_id,
    )
    revoked: int = g.db.execute(statement).rowcount
    return revoked


def grant_to_group(group: Group, role: Role, *, actor: Identity | None, origin: str, reason: str) -> Grant:
    """Give the members of a group a role, on the whole tenant. Raises NotAllowed."""
    _check_place(role, "")
    _check_may_change(actor, role, None)
    same = select(Grant).where(Grant.group_id == group.id, Grant.role_id == role.id, Grant.origin == origin)
    grant: Grant | None = g.db.scalar(same)
    if grant is None:
        giver = actor.user_id if actor else None
        grant = Grant(group_id=group.id, role_id=role.id, origin=origin, granted_by=giver, reason=reason)
        g.db.add(grant)
    return grant


def revoke_from_group(group: Group, role: Role, *, actor: Identity | None, origin: str) -> int:
    """Take a role of that origin from the members of a group; gives back how many grants. Raises NotAllowed."""
    _check_may_change(actor, role, None)
    statement = delete(Grant).where(Grant.group_id == group.id, Grant.role_id == role.id, Grant.origin == origin)
    revoked: int = g.db.execute(statement).rowcount
    return revoked


def check_holds_all_of(actor: Identity | None, users: Select[uuid.UUID]) -> None:
    """Raise NotAllowed unless the actor holds all that any of some users holds.

    Who decides how somebody signs in could sign in as them. `users` selects their ids.
    """
    if actor is None:
        return
    if OWNER.name not in actor.roles and _owners(User.id.in_(users)):
        raise NotAllowed(_("Only owners decide how an owner signs in."))
    groups = select(Membership.group_id).where(Membership.user_id.in_(users))
    reaching = select(Grant.role_id).where(or_(Grant.user_id.in_(users), Grant.group_id.in_(groups)))
    held = frozenset[str]().union(*map(permissions_of, g.db.scalars(select(Role).where(Role.id.in_(reaching)))))
    _check_holds(actor, held)


def drop_object(object_type: str, object_id: uuid.UUID) -> None:
    """Take back every grant on an object that is about to be deleted."""
    g.db.execute(delete(Grant).where(Grant.object_type == object_type, Grant.object_id == object_id))


def holders_on(object_type: str, object_id: uuid.UUID) -> Sequence[tuple[User, str]]:
    """Users with a role on that object, and the role's name, by user name."""
    rows = g.db.execute(
        select(User, Role.name)
        .join(Grant, (Grant.tenant_id == User.tenant_id) & (Grant.user_id == User.id))
        .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
        .where(Grant.object_type == object_type, Grant.object_id == object_id)
        .order_by(User.name)
    )
    return [(user, role) for user, role in rows]


def is_owner(user_id: uuid.UUID) -> bool:
    """Whether the user is an owner, directly or through a group, be the account active or not."""
    return user_id in _owners()


def check_holds_all_given(actor: Identity | None, groups: Collection[uuid.UUID]) -> None:
    """Raise NotAllowed unless the actor holds all that the roles of some groups give."""
    given = select(Grant.role_id).where(Grant.group_id.in_(list(groups)))
    held = frozenset[str]().union(*map(permissions_of, g.db.scalars(select(Role).where(Role.id.in_(given)))))
    _check_holds(actor, held)


def owners() -> set[uuid.UUID]:
    """The ids of all owners, active or not."""
    return _owners()


def keep_an_owner(*, without: uuid.UUID) -> None:
    """Raise NotAllowed if the workspace had no active owner but that user, or if they are named for emergencies.

    Holds also when two owners remove each other at once: both first wait for the tenant's row.
    """
    g.db.execute(select(TenantRow.id).where(TenantRow.id == g.tenant.id).with_for_update())
    owners = _owners(User.active)
    if without in owners and len(owners) == 1:
        raise NotAllowed(_("The last owner of a workspace cannot go; appoint another one first."))
    if enforcement.is_break_glass(without):
        raise NotAllowed(_("They are named to get in should the enforced source be down; name another owner first."))


def _owners(*conditions: ColumnExpressionArgument[bool]) -> set[uuid.UUID]:
    in_group = select(Membership.user_id).where(
        Membership.group_id.in_(
            select(Grant.group_id)
            .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
            .where(*_owner_grant())
        )
    )
    direct = (
        select(Grant.user_id)
        .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
        .where(*_owner_grant(), Grant.user_id.is_not(None))
    )
    return set(g.db.scalars(select(User.id).where(*conditions, or_(User.id.in_(direct), User.id.in_(in_group)))))


def _owner_grant() -> tuple[ColumnExpressionArgument[bool], ...]:
    return (
        Role.name == OWNER.name,
        Role.builtin,
        Grant.object_type == "",
        or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
    )


def _check_place(role: Role, object_type: str) -> None:
    definition: BuiltinRole | None = catalogue().roles.get(role.name) if role.builtin else None
    meant_for = definition.object_type if definition else ""
    if meant_for != object_type and (meant_for or role.builtin):
        label = definition.label if definition else role.name
        place = definition.place if definition and meant_for else _("the whole workspace")
        raise NotAllowed(_("The role “%(role)s” is given on %(place)s.", role=label, place=place))


def _check_may_manage(actor: Identity | None) -> None:
    if actor is not None and AccessPermission.ROLE_MANAGE not in actor.permissions:
        raise NotAllowed(
            _("Giving and taking roles needs the permission “%(name)s”.", name=AccessPermission.ROLE_MANAGE)
        )


def _check_may_change(actor: Identity | None, role: Role, on: tuple[str, uuid.UUID] | None) -> None:
    _check_may_manage(actor)
    if actor is None:
        return
    if role.builtin and role.name == OWNER.name and OWNER.name not in actor.roles:
        raise NotAllowed(_("Only owners give or take the role of owner."))
    _check_holds(actor, permissions_of(role), on)


def _check_holds(actor: Identity | None, permissions: frozenset[str], on: tuple[str, uuid.UUID] | None = None) -> None:
    if actor is None:
        return
    held = actor.permissions | (actor.objects.get(on, frozenset()) if on else frozenset())
    if missing := permissions - held:
        names = ", ".join(sorted(missing))
        raise NotAllowed(_("Permissions that you do not hold are not yours to give or take: %(names)s.", names=names))

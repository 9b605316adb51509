"""The guards that nobody gets past, on every path by which rights change.

Nobody gives, or takes, a role with permissions they do not hold; only owners give or take `owner`; a workspace always
keeps an active owner. The command line and the system act without an actor: they are bound by the last guard only.
"""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime

from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import ColumnExpressionArgument, Select, func, or_, select

from auth import enforcement
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import PERSON, Grant, Membership, Role, User
from auth.permissions import OWNER, AccessPermission, BuiltinRole, Catalogue
from tenants.db import now
from tenants.models import TenantRow

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No time zone leads a moment before it out of the calendar, in which pages show it."""


def catalogue() -> Catalogue:
    """The permissions of this application."""
    found: Catalogue = current_app.extensions["auth"].catalogue
    return found


def permissions_of(role: Role) -> frozenset[str]:
    """What a role permits."""
    return catalogue().of_builtin(role.name) if role.builtin else catalogue().of_custom(role.stored_permissions)


def check_may_give(
    actor: Identity | None,
    role: Role,
    *,
    on: tuple[str, uuid.UUID] | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Raise NotAllowed unless the actor may give that role there, and until then."""
    check_place(role, on[0] if on else "")
    check_may_change(actor, role, on)
    if role.name == OWNER.name and role.builtin and expires_at is not None:
        raise NotAllowed(_("An owner is not appointed for a time: the workspace could be left without one."))


def check_end(expires_at: datetime | None) -> None:
    """Raise NotAllowed for an end of a role that has come already, or that `check_calendar` refuses."""
    if expires_at is not None and expires_at <= now():
        raise NotAllowed(_("The end of the role has to be in the future."))
    check_calendar(expires_at)


def check_calendar(expires_at: datetime | None) -> None:
    """Raise NotAllowed for an end of a role that not every calendar shows."""
    if expires_at is not None and expires_at >= _LATEST:
        raise NotAllowed(_("That day is too far away."))


def check_present(user_ids: Collection[uuid.UUID], role: Role | None = None) -> None:
    """Raise NotAllowed if one of the users, or the role, was removed since it was looked up.

    Whoever asks has locked the tenant's row, as does whoever removes them.
    """
    wanted = set(user_ids)
    there = g.db.scalar(select(func.count(User.id)).where(User.id.in_(wanted)))
    if there != len(wanted) or (role is not None and g.db.scalar(select(Role.id).where(Role.id == role.id)) is None):
        raise NotAllowed(_("Somebody was removed, or the role was deleted, in this moment. Look at it again."))


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
    check_holds(actor, held)


def check_holds_all_given(actor: Identity | None, groups: Collection[uuid.UUID]) -> None:
    """Raise NotAllowed unless the actor holds all that the roles of some groups give."""
    given = select(Grant.role_id).where(Grant.group_id.in_(list(groups)))
    held = frozenset[str]().union(*map(permissions_of, g.db.scalars(select(Role).where(Role.id.in_(given)))))
    check_holds(actor, held)


def is_owner(user_id: uuid.UUID) -> bool:
    """Whether the user is an owner, directly or through a group, be the account active or not."""
    return user_id in _owners()


def owners(*, active_only: bool = False) -> set[uuid.UUID]:
    """The ids of all owners, active or not, or of the active ones only."""
    return _owners(*([User.active] if active_only else []))


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


def check_place(role: Role, object_type: str) -> None:
    """Raise NotAllowed unless the role can be given there: on the whole tenant (""), or on such objects."""
    definition: BuiltinRole | None = catalogue().roles.get(role.name) if role.builtin else None
    meant_for = definition.object_type if definition else ""
    if meant_for != object_type and (meant_for or role.builtin):
        label = definition.label if definition else role.name
        place = definition.place if definition and meant_for else _("the whole workspace")
        raise NotAllowed(_("The role “%(role)s” is given on %(place)s.", role=label, place=place))


def check_may_manage(actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may manage roles."""
    if actor is not None and AccessPermission.ROLE_MANAGE not in actor.permissions:
        raise NotAllowed(
            _("Giving and taking roles needs the permission “%(name)s”.", name=AccessPermission.ROLE_MANAGE)
        )


def check_may_change(actor: Identity | None, role: Role, on: tuple[str, uuid.UUID] | None = None) -> None:
    """Raise NotAllowed unless the actor may give and take that role, on the tenant or on one object."""
    check_may_manage(actor)
    if actor is None:
        return
    if role.builtin and role.name == OWNER.name and OWNER.name not in actor.roles:
        raise NotAllowed(_("Only owners give or take the role of owner."))
    check_holds(actor, permissions_of(role), on)


def check_holds(actor: Identity | None, permissions: frozenset[str], on: tuple[str, uuid.UUID] | None = None) -> None:
    """Raise NotAllowed unless the actor holds all of these, on the tenant or on one object."""
    if actor is None:
        return
    held = actor.permissions | (actor.objects.get(on, frozenset()) if on else frozenset())
    if missing := permissions - held:
        names = ", ".join(sorted(missing))
        raise NotAllowed(_("Permissions that you do not hold are not yours to give or take: %(names)s.", names=names))


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
    people = select(User.id).where(User.kind == PERSON, *conditions)
    return set(g.db.scalars(people.where(or_(User.id.in_(direct), User.id.in_(in_group)))))


def _owner_grant() -> tuple[ColumnExpressionArgument[bool], ...]:
    return (
        Role.name == OWNER.name,
        Role.builtin,
        Grant.object_type == "",
        or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
    )

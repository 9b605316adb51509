"""Roles and who has them: made, given and taken, each past the guards of `auth/guards.py` and into the audit log."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from flask import g
from flask_babel import force_locale, get_babel
from flask_babel import gettext as _
from sqlalchemy import Select, delete, func, select

from auth import audit, tenant_settings
from auth.errors import NotAllowed, UnknownRole, UnsuitableName
from auth.guards import (
    catalogue,
    check_calendar,
    check_holds,
    check_holds_all_given,
    check_holds_all_of,
    check_may_change,
    check_may_give,
    check_may_manage,
    check_present,
    is_owner,
    keep_an_owner,
    owners,
    permissions_of,
)
from auth.identity import Identity
from auth.models import PERSON, Grant, Group, Role, User
from auth.permissions import OWNER

__all__ = [
    "catalogue", "check_holds_all_given", "check_holds_all_of", "check_may_give", "create_builtin_roles",
    "create_role", "drop_object", "get_role", "grant_role", "grant_to_group", "holders_on", "is_owner", "keep_an_owner",
    "list_roles", "owners", "permissions_of", "revoke_from_group", "revoke_role",
]  # fmt: skip

LONGEST_NAME = 80
LONGEST_DESCRIPTION = 255


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


def create_role(
    name: str, permissions: Collection[str], *, actor: Identity | None, description: str | None = None
) -> Role:
    """Make a custom role. Raises NotAllowed, UnsuitableName, UnknownPermission."""
    check_may_manage(actor)
    tenant_settings.lock()  # or two could make the same one at once
    names = usable_permissions(permissions)
    name, description = usable_name(name), usable_description(description)
    check_holds(actor, names)
    role = Role(name=name, description=description, builtin=False, stored_permissions=sorted(names))
    g.db.add(role)
    g.db.flush()  # the audit log names its id
    details = {"permissions": sorted(names), "description": role.description}
    audit.record("role created", role, details=details, actor=actor)
    return role


def usable_permissions(permissions: Collection[str]) -> frozenset[str]:
    """The permissions, if a role of a tenant can hold them. Raises NotAllowed, UnknownPermission."""
    names = frozenset(catalogue().check(permission) for permission in permissions)
    if names & catalogue().operator_side:
        raise NotAllowed(_("A workspace's role cannot hold a permission of the operators."))
    return names


def usable_name(name: str, *, of: Role | None = None) -> str:
    """The name as a role can have it, `of` itself or a new one. Raises UnsuitableName."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UnsuitableName(_("A role's name has 1 to %(most)s letters.", most=LONGEST_NAME))
    shown = _builtin_names()
    same = select(Role.id).where(func.lower(Role.name) == func.lower(name))
    if of is not None:
        same = same.where(Role.id != of.id)
    if name.casefold() in shown or g.db.scalar(same.limit(1)):
        raise UnsuitableName(_("There is a role “%(name)s” already.", name=name))
    return name


def _builtin_names() -> set[str]:
    """What built-in roles are called, in any of our languages: what only looks like one would be given by mistake."""
    known = catalogue().roles.values()
    names = {role.name.casefold() for role in known}
    for locale in get_babel().instance.list_translations():
        with force_locale(str(locale)):
            names |= {str(role.label).casefold() for role in known}
    return names


def usable_description(description: str | None) -> str | None:
    """The description as a role can have it, None for an empty one. Raises NotAllowed."""
    text = " ".join((description or "").split())
    if len(text) > LONGEST_DESCRIPTION or not text.isprintable():
        raise NotAllowed(_("A description has at most %(most)s letters, in one line.", most=LONGEST_DESCRIPTION))
    return text or None


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
    if user.kind != PERSON and role.builtin and role.name == OWNER.name:
        raise NotAllowed(_("A service account is nobody's owner: give it a role with what it needs."))
    check_may_give(actor, role, on=on, expires_at=expires_at)
    check_calendar(expires_at)
    tenant_settings.lock()  # or two could give the same one twice
    check_present([user.id], role)
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
        if existing.expires_at != expires_at:
            _record("role given", user, role, existing, actor, ended=existing.expires_at, ends=expires_at)
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
    _record("role given", user, role, grant, actor, ends=expires_at)
    return grant


def revoke_role(
    user: User,
    role_name: str,
    *,
    actor: Identity | None,
    on: tuple[str, uuid.UUID] | None = None,
    origin: str | None = None,
) -> int:
    """Take a role from a user, of that origin or whatever it is; gives back how many grants. Raises NotAllowed."""
    role = get_role(role_name)
    object_type, object_id = on or ("", None)
    check_may_change(actor, role, on)
    if role.builtin and role.name == OWNER.name:
        keep_an_owner(without=user.id)
    statement = delete(Grant).where(
        Grant.user_id == user.id,
        Grant.role_id == role.id,
        Grant.object_type == object_type,
        Grant.object_id == object_id,
        *([Grant.origin == origin] if origin is not None else []),
    )
    origins = g.db.scalars(statement.returning(Grant.origin)).all()
    if origins:
        details = {"role": role.name, "on": _place(object_type, object_id), "origin": ", ".join(sorted(set(origins)))}
        audit.record("role taken", user, details=details, actor=actor)
    return len(origins)


def grant_to_group(
    group: Group,
    role: Role,
    *,
    actor: Identity | None,
    origin: str,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Grant:
    """Give the members of a group a role, on the whole tenant. Raises NotAllowed."""
    check_may_give(actor, role, expires_at=expires_at)
    same = select(Grant).where(Grant.group_id == group.id, Grant.role_id == role.id, Grant.origin == origin)
    grant: Grant | None = g.db.scalar(same)
    if grant is None:
        giver = actor.user_id if actor else None
        grant = Grant(
            group_id=group.id, role_id=role.id, origin=origin, granted_by=giver, reason=reason, expires_at=expires_at
        )
        g.db.add(grant)
        _record("role given", group, role, grant, actor, ends=expires_at)
    elif grant.expires_at != expires_at:
        _record("role given", group, role, grant, actor, ended=grant.expires_at, ends=expires_at)
        grant.expires_at = expires_at
    return grant


def revoke_from_group(group: Group, role: Role, *, actor: Identity | None, origin: str) -> int:
    """Take a role of that origin from the members of a group; gives back how many grants. Raises NotAllowed."""
    check_may_change(actor, role, None)
    statement = delete(Grant).where(Grant.group_id == group.id, Grant.role_id == role.id, Grant.origin == origin)
    revoked: int = g.db.execute(statement).rowcount
    if revoked:
        audit.record("role taken", group, details={"role": role.name, "origin": origin}, actor=actor)
    return revoked


def drop_object(object_type: str, object_id: uuid.UUID) -> None:
    """Take back every grant on an object that is about to be deleted."""
    gone = delete(Grant).where(Grant.object_type == object_type, Grant.object_id == object_id)
    if number := g.db.execute(gone).rowcount:
        place = audit.Party(object_type, object_id)
        audit.record("role taken", place, details={"grants": number, "reason": "the object is deleted"})


def holders_on(object_type: str, object_id: uuid.UUID) -> Select[User]:
    """The statement that finds the users with a role on that object, each once."""
    given = select(Grant.user_id).where(
        Grant.object_type == object_type, Grant.object_id == object_id, Grant.user_id.is_not(None)
    )
    return select(User).where(User.id.in_(given))


def _record(
    kind: str,
    holder: User | Group,
    role: Role,
    grant: Grant,
    actor: Identity | None,
    *,
    ended: datetime | None = None,
    ends: datetime | None = None,
) -> None:
    """Record that somebody was given a role: where, from where, and until when (before and now)."""
    until = [end.isoformat() if end else None for end in (ended, ends)]
    details: dict[str, Any] = {
        "role": role.name,
        "on": _place(grant.object_type, grant.object_id),
        "origin": grant.origin,
    }
    details |= {"ends": until} if any(until) else {}
    details |= {"reason": grant.reason} if grant.reason else {}
    audit.record(kind, holder, details=details, actor=actor)


def _place(object_type: str, object_id: uuid.UUID | None) -> str | None:
    return f"{object_type} {object_id}" if object_id else None

"""Changing a tenant's own roles: clone, rename, describe, edit, delete with a replacement.

Whoever edits a role gives and takes what is in the difference, and whoever deletes one takes all of it: they have to
hold that. Each change first waits for the tenant's row, and looks at the role as it is then.
"""

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, select, update

from auth import audit, default_role, guards, policy, role_holders, roles, tenant_settings
from auth.errors import NotAllowed, RoleChanged, UnknownRole
from auth.identity import Identity
from auth.models import Grant, Group, Invitation, Role
from auth.permissions import OWNER, AccessPermission
from tenants.db import now
from tenants.models import TenantRow

_CHUNK = 500  # rows a statement


@dataclass(frozen=True, slots=True)
class Draft:
    """A role as it would be. `stored` may name permissions that this release does not know, as the role did before."""

    name: str
    description: str | None
    permissions: frozenset[str]
    stored: tuple[str, ...]


def find_role(role_id: uuid.UUID) -> Role | None:
    """The tenant's role of that id."""
    found: Role | None = g.db.find(Role, role_id)
    return found


def fingerprint_of(role: Role) -> str:
    """What tells a role from the same role after a change."""
    said = repr((role.name, role.description, sorted(role.stored_permissions)))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def draft_new(name: str, description: str | None, permissions: Collection[str], *, actor: Identity | None) -> Draft:
    """The role that `roles.create_role` would make; raises what that would."""
    guards.check_may_manage(actor)
    wanted = roles.usable_permissions(permissions)
    name = roles.usable_name(name)
    guards.check_holds(actor, wanted)
    return Draft(name, roles.usable_description(description), wanted, tuple(sorted(wanted)))


def clone_role(role: Role, name: str, *, actor: Identity | None, description: str | None = None) -> Role:
    """Make a custom role that permits what another one does. Raises NotAllowed, UnsuitableName."""
    described = role.description if description is None else roles.usable_description(description)
    return roles.create_role(name, guards.permissions_of(role), actor=actor, description=described)


def draft_change(
    role: Role,
    *,
    actor: Identity | None,
    name: str | None = None,
    description: str | None = None,
    permissions: Collection[str] | None = None,
) -> Draft:
    """The role as it would be after a change, of which None leaves out a part. Raises what `change_role` does."""
    guards.check_may_manage(actor)
    if role.builtin:
        raise NotAllowed(_("Built-in roles are the same everywhere. Clone this one, and change the clone."))
    before = guards.permissions_of(role)
    after = before if permissions is None else roles.usable_permissions(permissions)
    guards.check_holds(actor, before ^ after)
    named = role.name if name is None or name == role.name else roles.usable_name(name, of=role)
    described = role.description if description is None else roles.usable_description(description)
    if (named, described) != (role.name, role.description):
        # Who could rename what they may not give would have others give it in error.
        guards.check_holds(actor, before)
    unknown = frozenset(role.stored_permissions) - before
    return Draft(named, described, after, tuple(sorted(after | unknown)))


def change_role(
    role: Role,
    *,
    actor: Identity | None,
    name: str | None = None,
    description: str | None = None,
    permissions: Collection[str] | None = None,
    seen: str | None = None,
) -> Role:
    """Rename, describe or edit a custom role; what is None stays. It holds from everybody's next request on.

    `seen` is the fingerprint of the role that the actor has looked at. Raises NotAllowed, with it UnsuitableName and
    RoleChanged, and UnknownPermission.
    """
    row = tenant_settings.lock()
    role = _current(role)
    if seen is not None and seen != fingerprint_of(role):
        raise RoleChanged(_("Somebody has changed this role meanwhile. Look at it again, and then save."))
    draft = draft_change(role, actor=actor, name=name, description=description, permissions=permissions)
    before = _as_details(role)
    if draft.name != role.name:
        _rename_in_policy(row, role.name, draft.name)
    role.name, role.description = draft.name, draft.description
    role.stored_permissions = list(draft.stored)
    if changed := audit.changes(before, _as_details(role)):
        g.db.flush()
        audit.record("role changed", role, details=changed, actor=actor)
    return role


def check_may_delete(role: Role, replacement: Role | None, *, actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may delete the role, and give its holders the other one."""
    guards.check_may_manage(actor)
    if role.builtin:
        raise NotAllowed(_("Built-in roles cannot be deleted."))
    guards.check_may_change(actor, role)
    if role.name in policy.current().second_factor_roles:
        raise NotAllowed(_("The rules of signing in name this role. Take it out there first."))
    if replacement is None:
        return
    if replacement.id == role.id:
        raise NotAllowed(_("A role is not replaced by itself."))
    if replacement.builtin and replacement.name == OWNER.name:
        raise NotAllowed(_("Owners are appointed one by one."))
    guards.check_may_give(actor, replacement)


def delete_role(role: Role, *, replacement: Role | None = None, actor: Identity | None) -> None:
    """Delete a custom role. Who has it, or is invited with it, is given the replacement, or nothing.

    On single objects a built-in role is no replacement: there the right ends. Raises NotAllowed.
    """
    row = tenant_settings.lock()
    role = _current(role)
    replacement = _current(replacement) if replacement is not None else None
    check_may_delete(role, replacement, actor=actor)
    details = {"replacement": replacement.name if replacement else None, **_as_details(role)}
    details |= role_holders.names_of_holders(role)
    audit.record("role deleted", role, details=details, actor=actor)
    default_role.follow_deletion(row, role, replacement, actor=actor)
    if replacement is not None:
        _hand_over(role, replacement, actor)
    _void_invitations(role, actor)
    _end_mappings(role)
    g.db.delete(role)  # with whatever grants of it there still are
    g.db.flush()


def _hand_over(role: Role, replacement: Role, actor: Identity | None) -> None:
    g.db.execute(delete(Grant).where(Grant.role_id == role.id, Grant.expires_at <= now()))
    if replacement.builtin:
        g.db.execute(delete(Grant).where(Grant.role_id == role.id, Grant.object_type != ""))
    place = (Grant.user_id, Grant.group_id, Grant.object_type, Grant.object_id, Grant.origin)
    rows = g.db.execute(select(Grant.role_id, Grant.id, Grant.expires_at, *place).where(
        Grant.role_id.in_([role.id, replacement.id])
    )).all()  # fmt: skip
    theirs = {tuple(row[3:]): row for row in rows if row.role_id == replacement.id}
    needless: list[uuid.UUID] = []
    for row in rows:
        same = theirs.get(tuple(row[3:])) if row.role_id == role.id else None
        if same is None:
            continue
        # They have the other one already, and keep it for as long as they would have had this one.
        if same.expires_at is not None and (row.expires_at is None or row.expires_at > same.expires_at):
            g.db.execute(update(Grant).where(Grant.id == same.id).values(expires_at=row.expires_at))
        needless.append(row.id)
    for start in range(0, len(needless), _CHUNK):
        g.db.execute(delete(Grant).where(Grant.id.in_(needless[start : start + _CHUNK])))
    giver = actor.user_id if actor else None
    values = {"role_id": replacement.id, "granted_by": giver}
    g.db.execute(update(Grant).where(Grant.role_id == role.id).values(**values))
    invited: dict[str, Any] = {"role_id": replacement.id}
    if actor is None or AccessPermission.MEMBER_MANAGE in actor.permissions:
        invited["invited_by"] = giver  # else whoever invited answers for it still: it has to be somebody who may
    g.db.execute(update(Invitation).where(Invitation.role_id == role.id).values(**invited))


def _void_invitations(role: Role, actor: Identity | None) -> None:
    """Take back the invitations with the role that were not handed over: they would go without a word."""
    gone = delete(Invitation).where(Invitation.role_id == role.id).returning(Invitation.id, Invitation.email)
    for invitation_id, email in g.db.execute(gone).all():
        known = audit.Party("invitation", invitation_id, email)
        audit.record("invitation revoked", known, details={"role": role.name}, actor=actor)


def _end_mappings(role: Role) -> None:
    """Forget those groups of sources that gave nothing but this role: what is not mapped is not kept."""
    mapped = select(Group.id).where(Group.origin.startswith("provider:"), Group.id.in_(
        select(Grant.group_id).where(Grant.role_id == role.id)
    ))  # fmt: skip
    others = select(Grant.group_id).where(Grant.role_id != role.id, Grant.group_id.is_not(None))
    ids = g.db.scalars(mapped.where(Group.id.not_in(others))).all()
    g.db.execute(delete(Group).where(Group.id.in_(ids)))


def _current(role: Role) -> Role:
    again = select(Role).where(Role.id == role.id).execution_options(populate_existing=True)
    found: Role | None = g.db.scalar(again)
    if found is None:
        raise UnknownRole("the role was deleted in this moment")
    return found


def _rename_in_policy(row: TenantRow, before: str, after: str) -> None:
    """The rules of signing in name roles, and have to mean the same ones afterwards."""
    kept: dict[str, Any] = dict(row.settings.get(policy.KEY, {}))
    named = kept.get("second_factor_roles", [])
    if before in named:
        kept["second_factor_roles"] = sorted({after if name == before else name for name in named})
        tenant_settings.keep(row, policy.KEY, kept)


def _as_details(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.stored_permissions),
    }

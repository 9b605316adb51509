"""Why somebody may, or may not: the chain user → source → group → grant → role → permission, by the deciding code."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from flask import g
from sqlalchemy import select

from auth.errors import UnknownUser
from auth.holdings import Held, find_holder
from auth.models import Grant, Group, Role, User
from auth.permissions import Catalogue
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.roles import catalogue

Object = tuple[str, uuid.UUID]
"""The type and the id of an object on which something can be permitted."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons. `through` are the grants that permit; `lapsed` those that did until their end."""

    user: str
    permission: str
    allowed: bool
    through: tuple[Held, ...]
    lapsed: tuple[Held, ...]
    missing: tuple[str, ...]
    """Roles of which any would permit, the tenant's own included, when nothing does."""
    deactivated: bool

    def lines(self) -> list[str]:
        """The explanation in words, one line a reason."""
        said = [f"{self.user} {'may' if self.allowed else 'may not'} {self.permission}"]
        if self.deactivated:
            said.append("  the account is deactivated: whatever is granted does not count")
        said += [f"  {_chain(held)}" for held in self.through]
        said += [f"  lapsed {held.expires_at:%Y-%m-%d %H:%M} UTC: {_chain(held)}" for held in self.lapsed]
        if not self.through:
            roles = " or ".join(self.missing) or "no role of this workspace"
            said.append(f"  missing: a grant of {roles}")
        return said


@dataclass(frozen=True, slots=True)
class Voucher:
    """A source that vouches for a user; None stands for the workspace itself, and a password that it keeps."""

    provider: ProviderConfig | None
    login: str
    departed: bool = False
    """Whether the source says that they are gone."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A grant with what stands around it: the group through which it comes, and who gave it."""

    held: Held
    group_id: uuid.UUID | None
    group_origin: str | None
    giver: str | None


def explain(user_id: uuid.UUID, permission: str, *, on: Object | None = None) -> Explanation:
    """Why the user of the bound tenant holds `permission`, on the tenant or `on` an object, or why not.

    Raises UnknownUser, UnknownPermission.
    """
    catalogue().check(permission)
    holder = find_holder(user_id)
    if holder is None:
        raise UnknownUser("no such user")
    through = tuple(held for held in holder.held if reaches(held, permission, on))
    return Explanation(
        user=holder.email,
        permission=permission,
        allowed=bool(through) and holder.active,
        through=through,
        lapsed=tuple(held for held in holder.lapsed if reaches(held, permission, on)),
        missing=() if through else _roles_with(catalogue(), permission, on),
        deactivated=not holder.active,
    )


def reaches(held: Held, permission: str, on: Object | None) -> bool:
    """Whether that grant permits that, on the tenant or on an object."""
    if permission not in held.permissions:
        return False
    return held.object_id is None or (held.object_type, held.object_id) == on


def vouchers_of(user: User) -> list[Voucher]:
    """How a user proves who they are: the sources that know them, and the password of their own, if they have one."""
    rows = g.db.execute(
        select(ProviderConfig, LinkedIdentity.login, LinkedIdentity.departed_at)
        .join(
            LinkedIdentity,
            (LinkedIdentity.tenant_id == ProviderConfig.tenant_id) & (LinkedIdentity.provider_id == ProviderConfig.id),
        )
        .where(LinkedIdentity.user_id == user.id)
        .order_by(ProviderConfig.position, ProviderConfig.name)
    )
    found = [Voucher(provider, login, departed is not None) for provider, login, departed in rows]
    return [*found, Voucher(None, user.email)] if user.password or not found else found


def chains_of(grants: Iterable[Held]) -> dict[uuid.UUID, Chain]:
    """What stands around those grants, by the grant's id, in two statements however many there are."""
    held = {one.grant_id: one for one in grants}
    if not held:
        return {}
    groups = {
        grant_id: (group_id, origin)
        for grant_id, group_id, origin in g.db.execute(
            select(Grant.id, Group.id, Group.origin)
            .join(Group, (Group.tenant_id == Grant.tenant_id) & (Group.id == Grant.group_id))
            .where(Grant.id.in_(list(held)))
        )
    }
    givers = {one.granted_by for one in held.values()} - {None}
    names = dict(g.db.execute(select(User.id, User.name).where(User.id.in_(list(givers)))).all())
    return {
        grant_id: Chain(one, *groups.get(grant_id, (None, None)), giver=names.get(one.granted_by))
        for grant_id, one in held.items()
    }


def _roles_with(known: Catalogue, permission: str, on: Object | None) -> tuple[str, ...]:
    object_type = on[0] if on else ""
    builtin = [
        role.name
        for role in known.roles.values()
        if permission in known.of_builtin(role.name) and role.object_type in ("", object_type)
    ]
    own = g.db.scalars(select(Role).where(Role.builtin.is_(False)).order_by(Role.name))
    return (*builtin, *(role.name for role in own if permission in known.of_custom(role.stored_permissions)))


def _chain(held: Held) -> str:
    group = f" → group '{held.group}'" if held.group else ""
    place = f" on {held.object_type} {held.object_id}" if held.object_id else ""
    giver = f" by {held.granted_by}" if held.granted_by else ""
    until = f" until {held.expires_at:%Y-%m-%d %H:%M} UTC" if held.expires_at else ""
    return f"origin '{held.origin}'{giver}{group} → grant {held.grant_id}{place}{until} → role '{held.role}'"

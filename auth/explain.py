"""Why somebody may, or may not: the chain user → source → group → grant → role → permission, by the deciding code."""

import uuid
from dataclasses import dataclass

from auth.errors import UnknownUser
from auth.holdings import Held, find_holder
from auth.permissions import Catalogue
from auth.roles import catalogue


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons. `through` are the grants that permit; `lapsed` those that did until their end."""

    user: str
    permission: str
    allowed: bool
    through: tuple[Held, ...]
    lapsed: tuple[Held, ...]
    missing: tuple[str, ...]
    """Roles of which any would permit, when nothing does."""
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


def explain(user_id: uuid.UUID, permission: str, *, on: tuple[str, uuid.UUID] | None = None) -> Explanation:
    """Why the user of the bound tenant holds `permission`, on the tenant or `on` an object, or why not.

    Raises UnknownUser, UnknownPermission.
    """
    catalogue().check(permission)
    holder = find_holder(user_id)
    if holder is None:
        raise UnknownUser("no such user")
    through = tuple(held for held in holder.held if _reaches(held, permission, on))
    return Explanation(
        user=holder.email,
        permission=permission,
        allowed=bool(through) and holder.active,
        through=through,
        lapsed=tuple(held for held in holder.lapsed if _reaches(held, permission, on)),
        missing=() if through else _roles_with(catalogue(), permission),
        deactivated=not holder.active,
    )


def _reaches(held: Held, permission: str, on: tuple[str, uuid.UUID] | None) -> bool:
    if permission not in held.permissions:
        return False
    return held.object_id is None or (held.object_type, held.object_id) == on


def _roles_with(known: Catalogue, permission: str) -> tuple[str, ...]:
    return tuple(name for name in known.roles if permission in known.of_builtin(name))


def _chain(held: Held) -> str:
    group = f" → group '{held.group}'" if held.group else ""
    place = f" on {held.object_type} {held.object_id}" if held.object_id else ""
    giver = f" by {held.granted_by}" if held.granted_by else ""
    until = f" until {held.expires_at:%Y-%m-%d %H:%M} UTC" if held.expires_at else ""
    return f"origin '{held.origin}'{giver}{group} → grant {held.grant_id}{place}{until} → role '{held.role}'"

"""Who gains and loses what when a role changes: what reaches people now, decided once as it is and once as it would be.

Both are decided by `auth/holdings.py`, as every request is: who holds a permission through another grant, too, neither
gains nor loses it.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from flask import g
from sqlalchemy import or_, select

from auth.guards import permissions_of
from auth.holdings import EVERYWHERE, Held, Place, effective, find_group_holders, find_holders
from auth.models import Grant, Membership, Role, User


@dataclass(frozen=True, slots=True)
class Difference:
    """What is gained and lost, on the whole tenant, and on single objects beyond that."""

    gains: frozenset[str] = frozenset()
    loses: frozenset[str] = frozenset()
    gains_on_objects: frozenset[str] = frozenset()
    loses_on_objects: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.gains or self.loses or self.gains_on_objects or self.loses_on_objects)


@dataclass(frozen=True, slots=True)
class Effect:
    """A member or group that gains or loses something. A group has no address."""

    id: uuid.UUID
    name: str
    email: str
    active: bool
    difference: Difference


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of a role does, by name."""

    members: tuple[Effect, ...]
    groups: tuple[Effect, ...]
    unaffected: int
    """Members whom the role reaches, and who neither gain nor lose."""


def preview_change(role: Role, permissions: Collection[str]) -> Preview:
    """What happens when the role permits just that."""
    wanted = frozenset(permissions)
    return _preview(role, lambda held: wanted)


def preview_deletion(role: Role, replacement: Role | None) -> Preview:
    """What happens when the role is deleted, and its holders are given another one, or none."""
    if replacement is None:
        return _preview(role, lambda held: frozenset())
    wanted, builtin = permissions_of(replacement), replacement.builtin
    # A built-in role is given on the whole tenant: who had the role on an object loses it.
    return _preview(role, lambda held: frozenset() if builtin and held.object_id else wanted)


def _preview(role: Role, permits: Callable[[Held], frozenset[str]]) -> Preview:
    direct = select(Grant.user_id).where(Grant.role_id == role.id, Grant.user_id.is_not(None))
    groups = select(Grant.group_id).where(Grant.role_id == role.id, Grant.group_id.is_not(None))
    within = select(Membership.user_id).where(Membership.group_id.in_(groups))
    reached = select(User.id).where(or_(User.id.in_(direct), User.id.in_(within)))
    g.db.flush()
    worked_out: dict[frozenset[tuple[str, Place]], Difference] = {}

    def difference(held: Sequence[Held]) -> Difference:
        # Thousands have the same few roles in the same places.
        known = frozenset((one.role, (one.object_type, one.object_id)) for one in held)
        if known not in worked_out:
            then = [replace(one, permissions=permits(one)) if one.role == role.name else one for one in held]
            worked_out[known] = _between(held, then)
        return worked_out[known]

    holders = [(holder, difference(holder.held)) for holder in find_holders(reached)]
    members = [Effect(one.user_id, one.name, one.email, one.active, found) for one, found in holders if found]
    holding = ((group, difference(held)) for group, held in find_group_holders(groups))
    return Preview(
        tuple(members),
        tuple(Effect(group.id, group.name, "", True, found) for group, found in holding if found),
        len(holders) - len(members),
    )


def _between(now: Iterable[Held], then: Iterable[Held]) -> Difference:
    before, after = effective(now), effective(then)
    everywhere, later = before[EVERYWHERE], after[EVERYWHERE]
    gains, loses = later - everywhere, everywhere - later
    gains_on, loses_on = set[str](), set[str]()
    for place in before.keys() - {EVERYWHERE}:
        here, here_later = everywhere | before[place], later | after[place]
        gains_on |= here_later - here - gains
        loses_on |= here - here_later - loses
    return Difference(gains, loses, frozenset(gains_on), frozenset(loses_on))

"""Members by a file: looked at first, then all of it or nothing.

What an import gives and changes passes the guards by which each of its lines would be done by itself.
"""

import enum
import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from flask import g
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from auth import (
    audit,
    bulk_grants,
    default_role,
    denials,
    enforcement,
    guards,
    member_files,
    roles,
    tenant_settings,
    throttle,
    users,
)
from auth.errors import InvalidImport, NotAllowed, Throttled
from auth.identity import Identity
from auth.member_files import Line
from auth.models import Grant, Role, User
from tenants.db import now

MOST_IN_WINDOW = 3 * member_files.MOST_ROWS
"""Lines that one person imports within a window of `auth/throttle.py`: each may send a mail."""


class Outcome(enum.StrEnum):
    """What becomes of a line."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Row:
    """A line, and what becomes of it."""

    line: Line
    outcome: Outcome
    reason: str = ""
    """Why it is wrong."""
    user: User | None = None
    """Who has the address already."""
    role: Role | None = None
    """The role that it gives."""
    new_name: str = ""
    """The name that it gives to whom there is already."""
    denied: bool = False
    """Whether it is wrong because a guard refuses it to the actor."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would do, or has done."""

    rows: Sequence[Row]
    applied: bool = False

    def count(self, outcome: str) -> int:
        """How many lines have that outcome."""
        return sum(row.outcome == outcome for row in self.rows)

    @property
    def seen(self) -> str:
        """Names exactly this: what is confirmed has to be what was shown."""
        shown = [
            (row.line.number, row.line.email, row.outcome, row.new_name or row.line.name,
             row.role.name if row.role else "", row.reason)
            for row in self.rows
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def preview(text: str, *, actor: Identity | None) -> Preview:
    """What the file would do if this actor imported it; writes nothing. Raises NotAllowed, InvalidImport."""
    users.check_may_manage(actor)
    return Preview(_judge_all(member_files.read(text), actor))


def apply(text: str, *, actor: Identity | None, seen: str | None = None) -> Preview:
    """Do what the file says, or nothing: look whether the answer says `applied`.

    Nothing is done if a line is wrong, or if it would not be what was `seen`. Commits what was done so far. Raises
    NotAllowed, InvalidImport and Throttled.
    """
    users.check_may_manage(actor)
    lines = member_files.read(text)
    if actor is not None and not throttle.spend(f"imports by:{actor.user_id}", MOST_IN_WINDOW, len(lines)):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    tenant_settings.lock()  # whoever imports the same just now is waited for, and found to have done it
    found = Preview(_judge_all(lines, actor))
    if denied := next((row.reason for row in found.rows if row.denied), ""):
        denials.note(denied)
    if found.count(Outcome.WRONG) or (seen is not None and seen != found.seen):
        return found
    made = _create([row for row in found.rows if row.outcome == Outcome.NEW])
    _rename([row for row in found.rows if row.new_name], actor)
    _give(found.rows, made, actor)
    details = {"new": len(made), "changed": found.count(Outcome.CHANGED)}
    audit.record("members imported", details=details, actor=actor)
    for user in made.values():
        if enforcement.required_source(user.email) is None:  # else there is no password to set here
            users.send_welcome(user)
    return replace(found, applied=True)


def _judge_all(lines: Sequence[Line], actor: Identity | None) -> list[Row]:
    known = _known([line.email for line in lines if not line.fault])
    offered = _Offered(actor)
    held = _held([user.id for user in known.values()])
    rows = [_judge(line, known.get(line.email.casefold()), offered, held) for line in lines]
    refused = _not_theirs_to_rename([row.user.id for row in rows if row.user is not None and row.new_name], actor)
    return [
        replace(row, outcome=Outcome.WRONG, reason=refused[row.user.id], new_name="", denied=True)
        if row.user is not None and row.new_name and row.user.id in refused
        else row
        for row in rows
    ]


def _judge(line: Line, user: User | None, offered: "_Offered", held: Collection[tuple[uuid.UUID, uuid.UUID]]) -> Row:
    role, fault = offered.find(line.role) if line.role else (None, "")
    if user is None and not line.role:
        fault = offered.fault_of_default
    if user is not None and not user.active:
        fault = _("is a deactivated member, who can be reactivated")
    if line.fault or fault:
        return Row(line, Outcome.WRONG, line.fault or fault, denied=not line.fault and fault in offered.denials)
    if user is None:
        return Row(line, Outcome.NEW, role=role)
    new_name = line.name if line.name and line.name != user.name else ""
    given = role if role is not None and (user.id, role.id) not in held else None
    return Row(line, Outcome.CHANGED if new_name or given else Outcome.SAME, "", user, given, new_name)


class _Offered:
    """The roles by what people call them, each with why the actor may not give it."""

    def __init__(self, actor: Identity | None) -> None:
        self._actor = actor
        known, listed = roles.catalogue().roles, roles.list_roles()
        labels = {
            str(known[role.name].label).casefold(): role for role in listed if role.builtin and role.name in known
        }
        self._by_name = labels | {role.name.casefold(): role for role in listed}
        self._faults: dict[uuid.UUID, str] = {}
        self.denials: set[str] = set()
        """What guards have said."""
        self.fault_of_default = self._find_fault_of_default()

    def find(self, called: str) -> tuple[Role | None, str]:
        """The role of that name, and what is wrong with giving it."""
        role = self._by_name.get(called.casefold())
        if role is None:
            return None, _("there is no role “%(name)s”", name=called)
        if role.id not in self._faults:
            self._faults[role.id] = self._find_fault(role)
        return role, self._faults[role.id]

    def _find_fault(self, role: Role) -> str:
        try:
            roles.check_may_give(self._actor, role)
        except NotAllowed as error:
            self.denials.add(str(error))
            return str(error)
        return ""

    def _find_fault_of_default(self) -> str:
        """Whoever is made gets the default role: making them gives it."""
        role = default_role.current()
        try:
            guards.check_holds(self._actor, roles.permissions_of(role) if role is not None else frozenset())
        except NotAllowed as error:
            self.denials.add(str(error))
            return str(error)
        return ""


def _known(emails: Sequence[str]) -> dict[str, User]:
    lowered = [email.lower() for email in emails]
    found = g.db.scalars(select(User).where(func.lower(User.email).in_(lowered)))
    return {user.email.casefold(): user for user in found}


def _held(user_ids: Sequence[uuid.UUID]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Who of them has which role on the whole workspace, for good, however they have come by it."""
    for_good = (Grant.object_type == "", Grant.expires_at.is_(None))
    rows = g.db.execute(select(Grant.user_id, Grant.role_id).where(Grant.user_id.in_(user_ids), *for_good))
    return {(user_id, role_id) for user_id, role_id in rows}


def _not_theirs_to_rename(user_ids: Sequence[uuid.UUID], actor: Identity | None) -> Mapping[uuid.UUID, str]:
    """Whose account the actor may not change, with the reason; found by halves, so that few questions are asked."""
    if not user_ids:
        return {}
    try:
        guards.check_holds_all_of(actor, select(User.id).where(User.id.in_(user_ids)))
    except NotAllowed as error:
        if len(user_ids) == 1:
            return {user_ids[0]: str(error)}
    else:
        return {}
    half = len(user_ids) // 2
    first, second = (_not_theirs_to_rename(part, actor) for part in (user_ids[:half], user_ids[half:]))
    return {**first, **second}


def _create(rows: Sequence[Row]) -> dict[int, User]:
    """Make the users, by the numbers of their lines."""
    moment = now()
    made = {
        row.line.number: User(
            email=row.line.email,
            name=row.line.name or row.line.email.partition("@")[0][: users.LONGEST_NAME],
            confirmed_at=moment,
        )
        for row in rows
    }
    try:
        with g.db.begin_nested():
            g.db.add_all(made.values())
    except IntegrityError:
        raise InvalidImport(_("Somebody of the file became a member in this moment. Look at the file again.")) from None
    audit.record_all("account created", list(made.values()), details={"by": "import"})
    return made


def _rename(rows: Sequence[Row], actor: Identity | None) -> None:
    for row in rows:
        if row.user is not None:
            audit.record("account changed", row.user, details={"name": [row.user.name, row.new_name]}, actor=actor)
            row.user.name = row.new_name
    g.db.flush()


def _give(rows: Sequence[Row], made: Mapping[int, User], actor: Identity | None) -> None:
    wanted: dict[uuid.UUID, tuple[Role, list[User]]] = {}
    for row in rows:
        user = row.user or made.get(row.line.number)
        if row.role is not None and user is not None:
            wanted.setdefault(row.role.id, (row.role, []))[1].append(user)
    for role, people in wanted.values():
        bulk_grants.give_to_many(people, role, actor=actor, reason="import")
    default_role.give_where_none([user.id for user in made.values()])

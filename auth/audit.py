"""The audit log: who did what to whom, from where. One statement an event, in the transaction of what it tells of.

What was refused leaves no transaction: it is recorded in one of its own (`survives`). Events are chained one to the
other later, by `auth/audit_chain.py`, so that recording waits for nobody.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import structlog
import uuid_utils.compat as uuid7
from flask import g, has_request_context, request
from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString
from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError

from auth import audit_chain
from auth.audit_models import AuditEvent
from auth.audit_signing import sign_event
from auth.models import Group, Role, User
from auth.providers.models import MailDomain, ProviderConfig
from tenants.context import afterwards
from tenants.db import now

log = structlog.get_logger()

KINDS: Mapping[str, LazyString] = {
    "access denied": _("Access denied"),
    "account created": _("Account created"),
    "account changed": _("Account changed"),
    "account deactivated": _("Account deactivated"),
    "account reactivated": _("Account reactivated"),
    "account removed": _("Account removed"),
    "account connected": _("Account connected with a source"),
    "account disconnected": _("Account disconnected from a source"),
    "audit log exported": _("Audit log exported"),
    "audit log kept": _("Time for which the audit log is kept changed"),
    "audit log shortened": _("What the audit log keeps no longer was removed"),
    "branding changed": _("Name or look of the workspace changed"),
    "break-glass sign-in": _("Signed in by the emergency way"),
    "default role changed": _("Role of new members changed"),
    "directory not synchronised": _("Directory not synchronised"),
    "directory synchronised": _("Directory synchronised"),
    "domain added": _("Domain added"),
    "domain lapsed": _("Domain lapsed"),
    "domain proved": _("Domain proved"),
    "domain removed": _("Domain removed"),
    "domain vouched": _("Domain vouched for by an operator"),
    "domain warning": _("A domain's record is missing"),
    "group changed": _("Group changed"),
    "group created": _("Group created"),
    "group deleted": _("Group deleted"),
    "group joined": _("Member put into a group"),
    "group left": _("Member taken out of a group"),
    "group mapped": _("Group of a source gives a role"),
    "group unmapped": _("Group of a source gives a role no more"),
    "invitation accepted": _("Invitation accepted"),
    "invitation revoked": _("Invitation revoked"),
    "invitation sent": _("Invitation sent"),
    "members imported": _("Members imported"),
    "passkey added": _("Passkey added"),
    "passkey removed": _("Passkey removed"),
    "password changed": _("Password changed"),
    "password reset": _("Password set by a mailed link"),
    "policy changed": _("Rules of signing in changed"),
    "provider added": _("Source added"),
    "provider changed": _("Source changed"),
    "provider disabled": _("Source switched off"),
    "provider enabled": _("Source switched on"),
    "provider removed": _("Source removed"),
    "role changed": _("Role changed"),
    "role created": _("Role created"),
    "role deleted": _("Role deleted"),
    "role given": _("Role given"),
    "role taken": _("Role taken"),
    "second factor changed": _("Second factor changed"),
    "second factor reset": _("Second factor reset"),
    "sessions ended": _("Sessions ended"),
    "sign-in enforced": _("A source is enforced"),
    "sign-in failed": _("Sign-in failed"),
    "sign-in no longer enforced": _("A source is no longer enforced"),
    "sign-in refused": _("Sign-in refused"),
    "sign-in refused, enforced elsewhere": _("Sign-in refused: another source is enforced"),
    "sign-in rehearsed": _("Sign-in rehearsed"),
    "signed in": _("Signed in"),
    "signed out": _("Signed out"),
    "signed out by the source": _("Signed out by the source"),
    "single sign-on failed": _("Signing in at a source failed"),
    "single sign-on refused": _("Signed in at a source, and refused here"),
}
"""What can happen, by its name for programs, in words for people."""

_SEALED_EVERY = 32
_SEALED_BY_REQUEST = 200
_LONGEST_VALUE = 2000


class Party(NamedTuple):
    """Who acts, or what is acted upon: its kind, its id, and its name at that moment."""

    kind: str
    id: uuid.UUID | None = None
    name: str = ""


class Caller(Protocol):
    """Who is signed in: `auth.identity.Identity`, which cannot be named here without a ring."""

    user_id: uuid.UUID | None
    email: str


Actor = Party | User | Caller
Target = Party | User | Role | Group | ProviderConfig | MailDomain

SYSTEM = Party("system")
NOBODY = Party("nobody")


def record(
    kind: str,
    target: Target | None = None,
    *,
    details: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
    survives: bool = False,
) -> None:
    """Record an event of the bound tenant; with `survives` also when the request is refused and rolled back.

    `actor` is whoever is signed in unless another one is given; outside a request, the operator at the command line, or
    whom `acting_as` names. `details` are values that JSON can hold, never secrets; a change is `[old, new]`. Raises
    KeyError for a kind that is not among KINDS.
    """
    _write([_values(kind, target, details or {}, actor)], survives=survives)


def record_all(kind: str, targets: Sequence[Target], *, details: Mapping[str, Any] | None = None) -> None:
    """Record the same of many, by one statement. Raises KeyError as `record` does."""
    if targets:
        _write([_values(kind, target, details or {}, None) for target in targets])


def _values(kind: str, target: Target | None, details: Mapping[str, Any], actor: Actor | None) -> dict[str, Any]:
    if kind not in KINDS:
        raise KeyError(kind)
    by = party_of(actor) if actor is not None else _caller()
    to = party_of(target) if target is not None else Party("")
    values = {
        "id": uuid7.uuid7(),
        "tenant_id": g.db.tenant_id,
        "at": now(),
        "kind": kind,
        "actor_kind": by.kind,
        "actor_id": by.id,
        "actor": _clean(by.name, 320),
        "target_kind": to.kind,
        "target_id": to.id,
        "target": _clean(to.name, 320),
        "details": _plain(details),
        **_whence(),
    }
    log.info(kind, actor=by.name or by.kind, target=to.name, details=values["details"])
    return values | {"signature": sign_event(values)}


def _write(events: Sequence[dict[str, Any]], *, survives: bool = False) -> None:
    def write() -> None:
        g.db.execute(insert(AuditEvent), events)

    in_request = has_request_context()
    # The transaction of a request that only reads can write nothing.
    if in_request and (survives or not g.db.writes):
        afterwards(write)
    else:
        write()
    # By chance rather than by count, which would have to be asked for.
    if in_request and events[0]["id"].int % _SEALED_EVERY == 0:
        afterwards(_seal)


@contextmanager
def acting_as(party: Party) -> Iterator[None]:
    """Record events within this block as done by that party: a source whose sync is under way, or the system."""
    before = g.get("acting")
    g.acting = party
    try:
        yield
    finally:
        g.acting = before


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What has changed between two sets of values: name → [old, new]."""
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def party_of(thing: Actor | Target) -> Party:
    """How a row is named in the log."""
    match thing:
        case Party():
            return thing
        case User():
            return Party("user", thing.id, thing.email)
        case ProviderConfig():
            return Party("provider", thing.id, thing.name)
        case MailDomain():
            return Party("domain", thing.id, thing.domain)
        case Group() | Role():
            return Party("group" if isinstance(thing, Group) else "role", thing.id, thing.name)
        case _:
            return Party("user", thing.user_id, thing.email)


def search(
    *,
    kinds: Sequence[str] = (),
    party: uuid.UUID | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> Sequence[AuditEvent]:
    """The bound tenant's events, newest first: of some kinds, by or about somebody, of a time.

    `party` is an id, or a part of a name; `before` the id of the last event of the page before.
    """
    wanted = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if kinds:
        wanted = wanted.where(AuditEvent.kind.in_(kinds))
    if isinstance(party, uuid.UUID):
        wanted = wanted.where((AuditEvent.actor_id == party) | (AuditEvent.target_id == party))
    elif party:
        matches = (column.icontains(party, autoescape=True) for column in (AuditEvent.actor, AuditEvent.target))
        wanted = wanted.where(next(matches) | next(matches))
    if since is not None:
        wanted = wanted.where(AuditEvent.at >= since)
    if until is not None:
        wanted = wanted.where(AuditEvent.at < until)
    if before is not None:
        wanted = wanted.where(AuditEvent.id < before)
    found: Sequence[AuditEvent] = g.db.scalars(wanted).all()
    return found


def _seal() -> None:
    try:
        audit_chain.seal(_SEALED_BY_REQUEST)
    except SQLAlchemyError:  # it is left to the next one, or the timer: the request has nothing to do with it
        log.exception("the audit log was not sealed")
        g.db.rollback()


def _caller() -> Party:
    if (acting := g.get("acting")) is not None:
        named: Party = acting
        return named
    if not has_request_context():
        return Party("operator", None, "command line")
    identity = g.get("identity")
    if identity is not None and identity.is_authenticated:
        return Party("user", identity.user_id, identity.email)
    return NOBODY


def _whence() -> dict[str, str]:
    if not has_request_context():
        return {"address": "", "agent": "", "request_id": ""}
    return {
        "address": _clean(request.remote_addr or "", 45),
        "agent": _clean(request.user_agent.string, 255),
        "request_id": _clean(str(g.get("request_id") or ""), 64),
    }


def _plain(value: Any) -> Any:
    """A value as it will be read again: what is signed has to be the same before and after."""
    if isinstance(value, str):
        return _clean(value, _LONGEST_VALUE)
    if isinstance(value, Mapping):
        return {_clean(str(name), 100): _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        held = [_plain(each) for each in value]
        return sorted(held, key=str) if isinstance(value, set | frozenset) else held
    return value if value is None or isinstance(value, bool | int) else _clean(str(value), _LONGEST_VALUE)


def _clean(text: str, longest: int) -> str:
    # PostgreSQL takes neither NUL nor half a character.
    return str(text).replace("\0", "").encode(errors="replace").decode()[:longest]

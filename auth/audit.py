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
from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError

from auth import audit_chain
from auth.audit_kinds import KINDS as KINDS
from auth.audit_models import AuditEvent
from auth.audit_signing import sign_event
from auth.models import SERVICE_DOMAIN, Group, Role, User
from auth.providers.models import MailDomain, ProviderConfig
from tenants.context import afterwards
from tenants.db import now

log = structlog.get_logger()

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
    name: str


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
    if (token_id := _token_of(by)) is not None:
        by, details = by._replace(kind="token"), {**details, "token": str(token_id)}
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
            return _user_party(thing.id, thing.email, thing.name)
        case ProviderConfig():
            return Party("provider", thing.id, thing.name)
        case MailDomain():
            return Party("domain", thing.id, thing.domain)
        case Group() | Role():
            return Party("group" if isinstance(thing, Group) else "role", thing.id, thing.name)
        case _:
            return _user_party(thing.user_id, thing.email, thing.name)


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
    # It is left to the next one, or the timer: the request has nothing to do with it, nor with rows changed by hand.
    except (SQLAlchemyError, ValueError, TypeError):
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
        return _user_party(identity.user_id, identity.email, identity.name)
    return NOBODY


def _token_of(by: Party) -> uuid.UUID | None:
    """The token by which that person calls in this request; None of a login session, and of anybody else."""
    identity = g.get("identity") if has_request_context() and by.kind == "user" else None
    if identity is None or identity.user_id != by.id or getattr(identity, "token", None) is None:
        return None
    found: uuid.UUID = identity.token.id
    return found


def _user_party(user_id: uuid.UUID | None, email: str, name: str) -> Party:
    """A person is named by their address; a service account, which has none, by its name."""
    if email.endswith(f"@{SERVICE_DOMAIN}"):
        return Party("service", user_id, name)
    return Party("user", user_id, email)


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

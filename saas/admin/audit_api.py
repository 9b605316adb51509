"""JSON of the audit log."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, g
from pydantic import AwareDatetime, BeforeValidator, Field, field_validator

from auth import audit, audit_retention
from auth.audit_models import AuditEvent
from auth.permissions import AccessPermission, requires
from saas.admin import audit_filters
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, first_page

bp = Blueprint("audit_api", __name__, url_prefix="/api/v1/audit")


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class AuditQuery(Paging):
    """Which events."""

    kind: Annotated[list[str], BeforeValidator(_listed), Field(max_length=100)] = []
    """Of these kinds; may be given several times."""
    who: Annotated[str, Field(max_length=audit_filters.LONGEST_WHO)] = ""
    """By or about somebody: an id, or a part of a name."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    """An event of that very moment is not in it."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kinds: list[str]) -> list[str]:
        if unknown := [kind for kind in kinds if kind not in audit.KINDS]:
            raise ValueError(f"there is no kind '{unknown[0][:100]}'")
        return kinds

    @field_validator("since", "until")
    @classmethod
    def _ordinary(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and not 1970 <= moment.year <= 9000:
            raise ValueError("must be a time between 1970 and 9000")
        return moment


class Party(Answer):
    """Who did it, or to whom or what it was done; names are as they were then."""

    kind: str
    id: uuid.UUID | None
    name: str


class EventJson(Answer):
    """Something that has happened."""

    id: uuid.UUID
    at: datetime
    kind: str
    actor: Party
    target: Party
    address: str
    agent: str
    request_id: str
    details: dict[str, Any]
    """A change is a list of old and new."""
    seq: int | None
    """Its place in the chain; null until it is sealed."""
    hash: str | None
    """SHA-256 over the hash of the event before and this one's content; null until it is sealed."""


@bp.get("")
@requires(AccessPermission.AUDIT_READ)
@operation("List events of the audit log", query=AuditQuery, returns=Page[EventJson], tag="Audit log")
def list_events(query: AuditQuery) -> Answerable:
    """A page of the events, newest first: of some kinds, by or about somebody, of a time."""
    wanted = audit_filters.Filter(tuple(query.kind), audit_filters.party(query.who.strip()), query.since, query.until)
    rows = wanted.search(before=query.after_id(), limit=query.limit + 1)
    shown, more = first_page(rows, query.limit, lambda row: [str(row.id)])
    return {"items": [as_json(row) for row in shown], "next_cursor": more}


@bp.get("/<uuid:event_id>")
@requires(AccessPermission.AUDIT_READ)
@operation("Show an event of the audit log", returns=EventJson, tag="Audit log")
def show(event_id: uuid.UUID) -> Answerable:
    """One event."""
    event: AuditEvent | None = g.db.find(AuditEvent, event_id)
    return as_json(found(event))


class Retention(Given):
    """For how many days events are kept; what is removed leaves a signed checkpoint."""

    days: Annotated[int, Field(ge=audit_retention.SHORTEST, le=audit_retention.LONGEST)]


@bp.get("/retention")
@requires(AccessPermission.AUDIT_READ)
@operation("Show how long events are kept", returns=Retention, tag="Audit log")
def show_retention() -> Answerable:
    """For how many days events are kept."""
    return {"days": audit_retention.kept_for()}


@bp.put("/retention")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Choose how long events are kept", body=Retention, returns=Retention, tag="Audit log")
def choose_retention(body: Retention) -> Answerable:
    """Keep events for that many days; older ones go when the log is sealed next."""
    audit_retention.keep_for(body.days, actor=g.identity)
    return body


def as_json(event: AuditEvent) -> EventJson:
    """An event for programs."""
    return EventJson(
        id=event.id,
        at=event.at,
        kind=event.kind,
        actor=Party(kind=event.actor_kind, id=event.actor_id, name=event.actor),
        target=Party(kind=event.target_kind, id=event.target_id, name=event.target),
        address=event.address,
        agent=event.agent,
        request_id=event.request_id,
        details=event.details,
        seq=event.seq,
        hash=event.hash,
    )

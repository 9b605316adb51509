"""JSON of the audit log."""

import uuid
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from auth.audit_models import AuditEvent
from auth.permissions import AccessPermission, requires
from saas.admin import audit_filters
from saas.api import InvalidFields, page_size, read_cursor, write_cursor

bp = Blueprint("audit_api", __name__, url_prefix="/api/v1/audit")


@bp.get("")
@requires(AccessPermission.AUDIT_READ)
def list_events() -> ResponseReturnValue:
    """A page of the events, newest first: of a `kind`, by or about somebody (`who`), `since` and `until` a time."""
    limit, after = page_size(), read_cursor(1)
    rows = audit_filters.of_api().search(before=_position(after) if after else None, limit=limit + 1)
    more = write_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
    return jsonify(items=[as_json(row) for row in rows[:limit]], next_cursor=more)


def as_json(event: AuditEvent) -> dict[str, Any]:
    """An event for programs. `seq` and `hash` are null until it is sealed."""
    return {
        "id": str(event.id),
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "kind": event.kind,
        "actor": {"kind": event.actor_kind, "id": _as_text(event.actor_id), "name": event.actor},
        "target": {"kind": event.target_kind, "id": _as_text(event.target_id), "name": event.target},
        "address": event.address,
        "agent": event.agent,
        "request_id": event.request_id,
        "details": event.details,
        "seq": event.seq,
        "hash": event.hash,
    }


def _as_text(value: uuid.UUID | None) -> str | None:
    return str(value) if value else None


def _position(cursor: list[str]) -> uuid.UUID:
    try:
        return uuid.UUID(cursor[0])
    except ValueError:
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}]) from None

"""The audit log as a file, page by page: whatever its length, one page is in memory, and no transaction is long."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any

from flask import Flask

from auth.audit_models import AuditEvent
from saas.admin.audit_api import as_json
from saas.admin.audit_filters import Filter
from tenants.context import Tenant, bound

AT_ONCE = 500

COLUMNS = (
    "at", "kind", "actor_kind", "actor", "actor_id", "target_kind", "target", "target_id", "address", "agent",
    "request_id", "details", "id", "seq", "hash",
)  # fmt: skip
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def as_csv(app: Flask, tenant: Tenant, wanted: Filter) -> Iterator[str]:
    """The lines of a table; the first names the columns."""
    yield _lines([COLUMNS])
    yield from _pages(app, tenant, wanted, lambda events: _lines(map(_row, events)))


def as_json_lines(app: Flask, tenant: Tenant, wanted: Filter) -> Iterator[str]:
    """One JSON object a line, as the API gives it."""

    def write(events: Sequence[AuditEvent]) -> str:
        return "".join(as_json(event).model_dump_json() + "\n" for event in events)

    yield from _pages(app, tenant, wanted, write)


def _pages(app: Flask, tenant: Tenant, wanted: Filter, write: Callable[[Sequence[AuditEvent]], str]) -> Iterator[str]:
    last = None
    while True:
        # The request is over by now, and its tenant forgotten; no context is open while the caller takes the page.
        with app.app_context(), bound(tenant, writes=False):
            events = wanted.search(before=last, limit=AT_ONCE)
            page = write(events)
        if events:
            last = events[-1].id
            yield page
        if len(events) < AT_ONCE:
            return


def _lines(rows: Any) -> str:
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows([_harmless(cell) for cell in row] for row in rows)
    return target.getvalue()


def _row(event: AuditEvent) -> list[Any]:
    cells = {name: getattr(event, name) for name in COLUMNS}
    cells["at"] = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    cells["details"] = json.dumps(event.details, ensure_ascii=False) if event.details else ""
    return ["" if cells[name] is None else cells[name] for name in COLUMNS]


def _harmless(cell: Any) -> str:
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text

"""What is looked for in the audit log, as the page and its exports take it from a request."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import request
from flask_babel import to_utc

from auth import audit
from auth.audit_models import AuditEvent

LONGEST_WHO = 320


@dataclass(frozen=True, slots=True)
class Filter:
    """Events of some kinds, by or about somebody, of a time; `until` itself is not in it."""

    kinds: tuple[str, ...] = ()
    party: uuid.UUID | str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def search(self, *, before: uuid.UUID | None = None, limit: int) -> Sequence[AuditEvent]:
        """The events, newest first."""
        return audit.search(
            kinds=self.kinds, party=self.party, since=self.since, until=self.until, before=before, limit=limit
        )

    def as_details(self) -> dict[str, Any]:
        """What was looked for, to be recorded."""
        named = {"kind": ", ".join(self.kinds), "who": self.party, "since": self.since, "until": self.until}
        return {name: value for name, value in named.items() if value}


def of_page() -> Filter:
    """What a person has chosen: days, of their time zone, the last one included. What is none of ours is left out."""
    last = _day("until")
    return Filter(
        kinds=tuple(kind for kind in request.args.getlist("kind") if kind in audit.KINDS),
        party=party(request.args.get("who", "").strip()[:LONGEST_WHO]),
        since=_begin(_day("since")),
        until=_begin(last + timedelta(days=1) if last else None),
    )


def chosen_days() -> tuple[date | None, date | None]:
    """The days that a person has chosen, for the form."""
    return _day("since"), _day("until")


def party(who: str) -> uuid.UUID | str | None:
    """Whom `who` means: an id, or a part of a name; None for nobody in particular."""
    try:
        return uuid.UUID(who)
    except ValueError:
        return who or None


def _day(name: str) -> date | None:
    try:
        found = date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None
    return found if 1970 <= found.year <= 9000 else None  # far from where a time zone leads out of the calendar


def _begin(day: date | None) -> datetime | None:
    if day is None:
        return None
    # Flask-Babel's zones may be pytz's, which are wrong by minutes when they are given to a datetime as they are.
    begin: datetime = to_utc(datetime.combine(day, time()))
    return begin.replace(tzinfo=UTC)

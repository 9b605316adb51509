"""What is looked for in the audit log, as the page, its exports and the API take it from a request."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import request
from flask_babel import to_utc

from auth import audit
from auth.audit_models import AuditEvent
from saas.api import InvalidFields

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
        party=_party(),
        since=_begin(_day("since")),
        until=_begin(last + timedelta(days=1) if last else None),
    )


def of_api() -> Filter:
    """What a program has asked for. Answers 422 for what cannot be."""
    kinds = tuple(request.args.getlist("kind"))
    if unknown := [kind for kind in kinds if kind not in audit.KINDS]:
        raise InvalidFields([{"field": "kind", "message": f"there is no kind '{unknown[0][:100]}'"}])
    return Filter(kinds, _party(), _moment("since"), _moment("until"))


def chosen_days() -> tuple[date | None, date | None]:
    """The days that a person has chosen, for the form."""
    return _day("since"), _day("until")


def _party() -> uuid.UUID | str | None:
    who = request.args.get("who", "").strip()[:LONGEST_WHO]
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


def _moment(name: str) -> datetime | None:
    given = request.args.get(name)
    if not given:
        return None
    try:
        found = datetime.fromisoformat(given)
        if found.tzinfo is None or not 1970 <= found.year <= 9000:
            raise ValueError
    except ValueError:
        message = "must be a time with its zone, for example 2030-01-31T12:00:00Z"
        raise InvalidFields([{"field": name, "message": message}]) from None
    return found

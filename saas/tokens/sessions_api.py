"""JSON of one's own login sessions: browsers and programs in which one is signed in."""

import uuid
from datetime import datetime
from typing import Literal

from flask import Blueprint, abort, g

from auth import audit, sessions
from auth.permissions import in_person
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Page, Paging, first_page

bp = Blueprint("sessions_api", __name__, url_prefix="/api/v1/sessions")


class SessionQuery(Paging):
    """In which order login sessions are listed."""

    sort: Literal["-seen", "seen", "created", "-created"] = "-seen"
    """seen: by when they were last used; with a minus the same one backwards."""


class SessionJson(Answer):
    """A login session."""

    id: uuid.UUID
    kind: Literal["browser", "api"]
    device: str
    """What the browser or program calls itself."""
    address: str
    provider: str
    """The source that has vouched for the person: `database`, or the id of a source."""
    methods: list[str]
    """How the person has proved who they are."""
    created_at: datetime
    seen_at: datetime
    """When it was last used, to the minute."""
    current: bool
    """Whether it is the caller's."""


class Ended(Answer):
    """How many login sessions have ended."""

    ended: int


@bp.get("")
@in_person
@operation("List own login sessions", query=SessionQuery, returns=Page[SessionJson], tag="Login sessions")
def list_sessions(query: SessionQuery) -> Answerable:
    """Where the caller is signed in, last used first unless sorted; without those that were unused for too long."""
    order, here = sessions.ORDERS[query.sort], g.identity.login.id
    place = query.place(order)
    rows = sessions.page_of(g.identity.user_id, sort=query.sort, limit=query.limit + 1, after=place)
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [sessions.describe(row, here) for row in shown if sessions.counts(row)], "next_cursor": more}


@bp.get("/<uuid:session_id>")
@in_person
@operation("Show a login session", returns=SessionJson, tag="Login sessions")
def show(session_id: uuid.UUID) -> Answerable:
    """One of the browsers and programs in which the caller is signed in."""
    row = found(sessions.find(session_id, user_id=g.identity.user_id))
    return sessions.describe(row, g.identity.login.id)


@bp.delete("/<uuid:session_id>")
@in_person
@operation("End a login session", tag="Login sessions")
def end(session_id: uuid.UUID) -> Answerable:
    """Sign out one browser or program of the caller, at once; the own one, too."""
    if not sessions.end(session_id, user_id=g.identity.user_id):
        abort(404)
    audit.record("sessions ended", audit.party_of(g.identity), details={"sessions": 1})


@bp.post("/end-others")
@in_person
@operation("End all other login sessions", returns=Ended, tag="Login sessions")
def end_others() -> Answerable:
    """Sign out everywhere but here."""
    ended = sessions.end_others(g.identity.user_id, g.identity.login.id)
    audit.record("sessions ended", audit.party_of(g.identity), details={"sessions": ended})
    return {"ended": ended}

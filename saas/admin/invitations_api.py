"""JSON of invitations: list, send, send again, revoke."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, abort, g, jsonify
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from auth import invitations
from auth.errors import InvalidAddresses, UnknownRole
from auth.models import Invitation, Role
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields, page_size, read_cursor, read_object, write_cursor

bp = Blueprint("invitations_api", __name__, url_prefix="/api/v1/invitations")

_Text = Annotated[str, StringConstraints(max_length=400)]


class NewInvitations(BaseModel):
    """The body that invites people."""

    model_config = ConfigDict(extra="forbid")

    emails: Annotated[list[_Text], Field(min_length=1, max_length=invitations.MOST_AT_ONCE)]
    role: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """Without one, they are given the role of new members."""
    role_ends_at: AwareDatetime | None = None


@bp.get("")
@requires(AccessPermission.MEMBER_MANAGE)
def list_invitations() -> ResponseReturnValue:
    """A page of the invitations that nobody has accepted, newest first, and how many there are."""
    limit, after = page_size(), read_cursor(1)
    page = invitations.list_pending(sort="-created", limit=limit + 1, after=_position(after) if after else None)
    rows = page.rows
    more = write_cursor(str(rows[limit - 1][0].id)) if len(rows) > limit else None
    return jsonify(items=[as_json(row, role) for row, role, _ in rows[:limit]], next_cursor=more, total=page.total)


@bp.post("")
@requires(AccessPermission.MEMBER_MANAGE)
def create() -> ResponseReturnValue:
    """Invite people, all or none."""
    try:
        given = NewInvitations.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None
    try:
        made = invitations.invite(given.emails, given.role or "", actor=g.identity, ends_at=given.role_ends_at)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    except InvalidAddresses as error:
        raise _invalid(error) from None
    return jsonify(items=[as_json(row, row.role) for row in made]), 201


@bp.post("/<uuid:invitation_id>/resend")
@requires(AccessPermission.MEMBER_MANAGE)
def resend(invitation_id: uuid.UUID) -> ResponseReturnValue:
    """Send a new link; the former ones do not count any more."""
    invitation = _get(invitation_id)
    try:
        if not invitations.resend(invitation, actor=g.identity):
            abort(404)
    except InvalidAddresses as error:
        raise _invalid(error) from None
    return jsonify(as_json(invitation, invitation.role))


@bp.delete("/<uuid:invitation_id>")
@requires(AccessPermission.MEMBER_MANAGE)
def revoke(invitation_id: uuid.UUID) -> ResponseReturnValue:
    """Take an invitation back."""
    if not invitations.revoke(_get(invitation_id), actor=g.identity):
        abort(404)
    return "", 204


def as_json(invitation: Invitation, role: Role) -> dict[str, Any]:
    """An invitation for programs; without its link, which is for whoever was invited."""
    return {
        "id": str(invitation.id),
        "email": invitation.email,
        "role": role.name,
        "role_ends_at": _as_time(invitation.role_ends_at),
        "invited_by": str(invitation.invited_by) if invitation.invited_by else None,
        "created_at": _as_time(invitation.created_at),
        "sent_at": _as_time(invitation.sent_at),
        "expires_at": _as_time(invitation.expires_at),
    }


def _get(invitation_id: uuid.UUID) -> Invitation:
    invitation = invitations.find_invitation(invitation_id)
    if invitation is None:
        abort(404)
    return invitation


def _invalid(error: InvalidAddresses) -> InvalidFields:
    return InvalidFields([{"field": "emails", "message": f"{typed}: {fault}"} for typed, fault in error.faults.items()])


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def _position(cursor: list[str]) -> uuid.UUID:
    try:
        return uuid.UUID(cursor[0])
    except ValueError:
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}]) from None

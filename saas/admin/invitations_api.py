"""JSON of invitations: list, send, send again, revoke."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import AwareDatetime, Field, StringConstraints

from auth import invitations
from auth.errors import InvalidAddresses, UnknownRole
from auth.invitations import Filter
from auth.models import Invitation, Role
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Paging, Search, first_page

bp = Blueprint("invitations_api", __name__, url_prefix="/api/v1/invitations")

_Text = Annotated[str, StringConstraints(max_length=400), Field(examples=["vera@example.com"])]


class InvitationQuery(Paging):
    """Which invitations, and in which order."""

    search: Search = ""
    """Part of the address."""
    state: Literal["open", "expired"] | None = None
    """Whether it can be accepted still."""
    role: uuid.UUID | None = None
    """Id of the role that they offer."""
    sort: Literal["-created", "created", "sent", "-sent", "email", "-email", "expires", "-expires"] = "-created"


class NewInvitations(Given):
    """The body that invites people."""

    emails: Annotated[list[_Text], Field(min_length=1, max_length=invitations.MOST_AT_ONCE)]
    role: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """Without one, they are given the role of new members."""
    role_ends_at: AwareDatetime | None = None


class InvitationJson(Answer):
    """Somebody who was invited; without the link, which is for them alone."""

    id: uuid.UUID
    email: str
    role: str
    role_ends_at: datetime | None
    invited_by: uuid.UUID | None
    created_at: datetime
    sent_at: datetime
    expires_at: datetime


class SentInvitations(Answer):
    """The invitations that were sent."""

    items: list[InvitationJson]


@bp.get("")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("List invitations", query=InvitationQuery, returns=CountedPage[InvitationJson], tag="Invitations")
def list_invitations(query: InvitationQuery) -> Answerable:
    """A page of the invitations that nobody has accepted, newest first unless sorted, and how many there are."""
    wanted, order = Filter(query.search, query.state or "", query.role), invitations.ORDERS[query.sort]
    page = invitations.list_pending(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(page.rows, query.limit, lambda found: order.write(found[0]))
    return {"items": [as_json(row, role) for row, role, _ in shown], "next_cursor": more, "total": page.total}


@bp.post("")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Invite people", body=NewInvitations, returns=SentInvitations, status=201, tag="Invitations")
def create(body: NewInvitations) -> Answerable:
    """Invite people, all or none; of one invitation, `Location` is the address."""
    try:
        made = invitations.invite(body.emails, body.role or "", actor=g.identity, ends_at=body.role_ends_at)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    except InvalidAddresses as error:
        raise _invalid(error) from None
    place = {"Location": url_for("invitations_api.show", invitation_id=made[0].id)} if len(made) == 1 else {}
    return {"items": [as_json(row, row.role) for row in made]}, 201, place


@bp.get("/<uuid:invitation_id>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Show an invitation", returns=InvitationJson, tag="Invitations")
def show(invitation_id: uuid.UUID) -> Answerable:
    """An invitation that nobody has accepted."""
    invitation = _get(invitation_id)
    return as_json(invitation, invitation.role)


@bp.post("/<uuid:invitation_id>/resend")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Send an invitation again", returns=InvitationJson, tag="Invitations")
def resend(invitation_id: uuid.UUID) -> Answerable:
    """Send a new link; the former ones do not count any more."""
    invitation = _get(invitation_id)
    try:
        if not invitations.resend(invitation, actor=g.identity):
            abort(404)
    except InvalidAddresses as error:
        raise _invalid(error) from None
    return as_json(invitation, invitation.role)


@bp.delete("/<uuid:invitation_id>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Take an invitation back", tag="Invitations")
def revoke(invitation_id: uuid.UUID) -> Answerable:
    """Take an invitation back; its link does not count any more."""
    if not invitations.revoke(_get(invitation_id), actor=g.identity):
        abort(404)


def as_json(invitation: Invitation, role: Role) -> InvitationJson:
    """An invitation for programs."""
    return InvitationJson(
        id=invitation.id,
        email=invitation.email,
        role=role.name,
        role_ends_at=invitation.role_ends_at,
        invited_by=invitation.invited_by,
        created_at=invitation.created_at,
        sent_at=invitation.sent_at,
        expires_at=invitation.expires_at,
    )


def _get(invitation_id: uuid.UUID) -> Invitation:
    invitation = invitations.find_invitation(invitation_id)
    if invitation is None:
        abort(404)
    return invitation


def _invalid(error: InvalidAddresses) -> InvalidFields:
    return InvalidFields([{"field": "emails", "message": f"{typed}: {fault}"} for typed, fault in error.faults.items()])

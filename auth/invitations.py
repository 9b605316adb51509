"""Asking people in by mail: with a role, perhaps for a time; the link counts once and for a week.

Nothing is given until somebody accepts (`auth/acceptance.py`); all the same, who invites has to be able to give the
role.
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import g
from flask_babel import format_timedelta
from flask_babel import gettext as _
from flask_security.utils import send_mail
from sqlalchemy import ColumnElement, Row, delete, func, select
from sqlalchemy.exc import IntegrityError

from auth import audit, default_role, guards, invitation_links, roles, throttle, users
from auth.errors import InvalidAddresses, NotAllowed, Throttled
from auth.identity import Identity
from auth.mail import LONGEST_ADDRESS
from auth.models import Invitation, Role, User
from auth.role_holders import label_of
from tenants.db import now
from tenants.keysets import Orders, Place

GOOD_FOR = timedelta(days=7)
MOST_AT_ONCE = 100
MOST_MAILS = 300
"""Invitations that one person sends within a window of `auth/throttle.py`."""
MOST_TO_ONE = 5
"""Invitations that are sent to one address within a window, whoever sends them."""

ORDERS = Orders(
    Invitation.id, created=(), sent=(Invitation.sent_at,), email=(Invitation.email,), expires=(Invitation.expires_at,)
)
"""Orders of the list."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which invitations are wanted; what is empty does not matter."""

    search: str = ""
    """Part of the address."""
    state: str = ""
    """open, or expired."""
    role: uuid.UUID | None = None
    """Id of the role that they offer."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list, and how many the whole has. Rows are of (Invitation, Role, name of who invited)."""

    rows: Sequence[Row[Invitation, Role, str]]
    total: int


def list_pending(
    wanted: Filter = Filter(), *, sort: str = "-sent", limit: int = 50, offset: int = 0, after: Place | None = None
) -> Page:
    """Invitations that nobody has accepted, also expired ones, in one of the orders of ORDERS, behind that place."""
    conditions = _conditions(wanted)
    statement = (
        select(Invitation, Role, User.name)
        .join(Role, (Role.tenant_id == Invitation.tenant_id) & (Role.id == Invitation.role_id))
        .outerjoin(User, (User.tenant_id == Invitation.tenant_id) & (User.id == Invitation.invited_by))
        .where(*conditions)
    )
    rows = g.db.execute(ORDERS[sort].page(statement, limit=limit, offset=offset, after=after)).all()
    return Page(rows, g.db.scalar(select(func.count(Invitation.id)).where(*conditions)))


def count_pending() -> int:
    """How many invitations wait for an answer that can be given still."""
    found: int = g.db.scalar(select(func.count(Invitation.id)).where(Invitation.expires_at > now()))
    return found


def find_invitation(invitation_id: uuid.UUID) -> Invitation | None:
    """The tenant's invitation of that id."""
    found: Invitation | None = g.db.find(Invitation, invitation_id)
    return found


def givable_roles(actor: Identity | None) -> list[Role]:
    """The roles with which the actor may invite."""
    return [role for role in roles.list_roles() if _may_give(actor, role)]


def invite(
    addresses: Sequence[str], role_name: str, *, actor: Identity | None, ends_at: datetime | None = None
) -> list[Invitation]:
    """Ask these people in, all or none, with a role that ends then, if at all; without a name, the default one.

    Commits what was done so far. Raises NotAllowed, UnknownRole, InvalidAddresses and Throttled.
    """
    users.check_may_manage(actor)
    role = roles.get_role(role_name) if role_name else default_role.required()
    roles.check_may_give(actor, role, expires_at=ends_at)
    guards.check_end(ends_at)
    if len(addresses) > MOST_AT_ONCE:
        raise NotAllowed(_("At most %(most)s people are invited at once.", most=MOST_AT_ONCE))
    emails = _usable(addresses)
    _count(emails, actor)
    made = [
        Invitation(email=email, role_id=role.id, role_ends_at=ends_at, **_sent_by(actor)) for email in emails.values()
    ]
    try:
        with g.db.begin_nested():
            lowered = [email.lower() for email in emails.values()]
            g.db.execute(
                delete(Invitation).where(func.lower(Invitation.email).in_(lowered), Invitation.expires_at <= now())
            )
            g.db.add_all(made)
    except IntegrityError:  # somebody was quicker by a moment
        raise InvalidAddresses(dict.fromkeys(emails, _("was invited in this moment, or another address was"))) from None
    for invitation in made:
        _send(invitation, role, actor)
    return made


def resend(invitation: Invitation, *, actor: Identity | None) -> bool:
    """Send a new link, good for another week, and void the former ones; from now on the actor answers for it.

    False when it was accepted or revoked meanwhile. Commits what was done so far. Raises NotAllowed and Throttled.
    """
    _check_may_change(invitation, actor)
    if invitation.role_ends_at is not None and invitation.role_ends_at <= now():
        raise NotAllowed(_("The role would have ended already. Revoke the invitation, and send another one."))
    _count({invitation.email: invitation.email}, actor)
    again = select(Invitation).where(Invitation.id == invitation.id).with_for_update()
    row = g.db.scalar(again.execution_options(populate_existing=True))
    if row is None:
        return False
    for name, value in _sent_by(actor).items():
        setattr(row, name, value)
    g.db.flush()
    _send(row, row.role, actor, again=True)
    return True


def revoke(invitation: Invitation, *, actor: Identity | None) -> bool:
    """Take an invitation back; False when it was accepted or revoked meanwhile. Raises NotAllowed."""
    _check_may_change(invitation, actor)
    role = label_of(invitation.role)
    if not g.db.execute(delete(Invitation).where(Invitation.id == invitation.id)).rowcount:
        return False
    audit.record("invitation revoked", _party(invitation), details={"role": role}, actor=actor)
    return True


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        found.append(Invitation.email.icontains(wanted.search, autoescape=True))
    if wanted.state:
        is_open = Invitation.expires_at > now()
        found.append(is_open if wanted.state == "open" else ~is_open)
    if wanted.role is not None:
        found.append(Invitation.role_id == wanted.role)
    return found


def _check_may_change(invitation: Invitation, actor: Identity | None) -> None:
    users.check_may_manage(actor)
    roles.check_may_give(actor, invitation.role, expires_at=invitation.role_ends_at)


def _may_give(actor: Identity | None, role: Role) -> bool:
    try:
        roles.check_may_give(actor, role)
    except NotAllowed:
        return False
    return True


def _usable(addresses: Sequence[str]) -> dict[str, str]:
    """The addresses as they were typed → in their normal form. Raises InvalidAddresses."""
    emails: dict[str, str] = {}
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for typed in addresses:
        try:
            email = _normal(typed)
        except ValueError:
            faults[typed[:LONGEST_ADDRESS]] = _("is no e-mail address")
            continue
        if email.lower() in seen:
            faults[typed] = _("is there more than once")
        seen.add(email.lower())
        emails[typed] = email
    known = _known(seen)
    faults |= {typed: known[email.lower()] for typed, email in emails.items() if email.lower() in known}
    if faults:
        raise InvalidAddresses(faults)
    if not emails:
        raise InvalidAddresses({_("Nobody"): _("give at least one address")})
    return emails


def _normal(typed: str) -> str:
    if len(typed) > LONGEST_ADDRESS:  # before it is normalised, which takes quadratic time
        raise ValueError
    try:
        return validate_email(typed.strip(), check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError:
        raise ValueError from None


def _known(lowered: set[str]) -> dict[str, str]:
    """Which of these addresses are a member's, or invited already, and what to say of it."""
    pending = select(func.lower(Invitation.email)).where(
        func.lower(Invitation.email).in_(lowered), Invitation.expires_at > now()
    )
    said = {email: _("is invited already; the invitation can be sent again") for email in g.db.scalars(pending)}
    members = select(func.lower(User.email), User.active).where(func.lower(User.email).in_(lowered))
    for email, active in g.db.execute(members):
        said[email] = _("is a member already") if active else _("is a deactivated member, who can be reactivated")
    return said


def _count(emails: Mapping[str, str], actor: Identity | None) -> None:
    """Count the mails that are about to be sent; the command line may send any number."""
    if actor is None:
        return
    if not throttle.spend(f"invitations by:{actor.user_id}", MOST_MAILS, len(emails)):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    many = [typed for typed, email in emails.items() if not throttle.spend(f"invited:{email.lower()}", MOST_TO_ONE)]
    if many:
        raise InvalidAddresses(dict.fromkeys(many, _("was sent several invitations just now; wait a while")))


def _sent_by(actor: Identity | None) -> dict[str, Any]:
    moment = now()
    return {
        "invited_by": actor.user_id if actor else None,
        "nonce": secrets.token_urlsafe(24),
        "sent_at": moment,
        "expires_at": moment + GOOD_FOR,
    }


def _send(invitation: Invitation, role: Role, actor: Identity | None, *, again: bool = False) -> None:
    ends = invitation.role_ends_at
    details = {"role": role.name, "role ends": ends.isoformat() if ends else None, "again": again}
    audit.record("invitation sent", _party(invitation), details=details, actor=actor)
    send_mail(
        _("Invitation to %(workspace)s", workspace=g.tenant.name),
        invitation.email,
        "security/email/invitation",
        user={"name": "", "email": invitation.email},
        inviter=actor.name or actor.email if actor else "",
        role=label_of(role),
        link=invitation_links.url_of(invitation),
        within=format_timedelta(GOOD_FOR, granularity="day", threshold=10),
    )


def _party(invitation: Invitation) -> audit.Party:
    return audit.Party("invitation", invitation.id, invitation.email)

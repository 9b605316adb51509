"""What login sessions have come from at web sources: ended from there, and signed out there, too."""

import uuid
from datetime import timedelta

from cryptography.fernet import InvalidToken, MultiFernet
from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import delete, false, or_, select

from auth.errors import SignInRefused
from auth.keys import box_of
from auth.models import LoginSession
from auth.providers.models import ProviderConfig, ProviderSession
from auth.providers.oauth import RemoteSession
from tenants.db import now

_LONGEST_TOKEN = 3 * 1024  # longer ones are not shown again: no address would hold them
_UNATTACHED_FOR = timedelta(hours=1)


def begin(config: ProviderConfig, there: RemoteSession) -> uuid.UUID | None:
    """Note what the sign-in under way in this browser comes from; `attach` follows when it ends well."""
    if not there.subject:
        return None
    g.db.execute(
        delete(ProviderSession).where(
            ProviderSession.login_session_id.is_(None), ProviderSession.created_at < now() - _UNATTACHED_FOR
        )
    )
    row = ProviderSession(provider_id=config.id, subject=there.subject, sid=there.sid)
    g.db.add(row)
    g.db.flush()  # it is encrypted for the row's id
    if there.id_token and len(there.id_token) <= _LONGEST_TOKEN:
        row.id_token = _box(row).encrypt(there.id_token.encode()).decode()
    return row.id


def attach(noted: str, login: LoginSession) -> None:
    """Let the login session end with what it comes from. Raises SignInRefused when that has ended meanwhile."""
    if not noted:
        return
    row = g.db.find(ProviderSession, uuid.UUID(noted))
    if row is None:
        raise SignInRefused(_("You have been signed out there meanwhile. Sign in again."))
    g.db.flush()  # the reference needs the login session's row
    row.login_session_id = login.id


def detach(login: LoginSession | None) -> str:
    """Let what a login session comes from outlive it, for the one that takes its place."""
    row = _of(login.id) if login is not None else None
    if row is None:
        return ""
    row.login_session_id = None
    g.db.flush()
    return str(row.id)


def end(config: ProviderConfig, *, subject: str = "", sid: str = "") -> int:
    """End the login sessions that come from that session there, or from all of that person's. Gives back how many."""
    if not subject and not sid:
        return 0
    matching = [ProviderSession.provider_id == config.id]
    matching += [ProviderSession.subject == subject] if subject else []
    if sid:
        # A sign-in whose token named no session may have been of this one.
        unnamed = (ProviderSession.sid == "") if subject else false()
        matching.append(or_(ProviderSession.sid == sid, unnamed))
    logins = select(ProviderSession.login_session_id).where(*matching, ProviderSession.login_session_id.is_not(None))
    ended: int = g.db.execute(delete(LoginSession).where(LoginSession.id.in_(logins))).rowcount
    # Who is asked for a second factor just now comes from it, too.
    g.db.execute(delete(ProviderSession).where(*matching))
    return ended


def of_login(login_id: uuid.UUID) -> tuple[ProviderConfig, str] | None:
    """The web source that a login session comes from, with the ID token to show there; None for others."""
    row = _of(login_id)
    config = g.db.find(ProviderConfig, row.provider_id) if row is not None else None
    if row is None or config is None:
        return None
    try:
        return config, _box(row).decrypt(row.id_token.encode()).decode() if row.id_token else ""
    except InvalidToken:  # the keys were changed since; one can sign out there without it
        return config, ""


def _of(login_id: uuid.UUID) -> ProviderSession | None:
    row: ProviderSession | None = g.db.scalar(
        select(ProviderSession).where(ProviderSession.login_session_id == login_id).limit(1)
    )
    return row


def _box(row: ProviderSession) -> MultiFernet:
    return box_of(current_app.extensions["tenants"].settings.encryption_keys, row.tenant_id, row.id)

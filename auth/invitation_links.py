"""The signed link of an invitation: whose workspace, for whom, and as what. It counts while all of that is so."""

import secrets
import uuid

from flask import current_app, g, url_for
from itsdangerous import BadData
from sqlalchemy import select

from auth import journeys
from auth.models import Invitation
from auth.serializer import TenantSerializer
from tenants.db import now


def url_of(invitation: Invitation) -> str:
    """The link to mail, at the tenant's own host."""
    return f"{journeys.own_url()}/invitation/{token_of(invitation)}"


def path_of(token: str) -> str:
    """The page of a link, on the host of this request."""
    return url_for("invitation.show", token=token)


def token_of(invitation: Invitation) -> str:
    """The signed part of the link."""
    token: str = _serializer().dumps(_content(invitation))
    return token


def find(token: str) -> Invitation | None:
    """The invitation that the link is of, as it is now; None for a link that was never ours, or counts no more."""
    content = _read(token)
    if content is None:
        return None
    wanted = select(Invitation).where(Invitation.id == uuid.UUID(content[1]))
    invitation: Invitation | None = g.db.scalar(wanted.execution_options(populate_existing=True))
    if invitation is None or not _same(content, _content(invitation)):
        return None
    moment, role_ends = now(), invitation.role_ends_at
    if invitation.expires_at <= moment or (role_ends is not None and role_ends <= moment):
        return None
    return invitation


def address_in(token: str) -> str:
    """The address for which the link was made, also when it was used since; empty for a link that was never ours."""
    content = _read(token)
    return content[2] if content is not None else ""


def _content(invitation: Invitation) -> list[str]:
    return [
        str(invitation.tenant_id),
        str(invitation.id),
        invitation.email,
        str(invitation.role_id),
        invitation.nonce,
    ]


def _same(given: list[str], current: list[str]) -> bool:
    return secrets.compare_digest("\0".join(given).encode(), "\0".join(current).encode())


def _read(token: str) -> list[str] | None:
    try:
        content = _serializer().loads(token)
    except BadData:
        return None
    if not isinstance(content, list) or len(content) != 5 or content[0] != str(g.tenant.id):
        return None
    return content


def _serializer() -> TenantSerializer:
    return TenantSerializer(current_app, "invitation")

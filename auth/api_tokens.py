"""Bearer tokens that stand for somebody with chosen permissions: issued, listed, revoked; people's own, above all.

Only the hash of the secret is kept: whoever makes a token sees it once. What a token may do is looked at whenever it is
used, and never more than its owner may do then (`auth/identity.py`).
"""

import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app, g, session
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import delete, func, select

from auth import audit, bearer, policy, token_secrets
from auth.client_models import AuthorizationCode, Consent
from auth.errors import NotAllowed
from auth.identity import SESSION, Identity
from auth.models import LoginSession, User
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tenants.keysets import LONG_AGO, Orders, Place, filled

PERSONAL, OAUTH = bearer.PERSONAL, bearer.OAUTH
LONGEST_NAME = 100
MOST = 100
"""Personal tokens of one person."""
ORDERS = Orders(ApiToken.id, created=(), name=(ApiToken.name,), used=(filled(ApiToken.last_used_at, LONG_AGO),))
"""Orders of a list of personal tokens; one that was never used comes before those that were."""
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # no time zone leads a moment before it out of the calendar


def issue(
    user_id: uuid.UUID,
    *,
    kind: str,
    permissions: Iterable[str],
    expires_at: datetime | None,
    name: str = "",
    scopes: Iterable[str] = (),
    client_id: uuid.UUID | None = None,
    family: uuid.UUID | None = None,
    **values: Any,
) -> tuple[ApiToken, str]:
    """A new token for a user and its secret, which is not kept. Whoever calls has looked at what it may do."""
    secret = token_secrets.make(token_secrets.PERSONAL if kind == PERSONAL else token_secrets.ACCESS)
    row = ApiToken(
        token_hash=token_secrets.digest(secret),
        kind=kind,
        user_id=user_id,
        client_id=client_id,
        family=family,
        name=name,
        permissions=sorted(set(permissions)),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        **values,
    )
    g.db.add(row)
    g.db.flush()
    return row, secret


def create(
    owner: Identity, name: str, permissions: Collection[str], expires_at: datetime | None
) -> tuple[ApiToken, str]:
    """A personal token of whoever is signed in: the row, and the secret to show once.

    Raises NotAllowed for permissions that they do not hold, for an end that the rules do not allow, and where only a
    sign-in of this moment would do.
    """
    check_recently_proved(owner)
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise NotAllowed(_("A name has 1 to %(most)s characters, all of which can be seen.", most=LONGEST_NAME))
    _check_permissions(owner, permissions)
    _check_end(expires_at)
    # Whoever else makes one for the same person waits here.
    user = g.db.get_one(User, (g.tenant.id, owner.user_id), with_for_update=True)
    if not user.active or user.fs_uniquifier != owner.handle:  # closed, or with another password, in this moment
        raise NotAllowed(_("Your account was changed in this moment. Sign in again."))
    mine = select(func.count()).select_from(ApiToken).where(ApiToken.user_id == user.id, ApiToken.kind == PERSONAL)
    if (g.db.scalar(mine) or 0) >= MOST:
        raise NotAllowed(_("You have %(most)s tokens, and more are not possible: revoke one first.", most=MOST))
    login = owner.login
    row, secret = issue(
        user.id,
        kind=PERSONAL,
        permissions=permissions,
        expires_at=expires_at,
        name=name,
        provider=login.provider if login is not None else "",
        single_sign_on=login is not None and login.is_single_sign_on,
    )
    details = {"name": name, "permissions": row.permissions, "expires_at": expires_at}
    audit.record("token created", user, details=details, actor=owner)
    return row, secret


def list_of(
    user_id: uuid.UUID, *, sort: str = "-created", limit: int | None = None, after: Place | None = None
) -> Sequence[ApiToken]:
    """A user's personal tokens, all or behind that place, in one of the orders of ORDERS; also those that are over."""
    mine = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.kind == PERSONAL)
    found: Sequence[ApiToken] = g.db.scalars(ORDERS[sort].page(mine, limit=limit, after=after)).all()
    return found


def find(token_id: uuid.UUID, *, user_id: uuid.UUID) -> ApiToken | None:
    """A user's personal token; None for what is none of theirs."""
    row: ApiToken | None = g.db.find(ApiToken, token_id)
    return row if row is not None and row.kind == PERSONAL and row.user_id == user_id else None


def revoke(row: ApiToken, *, actor: Identity | None) -> None:
    """End a personal token, from its next use on. Of others' tokens `auth.accounts.revoke_token` does."""
    owner = g.db.get_one(User, (g.tenant.id, row.user_id))
    audit.record("token revoked", owner, details={"name": row.name}, actor=actor)
    g.db.delete(row)
    g.db.flush()


def end_all(user_id: uuid.UUID) -> int:
    """End everything that programs show for a user, personal or of apps; gives back how many tokens there were."""
    return end_all_of([user_id])


def end_all_of(user_ids: Collection[uuid.UUID]) -> int:
    """The same of several users at once."""
    # Apps that are being given tokens come to an end first, so that these are seen (`auth/consents.py`).
    g.db.scalars(select(Consent.id).where(Consent.user_id.in_(user_ids)).order_by(Consent.id).with_for_update()).all()
    g.db.execute(delete(AuthorizationCode).where(AuthorizationCode.user_id.in_(user_ids)))
    g.db.execute(delete(RefreshToken).where(RefreshToken.user_id.in_(user_ids)))
    ended: int = g.db.execute(delete(ApiToken).where(ApiToken.user_id.in_(user_ids))).rowcount
    return ended


def revoke_family(family: uuid.UUID) -> None:
    """End all that has come of one sign-in by API or one consent, its login session included."""
    logins = select(RefreshToken.login_session_id).where(
        RefreshToken.family == family, RefreshToken.login_session_id.is_not(None)
    )
    g.db.execute(delete(LoginSession).where(LoginSession.id.in_(logins)))
    for model in (ApiToken, RefreshToken):
        g.db.execute(delete(model).where(model.family == family))


def ends_at(row: ApiToken) -> datetime | None:
    """When the token ends, by its own end or by the rules as they are now; None: not by itself."""
    days = policy.current().longest_token_days
    ends = [row.expires_at, row.created_at + timedelta(days=days) if days is not None else None]
    return min((end for end in ends if end is not None), default=None)


def latest_end() -> datetime | None:
    """When a token that is made now has to end at the latest; None: it need not."""
    days = policy.current().longest_token_days
    return now() + timedelta(days=days) if days is not None else None


def held_anywhere(owner: Identity) -> frozenset[str]:
    """What somebody may do on the whole workspace, or on some object."""
    return owner.permissions.union(*owner.objects.values())


def check_recently_proved(owner: Identity) -> None:
    """Raise NotAllowed unless whoever is signed in has proved who they are a short while ago: no token proves that.

    A token is a way in of its own, as a passkey is.
    """
    within = current_app.config["SECURITY_FRESHNESS"]
    if owner.means == SESSION:
        proved = time.time() - session.get("fs_paa", 0) < within.total_seconds()
    else:
        proved = owner.login is not None and now() - owner.login.created_at < within
    if not proved:
        raise NotAllowed(
            _("You signed in a while ago. Confirm who you are, or sign in again, and then make the token.")
        )


def _check_permissions(owner: Identity, permissions: Collection[str]) -> None:
    if not permissions:
        raise NotAllowed(_("Choose what the token may do."))
    if missing := set(permissions) - held_anywhere(owner):
        names = ", ".join(sorted(missing))
        raise NotAllowed(_("A token can do nothing that you cannot do: %(names)s.", names=names))


def _check_end(expires_at: datetime | None) -> None:
    days = policy.current().longest_token_days
    if expires_at is not None and not now() < expires_at < _LATEST:
        raise NotAllowed(_("The end of the token has to lie ahead, and not too far."))
    if days is None:
        return
    # A day's grace: who names a day means all of it.
    if expires_at is None or expires_at > now() + timedelta(days=days + 1):
        raise NotAllowed(
            ngettext(
                "In this workspace a token lasts %(num)s day at the most.",
                "In this workspace a token lasts %(num)s days at the most.",
                days,
            )
        )

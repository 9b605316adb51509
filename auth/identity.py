"""Who calls: login session or token to `g.identity` and `g.permissions`.

The statement that opens a request's transaction also reads the caller's login session, or token, and the tenant's
version. What
is known of a user is kept in the process and holds while that version is the one just read: any change of users,
roles, grants or groups raises it, so a right ends with the next request of every process.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import flask_principal
import flask_security
from flask import g
from flask_principal import ItemNeed, Need, RoleNeed, UserNeed

from auth import access_tokens, bearer, enforcement, policy, sessions
from auth.holdings import EVERYWHERE, effective, find_holder
from auth.models import LoginSession, User
from tenants.db import now

_MOST_SNAPSHOTS = 20_000
_snapshots: dict[tuple[uuid.UUID, uuid.UUID], "Snapshot"] = {}
_shared: dict[frozenset[Any], frozenset[Any]] = {}
_cuts: dict[tuple[uuid.UUID, uuid.UUID], tuple["Snapshot", frozenset[str], "Snapshot"]] = {}
SESSION, JWT = "session", "jwt"
"""Beside the kinds of tokens (`auth/bearer.py`), what can show who calls: a cookie, or an access token of our own."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A user and their rights as they were at `version`, and until `holds_until`, when a grant ends."""

    version: int
    holds_until: datetime | None
    handle: str
    name: str
    email: str
    locale: str | None
    timezone: str | None
    roles: tuple[str, ...]
    permissions: frozenset[str]
    objects: Mapping[tuple[str, uuid.UUID], frozenset[str]]
    needs: frozenset[Any]
    has_second_factor: bool


class Identity(flask_principal.Identity):
    """The caller, as Flask-Principal keeps it in `g.identity`; anonymous without a snapshot."""

    def __init__(
        self,
        user_id: uuid.UUID | None = None,
        snapshot: Snapshot | None = None,
        login: "sessions.Login | None" = None,
        *,
        token: bearer.Token | None = None,
        means: str = "",
        refused: bool = False,
    ) -> None:
        provider = login.provider if login else None
        super().__init__(user_id, auth_type=provider)  # type: ignore[no-untyped-call]  # Flask-Principal has no types
        self.user_id = user_id
        self.is_authenticated = snapshot is not None
        self.login = login
        self.token = token
        self.means = means
        """What shows who it is: session, jwt, personal or oauth; empty of nobody."""
        self.refused = refused
        """Whether the request shows a bearer token that is none: whoever sends it is not just nobody."""
        sso = login is not None and login.is_single_sign_on
        self.lacks_second_factor = snapshot is not None and login is not None and _lacks_factor(snapshot, sso=sso)
        self.handle = snapshot.handle if snapshot else ""
        self.name = snapshot.name if snapshot else ""
        self.email = snapshot.email if snapshot else ""
        self.locale = snapshot.locale if snapshot else None
        self.timezone = snapshot.timezone if snapshot else None
        self.roles = snapshot.roles if snapshot else ()
        self.permissions = snapshot.permissions if snapshot else frozenset[str]()
        self.objects = snapshot.objects if snapshot else MappingProxyType({})
        # Shared by all requests of the user, thus not the set that Flask-Principal would let everybody add to.
        self.provides = snapshot.needs if snapshot else frozenset()  # type: ignore[assignment]


def load_identity() -> Identity:
    """The identity of the current request. Flask-Principal's identity loader."""
    identity = _identify()
    g.permissions = identity.permissions
    return identity


def current_user() -> User:
    """The row of the caller, who is signed in; loaded on first use."""
    if g.identity.means not in ("", SESSION):
        found: User = g.db.get_one(User, (g.tenant.id, g.identity.user_id))
        return found
    user: User = flask_security.current_user._get_current_object()
    return user


def forget_identity(_sender: Any = None, **_: Any) -> None:
    """Drop what this package keeps in `g`."""
    for name in ("identity", "permissions", "shown"):
        g.pop(name, None)


def settle_identity(_sender: Any, identity: flask_principal.Identity) -> None:
    """Replace a bare Principal identity, set in the middle of a sign-in or sign-out, by an anonymous one of ours.

    The new login session counts from the next request on.
    """
    if not isinstance(identity, Identity):
        g.identity = Identity()
        g.permissions = frozenset()


def snapshot_of(user_id: uuid.UUID) -> Snapshot | None:
    """What is known of an active user of the bound tenant; None for an unknown or deactivated one."""
    key, version = (g.tenant.id, user_id), g.tenant.version
    known = _snapshots.get(key)
    if known is not None and known.version == version and (known.holds_until is None or known.holds_until > now()):
        return known
    holder = find_holder(user_id)
    if holder is None or not holder.active:
        _snapshots.pop(key, None)
        return None
    found = effective(holder.held)
    permissions = found[EVERYWHERE]
    objects = {(kind, object_id): given for (kind, object_id), given in found.items() if object_id is not None}
    roles = tuple(sorted({held.role for held in holder.held if held.object_id is None}))
    if len(_snapshots) >= _MOST_SNAPSHOTS:
        _snapshots.clear()
        _shared.clear()
    snapshot = _snapshots[key] = Snapshot(
        version=version,
        holds_until=min((held.expires_at for held in holder.held if held.expires_at), default=None),
        handle=holder.handle,
        name=holder.name,
        email=holder.email,
        locale=holder.locale,
        timezone=holder.timezone,
        roles=roles,
        permissions=_share(permissions),
        objects=MappingProxyType(objects),
        needs=_needs(user_id, roles, permissions, objects),
        has_second_factor=holder.has_second_factor,
    )
    return snapshot


def signed_in_by(login: "sessions.Login | LoginSession", means: str) -> Identity | None:
    """Whose login session that is, if it still lets somebody in from here; None otherwise."""
    snapshot = snapshot_of(login.user_id)
    if snapshot is None or not sessions.is_of(login, snapshot.handle):
        return None
    if not admits(login.user_id, snapshot, login.provider):
        return None
    return Identity(login.user_id, snapshot, sessions.as_value(login), means=means)


def lent_by(token: bearer.Token | None) -> Identity | None:
    """Whose token that is, with what is left of their rights, if it lets anybody in from here; None otherwise.

    This is asked of every token, by whatever way it comes: shown by a bearer, asked about at introspection, or as the
    code or refresh token that the next one is to be had for.
    """
    snapshot = snapshot_of(token.user_id) if token is not None else None
    if token is None or snapshot is None or not admits(token.user_id, snapshot, token.provider):
        return None
    identity = Identity(token.user_id, _cut(snapshot, token), token=token, means=token.kind)
    # A service account cannot have one; of all others a token knows by which source they had come.
    if token.kind == bearer.PERSONAL or token.provider:
        identity.lacks_second_factor = _lacks_factor(snapshot, sso=token.single_sign_on)
    return identity


def _identify() -> Identity:
    session, shown = g.get("db"), bearer.shown()
    if session is None:
        return Identity()
    answer = session.opening.answer
    if shown is None:
        return _by_login(sessions.of_opening(answer), SESSION) or Identity()
    if shown.kind == bearer.NOBODY:
        return Identity()
    found = None
    if shown.kind == bearer.TOKEN:
        found = _by_token(bearer.of_opening(answer))
    elif shown.kind == bearer.JWT:
        login = sessions.of_opening(answer)
        # Verifying takes longest: it is not done for a token that names nothing.
        found = _by_login(login, JWT) if login is not None and access_tokens.proves(shown.secret, login) else None
    return found or Identity(refused=True)


def _by_login(login: "sessions.Login | None", means: str) -> Identity | None:
    identity = signed_in_by(login, means) if login is not None else None
    if login is not None and identity is not None:
        sessions.touch(login)
    return identity


def _by_token(token: bearer.Token | None) -> Identity | None:
    identity = lent_by(token)
    if identity is not None and token is not None:
        bearer.touch(token)
    return identity


def admits(user_id: uuid.UUID, snapshot: Snapshot, provider: str) -> bool:
    """Whether somebody may be served here, and by what that source has said; a service account has none."""
    owner = "owner" in snapshot.roles
    if provider and not enforcement.allows(user_id, snapshot.email, provider, owner=owner):
        return False
    return policy.admits_caller()


def _cut(snapshot: Snapshot, token: bearer.Token) -> Snapshot:
    """What is left of somebody's rights when they use that token; roles only if they are left whole."""
    key = (token.id, token.user_id)
    known = _cuts.get(key)
    if known is not None and known[0] is snapshot and known[1] == token.permissions:
        return known[2]
    chosen = token.permissions
    objects = {place: kept for place, held in snapshot.objects.items() if (kept := held & chosen)}
    roles = snapshot.roles if snapshot.permissions <= chosen else ()
    permissions = _share(snapshot.permissions & chosen)
    cut = replace(
        snapshot,
        roles=roles,
        permissions=permissions,
        objects=MappingProxyType(objects),
        needs=_needs(token.user_id, roles, permissions, objects),
    )
    if len(_cuts) >= _MOST_SNAPSHOTS:
        _cuts.clear()
    _cuts[key] = (snapshot, chosen, cut)
    return cut


def _lacks_factor(snapshot: Snapshot, *, sso: bool) -> bool:
    """Whether the tenant's rules want a second factor of somebody without; an identity provider asks for its own."""
    if snapshot.has_second_factor or sso:
        return False
    return policy.current().wants_second_factor(snapshot.roles)


def _needs(
    user_id: uuid.UUID,
    roles: tuple[str, ...],
    permissions: frozenset[str],
    objects: Mapping[tuple[str, uuid.UUID], frozenset[str]],
) -> frozenset[Any]:
    needs: set[Any] = {UserNeed(user_id), *map(RoleNeed, roles)}
    # The form in which Flask-Security's own decorators ask.
    needs |= {Need("fsperm", permission) for permission in permissions}
    for (object_type, object_id), held in objects.items():
        needs |= {ItemNeed(permission, object_id, object_type) for permission in held}
    return frozenset(needs)


def _share(permissions: frozenset[str]) -> frozenset[str]:
    # Thousands of users hold the same few sets.
    return _shared.setdefault(permissions, permissions)

"""Programs that are known to a tenant: apps, for people who allow them, and the credentials of service accounts.

Whoever can have people sent elsewhere, or has the secret, is halfway to what the app or account may do: nobody
registers or changes one with permissions that they do not hold. Of a secret only the hash is kept.
"""

import re
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, select

from auth import audit, guards, redirect_uris, token_secrets
from auth.client_models import AuthorizationCode, OAuthClient
from auth.errors import InvalidClient, NotAllowed
from auth.identity import Identity
from auth.models import User
from auth.oauth_server import client_keys
from auth.permissions import AccessPermission
from auth.roles import usable_permissions
from auth.token_models import ApiToken, RefreshToken

APP, SERVICE = "app", "service"
SECRET, KEYS, NONE = "client_secret_basic", "private_key_jwt", "none"
"""How a client proves that it is itself; an app in people's hands, or in their browsers, cannot."""
METHODS: Mapping[str, tuple[str, ...]] = {APP: (SECRET, KEYS, NONE), SERVICE: (SECRET, KEYS)}
LONGEST_NAME = 100
MOST_CREDENTIALS = 10
_CLIENT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def check_may_manage(actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may register programs."""
    if actor is not None and AccessPermission.CLIENT_MANAGE not in actor.permissions:
        raise NotAllowed(
            _("Registering programs needs the permission “%(name)s”.", name=AccessPermission.CLIENT_MANAGE)
        )


def check_may_change(client: OAuthClient, actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor manages programs, and holds all that this one can be given."""
    check_may_manage(actor)
    if client.user_id is not None:
        guards.check_holds_all_of(actor, select(User.id).where(User.id == client.user_id))
    guards.check_holds(actor, frozenset(client.permissions) & known_permissions())


def known_permissions() -> frozenset[str]:
    """The permissions that there are: an app may have been registered for one that a release has taken away."""
    return frozenset(guards.catalogue().permissions)


def may_change(client: OAuthClient, actor: Identity) -> bool:
    """Whether the actor may change that program."""
    try:
        check_may_change(client, actor)
    except NotAllowed:
        return False
    return True


def add_app(
    name: str,
    *,
    redirects: Collection[str],
    permissions: Collection[str],
    auth_method: str = SECRET,
    jwks: Any = None,
    actor: Identity | None,
) -> tuple[OAuthClient, str]:
    """Register an app; gives back its secret, too, which nobody sees again (empty without one).

    Raises NotAllowed, InvalidClient, UnknownPermission.
    """
    check_may_manage(actor)
    wanted = usable_permissions(permissions)
    guards.check_holds(actor, wanted)
    client = _new(name, APP, auth_method, jwks, actor)
    client.redirect_uris = redirect_uris.usable(redirects)
    client.permissions = sorted(wanted)
    secret = _save(client)
    audit.record("app added", party_of(client), details=_described(client), actor=actor)
    return client, secret


def add_credential(
    account: User, name: str, *, auth_method: str = SECRET, jwks: Any = None, actor: Identity | None
) -> tuple[OAuthClient, str]:
    """Give a service account a credential; gives back its secret, too, which nobody sees again (empty without one).

    Raises NotAllowed, InvalidClient.
    """
    check_may_manage(actor)
    guards.check_holds_all_of(actor, select(User.id).where(User.id == account.id))
    if len(credentials_of(account.id)) >= MOST_CREDENTIALS:
        raise InvalidClient("name", _("A service account has at most %(most)s credentials.", most=MOST_CREDENTIALS))
    client = _new(name, SERVICE, auth_method, jwks, actor)
    client.user_id = account.id
    secret = _save(client)
    details = {"name": client.name, "client": client.client_id, "method": client.auth_method}
    audit.record("client added", account, details=details, actor=actor)
    return client, secret


def change_app(
    client: OAuthClient,
    *,
    name: str,
    redirects: Collection[str],
    permissions: Collection[str],
    actor: Identity | None,
) -> None:
    """Change an app. What it can no longer be given ends at once. Raises as `add_app` does."""
    check_may_change(client, actor)
    wanted = usable_permissions(permissions)
    guards.check_holds(actor, wanted)
    before = _described(client)
    taken = frozenset(client.permissions) - wanted
    client.name = usable_name(name)
    client.redirect_uris = redirect_uris.usable(redirects)
    client.permissions = sorted(wanted)
    if taken:  # its refresh tokens stay, and give less from now on
        g.db.execute(delete(ApiToken).where(ApiToken.client_id == client.id))
    if changed := audit.changes(before, _described(client)):
        audit.record("app changed", party_of(client), details=changed, actor=actor)


def switch(client: OAuthClient, *, active: bool, actor: Identity | None) -> None:
    """Switch an app on, or off: then every token that it has ends at once. Raises NotAllowed."""
    check_may_change(client, actor)
    if client.active == active:
        return
    client.active = active
    if not active:
        g.db.flush()  # first: it waits for whoever is being given tokens just now, so that these are seen
        end_tokens(client)
    audit.record("app enabled" if active else "app disabled", party_of(client), actor=actor)


def renew_secret(client: OAuthClient, *, actor: Identity | None) -> str:
    """A new secret in the place of the former one, which ends at once; it is shown once. Raises NotAllowed."""
    check_may_change(client, actor)
    if client.auth_method != SECRET:
        raise NotAllowed(_("This one has no secret."))
    secret = token_secrets.make(token_secrets.CLIENT)
    client.secret_hash = token_secrets.digest(secret)
    _note_proof(client, actor)
    return secret


def change_keys(client: OAuthClient, jwks: Any, *, actor: Identity | None) -> None:
    """Other public keys in the place of the former ones, which end at once. Raises NotAllowed, InvalidClient."""
    check_may_change(client, actor)
    if client.auth_method != KEYS:
        raise NotAllowed(_("This one has no keys."))
    client.jwks = client_keys.usable(jwks)
    _note_proof(client, actor)


def remove(client: OAuthClient, *, actor: Identity | None) -> None:
    """Remove an app with everything that people have allowed it, or a credential; its tokens end. Raises NotAllowed."""
    check_may_change(client, actor)
    kind = "app removed" if client.kind == APP else "client removed"
    audit.record(kind, _owner_of(client), details={"name": client.name, "client": client.client_id}, actor=actor)
    g.db.delete(client)
    g.db.flush()


def end_tokens(client: OAuthClient) -> None:
    """End whatever the client holds: tokens, and codes that it has not redeemed."""
    for model in (ApiToken, RefreshToken, AuthorizationCode):
        g.db.execute(delete(model).where(model.client_id == client.id))


def find_app(row_id: uuid.UUID) -> OAuthClient | None:
    """The app of that id (not what it calls itself)."""
    found: OAuthClient | None = g.db.find(OAuthClient, row_id)
    return found if found is not None and found.kind == APP else None


def find_credential(account: User, row_id: uuid.UUID) -> OAuthClient | None:
    """The credential of that id, if it is the account's."""
    found: OAuthClient | None = g.db.find(OAuthClient, row_id)
    return found if found is not None and found.user_id == account.id else None


def find_active(client_id: str) -> OAuthClient | None:
    """The program that calls itself so, unless it is switched off or its service account is."""
    # What no program is called need not be looked for, and PostgreSQL would not take it all.
    if not _CLIENT_ID.fullmatch(client_id):
        return None
    wanted = select(OAuthClient, User.active).where(OAuthClient.client_id == client_id, OAuthClient.active)
    wanted = wanted.outerjoin(User, (User.tenant_id == OAuthClient.tenant_id) & (User.id == OAuthClient.user_id))
    row = g.db.execute(wanted).one_or_none()
    if row is None or (row[0].kind == SERVICE and not row[1]):
        return None
    found: OAuthClient = row[0]
    return found


def credentials_of(account_id: uuid.UUID) -> Sequence[OAuthClient]:
    """The credentials of a service account, oldest first."""
    wanted = select(OAuthClient).where(OAuthClient.user_id == account_id).order_by(OAuthClient.id)
    found: Sequence[OAuthClient] = g.db.scalars(wanted).all()
    return found


def party_of(client: OAuthClient) -> audit.Party:
    """How an app is named in the audit log."""
    return audit.Party("app", client.id, client.name)


def usable_name(name: str) -> str:
    """The name as a program or service account can have it. Raises InvalidClient."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidClient("name", _("A name has 1 to %(most)s letters.", most=LONGEST_NAME))
    return name


def _new(name: str, kind: str, auth_method: str, jwks: Any, actor: Identity | None) -> OAuthClient:
    if auth_method not in METHODS[kind]:
        raise InvalidClient("auth_method", _("It proves itself by one of: %(ways)s.", ways=", ".join(METHODS[kind])))
    return OAuthClient(
        client_id=secrets.token_hex(16),
        name=usable_name(name),
        kind=kind,
        auth_method=auth_method,
        jwks=client_keys.usable(jwks) if auth_method == KEYS else None,
        active=True,
        created_by=actor.user_id if actor else None,
    )


def _save(client: OAuthClient) -> str:
    secret = token_secrets.make(token_secrets.CLIENT) if client.auth_method == SECRET else ""
    client.secret_hash = token_secrets.digest(secret) if secret else None
    g.db.add(client)
    g.db.flush()  # the audit log names its id
    return secret


def _note_proof(client: OAuthClient, actor: Identity | None) -> None:
    details = {"name": client.name, "client": client.client_id, "method": client.auth_method}
    audit.record("client proof changed", _owner_of(client), details=details, actor=actor)


def _owner_of(client: OAuthClient) -> audit.Target:
    account: User | None = g.db.find(User, client.user_id)
    return account if account is not None else party_of(client)


def _described(client: OAuthClient) -> dict[str, Any]:
    return {
        "name": client.name,
        "method": client.auth_method,
        "redirect_uris": list(client.redirect_uris),
        "permissions": list(client.permissions),
    }

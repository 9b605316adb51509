"""What a client asks about tokens that it has: whether one counts (RFC 7662), and that it no longer does (RFC 7009)."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from auth.oauth_server import issuing, openid, scopes
from auth.oauth_server.client import Client
from auth.oauth_server.metadata import issuer
from auth.oauth_server.proofs import METHODS
from auth.oauth_server.scopes import Scope
from auth.permissions import AccessPermission
from auth.token_models import ApiToken, RefreshToken


def _named(request: Any) -> str:
    # A hint only says where to look first (RFC 7009, section 2.1); a prefix says where, so that hints do not matter.
    token: str | None = request.form.get("token")
    if not token:
        raise InvalidRequestError("The token is missing.")
    return token


class Revocation(RevocationEndpoint):
    """Ends a token of the client's own; of another one's it says as little as of none."""

    CLIENT_AUTH_METHODS = METHODS

    def authenticate_token(self, request: Any, client: Client) -> ApiToken | RefreshToken | None:
        """The token, if it is this client's."""
        row = issuing.find_token(_named(request))
        return row if row is not None and row.client_id == client.row.id else None

    def revoke_token(self, token: Any, request: Any) -> None:
        """End it."""
        issuing.revoke(token)


class Introspection(IntrospectionEndpoint):
    """Tells of a token: to the client that it was given to, and to service accounts that may see all programs.

    The latter is for the tenant's own services, which are shown tokens and ask here what these are good for.
    """

    CLIENT_AUTH_METHODS = [method for method in METHODS if method != "none"]

    def authenticate_token(self, request: Any, client: Client) -> ApiToken | RefreshToken | None:
        """The token, if the client may know of it."""
        row = issuing.find_token(_named(request))
        return row if row is not None and _may_know(client, row) else None

    def create_introspection_payload(self, token: Any) -> dict[str, Any]:
        """What is answered; of what is over, unknown or none of the client's business always the same."""
        return self.introspect_token(token) if token is not None else {"active": False}

    def introspect_token(self, token: Any) -> dict[str, Any]:
        """What it is good for at this moment (RFC 7662, section 2.2): less than it says once its owner holds less."""
        held, client = scopes.held_by(token.user_id), issuing.client_of(token)
        if held is None or client is None or not client.active:
            return {"active": False}
        left = frozenset(token.permissions) & held
        if client.user_id is None:
            left &= frozenset(client.permissions)
        return {
            "active": True,
            "client_id": client.client_id,
            "token_type": "Bearer" if isinstance(token, ApiToken) else "refresh_token",
            "scope": str(Scope(left, frozenset(token.scopes))),
            "sub": openid.subject_of(token.user_id),
            "iss": issuer(),
            "aud": issuer(),
            "iat": int(token.created_at.timestamp()),
            "exp": int(token.expires_at.timestamp()) if token.expires_at is not None else None,
        }


def _may_know(client: Client, row: ApiToken | RefreshToken) -> bool:
    if row.client_id == client.row.id:
        return True
    return AccessPermission.CLIENT_READ in (scopes.held_by(client.row.user_id) or frozenset())

"""What a client asks about tokens that it has: whether one counts (RFC 7662), and that it no longer does (RFC 7009)."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from auth.oauth_server import issuing, openid, scopes, standing
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
        """The token, if it is this client's; a refresh token that is used up stands for those that came of it."""
        row = issuing.find_token(_named(request), used=True)
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
        """What it is good for at this moment (RFC 7662, section 2.2): less than it says once its owner holds less.

        Nothing where its bearer would be refused, who is taken to be where whoever asks is.
        """
        client = issuing.client_of(token)
        identity = standing.of(token, client) if client is not None else None
        if client is None or identity is None:
            return {"active": False}
        left = identity.permissions.union(*identity.objects.values())
        ends = issuing.ends_at(token)
        return {
            "active": True,
            "client_id": client.client_id,
            "token_type": "Bearer" if isinstance(token, ApiToken) else "refresh_token",
            "scope": str(Scope(left, frozenset(token.scopes))),
            "sub": openid.subject_of(token.user_id),
            "iss": issuer(),
            "aud": issuer(),
            "iat": int(token.created_at.timestamp()),
            "exp": int(ends.timestamp()) if ends is not None else None,
        }


def _may_know(client: Client, row: ApiToken | RefreshToken) -> bool:
    if row.client_id == client.row.id:
        return True
    return AccessPermission.CLIENT_READ in (scopes.held_by(client.row.user_id) or frozenset())

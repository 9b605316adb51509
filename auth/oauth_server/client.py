"""A registered program as Authlib asks for it."""

import secrets
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin

from auth import clients, redirect_uris, token_secrets
from auth.client_models import OAuthClient
from auth.oauth_server import scopes

_PROOFS = {clients.SECRET: frozenset({"client_secret_basic", "client_secret_post"})}
_GRANTS = {
    clients.APP: frozenset({"authorization_code", "refresh_token"}),
    clients.SERVICE: frozenset({"client_credentials"}),
}


class Client(ClientMixin):
    """What the OAuth 2 server may know of a row of `oauth_clients`."""

    def __init__(self, row: OAuthClient) -> None:
        self.row = row

    @property
    def client_id(self) -> str:
        """What it calls itself."""
        return self.row.client_id

    def get_client_id(self) -> str:
        """What it calls itself."""
        return self.row.client_id

    def get_default_redirect_uri(self) -> str:
        """None: every request names its own (OpenID Connect Core, section 3.1.2.1)."""
        return ""

    def get_allowed_scope(self, scope: Any) -> str:
        """The scope, if it may ask people for all of that, else nothing."""
        wanted = scopes.parse(scope)
        return str(wanted) if wanted.permissions <= frozenset(self.row.permissions) else ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it has registered that address."""
        return redirect_uris.is_registered(redirect_uri, self.row.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether that is its secret."""
        if self.row.secret_hash is None or not token_secrets.looks_right(client_secret, token_secrets.CLIENT):
            return False
        return secrets.compare_digest(token_secrets.digest(client_secret), self.row.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it proves itself so, at whatever endpoint: Authlib's own mixin says yes to all but one."""
        return method in _PROOFS.get(self.row.auth_method, {self.row.auth_method})

    def check_response_type(self, response_type: str) -> bool:
        """Whether it may send people here: only apps do, for a code."""
        return self.row.kind == clients.APP and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it gets tokens by that grant."""
        return grant_type in _GRANTS[self.row.kind]


def find_client(client_id: str) -> Client | None:
    """The program that calls itself so, unless it is switched off."""
    row = clients.find_active(client_id)
    return Client(row) if row is not None else None

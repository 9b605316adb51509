"""The grants: what a client asks for, and whether it is given. Authlib's, with what RFC 9700 asks of all of them."""

from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Request,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.errors import InvalidGrantError, OAuth2Error
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from auth import clients, policy, signing_keys
from auth.client_models import AuthorizationCode
from auth.oauth_server import issuing, scopes, standing
from auth.oauth_server.client import Client, find_client
from auth.oauth_server.issuing import Subject
from auth.oauth_server.proofs import METHODS, ProofFailed
from auth.oauth_server.scopes import Scope
from auth.token_models import RefreshToken

_CHALLENGE = 43
"""Characters of a SHA-256 hash in base64url (RFC 7636, section 4.2)."""
_NOT_TAKEN = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}
"""Parameters that OpenID Connect Core names an error for (section 3.1.2.6)."""


class Challenge(CodeChallenge):
    """PKCE for every client, secret or none, and with S256 only: Authlib asks public ones, and takes "plain"."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without a challenge, or with one of another method."""
        data = grant.request.payload.data
        if data.get("code_challenge_method") != "S256" or len(data.get("code_challenge") or "") != _CHALLENGE:
            raise InvalidRequestError("A code_challenge of the method S256 is needed.")
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge_method(self, authorization_code: Any) -> str:
        """S256: there is no other."""
        return "S256"


class Code(AuthorizationCodeGrant):
    """authorization_code: for an app, by a person's consent (RFC 6749, section 4.1)."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    request: Any  # here and below: Authlib's hints do not know what it has put there by then
    subject: Subject
    signed_in_at: datetime

    @classmethod
    def check_authorization_endpoint(cls, request: OAuth2Request) -> bool:
        """Yes: whatever is wrong with a request is looked at below, in our own words."""
        return True

    def validate_authorization_request(self) -> str:
        """The address to return to. Errors name it only once it is known to be the app's: no open redirect."""
        request = self.request
        if any(len(values) > 1 for values in request.payload.datalist.values()):
            raise InvalidRequestError("A parameter is given more than once.")
        client = find_client(request.payload.client_id or "")
        if client is None or client.row.kind != clients.APP:
            raise InvalidClientError(description="There is no such app.")
        redirect_uri: str = request.payload.redirect_uri or ""
        if not client.check_redirect_uri(redirect_uri):
            raise InvalidRequestError("The redirect_uri is not one that the app has registered.")
        request.client = client
        try:
            self._check_request(client)
            self.execute_hook("after_validate_authorization_request_payload", redirect_uri)
        except OAuth2Error as error:
            error.redirect_uri = redirect_uri
            raise
        return redirect_uri

    def _check_request(self, client: Client) -> None:
        data = self.request.payload.data
        for name, error in _NOT_TAKEN.items():
            if name in data:
                raise OAuth2Error("The request is taken in plain parameters only.", error=error)
        if not client.check_response_type(data.get("response_type") or ""):
            raise OAuth2Error("The only response_type is code.", error="unsupported_response_type")
        if data.get("response_mode", "query") != "query":
            raise InvalidRequestError("The only response_mode is query.")
        self.request.scope = client.get_allowed_scope(self.request.payload.scope)
        if not self.request.scope:
            raise InvalidScopeError("The app asks for nothing, or for what it is not registered for.")

    def generate_authorization_code(self) -> str:
        """A code for what the person has consented to: `subject` and `signed_in_at` were set by the page."""
        data = self.request.payload.data
        return issuing.begin_code(
            self.request.client.row,
            self.subject,
            redirect_uri=data["redirect_uri"],
            challenge=data["code_challenge"],
            nonce=data.get("nonce") or None,
            signed_in_at=self.signed_in_at,
        )

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Nothing: it is kept where it is made."""

    def query_authorization_code(self, code: str, client: Any) -> "HeldCode | None":
        """The code, if it is this client's and still good."""
        row = issuing.find_code(code, client.row)
        return HeldCode(row) if row is not None else None

    def authenticate_user(self, authorization_code: Any) -> Subject | None:
        """For whom the tokens are: here the code is used up."""
        row, client = authorization_code.row, self.request.client
        if scopes.OPENID in row.scopes:
            signing_keys.ensure()  # first: whoever ends tokens locks the tenant before what is held here
        if not _is_lent(row, client) or not issuing.use_code(row, client.row):
            return None
        scope = _left(row, client)
        subject = Subject(row.user_id, scope, row.provider, row.family, row.signed_in_at, row.created_at)
        return subject if scope else None

    def delete_authorization_code(self, authorization_code: Any) -> None:
        """Nothing: a code that was used stays for a while, to be known when it is shown again."""


class Refresh(RefreshTokenGrant):
    """refresh_token: a new pair in the place of the former one (RFC 6749, section 6; RFC 9700, section 4.14)."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    request: Any

    def authenticate_refresh_token(self, refresh_token: str) -> Any:
        """The token, if it is this client's and still good."""
        row = issuing.find_refresh(refresh_token, self.request.client.row)
        return HeldRefresh(row) if row is not None else None

    def authenticate_user(self, refresh_token: Any) -> Subject | None:
        """For whom the new tokens are: here the former one is used up."""
        row, client = refresh_token.row, self.request.client
        if not _is_lent(row, client) or not issuing.use_refresh(row, client.row):
            raise InvalidGrantError("The refresh token counts no more.")
        scope = _left(row, client)
        if not scope:
            raise InvalidGrantError("Nothing is left of what was consented to.")
        times = (row.signed_in_at, row.allowed_at, row.family_expires_at)
        return Subject(row.user_id, scope, row.provider, row.family, *times)

    def revoke_old_credential(self, refresh_token: Any) -> None:
        """Nothing: it is used up, and stays to be known when it is shown again."""


class Credentials(ClientCredentialsGrant):
    """client_credentials: for a service account (RFC 6749, section 4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = [method for method in METHODS if method != "none"]

    request: Any

    def create_token_response(self) -> Any:
        """A token with what is asked for, or with all that the account holds; no refresh token."""
        client: Client = self.request.client
        user_id = client.row.user_id
        held = scopes.held_by(user_id)
        if user_id is None or held is None or not standing.hold(client.row, user_id):
            raise ProofFailed
        if not policy.admits_caller():
            raise UnauthorizedClientError("The workspace is open from its own networks only, and this is none of them.")
        asked = self.request.payload.scope
        scope = scopes.parse(asked) if asked else Scope(held)
        if scope.identity or not scope.permissions <= held:
            raise InvalidScopeError("The service account does not hold all of that.")
        token = issuing.give(client.row, Subject(user_id, scope), scope, refresh=False)
        return 200, token, self.TOKEN_RESPONSE_HEADER


class HeldCode:
    """A code as Authlib asks for it."""

    def __init__(self, row: AuthorizationCode) -> None:
        self.row = row
        self.code_challenge = row.code_challenge

    def get_redirect_uri(self) -> str:
        """The address that the code was sent to."""
        return self.row.redirect_uri

    def get_scope(self) -> str:
        """What was consented to."""
        return str(Scope(frozenset(self.row.permissions), frozenset(self.row.scopes)))


class HeldRefresh:
    """A refresh token as Authlib asks for it."""

    def __init__(self, row: RefreshToken) -> None:
        self.row = row

    def check_client(self, client: Client) -> bool:
        """Whether it is this client's."""
        return self.row.client_id == client.row.id

    def get_scope(self) -> str:
        """What may be asked for at most."""
        return str(Scope(frozenset(self.row.permissions), frozenset(self.row.scopes)))


def _is_lent(row: AuthorizationCode | RefreshToken, client: Client) -> bool:
    """Whether whoever has the token that is asked for would be let in with it; true until it is given."""
    return standing.hold(client.row, row.user_id) and standing.of(row, client.row) is not None


def _left(row: AuthorizationCode | RefreshToken, client: Client) -> Scope:
    """What is left of what was consented to: an app can have been cut down since."""
    return Scope(frozenset(row.permissions) & frozenset(client.row.permissions), frozenset(row.scopes))

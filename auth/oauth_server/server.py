"""Authlib's authorization server, put together once for all tenants: what it is asked about is the bound tenant's."""

from collections.abc import Collection
from typing import Any, cast

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Payload, FlaskOAuth2Request
from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc9207 import IssuerParameter
from flask import Request, Response, request
from flask.typing import ResponseReturnValue

from auth.identity import Identity
from auth.oauth_server import issuing, metadata, scopes
from auth.oauth_server.client import Client, find_client
from auth.oauth_server.grants import Challenge, Code, Credentials, Refresh
from auth.oauth_server.issuing import Subject
from auth.oauth_server.openid import IdToken
from auth.oauth_server.proofs import Assertion, check_one_way, check_same, refused
from auth.oauth_server.scopes import Scope
from auth.oauth_server.token_endpoints import Introspection, Revocation
from tenants.db import now

GRANT_TYPES = frozenset({grant.GRANT_TYPE for grant in (Code, Credentials, Refresh)})
_USED_EVERY = 60  # seconds


class Payload(FlaskOAuth2Payload):
    """The parameters, from the one place where they belong: Authlib would mix the address with the form."""

    def __init__(self, request: Request, *, form: bool) -> None:
        super().__init__(request)
        self._given = request.form if form else request.args

    @property
    def data(self) -> Any:
        """The form that a program sends, or the address to which an app sends people."""
        return self._given


class Asked(FlaskOAuth2Request):
    """A request as Authlib reads it."""

    def __init__(self, request: Request, *, form: bool) -> None:
        # Whether the way here is encrypted is settled by SAAS_SCHEME; Authlib would judge by what a proxy has left.
        address = f"https://{request.host}{request.path}"
        OAuth2Request.__init__(self, request.method, address, headers=request.headers)  # type: ignore[call-overload]  # a hint too narrow
        self._request = request
        self.payload = Payload(request, form=form)


class Issuer(IssuerParameter):
    """Names the tenant in each answer that goes by the browser: no other server's is taken for it (RFC 9207)."""

    def get_issuer(self) -> str:
        """The bound tenant."""
        return metadata.issuer()


class Server(AuthorizationServer):
    """The authorization server; stateless, so that all tenants and threads share it."""

    def create_oauth2_request(self, _request: Any) -> Asked:
        """The request that is under way."""
        return Asked(request, form=request.endpoint != "oauth.authorize")

    def authenticate_client(self, request: Any, methods: Collection[str], endpoint: str = "token") -> Client:
        """The client, if it is proved to be that; a failure says nothing of why. Raises Throttled."""
        check_one_way(request, request.form)
        try:
            client = cast("Client", super().authenticate_client(request, methods, endpoint))
            check_same(request.form, client.client_id)
        except (InvalidClientError, ValueError) as error:
            raise refused(error) from None
        row, moment = client.row, now()
        if row.last_used_at is None or (moment - row.last_used_at).total_seconds() >= _USED_EVERY:
            row.last_used_at = moment
        return client

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def examine(self, person: Identity | None) -> Code:
        """What an app asks that person for. Raises OAuth2Error."""
        return cast("Code", self.get_consent_grant(end_user=person))  # type: ignore[no-untyped-call]  # no hints

    def see_off(self, grant: Code, person: Identity | None) -> Response:
        """Send the browser back with a code, or with a refusal from nobody."""
        return self._name_issuer(self.create_authorization_response(grant.request, grant_user=person, grant=grant))

    def send_back(self, error: OAuth2Error) -> Response:
        """Send the browser back with an error."""
        return self._name_issuer(self.handle_error_response(cast("Any", None), error))

    def answer(self, endpoint: str | None = None) -> ResponseReturnValue:
        """The answer of one of the endpoints for programs; without a name, of the one that gives tokens."""
        given = self.create_token_response() if endpoint is None else self._create_endpoint_response(endpoint)
        return cast("ResponseReturnValue", given)

    def _create_endpoint_response(self, endpoint: str) -> Any:
        return self.create_endpoint_response(endpoint)  # type: ignore[no-untyped-call]  # Authlib's has no hints

    def _name_issuer(self, response: Any) -> Response:
        # 303: whatever the browser has sent here, a form above all, is not sent there again (RFC 9700, section 4.12).
        response.status_code = 303
        _ISSUER.add_issuer_parameter(self, response)
        return cast("Response", response)


def _give(
    *, client: Client, user: Subject, scope: str, include_refresh_token: bool = False, **_options: Any
) -> dict[str, Any]:
    wanted, most = scopes.parse(scope), user.scope
    left = Scope(wanted.permissions & most.permissions, wanted.identity & most.identity)
    return issuing.give(client.row, user, left, refresh=include_refresh_token)


def _keep_token(_token: dict[str, Any], _request: Any) -> None:
    """Nothing: it is kept where it is made."""


def _build() -> Server:
    server = Server(query_client=find_client, save_token=_keep_token)
    server.register_token_generator("default", cast("Any", _give))
    server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion())
    server.register_grant(Code, [Challenge(required=True), IdToken()])
    server.register_grant(Refresh)
    server.register_grant(Credentials)
    server.register_endpoint(Introspection)
    server.register_endpoint(Revocation)
    return server


_ISSUER = Issuer()
SERVER = _build()

"""The OAuth 2 server's endpoints for programs: tokens, their end, who the person is, and what there is to know."""

from typing import Any

from authlib.consts import default_json_headers
from flask import Blueprint, g, jsonify, request
from flask.typing import ResponseReturnValue

from auth.bearer import OAUTH, accepts_bearer
from auth.csrf import from_machines
from auth.errors import SecondFactorNeeded
from auth.identity import current_user
from auth.oauth_server import metadata, openid, scopes
from auth.oauth_server.consent_views import authorize, resume
from auth.oauth_server.scopes import Scope
from auth.oauth_server.server import GRANT_TYPES, SERVER
from auth.permissions import public

bp = Blueprint("oauth", __name__)

bp.add_url_rule("/oauth/authorize", view_func=authorize, methods=["GET", "POST"])
bp.add_url_rule("/oauth/resume", view_func=resume)


@bp.post("/oauth/token")
@public
@from_machines
def token() -> ResponseReturnValue:
    """Give tokens for a code, a refresh token, or a service account's credentials (RFC 6749, section 3.2)."""
    if (refused := _refused()) is not None:
        return refused
    grant_type = request.form.get("grant_type")
    if not grant_type:
        return _error("invalid_request", "The grant_type is missing.")
    if grant_type not in GRANT_TYPES:
        return _error("unsupported_grant_type", "There is no such grant_type here.")
    return SERVER.answer()


@bp.post("/oauth/revoke")
@public
@from_machines
def revoke() -> ResponseReturnValue:
    """End a token (RFC 7009)."""
    return _refused() or SERVER.answer("revocation")


@bp.post("/oauth/introspect")
@public
@from_machines
def introspect() -> ResponseReturnValue:
    """Tell what a token is good for (RFC 7662)."""
    return _refused() or SERVER.answer("introspection")


@bp.route("/oauth/userinfo", methods=["GET", "POST"])
@public
@from_machines
@accepts_bearer
def userinfo() -> ResponseReturnValue:
    """Tell an app who the person is (OpenID Connect Core, section 5.3)."""
    held = g.identity.token
    if g.identity.means != OAUTH or held is None:
        shown = ', error="invalid_token"' if "Authorization" in request.headers else ""
        return _challenge(401, shown)
    if g.identity.lacks_second_factor:
        raise SecondFactorNeeded
    if scopes.OPENID not in held.scopes:
        return _challenge(403, ', error="insufficient_scope", scope="openid"')
    return jsonify(openid.claims_of(current_user(), str(Scope(identity=held.scopes))))


@bp.get("/.well-known/oauth-authorization-server")
@public
def server_metadata() -> ResponseReturnValue:
    """Describe the authorization server (RFC 8414)."""
    return jsonify(metadata.server())


@bp.get("/.well-known/openid-configuration")
@public
def provider_metadata() -> ResponseReturnValue:
    """Describe the OpenID provider (OpenID Connect Discovery 1.0)."""
    return jsonify(metadata.provider())


@bp.get("/.well-known/oauth-protected-resource")
@public
def resource_metadata() -> ResponseReturnValue:
    """Describe the API as what tokens are for (RFC 9728)."""
    return jsonify(metadata.resource())


def _refused() -> ResponseReturnValue | None:
    """What is wrong with a request before anybody is looked up (RFC 6749, sections 3.2 and 2.3.1)."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return _error("invalid_request", "The parameters are sent as a form.")
    if any(len(values) > 1 for values in request.form.listvalues()):
        return _error("invalid_request", "A parameter is given more than once.")
    if {"client_secret", "client_assertion", "refresh_token", "code", "token"} & request.args.keys():
        return _error("invalid_request", "Secrets do not belong into an address.")
    return None


def _error(error: str, description: str) -> ResponseReturnValue:
    body: dict[str, Any] = {"error": error, "error_description": description}
    return body, 400, default_json_headers


def _challenge(status: int, said: str) -> ResponseReturnValue:
    realm = f'Bearer realm="{metadata.issuer()}"{said}'
    return "", status, {"WWW-Authenticate": realm}

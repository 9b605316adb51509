"""What the OAuth 2 server and OpenID provider of a tenant says of itself: RFC 8414, RFC 9728, OpenID Discovery 1.0."""

from typing import Any

from flask import current_app, url_for

from auth import issuers
from auth.oauth_server import client_keys, scopes

PROOFS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]


def issuer() -> str:
    """The name of the bound tenant as issuer, on the host that was asked (`auth/issuers.py`)."""
    return issuers.asked()


def address(endpoint: str) -> str:
    """The full address of an endpoint, on the same host."""
    return issuer() + url_for(endpoint)


def server() -> dict[str, Any]:
    """The authorization server (RFC 8414, section 2)."""
    return {
        "issuer": issuer(),
        "authorization_endpoint": address("oauth.authorize"),
        "token_endpoint": address("oauth.token"),
        "revocation_endpoint": address("oauth.revoke"),
        "introspection_endpoint": address("oauth.introspect"),
        "jwks_uri": f"{issuer()}/.well-known/jwks.json",
        "scopes_supported": scopes.known(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*PROOFS, "none"],
        "token_endpoint_auth_signing_alg_values_supported": client_keys.ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": [*PROOFS, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": client_keys.ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": PROOFS,
        "introspection_endpoint_auth_signing_alg_values_supported": client_keys.ALGORITHMS,
        "authorization_response_iss_parameter_supported": True,
        "ui_locales_supported": list(current_app.extensions["tenants"].settings.languages),
    }


def provider() -> dict[str, Any]:
    """The OpenID provider (OpenID Connect Discovery 1.0, section 3)."""
    return server() | {
        "userinfo_endpoint": address("oauth.userinfo"),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "locale", "zoneinfo", "email",
            "email_verified",
        ],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }  # fmt: skip


def resource() -> dict[str, Any]:
    """The API, as what tokens are for (RFC 9728, section 2)."""
    return {
        "resource": issuer(),
        "authorization_servers": [issuer()],
        "scopes_supported": scopes.known(),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer()}/api/docs",
    }

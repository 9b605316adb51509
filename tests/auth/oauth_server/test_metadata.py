"""What the server says of itself (RFC 8414, RFC 9728, OpenID Connect Discovery 1.0)."""

from typing import Any

from authlib.oauth2 import rfc9207
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata
from flask import Flask

from tests.factories import Workspace
from tests.visitor import Visitor


def as_if_encrypted(told: Any) -> Any:
    """Authlib's check takes https only; the tests speak http."""
    if isinstance(told, dict):
        return {name: as_if_encrypted(value) for name, value in told.items()}
    return told.replace("http://", "https://") if isinstance(told, str) else told


def test_the_authorization_server_describes_itself(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    told = visitor.get("/.well-known/oauth-authorization-server").get_json()
    assert told["issuer"] == acme.url
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["authorization_response_iss_parameter_supported"] is True
    assert {"openid", "project:read"} <= set(told["scopes_supported"])
    checked = AuthorizationServerMetadata(as_if_encrypted(told))
    checked.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])


def test_the_openid_provider_describes_itself(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    told = visitor.get("/.well-known/openid-configuration").get_json()
    assert told["id_token_signing_alg_values_supported"] == ["ES256"]
    # Core 1.0, section 15.1, wants RS256 as well, and so does Authlib: all keys of a workspace are for ES256.
    checked = OpenIDProviderMetadata(as_if_encrypted(told) | {"id_token_signing_alg_values_supported": ["RS256"]})
    checked.validate()
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint"):
        assert told[name].startswith(f"{acme.url}/")
        assert visitor.get(told[name].removeprefix(acme.url)).status_code in (200, 400, 401, 405)


def test_the_api_says_who_gives_tokens_for_it(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    told = visitor.get("/.well-known/oauth-protected-resource").get_json()
    assert told["resource"] == acme.url
    assert told["authorization_servers"] == [acme.url]
    assert told["bearer_methods_supported"] == ["header"]


def test_each_workspace_names_itself(app: Flask, acme: Workspace, globex: Workspace) -> None:
    told = [Visitor(app, at.host).get("/.well-known/openid-configuration").get_json() for at in (acme, globex)]
    assert [one["issuer"] for one in told] == [acme.url, globex.url]

"""What may be saved as a web source: nothing that could not be verified."""

from typing import Any

import pytest
from flask import Flask

from auth.errors import InvalidProvider
from auth.providers import configs
from auth.providers.oauth import OAuth2Configuration, OidcConfiguration
from config.settings import SettingsError
from saas import create_app
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Workspace

OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}
ENTRA = {**OIDC, "preset": "entra", "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
DIRECTORY = "9122040d-6c67-4c5b-b112-36a304b66dad"
PLAIN = {
    "authorization_endpoint": "https://login.example.com/authorize",
    "token_endpoint": "https://login.example.com/token",
    "userinfo_endpoint": "https://login.example.com/me",
    "client_id": "tenantry",
}


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("oidc", {"client_id": "x"}, "issuer"),
        ("oidc", {"issuer": "https://login.example.com"}, "client_id"),
        ("oidc", OIDC | {"scopes": ["profile"]}, "openid has to be among them"),
        ("oidc", OIDC | {"issuer": "http://login.example.com"}, "https"),
        ("oidc", OIDC | {"issuer": "https://login.example.com?x=y"}, "without query"),
        ("oidc", OIDC | {"issuer": "https://login.example.com#x"}, "without query"),
        ("oidc", OIDC | {"issuer": "https://user@login.example.com"}, "must be an address"),
        ("oidc", OIDC | {"issuer": "javascript:alert(1)"}, "must be an address"),
        ("oidc", OIDC | {"issuer": "https://[::1"}, "must be an address"),
        ("oidc", OIDC | {"issuer": "https://login.example.com:x"}, "must be an address"),
        ("oidc", OIDC | {"issuer": "https://lögin.example.com"}, "must be an address"),
        ("oidc", OIDC | {"pkce": False}, "pkce"),
        ("oidc", OIDC | {"client_auth": "client_secret_jwt"}, "client_auth"),
        ("oidc", OIDC | {"preset": "facebook"}, "preset"),
        ("oidc", OIDC | {"max_age": -1}, "max_age"),
        ("oidc", OIDC | {"prompt": "none"}, "prompt"),
        ("oidc", OIDC | {"client_id": "a b"}, "client_id"),
        ("oidc", OIDC | {"directory_ids": ["everybody"]}, "directory_ids"),
        ("oidc", ENTRA, "directory_ids"),
        ("oauth2", PLAIN | {"scopes": ["openid"]}, "openid needs an issuer"),
        ("oauth2", PLAIN | {"token_endpoint": "http://login.example.com/token"}, "token_endpoint"),
        ("oauth2", {"client_id": "x"}, "authorization_endpoint"),
        ("platform", {"platform": "google"}, "does not offer"),
        ("saml", {}, "no kind of provider"),
    ],
)
def test_what_cannot_be_verified_is_refused_when_saved(
    app: Flask, acme: Workspace, kind: str, settings: dict[str, Any], said: str
) -> None:
    with inside(app, acme), pytest.raises(InvalidProvider, match=said):
        configs.add_provider("work", kind, settings, actor=None, secret="s3cret")
    with inside(app, acme):
        assert configs.list_configs() == []


def test_a_secret_is_needed_unless_there_is_none(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        with pytest.raises(InvalidProvider, match="secret: must be given"):
            configs.add_provider("work", "oidc", OIDC, actor=None)
        configs.add_provider("public", "oidc", OIDC | {"client_auth": "none"}, actor=None)


@pytest.mark.parametrize("secret", ["not a key", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", "{}"])
def test_private_key_jwt_takes_a_private_key_only(app: Flask, acme: Workspace, secret: str) -> None:
    with inside(app, acme), pytest.raises(InvalidProvider, match="private key"):
        configs.add_provider("work", "oidc", OIDC | {"client_auth": "private_key_jwt"}, actor=None, secret=secret)


@pytest.mark.parametrize(
    "changed", [{"issuer": "https://elsewhere.example"}, {"client_auth": "client_secret_post"}, {"insecure": True}]
)
def test_the_stored_secret_is_shown_to_no_other_server(app: Flask, acme: Workspace, changed: dict[str, Any]) -> None:
    with inside(app, acme):
        config = configs.add_provider("work", "oidc", OIDC, actor=None, secret="s3cret")
        with pytest.raises(InvalidProvider, match="give it again"):
            configs.change_provider(config, actor=None, settings=OIDC | changed)
        configs.change_provider(config, actor=None, settings=OIDC | {"max_age": 60})


def test_the_secret_is_encrypted_for_its_row(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        one = configs.add_provider("one", "oidc", OIDC, actor=None, secret="s3cret")
        two = configs.add_provider("two", "oidc", OIDC, actor=None, secret="other")
        assert "s3cret" not in str(one.secret)
        two.secret = one.secret
        with pytest.raises(InvalidProvider, match="cannot be read"):
            configs.change_provider(two, actor=None, settings=OIDC | {"max_age": 60})


def test_the_presets_know_what_is_special() -> None:
    entra = OidcConfiguration.model_validate(ENTRA | {"directory_ids": [DIRECTORY]})
    assert entra.subject_claims == ("tid", "oid")
    assert not entra.trust_email
    assert OidcConfiguration(preset="google", client_id="x").issuer == "https://accounts.google.com"
    github = OAuth2Configuration(preset="github", client_id="x")
    assert github.emails_endpoint == "https://api.github.com/user/emails"
    assert github.subject_claims == ("id",)
    assert github.issuer == "https://api.github.com"


@pytest.mark.parametrize(
    ("offer", "said"),
    [
        ("not json", "must be JSON"),
        ("[]", "dictionary"),
        ('{"google": {"preset": "google", "client_secret": "x"}}', "google: client_id"),
        ('{"google": {"preset": "google", "client_id": "x"}}', "google: secret: must be given"),
        ('{"work": {"issuer": "http://x.example", "client_id": "x", "client_secret": "s3cret"}}', "work: .*https"),
    ],
)
def test_a_faulty_offer_of_the_installation_is_refused_when_it_starts(
    sqlite_database: Database, offer: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        create_app(sqlite_database.settings(platform_providers=offer))
    assert "s3cret" not in str(caught.value)

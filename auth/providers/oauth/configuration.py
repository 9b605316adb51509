"""What an admin sets of a web source, validated as a whole; the presets fill in what is special about a provider."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from flask_babel import gettext as _
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from auth.providers.base import N_
from auth.providers.oauth.channel import trust
from auth.providers.oauth.presets import OAUTH2_PRESETS, OIDC_PRESETS
from auth.validation import about

TENANT_ID = "{tenantid}"
"""Stands in the issuer of Entra ID for the directory that the person belongs to."""
PrivateKey = RSAKey | ECKey | OKPKey

_Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255, pattern=r"^[\x21-\x7e]*$")]
_Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)]
_Claim = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
_Words = Annotated[tuple[_Word, ...], Field(max_length=32)]
_DIRECTORY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class WebConfiguration(BaseModel):
    """What OpenID Connect and plain OAuth 2 have in common, without the secret. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    secret_goes_by: ClassVar[frozenset[str]]
    """Settings that decide to whom the secret is shown."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    preset: str = Field("generic", description=N_("Kind of provider, which fills in what is special about it."))
    client_id: _Word = Field(min_length=1, description=N_("The id that the provider has given to this workspace."))
    client_auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"] = Field(
        "client_secret_basic", description=N_("How this client proves itself: client_secret_basic, client_secret_post,"
        " private_key_jwt (the secret is the private key, PEM) or none."),
    )  # fmt: skip
    key_id: _Word = Field("", description=N_("The kid under which the provider knows the key of private_key_jwt."))
    scopes: _Words = Field((), description=N_("What is asked for."))
    subject_claims: Annotated[tuple[_Claim, ...], Field(min_length=1, max_length=4)] = Field(
        ("sub",), description=N_("The claims that together never change of a person.")
    )
    email_claim: _Claim = Field("email", description=N_("Claim with the e-mail address."))
    name_claim: _Claim = Field("name", description=N_("Claim with the name of the person."))
    login_claim: _Claim = Field("preferred_username", description=N_("Claim with the user name."))
    locale_claim: _Claim = Field("locale", description=N_("Claim with the person's language."))
    groups_claim: _Claim = Field("", description=N_("Claim with the groups; nested: realm_access.roles."))
    trust_email: bool = Field(
        False,
        description=N_("Take addresses of the workspace's proved domains for verified, whatever the provider says."),
    )
    prompt: Literal["", "login", "consent", "select_account"] = Field(
        "", description=N_("What the provider shall ask.")
    )
    broker: bool = Field(
        False, description=N_("People come back by this installation's one address, auth.<base domain>.")
    )
    insecure: bool = Field(False, description=N_("Addresses without https: everybody on the way reads along."))
    ca_bundle: str | None = Field(None, description=N_("The authorities' certificates (PEM). Default: the usual ones."))

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        # What is left out, or empty, is the preset's.
        given = {name: value for name, value in given.items() if value not in (None, "", (), [])}
        preset = given.get("preset", "generic")
        if not isinstance(preset, str) or preset not in cls.presets:
            raise ValueError(about("preset", _("must be one of %(expected)s", expected=", ".join(cls.presets))))
        return {**cls.presets[preset], **given}

    @field_validator("ca_bundle")
    @classmethod
    def _check_bundle(cls, value: str | None) -> str | None:
        if value is not None:
            if len(value) > 200_000:
                raise ValueError(_("must be at most 200 kB"))
            trust(value)
        return value

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        for name in self.addresses:
            _check_address(name, getattr(self, name), insecure=self.insecure)
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """The settings that are addresses of the provider."""
        return ()

    def check_secret(self, secret: str | None) -> None:
        """Raise ValueError unless that is a secret for this configuration."""
        if self.client_auth == "none":
            return
        if not secret:
            raise ValueError(about("secret", _("must be given, unless the client has no proof (none)")))
        if self.client_auth == "private_key_jwt":
            private_key(secret)
        elif len(secret) > 1024:
            raise ValueError(about("secret", _("must not be longer than %(max_length)s characters", max_length="1024")))


class OidcConfiguration(WebConfiguration):
    """An OpenID Connect issuer, described by its discovery document."""

    secret_goes_by = frozenset({"issuer", "insecure", "ca_bundle", "client_auth"})
    presets = OIDC_PRESETS

    issuer: _Address = Field(min_length=1, description=N_("The issuer's address, as its tokens name it."))
    acr_values: _Words = Field((), description=N_("How the person has to be signed in there: one of these."))
    max_age: int | None = Field(None, ge=0, le=31_536_000, description=N_("Longest since the person's sign-in there."))
    hosted_domains: _Words = Field((), description=N_("Google: the Workspace domains whose people may come in."))
    directory_ids: _Words = Field((), description=N_("Entra ID: the directories (tid) whose people may come in."))
    sign_out: bool = Field(
        True, description=N_("Whether signing out here signs out there, too, where that is offered.")
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The settings that are addresses of the provider."""
        return ("issuer",)

    @field_validator("directory_ids")
    @classmethod
    def _check_directories(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_DIRECTORY.fullmatch(one) for one in value):
            raise ValueError(_("must be ids such as 9122040d-6c67-4c5b-b112-36a304b66dad, in lower case"))
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if "openid" not in self.scopes:
            said = _("openid has to be among them: without it, a provider is of the kind oauth2")
            raise ValueError(about("scopes", said))
        if TENANT_ID in self.issuer and not self.directory_ids:
            said = _("must say which directories' people may come in, or everybody could")
            raise ValueError(about("directory_ids", said))
        return self


class OAuth2Configuration(WebConfiguration):
    """A provider of plain OAuth 2: it says who somebody is at an address of its own."""

    secret_goes_by = frozenset({"token_endpoint", "insecure", "ca_bundle", "client_auth"})
    presets = OAUTH2_PRESETS

    authorization_endpoint: _Address = Field(min_length=1, description=N_("Where people are sent to sign in."))
    token_endpoint: _Address = Field(min_length=1, description=N_("Where the code is redeemed."))
    userinfo_endpoint: _Address = Field(min_length=1, description=N_("Where the provider says who the person is."))
    emails_endpoint: _Address = Field(
        "", description=N_("GitHub: where it lists addresses; the primary verified counts.")
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The settings that are addresses of the provider."""
        wanted = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
        return (*wanted, "emails_endpoint") if self.emails_endpoint else wanted

    @property
    def issuer(self) -> str:
        """What the people of this provider are known under, beside what never changes of each."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.userinfo_endpoint))

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if "openid" in self.scopes:
            said = _("openid needs an issuer, whose tokens can be verified: use the kind oidc")
            raise ValueError(about("scopes", said))
        return self


class PlatformConfiguration(BaseModel):
    """A provider that this installation offers to its tenants; its client is the operators'."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    secret_goes_by: ClassVar[frozenset[str]] = frozenset()

    platform: _Word = Field(min_length=1, description=N_("Its name in SAAS_PLATFORM_PROVIDERS."))
    hosted_domains: _Words = Field(
        default=(), description=N_("Google: the Workspace domains whose people may come in.")
    )
    directory_ids: _Words = Field(
        default=(), description=N_("Microsoft: the directories (tid) whose people may come in.")
    )
    groups_claim: _Claim = Field(default="", description=N_("Claim with the groups."))

    def check_secret(self, secret: str | None) -> None:
        """Raise ValueError for a secret: there is none of the tenant's."""
        if secret:
            raise ValueError(about("secret", _("a provider of the platform has none of yours")))


def private_key(pem: str) -> PrivateKey:
    """The private key in a text. Raises ValueError."""
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = kind.import_key(pem)
        except (ValueError, TypeError, JoseError):
            continue
        if key.is_private and _signs(key):
            return key
    said = _("must be a private key (PEM, without a password) for private_key_jwt: RSA, P-256, P-384, P-521 or Ed25519")
    raise ValueError(about("secret", said))


def _signs(key: PrivateKey) -> bool:
    """Whether it is of a kind with which clients prove themselves (RFC 7518, section 3.1; RFC 8037)."""
    return isinstance(key, RSAKey) or key.curve_name in ("P-256", "P-384", "P-521", "Ed25519")


def _check_address(name: str, address: str, *, insecure: bool) -> None:
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    plain = not (parts.query or parts.fragment or parts.username) if host else False
    if not host or not plain or parts.scheme not in ("https", "http") or not address.isascii():
        said = _("must be an address such as https://login.example.com, without query and fragment")
        raise ValueError(about(name, said))
    if parts.scheme == "http" and not insecure:
        said = _("must begin with https:// (http:// only without encryption, for trying on one machine)")
        raise ValueError(about(name, said))

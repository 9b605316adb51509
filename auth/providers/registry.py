"""Which providers a tenant has: its directories in their order, its web sources, and its own accounts."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import InvalidToken
from flask import current_app, g
from flask_babel import gettext as _
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from auth.keys import box_of
from auth.providers.database import DatabaseProvider
from auth.providers.ldap import LdapConfiguration, LdapProvider
from auth.providers.ldap.conversation import Access
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.models import ProviderConfig
from auth.providers.oauth import (
    OAuth2Configuration,
    OAuth2Provider,
    OidcConfiguration,
    OidcProvider,
    PlatformConfiguration,
    WebProvider,
)
from auth.providers.oauth import faults as oauth_faults
from auth.providers.oauth.configuration import TENANT_ID
from auth.providers.oauth.provider import Access as WebAccess
from auth.validation import about
from config.settings import SettingsError

DATABASE = DatabaseProvider()

_SOURCES = select(ProviderConfig).order_by(ProviderConfig.position, ProviderConfig.created_at, ProviderConfig.id)


def list_configs(*, enabled_only: bool = False) -> Sequence[ProviderConfig]:
    """The configured sources of the bound tenant, in their order."""
    found: Sequence[ProviderConfig] = g.db.scalars(_SOURCES).all()
    return [config for config in found if config.enabled or not enabled_only]


def provider_of(config: ProviderConfig) -> LdapProvider:
    """The directory that a configuration describes.

    Raises DirectoryFault when its secret cannot be decrypted any more, or its settings are not what this release
    takes: either way it cannot be asked.
    """
    try:
        configuration = LdapConfiguration.model_validate(config.settings)
    except ValidationError as error:
        raise DirectoryFault(Fault.ODD_ANSWER, f"the settings of '{config.name}' are not valid: {error}") from None
    try:
        return make_provider(config.id, configuration, open_secret(config))
    except InvalidToken:
        raise DirectoryFault(Fault.SECRET_LOST) from None


def make_provider(id: uuid.UUID, configuration: LdapConfiguration, secret: SecretStr | None) -> LdapProvider:
    """A directory of that configuration, saved or not."""
    return LdapProvider(id=str(id), access=Access(configuration, secret, _allowed_networks(), str(g.tenant.id)))


def web_provider_of(config: ProviderConfig) -> WebProvider:
    """The web source that a configuration describes. Raises OAuthFault as `provider_of` does."""
    try:
        configuration, secret = _web_configuration(config)
    except (ValueError, KeyError):
        raise oauth_faults.OAuthFault(oauth_faults.Fault.BAD_SETTINGS, config.name) from None
    except InvalidToken:
        raise oauth_faults.OAuthFault(oauth_faults.Fault.SECRET_LOST) from None
    access = WebAccess(configuration, secret, _allowed_networks(), str(g.tenant.id))
    if isinstance(configuration, OidcConfiguration):
        return OidcProvider(id=str(config.id), access=access)
    return OAuth2Provider(id=str(config.id), access=access)


def seal_secret(config: ProviderConfig, secret: str) -> str:
    """A secret as the row keeps it."""
    keys = current_app.extensions["tenants"].settings.encryption_keys
    return box_of(keys, config.tenant_id, config.id).encrypt(secret.encode()).decode()


def open_secret(config: ProviderConfig) -> SecretStr | None:
    """The secret of a row. Raises InvalidToken when the present keys do not open it."""
    if config.secret is None:
        return None
    keys = current_app.extensions["tenants"].settings.encryption_keys
    return SecretStr(box_of(keys, config.tenant_id, config.id).decrypt(config.secret.encode()).decode())


def platform_providers() -> Mapping[str, Mapping[str, Any]]:
    """The sources that this installation offers to its tenants, by name."""
    offered: Mapping[str, Mapping[str, Any]] = current_app.extensions["tenants"].settings.platform_providers
    return offered


def check_platform_providers(offered: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise SettingsError unless every source that this installation offers can be one."""
    for name, offer in offered.items():
        # Which directories' people may come in is said by the tenants, if the installation does not.
        somewhere = PlatformConfiguration(platform=name, directory_ids=("00000000-0000-0000-0000-000000000000",))
        is_for_any = TENANT_ID in str(offer.get("issuer")) and not offer.get("directory_ids")
        try:
            configuration, secret = read_platform(offer, somewhere if is_for_any else None)
            configuration.check_secret(secret.get_secret_value() if secret else None)
        except ValueError as error:
            # What pydantic says holds the values, secrets among them.
            faults = error.errors(include_input=False) if isinstance(error, ValidationError) else [{"msg": str(error)}]
            said = "; ".join(".".join(map(str, [*fault.get("loc", ()), fault["msg"]])) for fault in faults)
            raise SettingsError(f"SAAS_PLATFORM_PROVIDERS: {name}: {said}") from None


def read_platform(
    offer: Mapping[str, Any], wanted: PlatformConfiguration | None = None
) -> tuple[Any, SecretStr | None]:
    """Configuration and secret of a source of the platform, narrowed to what a tenant wants. Raises ValueError."""
    values = {name: value for name, value in offer.items() if name not in ("kind", "label", "client_secret")}
    kind = OAuth2Configuration if offer.get("kind", "oidc") == "oauth2" else OidcConfiguration
    if wanted is not None:
        values |= _narrowed(values, wanted, kind)
    # It has one redirect address, whoever asks, and signing out there is no tenant's to decide.
    values |= {"broker": True}
    secret = str(offer.get("client_secret") or "")
    configuration = kind.model_validate(values)
    return configuration, SecretStr(secret) if secret else None


def _narrowed(values: Mapping[str, Any], wanted: PlatformConfiguration, kind: type[Any]) -> dict[str, Any]:
    """What a tenant wants of an offer: less than that, never something else."""
    chosen = {name: value for name, value in wanted.model_dump(exclude={"platform"}).items() if value}
    for name, value in chosen.items():
        if name not in kind.model_fields:
            raise ValueError(about(name, _("the source that is offered has no such setting")))
        offered = values.get(name)
        if isinstance(value, tuple) and offered and not set(value) <= set(offered):
            said = _("the installation allows %(allowed)s only", allowed=", ".join(map(str, offered)))
            raise ValueError(about(name, said))
    return chosen


def _web_configuration(
    config: ProviderConfig,
) -> tuple[OidcConfiguration | OAuth2Configuration, SecretStr | None]:
    if config.kind == "platform":
        wanted = PlatformConfiguration.model_validate(config.settings)
        configuration: OidcConfiguration | OAuth2Configuration
        configuration, secret = read_platform(platform_providers()[wanted.platform], wanted)
        return configuration, secret
    if config.kind == "oauth2":
        return OAuth2Configuration.model_validate(config.settings), open_secret(config)
    return OidcConfiguration.model_validate(config.settings), open_secret(config)


def _allowed_networks() -> Any:
    settings = current_app.extensions["tenants"].settings
    return settings.allowed_networks if settings.outgoing_networks else ()

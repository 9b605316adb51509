"""Which providers a tenant has: its directories in their order, and its own accounts."""

import uuid
from collections.abc import Sequence

from cryptography.fernet import InvalidToken
from flask import current_app, g
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from auth.keys import box_of
from auth.providers.database import DatabaseProvider
from auth.providers.ldap import LdapConfiguration, LdapProvider
from auth.providers.ldap.conversation import Access
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.models import ProviderConfig

DATABASE = DatabaseProvider()

_DIRECTORIES = select(ProviderConfig).order_by(ProviderConfig.position, ProviderConfig.created_at, ProviderConfig.id)


def list_configs(*, enabled_only: bool = False) -> Sequence[ProviderConfig]:
    """The configured sources of the bound tenant, in their order."""
    found: Sequence[ProviderConfig] = g.db.scalars(_DIRECTORIES).all()
    return [config for config in found if config.enabled or not enabled_only]


def provider_of(config: ProviderConfig) -> LdapProvider:
    """The provider that a configuration describes.

    Raises DirectoryFault when its secret cannot be decrypted any more, or its settings are not what this release
    takes: either way it cannot be asked.
    """
    try:
        configuration = LdapConfiguration.model_validate(config.settings)
    except ValidationError as error:
        raise DirectoryFault(Fault.ODD_ANSWER, f"the settings of '{config.name}' are not valid: {error}") from None
    return make_provider(config.id, configuration, open_secret(config))


def make_provider(id: uuid.UUID, configuration: LdapConfiguration, secret: SecretStr | None) -> LdapProvider:
    """A provider of that configuration, saved or not."""
    settings = current_app.extensions["tenants"].settings
    allowed = settings.allowed_networks if settings.outgoing_networks else ()
    return LdapProvider(id=str(id), access=Access(configuration, secret, allowed, str(g.tenant.id)))


def seal_secret(config: ProviderConfig, secret: str) -> str:
    """A secret as the row keeps it."""
    keys = current_app.extensions["tenants"].settings.encryption_keys
    return box_of(keys, config.tenant_id, config.id).encrypt(secret.encode()).decode()


def open_secret(config: ProviderConfig) -> SecretStr | None:
    """The secret of a row. Raises DirectoryFault when the present keys do not open it."""
    if config.secret is None:
        return None
    keys = current_app.extensions["tenants"].settings.encryption_keys
    try:
        return SecretStr(box_of(keys, config.tenant_id, config.id).decrypt(config.secret.encode()).decode())
    except InvalidToken:
        raise DirectoryFault(Fault.SECRET_LOST) from None

"""Which providers a tenant has."""

from collections.abc import Sequence

from auth.providers.base import PasswordProvider
from auth.providers.database import DatabaseProvider
from tenants.context import Tenant

_DATABASE = DatabaseProvider()


def password_providers(tenant: Tenant) -> Sequence[PasswordProvider]:
    """The providers that the tenant's sign-in form asks, in order."""
    return (_DATABASE,)

"""What can go wrong around tenants.

TenancyError
 ├─ NoTenantBound          tenant data was asked for outside of any tenant
 ├─ CrossTenantAccess      one tenant's session met another tenant's data
 ├─ UnscopedStatement      a statement that the session cannot confine to its tenant
 ├─ UnsafeDatabaseRole     the application's database role could see past row-level security
 ├─ DatabaseUnavailable    the database does not answer: nobody's fault who asked
 ├─ InvalidSlug            not usable as the name of a workspace
 ├─ SlugTaken              in use, now or formerly
 └─ UnknownTenant          no tenant of that slug
"""


class TenancyError(Exception):
    """Base of this package's errors."""


class NoTenantBound(TenancyError):
    """Tenant data was asked for while no tenant was bound."""


class CrossTenantAccess(TenancyError):
    """A session bound to one tenant met data, or a context, of another."""


class UnscopedStatement(TenancyError):
    """Text or Core SQL was given to a tenant's session, which could not confine it to the tenant."""


class UnsafeDatabaseRole(TenancyError):
    """The database role of the application owns tables or bypasses row-level security."""


class DatabaseUnavailable(TenancyError):
    """The database could not be reached; the request may be tried again."""


class InvalidSlug(TenancyError, ValueError):
    """A slug that is no DNS label of 2 to 40 characters, or is reserved."""


class SlugTaken(TenancyError, ValueError):
    """A slug that another tenant has, or had."""


class UnknownTenant(TenancyError, LookupError):
    """No tenant has that slug."""

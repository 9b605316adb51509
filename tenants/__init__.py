"""Who is served: host to tenant, the session bound to it, and the walls around its data.

Promises: code that runs with a tenant bound sees that tenant's rows and no others; code that runs with none sees
no tenant's rows at all (`NoTenantBound`). Knows no user and no feature. May import `config`.
"""

from tenants.context import Tenant, bound
from tenants.extension import Tenants

__all__ = ["Tenant", "Tenants", "bound"]

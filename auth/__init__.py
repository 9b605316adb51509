"""Who calls, and what they may do.

Promises: every way in passes one gate; every endpoint declares its access or is refused; every decision can be
explained by the code that makes it; a right ends with the next request. Knows tenants, and no feature: a feature
registers its permissions here. May import `tenants` and `config`.
"""

from auth.extension import Auth

__all__ = ["Auth"]

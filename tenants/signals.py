"""What travels upward from this package."""

from blinker import Namespace

_signals = Namespace()

tenant_created = _signals.signal("tenant-created")
"""Sent inside the transaction that creates a tenant, with it bound. Arguments: tenant, owner (a mapping)."""

tenant_opening = _signals.signal("tenant-opening")
"""Sent when a request is about to begin its transaction. Argument: session. A receiver may give
`session.opening` a companion statement, answered in the same trip."""

tenant_unbound = _signals.signal("tenant-unbound")
"""Sent after a tenant was unbound from the application context. Receivers drop what they had kept in `g`."""

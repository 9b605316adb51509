"""What travels upward from this package."""

from typing import Any

from blinker import Namespace, Signal
from flask import current_app

_signals = Namespace()

tenant_created = _signals.signal("tenant-created")
"""Sent inside the transaction that creates a tenant, with it bound. Arguments: tenant, owner (a mapping)."""

tenant_opening = _signals.signal("tenant-opening")
"""Sent when a request is about to begin its transaction. Argument: session. A receiver may give
`session.opening` a companion statement, answered in the same trip."""

tenant_unbound = _signals.signal("tenant-unbound")
"""Sent after a tenant was unbound from the application context. Receivers drop what they had kept in `g`."""


def send(signal: Signal, **arguments: Any) -> None:
    """Send `signal` from the current application: receivers are connected to it, not to the proxy."""
    # Flask types the proxy as what it stands for.
    signal.send(current_app._get_current_object(), **arguments)  # type: ignore[attr-defined]

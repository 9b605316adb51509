"""What travels upward from this package."""

from blinker import Namespace

_signals = Namespace()

user_removed = _signals.signal("user-removed")
"""Sent before a user's row is deleted, in the same transaction: what refers to them has to let go. Argument: user."""

"""The navigation of the signed-in pages, to which features add, and what else every template is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, g, request, url_for

from auth.permissions import can


@dataclass(frozen=True, slots=True)
class Entry:
    """A link shown to those for whom `visible` holds. `label` is translated when it is shown."""

    endpoint: str
    label: Any
    icon: str
    visible: Callable[[], bool] = lambda: True


def init_app(app: Flask) -> None:
    """Give every template the caller, their tenant and their navigation."""
    app.extensions["navigation"] = []
    app.context_processor(_context)


def add(app: Flask, entry: Entry) -> None:
    """Add a link; the order is that of the calls."""
    app.extensions["navigation"].append(entry)


def _context() -> dict[str, Any]:
    identity = g.get("identity")
    return {
        "tenant": g.get("tenant"),
        "identity": identity,
        "permissions": g.get("permissions", frozenset()),
        "can": can,
        "navigation": _links() if identity is not None and identity.is_authenticated else [],
    }


def _links() -> list[dict[str, Any]]:
    here = request.blueprint if request else None
    return [
        {
            "label": str(entry.label),
            "url": url_for(entry.endpoint),
            "icon": entry.icon,
            "active": entry.endpoint.partition(".")[0] == here,
        }
        for entry in current_app.extensions["navigation"]
        if entry.visible()
    ]

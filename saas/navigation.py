"""The navigation of the signed-in pages, to which features add, and what else every template is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, g, request, url_for
from flask_babel import lazy_gettext

from auth.permissions import can
from saas import branding


@dataclass(frozen=True, slots=True)
class Entry:
    """A link shown to those for whom `visible` holds. `label` is translated when it is shown."""

    endpoint: str
    label: Any
    icon: str
    visible: Callable[[], bool] = lambda: True


ADMIN = lazy_gettext("Administration")
"""What leads to the pages of the section "admin", which have a navigation of their own below."""


def init_app(app: Flask) -> None:
    """Give every template the caller, their tenant and their navigation."""
    app.extensions["navigation"] = {"main": [], "admin": []}
    app.context_processor(_context)


def add(app: Flask, entry: Entry, *, section: str = "main") -> None:
    """Add a link to a section, main or admin; the order is that of the calls."""
    app.extensions["navigation"][section].append(entry)


def _context() -> dict[str, Any]:
    identity = g.get("identity")
    main, below = _links() if identity is not None and identity.is_authenticated else ([], [])
    return {
        "tenant": g.get("tenant"),
        "look": branding.look() if "tenant" in g else {},
        "identity": identity,
        "permissions": g.get("permissions", frozenset()),
        "can": can,
        "navigation": main,
        "subnavigation": below,
    }


def _links() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The main navigation, and that of the section in which this page is."""
    main, admin = (_shown(section) for section in ("main", "admin"))
    inside = any(link["active"] for link in admin)
    if admin:
        main.append({"label": str(ADMIN), "url": admin[0]["url"], "icon": "settings", "active": inside})
    return main, admin if inside else []


def _shown(section: str) -> list[dict[str, Any]]:
    here = (request.blueprint or "").partition(".")[0] if request else None
    return [
        {
            "label": str(entry.label),
            "url": url_for(entry.endpoint),
            "icon": entry.icon,
            "active": entry.endpoint.partition(".")[0] == here,
        }
        for entry in current_app.extensions["navigation"][section]
        if entry.visible()
    ]

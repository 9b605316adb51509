"""Flask-DebugToolbar, in `make dev` only; production does not even have it installed."""

from importlib import import_module
from importlib.util import find_spec

from flask import Flask

from config.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Add the toolbar when the reloader's debug mode is on in development."""
    if settings.env != "development" or not app.debug or find_spec("flask_debugtoolbar") is None:
        return
    app.config["DEBUG_TB_INTERCEPT_REDIRECTS"] = False
    import_module("flask_debugtoolbar").DebugToolbarExtension(app)

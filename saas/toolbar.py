"""Flask-DebugToolbar, in `make dev` only; production does not even have it installed."""

from importlib import import_module
from importlib.util import find_spec

from flask import Flask, Response

from auth.permissions import Access, declare
from config.settings import Settings

# The toolbar writes its script and style into the page.
_POLICY = "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'"


def init_app(app: Flask, settings: Settings) -> None:
    """Add the toolbar to the pages when debug mode is on in development."""
    if settings.env != "development" or not app.debug or find_spec("flask_debugtoolbar") is None:
        return
    app.config["DEBUG_TB_INTERCEPT_REDIRECTS"] = False
    # Not installed in production, so not imported at the top.
    import_module("flask_debugtoolbar").DebugToolbarExtension(app)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith("debugtoolbar."):
            declare(view, Access(public=True))

    @app.after_request
    def allow_inline(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        return response

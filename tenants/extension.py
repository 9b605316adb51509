"""The Flask extension: `Tenants(app, settings=...)`."""

from collections.abc import Callable

from flask import Flask, abort, request
from flask.typing import ResponseReturnValue

from config.settings import Settings
from tenants import cli
from tenants import request as hooks
from tenants.context import TenantGlobals
from tenants.engines import Engines
from tenants.resolver import Resolver


class Tenants:
    """Tenancy of one application: its engines, its resolver and its hooks.

    `apex` answers `/` on the hosts that are ours and serve no tenant; everything else there is 404.
    """

    def __init__(
        self,
        app: Flask | None = None,
        settings: Settings | None = None,
        apex: Callable[[], ResponseReturnValue] | None = None,
    ) -> None:
        self._apex = apex
        if app is not None and settings is not None:
            self.init_app(app, settings)

    def init_app(self, app: Flask, settings: Settings) -> None:
        """Set up tenancy on `app`; call it before anything that reads tenant data registers a hook."""
        self.settings = settings
        self.engines = Engines(settings)
        self.resolver = Resolver(settings.base_domain)
        app.extensions["tenants"] = self
        app.app_ctx_globals_class = TenantGlobals
        hooks.init_app(app)
        app.cli.add_command(cli.tenants)

    def answer_apex(self) -> ResponseReturnValue:
        """The answer to the current request on an apex host."""
        if self._apex is None or request.path != "/" or request.method not in ("GET", "HEAD"):
            abort(404)
        return self._apex()

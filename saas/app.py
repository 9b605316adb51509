"""The application factory: one page, in order; a line whose place matters says why."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy.exc import OperationalError
from structlog import get_logger
from werkzeug.middleware.proxy_fix import ProxyFix

from auth import Auth
from config.settings import Settings, load_settings
from saas import (
    admin,
    branding,
    caller_api,
    cli,
    cors,
    errors,
    headers,
    health,
    i18n,
    limits,
    metrics,
    navigation,
    observability,
    pages,
    projects,
    reference,
    tokens,
    toolbar,
)
from tenants import Tenants

FEATURES = (projects, admin, tokens)
"""Feature packages; each plugs itself in by `init_app(app)`."""


class Application(Flask):
    """Flask, in which every view and hook is synchronous: it need not find out at each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Give back the function."""
        return func


def create_app(settings: Settings | None = None, **overrides: Any) -> Flask:
    """Build the application. Without `settings` they are read from the environment; `overrides` win.

    Raises SettingsError, and in production UnsafeDatabaseRole.
    """
    settings = settings or load_settings(**overrides)
    app = Application(__name__)
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        SECRET_KEY_FALLBACKS=[key.get_secret_value() for key in settings.secret_key_fallbacks],
        PERMANENT_SESSION_LIFETIME=timedelta(days=settings.session_remembered_days),
        MAX_CONTENT_LENGTH=1024 * 1024,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(hours=1),  # of static files; each has an ETag too
        TESTING=settings.env == "testing",
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        # Flask's own way to wrap an application, though its type calls it a method.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]

    observability.init_app(app, settings)  # first hook: every line logged from here on names the request
    metrics.init_app(app, settings)  # before whatever takes its time with a request
    Tenants(app, settings, apex=pages.apex)  # before everything that reads tenant data, and the last to leave
    i18n.init_app(app, settings)  # before auth, whose forms are translated
    limits.init_app(app, settings)  # before auth: whoever is refused is counted, too
    cors.init_app(app)  # before auth: browsers ask without a token whether they may send one
    Auth(app, settings)
    limits.count_callers(app)  # after auth, which knows who calls
    navigation.init_app(app)
    navigation.add(app, pages.DASHBOARD)
    errors.init_app(app)
    headers.init_app(app, settings)
    for part in (health, pages, branding, caller_api, reference):
        app.register_blueprint(part.bp)
    for feature in FEATURES:
        feature.init_app(app)
    cli.init_app(app)
    toolbar.init_app(app, settings)
    if settings.production:
        _check_database(app)
    return app


def _check_database(app: Flask) -> None:
    try:
        app.extensions["tenants"].engines.shared.connect().close()
    except OperationalError as error:
        # Not a reason to stay down: the role is checked with the first connection there is.
        get_logger().error("the database does not answer yet", error=str(error.orig))
    if app.extensions["tenants"].engines.shared.dialect.name == "sqlite":
        get_logger().warning("SQLite: tenants are kept apart by the session alone; PostgreSQL adds row-level security")

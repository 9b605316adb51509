"""What programs show instead of a cookie: tokens by API, and the login sessions behind them. `init_app` plugs it in."""

from flask import Flask

from saas.tokens import allowed_apps_api, member_tokens_api, sessions_api, sign_in_api, tokens_api


def init_app(app: Flask) -> None:
    """Register the API."""
    for part in (sign_in_api, tokens_api, sessions_api, member_tokens_api, allowed_apps_api):
        app.register_blueprint(part.bp)

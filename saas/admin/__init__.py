"""What a tenant's administrators work with: their identity sources. Members, roles and the audit log will follow."""

from flask import Flask

from saas import navigation
from saas.admin import providers_api, sign_in_views


def init_app(app: Flask) -> None:
    """Plug the administration into `app`."""
    app.register_blueprint(providers_api.bp)
    app.register_blueprint(sign_in_views.bp)
    navigation.add(app, sign_in_views.ENTRY)

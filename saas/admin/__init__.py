"""What a tenant's administrators work with: their identity providers. Members, roles and the audit log will follow."""

from flask import Flask

from saas.admin import providers_api


def init_app(app: Flask) -> None:
    """Plug the administration into `app`."""
    app.register_blueprint(providers_api.bp)

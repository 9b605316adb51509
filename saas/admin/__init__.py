"""What a tenant's administrators work with: members, roles, how people sign in, and what has happened."""

from flask import Flask

from saas import navigation
from saas.admin import (
    branding_views,
    invitations_api,
    invitations_views,
    overview_views,
    policy_api,
    policy_views,
    providers_api,
    sign_in_views,
)

_PAGES = (
    overview_views,
    invitations_views,
    sign_in_views,
    policy_views,
    branding_views,
)
"""In the order in which the navigation shows them."""
_APIS = (invitations_api, policy_api, providers_api)


def init_app(app: Flask) -> None:
    """Plug the administration into `app`."""
    for part in _PAGES:
        app.register_blueprint(part.bp)
        navigation.add(app, part.ENTRY, section="admin")
    for api in _APIS:
        app.register_blueprint(api.bp)

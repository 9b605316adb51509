"""What a tenant's administrators work with: members, roles, how people sign in, and what has happened."""

from flask import Flask

from saas import navigation
from saas.admin import (
    audit_api,
    audit_views,
    branding_views,
    clients_api,
    clients_views,
    cross_origin_views,
    domains_api,
    grants_api,
    groups_api,
    groups_views,
    invitations_api,
    invitations_views,
    member_import_api,
    member_roles_api,
    members_api,
    members_views,
    overview_views,
    policy_api,
    policy_views,
    provider_rehearsals_api,
    provider_states_api,
    providers_api,
    provisioning_api,
    role_previews_api,
    roles_api,
    roles_views,
    service_accounts_api,
    service_accounts_views,
    sign_in_views,
    why_api,
    why_views,
)

_PAGES = (
    overview_views,
    members_views,
    invitations_views,
    groups_views,
    roles_views,
    why_views,
    sign_in_views,
    policy_views,
    branding_views,
    cross_origin_views,
    clients_views,
    service_accounts_views,
    audit_views,
)
"""In the order in which the navigation shows them."""
_APIS = (
    audit_api,
    clients_api,
    domains_api,
    grants_api,
    groups_api,
    invitations_api,
    member_import_api,
    member_roles_api,
    members_api,
    policy_api,
    provider_rehearsals_api,
    provider_states_api,
    providers_api,
    provisioning_api,
    role_previews_api,
    roles_api,
    service_accounts_api,
    why_api,
)


def init_app(app: Flask) -> None:
    """Plug the administration into `app`."""
    for part in _PAGES:
        app.register_blueprint(part.bp)
        navigation.add(app, part.ENTRY, section="admin")
    for api in _APIS:
        app.register_blueprint(api.bp)

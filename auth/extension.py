"""The Flask extension: `Auth(app, settings)`."""

from flask import Flask

from auth import (
    audit_cli,
    bearer,
    broker,
    cli,
    cookies,
    csrf,
    domain_cli,
    identity,
    invitation_views,
    jwks,
    keys_cli,
    mail,
    policy_cli,
    provider_cli,
    provisional,
    security,
    sso,
    token_views,
    users,
    values,
    views,
)
from auth.oauth_server import account_views
from auth.oauth_server import views as oauth_views
from auth.permissions import Catalogue, enforce
from auth.providers.registry import check_platform_providers
from auth.scim import views as scim_views
from config.settings import Settings
from tenants.signals import tenant_created, tenant_opening, tenant_unbound


class Auth:
    """Identity and permissions of one application. Features register what they can permit in `catalogue`."""

    def __init__(self, app: Flask | None = None, settings: Settings | None = None) -> None:
        self.catalogue = Catalogue()
        if app is not None and settings is not None:
            self.init_app(app, settings)

    def init_app(self, app: Flask, settings: Settings) -> None:
        """Set up identity on `app`, after `Tenants`: its hooks need the tenant that those have bound."""
        app.extensions["auth"] = self
        check_platform_providers(settings.platform_providers)
        tenant_opening.connect(bearer.ask_with_opening, app)
        tenant_unbound.connect(identity.forget_identity, app)
        tenant_created.connect(users.create_owner, app)
        cookies.init_app(app, secure=settings.scheme == "https")
        for part in (views, token_views, jwks, sso, broker, invitation_views, oauth_views, account_views):
            app.register_blueprint(part.bp)  # before Flask-Security's, whose templates ours replace
        mail.init_app(app, settings.mail_url, settings.mail_sender)
        csrf.init_app(app)
        security.init_app(app, settings)  # registers the hook that identifies the caller ...
        sso.init_app(app)
        scim_views.init_app(app)
        app.before_request(enforce)  # ... whose access is enforced ...
        app.before_request(csrf.check)  # ... before an unsafe request is looked at
        app.before_request(values.check)
        app.before_request(provisional.settle)  # the last: it begins the request's transaction anew
        groups = (
            cli.users,
            cli.roles,
            provider_cli.providers,
            domain_cli.domains,
            policy_cli.policy,
            audit_cli.audit,
            keys_cli.keys,
        )
        for group in groups:
            app.cli.add_command(group)

"""The page on which administrators see how people sign in: sources, domains, and what has happened there."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from auth import audit, descriptions, domain_records, domains, provisional
from auth.permissions import AccessPermission, can, requires
from auth.providers.registry import list_configs
from saas.admin import domain_views, provider_states, provider_views, provisioning_views
from saas.admin.domain_views import DomainForm
from saas.navigation import Entry

bp = Blueprint("sign_in", __name__, url_prefix="/admin/sign-in", template_folder="templates")
for part in (provider_views, provider_states, provisioning_views, domain_views):
    bp.register_blueprint(part.bp)

ENTRY = Entry(
    "sign_in.overview", lazy_gettext("Signing in"), "key", visible=lambda: can(AccessPermission.PROVIDER_READ)
)


_PREFIXES = ("domain ", "sign-in ", "single sign-on ", "signed out by ", "provider ", "provisioning ")
SHOWN = tuple(kind for kind in audit.KINDS if kind.startswith(_PREFIXES))
"""Kinds of events that are about how people sign in."""


@bp.get("/")
@requires(AccessPermission.PROVIDER_READ)
def overview() -> ResponseReturnValue:
    """Sources, domains and the last events."""
    configs, people = list_configs(), descriptions.people_by_source()
    latest, emergencies = audit.search(kinds=SHOWN, limit=20), audit.search(kinds=("break-glass sign-in",), limit=5)
    return render_template(
        "admin/sign_in.html",
        sources=[
            (config, descriptions.state_of(config), people.get(config.id, 0), provisional.until(config))
            for config in configs
        ],
        form=DomainForm(formdata=None),
        domains=[(row, domain_records.record_of(row)) for row in domains.list_domains()],
        events=latest,
        emergencies=emergencies,
        kinds=audit.KINDS,
    )

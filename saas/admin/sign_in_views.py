"""The page on which administrators see how people sign in: sources, domains, and what has happened there."""

from flask import Blueprint, g, render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import select

from auth import descriptions, domain_records, domains, events
from auth.models import User
from auth.permissions import AccessPermission, can, requires
from auth.providers.registry import list_configs
from saas.navigation import Entry

bp = Blueprint("sign_in", __name__, url_prefix="/admin/sign-in", template_folder="templates")

ENTRY = Entry(
    "sign_in.overview", lazy_gettext("Signing in"), "key", visible=lambda: can(AccessPermission.PROVIDER_READ)
)


@bp.get("/")
@requires(AccessPermission.PROVIDER_READ)
def overview() -> ResponseReturnValue:
    """Sources, domains and the last events."""
    configs = list_configs()
    latest, emergencies = events.latest(limit=20), events.latest(kinds=("break-glass sign-in",), limit=5)
    people = {event.user_id for event in (*latest, *emergencies) if event.user_id is not None}
    named = g.db.execute(select(User.id, User.email).where(User.id.in_(people)))
    return render_template(
        "admin/sign_in.html",
        sources=[(config, descriptions.state_of(config), descriptions.addresses_of(config)) for config in configs],
        domains=[(row, domain_records.record_of(row)) for row in domains.list_domains()],
        events=latest,
        emergencies=emergencies,
        kinds=events.KINDS,
        people={user_id: email for user_id, email in named},  # noqa: C416 - its rows are no pairs to the checker
        labels={config.id: config.label for config in configs},
    )

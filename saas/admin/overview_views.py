"""The first page of the administration."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from auth import descriptions, overview
from auth.permissions import AccessPermission, can, requires
from saas.navigation import Entry

bp = Blueprint("admin", __name__, url_prefix="/admin", template_folder="templates")

ENTRY = Entry(
    "admin.show", lazy_gettext("Overview"), "layout-dashboard", visible=lambda: can(AccessPermission.MEMBER_MANAGE)
)


@bp.get("/")
@requires(AccessPermission.MEMBER_MANAGE)
def show() -> ResponseReturnValue:
    """Members by source, sign-ins over time, and what wants looking at."""
    sources, days = overview.members_by_source(), overview.sign_ins_by_day()
    waiting, invitations = overview.pending_invitations()
    return render_template(
        "admin/overview.html",
        sources=[(source, descriptions.state_of(source.config) if source.config else None) for source in sources],
        days=days,
        most=max(number for _day, number in days),
        total=sum(number for _day, number in days),
        waiting=waiting,
        invitations=invitations,
        endings=overview.ending_soon(),
    )

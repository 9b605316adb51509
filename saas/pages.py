"""The pages that belong to no feature: the apex, the dashboard, the choice of language."""

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth.permissions import can, public, signed_in
from auth.redirects import back_to
from saas.headers import CONTENT_SECURITY_POLICY
from saas.navigation import Entry
from saas.projects import service as projects
from saas.projects.permissions import ProjectPermission
from tenants.errors import InvalidSlug
from tenants.resolver import check_slug

bp = Blueprint("pages", __name__)

DASHBOARD = Entry("pages.dashboard", lazy_gettext("Dashboard"), "layout-dashboard")
"""The first link of the navigation."""


def apex() -> ResponseReturnValue:
    """What this is, and where is your workspace? The answer is the same whether that workspace exists or not."""
    settings = current_app.extensions["tenants"].settings
    workspace, error = request.args.get("workspace"), None
    if workspace is not None:
        try:
            slug = check_slug(workspace.strip().lower().removesuffix(f".{settings.base_domain}"))
        except InvalidSlug:
            error = _("That is no name of a workspace: 2 to 40 letters, digits and hyphens.")
        else:
            _name, colon, port = request.host.rpartition(":")
            address = f"{slug}.{settings.base_domain}" + (f":{port}" if colon and port.isdigit() else "")
            return redirect(f"{request.scheme}://{address}/")
    page = render_template("apex.html", workspace=workspace or "", error=error, base_domain=settings.base_domain)
    response = Response(page, status=422 if error else 200, content_type="text/html; charset=utf-8")
    # The form's redirect leads to a workspace's host, which form-action must allow.
    target = f"'self' {request.scheme}://*.{settings.base_domain}:*"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.format(form_action=target)
    return response


@bp.get("/")
@signed_in
def dashboard() -> ResponseReturnValue:
    """What is going on in the workspace."""
    if not can(ProjectPermission.READ):
        return render_template("dashboard.html", recent_projects=[], project_count=0, updates=[])
    latest = projects.list_projects(projects.Filter(), sort="-updated", limit=5)
    return render_template(
        "dashboard.html",
        recent_projects=latest.rows,
        project_count=latest.total,
        updates=projects.recent_updates(limit=5),
    )


@bp.post("/language")
@public
def language() -> ResponseReturnValue:
    """Choose a language before signing in."""
    chosen = request.form.get("locale", "")
    if chosen not in current_app.extensions["tenants"].settings.languages:
        abort(422)
    session["locale"] = chosen
    return redirect(back_to(request.form.get("next"), url_for("security.login")))

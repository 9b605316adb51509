"""The page of the workspace's name and look, and the same as JSON."""

from typing import Annotated, Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from pydantic import Field, StringConstraints
from wtforms import BooleanField, StringField, SubmitField

from auth.forms import PageForm
from auth.permissions import AccessPermission, can, requires
from saas import branding
from saas.api import InvalidFields
from saas.branding import InvalidBranding
from saas.navigation import Entry
from saas.operations import Answerable, operation
from saas.shapes import Answer, Change

bp = Blueprint("workspace", __name__, template_folder="templates")

ENTRY = Entry(
    "workspace.edit", lazy_gettext("Workspace"), "building", visible=lambda: can(AccessPermission.WORKSPACE_MANAGE)
)


class BrandingForm(PageForm):
    """Name and look. The logo is a file, which stands beside the fields."""

    name = StringField(lazy_gettext("Name"))
    accent = StringField(lazy_gettext("Colour"))
    drop_logo = BooleanField(lazy_gettext("Remove the logo"))
    submit = SubmitField(lazy_gettext("Save"))


@bp.route("/admin/workspace/", methods=["GET", "POST"])
@requires(AccessPermission.WORKSPACE_MANAGE)
def edit() -> ResponseReturnValue:
    """Show name and look, and change them."""
    form = BrandingForm(data={"name": g.tenant.name, "accent": branding.look().get("accent", "")})
    wrong_logo = ""
    if form.validate_on_submit():
        file = request.files.get("logo")
        logo = file.read(branding.LARGEST_LOGO + 1) if file is not None and file.filename else None
        try:
            branding.change_branding(
                name=form.name.data or "",
                accent=form.accent.data or "",
                logo=logo,
                drop_logo=bool(form.drop_logo.data),
                actor=g.identity,
            )
        except InvalidBranding as error:
            if error.field == "logo":
                wrong_logo = str(error)
                form.form_errors = [wrong_logo]
            else:
                form[error.field].errors = [str(error)]
        else:
            flash(_("The workspace's name and look are saved."), "success")
            return redirect(url_for("workspace.edit"))
    page = render_template("admin/workspace.html", form=form, look=branding.look(), wrong_logo=wrong_logo)
    return page, 422 if form.is_submitted() else 200


class WorkspaceJson(Answer):
    """The workspace's name and look."""

    name: str
    slug: str
    accent: str | None


class WorkspaceChange(Change):
    """The body that changes it: what is left out stays."""

    name: Annotated[str, StringConstraints(max_length=1000)] = ""
    accent: Annotated[str, StringConstraints(max_length=100), Field(examples=["#0054a6"])] = ""


@bp.get("/api/v1/workspace")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Show the workspace", returns=WorkspaceJson, tag="Workspace")
def show_json() -> Answerable:
    """Name and look."""
    return _as_dict()


@bp.patch("/api/v1/workspace")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Change the workspace", body=WorkspaceChange, returns=WorkspaceJson, tag="Workspace")
def change_json(body: WorkspaceChange) -> Answerable:
    """Set name and accent colour; a logo is uploaded on the page."""
    given, present = body.model_dump(exclude_unset=True), _as_dict()
    try:
        branding.change_branding(
            name=given.get("name", present["name"]),
            accent=given.get("accent", present["accent"] or ""),
            actor=g.identity,
        )
    except InvalidBranding as error:
        raise InvalidFields([{"field": error.field, "message": str(error)}]) from None
    return _as_dict()


def _as_dict() -> dict[str, Any]:
    return {"name": g.tenant.name, "slug": g.tenant.slug, "accent": branding.look().get("accent")}

"""The page of the origins whose pages may read the API, and the same as JSON."""

from typing import Annotated

from flask import Blueprint, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from pydantic import Field
from wtforms import SubmitField, TextAreaField

from auth.forms import PageForm
from auth.permissions import AccessPermission, can, requires
from saas import cors
from saas.api import InvalidFields
from saas.cors import InvalidOrigin
from saas.navigation import Entry
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given

bp = Blueprint("cross_origin", __name__, template_folder="templates")

ENTRY = Entry("cross_origin.edit", lazy_gettext("API"), "plug", visible=lambda: can(AccessPermission.WORKSPACE_MANAGE))


class OriginsForm(PageForm):
    """The origins, one a line."""

    origins = TextAreaField(lazy_gettext("Origins"))
    submit = SubmitField(lazy_gettext("Save"))


class Origins(Answer):
    """The origins whose pages may read the API in a browser."""

    origins: list[str]
    """Scheme, host and port, as https://app.example.com."""


class NewOrigins(Given):
    """The origins that are named from now on, in place of those of before."""

    origins: Annotated[list[Annotated[str, Field(max_length=cors.LONGEST_ORIGIN)]], Field(max_length=cors.MOST_ORIGINS)]
    """Scheme, host and port, as https://app.example.com; https, but for localhost."""


@bp.route("/admin/api/", methods=["GET", "POST"])
@requires(AccessPermission.WORKSPACE_MANAGE)
def edit() -> ResponseReturnValue:
    """Show the origins, and change them."""
    form = OriginsForm(data={"origins": "\n".join(cors.allowed())})
    if form.validate_on_submit():
        try:
            cors.change_origins((form.origins.data or "").split(), actor=g.identity)
        except InvalidOrigin as error:
            form.origins.errors = [str(error)]
        else:
            flash(_("The origins are saved."), "success")
            return redirect(url_for("cross_origin.edit"))
    return render_template("admin/cross_origin.html", form=form), 422 if form.is_submitted() else 200


@bp.get("/api/v1/origins")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("List the origins whose pages may read the API", returns=Origins, tag="Workspace")
def show_json() -> Answerable:
    """No page of another origin can read the API in a browser (CORS) unless its origin is among these."""
    return {"origins": list(cors.allowed())}


@bp.put("/api/v1/origins")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Name the origins whose pages may read the API", body=NewOrigins, returns=Origins, tag="Workspace")
def change_json(body: NewOrigins) -> Answerable:
    """Those that are not given are named no more. Pages of these origins need a token: no cookie counts there."""
    try:
        return {"origins": list(cors.change_origins(body.origins, actor=g.identity))}
    except InvalidOrigin as error:
        raise InvalidFields([{"field": "origins", "message": str(error)}]) from None

"""Pages of apps: programs to which people can allow something, registered and changed here."""

import uuid

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth import client_lists, clients, denials
from auth.client_models import OAuthClient
from auth.errors import InvalidClient, NotAllowed, UnknownPermission
from auth.oauth_server import metadata, scopes
from auth.permissions import AccessPermission, can, requires
from saas import page_number
from saas.admin.client_forms import AppForm, KeysForm, complain, read_keys
from saas.lookup import found
from saas.navigation import Entry

bp = Blueprint("apps", __name__, url_prefix="/admin/apps", template_folder="templates")

ENTRY = Entry("apps.list_apps", lazy_gettext("Apps"), "plug", visible=lambda: can(AccessPermission.CLIENT_READ))


@bp.get("/")
@requires(AccessPermission.CLIENT_READ)
def list_apps() -> ResponseReturnValue:
    """The apps, and what each can be allowed."""
    page = page_number.asked()
    return render_template(
        "admin/apps.html",
        apps=client_lists.list_apps(limit=page.size, offset=page.offset),
        total=client_lists.count_apps(),
        paging=page,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(AccessPermission.CLIENT_MANAGE)
def create() -> ResponseReturnValue:
    """Register an app; its secret is shown once."""
    form = AppForm(clients.METHODS[clients.APP], g.permissions)
    if form.validate_on_submit():
        try:
            app, secret = clients.add_app(
                form.name.data or "",
                redirects=form.redirects(),
                permissions=form.wanted(),
                auth_method=form.auth_method.data,
                jwks=form.keys(),
                actor=g.identity,
            )
        except InvalidClient as error:
            complain(form, error)
        except (NotAllowed, UnknownPermission) as error:
            form.form_errors = [denials.words_of(error)]
        else:
            return registered(app, secret, url_for("apps.show", client_id=app.id))
    return render_template("admin/app_form.html", form=form, app=None), 422 if form.is_submitted() else 200


@bp.get("/<uuid:client_id>")
@requires(AccessPermission.CLIENT_READ)
def show(client_id: uuid.UUID) -> ResponseReturnValue:
    """One app."""
    return _show(_get(client_id), KeysForm(formdata=None))


@bp.route("/<uuid:client_id>/edit", methods=["GET", "POST"])
@requires(AccessPermission.CLIENT_MANAGE)
def edit(client_id: uuid.UUID) -> ResponseReturnValue:
    """Change an app."""
    app = _get(client_id)
    clients.check_may_change(app, g.identity)
    values = {"name": app.name, "redirect_uris": "\n".join(app.redirect_uris), "permissions": app.permissions}
    form = AppForm([app.auth_method], g.permissions, app.permissions, data=values | {"auth_method": app.auth_method})
    if form.is_submitted():
        form.auth_method.data = app.auth_method  # which is not in the form: it stays what it is
    if form.validate_on_submit():
        try:
            clients.change_app(
                app,
                name=form.name.data or "",
                redirects=form.redirects(),
                permissions=form.wanted(),
                actor=g.identity,
            )
        except InvalidClient as error:
            complain(form, error)
        except (NotAllowed, UnknownPermission) as error:
            form.form_errors = [denials.words_of(error)]
        else:
            return _done(app, _("The app is saved."))
    return render_template("admin/app_form.html", form=form, app=app), 422 if form.is_submitted() else 200


@bp.post("/<uuid:client_id>/secret")
@requires(AccessPermission.CLIENT_MANAGE)
def renew_secret(client_id: uuid.UUID) -> ResponseReturnValue:
    """Make a new secret, which is shown once."""
    app = _get(client_id)
    secret = clients.renew_secret(app, actor=g.identity)
    return registered(app, secret, url_for("apps.show", client_id=app.id))


@bp.post("/<uuid:client_id>/keys")
@requires(AccessPermission.CLIENT_MANAGE)
def change_keys(client_id: uuid.UUID) -> ResponseReturnValue:
    """Take other public keys."""
    app, form = _get(client_id), KeysForm()
    if form.validate_on_submit():
        try:
            clients.change_keys(app, read_keys(form.jwks.data), actor=g.identity)
        except InvalidClient as error:
            form.jwks.errors = [str(error)]
        else:
            return _done(app, _("The keys are saved. The former ones count no more."))
    return _show(app, form), 422


@bp.post("/<uuid:client_id>/enable")
@requires(AccessPermission.CLIENT_MANAGE)
def enable(client_id: uuid.UUID) -> ResponseReturnValue:
    """Switch an app on."""
    app = _get(client_id)
    clients.switch(app, active=True, actor=g.identity)
    return _done(app, _("The app is switched on."))


@bp.post("/<uuid:client_id>/disable")
@requires(AccessPermission.CLIENT_MANAGE)
def disable(client_id: uuid.UUID) -> ResponseReturnValue:
    """Switch an app off."""
    app = _get(client_id)
    clients.switch(app, active=False, actor=g.identity)
    return _done(app, _("The app is switched off: it can do nothing from this moment on."))


@bp.route("/<uuid:client_id>/remove", methods=["GET", "POST"])
@requires(AccessPermission.CLIENT_MANAGE)
def remove(client_id: uuid.UUID) -> ResponseReturnValue:
    """Ask once, then remove an app."""
    app = _get(client_id)
    if request.method == "GET":
        clients.check_may_change(app, g.identity)
        return render_template("admin/app_remove.html", app=app, consents=client_lists.count_consents(app))
    name = app.name
    clients.remove(app, actor=g.identity)
    flash(_("The app “%(name)s” is removed.", name=name), "success")
    return redirect(url_for("apps.list_apps"))


def registered(client: OAuthClient, secret: str, back: str) -> ResponseReturnValue:
    """What a program needs to know of itself; the secret is not shown again."""
    return render_template(
        "admin/client_registered.html", client=client, secret=secret, back=back, server=metadata.server()
    )


def _show(app: OAuthClient, keys_form: KeysForm) -> str:
    return render_template(
        "admin/app.html",
        app=app,
        consents=client_lists.count_consents(app),
        permitted=scopes.described(app.permissions),
        changes=clients.may_change(app, g.identity),
        keys_form=keys_form,
        server=metadata.server(),
    )


def _done(app: OAuthClient, said: str) -> ResponseReturnValue:
    flash(said, "success")
    return redirect(url_for("apps.show", client_id=app.id))


def _get(client_id: uuid.UUID) -> OAuthClient:
    return found(clients.find_app(client_id))

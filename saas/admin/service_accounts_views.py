"""Pages of service accounts: programs of the workspace's own, with roles and credentials."""

import uuid

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth import clients, denials, guards, roles, service_accounts
from auth.client_models import OAuthClient
from auth.errors import InvalidClient, NotAllowed, UnknownRole
from auth.models import SERVICE_DOMAIN, Role, User
from auth.permissions import OWNER, AccessPermission, can, requires
from auth.role_holders import object_type_of
from saas import page_number
from saas.admin.client_forms import AccountRoleForm, NamedForm, ProofForm, complain
from saas.admin.clients_views import registered
from saas.lookup import found
from saas.navigation import Entry

bp = Blueprint("service_accounts", __name__, url_prefix="/admin/service-accounts", template_folder="templates")

ENTRY = Entry(
    "service_accounts.list_accounts",
    lazy_gettext("Service accounts"),
    "server",
    visible=lambda: can(AccessPermission.CLIENT_READ),
)

manages = requires(AccessPermission.CLIENT_MANAGE)


@bp.app_template_global()
def is_service(email: str) -> bool:
    """Whether that stands in the place of a service account's address."""
    return email.endswith(f"@{SERVICE_DOMAIN}")


@bp.app_template_global()
def shown_address(email: str) -> str:
    """A person's address; a service account has none."""
    return str(_("Service account")) if is_service(email) else email


@bp.get("/")
@requires(AccessPermission.CLIENT_READ)
def list_accounts() -> ResponseReturnValue:
    """The service accounts with their roles."""
    page = page_number.asked()
    rows = service_accounts.list_accounts(limit=page.size, offset=page.offset)
    ids = [account.id for account in rows]
    return render_template(
        "admin/service_accounts.html",
        accounts=rows,
        held=service_accounts.roles_of(ids),
        credentials=service_accounts.count_credentials(ids),
        total=service_accounts.count_accounts(),
        paging=page,
    )


@bp.route("/new", methods=["GET", "POST"])
@manages
def create() -> ResponseReturnValue:
    """Make a service account."""
    form = NamedForm()
    if form.validate_on_submit():
        try:
            account = service_accounts.create_account(form.name.data or "", actor=g.identity)
        except InvalidClient as error:
            complain(form, error)
        else:
            return _done(account, _("The service account is made. Give it roles, and a credential."))
    return render_template("admin/service_account_form.html", form=form), 422 if form.is_submitted() else 200


@bp.get("/<uuid:account_id>")
@requires(AccessPermission.CLIENT_READ)
def show(account_id: uuid.UUID) -> ResponseReturnValue:
    """One service account."""
    return _show(_get(account_id))


@bp.post("/<uuid:account_id>/rename")
@manages
def rename(account_id: uuid.UUID) -> ResponseReturnValue:
    """Give a service account another name."""
    account, form = _get(account_id), NamedForm()
    if form.validate_on_submit():
        try:
            service_accounts.rename_account(account, form.name.data or "", actor=g.identity)
        except InvalidClient as error:
            complain(form, error)
        else:
            return _done(account, _("The name is saved."))
    return _show(account, name_form=form), 422


@bp.post("/<uuid:account_id>/roles")
@manages
def give_role(account_id: uuid.UUID) -> ResponseReturnValue:
    """Give a service account a role."""
    account, form = _get(account_id), AccountRoleForm(_givable())
    if form.validate_on_submit():
        try:
            service_accounts.give_role(account, form.role.data, actor=g.identity)
        except (NotAllowed, UnknownRole) as error:
            form.role.errors = [denials.words_of(error)]
        else:
            return _done(account, _("The role is given. It counts from the program's next request on."))
    return _show(account, role_form=form), 422


@bp.post("/<uuid:account_id>/roles/<uuid:role_id>/take")
@manages
def take_role(account_id: uuid.UUID, role_id: uuid.UUID) -> ResponseReturnValue:
    """Take a role from a service account."""
    account, role = _get(account_id), found(g.db.find(Role, role_id))
    service_accounts.take_role(account, role.name, actor=g.identity)
    return _done(account, _("The role is taken back."))


@bp.post("/<uuid:account_id>/credentials")
@manages
def add_credential(account_id: uuid.UUID) -> ResponseReturnValue:
    """Give a service account a credential; its secret is shown once."""
    account, form = _get(account_id), ProofForm(clients.METHODS[clients.SERVICE])
    if form.validate_on_submit():
        try:
            client, secret = clients.add_credential(
                account, form.name.data or "", auth_method=form.auth_method.data, jwks=form.keys(), actor=g.identity
            )
        except InvalidClient as error:
            complain(form, error)
        else:
            return registered(client, secret, url_for("service_accounts.show", account_id=account.id))
    return _show(account, proof_form=form), 422


@bp.post("/<uuid:account_id>/credentials/<uuid:client_id>/secret")
@manages
def renew_secret(account_id: uuid.UUID, client_id: uuid.UUID) -> ResponseReturnValue:
    """Make a new secret, which is shown once."""
    account = _get(account_id)
    client = _credential(account, client_id)
    secret = clients.renew_secret(client, actor=g.identity)
    return registered(client, secret, url_for("service_accounts.show", account_id=account.id))


@bp.post("/<uuid:account_id>/credentials/<uuid:client_id>/remove")
@manages
def remove_credential(account_id: uuid.UUID, client_id: uuid.UUID) -> ResponseReturnValue:
    """Remove a credential."""
    account = _get(account_id)
    clients.remove(_credential(account, client_id), actor=g.identity)
    return _done(account, _("The credential is removed, and its tokens have ended."))


@bp.post("/<uuid:account_id>/deactivate")
@manages
def deactivate(account_id: uuid.UUID) -> ResponseReturnValue:
    """Close a service account."""
    account = _get(account_id)
    service_accounts.deactivate_account(account, actor=g.identity)
    return _done(account, _("The service account is deactivated: it can do nothing from this moment on."))


@bp.post("/<uuid:account_id>/reactivate")
@manages
def reactivate(account_id: uuid.UUID) -> ResponseReturnValue:
    """Open it again."""
    account = _get(account_id)
    service_accounts.reactivate_account(account, actor=g.identity)
    return _done(account, _("The service account is active again."))


@bp.route("/<uuid:account_id>/remove", methods=["GET", "POST"])
@manages
def remove(account_id: uuid.UUID) -> ResponseReturnValue:
    """Ask once, then remove a service account."""
    account = _get(account_id)
    if request.method == "GET":
        return render_template("admin/service_account_remove.html", account=account)
    name = account.name
    service_accounts.remove_account(account, actor=g.identity)
    flash(_("The service account “%(name)s” is removed.", name=name), "success")
    return redirect(url_for("service_accounts.list_accounts"))


def _show(
    account: User,
    *,
    name_form: NamedForm | None = None,
    role_form: AccountRoleForm | None = None,
    proof_form: ProofForm | None = None,
) -> str:
    return render_template(
        "admin/service_account.html",
        account=account,
        held=service_accounts.roles_of([account.id])[account.id],
        credentials=clients.credentials_of(account.id),
        changes=service_accounts.may_change(account, g.identity),
        gives=can(AccessPermission.CLIENT_MANAGE) and can(AccessPermission.ROLE_MANAGE),
        name_form=name_form or NamedForm(obj=account, formdata=None),
        role_form=role_form or AccountRoleForm(_givable(), formdata=None),
        proof_form=proof_form or ProofForm(clients.METHODS[clients.SERVICE], formdata=None),
    )


def _done(account: User, said: str) -> ResponseReturnValue:
    flash(said, "success")
    return redirect(url_for("service_accounts.show", account_id=account.id))


def _get(account_id: uuid.UUID) -> User:
    return found(service_accounts.find_account(account_id))


def _credential(account: User, client_id: uuid.UUID) -> OAuthClient:
    return found(clients.find_credential(account, client_id))


def _givable() -> list[Role]:
    """The roles that the caller may give to a service account."""
    offered = [role for role in roles.list_roles() if not object_type_of(role) and role.name != OWNER.name]
    return [role for role in offered if _may_give(role)]


def _may_give(role: Role) -> bool:
    try:
        guards.check_may_give(g.identity, role)
    except NotAllowed:
        return False
    return True

"""Pages of roles: what each permits and who has it; the tenant's own ones are made, edited and deleted here."""

import uuid
from collections.abc import Collection
from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth import default_role, denials, role_editor, role_holders, role_preview, roles
from auth.errors import NotAllowed, UnknownPermission, UnknownRole, UnsuitableName
from auth.invitations import givable_roles
from auth.models import Role
from auth.permissions import OWNER, AccessPermission, can, requires
from saas import page_number
from saas.admin import origin_words
from saas.admin.role_forms import DefaultRoleForm, ReplacementForm, RoleForm
from saas.lookup import found, id_in
from saas.navigation import Entry

bp = Blueprint("roles", __name__, url_prefix="/admin/roles", template_folder="templates")

ENTRY = Entry("roles.list_roles", lazy_gettext("Roles"), "shield-lock", visible=lambda: can(AccessPermission.ROLE_READ))
MOST_SHOWN = 50


@bp.app_template_global()
def role_label(role: Role) -> str:
    """What a role is called for people."""
    return role_holders.label_of(role)


@bp.get("/")
@requires(AccessPermission.ROLE_READ)
def list_roles() -> ResponseReturnValue:
    """All roles with their counts, the role of new members, and what ends soon."""
    return _list(DefaultRoleForm(_offered(), formdata=None, data={"role": _default_id()}))


@bp.post("/default")
@requires(AccessPermission.ROLE_MANAGE)
def choose_default() -> ResponseReturnValue:
    """Choose the role of people whom nothing else gives one."""
    form = DefaultRoleForm(_offered(), data={"role": _default_id()})
    if form.validate_on_submit():
        try:
            default_role.set_default_role(_get(id_in(form.role.data)) if form.role.data else None, actor=g.identity)
        except NotAllowed as error:
            form.role.errors = [denials.words_of(error)]
        else:
            flash(_("The role of new members is saved."), "success")
            return redirect(url_for("roles.list_roles"))
    return _list(form), 422


@bp.route("/new", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def create() -> ResponseReturnValue:
    """Make a role, perhaps like another one (`?like=`): fill in, look at it, save."""
    like = _like()
    form = RoleForm(g.permissions, data=_copied(like) if like is not None else None)
    return _work(form, None, like)


@bp.get("/<uuid:role_id>")
@requires(AccessPermission.ROLE_READ)
def show(role_id: uuid.UUID) -> ResponseReturnValue:
    """What a role permits, and who has it."""
    role, page = _get(role_id), page_number.asked()
    return render_template(
        "admin/role.html",
        role=role,
        description=role_holders.description_of(role),
        counted=role_holders.count_of(role),
        object_type=role_holders.object_type_of(role),
        permitted=_by_feature(roles.permissions_of(role)),
        holders=role_holders.list_holders(role, limit=page.size, offset=page.offset),
        total=role_holders.count_grants(role),
        paging=page,
        is_default=default_role.is_default(role),
        origins=origin_words.of_grants(),
    )


@bp.route("/<uuid:role_id>/edit", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def edit(role_id: uuid.UUID) -> ResponseReturnValue:
    """Change a role of the tenant's own: fill in, look at whom it concerns, save."""
    role = _get_custom(role_id)
    before = roles.permissions_of(role)
    values = {"name": role.name, "description": role.description, "permissions": sorted(before)}
    return _work(RoleForm(g.permissions, before, data=values), role)


@bp.route("/<uuid:role_id>/delete", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def delete(role_id: uuid.UUID) -> ResponseReturnValue:
    """Ask which role its holders are to have, say what happens, then delete a role."""
    role = _get_custom(role_id)
    offered = [other for other in _offered() if other.id != role.id]
    chosen = request.form.get("replacement") if request.method == "POST" else request.args.get("replacement")
    form = ReplacementForm(offered, formdata=None, data={"replacement": chosen or ""})
    replacement = next((other for other in offered if str(other.id) == chosen), None)
    if chosen and replacement is None:
        abort(404)
    refused = ""
    try:
        if request.method == "POST":
            name = role.name
            role_editor.delete_role(role, replacement=replacement, actor=g.identity)
            flash(_("The role “%(name)s” is deleted.", name=name), "success")
            return redirect(url_for("roles.list_roles"))
        role_editor.check_may_delete(role, replacement, actor=g.identity)
    except UnknownRole:
        abort(404)
    except NotAllowed as error:
        refused = denials.words_of(error)
    page = render_template(
        "admin/role_delete.html",
        role=role,
        form=form,
        replacement=replacement,
        refused=refused,
        counted=role_holders.count_of(role),
        invitations=role_holders.count_invitations(role),
        is_default=default_role.is_default(role),
        preview=role_preview.preview_deletion(role, replacement),
        shown=MOST_SHOWN,
    )
    return page, 422 if request.method == "POST" else 200


def _work(form: RoleForm, role: Role | None, like: Role | None = None) -> ResponseReturnValue:
    """The way from the form over the preview to the saved role; nothing that was typed is lost on it."""
    step = request.form.get("step", "preview")
    if form.validate_on_submit() and step != "back":
        try:
            return _save(form, role) if step == "save" else _preview(form, role)
        except UnsuitableName as error:
            form.name.errors = [str(error)]
        except (NotAllowed, UnknownPermission) as error:
            form.form_errors = [denials.words_of(error)]
        except UnknownRole:
            abort(404)
    page = render_template("admin/role_form.html", form=form, role=role, like=like)
    return page, 422 if form.is_submitted() and step != "back" else 200


def _preview(form: RoleForm, role: Role | None) -> ResponseReturnValue:
    name, description, wanted = form.name.data or "", form.description.data or "", form.wanted()
    if role is None:
        draft = role_editor.draft_new(name, description, wanted, actor=g.identity)
        preview, before = None, frozenset[str]()
    else:
        draft = role_editor.draft_change(role, name=name, description=description, permissions=wanted, actor=g.identity)
        preview, before = role_preview.preview_change(role, draft.permissions), roles.permissions_of(role)
    return render_template(
        "admin/role_preview.html",
        role=role,
        form=form,
        draft=draft,
        preview=preview,
        seen=role_editor.fingerprint_of(role) if role is not None else "",
        added=_by_feature(draft.permissions - before),
        removed=_by_feature(before - draft.permissions),
        shown=MOST_SHOWN,
    )


def _save(form: RoleForm, role: Role | None) -> ResponseReturnValue:
    values: dict[str, Any] = {"name": form.name.data or "", "description": form.description.data or ""}
    if role is None:
        role = roles.create_role(**values, permissions=form.wanted(), actor=g.identity)
        flash(_("The role is created."), "success")
    else:
        role_editor.change_role(role, **values, permissions=form.wanted(), seen=form.seen.data or "", actor=g.identity)
        flash(_("The role is saved. It holds from everybody's next click on."), "success")
    return redirect(url_for("roles.show", role_id=role.id))


def _list(form: DefaultRoleForm) -> str:
    page = page_number.asked()
    return render_template(
        "admin/roles.html",
        rows=[
            (counted, role_holders.description_of(counted.role), len(roles.permissions_of(counted.role)))
            for counted in role_holders.list_counted(limit=page.size, offset=page.offset)
        ],
        total=role_holders.count_roles(),
        paging=page,
        form=form,
        default=default_role.current(),
        is_default=default_role.is_default,
        ending=role_holders.list_ending(limit=MOST_SHOWN),
        shown=MOST_SHOWN,
    )


def _by_feature(permissions: Collection[str]) -> list[tuple[Any, list[Any]]]:
    """These permissions with their descriptions, by feature."""
    found = (
        (feature.label, [each for each in feature.permissions if each.value in permissions])
        for feature in roles.catalogue().features
    )
    return [(label, held) for label, held in found if held]


def _offered() -> list[Role]:
    """The roles that the caller may give to many at once: never that of owner."""
    return [role for role in givable_roles(g.identity) if not (role.builtin and role.name == OWNER.name)]


def _default_id() -> str:
    role = default_role.current()
    return str(role.id) if role is not None else ""


def _like() -> Role | None:
    try:
        return role_editor.find_role(uuid.UUID(request.args.get("like", "")))
    except ValueError:
        return None


def _copied(role: Role) -> dict[str, Any]:
    return {
        "name": _("Copy of %(name)s", name=role_holders.label_of(role))[: roles.LONGEST_NAME],
        "description": role_holders.description_of(role)[: roles.LONGEST_DESCRIPTION],
        "permissions": sorted(roles.permissions_of(role) & g.permissions),
    }


def _get(role_id: uuid.UUID) -> Role:
    return found(role_editor.find_role(role_id))


def _get_custom(role_id: uuid.UUID) -> Role:
    role = _get(role_id)
    if role.builtin:
        raise NotAllowed(_("Built-in roles are the same everywhere. Clone this one, and change the clone."))
    return role

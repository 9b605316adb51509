"""Pages of groups: the workspace's own are made and filled here, those of sources are shown."""

import uuid

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth import denials, group_lists, local_groups, members, role_editor, users
from auth.errors import NotAllowed, UnknownUser, UnsuitableName
from auth.group_lists import Filter
from auth.models import Group
from auth.permissions import AccessPermission, can, requires
from saas import page_number
from saas.admin import origin_words
from saas.admin.group_forms import GroupForm, GroupRoleForm, MemberForm
from saas.lookup import found, id_in
from saas.navigation import Entry

bp = Blueprint("groups", __name__, url_prefix="/admin/groups", template_folder="templates")

ENTRY = Entry("groups.list_groups", lazy_gettext("Groups"), "users", visible=lambda: can(AccessPermission.ROLE_READ))


@bp.get("/")
@requires(AccessPermission.ROLE_READ)
def list_groups() -> ResponseReturnValue:
    """Search, filter and page through the groups, with their members and roles."""
    sort, page = request.args.get("sort", "name"), page_number.asked()
    search, origins = request.args.get("search", "").strip()[:200], origin_words.of_groups()
    origin = request.args.get("source", "")
    if sort not in group_lists.ORDERS:
        abort(404)
    wanted = Filter(search, origin if origin in origins else "")
    return render_template(
        "admin/groups.html",
        rows=group_lists.list_groups(wanted, sort=sort, limit=page.size, offset=page.offset),
        total=group_lists.count_groups(wanted),
        paging=page,
        sort=sort,
        search=search,
        source=wanted.origin,
        origins=origins,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def create() -> ResponseReturnValue:
    """Make a group."""
    form = GroupForm()
    if form.validate_on_submit():
        try:
            group = local_groups.create_group(form.name.data or "", actor=g.identity)
        except UnsuitableName as error:
            form.name.errors = [str(error)]
        else:
            flash(_("The group is created. Put people into it, and say which roles it gives."), "success")
            return redirect(url_for("groups.show", group_id=group.id))
    page = render_template("admin/group_form.html", form=form, group=None)
    return page, 422 if form.is_submitted() else 200


@bp.get("/<uuid:group_id>")
@requires(AccessPermission.ROLE_READ)
def show(group_id: uuid.UUID) -> ResponseReturnValue:
    """Who is in a group, and what it gives them."""
    return _show(_get(group_id))


@bp.route("/<uuid:group_id>/rename", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def rename(group_id: uuid.UUID) -> ResponseReturnValue:
    """Give a group another name."""
    group = _get(group_id)
    local_groups.check_may_change(group, g.identity)
    form = GroupForm(obj=group)
    if form.validate_on_submit():
        try:
            local_groups.rename_group(group, form.name.data or "", actor=g.identity)
        except NotAllowed as error:
            form.name.errors = [denials.words_of(error)]
        else:
            flash(_("The group is renamed."), "success")
            return redirect(url_for("groups.show", group_id=group_id))
    page = render_template("admin/group_form.html", form=form, group=group)
    return page, 422 if form.is_submitted() else 200


@bp.route("/<uuid:group_id>/delete", methods=["GET", "POST"])
@requires(AccessPermission.ROLE_MANAGE)
def delete(group_id: uuid.UUID) -> ResponseReturnValue:
    """Say what happens, then delete a group."""
    group = _get(group_id)
    if request.method == "GET":
        local_groups.check_may_change(group, g.identity)
        return render_template("admin/group_delete.html", listed=group_lists.list_one(group))
    name = group.name
    local_groups.delete_group(group, actor=g.identity)
    flash(_("The group “%(name)s” is deleted.", name=name), "success")
    return redirect(url_for("groups.list_groups"))


@bp.post("/<uuid:group_id>/members")
@requires(AccessPermission.ROLE_MANAGE)
def add_member(group_id: uuid.UUID) -> ResponseReturnValue:
    """Put somebody into a group."""
    group, form = _get(group_id), MemberForm()
    if form.validate_on_submit():
        try:
            user = users.get_by_email(form.email.data or "")
            added = local_groups.add_member(group, user, actor=g.identity)
        except UnknownUser:
            form.email.errors = [_("Nobody in this workspace has this address.")]
        except NotAllowed as error:
            form.email.errors = [denials.words_of(error)]
        else:
            if added:
                flash(_("%(name)s is in the group now.", name=user.name), "success")
            else:
                flash(_("%(name)s is in the group already.", name=user.name), "info")
            return redirect(url_for("groups.show", group_id=group_id, _anchor="members"))
    return _show(group, member_form=form), 422


@bp.post("/<uuid:group_id>/members/<uuid:user_id>/remove")
@requires(AccessPermission.ROLE_MANAGE)
def remove_member(group_id: uuid.UUID, user_id: uuid.UUID) -> ResponseReturnValue:
    """Take somebody out of a group."""
    group, user = _get(group_id), found(members.find_one(user_id))
    if not local_groups.remove_member(group, user, actor=g.identity):
        abort(404)
    flash(_("%(name)s is no longer in the group.", name=user.name), "success")
    return redirect(url_for("groups.show", group_id=group_id, _anchor="members"))


@bp.post("/<uuid:group_id>/roles")
@requires(AccessPermission.ROLE_MANAGE)
def give_role(group_id: uuid.UUID) -> ResponseReturnValue:
    """Give the members of a group a role."""
    group, form = _get(group_id), GroupRoleForm(local_groups.givable_roles(g.identity))
    if form.validate_on_submit():
        try:
            role = found(role_editor.find_role(id_in(form.role.data)))
            local_groups.give_role(group, role, actor=g.identity, expires_at=form.ends_on.end())
        except NotAllowed as error:
            form.role.errors = [denials.words_of(error)]
        else:
            flash(_("The group gives this role now."), "success")
            return redirect(url_for("groups.show", group_id=group_id, _anchor="roles"))
    return _show(group, role_form=form), 422


@bp.post("/<uuid:group_id>/roles/<uuid:role_id>/take")
@requires(AccessPermission.ROLE_MANAGE)
def take_role(group_id: uuid.UUID, role_id: uuid.UUID) -> ResponseReturnValue:
    """Take a role from the members of a group."""
    group, role = _get(group_id), found(role_editor.find_role(role_id))
    if not local_groups.take_role(group, role, actor=g.identity):
        abort(404)
    flash(_("The group no longer gives this role."), "success")
    return redirect(url_for("groups.show", group_id=group_id, _anchor="roles"))


def _show(group: Group, *, member_form: MemberForm | None = None, role_form: GroupRoleForm | None = None) -> str:
    page, changes = (
        page_number.asked(),
        can(AccessPermission.ROLE_MANAGE) and local_groups.may_change(group, g.identity),
    )
    if changes and role_form is None:
        role_form = GroupRoleForm(local_groups.givable_roles(g.identity), formdata=None)
    return render_template(
        "admin/group.html",
        listed=group_lists.list_one(group),
        origins=origin_words.of_groups(),
        members=group_lists.list_members(group, limit=page.size, offset=page.offset),
        paging=page,
        local=local_groups.is_local(group),
        changes=changes,
        member_form=member_form or MemberForm(formdata=None),
        role_form=role_form,
    )


def _get(group_id: uuid.UUID) -> Group:
    return found(local_groups.find_group(group_id))

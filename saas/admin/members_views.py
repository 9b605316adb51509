"""Pages of members: the list, one member, and what administrators do about them."""

import uuid
from collections.abc import Sequence

from flask import Blueprint, abort, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from sqlalchemy import select

from auth import accounts, api_tokens, bulk_grants, denials, explain, members, roles, sessions, users
from auth.errors import NotAllowed, UnknownRole
from auth.holdings import find_holder
from auth.links import links_of
from auth.members import LOCAL, SORTS, STATES, Filter
from auth.models import Grant, Group, Role, User
from auth.permissions import AccessPermission, can, requires
from auth.providers.registry import list_configs
from auth.role_holders import label_of, object_type_of
from saas import page_number
from saas.admin.member_forms import GrantForm, NameForm
from saas.admin.member_import_views import import_members
from saas.lookup import found, id_in
from saas.navigation import Entry

bp = Blueprint("members", __name__, url_prefix="/admin/members", template_folder="templates")

ENTRY = Entry(
    "members.list_members", lazy_gettext("Members"), "users", visible=lambda: can(AccessPermission.MEMBER_MANAGE)
)
MOST_AT_ONCE = 200
MOST_GROUPS = 500
"""Groups that are offered as a filter."""

manages = requires(AccessPermission.MEMBER_MANAGE)

bp.add_url_rule("/import", view_func=import_members, methods=["GET", "POST"])


@bp.get("/")
@manages
def list_members() -> ResponseReturnValue:
    """Search, filter, sort and page through the members."""
    wanted, sort, page = _wanted(), request.args.get("sort", "name"), page_number.asked()
    if sort not in SORTS:
        abort(404)
    listed, all_roles = members.find(wanted, sort=sort, limit=page.size, offset=page.offset), roles.list_roles()
    return render_template(
        "admin/members.html",
        members=listed.members,
        total=listed.total,
        paging=page,
        sort=sort,
        wanted=wanted,
        roles=_givable(all_roles),
        labels={role.name: label_of(role) for role in all_roles},
        all_roles=[(role.id, label_of(role)) for role in all_roles],
        groups=g.db.execute(select(Group.id, Group.name).order_by(Group.name).limit(MOST_GROUPS)).all(),
        sources=[(LOCAL, _("Accounts of this workspace")), *((str(one.id), one.label) for one in list_configs())],
    )


@bp.get("/<uuid:user_id>")
@manages
def show(user_id: uuid.UUID) -> ResponseReturnValue:
    """One member."""
    return _show(_get(user_id))


@bp.post("/<uuid:user_id>/rename")
@manages
def rename(user_id: uuid.UUID) -> ResponseReturnValue:
    """Give a member another name."""
    user, form = _get(user_id), NameForm()
    if form.validate_on_submit():
        accounts.rename(user, form.name.data or "", actor=g.identity)
        return _done(user, _("The name is saved."))
    return _show(user, name_form=form), 422


@bp.post("/<uuid:user_id>/roles")
@manages
def give_role(user_id: uuid.UUID) -> ResponseReturnValue:
    """Give a member a role."""
    user, form = _get(user_id), GrantForm(_givable(roles.list_roles()))
    if form.validate_on_submit():
        try:
            roles.grant_role(user, form.role.data, actor=g.identity, expires_at=form.until.end())
        except NotAllowed as error:
            form.role.errors = [denials.words_of(error)]
        else:
            return _done(user, _("The role is given. It counts from their next click on."))
    return _show(user, grant_form=form), 422


@bp.post("/<uuid:user_id>/roles/<uuid:grant_id>/take")
@manages
def take_role(user_id: uuid.UUID, grant_id: uuid.UUID) -> ResponseReturnValue:
    """Take a role from a member."""
    user, grant = _get(user_id), found(g.db.find(Grant, grant_id))
    if grant.user_id != user.id:
        abort(404)
    on = (grant.object_type, grant.object_id) if grant.object_id else None
    roles.revoke_role(user, grant.role.name, actor=g.identity, on=on)
    return _done(user, _("The role is taken back."))


@bp.post("/<uuid:user_id>/deactivate")
@manages
def deactivate(user_id: uuid.UUID) -> ResponseReturnValue:
    """Close an account."""
    user = _get(user_id)
    users.deactivate_user(user, actor=g.identity)
    return _done(user, _("The account is deactivated, and signed out everywhere."))


@bp.post("/<uuid:user_id>/reactivate")
@manages
def reactivate(user_id: uuid.UUID) -> ResponseReturnValue:
    """Open it again."""
    user = _get(user_id)
    users.reactivate_user(user, actor=g.identity)
    return _done(user, _("The account is active again."))


@bp.post("/<uuid:user_id>/end-sessions")
@manages
def end_sessions(user_id: uuid.UUID) -> ResponseReturnValue:
    """Sign a member out everywhere."""
    user = _get(user_id)
    ended = accounts.end_sessions(user, actor=g.identity)
    return _done(user, ngettext("%(num)s session is ended.", "%(num)s sessions are ended.", ended))


@bp.post("/<uuid:user_id>/tokens/<uuid:token_id>/revoke")
@manages
def revoke_token(user_id: uuid.UUID, token_id: uuid.UUID) -> ResponseReturnValue:
    """End one of a member's personal tokens."""
    user, token = _get(user_id), found(api_tokens.find(token_id, user_id=user_id))
    accounts.revoke_token(token, actor=g.identity)
    return _done(user, _("The token “%(name)s” is revoked.", name=token.name))


@bp.post("/<uuid:user_id>/reset-second-factor")
@manages
def reset_second_factor(user_id: uuid.UUID) -> ResponseReturnValue:
    """Take a member's second factors away."""
    user = _get(user_id)
    accounts.reset_second_factor(user, actor=g.identity)
    return _done(user, _("The second factor is gone, and they are signed out everywhere."))


@bp.route("/<uuid:user_id>/remove", methods=["GET", "POST"])
@manages
def remove(user_id: uuid.UUID) -> ResponseReturnValue:
    """Ask once, then remove a member."""
    user = _get(user_id)
    if request.method == "GET":
        labels = [config.label for _link, config in links_of(user.id)]
        return render_template("admin/member_remove.html", user=user, links=labels)
    accounts.remove(user, actor=g.identity)
    flash(_("%(name)s is removed.", name=user.name), "success")
    return redirect(url_for("members.list_members"))


@bp.post("/give-role")
@manages
def give_role_to_many() -> ResponseReturnValue:
    """Give a role to all who are chosen, or to none."""
    chosen, form = set(request.form.getlist("user")), GrantForm(_givable(roles.list_roles()))
    if not chosen or len(chosen) > MOST_AT_ONCE:
        flash(_("Choose whom to give it to, %(most)s at most.", most=MOST_AT_ONCE), "error")
        return redirect(url_for("members.list_members"))
    people = members.find_all([id_in(value) for value in chosen])
    if len(people) != len(chosen):
        abort(404)
    if not form.validate_on_submit():
        flash(" ".join(str(fault) for faults in form.errors.values() for fault in faults), "error")
        return redirect(url_for("members.list_members"))
    try:
        role = roles.get_role(form.role.data)
    except UnknownRole:  # which was deleted in this moment
        abort(404)
    bulk_grants.give_to_many(people, role, actor=g.identity, expires_at=form.until.end())
    flash(ngettext("%(num)s member has the role now.", "%(num)s members have the role now.", len(people)), "success")
    return redirect(url_for("members.list_members"))


def _done(user: User, said: str) -> ResponseReturnValue:
    """Back to the member's page, which tells of it."""
    flash(said, "success")
    return redirect(url_for("members.show", user_id=user.id))


def _show(user: User, *, name_form: NameForm | None = None, grant_form: GrantForm | None = None) -> str:
    holder, all_roles = found(find_holder(user.id)), roles.list_roles()
    here = g.identity.login.id if g.identity.user_id == user.id else user.id
    return render_template(
        "admin/member.html",
        member=members.describe(user),
        holder=holder,
        roles={role.name: role for role in all_roles},
        chains=explain.chains_of((*holder.held, *holder.lapsed)),
        permissions=sorted(frozenset[str]().union(*(held.permissions for held in holder.held if not held.object_id))),
        catalogue=roles.catalogue().permissions,
        links=links_of(user.id),
        groups=members.groups_of(user.id),
        sessions=[sessions.describe(row, here) for row in sessions.list_of(user.id)],
        tokens=[(row, api_tokens.ends_at(row)) for row in api_tokens.list_of(user.id)],
        has_second_factor=holder.has_second_factor,
        name_form=name_form or NameForm(obj=user, formdata=None),
        grant_form=grant_form or GrantForm(_givable(all_roles), formdata=None),
        why="why.show" in current_app.view_functions,
    )


def _wanted() -> Filter:
    values = {name: request.args.get(name, "").strip()[:200] for name in ("search", "role", "group", "source", "state")}
    if values["state"] and values["state"] not in STATES:
        abort(404)
    if values["source"] not in ("", LOCAL):
        id_in(values["source"])
    return Filter(
        search=values["search"],
        role=id_in(values["role"]) if values["role"] else None,
        group=id_in(values["group"]) if values["group"] else None,
        source=values["source"],
        state=values["state"],
    )


def _get(user_id: uuid.UUID) -> User:
    return found(members.find_one(user_id))


def _givable(all_roles: Sequence[Role]) -> list[tuple[str, str]]:
    """Those that are given on the whole workspace, with what they are called."""
    return [(role.name, label_of(role)) for role in all_roles if not object_type_of(role)]

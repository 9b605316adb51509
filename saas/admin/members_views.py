"""Pages of members: the list, one member, and what administrators do about them."""

import uuid

from flask import Blueprint, abort, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from sqlalchemy import select

from auth import accounts, bulk_grants, members, roles, sessions, users
from auth.errors import NotAllowed, UnknownRole
from auth.holdings import find_holder
from auth.links import links_of
from auth.members import LOCAL, SORTS, STATES, Filter
from auth.models import Grant, Group, User
from auth.permissions import AccessPermission, can, requires
from auth.providers.registry import list_configs
from auth.role_holders import label_of
from saas.admin.member_forms import GrantForm, NameForm
from saas.admin.member_import_views import import_members
from saas.navigation import Entry
from tenants.db import now

bp = Blueprint("members", __name__, url_prefix="/admin/members", template_folder="templates")

ENTRY = Entry(
    "members.list_members", lazy_gettext("Members"), "users", visible=lambda: can(AccessPermission.MEMBER_MANAGE)
)
PAGE = 50
MOST_AT_ONCE = 200

manages = requires(AccessPermission.MEMBER_MANAGE)

bp.add_url_rule("/import", view_func=import_members, methods=["GET", "POST"])


@bp.get("/")
@manages
def list_members() -> ResponseReturnValue:
    """Search, filter, sort and page through the members."""
    wanted, sort, page = _wanted(), request.args.get("sort", "name"), request.args.get("page", 1, type=int)
    if sort not in SORTS or not 1 <= page <= 100_000:
        abort(404)
    found = members.find(wanted, sort=sort, limit=PAGE, offset=(page - 1) * PAGE)
    return render_template(
        "admin/members.html",
        members=found.members,
        total=found.total,
        page=page,
        page_size=PAGE,
        sort=sort,
        wanted=wanted,
        roles=_givable(),
        labels=_labels(),
        all_roles=roles.list_roles(),
        groups=g.db.scalars(select(Group).order_by(Group.name).limit(500)).all(),
        sources=[(str(config.id), config.label) for config in list_configs()],
        local=LOCAL,
    )


@bp.get("/<uuid:user_id>")
@manages
def show(user_id: uuid.UUID) -> ResponseReturnValue:
    """One member."""
    return _show(_get(user_id), NameForm(obj=_get(user_id)), GrantForm(_givable()))


@bp.post("/<uuid:user_id>/rename")
@manages
def rename(user_id: uuid.UUID) -> ResponseReturnValue:
    """Give a member another name."""
    user, form = _get(user_id), NameForm()
    if form.validate_on_submit():
        accounts.rename(user, form.name.data or "", actor=g.identity)
        flash(_("The name is saved."), "success")
        return redirect(url_for("members.show", user_id=user_id))
    return _show(user, form, GrantForm(_givable(), formdata=None)), 422


@bp.post("/<uuid:user_id>/roles")
@manages
def give_role(user_id: uuid.UUID) -> ResponseReturnValue:
    """Give a member a role."""
    user, form = _get(user_id), GrantForm(_givable())
    if form.validate_on_submit():
        ends_at = form.ends_at()
        if ends_at is not None and ends_at <= now():
            form.until.errors = [_("That day is over.")]
        else:
            try:
                roles.grant_role(user, form.role.data, actor=g.identity, expires_at=ends_at)
            except NotAllowed as error:
                form.role.errors = [str(error)]
            else:
                flash(_("The role is given. It counts from their next click on."), "success")
                return redirect(url_for("members.show", user_id=user_id))
    return _show(user, NameForm(obj=user, formdata=None), form), 422


@bp.post("/<uuid:user_id>/roles/<uuid:grant_id>/take")
@manages
def take_role(user_id: uuid.UUID, grant_id: uuid.UUID) -> ResponseReturnValue:
    """Take a role from a member."""
    user, grant = _get(user_id), g.db.find(Grant, grant_id)
    if grant is None or grant.user_id != user.id:
        abort(404)
    on = (grant.object_type, grant.object_id) if grant.object_id else None
    roles.revoke_role(user, grant.role.name, actor=g.identity, on=on)
    flash(_("The role is taken back."), "success")
    return redirect(url_for("members.show", user_id=user_id))


@bp.post("/<uuid:user_id>/deactivate")
@manages
def deactivate(user_id: uuid.UUID) -> ResponseReturnValue:
    """Close an account."""
    users.deactivate_user(_get(user_id), actor=g.identity)
    flash(_("The account is deactivated, and signed out everywhere."), "success")
    return redirect(url_for("members.show", user_id=user_id))


@bp.post("/<uuid:user_id>/reactivate")
@manages
def reactivate(user_id: uuid.UUID) -> ResponseReturnValue:
    """Open it again."""
    users.reactivate_user(_get(user_id), actor=g.identity)
    flash(_("The account is active again."), "success")
    return redirect(url_for("members.show", user_id=user_id))


@bp.post("/<uuid:user_id>/end-sessions")
@manages
def end_sessions(user_id: uuid.UUID) -> ResponseReturnValue:
    """Sign a member out everywhere."""
    ended = accounts.end_sessions(_get(user_id), actor=g.identity)
    flash(ngettext("%(num)s session is ended.", "%(num)s sessions are ended.", ended), "success")
    return redirect(url_for("members.show", user_id=user_id))


@bp.post("/<uuid:user_id>/reset-second-factor")
@manages
def reset_second_factor(user_id: uuid.UUID) -> ResponseReturnValue:
    """Take a member's second factors away."""
    accounts.reset_second_factor(_get(user_id), actor=g.identity)
    flash(_("The second factor is gone, and they are signed out everywhere."), "success")
    return redirect(url_for("members.show", user_id=user_id))


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
    chosen, form = set(request.form.getlist("user")), GrantForm(_givable())
    if not chosen or len(chosen) > MOST_AT_ONCE:
        flash(_("Choose whom to give it to, %(most)s at most.", most=MOST_AT_ONCE), "error")
        return redirect(url_for("members.list_members"))
    people = members.find_all([_uuid(value) for value in chosen])
    if len(people) != len(chosen):
        abort(404)
    if not form.validate_on_submit():
        flash(" ".join(str(fault) for faults in form.errors.values() for fault in faults), "error")
        return redirect(url_for("members.list_members"))
    try:
        role = roles.get_role(form.role.data)
    except UnknownRole:  # which was deleted in this moment
        abort(404)
    bulk_grants.give_to_many(people, role, actor=g.identity, expires_at=form.ends_at())
    flash(ngettext("%(num)s member has the role now.", "%(num)s members have the role now.", len(people)), "success")
    return redirect(url_for("members.list_members"))


def _show(user: User, name_form: NameForm, grant_form: GrantForm) -> str:
    holder = find_holder(user.id)
    assert holder is not None, "the user was found just now"  # noqa: S101 - for the type checker
    here = g.identity.login.id if g.identity.user_id == user.id else user.id
    return render_template(
        "admin/member.html",
        member=members.describe(user),
        signed_in_at=members.last_sign_in(user.id),
        holder=holder,
        labels=_labels(),
        givers=members.names_of({held.granted_by for held in (*holder.held, *holder.lapsed) if held.granted_by}),
        permissions=sorted(frozenset[str]().union(*(held.permissions for held in holder.held if not held.object_id))),
        catalogue=roles.catalogue().permissions,
        links=links_of(user.id),
        groups=members.groups_of(user.id),
        sessions=[sessions.describe(row, here) for row in sessions.list_of(user.id)],
        has_second_factor=holder.has_second_factor,
        name_form=name_form,
        grant_form=grant_form,
        why="why.show" in current_app.view_functions,
    )


def _wanted() -> Filter:
    values = {name: request.args.get(name, "").strip()[:200] for name in ("search", "role", "group", "source", "state")}
    if values["state"] and values["state"] not in STATES:
        abort(404)
    if values["source"] not in ("", LOCAL):
        _uuid(values["source"])
    return Filter(
        search=values["search"],
        role=_uuid(values["role"]) if values["role"] else None,
        group=_uuid(values["group"]) if values["group"] else None,
        source=values["source"],
        state=values["state"],
    )


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        abort(404)


def _get(user_id: uuid.UUID) -> User:
    user: User | None = g.db.find(User, user_id)
    if user is None:
        abort(404)
    return user


def _givable() -> list[tuple[str, str]]:
    """The roles that are given on the whole workspace, with what they are called."""
    known = roles.catalogue().roles
    return [
        (role.name, label_of(role))
        for role in roles.list_roles()
        if not (role.builtin and role.name in known and known[role.name].object_type)
    ]


def _labels() -> dict[str, str]:
    return {role.name: label_of(role) for role in roles.list_roles()}

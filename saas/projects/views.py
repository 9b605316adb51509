"""Pages of projects."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import to_user_timezone

from auth import denials
from auth.errors import NotAllowed, UnknownUser
from auth.models import User
from auth.permissions import AccessPermission, can, requires
from auth.users import list_users, name_of
from saas.projects import editors, service
from saas.projects.forms import STATUS_LABELS, EditorForm, ProjectForm, UpdateForm
from saas.projects.models import Project, ProjectStatus
from saas.projects.permissions import OBJECT_TYPE, ProjectPermission
from tenants.db import now

bp = Blueprint("projects", __name__, url_prefix="/projects", template_folder="templates")

PAGE = 20
THIS_PROJECT = (OBJECT_TYPE, "project_id")


@bp.get("/")
@requires(ProjectPermission.READ, anywhere=True)
def list_projects() -> ResponseReturnValue:
    """Search, filter, sort and page through the projects."""
    wanted, sort, page = _wanted(), request.args.get("sort", "-updated"), request.args.get("page", 1, type=int)
    if sort not in service.ORDERS or not 1 <= page <= 100_000:
        abort(404)
    found = service.list_projects(wanted, sort=sort, limit=PAGE, offset=(page - 1) * PAGE, with_owner=True)
    return render_template(
        "projects/list.html",
        projects=found.rows,
        total=found.total,
        page=page,
        page_size=PAGE,
        sort=sort,
        search=wanted.search,
        status=wanted.status,
        owner_id=wanted.owner_id,
        statuses=STATUS_LABELS,
        today=_today(),
        people=_people(),
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(ProjectPermission.CREATE)
def create() -> ResponseReturnValue:
    """Make a project."""
    form = ProjectForm(_people(), data={"status": ProjectStatus.ACTIVE} if request.method == "GET" else None)
    if form.validate_on_submit():
        project = service.create_project(**form.values())
        flash(_("The project is created."), "success")
        return redirect(url_for("projects.show", project_id=project.id))
    return render_template("projects/form.html", form=form, project=None), 422 if form.is_submitted() else 200


@bp.get("/<uuid:project_id>")
@requires(ProjectPermission.READ, on=THIS_PROJECT)
def show(project_id: uuid.UUID) -> ResponseReturnValue:
    """One project with its updates."""
    return _show(_get(project_id), UpdateForm(), EditorForm())


@bp.route("/<uuid:project_id>/edit", methods=["GET", "POST"])
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
def edit(project_id: uuid.UUID) -> ResponseReturnValue:
    """Change a project."""
    project = _get(project_id)
    form = ProjectForm(_people(project.owner_id), obj=project)
    if form.validate_on_submit():
        service.edit_project(project, **form.values())
        flash(_("The project is saved."), "success")
        return redirect(url_for("projects.show", project_id=project.id))
    return render_template("projects/form.html", form=form, project=project), 422 if form.is_submitted() else 200


@bp.post("/<uuid:project_id>/archive")
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
def archive(project_id: uuid.UUID) -> ResponseReturnValue:
    """Put a project out of the way."""
    service.archive_project(_get(project_id))
    flash(_("The project is archived."), "success")
    return redirect(url_for("projects.show", project_id=project_id))


@bp.post("/<uuid:project_id>/restore")
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
def restore(project_id: uuid.UUID) -> ResponseReturnValue:
    """Bring it back."""
    service.restore_project(_get(project_id))
    flash(_("The project is active again."), "success")
    return redirect(url_for("projects.show", project_id=project_id))


@bp.route("/<uuid:project_id>/delete", methods=["GET", "POST"])
@requires(ProjectPermission.DELETE, on=THIS_PROJECT)
def delete(project_id: uuid.UUID) -> ResponseReturnValue:
    """Ask once, then delete a project."""
    project = _get(project_id)
    if request.method == "GET":
        return render_template("projects/delete.html", project=project, updates=service.count_updates(project))
    service.delete_project(project)
    flash(_("The project “%(name)s” is deleted.", name=project.name), "success")
    return redirect(url_for("projects.list_projects"))


@bp.post("/<uuid:project_id>/updates")
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
def write_update(project_id: uuid.UUID) -> ResponseReturnValue:
    """Post an update."""
    project, form = _get_visible(project_id), UpdateForm()
    if not form.validate_on_submit():
        return _show(project, form, EditorForm(formdata=None)), 422
    service.write_update(project, form.body.data or "")
    return redirect(url_for("projects.show", project_id=project_id, _anchor="updates"))


@bp.post("/<uuid:project_id>/editors")
@requires(AccessPermission.ROLE_MANAGE)
def add_editor(project_id: uuid.UUID) -> ResponseReturnValue:
    """Let somebody edit this one project."""
    project, form = _get_visible(project_id), EditorForm()
    if form.validate_on_submit():
        try:
            user = editors.add(project, form.email.data or "")
        except UnknownUser:
            form.email.errors = [_("Nobody in this workspace has this address.")]
        except NotAllowed as error:
            form.email.errors = [denials.words_of(error)]
        else:
            flash(_("%(name)s may edit this project.", name=user.name), "success")
            return redirect(url_for("projects.show", project_id=project_id, _anchor="editors"))
    return _show(project, UpdateForm(formdata=None), form), 422


@bp.post("/<uuid:project_id>/editors/<uuid:user_id>/remove")
@requires(AccessPermission.ROLE_MANAGE)
def remove_editor(project_id: uuid.UUID, user_id: uuid.UUID) -> ResponseReturnValue:
    """Take that back."""
    try:
        editors.remove(_get_visible(project_id), user_id)
    except UnknownUser:
        abort(404)
    flash(_("That right is taken back."), "success")
    return redirect(url_for("projects.show", project_id=project_id, _anchor="editors"))


def _people(owner_id: uuid.UUID | None = None) -> Sequence[User]:
    """Whom the caller may choose as owner: without the right to see members, themselves and the present owner."""
    if can(AccessPermission.MEMBER_READ):
        return list_users()
    known = (g.db.find(User, user_id) for user_id in dict.fromkeys((g.identity.user_id, owner_id)))
    return [user for user in known if user is not None]


def _get(project_id: uuid.UUID) -> Project:
    project = service.find_project(project_id)
    if project is None:
        abort(404)
    return project


def _get_visible(project_id: uuid.UUID) -> Project:
    """The project, for a caller who may see it; any other is answered 403, whether there is one or not."""
    if not can(ProjectPermission.READ, OBJECT_TYPE, project_id):
        abort(403)
    return _get(project_id)


def _show(project: Project, update_form: UpdateForm, editor_form: EditorForm) -> str:
    manages: bool = can(AccessPermission.ROLE_MANAGE)
    return render_template(
        "projects/show.html",
        project=project,
        today=_today(),
        status_label=STATUS_LABELS[ProjectStatus(project.status)],
        owner_name=name_of(project.owner_id),
        updates=service.list_updates(project),
        editors=editors.list_of(project) if manages else [],
        update_form=update_form,
        editor_form=editor_form,
        may_manage_editors=manages,
    )


def _wanted() -> service.Filter:
    values: dict[str, Any] = {"search": request.args.get("search", "").strip()[:200], "only": service.readable()}
    if (status := request.args.get("status", "")) in STATUS_LABELS:
        values["status"] = status
    with suppress(ValueError):  # no owner chosen, or no such person: everybody's
        values["owner_id"] = uuid.UUID(request.args.get("owner", ""))
    return service.Filter(**values)


def _today() -> date:
    """The date where the reader is."""
    today: date = to_user_timezone(now()).date()
    return today

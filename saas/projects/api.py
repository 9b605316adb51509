"""JSON of projects, their updates and their editors."""

import uuid
from datetime import date, datetime
from typing import Annotated, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import Field, StringConstraints

from auth.errors import UnknownUser
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.projects import editors, service
from saas.projects.models import Project
from saas.projects.permissions import OBJECT_TYPE, ProjectPermission
from saas.shapes import Answer, Change, CountedPage, Given, Page, Paging, Search, first_page

bp = Blueprint("projects_api", __name__, url_prefix="/api/v1/projects")

THIS_PROJECT = (OBJECT_TYPE, "project_id")

Status = Literal["planned", "active", "done", "archived"]
_Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=service.LONGEST_NAME),
    Field(examples=["Apollo"]),
]
_Text = Annotated[str, StringConstraints(max_length=service.LONGEST_TEXT)]


class NewProject(Given):
    """The body that creates a project."""

    name: _Name
    description: _Text = ""
    status: Status = "active"
    owner_id: uuid.UUID | None = None
    """Who answers for it; the caller, when left out."""
    due_on: date | None = None


class ProjectChange(Change):
    """The body that changes a project: what is left out stays."""

    name: _Name = ""
    description: _Text = ""
    status: Status = "active"
    owner_id: uuid.UUID | None = None
    due_on: date | None = None


class ProjectQuery(Paging):
    """Which projects, and in which order."""

    search: Search = ""
    """Part of the name or the description."""
    status: Status | None = None
    """Without it, all but archived ones."""
    owner_id: uuid.UUID | None = None
    sort: Literal["-created", "created", "name", "-name", "-updated", "updated", "due", "-due"] = "-created"


class UpdateQuery(Paging):
    """In which order updates are listed."""

    sort: Literal["-created", "created"] = "-created"


class EditorQuery(Paging):
    """In which order editors are listed."""

    sort: Literal["name", "-name", "email", "-email", "created", "-created"] = "name"


class ProjectJson(Answer):
    """Something that people work on together."""

    id: uuid.UUID
    name: str
    description: str
    status: Status
    owner_id: uuid.UUID | None
    """Who answers for it; null once that person was removed."""
    due_on: date | None
    created_at: datetime
    updated_at: datetime


class NewUpdate(Given):
    """The body that adds an update."""

    body: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=service.LONGEST_TEXT)]


class UpdateJson(Answer):
    """A dated note on a project."""

    id: uuid.UUID
    body: str
    author_id: uuid.UUID | None
    """Null once that person was removed."""
    created_at: datetime


class EditorJson(Answer):
    """Somebody who may edit this one project although their roles do not let them edit all."""

    id: uuid.UUID
    email: str
    name: str


@bp.get("")
@requires(ProjectPermission.READ, anywhere=True)
@operation("List projects", query=ProjectQuery, returns=CountedPage[ProjectJson], tag="Projects")
def list_projects(query: ProjectQuery) -> Answerable:
    """A page of the projects that the caller may read, newest first unless sorted, and how many there are."""
    wanted = service.Filter(query.search, query.status or "", query.owner_id, service.readable())
    order = service.ORDERS[query.sort]
    page = service.list_projects(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(page.rows, query.limit, order.write)
    return {"items": shown, "next_cursor": more, "total": page.total}


@bp.post("")
@requires(ProjectPermission.CREATE)
@operation("Create a project", body=NewProject, returns=ProjectJson, status=201, tag="Projects")
def create(body: NewProject) -> Answerable:
    """Create a project; `Location` is its address."""
    try:
        project = service.create_project(**body.model_dump())
    except UnknownUser as error:
        raise InvalidFields([{"field": "owner_id", "message": str(error)}]) from None
    return project, 201, {"Location": url_for("projects_api.show", project_id=project.id)}


@bp.get("/<uuid:project_id>")
@requires(ProjectPermission.READ, on=THIS_PROJECT)
@operation("Show a project", returns=ProjectJson, row=Project, tag="Projects")
def show(project_id: uuid.UUID) -> Answerable:
    """A project."""
    return _get(project_id)


@bp.patch("/<uuid:project_id>")
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
@operation("Change a project", body=ProjectChange, returns=ProjectJson, tag="Projects")
def change(project_id: uuid.UUID, body: ProjectChange) -> Answerable:
    """Change what is given, also to archive a project (`status`); what is left out stays."""
    project = _get(project_id)
    try:
        service.edit_project(project, **body.model_dump(exclude_unset=True))
    except UnknownUser as error:
        raise InvalidFields([{"field": "owner_id", "message": str(error)}]) from None
    return project


@bp.delete("/<uuid:project_id>")
@requires(ProjectPermission.DELETE, on=THIS_PROJECT)
@operation("Delete a project", tag="Projects")
def delete(project_id: uuid.UUID) -> Answerable:
    """Delete a project with its updates, and what was granted on it."""
    service.delete_project(_get(project_id))


@bp.get("/<uuid:project_id>/updates")
@requires(ProjectPermission.READ, on=THIS_PROJECT)
@operation("List updates of a project", query=UpdateQuery, returns=CountedPage[UpdateJson], tag="Projects")
def list_updates(project_id: uuid.UUID, query: UpdateQuery) -> Answerable:
    """A page of the updates, newest first unless sorted, and how many there are."""
    project, order = _get(project_id), service.UPDATE_ORDERS[query.sort]
    rows = service.list_updates(project, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": shown, "next_cursor": more, "total": service.count_updates(project)}


@bp.post("/<uuid:project_id>/updates")
@requires(ProjectPermission.UPDATE, on=THIS_PROJECT)
@operation("Write an update", body=NewUpdate, returns=UpdateJson, status=201, tag="Projects")
def write_update(project_id: uuid.UUID, body: NewUpdate) -> Answerable:
    """Add a note by the caller; `Location` is its address."""
    update = service.write_update(_get(project_id), body.body)
    place = url_for("projects_api.show_update", project_id=project_id, update_id=update.id)
    return update, 201, {"Location": place}


@bp.get("/<uuid:project_id>/updates/<uuid:update_id>")
@requires(ProjectPermission.READ, on=THIS_PROJECT)
@operation("Show an update", returns=UpdateJson, tag="Projects")
def show_update(project_id: uuid.UUID, update_id: uuid.UUID) -> Answerable:
    """A note on a project."""
    return found(service.find_update(_get(project_id), update_id))


@bp.get("/<uuid:project_id>/editors")
@requires(AccessPermission.ROLE_READ)
@operation("List editors of a project", query=EditorQuery, returns=Page[EditorJson], tag="Projects")
def list_editors(project_id: uuid.UUID, query: EditorQuery) -> Answerable:
    """A page of those who may edit this one project, by name unless sorted."""
    project, order = _get(project_id), editors.ORDERS[query.sort]
    rows = editors.list_of(project, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": shown, "next_cursor": more}


@bp.get("/<uuid:project_id>/editors/<uuid:user_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show an editor of a project", returns=EditorJson, tag="Projects")
def show_editor(project_id: uuid.UUID, user_id: uuid.UUID) -> Answerable:
    """One of those who may edit this one project."""
    return found(editors.find(_get(project_id), user_id))


@bp.put("/<uuid:project_id>/editors/<uuid:user_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Let somebody edit a project", tag="Projects")
def add_editor(project_id: uuid.UUID, user_id: uuid.UUID) -> Answerable:
    """Let a member edit this one project."""
    project, user = _get(project_id), _member(user_id)
    editors.add(project, user.email)


@bp.delete("/<uuid:project_id>/editors/<uuid:user_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Take that back", tag="Projects", errors=(403,))
def remove_editor(project_id: uuid.UUID, user_id: uuid.UUID) -> Answerable:
    """Take the right to edit this one project from a member."""
    editors.remove(_get(project_id), _member(user_id).id)


def _get(project_id: uuid.UUID) -> Project:
    project = service.find_project(project_id)
    if project is None:
        abort(404)
    return project


def _member(user_id: uuid.UUID) -> User:
    user: User | None = g.db.find(User, user_id)
    if user is None:
        abort(404)
    return user

"""JSON of projects: list and create."""

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auth.errors import UnknownUser
from auth.permissions import requires
from saas.api import InvalidFields, page_size, read_cursor, read_object, write_cursor
from saas.projects import service
from saas.projects.models import ProjectStatus
from saas.projects.permissions import ProjectPermission

bp = Blueprint("projects_api", __name__, url_prefix="/api/v1/projects")

NEWEST_FIRST = "-created"


class NewProject(BaseModel):
    """The body that creates a project."""

    model_config = ConfigDict(extra="forbid", strict=False)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=service.LONGEST_NAME)]
    description: Annotated[str, StringConstraints(max_length=service.LONGEST_TEXT)] = ""
    status: Literal["planned", "active", "done", "archived"] = "active"
    owner_id: uuid.UUID | None = None
    due_on: date | None = None


@bp.get("")
@requires(ProjectPermission.READ, anywhere=True)
def list_projects() -> ResponseReturnValue:
    """A page of projects, newest first, and how many there are."""
    limit, after = page_size(), read_cursor(1)
    wanted = service.Filter(search=request.args.get("search", "")[:200], status=_status(), only=service.readable())
    position = _position(after) if after else None
    page = service.list_projects(wanted, sort=NEWEST_FIRST, limit=limit + 1, after=position)
    rows = page.rows
    more = write_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
    return jsonify(items=[as_json(row) for row in rows[:limit]], next_cursor=more, total=page.total)


@bp.post("")
@requires(ProjectPermission.CREATE)
def create() -> ResponseReturnValue:
    """Create a project."""
    try:
        given = NewProject.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None
    try:
        project = service.create_project(**given.model_dump())
    except UnknownUser as error:
        raise InvalidFields([{"field": "owner_id", "message": str(error)}]) from None
    location = url_for("projects.show", project_id=project.id)
    return jsonify(as_json(project)), 201, {"Location": location}


def as_json(project: Any) -> dict[str, Any]:
    """A project as the API gives it: a model or a row of one."""
    return {
        "id": str(project.id),
        "name": project.name,
        "description": project.description,
        "status": project.status,
        "owner_id": str(project.owner_id) if project.owner_id else None,
        "due_on": project.due_on.isoformat() if project.due_on else None,
        "created_at": _as_time(project.created_at),
        "updated_at": _as_time(project.updated_at),
    }


def _as_time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _status() -> str:
    status = request.args.get("status", "")
    if status and status not in list(ProjectStatus):
        raise InvalidFields([{"field": "status", "message": f"must be one of {', '.join(ProjectStatus)}"}])
    return status


def _position(cursor: list[str]) -> tuple[uuid.UUID, uuid.UUID]:
    try:
        place = uuid.UUID(cursor[0])
    except ValueError:
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}]) from None
    return place, place

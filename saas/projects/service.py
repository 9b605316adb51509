"""What can be done with projects. Pages, API and tasks all come here; nothing here commits."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from flask import g
from sqlalchemy import BindParameter, Row, Select, and_, bindparam, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from auth import roles
from auth.errors import UnknownUser
from auth.models import User
from saas.projects.models import Project, ProjectStatus, ProjectUpdate
from saas.projects.permissions import OBJECT_TYPE, ProjectPermission
from tenants.keysets import Orders, Place, filled

LONGEST_NAME = 200
LONGEST_TEXT = 20_000

ORDERS = Orders(
    Project.id,
    created=(),
    name=(Project.name,),
    updated=(Project.updated_at,),
    due=(filled(Project.due_on, date(9999, 12, 31)),),  # without due date after those with one
)
"""Orders of a list of projects."""
UPDATE_ORDERS = Orders(ProjectUpdate.id, created=())
_COLUMNS = (
    Project.id, Project.name, Project.description, Project.status, Project.owner_id, Project.due_on,
    Project.created_at, Project.updated_at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """Which projects a list is about; `only` confines it to those ids, for callers who may read no others."""

    search: str = ""
    status: str = ""
    owner_id: uuid.UUID | None = None
    only: tuple[uuid.UUID, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        """The bound values of those conditions that are set."""
        values: dict[str, Any] = {}
        if self.search:
            escaped = self.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            values["search"] = f"%{escaped}%"
        if self.status:
            values["status"] = self.status
        if self.owner_id:
            values["owner_id"] = self.owner_id
        if self.only is not None:
            values["only"] = list(self.only)
        return values


def readable() -> tuple[uuid.UUID, ...] | None:
    """Ids of the projects that the caller may read, or None for all."""
    if ProjectPermission.READ in g.permissions:
        return None
    return tuple(
        object_id
        for (object_type, object_id), held in g.identity.objects.items()
        if object_type == OBJECT_TYPE and ProjectPermission.READ in held
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and how many rows the whole list has."""

    rows: Sequence[Row[Any]]
    total: int


def list_projects(
    wanted: Filter,
    *,
    sort: str = "-created",
    limit: int = 20,
    offset: int = 0,
    after: Place | None = None,
    with_owner: bool = False,
) -> Page:
    """Projects in the order of `ORDERS[sort]`, behind that place; `with_owner` adds `owner_name`."""
    parameters = wanted.parameters()
    conditions = tuple(sorted(parameters))
    values = {**parameters, "page_limit": limit, "page_offset": offset}
    values |= {f"after_{number}": value for number, value in enumerate(after or ())}
    rows = g.db.rows(_page(conditions, sort, after is not None, with_owner), values)
    # The count comes with the page, in one trip; a page without rows carries none.
    total = rows[0].total if rows else 0
    if not rows and (offset or after is not None):
        total = g.db.rows(_count(conditions), parameters)[0][0]
    return Page(rows, total)


def recent_updates(*, limit: int) -> Sequence[Row[Any]]:
    """The last updates of all projects, with project and author."""
    rows: Sequence[Row[Any]] = g.db.rows(_RECENT_UPDATES, {"page_limit": limit})
    return rows


def find_project(project_id: uuid.UUID) -> Project | None:
    """The tenant's project of that id."""
    project: Project | None = g.db.find(Project, project_id)
    return project


def create_project(
    *,
    name: str,
    description: str = "",
    status: str = ProjectStatus.ACTIVE,
    owner_id: uuid.UUID | None = None,
    due_on: date | None = None,
) -> Row[Any]:
    """Make a project and give back its row; its owner is the caller unless another is named. Raises UnknownUser."""
    created: Row[Any] = g.db.add_row(
        Project,
        {
            "name": name,
            "description": description,
            "status": status,
            "owner_id": _check_owner(owner_id) if owner_id else g.identity.user_id,
            "due_on": due_on,
        },
    )
    return created


def edit_project(project: Project, **changes: Any) -> None:
    """Change name, description, status, owner_id or due_on. Raises UnknownUser."""
    if changes.get("owner_id") and changes["owner_id"] != project.owner_id:
        _check_owner(changes["owner_id"])
    for name, value in changes.items():
        setattr(project, name, value)
    g.db.flush()


def archive_project(project: Project) -> None:
    """Put a project out of the way."""
    project.status = ProjectStatus.ARCHIVED


def restore_project(project: Project) -> None:
    """Bring an archived project back."""
    project.status = ProjectStatus.ACTIVE


def delete_project(project: Project) -> None:
    """Delete a project with its updates, and what was granted on it."""
    roles.drop_object(OBJECT_TYPE, project.id)
    g.db.delete(project)


def disown(_sender: Any, user: User) -> None:
    """Keep what a user has made, without them. Receives `user_removed`."""
    g.db.execute(update(Project).where(Project.owner_id == user.id).values(owner_id=None))
    g.db.execute(update(ProjectUpdate).where(ProjectUpdate.author_id == user.id).values(author_id=None))


def list_updates(
    project: Project, *, sort: str = "-created", limit: int = 100, after: Place | None = None
) -> Sequence[Row[Any]]:
    """The updates of a project in the order of `UPDATE_ORDERS[sort]`, behind that place, with their author's name."""
    parameters = {"project_id": project.id, "page_limit": limit} | ({"after_0": after[0]} if after else {})
    rows: Sequence[Row[Any]] = g.db.rows(_updates(sort, after is not None), parameters)
    return rows


def find_update(project: Project, update_id: uuid.UUID) -> ProjectUpdate | None:
    """The update of that id on the project."""
    found: ProjectUpdate | None = g.db.find(ProjectUpdate, update_id)
    return found if found is not None and found.project_id == project.id else None


def count_updates(project: Project) -> int:
    """How many updates a project has."""
    counted: int = g.db.rows(_UPDATE_COUNT, {"project_id": project.id})[0][0]
    return counted


def write_update(project: Project, body: str) -> ProjectUpdate:
    """Add an update by the caller."""
    written = ProjectUpdate(project_id=project.id, author_id=g.identity.user_id, body=body)
    g.db.add(written)
    g.db.flush()
    return written


def _check_owner(owner_id: uuid.UUID) -> uuid.UUID:
    owner: User | None = g.db.find(User, owner_id)
    if owner is None or not owner.active:
        raise UnknownUser("no such user in this workspace")
    return owner_id


# Statements are built once for each combination of conditions: building one costs as much as running it.


@cache
def _page(conditions: tuple[str, ...], sort: str, after: bool, with_owner: bool) -> Select[Any]:
    order = ORDERS[sort]
    total = _count(conditions).scalar_subquery().label("total")
    statement: Select[Any] = select(*_COLUMNS, total).where(*_conditions(conditions))
    if with_owner:
        statement = statement.add_columns(User.name.label("owner_name")).outerjoin(
            User, and_(User.tenant_id == Project.tenant_id, User.id == Project.owner_id)
        )
    place: Place | None = [bindparam(f"after_{number}") for number in range(len(order.keys))] if after else None
    return order.page(statement, limit=bindparam("page_limit"), offset=bindparam("page_offset"), after=place)


@cache
def _count(conditions: tuple[str, ...]) -> Select[Any]:
    return select(func.count()).select_from(Project).where(*_conditions(conditions))


@cache
def _updates(sort: str, after: bool) -> Select[*tuple[Any, ...]]:
    place: Place | None = [bindparam("after_0")] if after else None
    return UPDATE_ORDERS[sort].page(_UPDATES, limit=bindparam("page_limit"), after=place)


def _conditions(names: tuple[str, ...]) -> list[ColumnElement[bool]]:
    search: BindParameter[str] = bindparam("search")
    known: dict[str, ColumnElement[bool]] = {
        "search": or_(Project.name.ilike(search, escape="\\"), Project.description.ilike(search, escape="\\")),
        "status": Project.status == bindparam("status"),
        "owner_id": Project.owner_id == bindparam("owner_id"),
        "only": Project.id.in_(bindparam("only", expanding=True)),
    }
    shown = [] if "status" in names else [Project.status != ProjectStatus.ARCHIVED]
    return [*shown, *(known[name] for name in names)]


_UPDATES = (
    select(
        ProjectUpdate.id,
        ProjectUpdate.body,
        ProjectUpdate.author_id,
        ProjectUpdate.created_at,
        User.name.label("author_name"),
    )
    .outerjoin(User, and_(User.tenant_id == ProjectUpdate.tenant_id, User.id == ProjectUpdate.author_id))
    .where(ProjectUpdate.project_id == bindparam("project_id"))
)
_UPDATE_COUNT = (
    select(func.count()).select_from(ProjectUpdate).where(ProjectUpdate.project_id == bindparam("project_id"))
)
_RECENT_UPDATES = (
    select(
        ProjectUpdate.body,
        ProjectUpdate.created_at,
        User.name.label("author_name"),
        Project.id.label("project_id"),
        Project.name.label("project_name"),
    )
    .outerjoin(User, and_(User.tenant_id == ProjectUpdate.tenant_id, User.id == ProjectUpdate.author_id))
    .join(Project, and_(Project.tenant_id == ProjectUpdate.tenant_id, Project.id == ProjectUpdate.project_id))
    .where(Project.status != ProjectStatus.ARCHIVED)
    .order_by(ProjectUpdate.created_at.desc(), ProjectUpdate.id.desc())
    .limit(bindparam("page_limit"))
)

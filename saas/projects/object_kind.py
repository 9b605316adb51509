"""Projects as objects on which something can be permitted: found and offered as far as the caller may see them."""

import uuid
from collections.abc import Sequence

from flask_babel import lazy_gettext as _

from auth.permissions import can
from saas.objects import Kind
from saas.projects import service
from saas.projects.permissions import OBJECT_TYPE, ProjectPermission

MOST_OFFERED = 100


def _name(project_id: uuid.UUID) -> str | None:
    project = service.find_project(project_id)
    if project is None or not _may_see(project_id):
        return None
    return project.name


def _may_see(project_id: uuid.UUID) -> bool:
    return can(ProjectPermission.READ, OBJECT_TYPE, project_id)


def _offered() -> Sequence[tuple[uuid.UUID, str]]:
    found = service.list_projects(service.Filter(only=service.readable()), sort="-updated", limit=MOST_OFFERED)
    return [(project.id, project.name) for project in found.rows]


KIND = Kind(OBJECT_TYPE, _("Project"), _name, _offered, _may_see)

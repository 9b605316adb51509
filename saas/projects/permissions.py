"""What can be permitted around projects, and which built-in roles have it."""

from flask_babel import lazy_gettext as _

from auth.permissions import ADMIN, MEMBER, VIEWER, BuiltinRole, Catalogue, Permission

OBJECT_TYPE = "project"


class ProjectPermission(Permission):
    """Permissions of this feature."""

    CREATE = "project:create", _("Create projects.")
    DELETE = "project:delete", _("Delete projects with all their updates.")
    READ = "project:read", _("See projects and their updates.")
    UPDATE = "project:update", _("Edit and archive projects, and write updates.")


EDITOR = BuiltinRole("project-editor", _("Project editor"), _("Edits one project."), OBJECT_TYPE, _("one project"))
"""Given on a single project to somebody whose roles do not let them edit all."""


def register(catalogue: Catalogue) -> None:
    """Add this feature's permissions to the catalogue."""
    catalogue.register(
        ProjectPermission,
        {
            ADMIN: ProjectPermission,
            MEMBER: [ProjectPermission.CREATE, ProjectPermission.READ, ProjectPermission.UPDATE],
            VIEWER: [ProjectPermission.READ],
            EDITOR: [ProjectPermission.READ, ProjectPermission.UPDATE],
        },
        label=_("Projects"),
    )

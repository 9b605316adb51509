"""Projects: the sample feature, the folder to copy. `init_app` plugs it in."""

from flask import Flask
from flask_babel import lazy_gettext as _

from auth.permissions import can
from auth.signals import user_removed
from saas import navigation, objects
from saas.projects import api, permissions, service, views
from saas.projects.object_kind import KIND
from saas.projects.permissions import ProjectPermission


def init_app(app: Flask) -> None:
    """Register permissions, pages, API and navigation of the feature."""
    permissions.register(app.extensions["auth"].catalogue)
    user_removed.connect(service.disown, app)
    objects.add(app, KIND)
    app.register_blueprint(views.bp)
    app.register_blueprint(api.bp)
    navigation.add(
        app,
        navigation.Entry("projects.list_projects", _("Projects"), "folder", lambda: can(ProjectPermission.READ)),
    )

"""Who may edit one project although their roles do not let them edit all."""

import uuid
from collections.abc import Sequence

from flask import g
from flask_babel import gettext as _

from auth import roles, users
from auth.errors import NotAllowed, UnknownUser
from auth.models import User
from saas.projects.models import Project
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.keysets import Orders, Place

ORDERS = Orders(User.id, created=(), name=(User.name,), email=(User.email,))
"""Orders of a project's editors."""


def add(project: Project, email: str) -> User:
    """Let a user edit this one project. Raises UnknownUser, NotAllowed."""
    user = users.get_by_email(email)
    roles.grant_role(user, EDITOR.name, actor=g.identity, on=(OBJECT_TYPE, project.id))
    return user


def remove(project: Project, user_id: uuid.UUID) -> None:
    """Take the right to edit this one project from a user. Raises UnknownUser, NotAllowed."""
    user: User | None = g.db.find(User, user_id)
    if user is None:
        raise UnknownUser("no such user")
    if not roles.revoke_role(user, EDITOR.name, actor=g.identity, on=(OBJECT_TYPE, project.id)):
        raise NotAllowed(_("This person is not an editor of this project."))


def list_of(
    project: Project, *, sort: str = "name", limit: int | None = None, after: Place | None = None
) -> Sequence[User]:
    """The editors of a project, all or behind that place, in one of the orders of ORDERS."""
    statement = ORDERS[sort].page(roles.holders_on(OBJECT_TYPE, project.id), limit=limit, after=after)
    found: Sequence[User] = g.db.scalars(statement).all()
    return found


def find(project: Project, user_id: uuid.UUID) -> User | None:
    """The user of that id, if one of the project's editors."""
    found: User | None = g.db.scalar(roles.holders_on(OBJECT_TYPE, project.id).where(User.id == user_id))
    return found

"""What the pages and the API of sources let people choose from, and what they look up."""

import uuid
from collections.abc import Sequence

from flask import abort, g
from flask_babel import gettext as _
from sqlalchemy import select

from auth import enforcement, groups, roles
from auth.errors import NotAllowed
from auth.models import Role, User
from auth.permissions import OWNER
from auth.providers.models import ProviderConfig
from auth.providers.registry import provider_of
from auth.role_holders import label_of


def find_source(config_id: uuid.UUID) -> ProviderConfig:
    """The bound tenant's source of that id. Answers 404 for another's, or none."""
    config: ProviderConfig | None = g.db.find(ProviderConfig, config_id)
    if config is None:
        abort(404)
    return config


def givable_roles() -> list[Role]:
    """The roles that the caller may have a group of a source give."""
    return [role for role in roles.list_roles() if _may_give(role)]


def role_labels() -> dict[str, str]:
    """What each role is called for people, by name."""
    return {role.name: label_of(role) for role in roles.list_roles()}


def owners_for_emergencies() -> Sequence[User]:
    """The owners who could be named to get in whatever happens: by a password or a passkey of their own."""
    wanted = select(User).where(User.id.in_(roles.owners()), User.active, User.confirmed_at.is_not(None))
    found = g.db.scalars(wanted.order_by(User.name)).all()
    return [user for user in found if user.password or any(key.usage == "first" for key in user.webauthn)]


def conditions_of_enforcing(config: ProviderConfig) -> list[tuple[str, bool]]:
    """What a source needs before it can be enforced, in words, and whether it has it."""
    return [
        (_("People sign in there by their browser: a directory is for its people alone already."), config.is_web),
        (_("It is switched on."), config.enabled),
        (_("A sign-in was rehearsed with its present settings."), config.rehearsed_at is not None),
        (_("An administrator has signed in through it with its present settings."), config.admin_seen_at is not None),
        (
            _("One of its domains is proved to belong to this workspace."),
            bool(set(config.domains) & enforcement.held_domains()),
        ),
    ]


def map_group(config: ProviderConfig, named: str, role: str) -> None:
    """Have a group of the source give a role; a directory is asked for it.

    Raises LookupError for a group that the directory does not know, or a role that there is not, DirectoryFault, and
    NotAllowed.
    """
    if config.is_web:
        groups.map_group(config, named, named, role, actor=g.identity)
        return
    provider = provider_of(config)
    g.db.release()  # no connection is held while a directory takes its time
    key, name = provider.find_group(named)
    groups.map_group(config, key, name, role, actor=g.identity)


def _may_give(role: Role) -> bool:
    if role.builtin and role.name == OWNER.name:
        return False
    try:
        roles.check_may_give(g.identity, role)
    except NotAllowed:
        return False
    return True

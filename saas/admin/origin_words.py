"""Where a grant or a group comes from, in words."""

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString

from auth.providers.registry import list_configs

_GRANTS: Mapping[str, LazyString | str] = {
    "manual": lazy_gettext("Given by hand"),
    "default": lazy_gettext("By default"),
    "invitation": lazy_gettext("Invitation"),
    "scim": "SCIM",
}


def of_grants() -> dict[str, str]:
    """What the origins of grants are called, the tenant's sources included. Asks the database once."""
    return {origin: str(said) for origin, said in _GRANTS.items()} | sources()


def of_groups() -> dict[str, str]:
    """What the origins of groups are called."""
    return {"manual": _("This workspace")} | sources()


def sources() -> dict[str, str]:
    """What the tenant's sources are called, by the origin of what they cause."""
    return {config.origin: config.label for config in list_configs()}

"""JSON of what is done with identity providers: switched on and off, enforced, set back, and their groups mapped."""

import uuid
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g
from flask_babel import gettext as _
from pydantic import StringConstraints

from auth import descriptions, groups, provider_changes
from auth.errors import InvalidProvider, UnknownRole, UnknownUser
from auth.models import User
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.models import ProviderConfig
from auth.users import get_by_email
from saas.admin.provider_answers import MappingJson, ProviderJson
from saas.admin.provider_choices import find_source, map_group
from saas.admin.providers_api import as_fields
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import LARGEST_PAGE, Given, Page, Paging, first_page

bp = Blueprint("provider_states_api", __name__, url_prefix="/api/v1/providers/<uuid:config_id>")


class SwitchOff(Given):
    """The body that switches a provider off."""

    end_sessions: bool = False


class Enforcement(Given):
    """The body that enforces a provider: the address of the owner who gets in all the same."""

    break_glass: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class MappingQuery(Paging):
    """In which order mappings are listed."""

    sort: Literal["group", "-group", "created", "-created"] = "group"


class NewMapping(Given):
    """The body that has a group give a role."""

    group: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    role: Annotated[str, StringConstraints(min_length=1, max_length=80)]


@bp.post("/enable")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Switch a provider on", returns=ProviderJson, tag="Providers")
def enable(config_id: uuid.UUID) -> Answerable:
    """Ask the provider from the next sign-in on."""
    config = find_source(config_id)
    try:
        configs.enable_provider(config, actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None
    return descriptions.as_dict(config)


@bp.post("/disable")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Switch a provider off", body=SwitchOff, returns=ProviderJson, tag="Providers")
def disable(config_id: uuid.UUID, body: SwitchOff) -> Answerable:
    """Ask the provider no more; `end_sessions` signs out whom it has vouched for."""
    config = find_source(config_id)
    try:
        provider_changes.disable_provider(config, actor=g.identity, end_sessions=body.end_sessions)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None
    return descriptions.as_dict(config)


@bp.post("/enforce")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Enforce a provider", body=Enforcement, returns=ProviderJson, tag="Providers")
def enforce(config_id: uuid.UUID, body: Enforcement) -> Answerable:
    """Have the people of its proved domains sign in through the provider alone."""
    config = find_source(config_id)
    try:
        provider_changes.enforce_provider(config, _owner(body.break_glass), actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enforced") from None
    return descriptions.as_dict(config)


@bp.post("/relax")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Enforce a provider no more", returns=ProviderJson, tag="Providers")
def relax(config_id: uuid.UUID) -> Answerable:
    """Let the people of its domains sign in by other ways, too."""
    config = find_source(config_id)
    configs.relax_provider(config, actor=g.identity)
    return descriptions.as_dict(config)


@bp.post("/go-back")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Go back from provisional settings", returns=ProviderJson, tag="Providers")
def go_back(config_id: uuid.UUID) -> Answerable:
    """Go back from provisional settings now. Answers 404 when there are none."""
    config = find_source(config_id)
    if not provider_changes.undo_change(config, actor=g.identity):
        abort(404)
    return descriptions.as_dict(config)


@bp.get("/mappings")
@requires(AccessPermission.PROVIDER_READ)
@operation("List mappings of a provider", query=MappingQuery, returns=Page[MappingJson], tag="Providers")
def list_mappings(config_id: uuid.UUID, query: MappingQuery) -> Answerable:
    """A page of the groups that give roles, by name unless sorted; `members` are those whom the provider has named so
    far.
    """
    return _page_of(find_source(config_id), query)


@bp.post("/mappings")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Map a group to a role", body=NewMapping, returns=Page[MappingJson], status=201, tag="Providers")
def add_mapping(config_id: uuid.UUID, body: NewMapping) -> Answerable:
    """Have a group give a role; a directory is asked for the group, by its DN or name. Gives the first mappings."""
    config = find_source(config_id)
    try:
        map_group(config, body.group, body.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    except LookupError as error:
        raise InvalidFields([{"field": "group", "message": str(error)}]) from None
    except DirectoryFault as error:
        raise InvalidFields([{"field": "group", "message": str(error.fault.explanation)}]) from None
    return _page_of(config, MappingQuery(limit=LARGEST_PAGE)), 201


class OldMapping(Given):
    """The query that names a mapping."""

    group: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """The group's key or name."""
    role: Annotated[str, StringConstraints(min_length=1, max_length=80)]


@bp.delete("/mappings")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Take a mapping back", query=OldMapping, tag="Providers")
def remove_mapping(config_id: uuid.UUID, query: OldMapping) -> Answerable:
    """Have the group `?group=` (its key or name) give the role `?role=` no more."""
    config = find_source(config_id)
    try:
        taken = groups.unmap_group(config, query.group, query.role, actor=g.identity)
    except UnknownRole:
        abort(404)
    if not taken:
        abort(404)


def _page_of(config: ProviderConfig, query: MappingQuery) -> dict[str, Any]:
    order = descriptions.MAPPING_ORDERS[query.sort]
    rows = descriptions.list_mappings(config, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    items = [
        {"group": one.group.name, "key": one.group.external_key, "role": one.role, "members": one.members}
        for one in shown
    ]
    return {"items": items, "next_cursor": more}


def _owner(email: str) -> User:
    try:
        return get_by_email(email)
    except UnknownUser:
        raise InvalidFields([{"field": "break_glass", "message": _("nobody here has this address")}]) from None

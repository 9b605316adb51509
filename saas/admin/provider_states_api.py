"""JSON of what is done with identity providers: switched on and off, enforced, set back, and their groups mapped."""

import uuid
from typing import Annotated, Any

from flask import Blueprint, abort, g, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints

from auth import descriptions, groups, provider_changes
from auth.errors import InvalidProvider, UnknownRole, UnknownUser
from auth.models import User
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.models import ProviderConfig
from auth.users import get_by_email
from saas.admin.provider_choices import find_source, map_group
from saas.admin.providers_api import as_fields, read_body
from saas.api import InvalidFields

bp = Blueprint("provider_states_api", __name__, url_prefix="/api/v1/providers/<uuid:config_id>")


class Switch(BaseModel):
    """The body that switches a provider off."""

    model_config = ConfigDict(extra="forbid")

    end_sessions: bool = False


class Enforcement(BaseModel):
    """The body that enforces a provider: the address of the owner who gets in all the same."""

    model_config = ConfigDict(extra="forbid")

    break_glass: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class Mapping(BaseModel):
    """The body that has a group give a role."""

    model_config = ConfigDict(extra="forbid")

    group: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    role: Annotated[str, StringConstraints(min_length=1, max_length=80)]


@bp.post("/enable")
@requires(AccessPermission.PROVIDER_MANAGE)
def enable(config_id: uuid.UUID) -> ResponseReturnValue:
    """Ask the provider from the next sign-in on."""
    config = find_source(config_id)
    try:
        configs.enable_provider(config, actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None
    return jsonify(descriptions.as_dict(config))


@bp.post("/disable")
@requires(AccessPermission.PROVIDER_MANAGE)
def disable(config_id: uuid.UUID) -> ResponseReturnValue:
    """Ask the provider no more; `end_sessions` signs out whom it has vouched for."""
    config = find_source(config_id)
    end = read_body(Switch).end_sessions if request.content_length else False
    try:
        provider_changes.disable_provider(config, actor=g.identity, end_sessions=end)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None
    return jsonify(descriptions.as_dict(config))


@bp.post("/enforce")
@requires(AccessPermission.PROVIDER_MANAGE)
def enforce(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have the people of its proved domains sign in through the provider alone."""
    config, given = find_source(config_id), read_body(Enforcement)
    try:
        provider_changes.enforce_provider(config, _owner(given.break_glass), actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enforced") from None
    return jsonify(descriptions.as_dict(config))


@bp.post("/relax")
@requires(AccessPermission.PROVIDER_MANAGE)
def relax(config_id: uuid.UUID) -> ResponseReturnValue:
    """Let the people of its domains sign in by other ways, too."""
    config = find_source(config_id)
    configs.relax_provider(config, actor=g.identity)
    return jsonify(descriptions.as_dict(config))


@bp.post("/go-back")
@requires(AccessPermission.PROVIDER_MANAGE)
def go_back(config_id: uuid.UUID) -> ResponseReturnValue:
    """Go back from provisional settings now. Answers 404 when there are none."""
    config = find_source(config_id)
    if not provider_changes.undo_change(config, actor=g.identity):
        abort(404)
    return jsonify(descriptions.as_dict(config))


@bp.get("/mappings")
@requires(AccessPermission.PROVIDER_READ)
def list_mappings(config_id: uuid.UUID) -> ResponseReturnValue:
    """The groups that give roles; `members` are those whom the provider has named so far."""
    return jsonify(items=_mappings(find_source(config_id)), next_cursor=None)


@bp.post("/mappings")
@requires(AccessPermission.PROVIDER_MANAGE)
def add_mapping(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have a group give a role; a directory is asked for the group, by its DN or name."""
    config, given = find_source(config_id), read_body(Mapping)
    try:
        map_group(config, given.group, given.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    except LookupError as error:
        raise InvalidFields([{"field": "group", "message": str(error)}]) from None
    except DirectoryFault as error:
        raise InvalidFields([{"field": "group", "message": str(error.fault.explanation)}]) from None
    return jsonify(items=_mappings(config), next_cursor=None), 201


@bp.delete("/mappings")
@requires(AccessPermission.PROVIDER_MANAGE)
def remove_mapping(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have the group `?group=` (its key or name) give the role `?role=` no more."""
    config = find_source(config_id)
    try:
        if not groups.unmap_group(
            config, request.args.get("group", ""), request.args.get("role", ""), actor=g.identity
        ):
            abort(404)
    except UnknownRole:
        abort(404)
    return "", 204


def _mappings(config: ProviderConfig) -> list[dict[str, Any]]:
    return [
        {"group": group.name, "key": group.external_key, "role": role, "members": members}
        for group, role, members in descriptions.mappings_with_members(config)
    ]


def _owner(email: str) -> User:
    try:
        return get_by_email(email)
    except UnknownUser:
        raise InvalidFields([{"field": "break_glass", "message": "nobody here has this address"}]) from None

"""JSON of identity providers: list them, and rehearse a sign-in, also before a configuration is saved."""

import uuid
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from flask import Blueprint, abort, g, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auth import descriptions, rehearsals, throttle
from auth.errors import InvalidProvider
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs
from auth.rehearsals import Result
from saas.api import InvalidFields, read_object

bp = Blueprint("providers_api", __name__, url_prefix="/api/v1/providers")

Body = TypeVar("Body", bound=BaseModel)

_Login = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]
_Secret = Annotated[str, StringConstraints(max_length=1024)]


class Person(BaseModel):
    """The body that rehearses a sign-in at a saved provider."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    login: _Login
    password: _Secret | None = None


class Draft(Person):
    """The body that rehearses a sign-in with a configuration that is not saved."""

    kind: Literal["ldap"] = "ldap"
    settings: dict[str, Any]
    secret: _Secret | None = None


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
def list_providers() -> ResponseReturnValue:
    """The tenant's identity providers in their order; without their secrets."""
    return jsonify(items=[descriptions.as_dict(config) for config in list_configs()], next_cursor=None)


@bp.post("/<uuid:config_id>/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse(config_id: uuid.UUID) -> ResponseReturnValue:
    """Rehearse a sign-in at a saved provider; nothing is written."""
    config = g.db.find(ProviderConfig, config_id)
    if config is None or config.is_web:  # which is rehearsed in a browser
        abort(404)
    given = _read(Person)
    return _answer(partial(rehearsals.rehearse, config, given.login, given.password), given)


@bp.post("/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse_draft() -> ResponseReturnValue:
    """Rehearse a sign-in with a configuration that is not saved; it brings its own secret."""
    given = _read(Draft)
    try:
        configs.validate(given.kind, given.settings)
    except InvalidProvider as error:
        raise InvalidFields([_as_field(fault) for fault in str(error).split("; ")]) from None
    draft = partial(rehearsals.rehearse_unsaved, given.kind, given.settings, given.secret, given.login, given.password)
    return _answer(draft, given)


def _answer(work: Any, given: Person) -> ResponseReturnValue:
    if given.password is None:
        return jsonify(work().as_dict())
    # A person's password is tried: that counts like any other attempt.
    with throttle.attempt("password", given.login) as attempt:
        result: Result = work(count=attempt.count)
        attempt.succeeded = any(step.name == "sign-in" and step.ok for step in result.rehearsal.steps)
    return jsonify(result.as_dict())


def _read(model: type[Body]) -> Body:
    try:
        return model.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None


def _as_field(fault: str) -> dict[str, str]:
    name, colon, message = fault.partition(": ")
    return {"field": f"settings.{name}" if colon else "settings", "message": message or fault}

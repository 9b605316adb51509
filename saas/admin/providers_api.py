"""JSON of identity providers: listed, connected, changed, ordered, removed; and sign-ins rehearsed.

What is switched and mapped is in `provider_states_api.py`.
"""

import uuid
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from flask import Blueprint, abort, g, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from auth import descriptions, provider_changes, rehearsals
from auth.errors import InvalidProvider
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.registry import list_configs
from saas.admin.provider_choices import find_source
from saas.api import InvalidFields, read_object

bp = Blueprint("providers_api", __name__, url_prefix="/api/v1/providers")

Body = TypeVar("Body", bound=BaseModel)

_Login = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]
_Password = Annotated[str, StringConstraints(max_length=1024)]
_Secret = Annotated[str, StringConstraints(max_length=20_000)]
"""A private key is one, too."""
_Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_Domains = Annotated[list[Annotated[str, StringConstraints(max_length=300)]], Field(max_length=100)]
_CreatesUsers = Literal["sign-in", "sync", "never"]


class Person(BaseModel):
    """The body that rehearses a sign-in at a saved provider."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    login: _Login
    password: _Password | None = None


class Draft(Person):
    """The body that rehearses a sign-in with a configuration that is not saved."""

    kind: Literal["ldap"] = "ldap"
    settings: dict[str, Any]
    secret: _Password | None = None


class NewProvider(BaseModel):
    """The body that connects a provider."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, StringConstraints(max_length=40)]
    kind: Literal["ldap", "oidc", "oauth2", "platform"]
    settings: dict[str, Any]
    secret: _Secret | None = None
    label: _Label | None = None
    domains: _Domains = []
    creates_users: _CreatesUsers = "sign-in"
    most_departures: int = 20


class ProviderChange(BaseModel):
    """The body that changes a provider: what is left out stays; of `settings`, too. An empty secret removes it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    settings: dict[str, Any] | None = None
    secret: _Secret | None = None
    label: _Label | None = None
    domains: _Domains | None = None
    creates_users: _CreatesUsers | None = None
    most_departures: int | None = None


class Order(BaseModel):
    """The body that orders the providers: the ids of all of them."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[uuid.UUID], Field(max_length=100)]


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
def list_providers() -> ResponseReturnValue:
    """The tenant's identity providers in their order; without their secrets."""
    return jsonify(items=[descriptions.as_dict(config) for config in list_configs()], next_cursor=None)


@bp.post("")
@requires(AccessPermission.PROVIDER_MANAGE)
def create() -> ResponseReturnValue:
    """Connect a provider; it is switched off at first."""
    given = read_body(NewProvider).model_dump()
    name, kind, settings = given.pop("name"), given.pop("kind"), given.pop("settings")
    given["label"] = given["label"] or ""
    try:
        config = configs.add_provider(name, kind, settings, actor=g.identity, **given)
    except InvalidProvider as error:
        raise as_fields(error) from None
    return jsonify(descriptions.as_dict(config)), 201


@bp.put("/order")
@requires(AccessPermission.PROVIDER_MANAGE)
def order() -> ResponseReturnValue:
    """Ask the providers in this order."""
    given = read_body(Order)
    try:
        provider_changes.order_providers(given.ids, actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "ids") from None
    return list_providers()


@bp.get("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_READ)
def show(config_id: uuid.UUID) -> ResponseReturnValue:
    """One provider; without its secret."""
    return jsonify(descriptions.as_dict(find_source(config_id)))


@bp.patch("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
def change(config_id: uuid.UUID) -> ResponseReturnValue:
    """Change a provider. New settings of one that is on are provisional, see `provisional_until`."""
    config = find_source(config_id)
    given = read_body(ProviderChange).model_dump(exclude_none=True)
    if "settings" in given:
        preset = config.settings.get("preset")  # what another one fills in must not be kept from this one
        kept = config.settings if given["settings"].get("preset", preset) == preset else {}
        given["settings"] = {**kept, **given["settings"]}
    try:
        provider_changes.change_provider(config, actor=g.identity, **given)
    except InvalidProvider as error:
        raise as_fields(error) from None
    return jsonify(descriptions.as_dict(config))


@bp.delete("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
def remove(config_id: uuid.UUID) -> ResponseReturnValue:
    """Forget a provider, its groups, the roles that they give and its login sessions; its people stay members."""
    try:
        provider_changes.remove_provider(find_source(config_id), actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None
    return "", 204


@bp.post("/<uuid:config_id>/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse(config_id: uuid.UUID) -> ResponseReturnValue:
    """Rehearse a sign-in at a saved provider; no account is changed."""
    config = find_source(config_id)
    if config.is_web:  # which is rehearsed in a browser
        abort(404)
    given = read_body(Person)
    return jsonify(rehearsals.rehearse_for(config, given.login, given.password).as_dict())


@bp.post("/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse_draft() -> ResponseReturnValue:
    """Rehearse a sign-in with a configuration that is not saved; it brings its own secret."""
    given = read_body(Draft)
    try:
        configs.validate(given.kind, given.settings)
    except InvalidProvider as error:
        raise as_fields(error) from None
    draft = partial(rehearsals.rehearse_unsaved, given.kind, given.settings, given.secret, given.login, given.password)
    return jsonify(rehearsals.counted(draft, given.login, given.password).as_dict())


def read_body(model: type[Body]) -> Body:
    """The request's body as the model takes it. Answers 422 for what it does not."""
    try:
        return model.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None


def as_fields(error: InvalidProvider, otherwise: str = "settings") -> InvalidFields:
    """The answer that names each faulty field; what names none is said of `otherwise`."""
    return InvalidFields([_as_field(fault, otherwise) for fault in str(error).split("; ")])


def _as_field(fault: str, otherwise: str) -> dict[str, str]:
    name, colon, message = fault.partition(": ")
    if not colon or not name.replace("_", "").replace(".", "").isalnum():
        return {"field": otherwise, "message": fault}
    own = name in NewProvider.model_fields or name == "order"
    return {"field": name if own else f"settings.{name}", "message": message}

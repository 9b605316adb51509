"""JSON of identity providers: listed, connected, changed, ordered, removed.

What is switched and mapped is in `provider_states_api.py`, what is rehearsed in `provider_rehearsals_api.py`.
"""

import uuid
from typing import Annotated, Any, Literal

from flask import Blueprint, g, url_for
from pydantic import Field, StringConstraints

from auth import descriptions, provider_changes
from auth.errors import InvalidProvider
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs
from saas.admin.provider_answers import ProviderJson
from saas.admin.provider_choices import find_source
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, first_page

bp = Blueprint("providers_api", __name__, url_prefix="/api/v1/providers")

_Secret = Annotated[str, StringConstraints(max_length=20_000)]
"""A private key is one, too."""
_Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_Domains = Annotated[list[Annotated[str, StringConstraints(max_length=300)]], Field(max_length=100)]
_CreatesUsers = Literal["sign-in", "sync", "never"]


class NewProvider(Given):
    """The body that connects a provider."""

    name: Annotated[str, StringConstraints(max_length=40), Field(examples=["work"])]
    kind: Annotated[Literal["ldap", "oidc", "oauth2", "platform"], Field(examples=["oidc"])]
    settings: Annotated[dict[str, Any], Field(examples=[{"issuer": "https://id.example.com", "client_id": "tenantry"}])]
    secret: Annotated[_Secret | None, Field(examples=["what the provider has given out"])] = None
    label: _Label | None = None
    domains: _Domains = []
    creates_users: _CreatesUsers = "sign-in"
    most_departures: int = 20


class ProviderChange(Given):
    """The body that changes a provider: what is left out stays; of `settings`, too. An empty secret removes it."""

    settings: dict[str, Any] | None = None
    secret: _Secret | None = None
    label: _Label | None = None
    domains: _Domains | None = None
    creates_users: _CreatesUsers | None = None
    most_departures: int | None = None


class ProviderOrder(Given):
    """The body that orders the providers: the ids of all of them."""

    ids: Annotated[list[uuid.UUID], Field(max_length=100)]


class ProviderOrderJson(Answer):
    """The order of the providers."""

    ids: list[uuid.UUID]
    """The ids of all of them; the first is asked first."""


class ProviderQuery(Paging):
    """In which order providers are listed."""

    sort: Literal["order", "-order", "name", "-name", "created", "-created"] = "order"
    """order: the one in which they are asked; with a minus the same one backwards."""


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
@operation("List identity providers", query=ProviderQuery, returns=Page[ProviderJson], tag="Providers")
def list_providers(query: ProviderQuery) -> Answerable:
    """A page of the workspace's identity providers, in their order unless sorted; without their secrets."""
    order = descriptions.ORDERS[query.sort]
    rows = descriptions.list_sources(sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": descriptions.as_dicts(shown), "next_cursor": more}


@bp.post("")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Connect an identity provider", body=NewProvider, returns=ProviderJson, status=201, tag="Providers")
def create(body: NewProvider) -> Answerable:
    """Connect a provider; it is switched off at first."""
    given = body.model_dump()
    name, kind, settings = given.pop("name"), given.pop("kind"), given.pop("settings")
    given["label"] = given["label"] or ""
    try:
        config = configs.add_provider(name, kind, settings, actor=g.identity, **given)
    except InvalidProvider as error:
        raise as_fields(error) from None
    return descriptions.as_dict(config), 201, {"Location": url_for("providers_api.show", config_id=config.id)}


@bp.get("/order")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show the order of the identity providers", returns=ProviderOrderJson, tag="Providers")
def show_order() -> Answerable:
    """In which order the providers are asked."""
    return {"ids": [config.id for config in list_configs()]}


@bp.put("/order")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Order the identity providers", body=ProviderOrder, returns=Page[ProviderJson], tag="Providers")
def order(body: ProviderOrder) -> Answerable:
    """Ask the providers in this order."""
    try:
        provider_changes.order_providers(body.ids, actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "ids") from None
    return {"items": descriptions.as_dicts(list_configs()), "next_cursor": None}


@bp.get("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show an identity provider", returns=ProviderJson, row=ProviderConfig, tag="Providers")
def show(config_id: uuid.UUID) -> Answerable:
    """One provider; without its secret."""
    return descriptions.as_dict(find_source(config_id))


@bp.patch("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Change an identity provider", body=ProviderChange, returns=ProviderJson, tag="Providers")
def change(config_id: uuid.UUID, body: ProviderChange) -> Answerable:
    """Change a provider. New settings of one that is on are provisional, see `provisional_until`."""
    config = find_source(config_id)
    given = body.model_dump(exclude_none=True)
    if "settings" in given:
        preset = config.settings.get("preset")  # what another one fills in must not be kept from this one
        kept = config.settings if given["settings"].get("preset", preset) == preset else {}
        given["settings"] = {**kept, **given["settings"]}
    try:
        provider_changes.change_provider(config, actor=g.identity, **given)
    except InvalidProvider as error:
        raise as_fields(error) from None
    return descriptions.as_dict(config)


@bp.delete("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Remove an identity provider", tag="Providers")
def remove(config_id: uuid.UUID) -> Answerable:
    """Forget a provider, its groups, the roles that they give and its login sessions; its people stay members."""
    try:
        provider_changes.remove_provider(find_source(config_id), actor=g.identity)
    except InvalidProvider as error:
        raise as_fields(error, "enabled") from None


def as_fields(error: InvalidProvider, otherwise: str = "settings") -> InvalidFields:
    """The answer that names each faulty field; what names none is said of `otherwise`."""
    return InvalidFields([_as_field(fault, otherwise) for fault in str(error).split("; ")])


def _as_field(fault: str, otherwise: str) -> dict[str, str]:
    name, colon, message = fault.partition(": ")
    if not colon or not name.replace("_", "").replace(".", "").isalnum():
        return {"field": otherwise, "message": fault}
    own = name in NewProvider.model_fields or name == "order"
    return {"field": name if own else f"settings.{name}", "message": message}

"""JSON of apps."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import Field, StringConstraints

from auth import client_lists, clients, redirect_uris
from auth.client_lists import Filter
from auth.client_models import OAuthClient
from auth.errors import InvalidClient, UnknownPermission
from auth.permissions import AccessPermission, requires
from saas.admin.roles_api import Permissions
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Paging, Search, first_page

TAG = "Apps and service accounts"

bp = Blueprint("apps_api", __name__, url_prefix="/api/v1/apps")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=clients.LONGEST_NAME)]
_Redirects = Annotated[
    list[Annotated[str, StringConstraints(max_length=redirect_uris.LONGEST)]],
    Field(min_length=1, max_length=redirect_uris.MOST),
]
Keys = Annotated[dict[str, Any], Field(description="Public keys as a JSON Web Key Set (RFC 7517).")]
Proof = Literal["client_secret_basic", "private_key_jwt"]


class AppQuery(Paging):
    """Which apps, and in which order."""

    search: Search = ""
    """Part of the name, or the client id."""
    active: bool | None = None
    sort: Literal["created", "-created", "name", "-name", "used", "-used"] = "created"
    """used: one that was never used comes before those that were."""


class NewApp(Given):
    """The body that registers an app."""

    name: Name
    redirect_uris: _Redirects
    permissions: Permissions = []
    auth_method: Literal["client_secret_basic", "private_key_jwt", "none"] = "client_secret_basic"
    jwks: Keys | None = None


class AppChange(Given):
    """The body that changes an app: what is left out stays."""

    name: Name | None = None
    redirect_uris: _Redirects | None = None
    permissions: Permissions | None = None
    active: bool | None = None
    jwks: Keys | None = None


class AppJson(Answer):
    """A program to which people can allow something."""

    id: uuid.UUID
    client_id: str
    name: str
    auth_method: str
    redirect_uris: list[str]
    permissions: list[str]
    """The most that it can be allowed."""
    jwks: dict[str, Any] | None
    active: bool
    created_at: datetime
    last_used_at: datetime | None


class RegisteredApp(AppJson):
    """An app, and its secret, which is not shown again; null without one."""

    client_secret: str | None


@bp.get("")
@requires(AccessPermission.CLIENT_READ)
@operation("List apps", query=AppQuery, returns=CountedPage[AppJson], tag=TAG)
def list_apps(query: AppQuery) -> Answerable:
    """A page of the apps, oldest first unless sorted, and how many there are."""
    wanted, order = Filter(query.search, query.active), client_lists.ORDERS[query.sort]
    rows = client_lists.list_apps(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": shown, "next_cursor": more, "total": client_lists.count_apps(wanted)}


@bp.post("")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Register an app", body=NewApp, returns=RegisteredApp, status=201, tag=TAG)
def create(body: NewApp) -> Answerable:
    """Register an app with permissions that the caller holds; the answer alone has its secret."""
    try:
        app, secret = clients.add_app(
            body.name,
            redirects=body.redirect_uris,
            permissions=body.permissions,
            auth_method=body.auth_method,
            jwks=body.jwks,
            actor=g.identity,
        )
    except (InvalidClient, UnknownPermission) as error:
        raise invalid_client(error) from None
    return with_secret(app, secret), 201, {"Location": url_for("apps_api.show", client_id=app.id)}


@bp.get("/<uuid:client_id>")
@requires(AccessPermission.CLIENT_READ)
@operation("Show an app", returns=AppJson, row=OAuthClient, tag=TAG)
def show(client_id: uuid.UUID) -> Answerable:
    """An app."""
    return _get(client_id)


@bp.patch("/<uuid:client_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Change an app", body=AppChange, returns=AppJson, tag=TAG)
def change(client_id: uuid.UUID, body: AppChange) -> Answerable:
    """Change an app; switched off, it can do nothing from then on."""
    app = _get(client_id)
    try:
        clients.change_app(
            app,
            name=body.name if body.name is not None else app.name,
            redirects=body.redirect_uris if body.redirect_uris is not None else app.redirect_uris,
            permissions=body.permissions if body.permissions is not None else _known(app),
            actor=g.identity,
        )
        if body.jwks is not None:
            clients.change_keys(app, body.jwks, actor=g.identity)
        if body.active is not None:
            clients.switch(app, active=body.active, actor=g.identity)
    except (InvalidClient, UnknownPermission) as error:
        raise invalid_client(error) from None
    return app


@bp.post("/<uuid:client_id>/secret")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Renew an app's secret", returns=RegisteredApp, tag=TAG)
def renew_secret(client_id: uuid.UUID) -> Answerable:
    """Make a new secret, which the answer alone has; the former one ends at once."""
    app = _get(client_id)
    return with_secret(app, clients.renew_secret(app, actor=g.identity))


@bp.delete("/<uuid:client_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Remove an app", tag=TAG)
def delete(client_id: uuid.UUID) -> Answerable:
    """Remove an app with all that people have allowed it."""
    clients.remove(_get(client_id), actor=g.identity)


def with_secret(client: OAuthClient, secret: str) -> dict[str, Any]:
    """A program for programs, with its secret."""
    g.db.flush()
    names = (name for name in RegisteredApp.model_fields if name != "client_secret")
    return {name: getattr(client, name) for name in names} | {"client_secret": secret or None}


def invalid_client(error: InvalidClient | UnknownPermission) -> InvalidFields:
    """The refusal of what a program is to be."""
    field = error.field if isinstance(error, InvalidClient) else "permissions"
    return InvalidFields([{"field": field, "message": str(error)}])


def _known(app: OAuthClient) -> list[str]:
    """What it can be allowed, without what no feature knows any more."""
    return sorted(frozenset(app.permissions) & clients.known_permissions())


def _get(client_id: uuid.UUID) -> OAuthClient:
    app = clients.find_app(client_id)
    if app is None:
        abort(404)
    return app

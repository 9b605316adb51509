"""JSON of service accounts and their credentials."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import StringConstraints

from auth import client_lists, clients, roles, service_accounts
from auth.client_models import OAuthClient
from auth.errors import InvalidClient, UnknownRole
from auth.models import Role, User
from auth.permissions import AccessPermission, requires
from auth.role_holders import label_of
from auth.service_accounts import Filter
from saas.admin.clients_api import TAG, Keys, Name, Proof, invalid_client
from saas.api import InvalidFields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Page, Paging, Search, first_page

bp = Blueprint("service_accounts_api", __name__, url_prefix="/api/v1/service-accounts")


class AccountQuery(Paging):
    """Which service accounts, and in which order."""

    search: Search = ""
    """Part of the name."""
    active: bool | None = None
    role: uuid.UUID | None = None
    """Id of a role that they hold."""
    sort: Literal["created", "-created", "name", "-name"] = "created"


class CredentialQuery(Paging):
    """In which order credentials are listed."""

    sort: Literal["created", "-created", "name", "-name"] = "created"


class NewAccount(Given):
    """The body that makes a service account."""

    name: Name


class AccountChange(Given):
    """The body that changes a service account: what is left out stays."""

    name: Name | None = None
    active: bool | None = None


class RoleGift(Given):
    """The body that gives a role."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)]


class NewCredential(Given):
    """The body that gives a service account a credential."""

    name: Name
    auth_method: Proof = "client_secret_basic"
    jwks: Keys | None = None


class AccountJson(Answer):
    """A program of the workspace's own, with roles as a person has them."""

    id: uuid.UUID
    name: str
    active: bool
    roles: list[str]
    """Names of the roles on the whole workspace."""
    created_at: datetime


class AccountRole(Answer):
    """A role that a service account holds on the whole workspace."""

    id: uuid.UUID
    name: str
    label: str


class CredentialJson(Answer):
    """How a service account proves that it is itself."""

    id: uuid.UUID
    client_id: str
    name: str
    auth_method: str
    jwks: dict[str, Any] | None
    created_at: datetime
    last_used_at: datetime | None


class NewCredentialJson(CredentialJson):
    """A credential, and its secret, which is not shown again; null without one."""

    client_secret: str | None


@bp.get("")
@requires(AccessPermission.CLIENT_READ)
@operation("List service accounts", query=AccountQuery, returns=CountedPage[AccountJson], tag=TAG)
def list_accounts(query: AccountQuery) -> Answerable:
    """A page of the service accounts, oldest first unless sorted, and how many there are."""
    wanted, order = Filter(query.search, query.active, query.role), service_accounts.ORDERS[query.sort]
    rows = service_accounts.list_accounts(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    held = service_accounts.roles_of([row.id for row in shown])
    items = [_as_json(row, [role.name for role in held[row.id]]) for row in shown]
    return {"items": items, "next_cursor": more, "total": service_accounts.count_accounts(wanted)}


@bp.post("")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Make a service account", body=NewAccount, returns=AccountJson, status=201, tag=TAG)
def create(body: NewAccount) -> Answerable:
    """Make a service account, without roles and credentials."""
    try:
        account = service_accounts.create_account(body.name, actor=g.identity)
    except InvalidClient as error:
        raise invalid_client(error) from None
    place = url_for("service_accounts_api.show", account_id=account.id)
    return _as_json(account, []), 201, {"Location": place}


@bp.get("/<uuid:account_id>")
@requires(AccessPermission.CLIENT_READ)
@operation("Show a service account", returns=AccountJson, row=User, tag=TAG)
def show(account_id: uuid.UUID) -> Answerable:
    """A service account with its roles."""
    return _shown(_get(account_id))


@bp.patch("/<uuid:account_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Change a service account", body=AccountChange, returns=AccountJson, tag=TAG)
def change(account_id: uuid.UUID, body: AccountChange) -> Answerable:
    """Rename a service account, or close or open it; closed, it can do nothing from then on."""
    account = _get(account_id)
    try:
        if body.name is not None:
            service_accounts.rename_account(account, body.name, actor=g.identity)
    except InvalidClient as error:
        raise invalid_client(error) from None
    if body.active is not None and body.active != account.active:
        turn = service_accounts.reactivate_account if body.active else service_accounts.deactivate_account
        turn(account, actor=g.identity)
    return _shown(account)


@bp.delete("/<uuid:account_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Remove a service account", tag=TAG)
def delete(account_id: uuid.UUID) -> Answerable:
    """Remove a service account with its roles, credentials and tokens."""
    service_accounts.remove_account(_get(account_id), actor=g.identity)


@bp.post("/<uuid:account_id>/roles")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Give a service account a role", body=RoleGift, returns=AccountJson, tag=TAG)
def give_role(account_id: uuid.UUID, body: RoleGift) -> Answerable:
    """Give it a role on the whole workspace, which the caller has to hold all of."""
    account = _get(account_id)
    try:
        service_accounts.give_role(account, body.role, actor=g.identity)
    except UnknownRole:
        raise InvalidFields([{"field": "role", "message": "no such role in this workspace"}]) from None
    g.db.flush()
    return _shown(account)


@bp.get("/<uuid:account_id>/roles/<uuid:role_id>")
@requires(AccessPermission.CLIENT_READ)
@operation("Show a role of a service account", returns=AccountRole, row=User, tag=TAG)
def show_role(account_id: uuid.UUID, role_id: uuid.UUID) -> Answerable:
    """A role that it holds on the whole workspace."""
    role = found(_held(_get(account_id), role_id))
    return {"id": role.id, "name": role.name, "label": label_of(role)}


@bp.delete("/<uuid:account_id>/roles/<uuid:role_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Take a role from a service account", tag=TAG)
def take_role(account_id: uuid.UUID, role_id: uuid.UUID) -> Answerable:
    """Take it back."""
    account = _get(account_id)
    service_accounts.take_role(account, found(_held(account, role_id)).name, actor=g.identity)


@bp.get("/<uuid:account_id>/credentials")
@requires(AccessPermission.CLIENT_READ)
@operation("List a service account's credentials", query=CredentialQuery, returns=Page[CredentialJson], tag=TAG)
def list_credentials(account_id: uuid.UUID, query: CredentialQuery) -> Answerable:
    """A page of its credentials, oldest first unless sorted; without secrets, which nobody has."""
    account, order = _get(account_id), client_lists.CREDENTIAL_ORDERS[query.sort]
    after = query.place(order)
    rows = client_lists.list_credentials(account.id, sort=query.sort, limit=query.limit + 1, after=after)
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": shown, "next_cursor": more}


@bp.post("/<uuid:account_id>/credentials")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Add a credential", body=NewCredential, returns=NewCredentialJson, status=201, tag=TAG)
def add_credential(account_id: uuid.UUID, body: NewCredential) -> Answerable:
    """Give it a credential; the answer alone has its secret."""
    account = _get(account_id)
    try:
        client, secret = clients.add_credential(
            account, body.name, auth_method=body.auth_method, jwks=body.jwks, actor=g.identity
        )
    except InvalidClient as error:
        raise invalid_client(error) from None
    place = url_for("service_accounts_api.show_credential", account_id=account.id, credential_id=client.id)
    return _with_secret(client, secret), 201, {"Location": place}


@bp.get("/<uuid:account_id>/credentials/<uuid:credential_id>")
@requires(AccessPermission.CLIENT_READ)
@operation("Show a credential", returns=CredentialJson, tag=TAG)
def show_credential(account_id: uuid.UUID, credential_id: uuid.UUID) -> Answerable:
    """One credential; without its secret, which nobody has."""
    return _get_credential(account_id, credential_id)


@bp.post("/<uuid:account_id>/credentials/<uuid:credential_id>/secret")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Renew a credential's secret", returns=NewCredentialJson, tag=TAG)
def renew_secret(account_id: uuid.UUID, credential_id: uuid.UUID) -> Answerable:
    """Make a new secret, which the answer alone has; the former one ends at once."""
    client = _get_credential(account_id, credential_id)
    return _with_secret(client, clients.renew_secret(client, actor=g.identity))


@bp.delete("/<uuid:account_id>/credentials/<uuid:credential_id>")
@requires(AccessPermission.CLIENT_MANAGE)
@operation("Remove a credential", tag=TAG)
def remove_credential(account_id: uuid.UUID, credential_id: uuid.UUID) -> Answerable:
    """Remove a credential; its tokens end."""
    clients.remove(_get_credential(account_id, credential_id), actor=g.identity)


def _held(account: User, role_id: uuid.UUID) -> Role | None:
    held = service_accounts.roles_of([account.id])[account.id]
    return next((role for role in held if role.id == role_id), None)


def _shown(account: User) -> dict[str, Any]:
    held = service_accounts.roles_of([account.id])[account.id]
    return _as_json(account, [role.name for role in held])


def _as_json(account: User, held: list[str]) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "active": account.active,
        "roles": held,
        "created_at": account.created_at,
    }


def _with_secret(client: OAuthClient, secret: str) -> dict[str, Any]:
    g.db.flush()
    names = (name for name in NewCredentialJson.model_fields if name != "client_secret")
    return {name: getattr(client, name) for name in names} | {"client_secret": secret or None}


def _get_credential(account_id: uuid.UUID, credential_id: uuid.UUID) -> OAuthClient:
    client = clients.find_credential(_get(account_id), credential_id)
    if client is None:
        abort(404)
    return client


def _get(account_id: uuid.UUID) -> User:
    account = service_accounts.find_account(account_id)
    if account is None:
        abort(404)
    return account

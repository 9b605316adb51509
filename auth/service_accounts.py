"""Service accounts: users that are programs. They hold roles as people do, never sign in, and are no members.

A service account cannot be an owner, and is in no group. Its programs prove themselves by credentials
(`auth/clients.py`) and are given tokens by the OAuth 2 server.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import uuid_utils.compat as uuid7
from flask import g
from sqlalchemy import ColumnElement, delete, func, or_, select

from auth import accounts, audit, clients, guards
from auth.client_models import OAuthClient
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import SERVICE, SERVICE_DOMAIN, Grant, Role, User
from auth.roles import grant_role, revoke_role
from auth.token_models import ApiToken
from tenants.db import now
from tenants.keysets import Orders, Place

ORDERS = Orders(User.id, created=(), name=(User.name,))
"""Orders of the list."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which service accounts are wanted; what is empty does not matter."""

    search: str = ""
    """Part of the name."""
    active: bool | None = None
    role: uuid.UUID | None = None
    """Id of a role that they hold."""


def may_change(account: User, actor: Identity) -> bool:
    """Whether the actor may change that service account."""
    try:
        _check_may_change(account, actor)
    except NotAllowed:
        return False
    return True


def create_account(name: str, *, actor: Identity | None) -> User:
    """Make a service account without any role. Raises NotAllowed, InvalidClient."""
    clients.check_may_manage(actor)
    account = User(
        id=uuid7.uuid7(),
        kind=SERVICE,
        email=f"{uuid.uuid4()}@{SERVICE_DOMAIN}",
        name=clients.usable_name(name),
        password=None,
        confirmed_at=now(),
    )
    g.db.add(account)
    g.db.flush()  # grants and the audit log name its id
    audit.record("service account created", account, actor=actor)
    return account


def rename_account(account: User, name: str, *, actor: Identity | None) -> None:
    """Give a service account another name. Raises NotAllowed, InvalidClient."""
    _check_may_change(account, actor)
    name = clients.usable_name(name)
    if name != account.name:
        audit.record("service account changed", account, details={"name": [account.name, name]}, actor=actor)
        account.name = name


def deactivate_account(account: User, *, actor: Identity | None) -> None:
    """Close a service account: its tokens end, and it is given no new ones. Raises NotAllowed."""
    _check_may_change(account, actor)
    account.active = False
    g.db.flush()  # first: it waits for whoever is being given a token just now, so that this is seen
    g.db.execute(delete(ApiToken).where(ApiToken.user_id == account.id))
    audit.record("service account deactivated", account, actor=actor)


def reactivate_account(account: User, *, actor: Identity | None) -> None:
    """Open a service account again. Raises NotAllowed."""
    _check_may_change(account, actor)
    account.active = True
    audit.record("service account reactivated", account, actor=actor)


def remove_account(account: User, *, actor: Identity | None) -> None:
    """Delete a service account with its roles, credentials and tokens. Raises NotAllowed."""
    _check_may_change(account, actor)
    audit.record("service account removed", account, actor=actor)
    accounts.drop(account)


def give_role(
    account: User,
    role_name: str,
    *,
    actor: Identity | None,
    on: tuple[str, uuid.UUID] | None = None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Grant:
    """Give a service account a role, on the whole workspace or `on` one object. Raises NotAllowed, UnknownRole."""
    clients.check_may_manage(actor)
    return grant_role(account, role_name, actor=actor, on=on, reason=reason, expires_at=expires_at)


def take_role(
    account: User,
    role_name: str,
    *,
    actor: Identity | None,
    on: tuple[str, uuid.UUID] | None = None,
    origin: str | None = None,
) -> int:
    """Take a role from a service account; gives back how many grants there were. Raises NotAllowed, UnknownRole."""
    clients.check_may_manage(actor)
    return revoke_role(account, role_name, actor=actor, on=on, origin=origin)


def find_account(account_id: uuid.UUID) -> User | None:
    """The service account of that id."""
    found: User | None = g.db.find(User, account_id)
    return found if found is not None and found.kind == SERVICE else None


def list_accounts(
    wanted: Filter = Filter(), *, sort: str = "name", limit: int = 50, offset: int = 0, after: Place | None = None
) -> Sequence[User]:
    """The service accounts that are wanted, in one of the orders of ORDERS, behind that place."""
    statement = select(User).where(*_conditions(wanted))
    found: Sequence[User] = g.db.scalars(ORDERS[sort].page(statement, limit=limit, offset=offset, after=after)).all()
    return found


def count_accounts(wanted: Filter = Filter()) -> int:
    """How many service accounts are wanted."""
    return g.db.scalar(select(func.count(User.id)).where(*_conditions(wanted))) or 0


def roles_of(account_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Role]]:
    """The roles that each of them holds on the whole workspace, by name, in one statement."""
    rows = g.db.execute(
        select(Grant.user_id, Role)
        .join(Role, (Role.tenant_id == Grant.tenant_id) & (Role.id == Grant.role_id))
        .where(
            Grant.user_id.in_(account_ids),
            Grant.object_type == "",
            or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
        )
        .order_by(Role.name)
    )
    found: dict[uuid.UUID, list[Role]] = {account_id: [] for account_id in account_ids}
    for account_id, role in rows:
        if role not in found[account_id]:
            found[account_id].append(role)
    return found


def count_credentials(account_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many credentials each of them has, in one statement."""
    rows = g.db.execute(
        select(OAuthClient.user_id, func.count())
        .where(OAuthClient.user_id.in_(account_ids))
        .group_by(OAuthClient.user_id)
    )
    return dict(rows.all())


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [User.kind == SERVICE]
    if wanted.search:
        found.append(User.name.icontains(wanted.search, autoescape=True))
    if wanted.active is not None:
        found.append(User.active.is_(wanted.active))
    if wanted.role is not None:
        given = (Grant.role_id == wanted.role, or_(Grant.expires_at.is_(None), Grant.expires_at > now()))
        found.append(User.id.in_(select(Grant.user_id).where(Grant.user_id.is_not(None), *given)))
    return found


def _check_may_change(account: User, actor: Identity | None) -> None:
    clients.check_may_manage(actor)
    guards.check_holds_all_of(actor, select(User.id).where(User.id == account.id))

"""Service accounts: users that are programs. They hold roles as people do, never sign in, and are no members.

A service account cannot be an owner, and is in no group. Its programs prove themselves by credentials
(`auth/clients.py`) and are given tokens by the OAuth 2 server.
"""

import uuid
from collections.abc import Sequence

import uuid_utils.compat as uuid7
from flask import g
from sqlalchemy import delete, func, or_, select

from auth import accounts, audit, clients, guards
from auth.client_models import OAuthClient
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import SERVICE, SERVICE_DOMAIN, Grant, Role, User
from auth.roles import grant_role, revoke_role
from auth.token_models import ApiToken
from tenants.db import now


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


def give_role(account: User, role_name: str, *, actor: Identity | None) -> Grant:
    """Give a service account a role on the whole workspace. Raises NotAllowed, UnknownRole."""
    clients.check_may_manage(actor)
    return grant_role(account, role_name, actor=actor)


def take_role(account: User, role_name: str, *, actor: Identity | None) -> int:
    """Take a role from a service account; gives back how many grants there were. Raises NotAllowed, UnknownRole."""
    clients.check_may_manage(actor)
    return revoke_role(account, role_name, actor=actor)


def find_account(account_id: uuid.UUID) -> User | None:
    """The service account of that id."""
    found: User | None = g.db.find(User, account_id)
    return found if found is not None and found.kind == SERVICE else None


def list_accounts(*, limit: int = 50, offset: int = 0) -> Sequence[User]:
    """The service accounts, by name."""
    found: Sequence[User] = g.db.scalars(_ALL.order_by(User.name, User.id).limit(limit).offset(offset)).all()
    return found


def list_accounts_after(place: uuid.UUID | None, *, limit: int) -> Sequence[User]:
    """The service accounts after that one, in the order in which they were made."""
    wanted = _ALL.order_by(User.id).limit(limit)
    found: Sequence[User] = g.db.scalars(wanted.where(User.id > place) if place else wanted).all()
    return found


def count_accounts() -> int:
    """How many service accounts there are."""
    return g.db.scalar(select(func.count(User.id)).where(User.kind == SERVICE)) or 0


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


_ALL = select(User).where(User.kind == SERVICE)


def _check_may_change(account: User, actor: Identity | None) -> None:
    clients.check_may_manage(actor)
    guards.check_holds_all_of(actor, select(User.id).where(User.id == account.id))

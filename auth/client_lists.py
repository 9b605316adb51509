"""Apps as lists: searched, filtered, sorted, paged."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from sqlalchemy import ColumnElement, func, or_, select

from auth.client_models import Consent, OAuthClient
from auth.clients import APP
from tenants.keysets import LONG_AGO, Orders, Place, filled

ORDERS = Orders(
    OAuthClient.id, created=(), name=(OAuthClient.name,), used=(filled(OAuthClient.last_used_at, LONG_AGO),)
)
"""Orders of the apps; one that was never used comes before those that were."""


CREDENTIAL_ORDERS = Orders(OAuthClient.id, created=(), name=(OAuthClient.name,))
"""Orders of a service account's credentials."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which apps are wanted; what is empty does not matter."""

    search: str = ""
    """Part of the name, or the client id."""
    active: bool | None = None


def list_apps(
    wanted: Filter = Filter(), *, sort: str = "name", limit: int = 50, offset: int = 0, after: Place | None = None
) -> Sequence[OAuthClient]:
    """The apps that are wanted, in one of the orders of ORDERS, behind that place."""
    statement = select(OAuthClient).where(*_conditions(wanted))
    found: Sequence[OAuthClient] = g.db.scalars(
        ORDERS[sort].page(statement, limit=limit, offset=offset, after=after)
    ).all()
    return found


def count_apps(wanted: Filter = Filter()) -> int:
    """How many apps are wanted."""
    return g.db.scalar(select(func.count(OAuthClient.id)).where(*_conditions(wanted))) or 0


def list_credentials(
    account_id: uuid.UUID, *, sort: str = "created", limit: int = 50, after: Place | None = None
) -> Sequence[OAuthClient]:
    """The credentials of a service account, in one of the orders of CREDENTIAL_ORDERS, behind that place."""
    statement = select(OAuthClient).where(OAuthClient.user_id == account_id)
    found: Sequence[OAuthClient] = g.db.scalars(CREDENTIAL_ORDERS[sort].page(statement, limit=limit, after=after)).all()
    return found


def count_consents(client: OAuthClient) -> int:
    """How many people have allowed an app something."""
    return g.db.scalar(select(func.count(Consent.id)).where(Consent.client_id == client.id)) or 0


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [OAuthClient.kind == APP]
    if wanted.search:
        name = OAuthClient.name.icontains(wanted.search, autoescape=True)
        found.append(or_(name, OAuthClient.client_id == wanted.search))
    if wanted.active is not None:
        found.append(OAuthClient.active.is_(wanted.active))
    return found

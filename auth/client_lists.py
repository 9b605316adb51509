"""Apps as lists: paged by name for people, by age for programs."""

import uuid
from collections.abc import Sequence

from flask import g
from sqlalchemy import func, select

from auth.client_models import Consent, OAuthClient
from auth.clients import APP

_APPS = select(OAuthClient).where(OAuthClient.kind == APP)


def list_apps(*, limit: int = 50, offset: int = 0) -> Sequence[OAuthClient]:
    """The apps, by name."""
    wanted = _APPS.order_by(OAuthClient.name, OAuthClient.id).limit(limit).offset(offset)
    found: Sequence[OAuthClient] = g.db.scalars(wanted).all()
    return found


def list_apps_after(place: uuid.UUID | None, *, limit: int) -> Sequence[OAuthClient]:
    """The apps after that one, in the order in which they were registered."""
    wanted = _APPS.order_by(OAuthClient.id).limit(limit)
    found: Sequence[OAuthClient] = g.db.scalars(wanted.where(OAuthClient.id > place) if place else wanted).all()
    return found


def count_apps() -> int:
    """How many apps there are."""
    return g.db.scalar(select(func.count(OAuthClient.id)).where(OAuthClient.kind == APP)) or 0


def count_consents(client: OAuthClient) -> int:
    """How many people have allowed an app something."""
    return g.db.scalar(select(func.count(Consent.id)).where(Consent.client_id == client.id)) or 0

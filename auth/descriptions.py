"""Identity sources for administrators: what they are set to, how they stand, and what the provider has to be told."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import func, select

from auth import groups, journeys, provisional
from auth.models import Grant, Group, LoginSession, Membership, Role
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.keysets import Key, Orders, Place


def state_of(config: ProviderConfig) -> str:
    """How a source stands: on or off, enforced, and provisional until somebody has rehearsed a sign-in."""
    if config.enforced_at is not None:
        return "enforced"
    provisional = config.is_web and config.rehearsed_at is None
    return ("on" if config.enabled else "off") + (", provisional" if provisional else "")


def addresses_of(config: ProviderConfig) -> dict[str, str]:
    """The addresses of a web source here: to register there, and to rehearse a sign-in; none of a directory."""
    if not config.is_web:
        return {}
    base = f"{journeys.own_url()}/sso/{config.id}"
    found = {"redirect_address": journeys.redirect_uri(config)}
    if config.kind == "oidc":
        found |= {"after_signing_out": f"{base}/signed-out", "back_channel": f"{base}/backchannel-logout"}
    return found | {"to_rehearse_it": f"{base}/rehearse"}


def people_by_source() -> dict[uuid.UUID, int]:
    """How many people each source vouches for; those that vouch for nobody are left out."""
    counted = select(LinkedIdentity.provider_id, func.count()).group_by(LinkedIdentity.provider_id)
    return {row[0]: row[1] for row in g.db.execute(counted)}


def count_sessions(config: ProviderConfig) -> int:
    """How many login sessions the source has vouched for."""
    wanted = select(func.count()).select_from(LoginSession).where(LoginSession.provider == str(config.id))
    return g.db.scalar(wanted) or 0


@dataclass(frozen=True, slots=True)
class Mapping:
    """A group of a source that gives a role here."""

    id: uuid.UUID
    """Of the grant."""
    group: Group
    role: str
    members: int
    """How many are known to be in the group: none, if the source never named it."""


MAPPING_ORDERS = Orders(
    Grant.id,
    created=(),
    group=(
        Key(Group.name.expression, lambda mapping: mapping.group.name),
        Key(Role.name.expression, lambda mapping: mapping.role),
    ),
)
"""Orders of the mappings of a source."""


def list_mappings(
    config: ProviderConfig, *, sort: str = "group", limit: int | None = None, after: Place | None = None
) -> list[Mapping]:
    """The mappings of a source, all or behind that place, in one of the orders of MAPPING_ORDERS."""
    mine = groups.MAPPINGS.where(Group.origin == config.origin)
    found = g.db.execute(MAPPING_ORDERS[sort].page(mine, limit=limit, after=after)).all()
    counted = (
        select(Membership.group_id, func.count())
        .where(Membership.group_id.in_({row.Group.id for row in found}))
        .group_by(Membership.group_id)
    )
    members = {row[0]: row[1] for row in g.db.execute(counted)}
    return [Mapping(row.id, row.Group, row.role_name, members.get(row.Group.id, 0)) for row in found]


ORDERS = Orders(
    ProviderConfig.id,
    order=(ProviderConfig.position, ProviderConfig.created_at),
    name=(ProviderConfig.name,),
    created=(),
)
"""Orders of the sources; `order` is the one in which they are asked."""


def list_sources(
    *, sort: str = "order", limit: int | None = None, after: Place | None = None
) -> Sequence[ProviderConfig]:
    """The sources, all or behind that place, in one of the orders of ORDERS."""
    found: Sequence[ProviderConfig] = g.db.scalars(
        ORDERS[sort].page(select(ProviderConfig), limit=limit, after=after)
    ).all()
    return found


def as_dicts(configs: Sequence[ProviderConfig]) -> list[dict[str, Any]]:
    """Sources for programs, as `as_dict` gives one, in one statement."""
    mapped = groups.mappings_of_all(configs)
    return [_as_dict(config, mapped[config.origin]) for config in configs]


def as_dict(config: ProviderConfig) -> dict[str, Any]:
    """A source for programs; without its secret."""
    return as_dicts([config])[0]


def _as_dict(config: ProviderConfig, mapped: Sequence[tuple[Group, str]]) -> dict[str, Any]:
    return {
        "id": str(config.id),
        "name": config.name,
        "label": config.label,
        "kind": config.kind,
        "enabled": config.enabled,
        "state": state_of(config),
        "domains": config.domains,
        "creates_users": config.creates_users,
        "most_departures": config.most_departures,
        "synced_at": _as_time(config.synced_at),
        "settings": config.settings,
        "has_secret": config.secret is not None,
        "addresses": addresses_of(config),
        "provisional_until": _as_time(provisional.until(config)),
        "mappings": [{"group": group.name, "key": group.external_key, "role": role} for group, role in mapped],
    }


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None

"""Identity sources for administrators: what they are set to, how they stand, and what the provider has to be told."""

import uuid
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import func, select

from auth import groups, journeys, provisional
from auth.models import Group, LoginSession, Membership
from auth.providers.models import LinkedIdentity, ProviderConfig


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


def mappings_with_members(config: ProviderConfig) -> list[tuple[Group, str, int]]:
    """The mappings of a source, each with how many are known to be in the group: none, if it never named it."""
    found = groups.mappings_of(config)
    counted = (
        select(Membership.group_id, func.count())
        .where(Membership.group_id.in_({group.id for group, _role in found}))
        .group_by(Membership.group_id)
    )
    members = {row[0]: row[1] for row in g.db.execute(counted)}
    return [(group, role, members.get(group.id, 0)) for group, role in found]


def as_dict(config: ProviderConfig) -> dict[str, Any]:
    """A source for programs; without its secret."""
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
        "mappings": [
            {"group": group.name, "key": group.external_key, "role": role} for group, role in groups.mappings_of(config)
        ],
    }


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None

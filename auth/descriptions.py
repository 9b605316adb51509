"""Identity sources for administrators: what they are set to, how they stand, and what the provider has to be told."""

from typing import Any

from auth import groups, journeys
from auth.providers.models import ProviderConfig


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
    found = {"redirect address": journeys.redirect_uri(config)}
    if config.kind == "oidc":
        found |= {"after signing out": f"{base}/signed-out", "back-channel": f"{base}/backchannel-logout"}
    return found | {"to rehearse it": f"{base}/rehearse"}


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
        "synced_at": config.synced_at.isoformat().replace("+00:00", "Z") if config.synced_at else None,
        "settings": config.settings,
        "has_secret": config.secret is not None,
        "addresses": addresses_of(config),
        "mappings": [
            {"group": group.name, "key": group.external_key, "role": role} for group, role in groups.mappings_of(config)
        ],
    }

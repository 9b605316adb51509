"""Directories of the tests' own, connected to a workspace."""

import secrets
from typing import Any

from flask import Flask

from auth import groups
from auth.providers import configs
from auth.providers.registry import provider_of
from auth.sync import Report, Sync
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor


def settings_of(server: OpenLdapServer, **changes: Any) -> dict[str, Any]:
    """What an admin would give of that server."""
    return {
        "servers": [server.tls_url],
        "ca_bundle": server.ca,
        "bind_dn": server.service_dn,
        "base_dn": server.people,
        "group_base": server.groups,
    } | changes


def connect(
    app: Flask,
    workspace: Workspace,
    server: OpenLdapServer,
    name: str = "office",
    *,
    enabled: bool = True,
    **options: Any,
) -> str:
    """Connect the workspace to that server; gives back the provider's name."""
    policy = {
        key: options.pop(key) for key in ("label", "domains", "creates_users", "most_departures") if key in options
    }
    secret = options.pop("secret", server.service_password)
    with inside(app, workspace):
        config = configs.add_provider(name, "ldap", settings_of(server, **options), actor=None, secret=secret, **policy)
        if enabled:
            configs.enable_provider(config, actor=None)
    return name


def map_group(app: Flask, workspace: Workspace, group: str, role: str, name: str = "office") -> None:
    """Give the members of a directory's group a role."""
    with inside(app, workspace):
        config = configs.get_config(name)
        key, short = provider_of(config).find_group(group)
        groups.map_group(config, key, short, role, actor=None)


def sync(app: Flask, workspace: Workspace, name: str = "office", **options: Any) -> Report:
    """Bring the workspace into line with the directory."""
    with inside(app, workspace):
        return Sync(configs.get_config(name), lambda report: None).run(**options)


def unique(name: str) -> str:
    """A user or group name that no other test has."""
    return f"{name}-{secrets.token_hex(4)}"


def sign_in(visitor: Visitor, login: str, password: str) -> Any:
    """Type a name and a password into the sign-in form."""
    return visitor.post("/auth/login", {"email": login, "password": password})


def roles_of(visitor: Visitor) -> list[str]:
    """The roles of whoever is signed in."""
    roles: list[str] = visitor.get("/api/v1/me").get_json()["roles"]
    return roles

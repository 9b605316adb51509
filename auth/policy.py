"""A workspace's rules of signing in: by what, from where, for how long, and with a second factor or without."""

import ipaddress
import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

from flask import g, request
from pydantic import BaseModel, ConfigDict, Field, field_validator

KEY = "policy"

_Role = Annotated[str, Field(min_length=1, max_length=80)]


class Policy(BaseModel):
    """The rules. What is left out is as the installation has it, which no workspace can loosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    methods: tuple[Literal["password", "passkey"], ...] = ("passkey", "password")
    """How people with an account here prove who they are; those of a directory or provider do it there."""
    shortest_password: int = Field(default=8, ge=8, le=128)
    """Characters of a new password, at least."""
    second_factor: Literal["optional", "roles", "all"] = "optional"
    """Who has to have a second factor. Whoever comes from an identity provider is asked for one there."""
    second_factor_roles: tuple[_Role, ...] = Field(default=(), max_length=100)
    """Names of the roles whose holders have to have one, if it is not everybody."""
    session_hours: int | None = Field(default=None, ge=1, le=24 * 90)
    """Hours until a login session ends, remembered or not, and with it what an app was allowed by it."""
    idle_minutes: int | None = Field(default=None, ge=5, le=60 * 24 * 90)
    """Minutes without a click after which it ends; for an app, minutes after its token without asking for the next."""
    longest_token_days: int | None = Field(default=None, ge=1, le=3650)
    """Days after which a personal token ends at the latest, and what an app was allowed. Without it, a personal token
    may be made without an end."""
    networks: tuple[str, ...] = Field(default=(), max_length=50)
    """Networks (CIDR) from which people are served; none: from anywhere."""

    @field_validator("methods", "second_factor_roles")
    @classmethod
    def _sorted(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))

    @field_validator("networks")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(_network(value.strip())) for value in values))

    def admits(self, address: str) -> bool:
        """Whether people are served at that address."""
        if not self.networks:
            return True
        try:
            caller = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(caller, ipaddress.IPv6Address):
            caller = caller.ipv4_mapped or caller
        return any(caller in ipaddress.ip_network(network) for network in self.networks)

    def app_ends_at(self, signed_in_at: datetime | None, allowed_at: datetime | None) -> datetime | None:
        """When an app that was allowed something has to ask anew, by these rules; None: they do not say.

        No later than the login session that it was allowed by would end, counted from when the person had proved who
        they are; and no later than a token that they had made themselves, counted from when they allowed it.
        """
        ends = []
        if self.session_hours is not None and signed_in_at is not None:
            ends.append(signed_in_at + timedelta(hours=self.session_hours))
        if self.longest_token_days is not None and allowed_at is not None:
            ends.append(allowed_at + timedelta(days=self.longest_token_days))
        return min(ends, default=None)

    def wants_second_factor(self, roles: tuple[str, ...]) -> bool:
        """Whether somebody with these roles has to have a second factor."""
        if self.second_factor == "roles":
            return not set(self.second_factor_roles).isdisjoint(roles)
        return self.second_factor == "all"


def _network(written: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network; of IPv4 addresses that are written as IPv6, the one of IPv4: callers are looked at as that."""
    network = ipaddress.ip_network(written, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and (inner := network.network_address.ipv4_mapped) is not None:
        return ipaddress.ip_network((inner, network.prefixlen - 96))
    return network


DEFAULT = Policy()


def current() -> Policy:
    """The bound tenant's rules; the installation's where none is bound, as while one is created."""
    kept = g.tenant.settings.get(KEY) if "tenant" in g else None
    return _read(json.dumps(kept, sort_keys=True)) if kept else DEFAULT


def admits_caller() -> bool:
    """Whether the bound tenant serves people at the address of this request."""
    return current().admits(request.remote_addr or "")


@lru_cache(maxsize=1000)
def _read(kept: str) -> Policy:
    return Policy.model_validate_json(kept)

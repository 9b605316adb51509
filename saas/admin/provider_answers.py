"""What the API gives of identity providers."""

import uuid
from datetime import datetime
from typing import Any, Literal

from saas.shapes import Answer


class MappingOfProvider(Answer):
    """A group of the provider that gives a role here."""

    group: str
    key: str | None
    role: str


class MappingJson(MappingOfProvider):
    """A mapping, and how many the provider has named as being in the group."""

    members: int


class ProviderJson(Answer):
    """A configured identity provider; without its secret."""

    id: uuid.UUID
    name: str
    label: str
    kind: Literal["ldap", "oidc", "oauth2", "platform"]
    enabled: bool
    state: str
    """on, off or enforced, and whether it is provisional."""
    domains: list[str]
    """E-mail domains whose people it is asked about, and no other."""
    creates_users: Literal["sign-in", "sync", "never"]
    most_departures: int
    """Share of its users, in per cent, that one sync may deactivate."""
    synced_at: datetime | None
    settings: dict[str, Any]
    has_secret: bool
    addresses: dict[str, str]
    """What the provider has to be told, of one that people visit in their browser."""
    provisional_until: datetime | None
    """When new settings are undone unless an administrator signs in by them."""
    mappings: list[MappingOfProvider]


class StepJson(Answer):
    """One step of a rehearsal."""

    name: str
    ok: bool
    milliseconds: int
    fault: str | None
    explanation: str | None
    detail: str


class RehearsedIdentity(Answer):
    """Who was found."""

    subject: str
    place: str
    login: str
    email: str | None
    name: str | None
    disabled: bool


class RehearsedSignIn(Answer):
    """What a sign-in of that person would do here."""

    user: str | None
    happens: str
    groups: list[str]
    roles: list[str]
    default_role: str | None


class RehearsalJson(Answer):
    """What a rehearsal found; nothing was changed."""

    ok: bool
    steps: list[StepJson]
    identity: RehearsedIdentity | None
    attributes: dict[str, Any]
    groups: list[str]
    sign_in: RehearsedSignIn | None

"""Scopes: the names of permissions, and what OpenID Connect asks for about the person (Core 1.0, section 5.4)."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString

from auth.guards import catalogue
from auth.identity import Snapshot, snapshot_of
from auth.permissions import Permission

OPENID, PROFILE, EMAIL = "openid", "profile", "email"
IDENTITY: Mapping[str, LazyString] = {
    OPENID: _("See who you are here: a number that stands for you."),
    PROFILE: _("See your name, language and time zone."),
    EMAIL: _("See your e-mail address."),
}
"""What an app can learn of the person, in words for them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope, taken apart."""

    permissions: frozenset[str] = field(default=frozenset())
    identity: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return " ".join([*(name for name in IDENTITY if name in self.identity), *sorted(self.permissions)])

    def __bool__(self) -> bool:
        return bool(self.permissions or self.identity)


def parse(text: str | None) -> Scope:
    """The words of a scope; what is neither part of OpenID Connect's nor a permission is a permission nobody holds."""
    words = frozenset((text or "").split())
    return Scope(words - IDENTITY.keys(), words & IDENTITY.keys())


def known() -> list[str]:
    """Every scope that there is, for the metadata."""
    return [*IDENTITY, *(each.value for feature in catalogue().features for each in feature.permissions)]


def held_by(user_id: uuid.UUID | None) -> frozenset[str] | None:
    """What an active user holds, on the workspace or on any object; None of anybody else."""
    snapshot = snapshot_of(user_id) if user_id is not None else None
    return everything(snapshot) if snapshot is not None else None


def everything(snapshot: Snapshot) -> frozenset[str]:
    """What somebody holds, on the workspace or on any object."""
    return snapshot.permissions.union(*snapshot.objects.values())


def described(permissions: Collection[str]) -> list[Permission]:
    """Those of the permissions that exist, as people are told of them, in the order of the catalogue."""
    return [each for feature in catalogue().features for each in feature.permissions if each.value in permissions]

"""What every source of identity is: immutable, and stateless between two attempts."""

import abc
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from flask_babel.speaklater import LazyString

from auth.errors import SourceUnavailable, WrongCredentials

__all__ = [
    "N_", "Explained", "ExternalIdentity", "PasswordProvider", "Provider", "SourceUnavailable", "WrongCredentials",
]  # fmt: skip


def N_(text: str) -> str:  # noqa: N802 - the name by which messages are extracted
    """Mark a text that is translated where it is shown."""
    return text


class Explained(enum.StrEnum):
    """Base of the faults of a kind of source: a name for programs, and what it means for people."""

    explanation: LazyString

    def __new__(cls, value: str, explanation: LazyString) -> Self:
        """Keep the explanation beside the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """What a provider says of a person. The key is (tenant, provider, subject); an e-mail alone links nothing."""

    provider: str
    subject: str
    """Immutable at the source: a user's id, `entryUUID`, `objectGUID`, OpenID Connect's `iss` and `sub`."""
    email: str | None = None
    email_vouched: bool = False
    """Whether the provider has proved that the address is this person's."""
    name: str | None = None
    login: str = ""
    """The user name at the source; it may change hands."""
    place: str = ""
    """Where the source keeps the person, say a distinguished name; for people, never compared."""
    locale: str | None = None
    groups: frozenset[str] = frozenset()
    """Keys of the person's groups, in the form in which the provider compares them."""
    disabled: bool = False
    """Whether the source keeps the person and lets them in nowhere."""


class Provider(abc.ABC):
    """A configured source of identity of one tenant."""

    kind: str
    id: str
    """Names the provider within its tenant; the origin of grants that it causes is `provider:<id>`."""

    @property
    def origin(self) -> str:
        """The origin of the groups and grants that this provider causes."""
        return f"provider:{self.id}"


class PasswordProvider(Provider):
    """A source that is asked with a login name and a password, typed into our form."""

    @abc.abstractmethod
    def authenticate(self, login: str, password: str, *, count: Callable[[str], None]) -> ExternalIdentity:
        """Prove who `login` is.

        One account may have many login names: as soon as the source has told which account `login` means, and before
        it is asked about the password, `count` is called with what names the account, and raises Throttled.

        Raises WrongCredentials when the proof fails, SignInRefused when it succeeds and the source lets the person in
        all the same not, and SourceUnavailable when it could not be tried: they never share a path, and a source that
        is down is no reason to ask another.
        """

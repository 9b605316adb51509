"""What every source of identity is: immutable, and stateless between two attempts."""

import abc
from dataclasses import dataclass

from auth.errors import SourceUnavailable, WrongCredentials

__all__ = ["ExternalIdentity", "PasswordProvider", "Provider", "SourceUnavailable", "WrongCredentials"]


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
    groups: frozenset[str] = frozenset()


class Provider(abc.ABC):
    """A configured source of identity of one tenant."""

    kind: str
    id: str
    """Names the provider within its tenant; the origin of grants that it causes is `provider:<id>`."""


class PasswordProvider(Provider):
    """A source that is asked with a login name and a password, typed into our form."""

    @abc.abstractmethod
    def authenticate(self, login: str, password: str) -> ExternalIdentity:
        """Prove who `login` is.

        Raises WrongCredentials when the proof fails, and SourceUnavailable when it could not be tried: the two never
        share a path, and a source that is down is no reason to ask another.
        """

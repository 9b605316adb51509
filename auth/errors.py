"""What can go wrong around identity and permissions.

AuthError
 ├─ WrongCredentials      whoever tries is not who they say
 ├─ SecondFactorAsked     the first factor is right, and the second one is still to be given
 ├─ InvalidToken          a token or challenge that is not ours, or not any more
 ├─ SourceUnavailable     the source that should vouch for them does not answer
 ├─ SignInRefused         they are who they say, and may not come in; the message is for them
 │   ├─ LinkNeeded        an account has their e-mail address; both sides have to be proved first
 │   └─ InvitationVoid    their invitation counts no more, or is not for them; the message is for them
 ├─ Throttled             too many attempts; `retry_after` in seconds
 ├─ Busy                  too many password hashes at work
 ├─ UnsuitablePassword    not a password that we accept; the message says why
 ├─ NotAllowed            a guard refuses a change of rights; the message says which
 │   ├─ NoWayIn           a change after which no administrator could sign in
 │   ├─ RoleChanged       a role is not any more as the actor saw it
 │   └─ UnsuitableName    a name that a role cannot have; the message says why
 ├─ InvalidAddresses      e-mail addresses that cannot be invited; says of each why
 ├─ InvalidImport         a file of members that cannot be used; the message says why
 ├─ InvalidClient         an app, or a credential of a service account, that cannot be; the message says why
 ├─ UnknownUser           no such user in this tenant
 ├─ UnknownRole           no such role in this tenant
 ├─ UnknownProvider       no such identity provider in this tenant
 ├─ InvalidProvider       a configuration of a provider that cannot work; the message says what
 ├─ UnknownDomain         no such domain of e-mail addresses in this tenant
 ├─ InvalidDomain         a domain that cannot be a tenant's own; the message says why
 ├─ DomainTaken           a domain that another tenant has proved to be its own
 ├─ SyncStopped           a sync that went no further; the message says why, and what it did
 ├─ ChainBroken           an audit log that is not as it was recorded; the message says where
 └─ UnknownPermission     no such permission in the catalogue
"""

from collections.abc import Mapping, Sequence


class AuthError(Exception):
    """Base of this package's errors."""


class WrongCredentials(AuthError):
    """The proof does not fit the claim. Says no more, on purpose."""


class InvalidToken(AuthError):
    """A token that we have not made, or that counts no more. The message says why, to logs and tests only."""


class SecondFactorAsked(AuthError):
    """The first factor is right, and the second one is asked for: `challenge` is to be sent along with its code."""

    def __init__(self, challenge: str, methods: Sequence[str]) -> None:
        super().__init__("a second factor is asked for")
        self.challenge = challenge
        self.methods = tuple(methods)


class SourceUnavailable(AuthError):
    """An identity source could not be asked.

    Never to be treated as wrong credentials, nor as a reason to ask another.
    """


class SignInRefused(AuthError):
    """A proven person may not sign in; the message is shown to them."""


class LinkNeeded(SignInRefused):
    """A source has proved somebody whose e-mail address an account has that it does not vouch for."""


class InvitationVoid(SignInRefused):
    """An invitation that counts no more, or that somebody else was sent."""


class Throttled(AuthError):
    """Too many attempts."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after} s")
        self.retry_after = retry_after


class Busy(AuthError):
    """More password hashes were asked for than can be computed in time."""


class UnsuitablePassword(AuthError, ValueError):
    """A new password that we do not accept."""


class NotAllowed(AuthError, ValueError):
    """A change of rights that a guard refuses."""


class NoWayIn(NotAllowed):
    """A change of sources after which no administrator could sign in any more."""


class RoleChanged(NotAllowed):
    """A role that somebody else has changed since the actor saw it."""


class UnsuitableName(NotAllowed):
    """A name that a role cannot have, or that another one has."""


class InvalidAddresses(AuthError, ValueError):
    """E-mail addresses that cannot be invited; `faults` says of each, as it was typed, why."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{address}: {fault}" for address, fault in faults.items()))
        self.faults = faults


class InvalidImport(AuthError, ValueError):
    """A file of members that cannot be used as a whole; the message says why."""


class InvalidClient(AuthError, ValueError):
    """An app, or a credential of a service account, that cannot be; `field` says which part of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownUser(AuthError, LookupError):
    """No such user in this tenant."""


class UnknownRole(AuthError, LookupError):
    """No such role in this tenant."""


class UnknownProvider(AuthError, LookupError):
    """No such identity provider in this tenant."""


class InvalidProvider(AuthError, ValueError):
    """A configuration of an identity provider that cannot work."""


class UnknownDomain(AuthError, LookupError):
    """No such domain of e-mail addresses in this tenant."""


class InvalidDomain(AuthError, ValueError):
    """A domain that cannot be a tenant's own."""


class DomainTaken(AuthError, ValueError):
    """A domain that another tenant has proved to be its own; which one is not told."""


class InvalidPolicy(AuthError, ValueError):
    """Rules of signing in that cannot be, or that would let nobody in; says which rule, and why."""


class SecondFactorNeeded(AuthError):
    """The caller has to set up a second factor before anything else."""


class SyncStopped(AuthError, ValueError):
    """A sync that went no further than it safely could."""


class ChainBroken(AuthError, ValueError):
    """An audit log that is not as it was recorded, of which nothing may be removed."""


class UnknownPermission(AuthError, LookupError):
    """A permission that no feature has registered."""

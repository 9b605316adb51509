"""Sign-ins that fail or are refused, recorded for administrators."""

from flask import g, request

from auth import audit
from auth.audit_bounds import is_worth_recording
from auth.errors import SignInRefused
from auth.models import User


def typed(login: str) -> audit.Party:
    """Whom somebody claims to be who has proved nothing."""
    return audit.Party("login", None, login)


def refused(whom: User | audit.Party, reason: str, message: str) -> SignInRefused:
    """The error to raise, with its message for the person; recorded."""
    note_refusal(whom, reason)
    return SignInRefused(message)


def note_refusal(whom: User | audit.Party, reason: str) -> None:
    """Record that somebody was refused; of those who try again and again, only the first times."""
    party = audit.party_of(whom)
    if is_worth_recording(g.tenant.id, "sign-in refused", party.id or party.name.casefold()):
        actor = whom if isinstance(whom, User) else audit.NOBODY
        audit.record("sign-in refused", party, details={"reason": reason}, actor=actor, survives=True)


def note_passkey_failure(user: User | None, step: str, reason: str) -> None:
    """Record that a passkey did not prove anybody, or not that user. Of those who try again and again, the first times.

    Passkeys are not counted by account, for nobody can guess one: the limit here is all that keeps the log small.
    """
    party = audit.party_of(user) if user is not None else typed("")
    if is_worth_recording(g.tenant.id, "passkey failed", party.id or request.remote_addr):
        audit.record("sign-in failed", party, details={"step": step, "reason": reason}, survives=True)


def note_failure(login: str, reason: str) -> None:
    """Record that a password did not prove whoever was named. No more often than attempts are let through."""
    audit.record("sign-in failed", typed(login), details={"step": "password", "reason": reason}, survives=True)

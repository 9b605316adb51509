"""Flask-Security's forms of second factors and passkeys, each of which passes the gate and the throttle."""

import json
from typing import Any

import flask_security.forms as fs
from flask import g, session
from flask_babel import gettext as _
from flask_security import UserMixin
from flask_security.recovery_codes import MfRecoveryForm
from flask_security.webauthn import WebAuthnRegisterResponseForm, WebAuthnSigninResponseForm

from auth import audit, first_factor, links, sessions, throttle
from auth.forms import Throttle
from auth.providers.database import DatabaseProvider
from auth.sign_in_refusals import note_passkey_failure


class SecondFactor(Throttle):
    """Mixin: the second step of a sign-in, soon after the first, on the account of the first."""

    attempt_kind = "second factor"
    user: UserMixin | None

    def attempted_account(self) -> str:
        """The account whose first factor was proved."""
        return self.user.email if self.user else ""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Refuse when the first step is long ago; lock the user, so that a code counts once."""
        if not getattr(self, "is_setup", False) and not _is_recent(self.user):
            self.form_errors = [_("You waited too long. Sign in again.")]
            return False
        return super().validate(*args, **kwargs)

    def note_failure(self) -> None:
        """Record that whoever has given the first factor does not have the second."""
        if self.user is not None and not getattr(self, "is_setup", False):
            person: Any = self.user
            audit.record("sign-in failed", person, details={"step": "second factor", "reason": "wrong"}, survives=True)


class TwoFactorVerifyCodeForm(SecondFactor, fs.TwoFactorVerifyCodeForm):
    """A code of the authenticator app."""


class _LockedRecovery(MfRecoveryForm):
    def validate(self, *args: Any, **kwargs: Any) -> bool:
        # Until the end of the transaction: who comes with the same code waits, and then does not find it.
        g.db.refresh(self.user, with_for_update=True)
        return bool(super().validate(*args, **kwargs))


class RecoveryCodeForm(SecondFactor, _LockedRecovery):
    """A recovery code, in place of the app's."""


class PasskeyRegistrationForm(WebAuthnRegisterResponseForm):
    """A new passkey. What the browser says beside it is unsigned, and shown on the page of passkeys."""

    extensions: str | None  # type: ignore[assignment]  # Flask-Security itself sets None

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Keep the extensions only if that page can read them."""
        valid = bool(super().validate(*args, **kwargs))
        if valid and not _is_readable(self.extensions):
            self.extensions = None
        return valid


class PasskeyResponseForm(WebAuthnSigninResponseForm):
    """A passkey's answer: to a challenge given to this browser, once, and of the account whose turn it is."""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Set `user` and `cred` when the passkey's signature is right, and it is one for this. Else it is recorded."""
        if self._proves(*args, **kwargs):
            return True
        step = "confirmation" if self.is_verify else "second factor" if self.is_secondary else "passkey"
        person: Any = self.user
        note_passkey_failure(person, step, "wrong" if person is not None else "unknown")
        return False

    def _proves(self, *args: Any, **kwargs: Any) -> bool:
        ours = session.pop("passkey_challenge", None) == self.challenge
        # The browser may still have the cookie that named the challenge; so that it was answered is noted here too.
        if not ours or not throttle.first_use(f"passkey challenge:{self.challenge}"):
            self.credential.errors = [_("This passkey request was already used. Try again.")]
            return False
        if not super().validate(*args, **kwargs) or self.user is None:
            return False
        if not self.user.active:
            self.credential.errors = [_("This passkey does not sign anybody in.")]
            return False
        if self.is_secondary and not (_is_recent(self.user) and self.user.fs_uniquifier == session.get("tf_user_id")):
            self.credential.errors = [_("This passkey belongs to another account.")]
            return False
        if self.is_verify:
            if self.user.id != g.identity.user_id:
                self.credential.errors = [_("This passkey belongs to another account.")]
                return False
            person: Any = self.user
            if source := links.sole_source_of(person):
                self.credential.errors = [_("This account is signed in to by %(source)s.", source=source)]
                return False
            sessions.renew()
        elif not self.is_secondary:
            user: Any = self.user
            if source := links.sole_source_of(user):
                self.credential.errors = [_("This account is signed in to by %(source)s.", source=source)]
                return False
            first_factor.note(user, DatabaseProvider.id, "passkey")
        return True


def _is_recent(user: Any) -> bool:
    proved = first_factor.of(user) if user is not None else None
    return proved is not None and proved.is_recent


def _is_readable(extensions: Any) -> bool:
    try:
        read = json.loads(extensions) if isinstance(extensions, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and isinstance(read.get("credProps", {}), dict) and "\0" not in extensions

"""The base of our forms; and Flask-Security's forms, so that each of them passes the gate and the throttle."""

import json
from typing import Any

import flask_security.forms as fs
from flask import Response, abort, after_this_request, current_app, g, request, session
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_security import UserMixin
from flask_security.change_email import ChangeEmailForm as _ChangeEmailForm
from flask_security.recovery_codes import MfRecoveryForm
from flask_security.utils import get_message
from flask_security.webauthn import WebAuthnRegisterResponseForm, WebAuthnSigninResponseForm
from flask_wtf import FlaskForm
from flask_wtf.form import _Auto
from wtforms import EmailField

from auth import gate, sessions, throttle
from auth.errors import SignInRefused, SourceUnavailable, Throttled, WrongCredentials
from auth.identity import current_user
from auth.providers.database import DatabaseProvider


class PageForm(FlaskForm):
    """Base of the forms on our own pages: Flask-WTF's, with the types that it does not ship."""

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """Take what the form sent as text: Flask-WTF would take files, and JSON of any shape, as well."""
            if formdata is not _Auto:
                return formdata
            if not form.is_submitted():
                return None
            if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
                abort(415)
            return request.form

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # it ships none

    def is_submitted(self) -> bool:
        """Whether the request sends the form, rather than asks for it."""
        return bool(super().is_submitted())  # type: ignore[no-untyped-call]  # it ships none

    def validate_on_submit(self, *args: Any, **kwargs: Any) -> bool:
        """Whether the request sends the form, and it is valid."""
        return self.is_submitted() and self.validate(*args, **kwargs)


class Throttle(FlaskForm):
    """Mixin: counts a submitted form as an attempt on an account, and answers 429 when there were too many."""

    attempt_kind: str
    counts_always = False

    def attempted_account(self) -> str:
        """The account, by its e-mail address, that the attempt is on."""
        return current_user().email

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Validate within a counted attempt."""
        try:
            with throttle.attempt(self.attempt_kind, self.attempted_account()) as attempt:
                valid = super().validate(*args, **kwargs)
                attempt.succeeded = valid and not self.counts_always
                return valid
        except Throttled as error:
            self.form_errors = [*self.form_errors, too_many(error)]
            return False


class LoginForm(fs.LoginForm):
    """Sign-in by a login name and a password, proved by the tenant's providers."""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Set `user` when the password is right and the person may come in."""
        if not super(fs.LoginForm, self).validate(*args, **kwargs):
            return False
        self.ifield = self.email
        try:
            self.user = gate.authenticate(self.email.data or "", self.password.data or "")
        except WrongCredentials:
            self.form_errors = [get_message("GENERIC_AUTHN_FAILED")[0]]
        except SignInRefused as error:
            self.form_errors = [str(error)]
        except SourceUnavailable:
            self.form_errors = [_("Your sign-in could not be checked: the directory does not answer. Try again soon.")]
        except Throttled as error:
            self.form_errors = [too_many(error)]
        else:
            return True
        return False


class VerifyForm(Throttle, fs.VerifyForm):
    """Step-up: the password once more. The login session gets a new id."""

    attempt_kind = "password"

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Renew the login session when the password is right."""
        valid = super().validate(*args, **kwargs)
        if valid:
            sessions.renew()
        return valid


class ChangePasswordForm(Throttle, fs.ChangePasswordForm):
    """A new password, for the old one. A fault of the new one counts as a failed attempt too, for simplicity."""

    attempt_kind = "password"

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Compare passwords in their normal form, however they were typed."""
        normalize = current_app.extensions["security"].password_util.normalize
        for field in (self.new_password, self.new_password_confirm):
            field.data = normalize(field.data) if field.data else field.data
        return super().validate(*args, **kwargs)


class MailRequest(Throttle):
    """Mixin: asks for a link by mail. Counted always, or mailboxes would be flooded and known addresses would show."""

    attempt_kind = "mail"
    counts_always = True
    email: EmailField

    def attempted_account(self) -> str:
        """The address that was typed, in the form in which it is looked up."""
        typed = self.email.data or ""
        try:
            return str(current_app.extensions["security"].mail_util.normalize(typed))
        except ValueError:
            return typed


class ForgotPasswordForm(MailRequest, fs.ForgotPasswordForm):
    """Asks for a link to choose a new password."""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Take as long for a known address as Flask-Security does for an unknown one."""
        return _as_if_unknown(super().validate(*args, **kwargs))


class SendConfirmationForm(MailRequest, fs.SendConfirmationForm):
    """Asks for the confirmation mail again."""


class ChangeEmailForm(Throttle, _ChangeEmailForm):
    """Asks for a link to a new address, whosever that is; counted on who asks."""

    attempt_kind = "mail"
    counts_always = True


class SecondFactor(Throttle):
    """Mixin: the second step of a sign-in, soon after the first, on the account of the first."""

    attempt_kind = "second factor"
    user: UserMixin | None

    def attempted_account(self) -> str:
        """The account whose first factor was proved."""
        return self.user.email if self.user else ""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Refuse when the first step is long ago; lock the user, so that a code counts once."""
        if not getattr(self, "is_setup", False) and not gate.first_factor_is_recent():
            self.form_errors = [_("You waited too long. Sign in again.")]
            return False
        return super().validate(*args, **kwargs)


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
        """Set `user` and `cred` when the passkey's signature is right."""
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
        if self.is_secondary and not (
            gate.first_factor_is_recent() and self.user.fs_uniquifier == session.get("tf_user_id")
        ):
            self.credential.errors = [_("This passkey belongs to another account.")]
            return False
        if self.is_verify:
            if self.user.id != g.identity.user_id:
                self.credential.errors = [_("This passkey belongs to another account.")]
                return False
            sessions.renew()
        elif not self.is_secondary:
            gate.note_first_factor(DatabaseProvider.id)
        return True


def too_many(error: Throttled) -> str:
    """The message for somebody who is throttled; the answer becomes 429 with Retry-After."""

    @after_this_request
    def refuse(response: Response) -> Response:
        response.status_code = 429
        response.headers["Retry-After"] = str(error.retry_after)
        return response

    minutes = -(-error.retry_after // 60)
    message: str = ngettext(
        "Too many attempts. Try again in %(num)s minute.", "Too many attempts. Try again in %(num)s minutes.", minutes
    )
    return message


def _is_readable(extensions: Any) -> bool:
    try:
        read = json.loads(extensions) if isinstance(extensions, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and isinstance(read.get("credProps", {}), dict) and "\0" not in extensions


def _as_if_unknown(known: bool) -> bool:
    if known and request.method == "POST":
        current_app.extensions["security"].pwd_context.verify("", None)
    return known

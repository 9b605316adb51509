"""The base of our forms; and Flask-Security's forms, so that each of them passes the gate and the throttle."""

from typing import Any

import flask_security.forms as fs
from flask import abort, current_app, g, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_security.change_email import ChangeEmailForm as _ChangeEmailForm
from flask_security.utils import get_message
from flask_wtf import FlaskForm
from flask_wtf.form import _Auto
from wtforms import EmailField, PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired, Length, StopValidation

from auth import audit, gate, links, sessions, throttle, users
from auth.errors import AuthError, Throttled
from auth.identity import current_user
from auth.refusals import explain_failure, too_many


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
        except Throttled as error:
            self.form_errors = [*self.form_errors, too_many(error)]
            return False
        if not valid:
            self.note_failure()
        return valid

    def note_failure(self) -> None:
        """Record that an attempt has failed, where that matters to administrators."""


class LoginName:
    """Validator: an e-mail address, in the form in which it is looked up, or a user name."""

    def __call__(self, form: Any, field: Any) -> None:
        """Bring an address into its normal form; take anything else of a possible length as a user name."""
        name = users.normal_login(field.data or "")
        if name is None:
            raise StopValidation(get_message("GENERIC_AUTHN_FAILED")[0])
        field.data = name


class LoginForm(fs.LoginForm):
    """Sign-in by a login name and a password, proved by the tenant's providers."""

    # Flask-Security declares an EmailField; but a user name is no address to a browser's own check.
    email = StringField(  # type: ignore[assignment]
        validators=[fs.IsString(), DataRequired(lazy_gettext("Type who you are.")), LoginName()]
    )

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Set `user` when the password is right and the person may come in."""
        if not super(fs.LoginForm, self).validate(*args, **kwargs):
            return False
        self.ifield = self.email
        try:
            self.user = gate.authenticate(self.email.data or "", self.password.data or "")
        except AuthError as error:
            self.form_errors = [explain_failure(error)]
            return False
        return True


class VerifyForm(Throttle, fs.VerifyForm):
    """Step-up: the password once more, to the source that vouches for the person. The login session gets a new id."""

    attempt_kind = "password"

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Renew the login session when the password is right."""
        try:
            with throttle.attempt(self.attempt_kind, self.attempted_account()) as attempt:
                valid = super(fs.VerifyForm, self).validate(*args, **kwargs) and gate.verify(
                    current_user(), self.password.data or "", attempt
                )
                attempt.succeeded = valid
        except AuthError as error:
            self.form_errors = [*self.form_errors, explain_failure(error)]
            return False
        if valid:
            sessions.renew()
        elif not self.errors:
            self.form_errors = [get_message("INVALID_PASSWORD")[0]]
            details = {"step": "confirmation", "reason": "wrong"}
            audit.record("sign-in failed", audit.party_of(g.identity), details=details, survives=True)
        return valid


class OwnAccountOnly(FlaskForm):
    """Mixin: for accounts of our own; whoever belongs to a directory is told where it is done."""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Refuse the form of somebody whom another source vouches for."""
        if source := links.sole_source_of(current_user()):
            self.form_errors = [_("Your account belongs to %(source)s: this is changed there.", source=source)]
            return False
        return bool(super().validate(*args, **kwargs))


class ChangePasswordForm(OwnAccountOnly, Throttle, fs.ChangePasswordForm):
    """A new password, for the old one. A fault of the new one counts as a failed attempt too, for simplicity."""

    attempt_kind = "password"

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Compare passwords in their normal form, however they were typed."""
        normalize = current_app.extensions["security"].password_util.normalize
        for field in (self.new_password, self.new_password_confirm):
            field.data = normalize(field.data) if field.data else field.data
        return super().validate(*args, **kwargs)


class ResetPasswordForm(fs.ResetPasswordForm):
    """A new password, for a link that was mailed: not for somebody who belongs to a directory by now."""

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Refuse it to somebody whom another source vouches for."""
        user: Any = self.user
        if user is not None and (source := links.sole_source_of(user)):
            self.form_errors = [_("Your account belongs to %(source)s: this is changed there.", source=source)]
            return False
        return bool(super().validate(*args, **kwargs))


class ConnectForm(PageForm):
    """A name and a password at a directory, of somebody who is signed in here."""

    login = StringField(lazy_gettext("User name in the directory"), validators=[DataRequired(), Length(max=320)])
    password = PasswordField(lazy_gettext("Password in the directory"), validators=[DataRequired(), Length(max=1024)])
    submit = SubmitField(lazy_gettext("Connect"))


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
        """Take as long for a known address as Flask-Security does for an unknown one.

        Whoever belongs to a directory has no password here to forget, and is told so by mail.
        """
        known = _as_if_unknown(super().validate(*args, **kwargs))
        user: Any = self.user
        if known and user is not None and (source := links.sole_source_of(user)):
            if request.method == "POST":
                users.send_source_notice(user, source)
            self.email.errors = [get_message("USER_DOES_NOT_EXIST")[0]]  # what the view takes for nobody, and hides
            return False
        return known


class SendConfirmationForm(MailRequest, fs.SendConfirmationForm):
    """Asks for the confirmation mail again."""


class ChangeEmailForm(OwnAccountOnly, Throttle, _ChangeEmailForm):
    """Asks for a link to a new address, whosever that is; counted on who asks."""

    attempt_kind = "mail"
    counts_always = True


def _as_if_unknown(known: bool) -> bool:
    if known and request.method == "POST":
        current_app.extensions["security"].pwd_context.verify("", None)
    return known

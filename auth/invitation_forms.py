"""Forms of whoever accepts an invitation."""

from flask_babel import gettext
from flask_babel import lazy_gettext as _
from wtforms import HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired, EqualTo, Length, ValidationError

from auth.forms import PageForm
from auth.users import LONGEST_NAME


def _in_one_line(value: str | None) -> str | None:
    return " ".join(value.split()) if value else value


class AcceptForm(PageForm):
    """A name and a password of somebody who has no account yet. What a password has to be says `auth/passwords.py`."""

    name = StringField(_("Your name"), filters=[_in_one_line], validators=[DataRequired(), Length(max=LONGEST_NAME)])
    password = PasswordField(_("Password"), validators=[DataRequired()])
    password_confirm = PasswordField(
        _("Password, once more"), validators=[EqualTo("password", _("The two passwords are not the same."))]
    )
    submit = SubmitField(_("Accept the invitation"))

    def validate_name(self, field: StringField) -> None:
        """Refuse what turns the letters around it, or cannot be seen. Raises ValidationError."""
        if not (field.data or "").isprintable():
            message = gettext("A name has 1 to %(most)s characters, all of which can be seen.", most=LONGEST_NAME)
            raise ValidationError(message)


class DirectoryForm(PageForm):
    """A name and a password at one of the tenant's directories."""

    source = HiddenField()
    login = StringField(_("User name in the directory"), validators=[DataRequired(), Length(max=320)])
    password = PasswordField(_("Password in the directory"), validators=[DataRequired(), Length(max=1024)])
    submit = SubmitField(_("Sign in and accept"))

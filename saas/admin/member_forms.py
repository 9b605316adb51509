"""Forms about members."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

from flask_babel import lazy_gettext as _
from flask_babel import to_utc
from wtforms import DateField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from auth.forms import PageForm
from auth.users import LONGEST_NAME

LATEST = 9000


class NameForm(PageForm):
    """What somebody is called."""

    name = StringField(_("Name"), validators=[DataRequired(), Length(max=LONGEST_NAME)])
    submit = SubmitField(_("Rename"))


class GrantForm(PageForm):
    """A role to give, perhaps for a time."""

    role = SelectField(_("Role"))
    until = DateField(_("Last day"), validators=[Optional()])
    submit = SubmitField(_("Give role"))

    def __init__(self, roles: Sequence[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.role.choices = list(roles)

    def validate_until(self, field: DateField) -> None:
        """A day that a time zone does not lead out of the calendar. Raises ValidationError."""
        if field.data is not None and field.data.year > LATEST:
            raise ValidationError(_("That day is too far away."))

    def ends_at(self) -> datetime | None:
        """The end of the last day, where the caller is; None: no end."""
        if self.until.data is None:
            return None
        moment: datetime = to_utc(datetime.combine(self.until.data, time(23, 59, 59)))
        return moment.replace(tzinfo=UTC)

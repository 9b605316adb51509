"""Forms about members."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from flask_babel import get_timezone
from flask_babel import lazy_gettext as _
from wtforms import DateField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length, Optional

from auth.forms import PageForm
from auth.users import LONGEST_NAME


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

    def ends_at(self) -> datetime | None:
        """The moment after the last day, where the caller is; None: no end."""
        if self.until.data is None:
            return None
        midnight = datetime.combine(self.until.data + timedelta(days=1), time(), tzinfo=get_timezone())
        return midnight.astimezone(UTC)

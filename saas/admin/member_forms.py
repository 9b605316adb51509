"""Forms about members."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _
from wtforms import SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth.forms import PageForm
from auth.users import LONGEST_NAME
from saas.admin.last_day import LastDayField


class NameForm(PageForm):
    """What somebody is called."""

    name = StringField(_("Name"), validators=[DataRequired(), Length(max=LONGEST_NAME)])
    submit = SubmitField(_("Rename"))


class GrantForm(PageForm):
    """A role to give, perhaps for a time."""

    role = SelectField(_("Role"))
    until = LastDayField(_("Last day"))
    submit = SubmitField(_("Give role"))

    def __init__(self, roles: Sequence[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.role.choices = list(roles)

"""The form by which people are invited."""

import re
from collections.abc import Sequence

from flask_babel import lazy_gettext as _
from wtforms import SelectField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from auth import default_role
from auth.forms import PageForm
from auth.invitations import MOST_AT_ONCE
from auth.models import Role
from auth.permissions import MEMBER
from auth.role_holders import label_of
from saas.admin.last_day import LastDayField

_BETWEEN = re.compile(r"[,;\r\n]+")
_NAMED = re.compile(r".*<([^<>]*)>\s*")


class InvitationForm(PageForm):
    """Whom to invite, and as what."""

    emails = TextAreaField(_("E-mail addresses"), validators=[DataRequired(), Length(max=400 * MOST_AT_ONCE)])
    role = SelectField(_("Role"))
    ends_on = LastDayField(_("Last day of the role"))
    submit = SubmitField(_("Send invitations"))

    def __init__(self, roles: Sequence[Role]) -> None:
        names = [role.name for role in roles]
        usual = default_role.current()
        wanted = usual.name if usual is not None else MEMBER.name
        super().__init__(data={"role": wanted if wanted in names else ""})
        self.role.choices = [(role.name, label_of(role)) for role in roles]

    def addresses(self) -> list[str]:
        """The addresses, however they are separated; of `Vera <vera@acme.example>`, what is within."""
        found: list[str] = []
        for part in _BETWEEN.split(self.emails.data or ""):
            named = _NAMED.fullmatch(part)
            found += [named.group(1).strip()] if named else part.split()
        return found

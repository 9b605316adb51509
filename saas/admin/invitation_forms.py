"""The form by which people are invited."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time

from flask_babel import lazy_gettext as _
from flask_babel import to_utc
from wtforms import DateField, SelectField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from auth import default_role
from auth.forms import PageForm
from auth.invitations import MOST_AT_ONCE
from auth.models import Role
from auth.permissions import MEMBER
from auth.role_holders import label_of
from saas.admin.member_forms import LATEST

_BETWEEN = re.compile(r"[,;\r\n]+")
_NAMED = re.compile(r".*<([^<>]*)>\s*")


class InvitationForm(PageForm):
    """Whom to invite, and as what."""

    emails = TextAreaField(_("E-mail addresses"), validators=[DataRequired(), Length(max=400 * MOST_AT_ONCE)])
    role = SelectField(_("Role"))
    ends_on = DateField(_("Last day of the role"), validators=[Optional()])
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

    def validate_ends_on(self, field: DateField) -> None:
        """A day that a time zone does not lead out of the calendar. Raises ValidationError."""
        if field.data is not None and field.data.year > LATEST:
            raise ValidationError(_("That day is too far away."))

    def ends_at(self) -> datetime | None:
        """The end of the role: of its last day, where the reader is."""
        if self.ends_on.data is None:
            return None
        moment: datetime = to_utc(datetime.combine(self.ends_on.data, time(23, 59, 59)))
        return moment.replace(tzinfo=UTC)

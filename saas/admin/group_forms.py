"""Forms of the group pages."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from flask_babel import gettext, to_utc
from flask_babel import lazy_gettext as _
from wtforms import DateField, EmailField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from auth.forms import PageForm
from auth.groups import LONGEST_NAME
from auth.mail import LONGEST_ADDRESS
from auth.models import Role
from auth.role_holders import label_of
from tenants.db import now


def _strip(value: str | None) -> str | None:
    return value.strip() if value else value


class GroupForm(PageForm):
    """A group's name."""

    name = StringField(_("Name"), filters=[_strip], validators=[DataRequired(), Length(max=LONGEST_NAME)])
    submit = SubmitField(_("Save"))


class MemberForm(PageForm):
    """Somebody who is put into a group."""

    email = EmailField(_("E-mail address"), filters=[_strip], validators=[DataRequired(), Length(max=LONGEST_ADDRESS)])
    submit = SubmitField(_("Add"))


class GroupRoleForm(PageForm):
    """A role that a group gives, perhaps for a time."""

    role = SelectField(_("Role"))
    ends_on = DateField(_("Last day of the role"), validators=[Optional()])
    submit = SubmitField(_("Give the role"))

    def __init__(self, roles: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = [(str(role.id), label_of(role)) for role in roles]

    def ends_at(self) -> datetime | None:
        """The end of the role: of its last day, where the reader is."""
        if self.ends_on.data is None:
            return None
        moment: datetime = to_utc(datetime.combine(self.ends_on.data, time(23, 59, 59)))
        return moment.replace(tzinfo=UTC)

    def validate_ends_on(self, field: DateField) -> None:
        """Refuse a day that is over. Raises ValidationError."""
        ends_at = self.ends_at()
        if ends_at is not None and ends_at <= now():
            raise ValidationError(gettext("That day is over."))

"""Forms of the group pages."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import EmailField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth.forms import PageForm
from auth.groups import LONGEST_NAME
from auth.mail import LONGEST_ADDRESS
from auth.models import Role
from auth.role_holders import label_of
from saas.admin.last_day import LastDayField


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
    ends_on = LastDayField(_("Last day of the role"))
    submit = SubmitField(_("Give the role"))

    def __init__(self, roles: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = [(str(role.id), label_of(role)) for role in roles]

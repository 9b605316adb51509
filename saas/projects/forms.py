"""Forms of the project pages."""

import uuid
from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import DateField, EmailField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length, Optional

from auth.forms import PageForm
from auth.models import User
from saas.projects.models import ProjectStatus
from saas.projects.service import LONGEST_NAME, LONGEST_TEXT

STATUS_LABELS = {
    ProjectStatus.PLANNED: _("Planned"),
    ProjectStatus.ACTIVE: _("Active"),
    ProjectStatus.DONE: _("Done"),
    ProjectStatus.ARCHIVED: _("Archived"),
}


def _strip(value: str | None) -> str | None:
    return value.strip() if value else value


class ProjectForm(PageForm):
    """A project's fields."""

    name = StringField(_("Name"), filters=[_strip], validators=[DataRequired(), Length(max=LONGEST_NAME)])
    description = TextAreaField(_("Description"), validators=[Length(max=LONGEST_TEXT)])
    status = SelectField(_("Status"), choices=[(status.value, label) for status, label in STATUS_LABELS.items()])
    owner_id = SelectField(_("Owner"), coerce=lambda value: uuid.UUID(str(value)) if value else None)
    due_on = DateField(_("Due date"), validators=[Optional()])
    submit = SubmitField(_("Save"))

    def __init__(self, people: Sequence[User], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        project = kwargs.get("obj")
        # A project never starts without an owner: unless another is chosen, it is the caller.
        self._present = project.owner_id if project else None
        nobody = _("Me") if project is None else _("As it is") if project.owner_id else _("Former member")
        offered = (person for person in people if person.active or (project and person.id == project.owner_id))
        self.owner_id.choices = [("", nobody), *((str(person.id), person.name) for person in offered)]

    def values(self) -> dict[str, Any]:
        """The values for `service.create_project` and `edit_project`."""
        return {
            "name": self.name.data,
            "description": self.description.data or "",
            "status": self.status.data,
            "owner_id": self.owner_id.data or self._present,
            "due_on": self.due_on.data,
        }


class UpdateForm(PageForm):
    """A note on a project."""

    body = TextAreaField(_("Update"), filters=[_strip], validators=[DataRequired(), Length(max=LONGEST_TEXT)])
    submit = SubmitField(_("Post update"))


class EditorForm(PageForm):
    """Somebody who may edit one project."""

    email = EmailField(_("E-mail address"), filters=[_strip], validators=[DataRequired(), Length(max=320)])
    submit = SubmitField(_("Add editor"))

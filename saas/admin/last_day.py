"""The last day of a role that is given for a time."""

from datetime import UTC, datetime, time
from typing import Any

from flask_babel import gettext as _
from flask_babel import to_utc
from wtforms import DateField
from wtforms.form import BaseForm
from wtforms.validators import Optional, StopValidation

from tenants.db import now

LATEST = 9000


class LastDayField(DateField):
    """A day until whose end, where the reader is, something holds; it may be left empty."""

    def __init__(self, label: Any, **kwargs: Any) -> None:
        super().__init__(label, validators=[Optional()], **kwargs)

    def pre_validate(self, form: BaseForm) -> None:
        """Refuse a day that is over, or that a time zone leads out of the calendar. Raises StopValidation."""
        if self.data is not None and self.data.year > LATEST:
            raise StopValidation(_("That day is too far away."))
        end = self.end()
        if end is not None and end <= now():
            raise StopValidation(_("That day is over."))

    def end(self) -> datetime | None:
        """The end of that day; None: no end."""
        if self.data is None:
            return None
        moment: datetime = to_utc(datetime.combine(self.data, time(23, 59, 59)))
        return moment.replace(tzinfo=UTC)

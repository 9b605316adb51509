"""The form that makes a personal token."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from wtforms import SelectField, SelectMultipleField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth import api_tokens, policy
from auth.forms import PageForm
from auth.identity import Identity
from auth.permissions import Feature, Permission
from tenants.db import now

LASTS = (7, 30, 90, 365)
"""Days that are offered, as far as the rules allow them."""


class TokenForm(PageForm):
    """A personal token: its name, how long it lasts, and what it may be used for."""

    name = StringField(lazy_gettext("Name"), validators=[DataRequired(), Length(max=api_tokens.LONGEST_NAME)])
    days = SelectField(lazy_gettext("Lasts"))
    permissions = SelectMultipleField(
        lazy_gettext("Permissions"), validators=[DataRequired(lazy_gettext("Choose what the token may do."))]
    )
    submit = SubmitField(lazy_gettext("Make the token"))

    def __init__(self, owner: Identity) -> None:
        super().__init__()
        self._held = api_tokens.held_anywhere(owner)
        self.permissions.choices = [(name, name) for name in sorted(self._held)]
        longest = policy.current().longest_token_days
        offered = [days for days in LASTS if longest is None or days <= longest]
        offered = offered if longest is None else sorted({*offered, longest})
        self.days.choices = [(str(days), ngettext("%(num)s day", "%(num)s days", days)) for days in offered]
        if longest is None:
            self.days.choices.append(("", _("until it is revoked")))

    def expires_at(self) -> datetime | None:
        """The end that was chosen; None: without one."""
        return now() + timedelta(days=int(self.days.data)) if self.days.data else None

    def matrix(self) -> Iterator[tuple[Feature, list[tuple[Permission, bool]]]]:
        """What the caller may do themselves, by feature, and whether it is ticked."""
        ticked = frozenset(self.permissions.data or ())
        for feature in current_app.extensions["auth"].catalogue.features:
            boxes = [(each, each.value in ticked) for each in feature.permissions if each.value in self._held]
            if boxes:
                yield feature, boxes

"""The form of the rules of signing in."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import IntegerField, RadioField, SelectMultipleField, SubmitField, TextAreaField
from wtforms.validators import NumberRange, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from auth.forms import PageForm
from auth.policy import Policy


class CheckboxesField(SelectMultipleField):
    """Several of a few, each with a box of its own."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.type = "MultiCheckboxField"  # how the macro `field` draws it


class PolicyForm(PageForm):
    """Rules of signing in."""

    methods = CheckboxesField(
        _("Accounts of this workspace sign in with"), choices=[("password", _("Password")), ("passkey", _("Passkey"))]
    )
    shortest_password = IntegerField(
        _("Characters of a new password, at least"), validators=[Optional(), NumberRange(8, 128)]
    )
    second_factor = RadioField(
        _("Second factor"),
        choices=[
            ("optional", _("Whoever wants one")),
            ("roles", _("Holders of the roles below have to have one")),
            ("all", _("Everybody has to have one")),
        ],
    )
    second_factor_roles = CheckboxesField(_("Roles that have to have a second factor"))
    session_hours = IntegerField(_("Hours until a login session ends"), validators=[Optional(), NumberRange(1, 2160)])
    idle_minutes = IntegerField(
        _("Minutes without a click until it ends"), validators=[Optional(), NumberRange(5, 129_600)]
    )
    longest_token_days = IntegerField(
        _("Days that a personal token lasts at most"), validators=[Optional(), NumberRange(1, 3650)]
    )
    networks = TextAreaField(_("Networks"))
    submit = SubmitField(_("Save"))

    def __init__(self, rules: Policy, roles: Sequence[str], **kwargs: Any) -> None:
        values = rules.model_dump() | {"networks": "\n".join(rules.networks)}
        super().__init__(data=values, **kwargs)
        self.second_factor_roles.choices = [(name, name) for name in roles]

    def values(self) -> dict[str, Any]:
        """The rules, for `policy_changes.change_policy`."""
        return {
            "methods": self.methods.data or [],
            "shortest_password": self.shortest_password.data or Policy().shortest_password,
            "second_factor": self.second_factor.data,
            "second_factor_roles": self.second_factor_roles.data or [],
            "session_hours": self.session_hours.data,
            "idle_minutes": self.idle_minutes.data,
            "longest_token_days": self.longest_token_days.data,
            "networks": (self.networks.data or "").split(),
        }

    def show(self, fault: str) -> None:
        """Show what is wrong, beside its field if it says which."""
        name, colon, said = fault.partition(": ")
        field = self._fields.get(name) if colon else None
        if field is None:
            self.form_errors = [fault]
        else:
            field.errors = [*field.errors, said]

"""Forms of the role pages: a role with its permissions by feature, and the role of new members."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import HiddenField, SelectField, SelectMultipleField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth.forms import PageForm
from auth.models import Role
from auth.permissions import Catalogue, Feature, Permission
from auth.role_holders import label_of
from auth.roles import LONGEST_DESCRIPTION, LONGEST_NAME, catalogue


@dataclass(frozen=True, slots=True)
class Box:
    """A permission in the matrix; one that the actor does not hold is not theirs to tick or clear."""

    permission: Permission
    ticked: bool
    held: bool


class RoleForm(PageForm):
    """A custom role: its name, what it is for, and what it permits."""

    name = StringField(_("Name"), validators=[DataRequired(), Length(max=LONGEST_NAME)])
    description = StringField(_("What it is for"), validators=[Length(max=LONGEST_DESCRIPTION)])
    permissions = SelectMultipleField(_("Permissions"))
    seen = HiddenField()
    submit = SubmitField(_("Preview"))

    def __init__(self, held: Collection[str], before: Collection[str] = (), **kwargs: Any) -> None:
        """`held` is what the actor holds, `before` what the role permits so far."""
        super().__init__(**kwargs)
        self._held, self._before = frozenset(held), frozenset(before)
        self.permissions.choices = [(name, name) for name in sorted(known(catalogue()))]

    def wanted(self) -> frozenset[str]:
        """The permissions that the role is to have. Browsers do not send boxes that cannot be changed."""
        return frozenset(self.permissions.data or ()) | (self._before - self._held)

    def matrix(self) -> Iterator[tuple[Feature, Sequence[Box]]]:
        """The boxes, by feature."""
        ticked = self.wanted()
        for feature in catalogue().features:
            yield (
                feature,
                [Box(each, each.value in ticked, each.value in self._held) for each in feature.permissions],
            )

    @property
    def exceeds_actor(self) -> bool:
        """Whether the role permits what the actor does not hold: they change neither that nor its name."""
        return not self._before <= self._held


class ReplacementForm(PageForm):
    """Which role is given to the holders of one that is deleted."""

    replacement = SelectField(_("Their new role"))
    submit = SubmitField(_("Delete role"))

    def __init__(self, offered: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replacement.choices = [("", _("None: they lose it")), *_choices(offered)]


class DefaultRoleForm(PageForm):
    """The role of people whom nothing else gives one."""

    role = SelectField(_("Role of new members"))
    submit = SubmitField(_("Save"))

    def __init__(self, offered: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = [("", _("None")), *_choices(offered)]


def known(of: Catalogue) -> frozenset[str]:
    """The permissions that a tenant's role can hold."""
    return frozenset(each.value for feature in of.features for each in feature.permissions)


def _choices(roles: Sequence[Role]) -> list[tuple[str, str]]:
    return [(str(role.id), label_of(role)) for role in roles]

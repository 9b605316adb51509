"""Forms about apps and service accounts."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import SelectField, SelectMultipleField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from auth.clients import KEYS, LONGEST_NAME, NONE, SECRET
from auth.errors import InvalidClient
from auth.forms import PageForm
from auth.guards import catalogue
from auth.models import Role
from auth.permissions import Feature
from auth.redirect_uris import LONGEST, MOST
from auth.role_holders import label_of
from saas.admin.role_forms import Box, known

_WAYS = {
    SECRET: _("A secret"),
    KEYS: _("A key pair of its own (private_key_jwt)"),
    NONE: _("Nothing: it runs in browsers, or on people's own machines"),
}
_LONGEST_KEYS = 20_000


class NamedForm(PageForm):
    """What a program or service account is called."""

    name = StringField(_("Name"), validators=[DataRequired(), Length(max=LONGEST_NAME)])
    submit = SubmitField(_("Save"))


class ProofForm(NamedForm):
    """A program, and how it proves that it is itself."""

    auth_method = SelectField(_("It proves who it is by"))
    jwks = TextAreaField(_("Its public keys, as a JSON key set"), validators=[Length(max=_LONGEST_KEYS)])

    def __init__(self, ways: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.auth_method.choices = [(way, _WAYS[way]) for way in ways]

    def keys(self) -> Any:
        """The key set. Raises InvalidClient for what is no JSON."""
        return read_keys(self.jwks.data) if self.auth_method.data == KEYS else None


class KeysForm(PageForm):
    """Other public keys."""

    jwks = TextAreaField(
        _("Its public keys, as a JSON key set"), validators=[DataRequired(), Length(max=_LONGEST_KEYS)]
    )
    submit = SubmitField(_("Save"))


class AppForm(ProofForm):
    """An app: where people return to, and what it can be allowed at most."""

    redirect_uris = TextAreaField(
        _("Addresses to return to, one in each line"), validators=[DataRequired(), Length(max=MOST * LONGEST)]
    )
    permissions = SelectMultipleField(_("Permissions"))

    def __init__(self, ways: Sequence[str], held: Collection[str], before: Collection[str] = (), **kwargs: Any) -> None:
        """`held` is what the actor holds, `before` what the app can be allowed so far."""
        super().__init__(ways, **kwargs)
        self._held, self._before = frozenset(held), frozenset(before)
        self.permissions.choices = [(name, name) for name in sorted(known(catalogue()))]

    def redirects(self) -> list[str]:
        """The addresses."""
        return (self.redirect_uris.data or "").split("\n")

    def wanted(self) -> frozenset[str]:
        """What the app can be allowed. Browsers do not send boxes that cannot be changed."""
        return frozenset(self.permissions.data or ()) | (self._before - self._held)

    def matrix(self) -> Iterator[tuple[Feature, Sequence[Box]]]:
        """The boxes, by feature."""
        ticked = self.wanted()
        for feature in catalogue().features:
            yield feature, [Box(each, each.value in ticked, each.value in self._held) for each in feature.permissions]


class AccountRoleForm(PageForm):
    """A role for a service account."""

    role = SelectField(_("Role"))
    submit = SubmitField(_("Give role"))

    def __init__(self, offered: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = [(role.name, label_of(role)) for role in offered]


def read_keys(text: str | None) -> Any:
    """The key set in a field. Raises InvalidClient for what is no JSON."""
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        raise InvalidClient("jwks", _("This is no JSON.")) from None


def complain(form: PageForm, error: InvalidClient) -> None:
    """Say beside its field what is wrong."""
    field = form[error.field] if error.field in form else form["name"]
    field.errors = [str(error)]

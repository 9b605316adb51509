"""The forms of sources, made of what each kind of source takes as settings."""

import enum
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_origin

from flask_babel import gettext, lazy_gettext
from pydantic.fields import FieldInfo
from wtforms import BooleanField, Field, PasswordField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from auth.errors import InvalidProvider
from auth.forms import PageForm
from auth.models import Role, User
from auth.providers import configs
from auth.providers.kinds import KINDS
from auth.providers.ldap.configuration import PRESETS as LDAP_PRESETS
from auth.providers.models import ProviderConfig
from auth.providers.oauth.presets import OAUTH2_PRESETS, OIDC_PRESETS
from auth.providers.registry import platform_providers
from auth.role_holders import label_of
from auth.validation import about
from saas.admin import provider_words as words

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ldap": LDAP_PRESETS, "oidc": OIDC_PRESETS, "oauth2": OAUTH2_PRESETS,
}  # fmt: skip
_ALSO_FIRST = {"bind_dn", "hosted_domains", "directory_ids"}
_ALSO_FOR = {"hosted_domains": "google", "directory_ids": "entra"}


class _WriteOnlyArea(TextAreaField):
    """Several lines that are taken, and never shown."""

    def _value(self) -> str:
        return ""


class ProviderForm(PageForm):
    """What every kind of source has; the settings of a kind are added by `form_of`."""

    kind: ClassVar[str]

    name = StringField(lazy_gettext("Short name"))
    label = StringField(lazy_gettext("Name for people"))
    domains = TextAreaField(lazy_gettext("Domains of e-mail addresses"))
    creates_users = SelectField(lazy_gettext("Members are made"))
    most_departures = StringField(lazy_gettext("Members that one synchronisation may deactivate, in per cent"))
    secret = PasswordField(lazy_gettext("Password or secret"))
    secret_key = _WriteOnlyArea(lazy_gettext("Private key, in place of a secret"))
    drop_secret = BooleanField(lazy_gettext("Forget the stored secret"))
    submit = SubmitField(lazy_gettext("Save"))

    def __init__(self, preset: str, values: Mapping[str, Any], *, stored: bool = False, is_new: bool = False) -> None:
        super().__init__(data=values)
        self.preset_name, self.stored, self.is_new = preset, stored, is_new
        choices = [value for value in configs.CREATES_USERS if self.kind == "ldap" or value != "sync"]
        chosen = values.get("creates_users", "sign-in")
        self.creates_users.choices = [
            (value, words.CREATES_USERS[value]) for value in [*choices, *({chosen} - set(choices))]
        ]
        if "platform" in self.model_fields:
            offered: Any = self["platform"]
            offered.choices = [(name, str(offer.get("label") or name)) for name, offer in platform_providers().items()]
        for name, wanted in (
            ("name", is_new), ("most_departures", self.kind == "ldap"), ("secret", self.kind != "platform"),
            ("secret_key", self.kind in ("oidc", "oauth2")), ("drop_secret", stored and self.kind != "platform"),
        ):  # fmt: skip
            if not wanted:
                del self[name]

    @property
    def model_fields(self) -> Mapping[str, FieldInfo]:
        """The settings of the kind."""
        return KINDS[self.kind].model_fields

    @property
    def first(self) -> list[str]:
        """Names of the settings that are shown first: what has to be given, and what nobody goes without."""
        found = [
            name for name, field in self.model_fields.items()
            if field.is_required() or (name in _ALSO_FIRST and _ALSO_FOR.get(name) in (None, self.preset_name))
            or self.kind == "platform"
        ]  # fmt: skip
        return sorted(found, key="bind_dn".__eq__)  # its password comes next

    @property
    def rest(self) -> list[str]:
        """Names of the others."""
        return [name for name in self.model_fields if name not in {*self.first, "preset"}]

    @property
    def rest_is_wrong(self) -> bool:
        """Whether something is wrong with one of the others, which are folded away otherwise."""
        return any(self[name].errors for name in (*self.rest, "secret_key", "most_departures") if name in self)

    def is_required(self, name: str) -> bool:
        """Whether a setting has to be given."""
        return self.model_fields[name].is_required()

    def settings(self) -> dict[str, Any]:
        """The settings as they were typed; the model says whether they will do."""
        found = {name: _read(field, self[name].data) for name, field in self.model_fields.items() if name != "preset"}
        given = {name: value for name, value in found.items() if value not in (None, "")}
        return given | ({"preset": self.preset_name} if "preset" in self.model_fields else {})

    def policy(self) -> dict[str, Any]:
        """What every kind of source has, for `add_provider` and `change_provider`. Raises InvalidProvider."""
        found: dict[str, Any] = {
            "label": (self.label.data or "").strip(),
            "domains": (self.domains.data or "").replace(",", " ").split(),
            "creates_users": self.creates_users.data,
        }
        if "most_departures" in self:
            typed = (self.most_departures.data or "").strip()
            if not typed.isascii() or not typed.isdecimal() or len(typed) > 3:
                raise InvalidProvider(about("most_departures", gettext("a share in per cent, 0 to 100")))
            found["most_departures"] = int(typed)
        return found

    def given_secret(self) -> str | None:
        """The secret that was typed: None if the stored one stays, empty if it goes."""
        pem = (self.secret_key.data or "").strip().replace("\r\n", "\n") if "secret_key" in self else ""
        typed = pem or (self.secret.data or "" if "secret" in self else "")
        if not typed and "drop_secret" in self and self.drop_secret.data:
            return ""
        return typed or None

    def show(self, fault: str) -> None:
        """Show what is wrong, each beside its field; several are separated by semicolons."""
        last: Field | None = None
        for part in fault.split("; "):
            place, colon, said = part.partition(": ")
            name = place.partition(".")[0]
            if colon and name in self:
                last = self[name]
                last.errors = [*last.errors, said]
            elif last is not None:
                last.errors = [*last.errors[:-1], f"{last.errors[-1]}; {part}"]
            else:
                self.form_errors = [*self.form_errors, part]


class MappingForm(PageForm):
    """A group of a source, and the role that it gives."""

    group = StringField(lazy_gettext("Group"), validators=[DataRequired(), Length(max=1000)])
    role = SelectField(lazy_gettext("Role"))
    submit = SubmitField(lazy_gettext("Add"))

    def __init__(self, roles: Sequence[Role]) -> None:
        super().__init__()
        self.role.choices = [(role.name, label_of(role)) for role in roles]


class RehearsalForm(PageForm):
    """Whose sign-in is rehearsed."""

    login = StringField(lazy_gettext("User name or e-mail address"), validators=[DataRequired(), Length(max=320)])
    password = PasswordField(lazy_gettext("Password"), validators=[Length(max=1024)])
    submit = SubmitField(lazy_gettext("Rehearse"))


class EnforceForm(PageForm):
    """Who gets in all the same."""

    owner = SelectField(lazy_gettext("Owner for emergencies"))
    submit = SubmitField(lazy_gettext("Enforce"))

    def __init__(self, owners: Sequence[User]) -> None:
        super().__init__()
        self.owner.choices = [(str(owner.id), f"{owner.name} ({owner.email})") for owner in owners]


def new_form(kind: str, preset: str) -> ProviderForm:
    """The form of a source that is to be connected, with what the preset fills in."""
    fields = KINDS[kind].model_fields
    given = {"platform": preset} if kind == "platform" else PRESETS[kind][preset]
    values = {name: field.get_default() for name, field in fields.items() if not field.is_required()} | dict(given)
    own = {"name": _free_name(kind, preset), "label": "", "domains": "", "creates_users": "sign-in"}
    if kind == "platform":
        own["label"] = str(platform_providers()[preset].get("label") or preset)
    return form_of(kind)(preset, _write(fields, values) | own | {"most_departures": "20"}, is_new=True)


def change_form(config: ProviderConfig) -> ProviderForm:
    """The form of a source that there is."""
    fields = KINDS[config.kind].model_fields
    own = {
        "label": config.label, "domains": "\n".join(config.domains), "creates_users": config.creates_users,
        "most_departures": str(config.most_departures),
    }  # fmt: skip
    preset = str(config.settings.get("preset") or "")
    return form_of(config.kind)(preset, _write(fields, config.settings) | own, stored=config.secret is not None)


@cache
def form_of(kind: str) -> type[ProviderForm]:
    """The form of a kind of source, with a field for each of its settings."""
    fields = KINDS[kind].model_fields
    made = {name: _field(name, field) for name, field in fields.items() if name != "preset"}
    return type(f"{kind.title()}Form", (ProviderForm,), {"kind": kind, **made})


def _field(name: str, info: FieldInfo) -> Any:
    label, help_text = words.SETTINGS.get(name, name), lazy_gettext(info.description) if info.description else ""
    if info.annotation is bool:
        return BooleanField(label, description=help_text)
    if name == "platform":
        return SelectField(label)
    if choices := _choices(info.annotation):
        return SelectField(label, choices=[(one, words.CHOICES.get(one, one)) for one in choices])
    if get_origin(info.annotation) is tuple or name == "ca_bundle":
        return TextAreaField(label, description=help_text)
    return StringField(label, description=help_text)


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(one) for one in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return [one.value for one in annotation]
    return []


def _read(info: FieldInfo, typed: Any) -> Any:
    if get_origin(info.annotation) is tuple:
        return [line.strip() for line in (typed or "").splitlines() if line.strip()]
    return typed


def _write(fields: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they stand in a form: of several, each on a line of its own."""
    found: dict[str, Any] = {}
    for name in fields:
        value = values.get(name)
        if isinstance(value, list | tuple):
            value = "\n".join(map(str, value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = f"{value:g}" if isinstance(value, float) else str(value)
        found[name] = "" if value is None else value
    return found


def _free_name(kind: str, preset: str) -> str:
    wanted = kind if preset == "generic" else preset.casefold()
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in wanted).strip("-")[:40]

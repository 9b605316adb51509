"""What an admin sets of a directory, validated as a whole; the presets fill in what a kind of server usually has."""

import enum
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from flask_babel import gettext as _
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import parse_filter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from auth.providers.base import N_
from auth.providers.ldap.channel import Server, tls_context
from auth.providers.ldap.names import is_dn
from auth.validation import about

_Attribute = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
_Attributes = Annotated[tuple[_Attribute, ...], Field(max_length=8)]
# Before anything looks at a text: to fold it takes quadratic time.
_Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class GroupStrategy(enum.StrEnum):
    """How the groups of a person are found."""

    NONE = "none"
    """Groups do not count."""
    MEMBER_OF = "member-of"
    """The attribute memberOf of the person's entry."""
    SEARCH = "search"
    """A search for the groups that name the person as a member."""
    AD_NESTED = "ad-nested"
    """Active Directory's matching rule in chain: nested groups in one search."""
    TOKEN_GROUPS = "token-groups"  # noqa: S105 - the name of Active Directory's attribute
    """Active Directory's tokenGroups: nested groups and the primary group, as the domain itself computes them."""


class LdapConfiguration(BaseModel):
    """A directory's configuration, without its password. Times are seconds; text compares as LDAP compares it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    secret_goes_by: ClassVar[frozenset[str]] = frozenset({"servers", "insecure", "ca_bundle", "bind_dn"})
    """Settings that decide to whom the password is shown."""

    preset: str = Field("openldap", description=N_("Kind of server: openldap, active-directory, freeipa or 389ds."))
    servers: tuple[_Address, ...] = Field(
        min_length=1, max_length=8, description=N_("ldaps://host or ldap://host (StartTLS), asked in this order.")
    )
    insecure: bool = Field(False, description=N_("ldap:// without StartTLS: passwords travel readable for everybody."))
    ca_bundle: str | None = Field(None, description=N_("The authorities' certificates (PEM). Default: the system's."))
    bind_dn: _Text = Field(
        "", description=N_("The service account that searches; its password is kept apart, encrypted.")
    )
    user_dn_template: _Text = Field(
        "",
        description=N_("Sign people in without a search: uid={login},ou=people,dc=... or {login}@corp.example (AD)."),
    )
    base_dn: _Text = Field(description=N_("Where people are searched."))
    user_filter: str = Field("", description=N_("Which entries are people."))
    login_attributes: _Attributes = Field((), description=N_("What people may sign in with: uid, mail, ..."))
    subject_attribute: _Attribute = Field("", validate_default=False, description=N_("What never changes of an entry."))
    username_attribute: _Attribute = Field("", validate_default=False, description=N_("The user name."))
    email_attributes: _Attributes = Field((), description=N_("The e-mail address: the first that has a value."))
    name_attributes: _Attributes = Field((), description=N_("The name of the person: the first that has a value."))
    locale_attributes: _Attributes = Field(("preferredLanguage",), description=N_("The person's language."))
    group_strategy: GroupStrategy = Field(GroupStrategy.NONE, description=N_("How groups are found."))
    group_base: _Text = Field("", description=N_("Where groups are searched. Default: where people are."))
    group_filter: str = Field("", description=N_("Which entries are groups."))
    group_member_attribute: _Attribute = Field(
        "member", description=N_("Names a group's members: member and uniqueMember by DN, memberUid by user name.")
    )
    nested_groups: bool = Field(True, description=N_("Whether groups within groups count."))
    page_size: int = Field(500, ge=1, le=1000, description=N_("Entries that are asked for at once."))
    connect_timeout: float = Field(2.0, ge=0.1, le=10, description=N_("Longest wait for one server's connection."))
    timeout: float = Field(5.0, ge=0.1, le=10, description=N_("Longest a sign-in waits in all, failover included."))
    sync_timeout: float = Field(30.0, gt=0, le=300, description=N_("Longest a page of a sync may take."))

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        # What is left out, or empty, is the preset's.
        given = {name: value for name, value in given.items() if not _is_empty(value)}
        preset = given.get("preset", "openldap")
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ValueError(about("preset", _("must be one of %(expected)s", expected=", ".join(PRESETS))))
        return {**PRESETS[preset], **given}

    @field_validator("servers")
    @classmethod
    def _check_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            Server.parse(url)
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _check_bundle(cls, value: str | None) -> str | None:
        if value is not None:
            if len(value) > 200_000:
                raise ValueError(_("must be at most 200 kB"))
            tls_context(value)
        return value

    @field_validator("base_dn", "group_base", "bind_dn")
    @classmethod
    def _check_dn(cls, value: str, info: Any) -> str:
        if len(value) > 1000:
            raise ValueError(_("must not be longer than %(max_length)s characters", max_length="1000"))
        # Active Directory's accounts may bind by name@domain and DOMAIN\\name as well.
        if value and not is_dn(value) and not (info.field_name == "bind_dn" and re.search(r"[@\\]", value)):
            raise ValueError(_("must be a distinguished name (DN), such as dc=example,dc=com"))
        return value

    @field_validator("user_filter", "group_filter")
    @classmethod
    def _check_filter(cls, value: str) -> str:
        if len(value) > 2000:
            raise ValueError(_("must not be longer than %(max_length)s characters", max_length="2000"))
        if value and not _is_filter(value):
            raise ValueError(_("must be an LDAP filter, such as (objectClass=person)"))
        return value

    @field_validator("user_dn_template")
    @classmethod
    def _check_template(cls, value: str) -> str:
        if value and (value.count("{login}") != 1 or re.search(r"[{}]", value.replace("{login}", ""))):
            raise ValueError(_("must contain {login} once"))
        if "=" in value and not is_dn(value.replace("{login}", r"\,")):  # which only a value may contain
            raise ValueError(_("must be a distinguished name (DN) with {login} as a value"))
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if not self.base_dn:
            raise ValueError(about("base_dn", _("must be given")))
        if self.connect_timeout > self.timeout:
            raise ValueError(about("connect_timeout", _("must not be longer than the seconds for a sign-in")))
        for name in ("login_attributes", "email_attributes", "name_attributes", "subject_attribute"):
            if not getattr(self, name):
                raise ValueError(about(name, _("must be given")))
        if self.group_strategy is GroupStrategy.SEARCH and not self.group_filter:
            raise ValueError(about("group_filter", _("must be given for a search of groups")))
        return self

    def check_secret(self, secret: str | None) -> None:
        """Take any: who binds without a password is told so by a rehearsal."""

    @property
    def parsed_servers(self) -> list[Server]:
        """The servers, in order."""
        return [Server.parse(url) for url in self.servers]

    @property
    def base_of_groups(self) -> str:
        """Where groups are searched."""
        return self.group_base or self.base_dn


_AD_FILTER = "(&(objectCategory=person)(objectClass=user))"
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "active-directory": {
        "user_filter": _AD_FILTER,
        "login_attributes": ("sAMAccountName", "userPrincipalName", "mail"),
        "subject_attribute": "objectGUID",
        "username_attribute": "sAMAccountName",
        "email_attributes": ("mail", "userPrincipalName"),
        "name_attributes": ("displayName", "cn"),
        "group_strategy": GroupStrategy.AD_NESTED,
        "group_filter": "(objectClass=group)",
    },
    "openldap": {
        "user_filter": "(objectClass=inetOrgPerson)",
        "login_attributes": ("uid", "mail"),
        "subject_attribute": "entryUUID",
        "username_attribute": "uid",
        "email_attributes": ("mail",),
        "name_attributes": ("displayName", "cn"),
        "group_strategy": GroupStrategy.SEARCH,
        "group_filter": "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
    },
    "freeipa": {
        "user_filter": "(objectClass=posixAccount)",
        "login_attributes": ("uid", "mail"),
        "subject_attribute": "ipaUniqueID",
        "username_attribute": "uid",
        "email_attributes": ("mail",),
        "name_attributes": ("displayName", "cn"),
        "group_strategy": GroupStrategy.MEMBER_OF,
        "nested_groups": False,  # it lists the indirect ones already
        "group_filter": "(objectClass=ipaUserGroup)",
    },
    "389ds": {
        "user_filter": "(objectClass=inetOrgPerson)",
        "login_attributes": ("uid", "mail"),
        "subject_attribute": "nsUniqueId",
        "username_attribute": "uid",
        "email_attributes": ("mail",),
        "name_attributes": ("displayName", "cn"),
        "group_strategy": GroupStrategy.SEARCH,
        "group_filter": "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))",
        "group_member_attribute": "uniqueMember",
    },
}
"""What a kind of server usually has, by its name; what an admin gives goes before."""


def _is_empty(value: Any) -> bool:
    return (
        not value.strip()
        if isinstance(value, str)
        else value is None or (isinstance(value, list | tuple) and not value)
    )


def _is_filter(text: str) -> bool:
    parse: Any = parse_filter  # its stubs lack types
    try:
        parse(text, None, True, True, None, False)
    except (LDAPExceptionError, ValueError, IndexError, KeyError, AttributeError):
        return False
    return text.startswith("(") and text.endswith(")")

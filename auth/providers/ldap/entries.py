"""What an entry says of a person."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from auth.providers.base import ExternalIdentity
from auth.providers.ldap.configuration import GroupStrategy, LdapConfiguration
from auth.providers.ldap.conversation import Entry
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import LONGEST_LOGIN, subject_of

LONGEST_SUBJECT = 255
LONGEST_NAME = 200
LONGEST_EMAIL = 320

_DISABLING = ("userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime")
_ACCOUNTDISABLE = 0x2
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = frozenset({0, 0x7FFFFFFFFFFFFFFF})
# draft-behera-ldap-password-policy, 5.3.3: locked until an administrator opens it.
_LOCKED_FOR_GOOD = b"000001010000Z"


def attributes_of(configuration: LdapConfiguration) -> list[str]:
    """The attributes that have to be read of a person's entry."""
    wanted = [
        configuration.subject_attribute,
        configuration.username_attribute,
        *configuration.email_attributes,
        *configuration.name_attributes,
        *configuration.locale_attributes,
        *_DISABLING,
    ]
    if configuration.group_strategy is GroupStrategy.MEMBER_OF:
        wanted.append("memberOf")
    return list(dict.fromkeys(filter(None, wanted)))


def identity_of(
    entry: Entry, configuration: LdapConfiguration, *, provider: str, groups: Iterable[str]
) -> ExternalIdentity:
    """The person whom an entry is. Raises DirectoryFault when nothing would let them be known again."""
    return ExternalIdentity(
        provider=provider,
        subject=subject(entry, configuration),
        email=_short(_first(entry, configuration.email_attributes, where="@")),
        email_vouched=True,
        name=(_first(entry, configuration.name_attributes) or "")[:LONGEST_NAME] or None,
        login=username(entry, configuration),
        place=entry.dn.replace("\0", ""),
        locale=_first(entry, configuration.locale_attributes),
        groups=frozenset(groups),
        disabled=is_disabled(entry),
    )


def subject(entry: Entry, configuration: LdapConfiguration) -> str:
    """What identifies the entry for ever. Raises DirectoryFault when it has no such thing."""
    values = entry.values(configuration.subject_attribute)
    found = subject_of(configuration.subject_attribute, values[0]) if len(values) == 1 else ""
    if not found or len(found) > LONGEST_SUBJECT:
        raise DirectoryFault(Fault.NO_SUBJECT, f"{configuration.subject_attribute} of {entry.dn}")
    return found


def username(entry: Entry, configuration: LdapConfiguration) -> str:
    """The user name, empty when the entry has none."""
    return (_first(entry, [configuration.username_attribute]) or "")[:LONGEST_LOGIN]


def is_disabled(entry: Entry) -> bool:
    """Whether the directory keeps the person and lets them in nowhere: Active Directory, 389 DS, FreeIPA, OpenLDAP."""
    if (_number(entry, "userAccountControl") or 0) & _ACCOUNTDISABLE:
        return True
    expires = _number(entry, "accountExpires")
    if expires is not None and expires not in _NEVER and _has_passed(expires):
        return True
    if any(value.lower() == b"true" for value in entry.values("nsAccountLock")):
        return True
    return _LOCKED_FOR_GOOD in entry.values("pwdAccountLockedTime")


def _first(entry: Entry, attributes: Iterable[str], where: str = "") -> str | None:
    for attribute in filter(None, attributes):
        for value in entry.values(attribute):
            text = value.decode("utf-8", "replace").replace("\0", "").strip()
            if text and where in text:
                return text
    return None


def _short(email: str | None) -> str | None:
    """The address, unless it is none for its length; a part of one would be somebody else's."""
    return email if email is not None and len(email) <= LONGEST_EMAIL else None


def _number(entry: Entry, attribute: str) -> int | None:
    values = entry.values(attribute)
    try:
        return int(values[0]) if values else None
    except ValueError:
        return None


def _has_passed(filetime: int) -> bool:
    """Whether a moment is over that Windows writes in steps of 100 ns since 1601 (MS-DTYP 2.3.3)."""
    try:
        return _FILETIME_EPOCH + timedelta(microseconds=filetime / 10) <= datetime.now(UTC)
    except OverflowError:
        return False

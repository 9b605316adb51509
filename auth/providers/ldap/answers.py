"""What a directory means when it refuses a person's password.

Some refusals are given only after the right password; who gets one of these has proved who they are, and may be told
why they do not get in. All others look like a wrong password to the person.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString
from pyasn1.codec.ber import decoder
from pyasn1.type import namedtype, tag, univ

from auth.providers.ldap.faults import DirectoryFault, Fault

PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105 - draft-behera-ldap-password-policy
_PASSWORD_EXPIRED = "2.16.840.1.113730.3.4.4"  # noqa: S105 - Netscape's, of 389 DS
_AD_DATA = re.compile(r"AcceptSecurityContext error, data ([0-9a-fA-F]+)")


class Answer(enum.StrEnum):
    """The answer to a bind with a person's password."""

    message: LazyString | str

    def __new__(cls, value: str, message: LazyString | str = "") -> "Answer":
        """Keep the words for the person beside the value; none for what is told to nobody."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    LOCKED = "locked"
    DISABLED = "disabled", _("Your account in the company directory is disabled.")
    ACCOUNT_EXPIRED = "account-expired", _("Your account in the company directory has expired.")
    PASSWORD_EXPIRED = (
        "password-expired",
        _("Your password in the company directory has expired. Change it there, then sign in here."),
    )
    MUST_CHANGE = (
        "must-change-password",
        _("You have to change your password in the company directory first. Then sign in here."),
    )
    OUTSIDE_HOURS = "outside-hours", _("The company directory does not let you sign in at this time.")
    NOT_FROM_HERE = "not-from-here", _("The company directory does not let you sign in from here.")


# https://learn.microsoft.com/windows/win32/debug/system-error-codes: Windows' error numbers, in hexadecimal. A locked
# account (775) is told with a wrong password too, the others after the right one only.
_BY_AD_DATA = {
    0x525: Answer.UNKNOWN,
    0x52E: Answer.WRONG,
    0x530: Answer.OUTSIDE_HOURS,
    0x531: Answer.NOT_FROM_HERE,
    0x532: Answer.PASSWORD_EXPIRED,
    0x533: Answer.DISABLED,
    0x701: Answer.ACCOUNT_EXPIRED,
    0x773: Answer.MUST_CHANGE,
    0x775: Answer.LOCKED,
}
# PasswordPolicyResponseValue.error. accountLocked (1) is told with a wrong password too.
_BY_POLICY_ERROR = {0: Answer.PASSWORD_EXPIRED, 1: Answer.LOCKED, 2: Answer.MUST_CHANGE}


def _tagged(kind: Any, number: int) -> Any:
    return kind.subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatSimple, number))


class _Warning(univ.Choice):
    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1 reads it by this name
        namedtype.NamedType("timeBeforeExpiration", _tagged(univ.Integer(), 0)),
        namedtype.NamedType("graceAuthNsRemaining", _tagged(univ.Integer(), 1)),
    )


class _PolicyResponse(univ.Sequence):
    # A tag of a CHOICE is explicit, whatever the module says (X.680, 31.2.7).
    _warning: Any = _Warning()
    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1 reads it by this name
        namedtype.OptionalNamedType(
            "warning",
            _warning.subtype(explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 0)),
        ),
        namedtype.OptionalNamedType("error", _tagged(univ.Enumerated(), 1)),
    )


def read_bind(result: Mapping[str, Any]) -> Answer:
    """What the result of a bind with a person's password says. Raises DirectoryFault when it says nothing of it."""
    code = result["result"]
    told = _told_by_controls(result.get("controls") or {})
    if code == 0:
        # OpenLDAP lets somebody in who must change the password first, to do just that.
        return Answer.MUST_CHANGE if told is Answer.MUST_CHANGE else Answer.RIGHT
    if code == 49:  # invalidCredentials
        data = _AD_DATA.search(result.get("message") or "")
        if data:
            return _BY_AD_DATA.get(int(data[1], 16), Answer.WRONG)
        return told or Answer.WRONG
    if code in (19, 32, 34, 48, 50, 53):
        # constraintViolation, noSuchObject, invalidDNSyntax, inappropriateAuthentication, insufficientAccessRights and
        # unwillingToPerform: locked (389 DS), gone meanwhile, without password, deactivated (FreeIPA).
        return Answer.WRONG
    raise operation_fault(result)


def operation_fault(result: Mapping[str, Any]) -> DirectoryFault:
    """The fault that the result of an operation tells of, whatever the operation."""
    faults = {
        3: Fault.TIMEOUT,  # timeLimitExceeded
        4: Fault.TOO_MANY,  # sizeLimitExceeded
        8: Fault.WANTS_TLS,  # strongerAuthRequired: Active Directory that wants signing
        10: Fault.REFERRED,
        11: Fault.TOO_MANY,  # adminLimitExceeded
        12: Fault.NESTING_UNKNOWN,  # unavailableCriticalExtension
        13: Fault.WANTS_TLS,  # confidentialityRequired
        18: Fault.NESTING_UNKNOWN,  # inappropriateMatching
        32: Fault.NO_BASE,
        34: Fault.BASE_SYNTAX,
        48: Fault.BIND_NEEDED,  # inappropriateAuthentication
        50: Fault.NOT_ALLOWED,
        51: Fault.BUSY,
        52: Fault.BUSY,  # unavailable
        53: Fault.BIND_NEEDED,  # unwillingToPerform: OpenLDAP that requires authentication
    }
    code = result["result"]
    detail = f"{code} {result.get('description', '')} {result.get('message') or ''}".strip()
    if code == 1 and "000004DC" in detail:  # Active Directory: "a successful bind must be completed"
        return DirectoryFault(Fault.BIND_NEEDED, detail)
    return DirectoryFault(faults.get(code, Fault.ODD_ANSWER), detail)


def service_fault(result: Mapping[str, Any]) -> DirectoryFault:
    """The fault that a refused bind of the service account tells of."""
    code = result["result"]
    detail = f"{code} {result.get('description', '')} {result.get('message') or ''}".strip()
    if code == 34:
        return DirectoryFault(Fault.BIND_DN_SYNTAX, detail)
    if code in (19, 32, 49, 50, 53):
        return DirectoryFault(Fault.BIND_REFUSED, detail)
    return operation_fault(result)


def _told_by_controls(controls: Mapping[str, Any]) -> Answer | None:
    told = _told_by_policy((controls.get(PASSWORD_POLICY) or {}).get("value"))
    # 389 DS sends its own control beside the other, and with that of a password that has to be changed as well.
    return told or (Answer.PASSWORD_EXPIRED if _PASSWORD_EXPIRED in controls else None)


def _told_by_policy(value: bytes | None) -> Answer | None:
    if not value:
        return None
    try:
        response, _rest = decoder.decode(value, asn1Spec=_PolicyResponse())
        error = int(response["error"]) if response["error"].hasValue() else None
    except Exception:  # pyasn1 raises anything for what a hostile server makes up
        return None
    return _BY_POLICY_ERROR.get(error) if error is not None else None

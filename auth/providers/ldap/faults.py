"""What can be wrong with a directory or its configuration, each in words that an admin understands."""

from flask_babel import lazy_gettext as _

from auth.errors import SourceUnavailable
from auth.providers.base import Explained


class Fault(Explained):
    """A fault's name for programs, and what it means for people."""

    UNKNOWN_HOST = "unknown-host", _("The server's name is not known (DNS): look at the host in its address.")
    FORBIDDEN_ADDRESS = (
        "forbidden-address",
        _("The server's name leads to an address inside of this service's own network, which may not be asked."),
    )
    REFUSED = "refused", _("Nothing listens on this port of the server: look at the port, usually 636 or 389.")
    UNREACHABLE = "unreachable", _("The server cannot be reached: a firewall may be in the way, or the host is wrong.")
    TIMEOUT = "timeout", _("The server did not answer in time.")
    CLOSED = "closed", _("The server closed the connection. It may want TLS: use ldaps:// with port 636, or StartTLS.")
    NOT_LDAP = "not-ldap", _("What answers on this port does not speak LDAP: look at the port.")
    NO_TLS = (
        "no-tls",
        _("The port does not speak TLS from the beginning: use ldap:// with StartTLS, or the port for ldaps, 636."),
    )
    STARTTLS_REFUSED = (
        "starttls-refused",
        _("The server does not offer StartTLS: use ldaps://, or have a certificate installed there."),
    )
    UNTRUSTED_CERTIFICATE = (
        "untrusted-certificate",
        _("The server's certificate is of an authority that is not known here: give the CA's certificate."),
    )
    WRONG_NAME = (
        "wrong-name",
        _("The server's certificate is for another name: use the name in the certificate as host."),
    )
    INVALID_CERTIFICATE = "invalid-certificate", _("The server's certificate is not valid, or not any more.")
    WANTS_TLS = "wants-tls", _("The server takes no password without TLS: use ldaps:// or StartTLS.")
    BIND_DN_SYNTAX = "bind-dn-syntax", _("The service account's name is not a distinguished name (DN).")
    BIND_REFUSED = (
        "bind-refused",
        _("The server refuses the service account: its name (bind DN) or its password is wrong."),
    )
    BIND_NEEDED = "bind-needed", _("The server answers nobody without a service account: give one.")
    BIND_PASSWORD_MISSING = "bind-password-missing", _("The password of the service account is missing.")
    NO_BASE = "no-base", _("There is no entry at the base DN, or the service account does not see it.")
    BASE_SYNTAX = "base-syntax", _("The base is not a distinguished name (DN), such as dc=example,dc=com.")
    NO_GROUP_BASE = "no-group-base", _("There is no entry at the group base, or the service account does not see it.")
    FILTER_SYNTAX = "filter-syntax", _("The filter is not well-formed: count its brackets.")
    FINDS_NONE = (
        "finds-none",
        _("Nobody is found by that name: look at the base, the user filter and the login attributes."),
    )
    FINDS_MANY = (
        "finds-many",
        _("More than one entry is found by that name, so nobody can be signed in: narrow the base or the filter."),
    )
    NO_SUBJECT = "no-subject", _("The entry lacks the attribute that never changes, by which a person is known again.")
    NO_EMAIL = "no-email", _("The entry has no e-mail address: look at the attribute that is mapped to it.")
    NESTING_UNKNOWN = (
        "nesting-unknown",
        _("This server does not know Active Directory's nesting: choose another way to find groups."),
    )
    NESTED_GROUPS = (
        "nested-groups",
        _("A group of this person is in other groups, and these do not count: nesting is off."),
    )
    NO_MEMBER_OF = (
        "no-member-of",
        _("No entry has memberOf, although groups have members: choose the group search, or have it switched on."),
    )
    TOO_MANY = "too-many", _("The server gives no complete list: it limits how many entries one search may return.")
    REFERRED = "referred", _("The server refers to another one, which is never asked: give that one's address.")
    NOT_ALLOWED = "not-allowed", _("The service account may not read that.")
    BUSY = "busy", _("The server says that it is busy or down for maintenance.")
    ODD_ANSWER = "odd-answer", _("The server's answer is not one that LDAP has for this.")
    PERSON_REFUSED = "person-refused", _("The directory does not let this person in with that password.")
    PAUSED = "paused", _("The directory did not answer a moment ago, and is asked again shortly.")
    SECRET_LOST = (
        "secret-lost",
        _("The stored password cannot be decrypted with the present encryption keys: give it again."),
    )


LONGEST_DETAIL = 500
"""Characters of a server's own words that are kept."""


class DirectoryFault(SourceUnavailable):
    """A directory that could not be asked; `fault` says why, `detail` holds the server's own words for the log."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault
        self.detail = detail[:LONGEST_DETAIL]


OF_THE_SERVER = frozenset({
    Fault.UNKNOWN_HOST, Fault.FORBIDDEN_ADDRESS, Fault.REFUSED, Fault.UNREACHABLE, Fault.TIMEOUT, Fault.CLOSED,
    Fault.NOT_LDAP, Fault.NO_TLS, Fault.STARTTLS_REFUSED, Fault.UNTRUSTED_CERTIFICATE, Fault.WRONG_NAME,
    Fault.INVALID_CERTIFICATE, Fault.BUSY, Fault.ODD_ANSWER,
})  # fmt: skip
"""Faults for which the next server is asked; all others would be the same there."""


class Unanswered(DirectoryFault):
    """No server of the directory gave an answer."""

"""One conversation with one server of a directory, by ldap3, whose defaults verify nothing and wait for ever.

ldap3 encodes and decodes; the connection, TLS, deadlines and failover are ours, and so is every error that leaves
here: a DirectoryFault. Referrals are never followed: ldap3 would send the password to whatever host they name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import ldap3
from ldap3.core.exceptions import LDAPInvalidFilterError, LDAPSessionTerminatedByServerError
from ldap3.utils.conv import escape_filter_chars
from pydantic import SecretStr

from auth.outgoing import Network
from auth.providers.ldap.answers import PASSWORD_POLICY, Answer, operation_fault, read_bind, service_fault
from auth.providers.ldap.channel import Channel, Deadline, EndlessAnswer, Server, open_channel, tls_context
from auth.providers.ldap.configuration import LdapConfiguration
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import is_text

_START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511, 4.14
_PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
_NO_SUCH_OBJECT = 32
_MOST_RANGES = 10_000
_MOST_EMPTY_PAGES = 1_000  # in a row: Active Directory may give some

Scope = Literal["BASE", "LEVEL", "SUBTREE"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory: its name, and its values by the attribute's name in lower case."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, attribute: str) -> Sequence[bytes]:
        """The values of an attribute, in any case; none when it has none or the account may not read it."""
        return self.attributes.get(attribute.lower(), ())


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to speak with a directory: its configuration, its password, and where we may connect to."""

    configuration: LdapConfiguration
    secret: SecretStr | None
    allowed: Sequence[Network]
    owner: str = ""
    """Whose it is, the tenant's id: one owner's servers that hang keep nobody else waiting."""


class Conversation:
    """A connection to one server. Every method raises DirectoryFault when it does not get its answer in time."""

    def __init__(self, access: Access, server: Server, deadline: Deadline) -> None:
        self._access = access
        self._server = server
        self._deadline = deadline
        self._context = tls_context(access.configuration.ca_bundle)
        self._step_seconds: float | None = None
        self._channel: Channel | None = None
        self._ldap = ldap3.Connection(
            ldap3.Server("directory", get_info=ldap3.NONE),  # never connected to: the channel is
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            auto_range=False,  # ldap3's own gives back half of the values when it fails in the middle
            check_names=False,  # its rules for names refuse valid ones
            read_only=True,
            return_empty_attributes=False,
        )

    def connect(self) -> None:
        """Open the connection, with TLS if the server's address says so."""
        channel = open_channel(
            self._server,
            self._deadline,
            connect_timeout=self._access.configuration.connect_timeout,
            context=self._context,
            allowed=self._access.allowed,
            owner=self._access.owner,
        )
        self._channel = self._ldap.socket = channel
        # What ldap3 sets when it opens a connection itself.
        self._ldap.closed = False
        self._ldap.strategy._outstanding = {}
        self._ldap.listening = True

    def secure(self) -> None:
        """Ask for TLS on a connection that began without, unless the configuration is insecure."""
        if self._server.tls or self._access.configuration.insecure:
            return
        with self._translating() as channel:
            self._ldap.extended(_START_TLS)
            if self._ldap.result["result"] != 0:
                raise DirectoryFault(Fault.STARTTLS_REFUSED, str(self._ldap.result.get("description")))
            try:
                channel.start_tls(self._context, self._server.host)
            except DirectoryFault as error:
                if error.fault is Fault.NO_TLS:  # it said yes, and then did not
                    raise DirectoryFault(Fault.STARTTLS_REFUSED, error.detail) from error
                raise

    def bind_service(self) -> None:
        """Become the service account; nobody when there is none."""
        name, secret = self._access.configuration.bind_dn, self._access.secret
        if not name:
            return
        if secret is None or not is_text(secret.get_secret_value()):
            raise DirectoryFault(Fault.BIND_PASSWORD_MISSING)
        result = self._bind(name, secret.get_secret_value())
        if result["result"] != 0:
            raise service_fault(result)

    def bind_person(self, name: str, password: str) -> Answer:
        """Try a person's password. The caller refuses an empty one: to LDAP it is nobody's, and right (RFC 4513)."""
        if not is_text(password):
            return Answer.WRONG
        return read_bind(self._bind(name, password, controls=[(PASSWORD_POLICY, False, None)]))

    def another(self) -> "Conversation":
        """A further conversation with the same server, not yet connected, with the same deadline."""
        return Conversation(self._access, self._server, self._deadline)

    def hurry(self, deadline: Deadline) -> None:
        """Be ready by another deadline; before the connection is opened."""
        self._deadline = deadline

    def take_steps(self, seconds: float) -> None:
        """From here on every single question has its own deadline, as long work needs."""
        self._step_seconds = seconds

    def search(
        self, base: str, filter_: str, attributes: Sequence[str], *, most: int, scope: Scope = ldap3.SUBTREE
    ) -> list[Entry]:
        """The entries found, up to `most`: one more tells that there are more."""
        result, entries = self._search(base, filter_, attributes, scope, size_limit=most + 1)
        if result["result"] == 4 and len(entries) > most:  # sizeLimitExceeded by our limit; a lower one may hide some
            return entries
        if result["result"] != 0:
            raise operation_fault(result)
        return entries

    def read(self, dn: str, attributes: Sequence[str], filter_: str = "(objectClass=*)") -> Entry | None:
        """The entry of that name, None when there is none or the filter does not take it."""
        result, entries = self._search(dn, filter_, attributes, ldap3.BASE)
        if result["result"] == _NO_SUCH_OBJECT:
            return None
        if result["result"] != 0:
            raise operation_fault(result)
        return entries[0] if entries else None

    def pages(self, base: str, filter_: str, attributes: Sequence[str]) -> Iterator[list[Entry]]:
        """All entries, a page at a time. Raises DirectoryFault rather than leave any out."""
        cookie: bytes | None = None
        empty = 0
        while empty < _MOST_EMPTY_PAGES:
            result, entries = self._search(
                base, filter_, attributes, ldap3.SUBTREE,
                paged_size=self._access.configuration.page_size, paged_cookie=cookie,
            )  # fmt: skip
            if result["result"] != 0:
                raise operation_fault(result)
            yield entries
            empty = 0 if entries else empty + 1
            control = (result.get("controls") or {}).get(_PAGED_RESULTS) or {}
            cookie = (control.get("value") or {}).get("cookie")
            if not cookie:
                return
        raise DirectoryFault(Fault.ODD_ANSWER, "the pages have no end")

    def all_values(self, entry: Entry, attribute: str) -> list[bytes]:
        """Every value of an attribute. Active Directory gives 1,500 at a time (MS-ADTS 3.1.1.3.1.3.3)."""
        name, start = attribute.lower(), 0
        found = list(entry.values(name))
        part: Entry | None = entry
        for _ in range(_MOST_RANGES):
            ranged = _range_of(part, name, start) if part else None
            if ranged is None:
                break
            values, last = ranged
            found += values
            if last is None:
                return found
            start = last + 1
            part = self.read(entry.dn, [f"{attribute};range={start}-*"])
        if start:  # half of the values is none of them
            raise DirectoryFault(Fault.ODD_ANSWER, f"the values of {attribute} break off")
        return found

    def close(self) -> None:
        """End the conversation."""
        channel, self._channel = self._channel, None
        self._ldap.socket = None
        self._ldap.password = None
        if channel is not None:
            channel.close()

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bind(self, name: str, password: str, **options: Any) -> Mapping[str, Any]:
        with self._translating():
            # As bytes it goes as it is, as by most clients; ldap3 would prepare text by SASLprep, and fail at what that
            # forbids, emoji for example.
            secret: Any = password.encode()
            self._ldap.user, self._ldap.password, self._ldap.authentication = name, secret, ldap3.SIMPLE
            try:
                self._ldap.bind(read_server_info=False, **options)
            finally:
                self._ldap.password = self._ldap.request = None
            result = dict(self._ldap.result)
            # Kept for the log: a hostile server might say the password in it.
            return result | {"message": (result.get("message") or "").replace(password, "***")}

    def _search(
        self, base: str, filter_: str, attributes: Sequence[str], scope: Scope, **options: Any
    ) -> tuple[Mapping[str, Any], list[Entry]]:
        with self._translating():
            self._ldap.search(
                base, filter_, scope, dereference_aliases=ldap3.DEREF_NEVER, attributes=list(attributes), **options
            )
            entries = [
                Entry(found["dn"], {name.lower(): values or () for name, values in found["raw_attributes"].items()})
                for found in self._ldap.response or ()
                if found["type"] == "searchResEntry"
            ]
            return dict(self._ldap.result), entries

    @contextmanager
    def _translating(self) -> Iterator[Channel]:
        """Give every error that a conversation can end with its name."""
        channel = self._channel
        if channel is None:
            raise DirectoryFault(Fault.CLOSED)
        if self._step_seconds is not None:
            channel.renew(Deadline(self._step_seconds))
        try:
            yield channel
        except DirectoryFault:
            raise
        except LDAPInvalidFilterError as error:
            raise DirectoryFault(Fault.FILTER_SYNTAX, str(error)) from error
        except LDAPSessionTerminatedByServerError as error:
            raise DirectoryFault(Fault.CLOSED, str(error)) from error
        except Exception as error:
            # Whatever arrives is decoded by ldap3, which is not prepared for a peer that does not speak LDAP and then
            # raises anything. What ended the connection is told apart from that.
            raise _fault_of(channel.failure, error) from error


@contextmanager
def open_conversation(access: Access, server: Server, deadline: Deadline) -> Iterator[Conversation]:
    """A conversation with that server, secured, as nobody yet."""
    with Conversation(access, server, deadline) as conversation:
        conversation.connect()
        conversation.secure()
        yield conversation


def equals(attribute: str, value: str | bytes) -> str:
    """The filter `(attribute=value)`, with the value escaped (RFC 4515)."""
    if isinstance(value, bytes):
        return f"({attribute}={''.join(f'{chr(92)}{byte:02x}' for byte in value)})"
    return f"({attribute}={escape_filter_chars(value)})"


def any_of(filters: Sequence[str]) -> str:
    """The filter that takes what any of `filters` takes."""
    return filters[0] if len(filters) == 1 else f"(|{''.join(filters)})"


def _range_of(entry: Entry, name: str, start: int) -> tuple[Sequence[bytes], int | None] | None:
    """The values that begin with number `start`, and the number of the last one, None if there are no more.

    None if the attribute is not given in parts. Raises DirectoryFault for another part than the one that is due.
    """
    key = next((key for key in entry.attributes if key.startswith(f"{name};range=")), None)
    if key is None:
        return None
    first, _, last = key.rpartition("=")[2].partition("-")
    if first != str(start) or not (last == "*" or (last.isdecimal() and len(last) < 10 and int(last) >= start)):
        raise DirectoryFault(Fault.ODD_ANSWER, f"{key}, asked from {start}")
    return entry.attributes[key], None if last == "*" else int(last)


def _fault_of(failure: OSError | None, error: Exception) -> DirectoryFault:
    if isinstance(failure, TimeoutError):
        return DirectoryFault(Fault.TIMEOUT, str(failure))
    if isinstance(failure, EndlessAnswer):
        return DirectoryFault(Fault.ODD_ANSWER, str(failure))
    if failure is not None:
        return DirectoryFault(Fault.CLOSED, str(failure))
    return DirectoryFault(Fault.NOT_LDAP, f"{type(error).__name__}: {error}"[:300])

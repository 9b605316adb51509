"""Active Directory at the seam: what it answers, by its protocol's specification and by records of real ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auth.providers.ldap.names import dn_key, is_dn, is_within
from tests.servers.hostile_ldap import (
    BIND_REQUEST,
    SEARCH_ENTRY,
    SEARCH_REQUEST,
    Hostile,
    Request,
    measure,
    message,
    tlv,
)

IN_CHAIN = "1.2.840.113556.1.4.1941"
REFUSED = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v3839"
BASE, NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 32, 49

Attributes = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True)
class Condition:
    """A condition in a filter: `rule` is that of an extensible match."""

    attribute: str
    value: bytes
    rule: str = ""


@dataclass
class Search:
    """A search as it was asked for."""

    base: str
    attributes: list[str]
    conditions: list[Condition] = field(default_factory=list)


class ActiveDirectory(Hostile):
    """Keeps what it was asked. Every value of a filter's `or` or `and` has to be in the entry as it stands, but for
    objectClass and objectCategory, which all have.

    `range_size` values of an attribute are given at once; `refusals` maps who binds to the number in the refusal.
    """

    def __init__(self, *, range_size: int = 1500) -> None:
        super().__init__()
        self.entries: dict[str, Attributes] = {}
        self.passwords: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.binds: list[tuple[str, str]] = []
        self.searches: list[Search] = []
        self.range_size = range_size
        self.lost_from: int | None = None
        """The number of a value from which on ranges are not found any more."""

    def add(self, dn: str, **attributes: bytes | str | Sequence[bytes]) -> str:
        """Add an entry and give back its name."""
        self.entries[dn] = {
            name: [value.encode()] if isinstance(value, str) else [value] if isinstance(value, bytes) else value
            for name, value in attributes.items()
        }
        return dn

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer binds and searches as Active Directory does."""
        if request.operation not in (BIND_REQUEST, SEARCH_REQUEST):
            return super().answers(request)
        [(_, content)] = elements(request.data)
        _number, (_, operation), *_controls = elements(content)
        parts = list(elements(operation))
        if request.operation == BIND_REQUEST:
            return [self._bind(request, parts[1][1].decode(), parts[2][1].decode())]
        return self._search(request, parts)

    def _bind(self, request: Request, name: str, password: str) -> bytes:
        self.binds.append((name, password))
        right = password and self.passwords.get(name) == password
        data = self.refusals.get(name, "") if right else "52e"
        return request.answer(INVALID_CREDENTIALS, REFUSED.format(data)) if data else request.answer()

    def _search(self, request: Request, parts: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
        search = Search(parts[0][1].decode(), [name.decode() for _tag, name in elements(parts[7][1])])
        alternatives = list(_alternatives(*parts[6]))
        search.conditions = [condition for conditions in alternatives for condition in conditions]
        self.searches.append(search)
        base = dn_key(search.base)
        only = parts[1][1][0] == BASE
        if only and base not in map(dn_key, self.entries):
            yield request.answer(NO_SUCH_OBJECT)
            return
        for dn, attributes in self.entries.items():
            near = dn_key(dn) == base if only else is_within(dn, search.base)
            if near and any(all(self._meets(dn, attributes, one) for one in every) for every in alternatives):
                yield message(request.number, _entry(dn, self._given(attributes, search.attributes, only)))
        yield request.answer()

    def _meets(self, dn: str, attributes: Attributes, condition: Condition) -> bool:
        if condition.attribute.lower() in ("objectclass", "objectcategory"):
            return True
        if condition.rule == IN_CHAIN:
            return _same(condition.value) in self._below(dn, set())
        name = condition.attribute.lower()
        return any(
            _same(value) == _same(condition.value)
            for key, values in attributes.items()
            for value in values
            if key.lower() == name
        )

    def _below(self, dn: str, seen: set[bytes]) -> set[bytes]:
        """Everybody in the group, and in the groups that are in it."""
        for member in self._entry_of(dn).get("member", ()):
            if _same(member) not in seen:
                seen.add(_same(member))
                self._below(member.decode(), seen)
        return seen

    def _entry_of(self, dn: str) -> Attributes:
        return next((entry for name, entry in self.entries.items() if dn_key(name) == dn_key(dn)), {})

    def _given(self, attributes: Attributes, wanted: Sequence[str], only: bool) -> Attributes:
        """Constructed attributes are given to searches of one entry only (MS-ADTS 3.1.1.4.5.19)."""
        given: dict[str, Sequence[bytes]] = {}
        for asked in wanted:
            name, _, option = asked.partition(";range=")
            values = next((found for key, found in attributes.items() if key.lower() == name.lower()), None)
            if values is None or (name == "tokenGroups" and not only):
                continue
            if not option and len(values) <= self.range_size:
                given[name] = values
                continue
            start = int(option.partition("-")[0] or 0)
            if self.lost_from is not None and start >= self.lost_from:
                continue
            part = values[start : start + self.range_size]
            last = "*" if start + len(part) == len(values) else str(start + len(part) - 1)
            given |= {name: [], f"{name};range={start}-{last}": part}
        return given


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The BER elements in a row, each as tag and content."""
    while data:
        start, end = measure(data) or (0, 0)
        yield data[0], data[start:end]
        data = data[end:]


def _alternatives(kind: int, content: bytes) -> Iterator[list[Condition]]:
    """The filter as alternatives, each of conditions (RFC 4511, 4.5.1.7)."""
    if kind == 0xA0:  # and
        made: list[list[Condition]] = [[]]
        for part in elements(content):
            made = [before + after for before in made for after in _alternatives(*part)]
        yield from made
    elif kind == 0xA1:  # or
        for part in elements(content):
            yield from _alternatives(*part)
    elif kind == 0xA3:  # equality
        [(_, attribute), (_, value)] = elements(content)
        yield [Condition(attribute.decode(), value)]
    elif kind == 0xA9:  # extensible
        rule = dict(elements(content))
        yield [Condition(rule[0x82].decode(), rule[0x83], rule[0x81].decode())]
    elif kind == 0x87:  # presence
        yield []
    else:
        raise NotImplementedError(hex(kind))


def _same(value: bytes) -> bytes:
    """The form in which values are compared."""
    text = value.decode("utf-8", "replace")
    return dn_key(text).encode() if is_dn(text) else value.lower()


def _entry(dn: str, attributes: Attributes) -> bytes:
    pairs = (
        tlv(0x30, tlv(0x04, name.encode()), tlv(0x31, *(tlv(0x04, value) for value in values)))
        for name, values in attributes.items()
    )
    return tlv(SEARCH_ENTRY, tlv(0x04, dn.encode()), tlv(0x30, *pairs))

"""Which groups a person is in, in the way that the directory is configured. A group is known by its DN's key."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from auth.providers.ldap.configuration import GroupStrategy, LdapConfiguration
from auth.providers.ldap.conversation import Conversation, Entry, any_of, equals
from auth.providers.ldap.entries import username
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import dn_key

MOST_GROUPS = 5_000
"""Of one person; more are taken for a mistake of the configuration."""

_IN_CHAIN = "1.2.840.113556.1.4.1941"  # MS-ADTS 3.1.1.3.4.4.3, LDAP_MATCHING_RULE_TRANSITIVE_EVAL
_AT_ONCE = 25  # values in one filter


class Groups:
    """Finds groups, and remembers for the length of a conversation which groups are in which."""

    def __init__(self, conversation: Conversation, configuration: LdapConfiguration) -> None:
        self._conversation = conversation
        self._configuration = configuration
        self._parents: dict[str, Sequence[str]] = {}

    def of(self, entry: Entry) -> frozenset[str]:
        """The keys of the person's groups, with the groups that these are in if nesting counts."""
        configuration = self._configuration
        match configuration.group_strategy:
            case GroupStrategy.NONE:
                return frozenset()
            case GroupStrategy.AD_NESTED:
                rule = f"member:{_IN_CHAIN}:" if configuration.nested_groups else "member"
                return _keys(self._find([equals(rule, entry.dn)]))
            case GroupStrategy.TOKEN_GROUPS:
                return _keys(self._by_token(entry))
            case GroupStrategy.MEMBER_OF:
                direct = _texts(self._conversation.all_values(entry, "memberOf"))
            case _:
                direct = self.direct(entry)
        return self._with_parents(direct) if configuration.nested_groups else _keys(direct)

    def direct(self, entry: Entry) -> list[str]:
        """The DNs of the groups that name the entry itself as a member."""
        attribute = self._configuration.group_member_attribute
        if attribute.lower() == "memberuid":
            name = username(entry, self._configuration)
            return self._find([equals(attribute, name)]) if name else []
        return self._find([equals(attribute, entry.dn)])

    def above(self, groups: Mapping[str, str]) -> list[str]:
        """The DNs of the groups that any of some groups, DNs by key, are in."""
        if self._configuration.group_strategy is GroupStrategy.MEMBER_OF:
            return [parent for key, dn in groups.items() for parent in self._member_of(key, dn)]
        attribute = self._configuration.group_member_attribute
        if attribute.lower() == "memberuid":
            return []  # it names people only
        filters = [equals(attribute, dn) for dn in groups.values()]
        return [
            dn for start in range(0, len(filters), _AT_ONCE) for dn in self._find(filters[start : start + _AT_ONCE])
        ]

    def _with_parents(self, direct: Iterable[str]) -> frozenset[str]:
        seen: dict[str, str] = {}
        new = by_key(direct)
        while new:
            seen |= new
            if len(seen) > MOST_GROUPS:
                raise DirectoryFault(Fault.TOO_MANY, f"more than {MOST_GROUPS} groups of one person")
            new = {key: dn for key, dn in by_key(self.above(new)).items() if key not in seen}
        return frozenset(seen)

    def _member_of(self, key: str, dn: str) -> Sequence[str]:
        if key not in self._parents:
            entry = self._conversation.read(dn, ["memberOf"])
            self._parents[key] = _texts(self._conversation.all_values(entry, "memberOf")) if entry else ()
        return self._parents[key]

    def _by_token(self, entry: Entry) -> list[str]:
        """Groups by the security identifiers that the domain itself computes, for this entry alone (base scope)."""
        tokens = self._conversation.read(entry.dn, ["tokenGroups"])
        sids = self._conversation.all_values(tokens, "tokenGroups") if tokens else []
        found: list[str] = []
        for start in range(0, len(sids), _AT_ONCE):
            found += self._find([equals("objectSid", sid) for sid in sids[start : start + _AT_ONCE]])
        return found

    def _find(self, filters: Sequence[str]) -> list[str]:
        wanted = f"(&{self._configuration.group_filter}{any_of(filters)})"
        found: list[str] = []
        try:
            for page in self._conversation.pages(self._configuration.base_of_groups, wanted, ["1.1"]):  # names alone
                found += (entry.dn for entry in page)
                if len(found) > MOST_GROUPS:
                    raise DirectoryFault(Fault.TOO_MANY, f"more than {MOST_GROUPS} groups of one person")
        except DirectoryFault as error:
            raise of_group_base(error) from error
        return found


class ListedGroups(Groups):
    """For everybody at once: lists all groups with their members first, instead of asking for each person."""

    def __init__(self, conversation: Conversation, configuration: LdapConfiguration) -> None:
        super().__init__(conversation, configuration)
        self._of_member: dict[str, list[str]] = {}
        for group, member in self._memberships():
            self._of_member.setdefault(member, []).append(group)

    def direct(self, entry: Entry) -> list[str]:
        """The DNs of the groups that name the entry itself as a member, from memory."""
        by_name = self._configuration.group_member_attribute.lower() == "memberuid"
        key = username(entry, self._configuration) if by_name else _key(entry.dn)
        return self._of_member.get(key, []) if key else []

    def above(self, groups: Mapping[str, str]) -> list[str]:
        """The DNs of the groups that any of some groups are in, from memory."""
        if self._configuration.group_member_attribute.lower() == "memberuid":
            return []
        return [parent for key in groups for parent in self._of_member.get(key, ())]

    def _memberships(self) -> Iterator[tuple[str, str]]:
        attribute = self._configuration.group_member_attribute
        # memberUid, unlike uid, minds case (RFC 2307, caseExactIA5Match): the server's search would, too.
        as_key = str if attribute.lower() == "memberuid" else _key
        wanted = self._configuration.group_filter
        try:
            for page in self._conversation.pages(self._configuration.base_of_groups, wanted, [attribute]):
                for group in page:
                    for member in _texts(self._conversation.all_values(group, attribute)):
                        yield group.dn, as_key(member)
        except DirectoryFault as error:
            raise of_group_base(error) from error


def groups_for_everybody(conversation: Conversation, configuration: LdapConfiguration) -> Groups:
    """What finds the groups of many people with the fewest questions."""
    if configuration.group_strategy is GroupStrategy.SEARCH:
        return ListedGroups(conversation, configuration)
    return Groups(conversation, configuration)


def by_key(dns: Iterable[str]) -> dict[str, str]:
    """DNs by their keys, each once."""
    return {key: dn for dn in dns if (key := _key(dn))}


def of_group_base(error: DirectoryFault) -> DirectoryFault:
    """The same fault, said of the base of groups."""
    return DirectoryFault(Fault.NO_GROUP_BASE, error.detail) if error.fault is Fault.NO_BASE else error


def _keys(dns: Iterable[str]) -> frozenset[str]:
    return frozenset(by_key(dns))


def _key(dn: str) -> str:
    try:
        return dn_key(dn)
    except ValueError:  # not a name by RFC 4514: no mapping can name it either
        return ""


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values]

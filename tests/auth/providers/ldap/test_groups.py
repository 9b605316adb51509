"""Everybody has the groups that they are in, and no others, in each way in which a directory tells of them."""

import random
import time
from collections.abc import Iterator

import pytest
from ldap3.utils.dn import escape_rdn

from auth.providers.ldap import groups as groups_module
from auth.providers.ldap.configuration import LdapConfiguration
from auth.providers.ldap.conversation import Entry, equals
from auth.providers.ldap.entries import attributes_of, username
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.groups import Groups, ListedGroups, groups_for_everybody
from auth.providers.ldap.names import dn_key, sid_of
from tests.auth.providers.ldap.active_directory import IN_CHAIN, ActiveDirectory, Condition
from tests.auth.providers.ldap.asking import a_server, as_service, connected_to, quick, sign_in, unique
from tests.servers.openldap import MEMBER_ATTRIBUTES, PASSWORD, GroupKind, OpenLdapServer

AWKWARD = [
    "a, b", 'quo"te', "a+b", "Müller", "#hash", "back\\slash", "\\2c", "semi;colon", "<angle>", "a=b", "日本", "*",
    "(x)", "*)(cn=*", "two words", "/", "\\", "a\\,b",
]  # fmt: skip
DN_KINDS: list[GroupKind] = ["groupOfNames", "groupOfUniqueNames"]


def both(server: OpenLdapServer, uid: str, **settings: object) -> frozenset[str]:
    """The groups of somebody, who has the same whether they sign in or everybody is listed."""
    provider = connected_to(server, **settings)
    with as_service(provider) as session:
        [entry] = session.search(
            server.people, equals("uid", uid), attributes_of(provider.access.configuration), most=1
        )
        found = Groups(session, provider.access.configuration).of(entry)
        assert groups_for_everybody(session, provider.access.configuration).of(entry) == found
    return found


def keys(*dns: str) -> set[str]:
    return {dn_key(dn) for dn in dns}


@pytest.fixture(params=[("member-of", "groupOfNames"), ("search", "groupOfNames"), ("search", "groupOfUniqueNames")],
                ids=["memberOf", "member", "uniqueMember"])  # fmt: skip
def way(request: pytest.FixtureRequest) -> tuple[GroupKind, dict[str, str]]:
    """A kind of group, and the settings by which it is found."""
    strategy, kind = request.param
    return kind, {"group_strategy": strategy, "group_member_attribute": MEMBER_ATTRIBUTES[kind]}


class TestWays:
    def test_a_person_has_the_groups_that_name_them(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        kind, settings = way
        uid = unique("member")
        person = directory.add_person(uid)
        group = directory.add_group(unique("group"), [directory.nobody, person], kind=kind)
        directory.add_group(unique("other"), kind=kind)
        assert both(directory, uid, **settings) == keys(group)

    def test_nobody_has_any_who_is_in_none(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        uid = unique("alone")
        directory.add_person(uid)
        assert both(directory, uid, **way[1]) == frozenset()

    def test_groups_in_groups_count_unless_they_are_told_not_to(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        kind, settings = way
        uid = unique("nested")
        chain = [directory.add_person(uid)]
        for depth in range(4):
            chain.append(directory.add_group(unique(f"depth{depth}"), [chain[-1]], kind=kind))
        assert both(directory, uid, **settings) == keys(*chain[1:])
        assert both(directory, uid, **settings, nested_groups=False) == keys(chain[1])

    def test_circles_end(self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]) -> None:
        kind, settings = way
        uid = unique("circle")
        first = directory.add_group(unique("first"), [directory.add_person(uid)], kind=kind)
        second = directory.add_group(unique("second"), [first], kind=kind)
        third = directory.add_group(unique("third"), [second], kind=kind)
        directory.add_member(first, third)
        directory.add_member(second, second)
        assert both(directory, uid, **settings) == keys(first, second, third)

    def test_two_ways_to_a_group_lead_to_one(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        kind, settings = way
        uid = unique("diamond")
        person = directory.add_person(uid)
        sides = [directory.add_group(unique("side"), [person], kind=kind) for _ in range(2)]
        top = directory.add_group(unique("top"), [*sides, person], kind=kind)
        assert both(directory, uid, **settings) == keys(top, *sides)

    def test_members_who_are_gone_are_nobody(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        kind, settings = way
        uid = unique("stays")
        person = directory.add_person(uid)
        gone = f"uid={unique('gone')},{directory.people}"
        group = directory.add_group(unique("dangling"), [gone, person], kind=kind)
        assert both(directory, uid, **settings) == keys(group)

    def test_three_hundred_groups_are_found_in_time(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]]
    ) -> None:
        kind, settings = way
        uid = unique("busy")
        person = directory.add_person(uid)
        groups = [f"cn={uid} {number},{directory.groups}" for number in range(300)]
        with directory._admin() as admin:
            for group in groups:
                admin.add(group, kind, {MEMBER_ATTRIBUTES[kind]: person})
        before = time.monotonic()
        assert both(directory, uid, **settings, page_size=100) == keys(*groups)
        assert time.monotonic() - before < 10
        with directory._admin() as admin:
            for group in groups:
                admin.delete(group)

    def test_too_many_are_taken_for_a_mistake(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups_module, "MOST_GROUPS", 2)
        kind, settings = way
        uid = unique("toomany")
        person = directory.add_person(uid)
        for _ in range(3):
            directory.add_group(unique("one"), [person], kind=kind)
        with pytest.raises(DirectoryFault) as caught:
            both(directory, uid, **settings)
        assert caught.value.fault is Fault.TOO_MANY

    @pytest.mark.parametrize("name", AWKWARD)
    def test_awkward_people_are_in_their_awkward_groups(
        self, directory: OpenLdapServer, way: tuple[GroupKind, dict[str, str]], name: str
    ) -> None:
        kind, settings = way
        unit = f"ou={unique('awkward')},{directory.suffix}"
        with directory._admin() as admin:
            admin.add(unit, "organizationalUnit")
        person = directory.add_person(name, ou=unit, email=None, name="Awkward Name")
        other = directory.add_person("other", ou=unit, email=None, name="Other Name")
        group = directory.add_group(f"{name} of {unit[3:20]}", [person], kind=kind)
        above = directory.add_group(f"{name} above {unit[3:20]}", [group], kind=kind)
        provider = connected_to(directory, base_dn=unit, **settings)
        people = {one.place: one.groups for page in provider.everybody() for one in page.people}
        assert {dn_key(dn): groups for dn, groups in people.items()} == {
            dn_key(person): keys(group, above),
            dn_key(other): frozenset(),
        }
        assert sign_in(provider, name).groups == keys(group, above)


class TestOthers:
    def test_posix_groups_name_people_by_user_name(self, directory: OpenLdapServer) -> None:
        uid = unique("posix")
        directory.add_person(uid)
        group = directory.add_group(unique("posix"), [uid, unique("gone")], kind="posixGroup")
        for nested in (True, False):
            assert both(directory, uid, group_member_attribute="memberUid", nested_groups=nested) == keys(group)

    def test_posix_groups_mind_case(self, directory: OpenLdapServer) -> None:
        uid = unique("Posix")
        directory.add_person(uid)
        directory.add_group(unique("posix"), [uid.lower()], kind="posixGroup")
        assert both(directory, uid, group_member_attribute="memberUid") == frozenset()

    def test_no_user_name_is_in_no_posix_group(self, directory: OpenLdapServer) -> None:
        uid = unique("noname")
        directory.add_person(uid)
        directory.add_group(unique("posix"), [uid, "-"], kind="posixGroup")
        settings = {"group_member_attribute": "memberUid", "username_attribute": "employeeNumber"}
        assert both(directory, uid, **settings) == frozenset()

    def test_without_groups_there_are_none(self, directory: OpenLdapServer) -> None:
        uid = unique("without")
        directory.add_group(unique("any"), [directory.add_person(uid)])
        assert both(directory, uid, group_strategy="none") == frozenset()

    def test_the_filter_says_what_a_group_is(self, directory: OpenLdapServer) -> None:
        uid = unique("filtered")
        person = directory.add_person(uid)
        group, _other = (directory.add_group(unique(name), [person]) for name in ("wanted", "unwanted"))
        assert both(directory, uid, group_filter="(cn=wanted-*)") == keys(group)

    def test_groups_elsewhere_do_not_count(self, directory: OpenLdapServer) -> None:
        uid = unique("elsewhere")
        directory.add_group(unique("far"), [directory.add_person(uid)])
        assert both(directory, uid, group_base=directory.people) == frozenset()

    @pytest.mark.parametrize("strategy", ["search", "ad-nested"])
    def test_a_base_that_is_not_there_is_said_of_groups(self, directory: OpenLdapServer, strategy: str) -> None:
        uid = unique("baseless")
        directory.add_person(uid)
        provider = connected_to(directory, group_base="ou=nowhere,dc=acme,dc=example", group_strategy=strategy)
        for ask in (
            lambda: sign_in(provider, uid),
            lambda: list(provider.everybody()),
            lambda: provider.find_group("x"),
        ):
            with pytest.raises(DirectoryFault) as caught:
                ask()
            assert caught.value.fault is Fault.NO_GROUP_BASE

    def test_entries_whose_names_cannot_be_read_share_nothing(self) -> None:
        with ActiveDirectory() as server:
            server.add("cn=g,dc=acme,dc=example", member=[b'cn="a",dc=acme', b"nonsense", b""], memberUid=[b"", b" "])
            provider = quick(server, timeout=5)
            nameless = Entry("also nonsense", {})
            for attribute in ("member", "memberUid"):
                settings = provider.access.configuration.model_copy(update={"group_member_attribute": attribute})
                with as_service(provider) as session:
                    assert ListedGroups(session, settings).of(nameless) == frozenset()


@pytest.fixture(scope="module")
def web() -> Iterator[tuple[OpenLdapServer, list[str], dict[str, dict[str, set[str]]]]]:
    """Forty people in a web of groups of each kind; the members of each group by kind and DN."""
    chance = random.Random(7)
    with a_server(tls=False) as server:
        people = {f"p{number}, x": server.add_person(f"p{number}, x", email=None) for number in range(40)}
        members: dict[str, dict[str, set[str]]] = {}
        for kind, attribute in MEMBER_ATTRIBUTES.items():
            by_dn: dict[str, set[str]] = {}
            for number in range(25):
                choice = list(people) if kind == "posixGroup" else [*people.values(), *by_dn, server.nobody]
                chosen = set(chance.sample(choice, chance.randint(1, 6)))
                by_dn[server.add_group(f"{kind} #{number}", sorted(chosen), kind=kind)] = chosen
            if kind != "posixGroup":
                for group, member in zip(chance.sample(list(by_dn), 8), chance.sample(list(by_dn), 8), strict=True):
                    if member not in by_dn[group]:
                        server.add_member(group, member)
                        by_dn[group].add(member)
            members[attribute] = by_dn
        yield server, list(people), members


class TestAgreement:
    def expected(self, members: dict[str, set[str]], start: str, nested: bool) -> set[str]:
        """The groups that somebody is in, found without any directory."""
        found: set[str] = set()
        new = {start}
        while new:
            new = {group for group, names in members.items() if names & new} - found
            found |= new
            if not nested:
                break
        return keys(*found)

    @pytest.mark.parametrize("nested", [True, False])
    @pytest.mark.parametrize(
        ("strategy", "attribute"),
        [("member-of", "member"), ("search", "member"), ("search", "uniqueMember"), ("search", "memberUid")],
    )
    def test_every_way_finds_the_same(
        self,
        web: tuple[OpenLdapServer, list[str], dict[str, dict[str, set[str]]]],
        strategy: str,
        attribute: str,
        nested: bool,
    ) -> None:
        server, _people, members = web
        provider = connected_to(
            server, servers=[server.url], insecure=True, group_strategy=strategy, group_member_attribute=attribute,
            nested_groups=nested, page_size=7,
        )  # fmt: skip
        configuration = provider.access.configuration
        with as_service(provider) as session:
            entries = session.search(server.people, "(uid=*)", attributes_of(configuration), most=100)
            one_by_one = {entry.dn: Groups(session, configuration).of(entry) for entry in entries}
            together = groups_for_everybody(session, configuration)
            assert {entry.dn: together.of(entry) for entry in entries} == one_by_one
            assert len(entries) == 40
        for entry in entries:
            uid = username(entry, configuration)
            start = uid if attribute == "memberUid" else f"uid={escape_rdn(uid)},{server.people}"
            assert one_by_one[entry.dn] == self.expected(members[attribute], start, nested and attribute != "memberUid")


class TestActiveDirectory:
    BASE = "dc=acme,dc=example"

    @pytest.fixture
    def domain(self) -> Iterator[ActiveDirectory]:
        with ActiveDirectory() as server:
            server.add(f"cn=ada,{self.BASE}", sAMAccountName="ada", objectGUID=b"1" * 16)
            server.passwords[f"cn=ada,{self.BASE}"] = PASSWORD
            yield server

    def ask(self, domain: ActiveDirectory, **settings: object) -> frozenset[str]:
        return sign_in(quick(domain, preset="active-directory", timeout=10, **settings), "ada").groups

    def test_the_rule_in_chain_finds_nested_groups(self, domain: ActiveDirectory) -> None:
        inner = domain.add(f"cn=Inner,{self.BASE}", member=f"cn=ada,{self.BASE}")
        outer = domain.add(f"cn=Outer,{self.BASE}", member=inner)
        domain.add(f"cn=Other,{self.BASE}", member=f"cn=bob,{self.BASE}")
        assert self.ask(domain) == keys(inner, outer)
        asked = [one for search in domain.searches for one in search.conditions if one.attribute == "member"]
        assert asked == [Condition("member", f"cn=ada,{self.BASE}".encode(), IN_CHAIN)]

    def test_without_nesting_the_plain_rule_is_asked_for(self, domain: ActiveDirectory) -> None:
        inner = domain.add(f"cn=Inner,{self.BASE}", member=f"cn=ada,{self.BASE}")
        domain.add(f"cn=Outer,{self.BASE}", member=inner)
        assert self.ask(domain, nested_groups=False) == keys(inner)

    def test_token_groups_are_found_by_their_identifiers(self, domain: ActiveDirectory) -> None:
        domain_id = bytes.fromhex("010500000000000515000000 2a5c2829 28000001 00000000")
        sids = [domain_id + bytes([number, 4, 0, 0]) for number in range(60)]
        assert sid_of(sids[0]).startswith("S-1-5-21-")
        groups = [domain.add(f"cn=g{number},{self.BASE}", objectSid=sid) for number, sid in enumerate(sids)]
        domain.entries[f"cn=ada,{self.BASE}"] = {
            **domain.entries[f"cn=ada,{self.BASE}"], "tokenGroups": [*sids[:55], b"\1\1" + bytes(10)],
        }  # fmt: skip
        assert self.ask(domain, group_strategy="token-groups") == keys(*groups[:55])

    def test_who_has_no_token_groups_has_none(self, domain: ActiveDirectory) -> None:
        domain.add(f"cn=g,{self.BASE}", objectSid=b"\1\0" + bytes(6))
        assert self.ask(domain, group_strategy="token-groups") == frozenset()

    def test_a_thousand_memberships_are_read_in_parts(self, domain: ActiveDirectory) -> None:
        groups = [f"cn=g{number},{self.BASE}" for number in range(1000)]
        domain.range_size = 150
        domain.entries[f"cn=ada,{self.BASE}"] = {
            **domain.entries[f"cn=ada,{self.BASE}"], "memberOf": [group.encode() for group in groups],
        }  # fmt: skip
        assert self.ask(domain, group_strategy="member-of", nested_groups=False) == keys(*groups)

    def test_all_members_of_a_large_group_are_listed(self, domain: ActiveDirectory) -> None:
        members = [f"cn=user{number},{self.BASE}" for number in range(5000)]
        group = domain.add(f"cn=Everybody,{self.BASE}", member=[member.encode() for member in members])
        provider = quick(domain, preset="active-directory", group_strategy="search", timeout=10)
        with as_service(provider) as session:
            listed = ListedGroups(session, provider.access.configuration)
            assert all(listed.of(Entry(member, {})) == keys(group) for member in members)
        ranges = [name for search in domain.searches for name in search.attributes]
        assert ranges == ["member", "member;range=1500-*", "member;range=3000-*", "member;range=4500-*"]

    @pytest.mark.parametrize("lost_from", [1500, 3000, 4500])
    def test_half_of_the_members_are_not_taken_for_all(self, domain: ActiveDirectory, lost_from: int) -> None:
        domain.add(f"cn=Everybody,{self.BASE}", member=[f"cn=u{number},{self.BASE}".encode() for number in range(5000)])
        domain.lost_from = lost_from
        provider = quick(domain, preset="active-directory", group_strategy="search", timeout=10)
        with as_service(provider) as session, pytest.raises(DirectoryFault) as caught:
            ListedGroups(session, provider.access.configuration)
        assert caught.value.fault is Fault.ODD_ANSWER


def test_a_configuration_says_where_groups_are() -> None:
    made = LdapConfiguration(servers=("ldaps://a",), base_dn="dc=a", group_base="ou=g,dc=a")
    assert made.base_of_groups == "ou=g,dc=a"

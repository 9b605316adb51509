"""A conversation gives whole answers or says why it has none."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.providers.ldap.answers import Answer
from auth.providers.ldap.channel import Deadline
from auth.providers.ldap.conversation import Conversation, Entry, any_of, equals, open_conversation
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import dn_key
from tests.auth.providers.ldap.asking import as_service, connected_to, quick, unique
from tests.servers.hostile_ldap import SEARCH_DONE, SEARCH_REQUEST, Hostile, Scripted, message, parse, result, tlv
from tests.servers.hostile_ldap import entry as entry_bytes
from tests.servers.openldap import PASSWORD, OpenLdapServer

DN = "cn=a,dc=acme"


@pytest.fixture
def session(directory: OpenLdapServer) -> Iterator[Conversation]:
    """A session as the service account of a real directory."""
    with as_service(connected_to(directory)) as opened:
        yield opened


def fault_of(ask: Callable[[], object]) -> Fault:
    with pytest.raises(DirectoryFault) as caught:
        ask()
    return caught.value.fault


def scripted(answer: Callable[[int], bytes]) -> Scripted:
    """A server that answers searches so, by the message's number, and everything else with success."""

    def script(data: bytes) -> bytes:
        request = parse(data)
        return answer(request.number) if request.operation == SEARCH_REQUEST else request.answer()

    return Scripted(script)


class TestSearch:
    @pytest.fixture(scope="class")
    @classmethod
    def team(cls, directory: OpenLdapServer) -> str:
        """The common part of five people's user names."""
        name = unique("team")
        for number in range(5):
            directory.add_person(f"{name}-{number}")
        return name

    @pytest.mark.parametrize(("most", "found"), [(1, 2), (3, 4), (4, 5), (5, 5), (100, 5)])
    def test_one_more_than_was_asked_for_tells_of_more(
        self, session: Conversation, directory: OpenLdapServer, team: str, most: int, found: int
    ) -> None:
        assert len(session.search(directory.people, f"(uid={team}-*)", ["uid"], most=most)) == found

    def test_attributes_are_known_in_any_case(
        self, session: Conversation, directory: OpenLdapServer, team: str
    ) -> None:
        [entry] = session.search(directory.people, f"(uid={team}-1)", ["UID", "entryuuid", "nothing"], most=1)
        assert entry.values("Uid") == [f"{team}-1".encode()]
        assert len(entry.values("entryUUID")) == 1
        assert entry.values("nothing") == entry.values("mail") == ()

    def test_an_entry_is_read_by_its_name(self, session: Conversation, directory: OpenLdapServer, team: str) -> None:
        dn = f"uid={team}-1,{directory.people}"
        found = session.read(dn, ["uid"])
        assert found is not None
        assert dn_key(found.dn) == dn_key(dn)
        assert session.read(dn, ["uid"], "(uid=other)") is None
        assert session.read(f"uid=nobody,{directory.people}", ["uid"]) is None

    def test_a_base_that_is_not_there_is_said(self, session: Conversation, directory: OpenLdapServer) -> None:
        assert fault_of(lambda: session.search("ou=no,dc=acme,dc=example", "(uid=*)", [], most=1)) is Fault.NO_BASE
        assert fault_of(lambda: list(session.pages("ou=no,dc=acme,dc=example", "(uid=*)", []))) is Fault.NO_BASE

    @pytest.mark.parametrize("filter_", ["", "(", "uid=a)", "(uid=a", "(uid)", "(|(uid=a)"])
    def test_a_filter_that_is_none_is_said(
        self, session: Conversation, directory: OpenLdapServer, filter_: str
    ) -> None:
        assert fault_of(lambda: session.search(directory.people, filter_, ["uid"], most=1)) is Fault.FILTER_SYNTAX

    def test_a_lower_limit_of_the_servers_hides_nobody(self) -> None:
        with (
            scripted(
                lambda number: message(number, entry_bytes(DN, cn="a")) * 2 + message(number, result(SEARCH_DONE, 4))
            ) as server,
            as_service(quick(server)) as session,
        ):
            assert len(session.search("dc=acme", "(cn=a)", ["cn"], most=1)) == 2
            assert fault_of(lambda: session.search("dc=acme", "(cn=a)", ["cn"], most=2)) is Fault.TOO_MANY

    @pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 50, 51, 52, 53, 80])
    def test_no_other_answer_is_an_empty_one(self, code: int) -> None:
        with scripted(lambda number: message(number, result(SEARCH_DONE, code))) as server:
            for ask in (
                lambda session: session.search("dc=acme", "(cn=a)", ["cn"], most=1),
                lambda session: session.read("dc=acme", ["cn"]),
                lambda session: list(session.pages("dc=acme", "(cn=a)", ["cn"])),
            ):
                with as_service(quick(server)) as session:
                    assert fault_of(lambda ask=ask, session=session: ask(session)) not in {None, Fault.NOT_LDAP}

    def test_references_elsewhere_are_left_out(self) -> None:
        reference = tlv(0x73, tlv(0x04, b"ldap://elsewhere.example/dc=acme"))
        with scripted(
            lambda number: message(number, entry_bytes(DN, cn="a")) + message(number, reference)
            + message(number, result(SEARCH_DONE))
        ) as server, as_service(quick(server)) as session:  # fmt: skip
            assert [found.dn for found in session.search("dc=acme", "(cn=a)", ["cn"], most=5)] == [DN]

    @pytest.mark.parametrize("number", [0, 1, 99])
    def test_an_answer_to_another_question_is_none(self, number: int) -> None:
        with (
            scripted(lambda _number: message(number, result(SEARCH_DONE))) as server,
            as_service(quick(server)) as session,
        ):
            assert fault_of(lambda: session.read("dc=acme", ["cn"])) is Fault.NOT_LDAP

    def test_a_server_that_takes_its_leave_has_closed(self) -> None:
        notice = tlv(0x78, tlv(0x0A, b"\x34"), tlv(0x04), tlv(0x04), tlv(0x8A, b"1.3.6.1.4.1.1466.20036"))
        with scripted(lambda _number: message(0, notice)) as server, as_service(quick(server)) as session:
            assert fault_of(lambda: session.read("dc=acme", ["cn"])) is Fault.CLOSED


class TestBind:
    def test_an_empty_password_is_never_sent(self) -> None:
        with Hostile() as server, as_service(quick(server)) as session:
            for password in ("", "\ud800"):
                assert session.bind_person(DN, password) is Answer.WRONG
            assert server.received == b""

    def test_a_persons_session_is_another(self, session: Conversation, directory: OpenLdapServer) -> None:
        dn = directory.add_person(unique("another"))
        with session.another() as personal:
            personal.connect()
            personal.secure()
            assert personal.bind_person(dn, "wrong") is Answer.WRONG
            assert personal.bind_person(dn, PASSWORD) is Answer.RIGHT
            assert personal.read(directory.groups, ["ou"]) is None
        assert session.read(directory.groups, ["ou"]) is not None

    def test_what_is_over_says_so(self, directory: OpenLdapServer) -> None:
        with as_service(connected_to(directory)) as session:
            session.close()
            session.close()
            assert fault_of(lambda: session.read(directory.people, ["ou"])) is Fault.CLOSED
            assert fault_of(lambda: session.bind_person(DN, PASSWORD)) is Fault.CLOSED

    def test_long_work_has_time_for_each_question(self, directory: OpenLdapServer) -> None:
        provider = connected_to(directory)
        [server] = provider.access.configuration.parsed_servers
        deadline = Deadline(30)
        with open_conversation(provider.access, server, deadline) as session:
            session.bind_service()
            deadline._ends_at = 0
            session.take_steps(30)
            assert session.read(directory.people, ["ou"]) is not None
            session.take_steps(0)
            assert fault_of(lambda: session.read(directory.people, ["ou"])) is Fault.TIMEOUT


class TestAllValues:
    def ask(self, parts: Sequence[dict[str, list[bytes]] | None]) -> tuple[list[bytes], list[str]]:
        """The values of `member`, given in these parts, and what was asked for."""
        access = quick(Hostile()).access
        session, asked = Conversation(access, access.configuration.parsed_servers[0], Deadline(5)), list[str]()
        rest = iter(parts[1:])

        def read(_dn: str, attributes: Sequence[str]) -> Entry | None:
            asked.extend(attributes)
            part = next(rest)
            return None if part is None else Entry(DN, part)

        session.read = read  # type: ignore[method-assign,assignment]
        first = parts[0]
        assert first is not None
        return session.all_values(Entry(DN, first), "member"), asked

    def test_an_attribute_in_one_part_needs_no_question(self) -> None:
        assert self.ask([{"member": [b"a"]}]) == ([b"a"], [])
        assert self.ask([{}]) == ([], [])
        assert self.ask([{"member": (), "member;range=0-*": [b"a"]}]) == ([b"a"], [])

    def test_parts_are_put_together(self) -> None:
        parts = [{"member;range=0-1": [b"a", b"b"]}, {"member;range=2-3": [b"c", b"d"]}, {"member;range=4-*": [b"e"]}]
        assert self.ask(parts) == ([b"a", b"b", b"c", b"d", b"e"], ["member;range=2-*", "member;range=4-*"])

    @pytest.mark.parametrize(
        "second",
        [
            None, {}, {"member": [b"b"]}, {"other;range=1-*": [b"b"]}, {"member;range=0-*": [b"b"]},
            {"member;range=2-*": [b"b"]}, {"member;range=1-0": [b"b"]}, {"member;range=1-x": [b"b"]},
            {"member;range=1-": [b"b"]}, {"member;range=": [b"b"]}, {"member;range=*-*": [b"b"]},
            {"member;range=1-" + "9" * 5000: [b"b"]},
        ],
    )  # fmt: skip
    def test_half_is_not_taken_for_all(self, second: dict[str, list[bytes]] | None) -> None:
        assert fault_of(lambda: self.ask([{"member;range=0-0": [b"a"]}, second])) is Fault.ODD_ANSWER

    def test_a_first_part_that_is_not_the_first_is_refused(self) -> None:
        assert fault_of(lambda: self.ask([{"member;range=5-*": [b"a"]}])) is Fault.ODD_ANSWER

    def test_parts_without_end_are_broken_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auth.providers.ldap.conversation._MOST_RANGES", 10)
        parts = [{f"member;range={number}-{number}": [b"a"]} for number in range(12)]
        assert fault_of(lambda: self.ask(parts)) is Fault.ODD_ANSWER


class TestFilters:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("a", "(cn=a)"),
            ("*", "(cn=\\2a)"),
            ("a)(b", "(cn=a\\29\\28b)"),
            ("\\2a", "(cn=\\5c2a)"),
            ("a\0", "(cn=a\\00)"),
            (b"\x01\xff", "(cn=\\01\\ff)"),
            (b"", "(cn=)"),
        ],
    )
    def test_a_value_is_only_a_value(self, value: str | bytes, written: str) -> None:
        assert equals("cn", value) == written

    @given(st.one_of(st.text(), st.binary()))
    def test_no_value_ends_its_condition(self, value: str | bytes) -> None:
        written = equals("cn", value)
        assert written.startswith("(cn=")
        assert not set("()*\0") & set(written[4:-1])

    def test_alternatives_are_one_filter(self) -> None:
        assert any_of(["(a=1)"]) == "(a=1)"
        assert any_of(["(a=1)", "(b=2)"]) == "(|(a=1)(b=2))"

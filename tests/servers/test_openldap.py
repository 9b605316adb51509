"""The LDAP servers of the tests are what they say, the real one and the hostile ones."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ldap3
import pytest
from cryptography import x509

from tests.servers import ServerMissingError, hostile_ldap, openldap, require
from tests.servers.hostile_ldap import Hostile, integer, message, tlv
from tests.servers.openldap import PASSWORD, OpenLdapServer

PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
EXPIRED, LOCKED, MUST_CHANGE = 0, 1, 2
PAGED_RESULTS = "1.2.840.113556.1.4.319"


@pytest.fixture(scope="module")
def server() -> Iterator[OpenLdapServer]:
    """An OpenLDAP server as it is without options."""
    with require(openldap.start) as started:
        yield started


@contextlib.contextmanager
def a_server(**options: Any) -> Iterator[OpenLdapServer]:
    """An OpenLDAP server with options."""
    with require(partial(openldap.start, **options)) as started:
        yield started


@contextlib.contextmanager
def connected(server: OpenLdapServer | Hostile, user: str | None = None, password: str | None = None) -> Iterator[Any]:
    """A connection to which StartTLS and bind are still open."""
    peer = ldap3.Server("localhost", server.port, get_info=ldap3.NONE, connect_timeout=5)
    connection = ldap3.Connection(peer, user, password, receive_timeout=5)
    connection.open()
    try:
        yield connection
    finally:
        connection.unbind()


def bind(server: OpenLdapServer, user: str, password: str = PASSWORD) -> tuple[str, int | None]:
    """What a bind is answered: its result, and the error in the password policy's control."""
    with connected(server, user, password) as connection:
        connection.bind(controls=[(PASSWORD_POLICY, False, None)])
        control = connection.result["controls"][PASSWORD_POLICY]["value"]
        return connection.result["description"], control[-1] if len(control) > 2 else None


def raw_bind(user: str, password: str) -> bytes:
    """A bind as bytes: ldap3 does not send an empty password."""
    return message(1, tlv(0x60, integer(3), tlv(0x04, user.encode()), tlv(0x80, password.encode())))


BIND = raw_bind("uid=someone,dc=acme", PASSWORD)
SEARCH = message(
    2,
    tlv(
        0x63,
        tlv(0x04, b"dc=acme"),
        tlv(0x0A, b"\2"),  # the whole subtree,
        tlv(0x0A, b"\0"),  # no aliases,
        integer(0),  # no limits
        integer(0),
        tlv(0x01, b"\0"),
        tlv(0x87, b"objectClass"),
        tlv(0x30),
    ),
)
STARTTLS = message(1, tlv(0x77, tlv(0x80, b"1.3.6.1.4.1.1466.20037")))


def ask(server: OpenLdapServer | Hostile, request: bytes, seconds: float = 5) -> bytes:
    """The first bytes that come for a request."""
    with socket.create_connection(("127.0.0.1", server.port), seconds) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def talk_to(hostile: Hostile) -> socket.socket:
    """A connection without any protocol."""
    return socket.create_connection(("127.0.0.1", hostile.port), 5)


def read(connection: socket.socket, size: int) -> bytes:
    """So many bytes, of which there must be as many."""
    found = b""
    while len(found) < size:
        more = connection.recv(min(65536, size - len(found)))
        assert more, "it ended early"
        found += more
    return found


def code_of(answer: bytes) -> int:
    """The result code in the answer to a bind or StartTLS."""
    assert hostile_ldap.parse(answer).operation in {0x61, 0x78}
    return answer[9]


def page_through(server: OpenLdapServer) -> list[int]:
    """How many people are on each page that the service account is given."""
    sizes = []
    with connected(server, server.service_dn, server.service_password) as connection:
        assert connection.bind()
        cookie = None
        while cookie != b"":
            connection.search(server.people, "(uid=*)", paged_size=1000, paged_cookie=cookie)
            sizes.append(len(connection.response))
            cookie = connection.result["controls"][PAGED_RESULTS]["value"]["cookie"]
    return sizes


class TestPeopleAndGroups:
    def test_a_person_signs_in(self, server: OpenLdapServer) -> None:
        assert bind(server, server.add_person("signs.in")) == ("success", None)

    def test_an_awkward_name_is_kept(self, server: OpenLdapServer) -> None:
        dn = server.add_person("a, b=*(c)\\", name="Ünï Cödé", email="awkward@acme.example", title=["Dr", "Prof"])
        entry = server.get(dn)
        assert (entry["uid"], entry["cn"], entry["sn"]) == (["a, b=*(c)\\"], ["Ünï Cödé"], ["Cödé"])
        assert (entry["mail"], sorted(entry["title"])) == (["awkward@acme.example"], ["Dr", "Prof"])
        assert server.get(server.rename(dn, "uid=plain"))["uid"] == ["plain"]

    def test_a_person_needs_no_mail_and_no_password(self, server: OpenLdapServer) -> None:
        assert not {"mail", "userPassword"} & server.get(server.add_person("bare", email=None, password=None)).keys()

    def test_the_uuid_survives_renaming_and_moving(self, server: OpenLdapServer) -> None:
        dn = server.add_person("mover")
        uuid = server.get(dn)["entryUUID"]
        moved = server.rename(dn, "uid=moved", server.groups)
        assert (moved, server.get(moved)["entryUUID"]) == (f"uid=moved,{server.groups}", uuid)
        assert server.get(server.add_person("mover"))["entryUUID"] != uuid

    def test_nested_groups_know_their_groups(self, server: OpenLdapServer) -> None:
        person = server.add_person("nested")
        inner = server.add_group("inner", [person])
        outer = server.add_group("outer", [inner])
        assert (server.get(person)["memberOf"], server.get(inner)["memberOf"]) == ([inner], [outer])

    def test_membership_ends_on_both_sides(self, server: OpenLdapServer) -> None:
        person, other = server.add_person("leaves"), server.add_person("stays")
        group = server.add_group("leaving", [person, other])
        server.remove_member(group, person)
        assert "memberOf" not in server.get(person)
        server.add_member(group, person)
        assert server.get(person)["memberOf"] == [group]
        server.delete(group)
        assert "memberOf" not in server.get(person)

    @pytest.mark.parametrize("kind", ["groupOfNames", "groupOfUniqueNames"])
    def test_a_group_follows_its_renamed_and_deleted_members(
        self, server: OpenLdapServer, kind: openldap.GroupKind
    ) -> None:
        attribute = openldap.MEMBER_ATTRIBUTES[kind]
        person = server.add_person(f"renamed.{kind}")
        group = server.add_group(f"following.{kind}", [person], kind=kind)
        renamed = server.rename(person, f"uid=renamed2.{kind}")
        assert server.get(group)[attribute] == [renamed]
        server.delete(renamed)
        assert server.get(group)[attribute] == [server.nobody]

    def test_a_posix_group_has_uids(self, server: OpenLdapServer) -> None:
        group = server.add_group("posix", ["one"], kind="posixGroup")
        server.add_member(group, "two")
        assert server.get(group)["memberUid"] == ["one", "two"]
        server.remove_member(group, "one")
        assert server.get(group)["memberUid"] == ["two"]

    def test_the_service_account_reads_everything_but_passwords_and_writes_nothing(
        self, server: OpenLdapServer
    ) -> None:
        person = server.add_person("read")
        with connected(server, server.service_dn, server.service_password) as service:
            assert service.bind()
            assert service.search(person, "(objectClass=*)", attributes=["mail", "userPassword", "entryUUID"])
            found = service.response[0]["attributes"]
            assert (found["mail"], found["userPassword"]) == (["read@acme.example"], [])
            assert found["entryUUID"] == server.get(person)["entryUUID"]
            assert not service.modify(person, {"sn": [(ldap3.MODIFY_REPLACE, ["x"])]})

    def test_another_suffix_is_possible(self) -> None:
        with a_server(suffix="o=Globex\\, Inc.", tls=False) as server:
            assert server.get(server.add_person("someone"))["entryDN"] == ["uid=someone,ou=people,o=Globex\\2C Inc."]


class TestRefusals:
    def test_a_wrong_password_is_refused(self, server: OpenLdapServer) -> None:
        with connected(server, server.add_person("wrong"), "wrong") as connection:
            assert not connection.bind()
            assert connection.result["description"] == "invalidCredentials"

    def test_a_disabled_account_is_refused_its_password(self, server: OpenLdapServer) -> None:
        person = server.add_person("disabled")
        server.disable(person)
        assert bind(server, person) == ("invalidCredentials", LOCKED)
        server.modify(person, pwdAccountLockedTime=None)
        assert bind(server, person) == ("success", None)

    def test_five_failures_lock_an_account(self, server: OpenLdapServer) -> None:
        person = server.add_person("failing")
        assert [bind(server, person, "wrong") for _ in range(5)] == [("invalidCredentials", None)] * 5
        assert bind(server, person) == ("invalidCredentials", LOCKED)

    def test_an_expired_password_is_told_only_to_who_knows_it(self, server: OpenLdapServer) -> None:
        long_ago = "20200101000000Z"
        person = server.add_person("expired", pwdPolicySubentry=server.expired_policy, pwdChangedTime=long_ago)
        assert bind(server, person) == ("invalidCredentials", EXPIRED)
        assert bind(server, person, "wrong") == ("invalidCredentials", None)

    def test_a_reset_password_must_be_changed(self, server: OpenLdapServer) -> None:
        person = server.add_person("reset")
        server.modify(person, pwdReset="TRUE")
        assert bind(server, person) == ("success", MUST_CHANGE)
        with connected(server, person, PASSWORD) as connection:
            assert connection.bind()
            assert not connection.search(person, "(objectClass=*)", ldap3.BASE)
            assert connection.result["description"] == "insufficientAccessRights"

    def test_nobody_comes_in_without_a_password(self, server: OpenLdapServer) -> None:
        person = server.add_person("empty")
        assert code_of(ask(server, raw_bind(person, ""))) == 53  # unwillingToPerform
        assert code_of(ask(server, raw_bind("", ""))) == 48  # inappropriateAuthentication
        with connected(server) as connection:
            assert not connection.search(server.people, "(uid=*)")

    def test_an_empty_password_is_a_success_where_that_is_allowed(self) -> None:
        with a_server(unauthenticated_binds=True, tls=False) as server:
            person = server.add_person("empty")
            assert code_of(ask(server, raw_bind(person, ""))) == 0
            assert code_of(ask(server, raw_bind(person, "wrong"))) == 49
            with connected(server) as connection:
                assert not connection.search(server.people, "(uid=*)")

    def test_anybody_reads_where_that_is_allowed(self) -> None:
        with a_server(anonymous=True, tls=False) as server:
            server.add_person("public")
            assert code_of(ask(server, raw_bind("", ""))) == 0
            with connected(server) as connection:
                assert connection.bind()
                assert connection.search(server.people, "(uid=*)", attributes=["userPassword"])
                assert connection.response[0]["attributes"]["userPassword"] == []


class TestTls:
    def handshake(
        self, server: OpenLdapServer, name: str = "localhost", *, ca: str | None = None, starttls: bool = False
    ) -> str | None:
        """The version of TLS that is agreed with a server that is trusted by that name."""
        context = ssl.create_default_context(cadata=ca or server.ca)
        port = server.port if starttls else server.tls_port
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            if starttls:
                plain.sendall(STARTTLS)
                assert code_of(plain.recv(4096)) == 0
            with context.wrap_socket(plain, server_hostname=name) as secured:
                secured.sendall(raw_bind(server.service_dn, server.service_password))
                assert code_of(secured.recv(4096)) == 0
                return secured.version()

    @pytest.mark.parametrize("starttls", [False, True])
    def test_it_is_trusted_by_its_own_authority_only(self, server: OpenLdapServer, starttls: bool) -> None:
        other, _ = openldap.make_certificates(["localhost"])
        assert self.handshake(server, starttls=starttls) == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            self.handshake(server, ca=other, starttls=starttls)

    @pytest.mark.parametrize("starttls", [False, True])
    @pytest.mark.parametrize("name", ["127.0.0.1", "acme.localhost"])
    def test_another_name_is_refused(self, server: OpenLdapServer, name: str, starttls: bool) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            self.handshake(server, name, starttls=starttls)

    def test_a_certificate_may_have_other_names(self) -> None:
        with a_server(certificate_names=("ldap.acme.example", "127.0.0.1")) as server:
            for name in ("ldap.acme.example", "127.0.0.1"):
                assert self.handshake(server, name)
            with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'localhost'"):
                self.handshake(server)

    def test_an_authority_may_lack_its_key_usage(self, server: OpenLdapServer) -> None:
        with a_server(plain_ca=True) as plain:
            assert self.handshake(plain)
            for ca, usages in ((plain.ca, 0), (server.ca, 1)):
                extensions = x509.load_pem_x509_certificate(ca.encode()).extensions
                assert sum(isinstance(extension.value, x509.KeyUsage) for extension in extensions) == usages

    def test_a_server_may_have_no_tls(self) -> None:
        with a_server(tls=False) as server:
            assert code_of(ask(server, STARTTLS)) == 2  # protocolError
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.tls_port), 5)


class TestManyPeople:
    def test_thousands_are_read_page_by_page_and_may_be_limited(self) -> None:
        with a_server(tls=False) as server:
            server.load_people(2500, group_size=1200)
            assert page_through(server) == [1000, 1000, 500]
            crowd = f"cn=crowd,{server.groups}"
            assert len(server.get(crowd)["member"]) == 1200
            member, stranger = (server.get(f"uid=user{number},{server.people}") for number in (1199, 1200))
            assert (member["memberOf"], "memberOf" in stranger) == ([crowd], False)
            assert bind(server, f"uid=user2499,{server.people}") == ("success", None)

    def test_the_service_account_may_be_limited(self) -> None:
        with a_server(tls=False, size_limit=10) as server:
            server.load_people(11, group_size=0)
            with connected(server, server.service_dn, server.service_password) as connection:
                assert connection.bind()
                connection.search(server.people, "(uid=*)")
                assert (connection.result["description"], len(connection.response)) == ("sizeLimitExceeded", 10)


class TestProcess:
    def test_it_is_not_started_twice(self, server: OpenLdapServer) -> None:
        pid = server.pid
        server.start()
        assert server.pid == pid

    def test_it_keeps_its_data_and_ports_while_it_is_stopped(self) -> None:
        with a_server() as server:
            person, ports = server.add_person("kept"), (server.port, server.tls_port)
            server.stop()
            server.stop()
            with pytest.raises(RuntimeError, match="stopped"):
                server.pid  # noqa: B018 - reading it is what raises
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), 5)
            server.start()
            assert (server.port, server.tls_port) == ports
            assert bind(server, person) == ("success", None)

    def test_it_hangs_while_it_is_paused_and_can_still_be_closed(self) -> None:
        with a_server(tls=False) as server:
            person = server.add_person("waiting")
            server.pause()
            with pytest.raises(TimeoutError):
                ask(server, raw_bind(person, PASSWORD), 0.1)
            server.resume()
            assert code_of(ask(server, raw_bind(person, PASSWORD))) == 0
            server.pause()
            before = time.monotonic()
        assert time.monotonic() - before < 5

    def test_it_is_never_root(self, server: OpenLdapServer) -> None:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0

    def test_nothing_is_left_behind(self) -> None:
        with a_server(tls=False) as server:
            pid, folder = server.pid, server.folder
        assert not folder.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_what_is_missing_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(openldap, "MODULES", Path("/nowhere"))
        with pytest.raises(ServerMissingError, match="slapd"):
            openldap.start()


class TestHostile:
    def test_a_silent_one_never_answers(self) -> None:
        with hostile_ldap.Silent() as hostile:
            with pytest.raises(TimeoutError):
                ask(hostile, BIND, 0.3)
            assert (hostile.connections, hostile.received) == (1, BIND)

    def test_a_refusing_one_is_not_there(self) -> None:
        with hostile_ldap.Refusing() as hostile:
            with pytest.raises(ConnectionRefusedError):
                ask(hostile, BIND)
            assert (hostile.connections, hostile.received) == (0, b"")

    def test_a_resetting_one_resets(self) -> None:
        with hostile_ldap.Resetting() as hostile:
            # Whoever connects may hear of it while connecting already.
            with pytest.raises(ConnectionResetError), talk_to(hostile) as connection:
                connection.recv(1)
            assert hostile.connections == 1

    def test_garbage_is_no_ldap(self) -> None:
        with hostile_ldap.Garbage() as hostile:
            assert ask(hostile, BIND).startswith(b"HTTP/1.1 400 ")

    def test_a_dripping_one_gives_out_bytes_without_end(self) -> None:
        with hostile_ldap.Dripping(0.002) as hostile, talk_to(hostile) as connection:
            connection.sendall(BIND)
            answer = message(1, hostile_ldap.result(0x61))
            assert read(connection, 3 * len(answer)) == 3 * answer

    def test_an_endless_one_finds_more_and_more(self) -> None:
        with hostile_ldap.Endless() as hostile, talk_to(hostile) as connection:
            connection.sendall(SEARCH)
            assert read(connection, 1_000_000).count(b"@acme.example") > 9_000

    def test_endless_pages_have_always_a_next_one(self) -> None:
        with hostile_ldap.EndlessPages() as hostile, connected(hostile, "uid=someone", PASSWORD) as connection:
            assert connection.bind()
            for _ in range(3):
                connection.search("dc=acme", "(uid=*)", paged_size=10)
                assert connection.result["controls"][PAGED_RESULTS]["value"]["cookie"] == b"more"

    @pytest.mark.parametrize(("request_", "operation"), [(SEARCH, 0x63), (BIND, 0x60), (STARTTLS, 0x77)])
    def test_a_huge_answer_is_announced_and_sent(self, request_: bytes, operation: int) -> None:
        with hostile_ldap.Huge(operation) as hostile, talk_to(hostile) as connection:
            connection.sendall(request_)
            begin = read(connection, 6_000_000)
            start, end = hostile_ldap.measure(begin) or (0, 0)
            assert end - start > 1_000_000_000

    def test_a_huge_answer_has_an_end(self) -> None:
        with hostile_ldap.Huge(size=100_000) as hostile, talk_to(hostile) as connection:
            connection.sendall(SEARCH)
            _, end = hostile_ldap.measure(connection.recv(16, socket.MSG_PEEK)) or (0, 0)
            assert hostile_ldap.parse(read(connection, end)).number == 2
            connection.sendall(BIND)
            assert code_of(connection.recv(4096)) == 0

    def test_one_without_starttls_would_take_the_password(self) -> None:
        with hostile_ldap.RefusingStartTls() as hostile, talk_to(hostile) as connection:
            connection.sendall(STARTTLS)
            assert code_of(connection.recv(4096)) == 2
            assert PASSWORD.encode() not in hostile.received
            connection.sendall(BIND)
            assert code_of(connection.recv(4096)) == 0
            assert PASSWORD.encode() in hostile.received

    def test_a_stripping_one_answers_a_tls_handshake_in_plain_text(self) -> None:
        with hostile_ldap.StrippingStartTls() as hostile, talk_to(hostile) as connection:
            connection.sendall(STARTTLS)
            assert code_of(connection.recv(4096)) == 0
            with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
                ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")

    def test_a_stripping_one_takes_a_password_and_may_accept_it_before_it_came(self) -> None:
        with hostile_ldap.StrippingStartTls(injecting=True) as hostile, talk_to(hostile) as connection:
            connection.sendall(STARTTLS)
            assert read(connection, 28) == b"".join(
                message(n, hostile_ldap.result(tag)) for n, tag in ((1, 0x78), (2, 0x61))
            )
            connection.sendall(BIND)
            assert code_of(connection.recv(4096)) == 0

    @pytest.mark.parametrize(("binds", "code"), [(True, 10), (False, 0)])
    def test_a_referring_one_sends_elsewhere(self, binds: bool, code: int) -> None:
        with hostile_ldap.Silent() as elsewhere, hostile_ldap.Referring(elsewhere.url, binds=binds) as hostile:
            bound = ask(hostile, BIND)
            assert (code_of(bound), bound.count(elsewhere.url.encode())) == (code, int(binds))
            reference = message(2, tlv(0x73, tlv(0x04, elsewhere.url.encode())))
            answer = reference + message(2, hostile_ldap.result(0x65, 10, "", elsewhere.url))
            with talk_to(hostile) as connection:
                connection.sendall(SEARCH)
                assert read(connection, len(answer)) == answer
            assert elsewhere.connections == 0

    def test_a_scripted_one_says_what_it_is_told(self) -> None:
        with hostile_ldap.Scripted(lambda request: request[::-1]) as hostile, talk_to(hostile) as connection:
            for request in (BIND, SEARCH):
                connection.sendall(request[:5])
                connection.sendall(request[5:])
                assert read(connection, len(request)) == request[::-1]
            connection.sendall(BIND + SEARCH)
            assert read(connection, len(BIND + SEARCH)) == BIND[::-1] + SEARCH[::-1]

    @pytest.mark.parametrize(
        "make", [hostile_ldap.Silent, hostile_ldap.Dripping, hostile_ldap.Endless, hostile_ldap.Huge]
    )
    def test_they_end_with_the_test(self, make: Callable[[], Hostile]) -> None:
        with contextlib.ExitStack() as stack:
            hostile = stack.enter_context(make())
            waiting, flooded = stack.enter_context(talk_to(hostile)), stack.enter_context(talk_to(hostile))
            waiting.sendall(BIND[:3])
            flooded.sendall(BIND + SEARCH)
            read(flooded, 1 if make is hostile_ldap.Endless else 0)
            before, threads = time.monotonic(), threading.active_count()
            hostile.__exit__(None, None, None)
            assert time.monotonic() - before < 0.5
            assert threading.active_count() < threads

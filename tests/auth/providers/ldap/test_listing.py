"""Everybody whom the directory has is listed, or it is said that somebody is missing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import dn_key
from tests.auth.providers.ldap.asking import (
    TIMEOUT,
    a_server,
    connected_to,
    in_time,
    quick,
    sign_in,
    unique,
)
from tests.servers import hostile_ldap
from tests.servers.openldap import OpenLdapServer


@pytest.fixture(scope="module")
def crowded() -> Iterator[OpenLdapServer]:
    """A directory with 2,500 people, 1,200 of them in a group."""
    with a_server() as server:
        server.load_people(2500, group_size=1200)
        yield server


class TestPages:
    def test_everybody_is_listed(self, crowded: OpenLdapServer) -> None:
        pages = list(connected_to(crowded).everybody())
        assert [(len(page.people), page.skipped) for page in pages] == [(500, 0)] * 5
        people = {person.login: person for page in pages for person in page.people}
        assert set(people) == {f"user{number}" for number in range(2500)}
        assert len({person.subject for person in people.values()}) == 2500
        crowd = frozenset({dn_key(f"cn=crowd,{crowded.groups}")})
        assert {login for login, person in people.items() if person.groups == crowd} == {
            f"user{number}" for number in range(1200)
        }

    def test_two_hundred_people_at_once_are_each_themselves(self, crowded: OpenLdapServer) -> None:
        provider = connected_to(crowded)
        start = threading.Barrier(200)

        def one(number: int) -> tuple[str, str | None, bool]:
            start.wait()
            found = sign_in(provider, f"user{number}")
            return found.login, found.email, bool(found.groups)

        with ThreadPoolExecutor(200) as threads:
            found = list(threads.map(one, range(200)))
        assert found == [(f"user{number}", f"user{number}@acme.example", True) for number in range(200)]

    def test_a_limit_of_the_directorys_is_not_taken_for_the_end(self) -> None:
        with a_server(size_limit=10) as server:
            server.load_people(11, group_size=0)
            for page_size in (5, 500):
                with pytest.raises(DirectoryFault) as caught:
                    list(connected_to(server, page_size=page_size).everybody())
                assert caught.value.fault is Fault.TOO_MANY

    def test_people_who_cannot_be_known_again_are_counted(self, directory: OpenLdapServer) -> None:
        uids = [unique("paged") for _ in range(5)]
        for number, uid in enumerate(uids):
            directory.add_person(uid, employeeNumber=str(number) if number < 3 else None)
        wanted = f"(|{''.join(f'(uid={uid})' for uid in uids)})"
        provider = connected_to(directory, subject_attribute="employeeNumber", user_filter=wanted, page_size=2)
        pages = list(provider.everybody())
        assert sum(page.skipped for page in pages) == 2
        assert {person.subject for page in pages for person in page.people} == {"0", "1", "2"}
        assert all(len(page.people) + page.skipped <= 2 for page in pages)

    def test_disabled_people_are_listed_as_such(self, directory: OpenLdapServer) -> None:
        uid = unique("gone")
        directory.disable(directory.add_person(uid))
        [page] = connected_to(directory, user_filter=f"(uid={uid})").everybody()
        assert [(person.login, person.disabled) for person in page.people] == [(uid, True)]

    def test_pages_without_end_are_broken_off(self) -> None:
        with hostile_ldap.EndlessPages() as server, pytest.raises(DirectoryFault) as caught:
            list(quick(server, group_strategy="none", sync_timeout=5).everybody())
        assert caught.value.fault is Fault.ODD_ANSWER

    def test_a_silent_directory_is_left(self) -> None:
        with hostile_ldap.Silent() as server, in_time(), pytest.raises(DirectoryFault) as caught:
            list(quick(server, sync_timeout=TIMEOUT).everybody())
        assert caught.value.fault is Fault.TIMEOUT

    def test_the_next_server_is_asked(self, directory: OpenLdapServer) -> None:
        uid = unique("second")
        directory.add_person(uid)
        with hostile_ldap.Refusing() as dead:
            servers = [dead.url, directory.url]
            [page] = connected_to(directory, servers=servers, user_filter=f"(uid={uid})").everybody()
        assert [person.login for person in page.people] == [uid]

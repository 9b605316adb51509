"""Texts without end, guesses without end and name servers without answer, by way of a directory."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from auth import outgoing
from auth.errors import InvalidProvider
from auth.models import Attempts
from auth.outgoing import resolve
from auth.providers import configs
from auth.providers.kinds import validate
from auth.providers.ldap import LdapConfiguration
from tests.auth.directories import connect, settings_of, sign_in, sync, unique
from tests.auth.helpers import inside
from tests.auth.test_provider_guards import SETTINGS
from tests.factories import Workspace
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor
from tests.visitor import sign_in as visit

AT_WORK = "the password at work"
DRAFT = "/api/v1/providers/rehearsal"
MARKS = "\u0301\u0316" * 15_000
"""Combining marks in the order in which they have to be sorted: that takes quadratic time."""
TEXTS = [
    name for name, field in LdapConfiguration.model_fields.items()
    if field.annotation not in (bool, int, float)
]  # fmt: skip


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def uid(directory: OpenLdapServer) -> str:
    """Somebody who is in the directory."""
    name = unique("alice")
    directory.add_person(name, password=AT_WORK)
    return name


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return visit(app, acme, "admin")


@contextmanager
def quickly(seconds: float = 2) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


class TestEndlessText:
    """Text that takes long to compare is not compared."""

    @pytest.mark.parametrize("name", TEXTS)
    def test_no_setting_takes_it(self, name: str) -> None:
        for text in (MARKS, f"dc={MARKS}", f"uid={{login}},dc={MARKS}", f"(uid={MARKS})", f"ldaps://{MARKS}.example"):
            with quickly(5), pytest.raises(InvalidProvider, match=name):
                validate("ldap", SETTINGS | {name: [text] if name.endswith("s") else text})

    def test_no_domain_is_that_long(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), quickly(5), pytest.raises(InvalidProvider, match="domains"):
            configs.add_provider("office", "ldap", SETTINGS, actor=None, domains=[f"{MARKS}.example"])

    def test_a_rehearsal_refuses_it(self, admin: Visitor) -> None:
        settings = SETTINGS | {"user_dn_template": f"uid={{login}},dc={MARKS}"}
        with quickly():
            answer = admin.post_json(DRAFT, {"login": "alice", "settings": settings})
        assert answer.status_code == 422
        assert "settings.user_dn_template" in answer.text

    def test_names_without_end_in_the_directory_are_cut(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        name, endless = unique("endless"), "n" + MARKS[:5000]
        dn = directory.add_person(name, password=AT_WORK)
        directory.modify(dn, cn=endless, displayName=endless, uid=[endless, name])
        connect(app, acme, directory, creates_users="sync", user_filter=f"(mail={name}@acme.example)")
        with quickly(10):
            assert sync(app, acme).created == 1
            assert sign_in(visitor, f"{name}@acme.example", AT_WORK).status_code == 302
        assert len(visitor.get("/api/v1/me").get_json()["user"]["name"]) == 200

    def test_an_address_that_is_too_long_is_none(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        name = unique("endless")
        directory.add_person(name, password=AT_WORK, email=f"{'a' * 5000}@acme.example")
        connect(app, acme, directory)
        with quickly(10):
            assert "has no e-mail address of you" in sign_in(visitor, name, AT_WORK).text
        assert not visitor.is_signed_in()


class TestNameServers:
    """A name server that does not answer keeps its own tenant waiting, and nobody else."""

    @pytest.fixture
    def stuck(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """A name server that answers about slow.example only when this is set."""
        over, real = threading.Event(), socket.getaddrinfo
        asked: list[str] = []

        def getaddrinfo(host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
            if host == "slow.example":
                asked.append(host)
                over.wait(30)
            return real("127.0.0.1", port, *arguments, **options)

        with ThreadPoolExecutor(2 * outgoing.MOST_LOOKUPS) as lookups:
            monkeypatch.setattr(outgoing, "_lookups", lookups)
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            while len(asked) < outgoing.MOST_LOOKUPS:
                with pytest.raises(TimeoutError):
                    self.ask("slow.example", timeout=0.02)
            yield over
            over.set()

    def ask(self, host: str, owner: str = "acme", timeout: float = 20) -> str:
        everywhere = [ip_network("0.0.0.0/0")]
        (endpoint,) = resolve(host, 389, allowed=everywhere, timeout=timeout, owner=owner)
        return endpoint.address[0]

    @pytest.mark.usefixtures("stuck")
    def test_one_owner_waits_for_few_names_at_once(self) -> None:
        for host in ("slow.example", "quick.example"):
            with quickly(), pytest.raises(TimeoutError, match="too many names"):
                self.ask(host)

    @pytest.mark.usefixtures("stuck")
    def test_another_owner_does_not_notice(self) -> None:
        with quickly():
            assert self.ask("quick.example", owner="globex") == "127.0.0.1"

    @pytest.mark.usefixtures("stuck")
    def test_a_written_address_needs_no_name_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outgoing, "_lookups", None)
        with quickly():
            assert self.ask("127.0.0.1") == "127.0.0.1"

    def test_the_owner_may_ask_again_when_the_names_are_answered(self, stuck: threading.Event) -> None:
        stuck.set()
        with quickly(10):
            while True:
                try:
                    assert self.ask("quick.example") == "127.0.0.1"
                    break
                except TimeoutError:
                    time.sleep(0.01)


class TestGuesses:
    """Every guess at a password is counted, and nothing else is."""

    def test_a_device_of_a_namesake_spares_none(self, app: Flask, acme: Workspace, directory: OpenLdapServer) -> None:
        name = unique("alice")
        with require(lambda: openldap.start(suffix="dc=other,dc=example")) as other:
            directory.add_person(name, password=AT_WORK)
            other.add_person(name, password="the namesake's", email=f"{name}@other.example")
            connect(app, acme, directory, "office")
            connect(app, acme, other, "second")
            assert sign_in(Visitor(app, acme.host, "198.51.100.1"), name, AT_WORK).status_code == 302
            browsers = [Visitor(app, acme.host, f"203.0.113.{number}") for number in range(2)]
            for browser in browsers:
                assert sign_in(browser, f"{name}@other.example", "the namesake's").status_code == 302
                browser.post("/auth/logout")
            answers = [
                sign_in(browser, name, f"guess {guess}").status_code for browser in browsers for guess in range(8)
            ]
        assert answers == [200] * 10 + [429] * 6

    @pytest.mark.parametrize("saved", [True, False])
    def test_a_rehearsal_counts_them_over_all_spellings(
        self, app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer, uid: str, saved: bool
    ) -> None:
        connect(app, acme, directory)
        with inside(app, acme):
            path = f"/api/v1/providers/{configs.get_config('office').id}/rehearsal"
        wide = "".join(chr(ord(char) + 0xFEE0) if char.isalpha() else char for char in uid)
        spellings = [uid, uid.upper(), f"{uid}@acme.example", wide]
        draft = {} if saved else {"settings": settings_of(directory), "secret": directory.service_password}
        answers = [
            admin.post_json(
                path if saved else DRAFT, {"login": spellings[number % 4], "password": f"guess {number}", **draft}
            )
            for number in range(12)
        ]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
        for answer in answers[:10]:
            assert answer.get_json()["steps"][-1]["fault"] == "person-refused"

    @pytest.mark.parametrize("refused", ["has to change the password", "has an account of ours"])
    def test_a_right_password_that_does_not_lead_in_is_none(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, refused: str
    ) -> None:
        name = unique("refused")
        if refused == "has to change the password":
            directory.add_person(name, password=AT_WORK, pwdReset="TRUE")
        else:
            directory.add_person(name, password=AT_WORK, email=acme.people["member"].email)
        connect(app, acme, directory)
        for _ in range(12):
            assert sign_in(Visitor(app, acme.host), name, AT_WORK).status_code == 200
        with inside(app, acme) as session:
            assert set(session.scalars(select(Attempts.count))) <= {0}


class TestRehearsal:
    def test_a_name_that_the_template_cannot_take_is_a_step_that_fails(
        self, admin: Visitor, directory: OpenLdapServer
    ) -> None:
        settings = settings_of(directory, user_dn_template="{login}@corp.example", bind_dn="")
        answer = admin.post_json(DRAFT, {"login": "alice@corp.example", "password": "x", "settings": settings})
        assert answer.status_code == 200
        last = answer.get_json()["steps"][-1]
        assert (last["name"], last["ok"], last["fault"]) == ("sign-in", False, "finds-none")

    @pytest.mark.parametrize("control", ["\x1b", "\x9b", "\u202e"])
    def test_what_the_directory_says_steers_no_terminal(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, control: str
    ) -> None:
        name = unique("eve")
        directory.add_person(name, cn=f"Eve {control}[2J Evans")
        connect(app, acme, directory)
        output = app.test_cli_runner().invoke(args=["providers", "test", "office", name, "--tenant", acme.slug]).output
        assert "Eve ?[2J Evans" in output
        assert control not in output

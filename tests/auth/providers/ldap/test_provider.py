"""Who gets in, who does not, and what a person is counted and told."""

import uuid
from collections.abc import Iterator

import pytest

from auth.errors import SignInRefused, Throttled, WrongCredentials
from auth.providers.base import ExternalIdentity
from auth.providers.ldap import LdapProvider
from auth.providers.ldap.answers import Answer
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.names import dn_key
from auth.providers.ldap.provider import LONGEST_PASSWORD
from tests.auth.providers.ldap.active_directory import ActiveDirectory
from tests.auth.providers.ldap.asking import (
    a_server,
    connected_to,
    quick,
    sign_in,
    subject_in,
    unique,
)
from tests.servers import hostile_ldap
from tests.servers.hostile_ldap import SEARCH_REQUEST, Hostile, Scripted, entry, message, parse
from tests.servers.openldap import PASSWORD, OpenLdapServer

LONG_AGO = "20200101000000Z"


def refused(provider: LdapProvider, login: str, password: str = PASSWORD) -> str:
    """The words of a refusal that only who knows the password gets."""
    with pytest.raises(SignInRefused) as caught:
        sign_in(provider, login, password)
    return str(caught.value)


class TestSignIn:
    @pytest.mark.parametrize("url", ["url", "tls_url"])
    def test_a_person_signs_in_by_user_name_and_by_address(self, directory: OpenLdapServer, url: str) -> None:
        uid = unique("ada")
        dn = directory.add_person(uid, name="Ada Lovelace", email=f"{uid}@work.example", preferredLanguage="de")
        provider = connected_to(directory, servers=[getattr(directory, url)])
        found = [sign_in(provider, login) for login in (uid, uid.upper(), f"  {uid} ", f"{uid}@Work.example")]
        assert (
            found
            == [
                ExternalIdentity(
                    provider=provider.id,
                    subject=subject_in(directory, dn),
                    email=f"{uid}@work.example",
                    email_vouched=True,
                    name="Ada Lovelace",
                    login=uid,
                    place=dn,
                    locale="de",
                )
            ]
            * 4
        )

    @pytest.mark.parametrize(
        "password", ["wrong", PASSWORD + " ", PASSWORD.upper(), " ", "\u200b", "\u00ad", "x" * 1024]
    )
    def test_a_wrong_password_is_refused(self, directory: OpenLdapServer, password: str) -> None:
        uid = unique("wrong")
        directory.add_person(uid)
        with pytest.raises(WrongCredentials):
            sign_in(connected_to(directory), uid, password)

    @pytest.mark.parametrize(
        "password", ["Ünï cödé", "🦄🦄🦄🦄", "\u00a0", "\u200b", "a\x07b", "Ⅳ", "\ue000", "אa", "\\2a*)("]
    )
    def test_any_text_can_be_a_password(self, directory: OpenLdapServer, password: str) -> None:
        uid = unique("text")
        directory.add_person(uid, userPassword=password.encode())
        assert sign_in(connected_to(directory), uid, password).login == uid

    def test_half_of_a_character_is_a_wrong_password(self, directory: OpenLdapServer) -> None:
        uid = unique("half")
        directory.add_person(uid)
        with pytest.raises(WrongCredentials):
            sign_in(connected_to(directory), uid, "\ud83e")

    @pytest.mark.parametrize("password", ["", "a\0", "\0", "x" * (LONGEST_PASSWORD + 1)])
    def test_what_is_no_password_is_refused_before_any_network(self, password: str) -> None:
        with Hostile() as hostile:
            for settings in ({}, {"user_dn_template": "uid={login},dc=acme"}):
                with pytest.raises(WrongCredentials):
                    sign_in(quick(hostile, **settings), "someone", password)
            assert hostile.connections == 0

    @pytest.mark.parametrize("login", ["", "  ", "a\0", "a\u200bb", "a\nb", "\ud800", "x" * 321])
    def test_what_is_no_user_name_is_refused_before_any_network(self, login: str) -> None:
        with Hostile() as hostile:
            provider = quick(hostile)
            for ask in (lambda: sign_in(provider, login), lambda: provider.find(login)):
                with pytest.raises(WrongCredentials):
                    ask()
            assert hostile.connections == 0

    def test_an_empty_password_is_refused_where_the_directory_would_accept_it(self) -> None:
        with a_server(unauthenticated_binds=True, plain_ca=True) as server:
            server.add_person("someone")
            for template in ("", f"uid={{login}},{server.people}"):
                provider = connected_to(server, user_dn_template=template, group_strategy="none")
                for password in ("", "\u00ad", "\u200b"):
                    with pytest.raises(WrongCredentials):
                        sign_in(provider, "someone", password)
                assert sign_in(provider, "someone").login == "someone"

    def test_nobody_is_signed_in_who_is_unknown(self, directory: OpenLdapServer) -> None:
        counted: list[str] = []
        with pytest.raises(WrongCredentials):
            sign_in(connected_to(directory), unique("nobody"), counted=counted)
        assert counted == []

    def test_nobody_is_signed_in_by_a_name_that_several_have(self, directory: OpenLdapServer) -> None:
        shared, counted = f"{unique('shared')}@acme.example", list[str]()
        uids = [unique("twin") for _ in range(2)]
        for uid in uids:
            directory.add_person(uid, email=shared)
        provider = connected_to(directory)
        with pytest.raises(WrongCredentials):
            sign_in(provider, shared, counted=counted)
        assert counted == []
        assert [sign_in(provider, uid).email for uid in uids] == [shared] * 2

    def test_a_server_that_hides_the_second_of_two_signs_nobody_in(self) -> None:
        def script(data: bytes) -> bytes:
            request = parse(data)
            if request.operation != SEARCH_REQUEST:
                return request.answer()
            return message(request.number, entry("uid=a,dc=acme", entryUUID="1")) + request.answer(4)

        with Scripted(script) as server, pytest.raises(DirectoryFault) as caught:
            sign_in(quick(server), "someone")
        assert caught.value.fault is Fault.TOO_MANY

    def test_people_outside_of_base_and_filter_do_not_get_in(self, directory: OpenLdapServer) -> None:
        uid, elsewhere = unique("inside"), unique("outside")
        directory.add_person(uid)
        directory.add_person(elsewhere, ou=directory.groups)
        provider = connected_to(directory, user_filter=f"(&(objectClass=inetOrgPerson)(!(uid={uid})))")
        for login in (uid, elsewhere):
            with pytest.raises(WrongCredentials):
                sign_in(provider, login)

    def test_a_moved_person_stays_the_same(self, directory: OpenLdapServer) -> None:
        uid, provider = unique("mover"), connected_to(directory)
        dn = directory.add_person(uid)
        before = sign_in(provider, uid)
        moved = unique("moved")
        place = directory.rename(dn, f"uid={moved}")
        after = sign_in(provider, moved)
        assert (after.subject, after.login, after.place) == (before.subject, moved, place)

    def test_somebody_who_cannot_be_known_again_does_not_get_in(self, directory: OpenLdapServer) -> None:
        uid, counted = unique("unknown"), list[str]()
        directory.add_person(uid)
        with pytest.raises(DirectoryFault) as caught:
            sign_in(connected_to(directory, subject_attribute="employeeNumber"), uid, counted=counted)
        assert (caught.value.fault, counted) == (Fault.NO_SUBJECT, [])

    def test_a_person_is_found_without_a_password(self, directory: OpenLdapServer) -> None:
        uid = unique("found")
        dn = directory.add_person(uid)
        group = directory.add_group(unique("finders"), [dn])
        found = connected_to(directory).find(uid)
        assert (found.login, found.groups, found.disabled) == (uid, {dn_key(group)}, False)
        directory.disable(dn)
        assert connected_to(directory).find(uid).disabled

    @pytest.mark.parametrize("wrong", ["bind_dn", "secret"])
    def test_a_refused_service_account_is_nobodys_wrong_password(self, directory: OpenLdapServer, wrong: str) -> None:
        provider = connected_to(directory, **{wrong: f"cn=nobody,{directory.suffix}"})
        with pytest.raises(DirectoryFault) as caught:
            sign_in(provider, "someone")
        assert caught.value.fault is Fault.BIND_REFUSED

    def test_a_service_account_needs_its_password(self, directory: OpenLdapServer) -> None:
        with pytest.raises(DirectoryFault) as caught:
            sign_in(connected_to(directory, secret=None), "someone")
        assert caught.value.fault is Fault.BIND_PASSWORD_MISSING


class TestAccountStates:
    def test_a_locked_account_looks_like_a_wrong_password(self, directory: OpenLdapServer) -> None:
        uid, provider = unique("locked"), connected_to(directory)
        directory.add_person(uid)
        for password in ["wrong"] * 5 + [PASSWORD]:
            with pytest.raises(WrongCredentials):
                sign_in(provider, uid, password)

    @pytest.mark.parametrize("password", [PASSWORD, "wrong"])
    def test_so_does_one_that_the_directory_lets_nobody_into(self, directory: OpenLdapServer, password: str) -> None:
        uid = unique("disabled")
        directory.disable(directory.add_person(uid))
        with pytest.raises(WrongCredentials):
            sign_in(connected_to(directory), uid, password)

    def test_an_expired_password_is_told_to_who_knows_it(self, directory: OpenLdapServer) -> None:
        uid, provider = unique("expired"), connected_to(directory)
        directory.add_person(uid, pwdPolicySubentry=directory.expired_policy, pwdChangedTime=LONG_AGO)
        assert refused(provider, uid) == str(Answer.PASSWORD_EXPIRED.message)
        with pytest.raises(WrongCredentials):
            sign_in(provider, uid, "wrong")

    def test_so_is_one_that_must_be_changed(self, directory: OpenLdapServer) -> None:
        uid, provider = unique("reset"), connected_to(directory)
        directory.modify(directory.add_person(uid), pwdReset="TRUE")
        assert refused(provider, uid) == str(Answer.MUST_CHANGE.message)
        with pytest.raises(WrongCredentials):
            sign_in(provider, uid, "wrong")

    @pytest.mark.parametrize(
        "attribute", [{"nsAccountLock": "TRUE"}, {"userAccountControl": "514"}, {"accountExpires": "1"}]
    )
    def test_a_disabled_account_is_told_so_after_the_right_password_only(self, attribute: dict[str, str]) -> None:
        with ActiveDirectory() as server:
            server.add("cn=Ada,dc=acme,dc=example", uid="ada", entryUUID="1", **attribute)
            server.passwords["cn=Ada,dc=acme,dc=example"] = PASSWORD
            provider = quick(server, timeout=5)
            assert refused(provider, "ada") == str(Answer.DISABLED.message)
            with pytest.raises(WrongCredentials):
                sign_in(provider, "ada", "wrong")


class TestTemplate:
    def test_a_person_signs_in_without_a_service_account(self) -> None:
        with a_server(anonymous=True) as server:
            uid = "a, b"
            dn = server.add_person(uid, email="ab@acme.example")
            group = server.add_group("readers", [dn])
            provider = connected_to(server, bind_dn="", secret=None, user_dn_template=f"uid={{login}},{server.people}")
            found = sign_in(provider, uid)
            assert (found.subject, found.place, found.groups) == (subject_in(server, dn), dn.replace("\\,", "\\2C"),
                                                                  {dn_key(group)})  # fmt: skip

    def test_everybody_is_counted_by_name_before_the_password_is_tried(self, directory: OpenLdapServer) -> None:
        uid, counted = unique("counted"), list[str]()
        directory.add_person(uid)
        provider = connected_to(directory, user_dn_template=f"uid={{login}},{directory.people}", group_strategy="none")
        for login in (uid, uid.upper(), f" {uid}", uid + "x"):
            with pytest.raises(WrongCredentials):
                sign_in(provider, login, "wrong", counted)
        assert counted[0] == counted[1] == counted[2] != counted[3]

    def test_the_filter_counts_after_the_password(self, directory: OpenLdapServer) -> None:
        uid = unique("filtered")
        directory.add_person(uid)
        provider = connected_to(
            directory, user_dn_template=f"uid={{login}},{directory.people}", user_filter="(uid=nobody)"
        )
        with pytest.raises(WrongCredentials):
            sign_in(provider, uid)

    @pytest.fixture
    def domain(self) -> Iterator[ActiveDirectory]:
        with ActiveDirectory() as server:
            for name, number in (("ada", 1), ("bob", 2)):
                server.add(
                    f"cn={name},dc=acme,dc=example",
                    sAMAccountName=name,
                    userPrincipalName=f"{name}@acme.example",
                    objectGUID=bytes([number] * 16),
                )
                server.passwords |= {f"{name}@acme.example": name * 5, f"ACME\\{name}": name * 5}
            yield server

    @pytest.mark.parametrize("template", ["{login}@acme.example", "ACME\\{login}"])
    def test_a_person_signs_in_by_a_name_of_the_domains(self, domain: ActiveDirectory, template: str) -> None:
        provider = quick(domain, preset="active-directory", user_dn_template=template, group_strategy="none", timeout=5)
        counted: list[str] = []
        assert sign_in(provider, "ada", "ada" * 5, counted).login == "ada"
        assert domain.binds == [(template.replace("{login}", "ada"), "ada" * 5)]
        with pytest.raises(WrongCredentials):
            sign_in(provider, "ADA", "wrong", counted)
        assert len(counted) == 2
        assert len(set(counted)) == 1

    @pytest.mark.parametrize("login", ["ada@acme.example", "ada@evil.example", "ACME\\ada", "a/b", 'a"b', "EVIL\\ada"])
    def test_a_user_name_names_no_other_domain(self, domain: ActiveDirectory, login: str) -> None:
        provider = quick(domain, preset="active-directory", user_dn_template="{login}@acme.example", timeout=5)
        with pytest.raises(WrongCredentials):
            sign_in(provider, login, "ada" * 5)
        assert domain.binds == []

    def test_nobody_gets_in_as_another_whose_name_they_share(self, domain: ActiveDirectory) -> None:
        domain.add("cn=eve,dc=acme,dc=example", sAMAccountName="eve", userPrincipalName="bob2@acme.example",
                   objectGUID=b"3" * 16)  # fmt: skip
        domain.add("cn=bob2,dc=acme,dc=example", sAMAccountName="bob2", userPrincipalName="b@acme.example",
                   objectGUID=b"4" * 16)  # fmt: skip
        domain.passwords["bob2@acme.example"] = PASSWORD
        provider = quick(domain, preset="active-directory", user_dn_template="{login}@acme.example", timeout=5)
        # The domain takes the name for Eve's, and so do we.
        assert sign_in(provider, "bob2").subject == str(uuid.UUID(bytes_le=b"3" * 16))


class TestCount:
    def test_every_name_of_an_account_counts_as_the_same(self, directory: OpenLdapServer) -> None:
        uid, counted = unique("many"), list[str]()
        dn = directory.add_person(uid, email=[f"{uid}@a.example", f"{uid}@b.example"])
        provider = connected_to(directory)
        names = [uid, uid.upper(), f"{uid}@a.example", f"{uid}@B.example", f" {uid} "]
        for name in names:
            with pytest.raises(WrongCredentials):
                sign_in(provider, name, "wrong", counted)
            directory.modify(dn, pwdFailureTime=None)
        assert counted == [f"{provider.id} {subject_in(directory, dn)}"] * len(names)

    @pytest.mark.parametrize("template", ["", "cn={login},dc=acme,dc=example"])
    def test_who_is_throttled_has_no_password_tried(self, template: str) -> None:
        def throttle(_account: str) -> None:
            raise Throttled(30)

        with ActiveDirectory() as server:
            server.add("cn=ada,dc=acme,dc=example", uid="ada", entryUUID="1")
            with pytest.raises(Throttled):
                quick(server, user_dn_template=template, timeout=5).authenticate("ada", PASSWORD, count=throttle)
            assert server.binds == []
            assert PASSWORD.encode() not in server.received

    def test_an_attempt_that_two_servers_are_asked_for_is_counted_once(self, directory: OpenLdapServer) -> None:
        uid, counted = unique("once"), list[str]()
        dn = directory.add_person(uid)

        class Dying(ActiveDirectory):
            def _bind(self, request: hostile_ldap.Request, name: str, password: str) -> bytes:
                return hostile_ldap.HTTP if name == dn else request.answer()

        with Dying() as dying:
            dying.add(dn, uid=uid, entryUUID=subject_in(directory, dn))
            provider = connected_to(
                directory, servers=[dying.url, directory.url], insecure=True, base_dn=directory.people
            )
            assert sign_in(provider, uid, counted=counted).login == uid
        assert len(counted) == 1


class TestActiveDirectory:
    DN = "CN=Lovelace\\, Ada,OU=Staff,DC=acme,DC=example"

    @pytest.fixture
    def domain(self) -> Iterator[ActiveDirectory]:
        with ActiveDirectory() as server:
            server.add(
                self.DN,
                sAMAccountName="ada",
                userPrincipalName="ada@acme.example",
                displayName="Ada Lovelace",
                objectGUID=bytes.fromhex("33221100554477668899aabbccddeeff"),
                userAccountControl="512",
                accountExpires="9223372036854775807",
            )
            server.passwords = {self.DN: PASSWORD, "service@acme.example": "service"}
            yield server

    def provider(self, domain: ActiveDirectory, **settings: object) -> LdapProvider:
        return quick(
            domain, preset="active-directory", bind_dn="service@acme.example", secret="service", timeout=5, **settings
        )

    @pytest.mark.parametrize("login", ["ada", "ADA", "ada@acme.example"])
    def test_a_person_signs_in(self, domain: ActiveDirectory, login: str) -> None:
        found = sign_in(self.provider(domain), login)
        assert (found.subject, found.name) == ("00112233-4455-6677-8899-aabbccddeeff", "Ada Lovelace")
        assert (found.email, found.login, found.place, found.disabled) == ("ada@acme.example", "ada", self.DN, False)

    @pytest.mark.parametrize("data", ["525", "52e", "775"])
    def test_what_is_told_without_the_password_looks_like_a_wrong_one(self, domain: ActiveDirectory, data: str) -> None:
        domain.refusals[self.DN] = data
        with pytest.raises(WrongCredentials):
            sign_in(self.provider(domain), "ada")

    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            ("530", Answer.OUTSIDE_HOURS),
            ("531", Answer.NOT_FROM_HERE),
            ("532", Answer.PASSWORD_EXPIRED),
            ("533", Answer.DISABLED),
            ("701", Answer.ACCOUNT_EXPIRED),
            ("773", Answer.MUST_CHANGE),
        ],
    )
    def test_what_is_told_after_the_right_one_is_told(self, domain: ActiveDirectory, data: str, answer: Answer) -> None:
        domain.refusals[self.DN] = data
        provider = self.provider(domain)
        assert refused(provider, "ada") == str(answer.message)
        with pytest.raises(WrongCredentials):
            sign_in(provider, "ada", "wrong")

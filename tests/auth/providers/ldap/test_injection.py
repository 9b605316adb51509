"""A name is only a name: it finds who is really called so, and nobody else."""

import pytest

from auth.errors import WrongCredentials
from auth.providers.ldap.names import dn_key
from tests.auth.providers.ldap.asking import (
    connected_to,
    sign_in,
    subject_in,
    unique,
)
from tests.servers.openldap import PASSWORD, OpenLdapServer

LOGINS = [
    "*", ")(", "a)(uid=*", "\\", "\\2a", "\\\\", "a, b", "Müller", "#hash", "two words", "*)(objectClass=*", "(", "!",
    "a+b=c", 'quo"te', "x;y", "<z>", "日本", "uid=*", "a\\,b", "/", "%s", "{login}", "🦄",
]  # fmt: skip


@pytest.fixture(scope="module")
def people(directory: OpenLdapServer) -> dict[str, str]:
    """Subjects of people who are really called so, by user name."""
    directory.add_group("of-the-curious")
    subjects = {}
    for number, login in enumerate(LOGINS):
        password, email = f"{PASSWORD} {number}", f"curious{number}@acme.example"
        dn = directory.add_person(login, password=password, email=email, name="Curious Name")
        subjects[login] = subject_in(directory, dn)
    return subjects


class TestInjection:
    @pytest.mark.parametrize("login", LOGINS)
    def test_a_user_name_finds_who_is_called_so(
        self, directory: OpenLdapServer, people: dict[str, str], login: str
    ) -> None:
        provider, counted = connected_to(directory), list[str]()
        password = f"{PASSWORD} {LOGINS.index(login)}"
        assert sign_in(provider, login, password, counted).subject == people[login]
        assert counted == [f"{provider.id} {people[login]}"]
        with pytest.raises(WrongCredentials):
            sign_in(provider, login, f"{password}0")

    @pytest.mark.parametrize("login", LOGINS)
    def test_so_does_one_in_a_template(self, directory: OpenLdapServer, people: dict[str, str], login: str) -> None:
        provider = connected_to(directory, user_dn_template=f"uid={{login}},{directory.people}", group_strategy="none")
        assert sign_in(provider, login, f"{PASSWORD} {LOGINS.index(login)}").subject == people[login]

    @pytest.mark.parametrize(
        "login",
        [
            "**", "*a", "a*", ")(uid=*", "*)(uid=*))(|(uid=*", "*))%00", "\\5c", "(|(uid=*))", "cn=*", "*@*",
            "Mu*", "M\\c3\\bcller", "\\23hash", "a\\2c b", "hash", "uid=\\2a", "&", "~=", ">=a", "=*",
            "curious*@acme.example", "*,ou=people,dc=acme,dc=example", "a,b", "a\\", "\\,", "+", "..",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("by_template", [False, True])
    def test_one_that_nobody_has_finds_nobody(
        self, directory: OpenLdapServer, people: dict[str, str], login: str, by_template: bool
    ) -> None:
        template = f"uid={{login}},{directory.people}" if by_template else ""
        provider, counted = connected_to(directory, user_dn_template=template), list[str]()
        with pytest.raises(WrongCredentials):
            sign_in(provider, login, PASSWORD, counted)
        assert by_template or counted == []

    @pytest.mark.parametrize("name", [*LOGINS, "a=b", "team=red", "cn=", "R&D", "x" * 200])
    def test_a_group_is_found_by_its_name_and_by_its_dn(self, directory: OpenLdapServer, name: str) -> None:
        dn = directory.add_group(name)
        provider = connected_to(directory)
        for asked in (name, f" {name} ", dn, dn_key(dn), dn.upper()):
            assert provider.find_group(asked) == (dn_key(dn), name)
        directory.delete(dn)
        for asked in (name, dn):
            with pytest.raises(LookupError):
                provider.find_group(asked)

    @pytest.mark.parametrize(
        "name", ["", " ", "**", "of-the-*", "*)(cn=*", "\0", "\ud800", "cn", "cn=of-the-curious", "\\2a\\"]
    )
    def test_no_group_is_found_by_another_name(
        self, directory: OpenLdapServer, people: dict[str, str], name: str
    ) -> None:
        with pytest.raises(LookupError):
            connected_to(directory).find_group(name)

    def test_a_person_is_no_group(self, directory: OpenLdapServer) -> None:
        dn = directory.add_person(unique("person"))
        with pytest.raises(LookupError):
            connected_to(directory).find_group(dn)

    def test_a_name_that_several_groups_have_finds_none(self, directory: OpenLdapServer) -> None:
        name = unique("twins")
        dns = [directory.add_group(f"{name}{number}") for number in range(2)]
        for dn in dns:
            directory.modify(dn, cn=[name, dn.partition("=")[2].partition(",")[0]])
        with pytest.raises(LookupError, match="several") as caught:
            connected_to(directory).find_group(name)
        assert all(dn in str(caught.value) for dn in dns)

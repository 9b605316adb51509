"""A configuration that is accepted can be used, and one that is not names its fault."""

from typing import Any

import pytest
from pydantic import ValidationError

from auth.providers.ldap import LdapConfiguration
from auth.providers.ldap.configuration import PRESETS, GroupStrategy
from tests.servers.openldap import make_certificates

GIVEN: dict[str, Any] = {"servers": ["ldaps://dc.acme.example"], "base_dn": "dc=acme,dc=example"}
CA, IDENTITY = make_certificates(["localhost"])


def make(**changes: Any) -> LdapConfiguration:
    """A configuration with the least that it takes, and these changes."""
    return LdapConfiguration.model_validate(GIVEN | changes)


class TestPresets:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_servers_and_a_base_are_enough(self, preset: str) -> None:
        made = make(preset=preset)
        assert {name: getattr(made, name) for name in PRESETS[preset]} == dict(PRESETS[preset])
        assert (made.base_of_groups, made.insecure) == ("dc=acme,dc=example", False)

    def test_without_one_it_is_openldap(self) -> None:
        assert make().preset == make(preset="").preset == make(preset=None).preset == "openldap"

    def test_what_is_given_goes_before(self) -> None:
        made = make(preset="active-directory", username_attribute="cn", login_attributes=["cn"])
        assert (made.username_attribute, made.login_attributes, made.subject_attribute) == ("cn", ("cn",), "objectGUID")

    @pytest.mark.parametrize("empty", ["", "  ", None, [], ()])
    def test_what_is_empty_is_the_presets(self, empty: Any) -> None:
        made = make(user_filter=empty, login_attributes=empty, subject_attribute=empty)
        assert made == make()

    def test_false_is_not_empty(self) -> None:
        assert make(nested_groups=False).nested_groups is False

    def test_a_configuration_is_read_back_as_it_was(self) -> None:
        made = make(preset="freeipa", ca_bundle=CA, group_base="ou=groups,dc=acme")
        assert LdapConfiguration.model_validate_json(made.model_dump_json()) == made
        assert hash(LdapConfiguration.model_validate_json(made.model_dump_json())) == hash(made)


class TestFaults:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("preset", "novell"),
            ("preset", ["openldap"]),
            ("preset", 1),
            ("servers", []),
            ("servers", "ldaps://dc.acme.example"),
            ("servers", ["dc.acme.example"]),
            ("servers", ["https://dc.acme.example"]),
            ("servers", ["ldap://"]),
            ("servers", ["ldap://a:99999"]),
            ("servers", ["ldap://a:b"]),
            ("servers", ["ldap://user:password@a"]),
            ("servers", ["ldap://a/dc=acme"]),
            ("servers", ["ldap://a?uid"]),
            ("servers", ["ldap://[::1"]),
            ("servers", ["ldapi:///var/run/ldapi"]),
            ("servers", ["ldap://a"] * 9),
            ("servers", [None]),
            ("ca_bundle", "no certificate"),
            ("ca_bundle", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("ca_bundle", "Ünï"),
            pytest.param("ca_bundle", CA * 500, id="ca_bundle-long"),
            ("ca_bundle", 5),
            ("bind_dn", "admin"),
            ("bind_dn", "cn=admin,"),
            ("user_dn_template", "uid=someone,dc=acme"),
            ("user_dn_template", "uid={login},cn={login},dc=acme"),
            ("user_dn_template", "uid={login},ou={team},dc=acme"),
            ("user_dn_template", "uid={0},dc=acme"),
            ("user_dn_template", "{login}=x,dc=acme"),
            ("user_dn_template", "uid=#{login},dc=acme"),
            ("user_dn_template", "uid={login},dc"),
            ("base_dn", "acme"),
            ("base_dn", "dc=acme," * 300 + "dc=example"),
            ("group_base", "groups"),
            ("user_filter", "objectClass=person"),
            ("user_filter", "(objectClass=person"),
            ("user_filter", "(uid=*)(mail=*)"),
            ("user_filter", "(uid=a))(|(uid=*)"),
            ("user_filter", "()"),
            ("user_filter", "(&)x"),
            ("user_filter", "(" * 1999),
            ("user_filter", "(cn=" + "a" * 2000 + ")"),
            ("group_filter", "(|"),
            ("login_attributes", ["uid)(cn"]),
            ("login_attributes", ["uid;lang-de"]),
            ("login_attributes", ["uid"] * 9),
            ("login_attributes", ["9"]),
            ("email_attributes", ["m ail"]),
            ("name_attributes", ["x" * 65]),
            ("subject_attribute", "entry*"),
            ("username_attribute", "(uid"),
            ("group_member_attribute", "member:1.2:"),
            ("group_strategy", "guess"),
            ("page_size", 0),
            ("page_size", 1001),
            ("timeout", 0),
            ("timeout", 31),
            ("timeout", "soon"),
            ("timeout", float("nan")),
            ("connect_timeout", -1),
            ("connect_timeout", 6),
            ("sync_timeout", 301),
            ("insecure", "maybe"),
            ("nested_groups", "maybe"),
            ("password", "secret"),
            ("bind_password", "secret"),
        ],
    )
    def test_it_is_named(self, field: str, value: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            make(**{field: value})
        [named] = {str(error["loc"][0]) if error["loc"] else error["msg"] for error in caught.value.errors()}
        assert field in named

    @pytest.mark.parametrize("empty", [None, "", " ", []])
    @pytest.mark.parametrize("name", GIVEN)
    def test_what_must_be_given_is_named(self, name: str, empty: Any) -> None:
        with pytest.raises(ValidationError, match=name):
            make(**{name: empty})

    @pytest.mark.parametrize("given", [None, [], "x", 5, {}])
    def test_nonsense_is_a_validation_error(self, given: Any) -> None:
        with pytest.raises(ValidationError):
            LdapConfiguration.model_validate(given)

    def test_it_does_not_change(self) -> None:
        with pytest.raises(ValidationError):
            make().timeout = 30


class TestGood:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("bind_dn", "service@acme.example"),
            ("bind_dn", "ACME\\service"),
            ("bind_dn", "cn=Service\\, Inc.,dc=acme"),
            ("user_dn_template", "uid={login},ou=people,dc=acme"),
            ("user_dn_template", "cn=x+uid={login},dc=acme"),
            ("user_dn_template", "{login}@acme.example"),
            ("user_dn_template", "ACME\\{login}"),
            ("user_filter", "(&(objectClass=person)(!(uid=\\2a))(|(a=b)(c>=1)(d~=e)(f:dn:1.2.3:=g)))"),
            pytest.param("ca_bundle", CA, id="ca_bundle"),
            pytest.param("ca_bundle", CA + IDENTITY[: IDENTITY.index("-----BEGIN PRIVATE")], id="ca_bundle-two"),
            ("group_strategy", "none"),
            ("base_dn", "o=Globex\\, Inc."),
        ],
    )
    def test_it_is_accepted(self, field: str, value: str) -> None:
        assert str(getattr(make(**{field: value}), field)) == value.strip()

    @pytest.mark.parametrize("strategy", GroupStrategy)
    @pytest.mark.parametrize("preset", PRESETS)
    def test_every_preset_takes_every_way_to_groups(self, preset: str, strategy: GroupStrategy) -> None:
        assert make(preset=preset, group_strategy=strategy).group_strategy is strategy

    @pytest.mark.parametrize(
        ("url", "host", "port", "tls"),
        [
            ("ldap://a", "a", 389, False),
            ("ldaps://a", "a", 636, True),
            ("ldap://a:3389/", "a", 3389, False),
            ("ldaps://[::1]:3636", "::1", 3636, True),
            ("  LDAPS://DC.Acme.example ", "dc.acme.example", 636, True),
        ],
    )
    def test_a_server_has_host_port_and_tls(self, url: str, host: str, port: int, tls: bool) -> None:
        [server] = make(servers=[url]).parsed_servers
        assert (server.host, server.port, server.tls) == (host, port, tls)


def test_it_holds_no_secret() -> None:
    names = set(LdapConfiguration.model_fields)
    assert not {name for name in names if "password" in name or "secret" in name}

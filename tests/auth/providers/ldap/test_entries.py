"""What an entry says of a person, whatever it holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.providers.base import ExternalIdentity
from auth.providers.ldap import LdapConfiguration
from auth.providers.ldap.configuration import GroupStrategy
from auth.providers.ldap.conversation import Entry
from auth.providers.ldap.entries import LONGEST_SUBJECT, attributes_of, identity_of, is_disabled, subject, username
from auth.providers.ldap.faults import DirectoryFault, Fault

DN = "uid=ada,dc=acme"
CONFIGURATION = LdapConfiguration(servers=("ldaps://dc.acme.example",), base_dn="dc=acme")
AD = LdapConfiguration(preset="active-directory", servers=("ldaps://dc.acme.example",), base_dn="dc=acme")


def entry(**attributes: Any) -> Entry:
    """An entry with these attributes, each a value or several."""
    return Entry(
        DN, {name.lower(): value if isinstance(value, list) else [value] for name, value in attributes.items()}
    )


def person(**attributes: Any) -> ExternalIdentity:
    """Who an entry with these attributes is."""
    return identity_of(entry(**{"entryUUID": b"u", **attributes}), CONFIGURATION, provider="x", groups=["g"])


def filetime(moment: datetime) -> bytes:
    """A moment as Windows writes it."""
    return str(int((moment - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds() * 10**7)).encode()


class TestPerson:
    def test_everything_is_taken_over(self) -> None:
        found = person(
            uid=b"Ada",
            mail=b"ada@acme.example",
            cn=b"A L",
            displayName="Ada Lövelace".encode(),
            preferredLanguage=b"de",
        )
        assert found == ExternalIdentity(
            provider="x",
            subject="u",
            email="ada@acme.example",
            email_vouched=True,
            name="Ada Lövelace",
            login="Ada",
            place=DN,
            locale="de",
            groups=frozenset({"g"}),
        )

    def test_what_is_missing_is_nothing(self) -> None:
        found = person()
        assert (found.email, found.name, found.login, found.locale, found.disabled) == (None, None, "", None, False)

    def test_the_first_attribute_with_a_value_counts(self) -> None:
        assert person(displayName=b"  ", cn=[b"", b"Ada"]).name == "Ada"

    def test_an_address_has_an_at_sign(self) -> None:
        assert person(mail=[b"none", b"a@b.example", b"c@d.example"]).email == "a@b.example"
        assert person(mail=b"none").email is None

    def test_bytes_that_are_no_text_and_nothing_characters_are_no_danger(self) -> None:
        assert person(cn=b"A\xff\0da").name == "A\ufffdda"

    @given(st.dictionaries(st.sampled_from(attributes_of(CONFIGURATION)), st.lists(st.binary(), max_size=3)))
    def test_nothing_that_an_entry_holds_is_an_error_of_ours(self, attributes: dict[str, list[bytes]]) -> None:
        # The subject is another matter, below.
        found = identity_of(entry(**attributes | {"entryUUID": [b"u"]}), CONFIGURATION, provider="x", groups=())
        assert not any("\0" in text for text in (found.email or "", found.name or "", found.login))


class TestSubject:
    def test_a_guid_is_read_as_one(self) -> None:
        raw = bytes.fromhex("33221100554477668899aabbccddeeff")
        assert subject(entry(objectGUID=raw), AD) == "00112233-4455-6677-8899-aabbccddeeff"

    @pytest.mark.parametrize(
        "values", [[], [b""], [b" "], [b"a", b"b"], [b"a", b"a"], [b"a" * (LONGEST_SUBJECT + 1)], [b"\xff" * 128]]
    )
    def test_nobody_is_known_by_none_several_or_too_much(self, values: list[bytes]) -> None:
        with pytest.raises(DirectoryFault) as caught:
            subject(entry(entryUUID=values), CONFIGURATION)
        assert caught.value.fault is Fault.NO_SUBJECT

    def test_the_longest_is_taken(self) -> None:
        assert len(subject(entry(entryUUID=b"a" * LONGEST_SUBJECT), CONFIGURATION)) == LONGEST_SUBJECT

    def test_it_is_the_configured_attribute_and_no_other(self) -> None:
        with pytest.raises(DirectoryFault):
            subject(entry(entryUUID=b"a"), AD)


class TestUsername:
    def test_it_is_the_configured_attribute(self) -> None:
        assert username(entry(uid=b"a", sAMAccountName=b"b"), AD) == "b"
        assert username(entry(cn=b"a"), AD) == ""


class TestDisabled:
    @pytest.mark.parametrize(
        ("attributes", "disabled"),
        [
            ({}, False),
            ({"userAccountControl": b"512"}, False),
            ({"userAccountControl": b"514"}, True),
            ({"userAccountControl": b"66050"}, True),
            ({"userAccountControl": b"66048"}, False),
            ({"userAccountControl": b"nonsense"}, False),
            ({"accountExpires": b"0"}, False),
            ({"accountExpires": b"9223372036854775807"}, False),
            ({"accountExpires": b"9223372036854775806"}, False),
            ({"accountExpires": b"9" * 40}, False),
            ({"accountExpires": b"1"}, True),
            ({"accountExpires": b"132223104000000000"}, True),
            ({"accountExpires": filetime(datetime.now(UTC) + timedelta(days=1))}, False),
            ({"accountExpires": filetime(datetime.now(UTC) - timedelta(days=1))}, True),
            ({"accountExpires": b"9" * 5000}, False),
            ({"nsAccountLock": b"TRUE"}, True),
            ({"nsAccountLock": b"true"}, True),
            ({"nsAccountLock": b"FALSE"}, False),
            ({"pwdAccountLockedTime": b"000001010000Z"}, True),
            ({"pwdAccountLockedTime": b"20260101000000Z"}, False),  # for a while
        ],
    )
    def test_each_directory_says_it_in_its_own_way(self, attributes: dict[str, bytes], disabled: bool) -> None:
        assert is_disabled(entry(**attributes)) is disabled
        assert person(**attributes).disabled is disabled

    def test_what_is_needed_is_read(self) -> None:
        wanted = attributes_of(AD)
        assert {"objectGUID", "sAMAccountName", "mail", "userAccountControl", "accountExpires"} <= set(wanted)
        assert len(wanted) == len(set(wanted))
        assert "memberOf" not in wanted

    def test_groups_are_read_with_the_entry_only_where_they_are_in_it(self) -> None:
        assert "memberOf" in attributes_of(AD.model_copy(update={"group_strategy": GroupStrategy.MEMBER_OF}))

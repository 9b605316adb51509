"""Two spellings of one name are one name, and two names are never one."""

import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.utils.dn import escape_rdn

from auth.providers.ldap.names import (
    LONGEST_LOGIN,
    dn_key,
    first_value,
    fold,
    is_dn,
    is_login,
    is_text,
    is_within,
    sid_of,
    subject_of,
)

BASE = "ou=groups,dc=acme,dc=example"
AWKWARD = [
    "Müller, Jürgen", "a+b", "#hash", " leading", "trailing ", "back\\slash", 'quo"ted', "a=b", "semi;colon",
    "#0c0161", "<angle>", "ünï cödé", "日本", "*", "(x)", "\\2c", "a\\,b", ",", "#", "\\", "  two  spaces  ",
    "1.2.3", "=",
]  # fmt: skip

names = st.text(
    st.one_of(st.sampled_from('\\,+=;"<># *()#2cé'), st.characters(exclude_categories=["Cs", "Cc", "Cf"])), min_size=1
).filter(lambda text: fold(text) != "")
types = st.sampled_from(["cn", "ou", "uid", "o", "description"])


def in_digits(value: str) -> str:
    """A value of which every byte is an escape."""
    return "".join(f"\\{byte:02x}" for byte in value.encode())


def as_encoding(value: str, tag: int = 0x0C) -> str:
    """A value as the digits of its encoding."""
    raw = value.encode()
    return "#" + bytes([tag, len(raw)]).hex() + raw.hex()


class TestSpellings:
    @given(names, types)
    def test_the_form_of_an_escape_makes_no_difference(self, value: str, kind: str) -> None:
        keys = {dn_key(f"{kind}={spelled},{BASE}") for spelled in (escape_rdn(value), in_digits(value))}
        assert len(keys) == 1

    @given(names)
    def test_case_and_spaces_make_no_difference(self, value: str) -> None:
        plain = escape_rdn(value)
        spelled = f"CN =  {plain} , OU=Groups,DC=ACME , dc=example"
        assert dn_key(spelled) == dn_key(f"cn={plain},{BASE}")

    @given(names, types)
    def test_a_key_is_the_key_of_itself(self, value: str, kind: str) -> None:
        key = dn_key(f"{kind}={escape_rdn(value)},{BASE}")
        assert dn_key(key) == key

    @given(names, names)
    def test_different_values_have_different_keys(self, one: str, other: str) -> None:
        one_key, other_key = (dn_key(f"cn={escape_rdn(value)},{BASE}") for value in (one, other))
        assert one_key != other_key or fold(one) == fold(other)

    @given(names, names)
    def test_a_value_never_becomes_a_part_of_the_name(self, one: str, other: str) -> None:
        whole = dn_key(f"cn={escape_rdn(one)}\\,ou={escape_rdn(other)}")
        assert whole != dn_key(f"cn={escape_rdn(one)},ou={escape_rdn(other)}")
        assert dn_key(f"cn={escape_rdn(one)}\\+ou={escape_rdn(other)}") != dn_key(
            f"cn={escape_rdn(one)}+ou={escape_rdn(other)}"
        )

    @pytest.mark.parametrize("value", AWKWARD)
    def test_an_awkward_value_has_one_key(self, value: str) -> None:
        keys = {dn_key(f"cn={spelled}") for spelled in (escape_rdn(value), in_digits(value), as_encoding(value))}
        assert keys == {dn_key(key) for key in keys}
        assert len(keys) == 1

    def test_awkward_values_are_all_different(self) -> None:
        assert len({dn_key(f"cn={escape_rdn(value)}") for value in AWKWARD}) == len(AWKWARD)

    @pytest.mark.parametrize("value", AWKWARD)
    def test_the_first_value_is_as_people_write_it(self, value: str) -> None:
        assert first_value(f"cn={escape_rdn(value)},{BASE}") == value

    @pytest.mark.parametrize("tag", [0x04, 0x0C, 0x13, 0x14, 0x16])
    def test_digits_stand_for_the_text_that_they_encode(self, tag: int) -> None:
        assert dn_key(f"cn={as_encoding('Red, Team', tag)}") == dn_key("cn=Red\\, Team")

    @pytest.mark.parametrize("value", ["#020105", "#0102", "#0C05ab", "#zz", "#", "#0", "#0c02c328"])
    def test_digits_that_are_no_text_are_refused(self, value: str) -> None:
        assert not is_dn(f"cn={value}")

    def test_digits_and_a_value_that_looks_like_them_are_different(self) -> None:
        assert dn_key("cn=\\#0c0161") != dn_key("cn=#0c0161") == dn_key("cn=a")

    def test_the_order_of_one_components_values_makes_no_difference(self) -> None:
        assert dn_key("cn=a+uid=b+ou=c,o=x") == dn_key("OU=C + CN=A + UID=B,o=x") != dn_key("cn=a+uid=c,o=x")

    def test_the_order_of_components_does(self) -> None:
        assert dn_key("ou=a,ou=b") != dn_key("ou=b,ou=a")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("2.5.4.3=a", "cn=a"),
            ("OID.2.5.4.3=a", "cn=a"),
            ("commonName=a", "cn=a"),
            ("0.9.2342.19200300.100.1.1=a,domainComponent=b", "uid=a,dc=b"),
            ("userId=a,organizationalUnitName=b,2.5.4.10=c", "uid=a,ou=b,o=c"),
            ("surname=a,localityName=b,stateOrProvinceName=c,countryName=d", "sn=a,l=b,st=c,c=d"),
            ("cn=a;ou=b", "cn=a,ou=b"),
            ("cn=a\\20b", "cn=a b"),
            ("cn=\ufb01x", "cn=fix"),
            ("cn=\uff21", "cn=a"),
            ("cn=Müller", "cn=mu\u0308ller"),
            ("cn=M\\c3\\bcller", "cn=MÜLLER"),
            ("cn=a\tb", "cn=a b"),
        ],
    )
    def test_a_further_spelling_is_the_same(self, one: str, other: str) -> None:
        assert dn_key(one) == dn_key(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("cn=a\u200bdmins", "cn=admins"),
            ("cn=a\u00addmins", "cn=admins"),
            ("cn=Straße", "cn=Strasse"),
            ("cn=a,dc=b", "cn=a\\,dc=b"),
            ("cn=a+uid=b", "cn=a\\+uid\\=b"),
            ("cn=a", "ou=a"),
            ("cn=a", "cn=a,dc=b"),
            ("cn=müller", "cn=muller"),
            ("cn=a\\;ou=b", "cn=a;ou=b"),
            ("cn=\\\\2c", "cn=\\2c"),
        ],
    )
    def test_another_name_is_another(self, one: str, other: str) -> None:
        assert dn_key(one) != dn_key(other)


class TestNonsense:
    @given(st.one_of(st.text(), st.text(alphabet='cn=,+;\\#"0 aé\x00\n')))
    def test_it_raises_nothing_but_a_value_error(self, text: str) -> None:
        try:
            key = dn_key(text)
        except ValueError:
            assert not is_dn(text)
        else:
            assert dn_key(key) == key
            first_value(text)

    @pytest.mark.parametrize(
        "text",
        [
            "", " ", ",", "cn", "cn=a,", ",cn=a", "cn=a,,dc=b", "=a", "cn=a+", "+cn=a", "c n=a", "cn=a\\", "cn=a,dc",
            "1.=a", ".1=a", "cn;x=a", "cn=\\c3", "cn=\\ff", '"cn"=a', 'cn="a, b"', "cn=a\\\\\\", "ü=a", "cn\0=a",
        ],
    )  # fmt: skip
    def test_it_is_no_name(self, text: str) -> None:
        assert not is_dn(text)

    @given(st.text(max_size=10_000, alphabet="\\"))
    def test_many_backslashes_are_read_in_no_time(self, text: str) -> None:
        assert is_dn(f"cn=a{text}") == (len(text) % 2 == 0)


class TestPlaces:
    @pytest.mark.parametrize(
        ("dn", "inside"),
        [
            ("cn=a,dc=acme,dc=example", True),
            ("DC=acme, DC=Example", True),
            ("cn=a,dc=example", False),
            ("cn=a,ou=dc\\=acme\\,dc=example", False),
            ("cn=a\\,dc=acme,dc=example", False),
            ("dc=example", False),
            ("cn=a,xdc=acme,dc=example", False),
        ],
    )
    def test_a_name_is_below_its_base_only(self, dn: str, inside: bool) -> None:
        assert is_within(dn, "dc=acme,dc=example") is inside


class TestFold:
    @given(st.text())
    def test_what_is_folded_stays_as_it_is(self, text: str) -> None:
        assert fold(fold(text)) == fold(text)

    @given(st.text(st.characters(max_codepoint=0x24F, exclude_categories=["Cc", "Cf"])))
    def test_case_makes_no_difference(self, text: str) -> None:
        assert fold(text.swapcase()) == fold(text) or unicodedata.normalize("NFKC", text) != text or "ı" in text


class TestLogins:
    @pytest.mark.parametrize(
        "login", ["a", "Müller", "a, b", "*", "#x", "日本", "a\\b", "x" * LONGEST_LOGIN, "a b", "🦄"]
    )
    def test_it_can_be_a_users(self, login: str) -> None:
        assert is_login(login)

    @pytest.mark.parametrize(
        "login",
        [
            "", "x" * (LONGEST_LOGIN + 1), "a\0", "a\nb", "a\x1b[31m", "a\x7f", "a\u200bb", "a\u202eb", "\ufeffa",
            "a\u00ad", "a\u2028b", "a\u2029b", "\ud800", "a\ue000", "\u0378", "a\u0085b",
        ],
    )  # fmt: skip
    def test_it_cannot(self, login: str) -> None:
        assert not is_login(login)

    @pytest.mark.parametrize(("text", "asked"), [("a", True), ("a\0", True), ("", False), ("\ud800", False)])
    def test_half_of_a_character_is_no_text(self, text: str, asked: bool) -> None:
        assert is_text(text) is asked


class TestSubjects:
    def test_a_guid_is_written_as_active_directory_does(self) -> None:
        raw = bytes.fromhex("33221100554477668899aabbccddeeff")
        assert subject_of("objectGUID", raw) == "00112233-4455-6677-8899-aabbccddeeff"
        assert subject_of("OBJECTGUID", raw) == subject_of("objectguid", raw)

    @given(st.uuids())
    def test_every_guid_has_its_own_text(self, guid: uuid.UUID) -> None:
        assert subject_of("objectGUID", guid.bytes_le) == str(guid)

    def test_a_guid_that_is_text_is_text(self) -> None:
        assert subject_of("objectGUID", b"ABC") == "abc"

    def test_text_is_text(self) -> None:
        assert subject_of("entryUUID", b" 6BA7B810-9DAD ") == "6ba7b810-9dad"
        assert subject_of("employeeNumber", "Ü-1".encode()) == "ü-1"

    @pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x01\x05\0\0", b"ABC\0", bytes(16), b"\x0bABC"])
    def test_bytes_are_kept_as_digits(self, raw: bytes) -> None:
        assert subject_of("mS-DS-ConsistencyGuid", raw) == raw.hex()

    @given(st.binary(min_size=16, max_size=16))
    def test_no_subject_holds_what_a_database_refuses(self, raw: bytes) -> None:
        for attribute in ("objectGUID", "entryUUID"):
            assert "\0" not in subject_of(attribute, raw)

    @pytest.mark.parametrize("raw", [b"", b"  "])
    def test_nothing_is_nobody(self, raw: bytes) -> None:
        assert subject_of("entryUUID", raw) == ""


class TestSids:
    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            ("010500000000000515000000010000000200000003000000f4010000", "S-1-5-21-1-2-3-500"),
            ("01020000000000052000000020020000", "S-1-5-32-544"),
            ("010100000000000512000000", "S-1-5-18"),
            ("0100000000000000", "S-1-0"),
        ],
    )
    def test_it_is_written_as_windows_does(self, raw: str, text: str) -> None:
        assert sid_of(bytes.fromhex(raw)) == text

    @given(st.binary(max_size=80))
    def test_what_is_none_raises_a_value_error(self, raw: bytes) -> None:
        if len(raw) >= 8 and len(raw) == 8 + 4 * raw[1]:
            assert sid_of(raw).startswith("S-")
        else:
            with pytest.raises(ValueError, match="security identifier"):
                sid_of(raw)

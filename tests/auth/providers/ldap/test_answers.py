"""What is told of a refused password, and to whom."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.providers.ldap.answers import PASSWORD_POLICY, Answer, operation_fault, read_bind, service_fault
from auth.providers.ldap.faults import DirectoryFault, Fault
from tests.servers.hostile_ldap import tlv

EXPIRED_CONTROL = "2.16.840.1.113730.3.4.4"
EXPIRED, LOCKED, MUST_CHANGE = 0, 1, 2
AD_MESSAGE = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v3839"
UNTOLD = [Answer.RIGHT, Answer.UNKNOWN, Answer.WRONG, Answer.LOCKED]


def result(code: int, message: str = "", **controls: Any) -> dict[str, Any]:
    """The result of an operation, as ldap3 gives it."""
    return {"result": code, "description": "words", "message": message, "controls": controls}


def policy(error: int | None = None, warning: bytes = b"") -> dict[str, Any]:
    """The control of the password policy with that error."""
    parts = [tlv(0xA0, warning)] if warning else []
    parts += [tlv(0x81, bytes([error]))] if error is not None else []
    return {PASSWORD_POLICY: {"value": tlv(0x30, *parts)}}


class TestActiveDirectory:
    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            ("525", Answer.UNKNOWN),
            ("52e", Answer.WRONG),
            ("52E", Answer.WRONG),
            ("530", Answer.OUTSIDE_HOURS),
            ("531", Answer.NOT_FROM_HERE),
            ("532", Answer.PASSWORD_EXPIRED),
            ("533", Answer.DISABLED),
            ("701", Answer.ACCOUNT_EXPIRED),
            ("773", Answer.MUST_CHANGE),
            ("775", Answer.LOCKED),
            ("568", Answer.WRONG),
            ("0", Answer.WRONG),
            ("ffffffffffffffffffff", Answer.WRONG),
        ],
    )
    def test_its_number_says_why(self, data: str, answer: Answer) -> None:
        assert read_bind(result(49, AD_MESSAGE.format(data))) is answer

    @pytest.mark.parametrize("answer", UNTOLD)
    def test_what_is_told_without_the_right_password_has_no_words(self, answer: Answer) -> None:
        assert not answer.message

    @pytest.mark.parametrize("answer", [answer for answer in Answer if answer not in UNTOLD])
    def test_what_is_told_after_it_has_words_of_its_own(self, answer: Answer) -> None:
        words = [str(other.message) for other in Answer if other.message]
        assert words.count(str(answer.message)) == 1


class TestPasswordPolicy:
    @pytest.mark.parametrize(
        ("code", "error", "answer"),
        [
            (0, None, Answer.RIGHT),
            (0, EXPIRED, Answer.RIGHT),  # a grace login
            (0, LOCKED, Answer.RIGHT),
            (0, MUST_CHANGE, Answer.MUST_CHANGE),
            (49, None, Answer.WRONG),
            (49, EXPIRED, Answer.PASSWORD_EXPIRED),
            (49, LOCKED, Answer.LOCKED),
            (49, MUST_CHANGE, Answer.MUST_CHANGE),
            (49, 6, Answer.WRONG),
            (53, EXPIRED, Answer.WRONG),
        ],
    )
    def test_its_control_says_why(self, code: int, error: int | None, answer: Answer) -> None:
        assert read_bind(result(code, **policy(error))) is answer

    @pytest.mark.parametrize("warning", [tlv(0x80, b"\x0a"), tlv(0x81, b"\x02")])
    @pytest.mark.parametrize(("error", "answer"), [(None, Answer.RIGHT), (MUST_CHANGE, Answer.MUST_CHANGE)])
    def test_a_warning_beside_it_changes_nothing(self, warning: bytes, error: int | None, answer: Answer) -> None:
        assert read_bind(result(0, **policy(error, warning))) is answer

    def test_the_older_control_tells_of_an_expired_password(self) -> None:
        assert read_bind(result(49, **{EXPIRED_CONTROL: {"value": b"0"}})) is Answer.PASSWORD_EXPIRED
        assert read_bind(result(0, **{EXPIRED_CONTROL: {"value": b"0"}})) is Answer.RIGHT

    def test_the_older_control_hides_nothing_of_the_newer(self) -> None:
        # 389 DS lets somebody in who has to change the password, and sends both.
        assert read_bind(result(0, **policy(MUST_CHANGE), **{EXPIRED_CONTROL: {"value": b"0"}})) is Answer.MUST_CHANGE

    @given(st.one_of(st.none(), st.binary(), st.binary().map(lambda data: b"\x30" + data)))
    def test_a_control_that_makes_no_sense_says_nothing(self, value: bytes | None) -> None:
        controls = {PASSWORD_POLICY: {"value": value}}
        assert read_bind(result(0, **controls)) in (Answer.RIGHT, Answer.MUST_CHANGE)
        assert read_bind(result(49, **controls)) is not Answer.RIGHT

    def test_a_deeply_nested_control_says_nothing(self) -> None:
        value = b""
        for _ in range(2_000):
            value = tlv(0x30, value)
        assert read_bind(result(49, **{PASSWORD_POLICY: {"value": value}})) is Answer.WRONG

    def test_no_controls_are_none(self) -> None:
        assert read_bind({"result": 0, "controls": None}) is Answer.RIGHT
        assert read_bind({"result": 49}) is Answer.WRONG


class TestCodes:
    @pytest.mark.parametrize("code", [19, 32, 34, 48, 50, 53])
    def test_a_refusal_of_the_person_looks_like_a_wrong_password(self, code: int) -> None:
        assert read_bind(result(code)) is Answer.WRONG

    @pytest.mark.parametrize("code", [1, 2, 3, 7, 8, 10, 13, 51, 52, 80, 999, -1])
    def test_no_other_code_says_anything_of_the_password(self, code: int) -> None:
        with pytest.raises(DirectoryFault):
            read_bind(result(code))

    @given(st.integers())
    def test_only_zero_is_right(self, code: int) -> None:
        try:
            right = read_bind(result(code)) is Answer.RIGHT
        except DirectoryFault:
            right = False
        assert right == (code == 0)

    @pytest.mark.parametrize(
        ("code", "message", "fault"),
        [
            (1, "", Fault.ODD_ANSWER),
            (1, "000004DC: LdapErr: DSID-0C090A5C, comment: a successful bind must be completed", Fault.BIND_NEEDED),
            (3, "", Fault.TIMEOUT),
            (4, "", Fault.TOO_MANY),
            (8, "", Fault.WANTS_TLS),
            (10, "", Fault.REFERRED),
            (11, "", Fault.TOO_MANY),
            (12, "", Fault.NESTING_UNKNOWN),
            (13, "", Fault.WANTS_TLS),
            (32, "", Fault.NO_BASE),
            (34, "", Fault.BASE_SYNTAX),
            (50, "", Fault.NOT_ALLOWED),
            (51, "", Fault.BUSY),
            (52, "", Fault.BUSY),
            (53, "", Fault.BIND_NEEDED),
            (80, "", Fault.ODD_ANSWER),
        ],
    )
    def test_an_operations_code_names_the_fault(self, code: int, message: str, fault: Fault) -> None:
        found = operation_fault(result(code, message))
        assert (found.fault, found.detail) == (fault, f"{code} words {message}".strip())

    @pytest.mark.parametrize(
        ("code", "fault"),
        [
            (34, Fault.BIND_DN_SYNTAX), (19, Fault.BIND_REFUSED), (32, Fault.BIND_REFUSED), (49, Fault.BIND_REFUSED),
            (50, Fault.BIND_REFUSED), (53, Fault.BIND_REFUSED), (8, Fault.WANTS_TLS), (52, Fault.BUSY),
        ],
    )  # fmt: skip
    def test_the_service_accounts_code_names_its_fault(self, code: int, fault: Fault) -> None:
        assert service_fault(result(code)).fault is fault

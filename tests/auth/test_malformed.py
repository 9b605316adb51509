"""Whatever is sent, the answer is never an error of ours."""

import itertools
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auth.helpers import JSON, ask_passkey, payload, start_passkey
from tests.auth.test_second_factor import first_step, set_up_app
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor, sign_in

FIELDS: dict[str, dict[str, Any]] = {
    "/auth/login": {"email": "a@b.example", "password": PASSWORD, "remember": "y", "next": "/"},
    "/auth/verify": {"password": PASSWORD, "next": "/"},
    "/auth/change": {"password": PASSWORD, "new_password": "x" * 9, "new_password_confirm": "x" * 9},
    "/auth/change-email": {"email": "a@b.example"},
    "/auth/reset": {"email": "a@b.example"},
    "/auth/confirm": {"email": "a@b.example"},
    "/auth/tf-setup": {"setup": "authenticator", "phone": ""},
    "/auth/tf-validate": {"code": "123456"},
    "/auth/tf-select": {"which": "authenticator"},
    "/auth/mf-recovery": {"code": "a-b-c"},
    "/auth/mf-recovery-codes": {"generate_new_codes": "y"},
    "/auth/wan-register": {"name": "laptop", "usage": "first"},
    "/auth/wan-signin": {"identity": "", "remember": "y", "next": "/"},
    "/auth/wan-delete": {"name": "laptop"},
    "/auth/wan-verify": {},
    "/auth/logout": {"refresh_token": ""},
    "/account/profile": {"name": "N", "locale": "en", "timezone": "UTC"},
    "/account/language": {"locale": "en"},
    "/language": {"locale": "en"},
}
OPEN_TO_ALL = ("/auth/login", "/auth/reset", "/auth/confirm", "/auth/wan-signin", "/auth/logout", "/language")
SECOND_STEP = ("/auth/tf-validate", "/auth/tf-select", "/auth/mf-recovery")
TEXTS = [
    "", " ", "\0", "a\0b", "x" * 100_000, "😀" * 5000, "\ud7ff\ue000", "\u202e", "'; DROP TABLE users; --", "{{7*7}}",
    "%s%s%n", "../../etc/passwd", "\r\nX-Evil: 1", "-1", "1e999", "[]", "null", "http://[", "é" * 300 + "@b.example",
    "a@" + "b" * 300 + ".example", '"a b"@c.example', "a@[127.0.0.1]", "ａ@ｂ.example",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 10**30, 1.5, [], [None], ["a", "b"], {}, {"a": {"b": []}}, [[[[]]]], "\0", "\ud800",
    "x" * 100_000, "",
]  # fmt: skip
BODIES = [
    "", "null", "true", "1", '"x"', "[]", "[1]", "{", "{]", "[" * 50_000, '{"a":' * 20_000, "\xff", "NaN",
    '{"email": NaN}', '{"email": 1e999}', "{" + '"a":1,' * 1000 + '"b":1}', "1" * 10_000,
]  # fmt: skip


@pytest.fixture(scope="module")
def app(postgres_app: Flask) -> Flask:
    """On PostgreSQL, which takes fewer texts than SQLite does."""
    return postgres_app


@pytest.fixture(autouse=True)
def _unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.throttle.PER_ACCOUNT", 10**6)
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 10**6)


@pytest.fixture
def states(app: Flask, acme: Workspace, steady: None) -> list[tuple[Visitor, dict[str, str], str]]:
    """Browsers in which nobody, somebody and half somebody is signed in; their cookies and tokens."""
    nobody, somebody = Visitor(app, acme.host), sign_in(app, acme)
    set_up_app(app, sign_in(app, acme, "owner"))
    half = first_step(app, acme, "owner")
    found = []
    for visitor in (nobody, somebody, half):
        page = "/auth/tf-validate" if visitor is half else "/auth/login"
        token = visitor.csrf_token() if visitor is not half else _token(half, page)
        found.append((visitor, visitor.cookies(), token))
    return found


def _token(visitor: Visitor, page: str) -> str:
    return payload(visitor.get(page, headers=JSON))["csrf_token"]  # type: ignore[no-any-return]


def in_state(state: tuple[Visitor, dict[str, str], str]) -> tuple[Visitor, dict[str, str]]:
    visitor, cookies, token = state
    visitor.take_cookies(cookies)
    return visitor, {"X-CSRFToken": token}


def send(visitor: Visitor, path: str, headers: dict[str, str], **options: Any) -> int:
    status: int = visitor.client.post(path, base_url=visitor.base, headers=headers, **options).status_code
    return status


def forms(state: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The forms that are looked at in that state; the others are refused before."""
    for path, fields in FIELDS.items():
        if state == 1 or path in OPEN_TO_ALL or (state == 2 and path in SECOND_STEP):
            yield path, fields


def variations(state: int, values: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those forms, with every one of their fields replaced by every value."""
    for path, fields in forms(state):
        for name, value in itertools.product(fields, values):
            yield path, {**fields, name: value}


@pytest.mark.parametrize("state", [0, 1, 2], ids=["nobody", "somebody", "half"])
def test_no_text_in_any_field_is_an_error_of_ours(states: list[Any], state: int) -> None:
    for path, fields in variations(state, TEXTS):
        visitor, headers = in_state(states[state])
        assert send(visitor, path, headers, data=fields) < 500, (path, str(fields)[:200])


@pytest.mark.parametrize("state", [0, 1, 2], ids=["nobody", "somebody", "half"])
def test_no_type_in_any_field_of_a_program_is_an_error_of_ours(states: list[Any], state: int) -> None:
    for path, fields in variations(state, VALUES):
        visitor, headers = in_state(states[state])
        assert send(visitor, path, headers | JSON, json=fields) < 500, (path, str(fields)[:200])


@pytest.mark.parametrize("state", [0, 1, 2], ids=["nobody", "somebody", "half"])
def test_no_body_of_a_program_is_an_error_of_ours(states: list[Any], state: int) -> None:
    for (path, _), body in itertools.product(forms(state), BODIES):
        visitor, headers = in_state(states[state])
        status = send(visitor, path, headers | JSON, data=body.encode("latin-1"), content_type="application/json")
        assert status < 500, (path, body[:50])


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/tf-validate"])
def test_a_body_with_a_question_is_no_error_of_ours(visitor: Visitor, path: str, body: str) -> None:
    answer = visitor.client.get(
        path, base_url=visitor.base, data=body.encode("latin-1"), content_type="application/json", headers=JSON
    )

    assert answer.status_code < 500


def test_a_missing_or_doubled_field_is_no_error_of_ours(states: list[Any]) -> None:
    for state in states:
        for path, fields in FIELDS.items():
            for data in ({}, {name: [value, value] for name, value in fields.items()}):
                visitor, headers = in_state(state)
                assert send(visitor, path, headers, data=data) < 500, (path, data)


def test_a_file_in_place_of_a_field_is_no_error_of_ours(states: list[Any]) -> None:
    for path, fields in FIELDS.items():
        for name in fields:
            visitor, headers = in_state(states[1])
            content = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\nbytes\r\n--x--\r\n'
            kind = "multipart/form-data; boundary=x"
            assert send(visitor, path, headers, data=content.encode(), content_type=kind) < 500, (path, name)


def test_a_body_that_is_too_large_is_refused_as_such(visitor: Visitor) -> None:
    headers = {"X-CSRFToken": visitor.csrf_token()}

    assert send(visitor, "/auth/login", headers, data={"email": "x" * (1024 * 1024)}) == 413


def credentials() -> Iterator[Any]:
    """Answers of an authenticator that none gives."""
    identifier = "AAAA"
    for response in (None, {}, [], "x", {"clientDataJSON": "x"}, {"clientDataJSON": 1, "attestationObject": []}):
        yield {"id": identifier, "rawId": identifier, "type": "public-key", "response": response}
    parts = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "attestationObject": "AA"}
    for value in ("", "AA", "!", "bnVsbA", "x" * 50_000, None, 5, []):
        for name in parts:
            response = {**parts, name: value}
            yield {"id": identifier, "rawId": identifier, "type": "public-key", "response": response}
    for value in (None, 5, [], {}, "", "!", "x" * 5000):
        for name in ("id", "rawId", "type"):
            yield {"id": identifier, "rawId": identifier, "type": "public-key", "response": parts, name: value}
    for handle in ("", "!", None, 5, [], "/w", "x" * 50_000):
        yield {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {**parts, "userHandle": handle}}
    yield from (None, [], {}, 5, "x", [[]])


@pytest.mark.parametrize("step", ["wan-register", "wan-signin", "wan-verify"])
def test_no_answer_of_an_authenticator_is_an_error_of_ours(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    visitor = Visitor(app, acme.host) if step == "wan-signin" else sign_in(app, acme)
    headers = JSON | {"X-CSRFToken": visitor.csrf_token()}
    begun = start_passkey(visitor) if step == "wan-register" else ask_passkey(visitor, step)
    cookies = visitor.cookies()
    monkeypatch.setattr("auth.throttle.first_use", lambda _: True)  # or the answers would not be looked at
    for credential in credentials():
        visitor.take_cookies(cookies)
        body = {"credential": json.dumps(credential)}
        assert send(visitor, f"/auth/{step}/{begun['wan_state']}", headers, json=body) == 400, credential


@pytest.mark.parametrize(
    "path", ["reset", "confirm", "change-email", "tf-setup", "wan-register", "wan-signin", "wan-verify"]
)
def test_no_token_in_an_address_is_an_error_of_ours(app: Flask, acme: Workspace, owner: Visitor, path: str) -> None:
    headers = {"X-CSRFToken": owner.csrf_token()}
    for token in ("x", "a.b.c", "é", "%00", "%ff", "x" * 5000, "WyJ4Il0.awLAuA.x", "....", "%2e%2e", "null", "-"):
        assert owner.get(f"/auth/{path}/{token}").status_code < 500
        assert send(owner, f"/auth/{path}/{token}", headers, data={"password": "x", "code": "1"}) < 500


HEADERS = st.dictionaries(
    st.sampled_from(
        ["Cookie", "Origin", "Referer", "Accept", "User-Agent", "Accept-Language", "Sec-Fetch-Site", "Host"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS)
def test_no_header_is_an_error_of_ours(app: Flask, acme: Workspace, headers: dict[str, str]) -> None:
    client = app.test_client(use_cookies=False)
    for method, path in (("GET", "/auth/login"), ("POST", "/auth/login"), ("GET", "/api/v1/me")):
        answer = client.open(path, method=method, base_url=acme.url, headers={"Host": acme.host} | headers)
        assert answer.status_code < 500


MARKS = "a" + "\u0301\u0327" * 10_000
"""Text of which normalising takes quadratic time: marks in an order that is not theirs."""


def measure(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the texts that are normalised from now on."""
    lengths, normalize = [0], unicodedata.normalize

    def note(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text[:5000])

    monkeypatch.setattr(unicodedata, "normalize", note)
    return lengths


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/login", {"email": "a@b.example", "password": MARKS}),
        ("/auth/login", {"email": MARKS + "@b.example", "password": "x"}),
        ("/auth/reset", {"email": MARKS + "@b.example"}),
        ("/auth/confirm", {"email": MARKS + "@b.example"}),
    ],
)
def test_no_text_of_a_stranger_is_normalised_whatever_its_length(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, str]
) -> None:
    token = visitor.csrf_token()
    lengths = measure(monkeypatch)

    assert visitor.post(path, body, csrf=token).status_code == 200
    assert max(lengths) <= 4096


def test_a_password_that_is_far_too_long_costs_one_hash_and_fails(
    visitor: Visitor, acme: Workspace, hashes: list[str]
) -> None:
    data = {"email": acme.people["member"].email, "password": MARKS}
    assert visitor.post("/auth/login", data).status_code == 200

    assert hashes == ["verify"]
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("field", ["password", "new_password"])
def test_a_password_that_is_far_too_long_is_not_normalised_to_change_it(
    member: Visitor, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    token = member.csrf_token()
    lengths = measure(monkeypatch)
    body = {"password": PASSWORD, "new_password": "x" * 9, "new_password_confirm": "x" * 9, field: MARKS}
    body |= {"new_password_confirm": body["new_password"]}

    assert member.post("/auth/change", body, csrf=token).status_code == 200
    assert max(lengths) <= 4096

"""What is sent is bounded: in size, depth and number of values, before it is looked at."""

import io
import json
from typing import Any

import pytest
from flask import Flask

from auth.json_body import DEEPEST, MOST_MEMBERS, InvalidJson, parse
from tests.auth import sources
from tests.auth.scim.conftest import SETTINGS, provider_for
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

LARGEST = 1024 * 1024
PROJECTS = "/api/v1/projects"


@pytest.fixture
def owner(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "owner")


def post(visitor: Visitor, body: bytes, content_type: str = "application/json", **options: Any) -> int:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    path = options.pop("path", PROJECTS)
    answer = visitor.client.post(
        path, base_url=visitor.base, data=body, content_type=content_type, headers=headers, **options
    )
    return answer.status_code


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_what_is_as_deep_and_as_much_as_allowed_is_read() -> None:
    assert parse(nested(DEEPEST))
    assert len(parse(json.dumps([0] * (MOST_MEMBERS - 1)).encode())) == MOST_MEMBERS - 1
    assert parse(b'{"a": "[[[[' + b"[" * 100 + b',,,"}') == {"a": "[" * 104 + ",,,"}
    assert parse(rb'["\"[", "\\", {"x": [1.5, -2e3, null]}]') == ['"[', "\\", {"x": [1.5, -2000.0, None]}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (nested(DEEPEST + 1), "within each other"),
        (b'{"a":' * 500_000, "within each other"),
        (b"[" * LARGEST, "within each other"),
        (b"[" + b"0," * MOST_MEMBERS + b"0]", "at once"),
        (b"[" + b"{}," * MOST_MEMBERS + b"0]", "at once"),
        (b'"' + b'\\"' * 500_000, "not JSON"),
        (b'"a"' * 300_000, "not JSON"),
        (b"]" * LARGEST, "not JSON"),
        (b"9" * 100_000, "not JSON"),
        (b"1e999", "not JSON"),
        (b"[NaN]", "not JSON"),
        (b"[-Infinity]", "not JSON"),
        (b"", "not JSON"),
        (b'"\xff"', "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
    ],
    ids=[
        "deep", "deep objects", "only beginnings", "many numbers", "many objects", "endless string", "only strings",
        "only ends", "long number", "too large", "no number", "infinite", "nothing", "no text", "another encoding",
    ],
)  # fmt: skip
def test_what_is_more_or_no_json_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidJson, match=said):
        parse(body)


@pytest.mark.parametrize("body", [b'{"name":' * 1000, b'{"name": "x", "y": ' + nested(40) + b"}", b'{"x": 1e999}'])
def test_a_caller_is_told_that_it_cannot_be_read(owner: Visitor, body: bytes) -> None:
    assert post(owner, body) == 400


def test_a_body_has_a_mebibyte_at_most(owner: Visitor) -> None:
    assert post(owner, json.dumps({"name": "x" * LARGEST}).encode()) == 413


def test_a_body_without_a_length_has_so_too(owner: Visitor) -> None:
    body = io.BytesIO(json.dumps({"name": "x" * LARGEST}).encode())
    headers = {"Origin": owner.base, "X-CSRFToken": owner.csrf_token(), "Transfer-Encoding": "chunked"}
    answer = owner.client.post(
        PROJECTS,
        base_url=owner.base,
        input_stream=body,
        content_type="application/json",
        headers=headers,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 413
    assert body.tell() <= LARGEST + 1024 * 64  # it has not been read to the end


URLENCODED = b"name=" + b"x" * LARGEST
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="name"; filename="x"\r\n\r\n' + b"x" * LARGEST + b"\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/x-www-form-urlencoded", URLENCODED), ("multipart/form-data; boundary=b", MULTIPART)],
    ids=["urlencoded", "multipart"],
)
@pytest.mark.parametrize("path", ["/auth/login", "/projects/new", "/oauth/token", "/oauth/revoke"])
def test_a_form_has_so_too(owner: Visitor, path: str, content_type: str, body: bytes) -> None:
    assert post(owner, body, content_type, path=path) == 413


def test_so_has_what_a_directory_sends(app: Flask, acme: Workspace) -> None:
    config_id = sources.add(app, acme, "work", "oidc", SETTINGS, secret="secret")
    provider = provider_for(app, acme, config_id)
    for body, status in (({"userName": "x" * LARGEST}, 413), (json.loads(nested(DEEPEST + 1)), 400)):
        answer = provider.send("POST", "/Users", body)
        assert (answer.status_code, answer.mimetype) == (status, "application/scim+json")

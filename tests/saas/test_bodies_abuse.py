"""Bodies that are not what they seem, and requests that say they are others."""

import gzip
import io
import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import make_workspace
from tests.program import Program, personal_token

PROJECTS = "/api/v1/projects"
MIB = 1024 * 1024
NO_JSON = [
    b'{"name": "a"} x', b'{"name": "a"}{"name": "b"}', b'{"name": "a"}\0', b'{"name": "a",}', b"{'name': 'a'}",
    b'{"name": "a", "name": "b"}', b'{"name": "a\\u0000", "name": "b"}', b'{"name": "b", "n\\u0061me": "a\\u0000"}',
    b'{"name": "a", "x": {"y": 1, "y": 2}}', b'{"name": NaN}', b'{"name": -Infinity}', b'{"name": 1e999}',
    b'{"name": ' + b"9" * 5000 + b"}", b'\xef\xbb\xbf{"name": "a"}', '{"name": "ä"}'.encode("latin-1"),
    '{"name": "a"}'.encode("utf-16"), '{"name": "a"}'.encode("utf-32"), b"[" * 33 + b"]" * 33, b"[" * 900_000,
    b'{"name": "a"', b'"name"', b"null", b"[]", b"", b"\xff", b'{"name": "\\ud800"}', b'{"name": "\ta"}',
    b'{"a":' * 100_000, b"[" + b"0," * 30_000 + b"0]", b"// x\n{}", b'{"name": 0x10}', b'{"name": 01}',
]  # fmt: skip


@pytest.fixture(scope="module")
def program(lone_app: Flask) -> Program:
    """Of one workspace for all: nothing here depends on what there is, nor on the database."""
    return personal_token(lone_app, make_workspace(lone_app), "owner")


def send(program: Program, data: bytes, content_type: str = "application/json", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return program.open("POST", PROJECTS, data=data, content_type=content_type, headers=named)


def chunked(program: Program, path: str, data: bytes, content_type: str = "application/json") -> TestResponse:
    """Send a body whose length is not told, as the server hands it on."""
    environ = program.environ | {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    return program.client.open(
        path,
        method="POST",
        base_url=program.base,
        input_stream=io.BytesIO(data),
        content_type=content_type,
        headers={"Authorization": f"Bearer {program.token}"},
        environ_base=environ,
    )


def problem(answer: TestResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    return answer.status_code, answer.json["type"].partition("#")[2]


@pytest.mark.parametrize("data", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_plain_json_object_is_refused_with_a_reason(program: Program, data: bytes) -> None:
    answer = send(program, data)
    assert problem(answer) == (400, "malformed-request")
    assert "page" not in answer.json["detail"]


def test_a_program_is_told_what_is_wrong_with_its_json(program: Program) -> None:
    assert "at most 32" in send(program, b"[" * 33 + b"]" * 33).json["detail"]
    assert "UTF-8" in send(program, b"\xff").json["detail"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-gzip", "gzip, identity", "nonsense"])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_a_compressed_body_is_refused_whatever_it_holds(program: Program, coding: str, is_compressed: bool) -> None:
    plain = json.dumps({"name": "Apollo"}).encode()
    answer = send(program, gzip.compress(plain) if is_compressed else plain, Content_Encoding=coding)
    assert problem(answer) == (415, "unsupported-media-type")


def test_a_body_of_1_mib_is_taken_and_one_byte_more_is_not(program: Program) -> None:
    start = b'{"name": "Apollo"}'
    assert send(program, start + b" " * (MIB - len(start))).status_code == 201
    assert problem(send(program, start + b" " * (MIB + 1 - len(start)))) == (413, "too-large")


def test_a_body_without_a_length_is_bounded_too(program: Program) -> None:
    start = b'{"name": "Apollo"}'
    assert chunked(program, PROJECTS, start).status_code == 201
    assert chunked(program, PROJECTS, start + b" " * (MIB - 1 - len(start))).status_code == 201
    for size in (MIB + 1, 4 * MIB):
        assert problem(chunked(program, PROJECTS, start + b" " * (size - len(start)))) == (413, "too-large")


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "text/json", "",
     "application/xml", "application/json-seq", "json"],
)  # fmt: skip
def test_another_type_is_refused(program: Program, content_type: str) -> None:
    assert send(program, b'{"name": "Apollo"}', content_type).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])
def test_json_by_another_name_is_json(program: Program, content_type: str) -> None:
    assert send(program, b'{"name": "Apollo"}', content_type).status_code == 201


def test_a_named_charset_changes_nothing(program: Program) -> None:
    answer = send(program, '{"name": "Äpollo"}'.encode(), "application/json; charset=latin-1")
    assert answer.json["name"] == "Äpollo"  # JSON is UTF-8 (RFC 8259, section 11)
    assert send(program, b'{"name": "+AMQ-"}', "application/json; charset=utf-7").json["name"] == "+AMQ-"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/x-www-form-urlencoded", b"expires_at=2030-01-01"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n--x--\r\n',
        ),
    ],
    ids=["form", "parts", "file"],
)
def test_a_form_without_a_length_is_not_taken_for_nothing(program: Program, content_type: str, data: bytes) -> None:
    account = program.post("/api/v1/service-accounts", {"name": "Robot"}).json["id"]
    path = f"/api/v1/service-accounts/{account}/credentials"
    assert chunked(program, path, data, content_type).status_code == 415
    assert program.get(path).json["items"] == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_is_what_it_is(program: Program, name: str) -> None:
    address = f"{PROJECTS}/{program.post(PROJECTS, {'name': 'Apollo'}).json['id']}"
    assert program.get(address, headers={name: "DELETE"}).status_code == 200
    assert program.post(f"{address}?_method=DELETE", {}, headers={name: "DELETE"}).status_code == 405
    assert program.get(address).status_code == 200


@pytest.mark.parametrize(
    ("header", "value"), [("X-Original-URL", "/api/v1/members"), ("X-Rewrite-URL", "/api/v1/members"),
                          ("X-Forwarded-Prefix", "/x"), ("X-Forwarded-Host", "evil.example")],
)  # fmt: skip
def test_an_address_is_what_it_is(program: Program, header: str, value: str) -> None:
    answer: Any = program.post(PROJECTS, {"name": "Apollo"}, headers={header: value})
    assert answer.status_code == 201
    assert answer.headers["Location"].startswith(PROJECTS)


@pytest.mark.parametrize("given", ["x" * 65, "short", "a b c d e f", "<script>alert(1)</script>", "12345678"])
def test_a_request_is_named_by_us_unless_a_trusted_proxy_names_it(program: Program, given: str) -> None:
    answer = program.get(f"{PROJECTS}/nothing", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] != given
    assert answer.json["instance"] == f"urn:request:{answer.headers['X-Request-ID']}"


@pytest.mark.parametrize("chosen", ["", ",", "name,", "name,,id", "NAME", "__class__", "model_fields", "items", "*"])
def test_fields_are_those_that_there_are(program: Program, chosen: str) -> None:
    answer = program.get(PROJECTS, query_string={"fields": chosen})
    assert problem(answer) == (422, "invalid-fields")
    assert answer.json["errors"][0]["field"] == "fields"

"""Where people are sent on to: never to another host."""

from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.auth.helpers import add_passkey, ask_passkey, payload, post_json, set_up_app, token_on
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor

EVIL = "evil.example"
CORPUS = [
    f"http://{EVIL}", f"https://{EVIL}/", f"//{EVIL}", f"///{EVIL}", f"////{EVIL}", f"/////{EVIL}", f"/\\{EVIL}",
    f"\\/{EVIL}", f"\\\\{EVIL}", f"\\\\\\{EVIL}", f"/\\/{EVIL}", f"\\/\\/{EVIL}", f"http:/{EVIL}", f"http:{EVIL}",
    f"http:///{EVIL}", f"http:\\\\{EVIL}", f"https:{EVIL}", f"https:/\\{EVIL}", f" //{EVIL}", f"\t//{EVIL}",
    f"\n//{EVIL}", f"\r\n//{EVIL}", f"/\t/{EVIL}", f"/\n/{EVIL}", f"/\r/{EVIL}", f"\x19//{EVIL}", f"\x0b//{EVIL}",
    f"%2f%2f{EVIL}", f"/%2f{EVIL}", f"/%5c{EVIL}", f"%5c%5c{EVIL}", f"/%09/{EVIL}", f"//{EVIL}%2f..", f"//{EVIL}/%2f..",
    f"//{{host}}@{EVIL}", f"http://{{host}}@{EVIL}", f"http://{{host}}.{EVIL}", f"http://{{host}}:80@{EVIL}",
    f"http://{{host}}\\@{EVIL}", f"http://{EVIL}\\.{{host}}", f"http://{EVIL}#{{host}}", f"http://{EVIL}?{{host}}",
    "http://globex.localhost", "http://localhost", "//localhost:80", "javascript:alert(1)", "JavaScript:alert(1)",
    " javascript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)", "data:text/html,x", "vbscript:x",
    "mailto:x@y.example", "ftp://{host}/", "file:///etc/passwd", "//[::1]", "http://[", "http://[::1", "http://[x]/",
    f"http://{{host}}:99999999@{EVIL}", "http://{host}:99999999", "http://{host}:x", f"/..//{EVIL}", f"/.//{EVIL}",
    f"./{EVIL}", "http://%65vil.example", "http://evil%2eexample", "//evil。example", "//ｅｖｉｌ.example",
    f"/;@{EVIL}", f".{EVIL}", f"@{EVIL}", f":80//{EVIL}", "//", "///", "\\", f"/\u2028/{EVIL}", f"/\u200b/{EVIL}",
    f"//{EVIL}:80", f"//user:pass@{EVIL}", f"http://user@{{host}}@{EVIL}", f"{EVIL}", f"//{EVIL}/..;/", f"/\x00/{EVIL}",
    f"/a\r\nLocation: http://{EVIL}", f"/a%0d%0aLocation:%20http://{EVIL}", f"x:y@{EVIL}", "security.logout", "?", "#",
]  # fmt: skip


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


def leads_to(answer: TestResponse, base: str) -> str:
    """The host on which a browser would arrive: browsers drop white space and turn backslashes."""
    location = answer.headers["Location"]
    cleaned = "".join(character for character in location if character not in "\t\r\n").strip(
        "".join(map(chr, range(0x21)))
    )
    cleaned = cleaned.replace("\\", "/")
    if cleaned.startswith("///"):
        cleaned = "//" + cleaned.lstrip("/")
    parts = urlsplit(urljoin(base + "/auth/login", cleaned))
    assert parts.scheme in ("http", "https"), location
    return parts.netloc


def stays(answer: TestResponse, workspace: Workspace) -> bool:
    assert answer.status_code < 500
    assert len(answer.headers.getlist("Location")) <= 1
    if "Location" not in answer.headers:
        return True
    return leads_to(answer, workspace.url) == workspace.host


def targets(workspace: Workspace) -> list[str]:
    return [target.replace("{host}", workspace.host) for target in CORPUS]


def test_the_corpus_is_large_enough() -> None:
    assert len(set(CORPUS)) >= 80


@pytest.mark.parametrize("place", ["query", "form", "both"])
def test_signing_in_stays_on_the_host(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr("auth.throttle.PER_ACCOUNT", 10_000)
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 10_000)
    anonymous = Visitor(app, acme.host)
    token, kept = anonymous.csrf_token(), anonymous.cookies()
    for target in targets(acme):
        visitor = Visitor(app, acme.host)
        visitor.take_cookies(kept)
        data = {"email": acme.people["member"].email, "password": PASSWORD}
        query = {"next": target} if place != "form" else {}
        form = {"next": target} if place != "query" else {}
        answer = visitor.post("/auth/login", data | form, csrf=token, query_string=query)
        assert stays(answer, acme), (target, answer.headers.get("Location"))


def test_the_second_step_stays_on_the_host(
    app: Flask, acme: Workspace, member: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_app(app, member)
    monkeypatch.setattr("auth.throttle.PER_ACCOUNT", 10_000)
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 10_000)
    monkeypatch.setattr(app.extensions["security"].totp_factory, "verify_totp", lambda **_: True)
    half = Visitor(app, acme.host)
    half.sign_in(acme.people["member"])
    token, kept = token_on(half, "/auth/tf-validate"), half.cookies()
    for target in targets(acme):
        for query, form in (({"next": target}, {}), ({}, {"next": target})):
            visitor = Visitor(app, acme.host)
            visitor.take_cookies(kept)
            answer = visitor.post("/auth/tf-validate", {"code": "1"} | form, csrf=token, query_string=query)
            assert stays(answer, acme), (target, answer.headers.get("Location"))


def test_the_way_to_the_second_step_stays_on_the_host(
    app: Flask, acme: Workspace, member: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_app(app, member)
    anonymous = Visitor(app, acme.host)
    token, kept = anonymous.csrf_token(), anonymous.cookies()
    for target in targets(acme):
        visitor = Visitor(app, acme.host)
        visitor.take_cookies(kept)
        data = {"email": acme.people["member"].email, "password": PASSWORD, "next": target}
        assert stays(visitor.post("/auth/login", data, csrf=token), acme), target


def test_stepping_up_stays_on_the_host(app: Flask, acme: Workspace, member: Visitor) -> None:
    token = member.csrf_token()
    for target in targets(acme):
        for query, form in (({"next": target}, {}), ({}, {"next": target})):
            answer = member.post("/auth/verify", {"password": PASSWORD} | form, csrf=token, query_string=query)
            assert stays(answer, acme), (target, answer.headers.get("Location"))


def test_signing_in_by_passkey_stays_on_the_host(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member, counts=False)
    for target in targets(acme):
        visitor = Visitor(app, acme.host)
        begun = ask_passkey(visitor)
        credential = device.get(begun["credential_options"])
        path = f"/auth/wan-signin/{begun['wan_state']}"
        answer = visitor.post(path, {"credential": credential}, query_string={"next": target})
        assert stays(answer, acme), (target, answer.headers.get("Location"))


def test_a_program_is_told_of_no_other_host_after_a_passkey(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member, counts=False)
    for target in targets(acme)[::5]:
        visitor = Visitor(app, acme.host)
        begun = ask_passkey(visitor)
        body = {"credential": device.get(begun["credential_options"])}
        answer = post_json(visitor, f"/auth/wan-signin/{begun['wan_state']}", body, query_string={"next": target})
        if answer.status_code == 200:
            assert EVIL not in urlsplit(payload(answer)["post_login_url"]).netloc


def test_pages_that_carry_next_along_do_not_fail_on_any(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    for target in targets(acme):
        for path in ("/auth/login", "/auth/wan-signin", "/auth/tf-validate"):
            assert stays(visitor.get(path, query_string={"next": target}), acme), (path, target)


def test_changing_the_language_stays_on_the_host(acme: Workspace, visitor: Visitor) -> None:
    for target in targets(acme)[::4]:
        if "\0" not in target:
            assert stays(visitor.post("/language", {"locale": "es", "next": target}), acme), target

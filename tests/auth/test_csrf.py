"""Unsafe requests: only with our token, and only from our own pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.auth.helpers import JSON
from tests.factories import Workspace
from tests.visitor import Visitor

NIL = "00000000-0000-0000-0000-000000000000"
SAFE = {"GET", "HEAD", "OPTIONS"}


FROM_MACHINES = {
    "oauth.introspect", "oauth.revoke", "oauth.token", "oauth.userinfo", "scim.serve", "sign_in_api.token",
    "sso.backchannel_logout",
}  # fmt: skip
"""Endpoints that other servers send to: they prove themselves by what they send, and read no cookie."""


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


def unsafe_requests(app: Flask) -> Iterator[tuple[str, str]]:
    """Every unsafe method of every address."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FROM_MACHINES:
            continue
        if rule.endpoint.endswith("static"):
            continue
        built = rule.build(dict.fromkeys(rule.arguments, NIL), append_unknown=False)
        assert built is not None
        for method in sorted((rule.methods or set()) - SAFE):
            yield method, built[1]


def send(visitor: Visitor, path: str, method: str = "POST", **options: Any) -> TestResponse:
    return visitor.client.open(path, method=method, base_url=visitor.base, **options)


def test_nothing_else_is_exempt(app: Flask) -> None:
    marked = {name for name, view in app.view_functions.items() if getattr(view, "from_machines", False)}
    assert marked == FROM_MACHINES


@pytest.mark.parametrize("role", ["owner", None])
def test_nothing_is_changed_without_a_token(
    app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, role: str | None
) -> None:
    browser = owner if role else visitor
    token_only = {"Origin": browser.base}
    browser.csrf_token()
    for method, path in unsafe_requests(app):
        for options in ({}, {"data": {"csrf_token": "x"}}, {"json": {}}, {"headers": JSON}):
            headers = token_only | options.pop("headers", {})  # type: ignore[arg-type]
            answer = send(browser, path, method, headers=headers, **options)
            refused = {400} if role else {400, 302, 401, 403}
            assert answer.status_code in refused or (answer.status_code, path) == (403, "/auth/tf-rescue"), (
                method,
                path,
            )
            if answer.status_code == 302:
                assert answer.location.startswith("/auth/login"), (method, path)
    assert owner.is_signed_in()


@pytest.mark.parametrize(
    "origin",
    [
        "null", "http://evil.example", "http://globex.localhost", "http://evil.{host}", "https://{host}",
        "http://{host}.evil.example", "http://{host}:8080", "http://user@{host}", "http://localhost", "", "http://[",
        "{host}", "file://", "http://{host}:99999999", "http://évil.example",
    ],
)  # fmt: skip
def test_nothing_is_changed_from_elsewhere_although_the_token_is_right(
    app: Flask, acme: Workspace, owner: Visitor, origin: str
) -> None:
    token, foreign = owner.csrf_token(), origin.replace("{host}", acme.host)
    for method, path in unsafe_requests(app):
        answer = send(owner, path, method, data={"csrf_token": token}, headers={"Origin": foreign})
        assert answer.status_code in (400, 403), (method, path)
    assert owner.is_signed_in()


def answer_to(visitor: Visitor, **headers: str) -> int:
    """The status of a harmless form, sent with these headers."""
    data = {"csrf_token": visitor.csrf_token(), "locale": "es"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(visitor, "/account/language", data=data, headers=named).status_code


def test_a_form_from_our_own_page_is_taken(member: Visitor) -> None:
    assert answer_to(member, Origin=member.base) == 302


def test_an_origin_is_ours_in_any_case(member: Visitor) -> None:
    assert answer_to(member, Origin=member.base.upper().replace("HTTP", "http")) == 302


@pytest.mark.parametrize("page", ["/", "/account/?x=http://evil.example", ""])
def test_without_an_origin_the_referrer_counts(member: Visitor, page: str) -> None:
    assert answer_to(member, Referer=member.base + page) == 302


@pytest.mark.parametrize(
    "referrer", ["http://evil.example/{host}", "http://globex.localhost/", "https://{host}/", "x", "http://["]
)
def test_a_referrer_from_elsewhere_is_refused(member: Visitor, acme: Workspace, referrer: str) -> None:
    assert answer_to(member, Referer=referrer.replace("{host}", acme.host)) == 400


def test_a_foreign_origin_is_not_outweighed_by_the_referrer(member: Visitor) -> None:
    assert answer_to(member, Origin="http://evil.example", Referer=member.base + "/") == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "x"])
def test_a_browser_that_says_it_comes_from_elsewhere_is_believed(member: Visitor, site: str) -> None:
    assert answer_to(member, Sec_Fetch_Site=site) == 400


def test_who_says_nothing_at_all_is_no_browser(member: Visitor) -> None:
    assert answer_to(member) == 302
    assert answer_to(member, Sec_Fetch_Site="same-origin") == 302


def test_a_token_of_another_browser_is_refused(member: Visitor, owner: Visitor) -> None:
    data = {"csrf_token": owner.csrf_token(), "locale": "es"}
    member.csrf_token()

    assert send(member, "/account/language", data=data, headers={"Origin": member.base}).status_code == 400


def test_a_token_in_the_address_does_not_count(member: Visitor) -> None:
    answer = send(
        member,
        f"/account/language?csrf_token={member.csrf_token()}",
        data={"locale": "es"},
        headers={"Origin": member.base},
    )

    assert answer.status_code == 400


def test_a_token_in_a_header_counts_for_programs(member: Visitor) -> None:
    headers = {"Origin": member.base, "X-CSRFToken": member.csrf_token()}

    assert send(member, "/account/language", data={"locale": "es"}, headers=headers).status_code == 302


def test_a_refused_form_changes_nothing_in_the_session(member: Visitor) -> None:
    before = member.cookies()
    send(member, "/auth/logout", headers={"Origin": "http://evil.example"})

    assert member.cookies() == before
    assert member.is_signed_in()


def test_nobody_is_signed_in_from_a_page_elsewhere(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    """Signing a victim in as the attacker is an attack too."""
    person = acme.people["member"]
    data = {"email": person.email, "password": person.password, "csrf_token": visitor.csrf_token()}

    assert send(visitor, "/auth/login", data=data, headers={"Origin": "http://evil.example"}).status_code == 400
    assert not visitor.is_signed_in()

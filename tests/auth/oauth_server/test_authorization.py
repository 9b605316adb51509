"""/oauth/authorize: what is refused, what is told to the app, and what to the person only (RFC 9700, OIDC Core 3.1)."""

import re
import time

import pytest
from flask import Flask

from auth import policy_changes
from auth.client_models import AuthorizationCode, Consent
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import BACK, allow, answered, obtain, register, row_of
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

FOREIGN = (
    "https://evil.example/", "https://app.example/back/", "https://app.example/back?x=1", "https://app.example/back#x",
    "https://app.example/BACK", "https://app.example:443/back", "http://app.example/back", "//app.example/back",
    "https://app.example@evil.example/back", "https://app.example.evil.example/back", "https://app.example/back\\@evil",
    "https://app.example/back/../x", "https://app.example/%62ack", "https://app.example", "/back",
    "javascript:alert(1)",
    'https://app.example/back"onload="x', " https://app.example/back", "https://app.example/back\t", "",
    "////evil.example",
    "https:app.example/back", "http://127.0.0.1/back", "data:text/html,x", "https://APP.example/back",
)  # fmt: skip


def test_nobody_is_sent_to_an_address_that_the_app_has_not_registered(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    for address in FOREIGN:
        for query in ({}, {"response_type": "token"}, {"prompt": "none"}):
            answer = member.get(program.ask(redirect_uri=address, **query))
            assert answer.status_code == 400, address
            assert "Location" not in answer.headers
            assert "evil" not in answer.text


LOCAL = (
    ("http://127.0.0.1:51004/done", True), ("http://127.0.0.1/done", True), ("http://127.0.0.1:0/done", False),
    ("http://127.0.0.1:99999/done", False), ("http://127.0.0.1:51004/other", False),
    ("http://127.0.0.2/done", False),
    ("http://127.0.0.1:5@evil.example/done", False), ("http://localhost:51004/done", False),
    ("https://127.0.0.1/done", False), ("http://127.0.0.1:51004/done?x=1", False), ("http://[::1]:51004/done", False),
)  # fmt: skip


def test_a_program_on_the_persons_machine_returns_to_any_port(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme, redirects=["http://127.0.0.1/done"], auth_method="none")
    for given, taken in LOCAL:
        assert member.get(program.ask(redirect_uri=given)).status_code == (200 if taken else 400), given


WRONG: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": None}, "unsupported_response_type"),
    ({"response_type": 'code"\\'}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"response_mode": "form_post"}, "invalid_request"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge": "=" * 43}, "invalid_request"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "openid workspace:manage"}, "invalid_scope"),
    ({"scope": "openid no:such"}, "invalid_scope"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "dance"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"nonce": "n" * 300}, "invalid_request"),
    ({"request": "x.y.z"}, "request_not_supported"),
    ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
    ({"prompt": "none"}, "consent_required"),
)  # fmt: skip


def test_the_app_is_told_what_is_wrong_with_its_request(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    for changed, error in WRONG:
        answer = member.get(program.ask(**{"scope": "openid project:read"} | changed))
        assert answer.status_code == 303, answer.text
        assert answer.location.startswith(f"{BACK}?")
        told = answered(answer.location)
        assert told["error"] == error
        assert told["state"] == program.state
        assert told["iss"] == acme.url
        assert "code" not in told


def test_an_app_that_wants_no_page_is_told_that_nobody_is_signed_in(
    app: Flask, acme: Workspace, visitor: Visitor
) -> None:
    program = register(app, acme)
    assert answered(visitor.get(program.ask(prompt="none")).location)["error"] == "login_required"


def test_a_parameter_that_is_given_twice_is_told_to_nobody_but_the_person(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    for more in (
        "&state=2",
        "&redirect_uri=https://evil.example/",
        "&client_id=x",
        "&code_challenge=x",
        "&scope=openid",
    ):
        assert member.get(program.ask() + more).status_code == 400


def test_an_app_that_is_not_known_or_switched_off_or_of_another_workspace_is_told_nothing(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    foreign, off = register(app, globex), register(app, acme)
    with inside(app, acme):
        row_of(off).active = False
    for path in (foreign.ask(), off.ask(), off.ask(client_id="nobody"), off.ask(client_id=None)):
        answer = member.get(path)
        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert "no such app" in answer.text


def test_the_answer_names_the_workspace_that_gives_it(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    told = answered(allow(member, program))
    assert (told["iss"], told["state"]) == (acme.url, program.state)
    denied = answered(member.post(program.ask("openid project:create"), {"decision": "deny"}).location)
    assert (denied["error"], denied["iss"], denied["state"]) == ("access_denied", acme.url, program.state)


def test_who_is_not_signed_in_signs_in_and_comes_back(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    program, person = register(app, acme), acme.people["member"]
    path = program.ask()
    away = visitor.get(path)
    assert away.status_code == 302
    assert away.location.startswith("/auth/login?next=")
    data = {"email": person.email, "password": person.password}
    back = visitor.post(away.location, data)
    assert back.status_code == 302, back.text
    page = visitor.get(back.location)
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found is not None
    assert found[1].replace("&amp;", "&") == path
    assert visitor.get(path).status_code == 200


def test_consent_is_given_by_our_own_page_only(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    path, data = program.ask(), {"decision": "allow"}
    assert member.post(path, data, csrf="").status_code == 400
    assert member.post(path, data, headers={"Origin": "https://evil.example"}).status_code == 400
    assert member.get(path + "&decision=allow").status_code == 200
    assert member.post(path, {}).location.startswith(f"{BACK}?error=access_denied")
    with inside(app, acme) as session:
        assert not session.query(Consent).all()


def test_the_page_is_framed_by_nobody_and_leads_to_the_app_only(app: Flask, acme: Workspace, member: Visitor) -> None:
    page = member.get(register(app, acme).ask())
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' https://app.example;" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "form-action 'self';" in member.get("/account/").headers["Content-Security-Policy"]


def test_the_page_names_what_is_given_and_what_the_person_does_not_hold(app: Flask, acme: Workspace) -> None:
    program, viewer = register(app, acme, name="Pl<b>anner"), sign_in(app, acme, "viewer")
    page = viewer.get(program.ask("openid email project:read project:create")).text
    assert "Pl&lt;b&gt;anner" in page
    given, _asks, rest = page.partition("It is not given:")
    assert "project:read" in given
    assert "See your e-mail address." in given
    assert "project:create" in rest
    assert "project:create" not in given.partition("<main")[2]


def test_the_page_names_it_in_the_language_of_the_person(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    page = member.get(program.ask("openid email project:read"), headers={"Accept-Language": "es"}).text
    assert "Ver tu dirección de correo" in page
    assert "See your e-mail address." not in page


def test_nobody_gives_what_they_do_not_hold(app: Flask, acme: Workspace) -> None:
    program, viewer = register(app, acme), sign_in(app, acme, "viewer")
    tokens = obtain(viewer, program, "project:read project:create")
    assert tokens["scope"] == "project:read"


def test_who_holds_nothing_of_what_is_asked_can_only_go_back(app: Flask, acme: Workspace) -> None:
    program, viewer = register(app, acme), sign_in(app, acme, "viewer")
    page = viewer.get(program.ask("project:create"))
    assert 'value="allow"' not in page.text
    back = viewer.post(program.ask("project:create"), {"decision": "allow"})
    assert answered(back.location)["error"] == "access_denied"


def test_a_prompt_for_consent_asks_again(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    obtain(member, program)
    assert member.get(program.ask()).status_code == 303
    assert member.get(program.ask(prompt="none")).status_code == 303
    assert member.get(program.ask(prompt="consent")).status_code == 200


def test_a_program_that_anybody_could_be_is_asked_about_each_time(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme, redirects=["http://127.0.0.1/done"], auth_method="none")
    obtain(member, program)
    assert member.get(program.ask()).status_code == 200


@pytest.mark.parametrize("wanted", [{"prompt": "login"}, {"max_age": "0"}])
def test_an_app_can_have_the_person_prove_once_more_who_they_are(
    app: Flask, acme: Workspace, member: Visitor, wanted: dict[str, str | None]
) -> None:
    program, before = register(app, acme), time.time()
    path = program.ask(**wanted)
    assert member.get(program.ask(prompt="none", max_age="0")).location.count("login_required") == 1
    away = member.get(path)
    assert away.status_code == 302
    assert away.location.startswith("/auth/verify?next=")
    assert member.get(path).location == away.location
    proved = member.post(away.location, {"password": acme.people["member"].password})
    assert proved.status_code == 302, proved.text
    assert proved.location.startswith("/oauth/resume?")
    assert member.get(path).status_code == 200
    location = member.post(path, {"decision": "allow"}).location
    assert "code" in answered(location)
    with inside(app, acme) as session:
        code = session.query(AuthorizationCode).one()
        assert code.signed_in_at.timestamp() >= before
    assert member.get(path).location.startswith("/auth/verify")


def test_a_sign_in_that_is_recent_enough_will_do(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert member.get(register(app, acme).ask(max_age="600")).status_code == 200


def test_who_has_to_set_a_second_factor_up_allows_nothing_before(app: Flask, acme: Workspace) -> None:
    program, member = register(app, acme), sign_in(app, acme, "member")
    with inside(app, acme):
        policy_changes.change_policy({"second_factor": "all"}, actor=None)
    assert member.get(program.ask()).location == "/auth/tf-setup"
    assert answered(member.get(program.ask(prompt="none")).location)["error"] == "interaction_required"


def test_a_code_and_a_consent_are_rows_without_secrets(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    code = answered(allow(member, program))["code"]
    with inside(app, acme) as session:
        row = session.query(AuthorizationCode).one()
        assert code not in str(vars(row))
        assert row.redirect_uri == BACK

"""How a client proves that it is itself: its secret, or a signed assertion that counts once (RFC 7523, section 3)."""

import base64
import hmac
import json
import time
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from auth import clients, throttle, token_secrets
from auth.errors import InvalidClient
from auth.oauth_server import client_keys, proofs
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import Program, employ, register, row_of
from tests.factories import Workspace

ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}
KEY = ECKey.generate_key("P-256", auto_kid=True)
RSA = RSAKey.generate_key(2048, auto_kid=True)


def assertion(program: Program, key: Any = None, alg: str = "ES256", **changed: Any) -> str:
    moment = int(time.time())
    claims = {
        "iss": program.client_id, "sub": program.client_id, "aud": program.token_url, "iat": moment,
        "exp": moment + 60, "jti": token_secrets.make("j"),
    }  # fmt: skip
    header = {"alg": alg} | changed.pop("header", {})
    left = {name: value for name, value in (claims | changed).items() if value is not None}
    return jwt.encode(header, left, key or program.key, algorithms=[alg])


def ask(program: Program, text: str, **more: str) -> tuple[int, str]:
    data = GRANT | {"client_assertion_type": ASSERTED, "client_assertion": text} | more
    answer = program.post("/oauth/token", data)
    return answer.status_code, answer.get_json().get("error", "")


FAILED = (401, "invalid_client")


def test_an_assertion_counts_once(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer", key=KEY)
    text = assertion(robot)
    assert ask(robot, text) == (200, "")
    assert ask(robot, text) == FAILED
    assert ask(robot, assertion(robot, aud=acme.url)) == (200, "")
    assert ask(robot, assertion(robot, aud=[acme.url])) == (200, "")


def test_an_assertion_that_says_something_else_is_refused(app: Flask, acme: Workspace, globex: Workspace) -> None:
    robot, other = employ(app, acme, "viewer", key=KEY), employ(app, acme, "admin", key=RSA)
    moment = int(time.time())
    wrong: dict[str, dict[str, Any]] = {
        "over": {"exp": moment - 120}, "endless": {"exp": None}, "a year": {"exp": moment + 365 * 86400},
        "no number": {"exp": "soon"}, "not yet": {"nbf": moment + 600}, "from the future": {"iat": moment + 600},
        "another's": {"iss": other.client_id}, "as another": {"sub": other.client_id, "iss": other.client_id},
        "for another workspace": {"aud": globex.url}, "for two": {"aud": [acme.url, globex.url]},
        "for nobody": {"aud": None}, "for an empty list": {"aud": []}, "no jti": {"jti": None},
        "a jti without text": {"jti": 7}, "an endless jti": {"jti": "j" * 300}, "nobody": {"sub": None},
        "a list": {"sub": [robot.client_id]}, "another key's name": {"header": {"kid": "other"}},
    }  # fmt: skip
    for name, changed in wrong.items():
        assert ask(robot, assertion(robot, **changed)) == FAILED, name
    for text in ("", "x", "x.y.z", "....", "é.é.é", "e30.e30.", "a" * 10_000):
        assert ask(robot, text) == FAILED, text[:20]


def test_a_public_key_is_no_secret_and_no_signature_is_none(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer", key=RSA)
    stranger = ECKey.generate_key("P-256")
    assert ask(robot, assertion(robot, alg="RS256")) == (200, "")
    assert ask(robot, assertion(robot, key=stranger)) == FAILED
    assert ask(robot, assertion(robot, key=stranger, header={"jwk": stranger.as_dict(private=False)})) == FAILED
    signed = assertion(robot, alg="RS256").split(".")
    hmac_header = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    text = f"{hmac_header}.{signed[1]}"
    for public in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        mac = base64.urlsafe_b64encode(hmac.digest(public, text.encode(), "sha256")).decode().rstrip("=")
        assert ask(robot, f"{text}.{mac}") == FAILED
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert ask(robot, f"{none}.{signed[1]}.") == FAILED
    assert ask(robot, f"{none}.{signed[1]}.{signed[2]}") == FAILED


def test_a_client_proves_itself_in_its_own_way_only(app: Flask, acme: Workspace) -> None:
    keyed, secret = employ(app, acme, "viewer", key=KEY), employ(app, acme, "viewer")
    open_ = register(app, acme, auth_method=clients.NONE)
    assert ask(secret, assertion(secret, key=KEY)) == FAILED
    for program in (keyed, secret, open_):
        for given in ({}, {"client_secret": ""}, {"client_secret": "x"}, {"client_secret": secret.secret}):
            if program is secret and given == {"client_secret": secret.secret}:
                continue
            answer = program.post("/oauth/token", GRANT | {"client_id": program.client_id} | given)
            assert (answer.status_code, answer.get_json()["error"]) == FAILED, given


def test_two_proofs_at_once_are_refused(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    basic = base64.b64encode(f"{robot.client_id}:{robot.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    assert robot.post("/oauth/token", GRANT, headers=headers).status_code == 200
    answer = robot.post("/oauth/token", robot.own(GRANT), headers=headers)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


def test_a_failure_says_the_same_whatever_was_wrong(app: Flask, acme: Workspace, globex: Workspace) -> None:
    robot, foreign = employ(app, acme, "viewer"), employ(app, globex, "viewer")
    tries = [
        robot.post("/oauth/token", GRANT),
        robot.post("/oauth/token", GRANT | {"client_id": "nobody", "client_secret": robot.secret}),
        robot.post("/oauth/token", robot.own(GRANT) | {"client_secret": token_secrets.make(token_secrets.CLIENT)}),
        robot.post("/oauth/token", foreign.own(GRANT)),
        robot.post("/oauth/token", GRANT, headers={"Authorization": "Basic /w=="}),
        robot.post("/oauth/token", GRANT, headers={"Authorization": "Basic ?"}),
        robot.post("/oauth/token", GRANT, headers={"Authorization": "Bearer x"}),
    ]
    assert {(answer.status_code, answer.data) for answer in tries} == {(401, tries[0].data)}
    assert tries[0].headers["WWW-Authenticate"] == 'Basic realm="oauth"'


def test_a_secret_that_is_renewed_ends_the_former_one(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    with inside(app, acme):
        fresh = clients.renew_secret(row_of(robot), actor=None)
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 401
    robot.secret = fresh
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 200


def test_guesses_are_slowed_down(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = employ(app, acme, "viewer")
    monkeypatch.setattr(proofs, "MOST_FAILURES", 2)
    guess = robot.own(GRANT) | {"client_secret": "x"}
    statuses = [robot.post("/oauth/token", guess).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert throttle.WINDOW.total_seconds() > 0
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 200  # who is right is never held up


def test_a_credential_with_two_keys_takes_both(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer", key=KEY)
    newer = ECKey.generate_key("P-384", auto_kid=True)
    with inside(app, acme):
        row_of(robot).jwks = client_keys.usable({"keys": [KEY.as_dict(private=False), newer.as_dict(private=False)]})
    assert ask(robot, assertion(robot)) == (200, "")
    assert ask(robot, assertion(robot, key=newer, alg="ES384", header={"kid": newer.kid})) == (200, "")


@pytest.mark.parametrize(
    "given",
    [
        None, {}, {"keys": []}, {"keys": "x"}, [], {"keys": [7]}, {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [KEY.as_dict(private=True)]}, {"keys": [{"kty": "RSA", "n": "w" * 171, "e": "AQAB"}]},
        {"keys": [KEY.as_dict(private=False) | {"use": "enc"}]}, {"keys": [{"kty": "EC", "crv": "P-256", "x": "x"}]},
        {"keys": [KEY.as_dict(private=False)] * 11},
        {"keys": [ECKey.generate_key("secp256k1").as_dict(private=False)]},
    ],
    ids=range(13),
)  # fmt: skip
def test_only_public_keys_that_are_strong_enough_are_taken(lone_app: Flask, given: Any) -> None:
    with lone_app.test_request_context(), pytest.raises(InvalidClient) as refused:
        client_keys.usable(given)
    assert refused.value.field == "jwks"

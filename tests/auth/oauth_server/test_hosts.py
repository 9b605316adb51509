"""A workspace with a host of its own: each host is an issuer, and a token is the workspace's on all of them."""

import base64
import json
import secrets
import time
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import delete

from tenants.context import bound
from tenants.db import now
from tenants.models import Domain
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import Program, allow, answered, employ, obtain, register
from tests.factories import Workspace
from tests.program import Program as Api
from tests.program import personal_token, signed_in_program
from tests.statements import counted
from tests.visitor import Visitor

DOCUMENTS = ("oauth-authorization-server", "openid-configuration", "oauth-protected-resource")
ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    """A further host of acme's."""
    host = f"{secrets.token_hex(6)}.example"
    give(app, acme, host)
    return host


@pytest.fixture
def there(app: Flask, acme: Workspace, domain: str) -> Visitor:
    """A browser in which acme's member is signed in on the further host."""
    visitor = Visitor(app, domain)
    assert visitor.sign_in(acme.people["member"]).status_code == 302
    return visitor


def give(app: Flask, workspace: Workspace, host: str) -> None:
    with inside(app, workspace) as session:
        session.add(Domain(host=host, tenant_id=workspace.tenant.id, verified_at=now()))


def move(app: Flask, host: str, before: Workspace, after: Workspace) -> None:
    with app.app_context(), bound(before.tenant) as session:
        session.delete(session.get_one(Domain, host))
    give(app, after, host)


def at(program: Program, host: str) -> Program:
    """The same program, set up for another host."""
    return Program(
        program.app, host, program.id, program.client_id, program.secret, program.key, program.redirect_uri,
        verifier=program.verifier, state=program.state,
    )  # fmt: skip


def claims_in(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def calls(app: Flask, host: str, token: str) -> int:
    return Api(app, host, token).get("/api/v1/projects").status_code


def test_each_host_describes_itself(app: Flask, acme: Workspace, domain: str) -> None:
    for host in (acme.host, domain):
        url, visitor = f"http://{host}", Visitor(app, host)
        for document in DOCUMENTS:
            told = visitor.get(f"/.well-known/{document}").get_json()
            assert told.get("issuer", url) == told.get("resource", url) == url
            others = [value for value in told.values() if isinstance(value, str) and not value.startswith(url)]
            assert not others, document
            assert told.get("authorization_servers", [url]) == [url]
        refused = visitor.get("/api/v1/me").headers["WWW-Authenticate"]
        assert f'resource_metadata="{url}/.well-known/' in refused


def test_both_have_the_same_keys(app: Flask, acme: Workspace, domain: str) -> None:
    signed_in_program(app, acme)
    first, second = (Visitor(app, host).get("/.well-known/jwks.json").get_json() for host in (acme.host, domain))
    assert first == second
    assert first["keys"]


@pytest.mark.parametrize("written", ["{}:8123", "{}.", "upper"])
def test_a_host_is_one_issuer_however_it_is_written(app: Flask, acme: Workspace, written: str) -> None:
    host = acme.host.upper() if written == "upper" else written.format(acme.host)
    told = Visitor(app, host).get("/.well-known/openid-configuration").get_json()
    assert told["issuer"] == acme.url


def test_the_answer_and_the_tokens_name_the_issuer_that_is_described(
    app: Flask, acme: Workspace, domain: str, there: Visitor
) -> None:
    program = at(register(app, acme), domain)
    issuer = there.get("/.well-known/oauth-authorization-server").get_json()["issuer"]
    told = answered(allow(there, program))
    assert told["iss"] == issuer == f"http://{domain}"
    denied = answered(there.post(program.ask("openid project:create"), {"decision": "deny"}).location)
    assert denied["iss"] == issuer
    tokens = program.redeem(told["code"]).get_json()
    keys = KeySet.import_key_set(there.get("/.well-known/jwks.json").get_json())
    id_token = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    assert (id_token["iss"], id_token["aud"]) == (issuer, program.client_id)
    known = program.post("/oauth/introspect", program.own({"token": tokens["access_token"]})).get_json()
    assert (known["iss"], known["aud"]) == (issuer, issuer)


def test_a_token_counts_on_each_host_of_its_workspace_and_on_no_other(
    app: Flask, acme: Workspace, globex: Workspace, domain: str, there: Visitor
) -> None:
    program = register(app, acme)
    lent = obtain(there, at(program, domain))
    ours, theirs = signed_in_program(app, acme), Api(app, domain)
    assert theirs.sign_in(acme.people["member"]).status_code == 200
    assert claims_in(ours.token)["iss"] == acme.url
    assert (claims_in(theirs.token)["iss"], claims_in(theirs.token)["aud"]) == (
        f"http://{domain}", f"http://{domain}/api",
    )  # fmt: skip
    signed_in_program(app, globex)
    for token in (ours.token, theirs.token, personal_token(app, acme).token, lent["access_token"]):
        assert [calls(app, host, token) for host in (acme.host, domain, globex.host)] == [200, 200, 401]
    assert program.refresh(lent["refresh_token"]).status_code == 200
    assert Api(app, acme.host).refresh(theirs.refresh_token).status_code == 200
    assert Api(app, globex.host).refresh(ours.refresh_token).status_code == 401


def test_a_host_that_another_workspace_gets_takes_no_token_along(
    app: Flask, acme: Workspace, globex: Workspace, domain: str, there: Visitor
) -> None:
    program = register(app, acme)
    lent, personal = obtain(there, at(program, domain)), personal_token(app, acme).token
    code = answered(allow(there, at(program, domain)))["code"]
    signed = Api(app, domain)
    assert signed.sign_in(acme.people["member"]).status_code == 200
    move(app, domain, acme, globex)
    signed_in_program(app, globex)
    for token in (signed.token, personal, lent["access_token"], lent["id_token"]):
        assert calls(app, domain, token) == 401
    assert at(program, domain).redeem(code).status_code == 401
    assert at(program, domain).refresh(lent["refresh_token"]).status_code == 401
    assert signed.refresh().status_code == 401
    assert there.get("/api/v1/me").status_code == 401
    # Where they are from, they count as before; but for the one that names a host which is no longer theirs.
    assert calls(app, acme.host, lent["access_token"]) == calls(app, acme.host, personal) == 200
    assert calls(app, acme.host, signed.token) == 401
    assert Api(app, acme.host).refresh(signed.refresh_token).status_code == 200


def test_a_host_that_is_no_longer_verified_is_no_issuer(app: Flask, acme: Workspace, domain: str) -> None:
    signed = Api(app, domain)
    assert signed.sign_in(acme.people["member"]).status_code == 200
    assert calls(app, acme.host, signed.token) == 200
    with inside(app, acme) as session:
        session.get_one(Domain, domain).verified_at = None
    assert calls(app, acme.host, signed.token) == 401


def test_a_token_of_another_host_costs_nothing_once_the_hosts_are_known(
    app: Flask, acme: Workspace, domain: str
) -> None:
    signed = Api(app, domain)
    assert signed.sign_in(acme.people["member"]).status_code == 200
    here = Api(app, acme.host, signed.token)
    assert here.is_signed_in
    with counted(app) as sent:
        assert here.is_signed_in
    assert not [statement for statement in sent if "domains" in statement]


def test_an_assertion_is_for_the_host_that_is_asked(app: Flask, acme: Workspace, domain: str) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    here = employ(app, acme, "viewer", key=key)
    there, moment = at(here, domain), int(time.time())
    for asked, meant, status in ((here, there, 401), (there, here, 401), (there, there, 200), (here, here, 200)):
        claims = {
            "iss": here.client_id, "sub": here.client_id, "aud": meant.token_url, "iat": moment, "exp": moment + 60,
            "jti": secrets.token_hex(8),
        }  # fmt: skip
        text = jwt.encode({"alg": "ES256"}, claims, key)
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTED, "client_assertion": text}
        assert asked.post("/oauth/token", form).status_code == status


def test_the_further_host_asks_its_own_people(app: Flask, acme: Workspace, domain: str, member: Visitor) -> None:
    program = at(register(app, acme), domain)
    elsewhere = Visitor(app, domain)
    elsewhere.take_cookies(member.cookies())
    away = elsewhere.get(program.ask())
    assert away.status_code == 302
    assert away.location.startswith("/auth/login?next=")
    with inside(app, acme) as session:
        session.execute(delete(Domain).where(Domain.host == domain))
    assert elsewhere.get(program.ask()).status_code == 404

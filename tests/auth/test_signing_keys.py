"""Keys that sign a tenant's tokens: made, changed, published, and what they verify."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import select, update

from auth import keys_cli, signing_keys
from auth.errors import InvalidToken
from auth.token_models import SigningKey
from tenants.db import now
from tests.auth.helpers import at_once, inside
from tests.factories import Workspace
from tests.visitor import Visitor

CLAIMS = {"sub": "somebody"}
TYPE = "test+jwt"


def sign(app: Flask, workspace: Workspace, **claims: Any) -> str:
    with inside(app, workspace):
        return signing_keys.sign(CLAIMS | claims, type_=TYPE)


def verify(app: Flask, workspace: Workspace, token: str, type_: str = TYPE) -> dict[str, Any]:
    with inside(app, workspace):
        return signing_keys.verify(token, type_=type_)


def keys_of(app: Flask, workspace: Workspace) -> list[SigningKey]:
    with inside(app, workspace):
        return list(signing_keys.list_keys())


def rotate(app: Flask, workspace: Workspace, **options: bool) -> None:
    with inside(app, workspace):
        signing_keys.rotate(**options)


def retire_long_ago(app: Flask, workspace: Workspace) -> None:
    over = now() - signing_keys.VERIFIES_FOR - timedelta(seconds=1)
    with inside(app, workspace) as session:
        session.execute(update(SigningKey).where(SigningKey.retired_at.is_not(None)).values(retired_at=over))


def test_the_first_token_makes_the_key(app: Flask, acme: Workspace) -> None:
    assert keys_of(app, acme) == []
    token = sign(app, acme)
    (key,) = keys_of(app, acme)
    assert verify(app, acme, token) == CLAIMS
    sign(app, acme)
    assert [each.kid for each in keys_of(app, acme)] == [key.kid]


def test_two_first_tokens_at_once_make_one_key(app: Flask, acme: Workspace) -> None:
    at_once([lambda: sign(app, acme), lambda: sign(app, acme)])
    assert len(keys_of(app, acme)) == 1


def test_the_private_key_is_encrypted_for_its_row(app: Flask, acme: Workspace) -> None:
    sign(app, acme)
    (key,) = keys_of(app, acme)
    assert "PRIVATE" not in key.private_key
    assert "d" not in key.public_key


def test_the_key_set_holds_public_keys_only(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    sign(app, acme)
    answer = visitor.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    (key,) = json.loads(answer.data)["keys"]
    assert {name: key[name] for name in ("kty", "crv", "alg", "use")} == {
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
    }  # fmt: skip
    assert "d" not in key
    assert answer.content_type == "application/jwk-set+json"


def test_whoever_has_the_key_set_verifies_a_token(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    token = sign(app, acme)
    (key,) = json.loads(visitor.get("/.well-known/jwks.json").data)["keys"]
    decoded = jwt.decode(token, ECKey.import_key(key), algorithms=["ES256"])
    assert decoded.claims == CLAIMS
    assert decoded.header["kid"] == key["kid"]


def test_a_new_key_signs_and_the_former_one_verifies(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    before = sign(app, acme)
    rotate(app, acme)
    after = sign(app, acme)
    assert verify(app, acme, before) == verify(app, acme, after) == CLAIMS
    newest, former = keys_of(app, acme)
    assert (newest.retired_at, former.retired_at is not None) == (None, True)
    assert len(json.loads(visitor.get("/.well-known/jwks.json").data)["keys"]) == 2


def test_a_retired_key_verifies_until_what_it_signed_is_over(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    token = sign(app, acme)
    rotate(app, acme)
    retire_long_ago(app, acme)
    signing_keys._known.clear()
    with pytest.raises(InvalidToken):
        verify(app, acme, token)
    assert len(json.loads(visitor.get("/.well-known/jwks.json").data)["keys"]) == 1


def test_a_key_that_is_over_is_deleted_with_the_next_change(app: Flask, acme: Workspace) -> None:
    sign(app, acme)
    rotate(app, acme)
    retire_long_ago(app, acme)
    rotate(app, acme)
    assert len(keys_of(app, acme)) == 2


def test_a_key_that_has_leaked_verifies_nothing_from_the_next_request_on(app: Flask, acme: Workspace) -> None:
    token = sign(app, acme)
    assert verify(app, acme, token)
    rotate(app, acme, at_once=True)
    with pytest.raises(InvalidToken):
        verify(app, acme, token)
    assert len(keys_of(app, acme)) == 1


def test_another_tenants_key_verifies_nothing(app: Flask, acme: Workspace, globex: Workspace) -> None:
    sign(app, globex)
    with pytest.raises(InvalidToken):
        verify(app, globex, sign(app, acme))


def test_another_tenants_key_under_ones_own_name_verifies_nothing(
    app: Flask, acme: Workspace, globex: Workspace
) -> None:
    sign(app, globex)
    (own,) = keys_of(app, globex)
    token = forge(app, acme, {"alg": "ES256", "kid": own.kid, "typ": TYPE})
    with pytest.raises(InvalidToken):
        verify(app, globex, token)


def private_key(app: Flask, workspace: Workspace) -> ECKey:
    with inside(app, workspace):
        row = g.db.scalar(select(SigningKey).where(SigningKey.retired_at.is_(None)))
        return ECKey.import_key(signing_keys._box(row.id).decrypt(row.private_key.encode()))


def forge(app: Flask, workspace: Workspace, header: dict[str, Any]) -> str:
    """A token that the tenant's own key has signed, under any header."""
    sign(app, workspace)
    return jwt.encode(header, CLAIMS, private_key(app, workspace), algorithms=["ES256"], default_type=None)


@pytest.mark.parametrize(
    "extra",
    [{"typ": "JWT"}, {"typ": "at+jwt"}, {"kid": "../../etc/passwd"}, {"kid": "' OR 1=1"}, {"x5t": "x"}, {"cty": "JWT"},
     {"jku": "http://evil.example/jwks"}, {"x5u": "http://evil.example/x5u"}],
    ids=["JWT", "another-type", "path", "query", "thumbprint", "content-type", "key-set", "certificate"],
)  # fmt: skip
def test_a_header_that_is_not_ours_is_refused(app: Flask, acme: Workspace, extra: dict[str, str]) -> None:
    sign(app, acme)
    (key,) = keys_of(app, acme)
    assert verify(app, acme, forge(app, acme, {"alg": "ES256", "kid": key.kid, "typ": TYPE})) == CLAIMS
    with pytest.raises(InvalidToken):
        verify(app, acme, forge(app, acme, {"alg": "ES256", "kid": key.kid, "typ": TYPE} | extra))


@pytest.mark.parametrize("left_out", ["kid", "typ"])
def test_a_header_without_name_or_type_is_refused(app: Flask, acme: Workspace, left_out: str) -> None:
    sign(app, acme)
    (key,) = keys_of(app, acme)
    header = {"alg": "ES256", "kid": key.kid, "typ": TYPE}
    del header[left_out]
    with pytest.raises(InvalidToken):
        verify(app, acme, forge(app, acme, header))


def by_public_key(key: SigningKey) -> str:
    # The attack of old: an HMAC under the public key, which everybody has.
    public = ECKey.import_key(key.public_key).as_pem(private=False)
    header = {"alg": "HS256", "kid": key.kid, "typ": TYPE}
    signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(CLAIMS).encode())}"
    return f"{signed}.{_encode(hmac.digest(public, signed.encode(), 'sha256'))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_nobody(key: SigningKey) -> str:
    header = {"alg": "none", "kid": key.kid, "typ": TYPE}
    return jwt.encode(header, CLAIMS, OctKey.import_key("x"), algorithms=["none"])


def by_own_key(key: SigningKey) -> str:
    own = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": key.kid, "typ": TYPE}
    return jwt.encode(header, CLAIMS, own, algorithms=["ES256"])


def by_own_key_inside(key: SigningKey) -> str:
    own = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": key.kid, "typ": TYPE, "jwk": own.as_dict(private=False)}
    return jwt.encode(header, CLAIMS, own, algorithms=["ES256"])


def by_own_longer_key(key: SigningKey) -> str:
    header = {"alg": "ES384", "kid": key.kid, "typ": TYPE}
    return jwt.encode(header, CLAIMS, ECKey.generate_key("P-384"), algorithms=["ES384"])


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    "forgery",
    [by_public_key, by_nobody, by_own_key, by_own_key_inside, by_own_longer_key],
    ids=lambda one: one.__name__,
)
def test_a_forged_token_is_refused(app: Flask, acme: Workspace, forgery: Callable[[SigningKey], str]) -> None:
    sign(app, acme)
    (key,) = keys_of(app, acme)
    with pytest.raises(InvalidToken):
        verify(app, acme, forgery(key))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
def test_a_changed_token_is_refused(app: Flask, acme: Workspace, part: int) -> None:
    parts = sign(app, acme).split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    with pytest.raises(InvalidToken):
        verify(app, acme, ".".join(parts))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "e30.e30.", "e30.e30.e30", "é.é.é", "x" * 5000, "." * 4000, "W10.W10.AA"],
    ids=["nothing", "dot", "dots", "letters", "no-signature", "objects", "no-ascii", "too-long", "many-dots", "lists"],
)  # fmt: skip
def test_what_is_no_token_is_refused(app: Flask, acme: Workspace, text: str) -> None:
    sign(app, acme)
    with pytest.raises(InvalidToken):
        verify(app, acme, text)


def test_public_keys_are_read_once_while_the_tenant_is_unchanged(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sign(app, acme)
    verify(app, acme, token)
    with inside(app, acme) as session:
        monkeypatch.setattr(session, "execute", None)
        assert signing_keys.verify(token, type_=TYPE) == CLAIMS


class TestCommandLine:
    """`flask --app saas keys ...`."""

    def run(self, app: Flask, *words: str) -> Any:
        return app.test_cli_runner().invoke(keys_cli.keys, list(words))

    def test_a_tenants_key_is_changed_and_listed(self, app: Flask, acme: Workspace) -> None:
        assert self.run(app, "rotate", acme.slug).exit_code == 0
        done = self.run(app, "rotate", acme.slug)
        listed = json.loads(self.run(app, "list", acme.slug, "--json").output)
        assert [key["kid"] in done.output for key in listed] == [True, False]
        assert [key["retired_at"] is None for key in listed] == [True, False]

    def test_every_tenants_key_is_changed(
        self, app: Flask, acme: Workspace, globex: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The thousands that other tests have made would each get a new key, too.
        monkeypatch.setattr(keys_cli, "list_tenants", lambda: [acme.tenant, globex.tenant])
        assert self.run(app, "rotate", "--all-tenants").exit_code == 0
        assert keys_of(app, acme)
        assert keys_of(app, globex)

    def test_leaked_keys_are_gone_at_once(self, app: Flask, acme: Workspace) -> None:
        token = sign(app, acme)
        assert self.run(app, "rotate", acme.slug, "--at-once").exit_code == 0
        with pytest.raises(InvalidToken):
            verify(app, acme, token)

    @pytest.mark.parametrize("words", [[], ["--all-tenants", "acme"]], ids=["none", "both"])
    def test_it_has_to_be_said_whose(self, app: Flask, words: list[str]) -> None:
        answer = self.run(app, "rotate", *words)
        assert answer.exit_code == 2
        assert "Name a tenant by its slug, or give --all-tenants." in answer.output

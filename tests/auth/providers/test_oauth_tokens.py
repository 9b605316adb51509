"""Nobody is signed in by a token that is not the provider's own, for this client, this attempt and this moment."""

import base64
import time
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from auth.providers.oauth import metadata
from auth.providers.oauth.metadata import KEYS_EVERY
from tests.auth.helpers import at_once
from tests.auth.hostile import CLIENT, Way, brief, other_way
from tests.factories import Workspace, make_workspace
from tests.servers.hostile_http import says
from tests.servers.hostile_oidc import REMOVED, elliptic
from tests.visitor import Visitor

Said = dict[str, Any]


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: what is refused does not get that far."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time by which keys get old; `now` is seconds."""
    clock = SimpleNamespace(now=10_000.0)
    monkeypatch.setattr(metadata, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_an_honest_token_signs_in(way: Way) -> None:
    way.assert_in(way.come())


class TestClaims:
    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            ("wrong-nonce", {"nonce": "of another attempt"}),
            ("wrong-nonce", {"nonce": ""}),
            ("wrong-nonce", {"nonce": None}),
            ("wrong-nonce", {"nonce": ["x"]}),
            ("bad-token", {"nonce": REMOVED}),
            ("wrong-audience", {"aud": "another-client"}),
            ("wrong-audience", {"aud": ["another-client"]}),
            ("wrong-audience", {"aud": "another-client", "azp": CLIENT}),
            ("wrong-audience", {"aud": []}),
            ("wrong-audience", {"aud": None}),
            ("wrong-audience", {"aud": REMOVED}),
            ("wrong-audience", {"aud": CLIENT + "2"}),
            ("wrong-audience", {"aud": CLIENT.upper()}),
            ("wrong-audience", {"aud": {CLIENT: 1}}),
            ("wrong-audience", {"aud": [[CLIENT]]}),
            ("wrong-audience", {"aud": [CLIENT, "another-client"]}),
            ("wrong-audience", {"aud": [CLIENT, "another-client"], "azp": "another-client"}),
            ("wrong-audience", {"azp": "another-client"}),
            ("wrong-audience", {"azp": [CLIENT]}),
            ("mixed-up", {"iss": "https://other.example"}),
            ("mixed-up", {"iss": ""}),
            ("bad-token", {"iss": None}),
            ("bad-token", {"iss": REMOVED}),
            ("bad-token", {"exp": REMOVED}),
            ("bad-token", {"exp": None}),
            ("bad-token", {"exp": True}),
            ("bad-token", {"exp": "9999999999"}),
            ("not-now", {"exp": 0}),
            ("not-now", {"exp": float("nan")}),
            ("bad-token", {"iat": REMOVED}),
            ("bad-token", {"iat": "now"}),
            ("bad-token", {"iat": True}),
            ("not-now", {"iat": 10**12}),
            ("not-now", {"iat": float("nan")}),
            ("not-now", {"nbf": 10**12}),
            ("not-now", {"nbf": "now"}),
            ("bad-token", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
            ("bad-token", {"at_hash": ["AAAAAAAAAAAAAAAAAAAAAA"]}),
            ("bad-token", {"at_hash": 7}),
            ("bad-token", {"amr": "pwd"}),
        ],
        ids=brief,
    )
    def test_a_wrong_one_is_refused(self, way: Way, fault: str, told: Said) -> None:
        way.provider.claims = told
        way.assert_out(way.come(), fault)

    @pytest.mark.parametrize(("name", "seconds"), [("exp", -125), ("iat", 125), ("nbf", 125)])
    def test_clocks_do_not_differ_by_more_than_two_minutes(self, way: Way, name: str, seconds: int) -> None:
        way.provider.claims = {name: int(time.time()) + seconds}
        way.assert_out(way.come(), "not-now")

    @pytest.mark.parametrize(("name", "seconds"), [("exp", -100), ("iat", 100), ("nbf", 100)])
    def test_clocks_may_differ_a_little(self, way: Way, name: str, seconds: int) -> None:
        way.provider.claims = {name: int(time.time()) + seconds}
        way.assert_in(way.come())

    @pytest.mark.parametrize(
        "told",
        [
            {"aud": [CLIENT]},
            {"aud": [CLIENT, "another-client"], "azp": CLIENT},
            {"azp": CLIENT},
            {"at_hash": REMOVED},
            {"acr": ["of no", "interest"]},
        ],
        ids=brief,
    )
    def test_what_may_be_otherwise_is_taken(self, way: Way, told: Said) -> None:
        way.provider.claims = told
        way.assert_in(way.come())

    @pytest.mark.parametrize(
        "sub",
        ["", "x" * 256, "x" * 10_000, 7, None, True, ["alice"], {"a": 1}, "älice", "a\0", "a\n", "\ud83d", REMOVED],
        ids=brief,
    )
    def test_who_cannot_be_known_again_is_refused(self, way: Way, sub: Any) -> None:
        way.provider.claims = {"sub": sub}
        way.assert_out(way.come(), "no-subject")

    @pytest.mark.parametrize("sub", ["x" * 255, "a|b", "00u1", '<script>"', "{}"], ids=brief)
    def test_any_other_name_is_a_name(self, way: Way, sub: str) -> None:
        other = other_way(way)
        other.assert_in(other.come(sub=sub))
        assert len(other.subjects()) == 1

    def test_text_that_is_half_a_character_is_told_about(self, way: Way) -> None:
        way.provider.claims = {"aud": "a\ud83d"}
        way.assert_out(way.come(), "wrong-audience")


class TestSignInThere:
    """When and how the person was signed in at the provider."""

    @pytest.mark.parametrize(
        ("fault", "auth_time"), [("stale", -3725), ("stale", True), ("bad-token", REMOVED), ("bad-token", "now")]
    )
    def test_one_that_is_too_long_ago_is_refused(self, way: Way, fault: str, auth_time: Any) -> None:
        other = other_way(way, max_age=3600)
        moment = int(time.time()) + auth_time if type(auth_time) is int else auth_time
        other.provider.claims = {"auth_time": moment}
        other.assert_out(other.come(), fault)

    def test_a_recent_one_is_enough(self, way: Way) -> None:
        other = other_way(way, max_age=3600)
        other.provider.claims = {"auth_time": int(time.time()) - 3500}
        other.assert_in(other.come())

    @pytest.mark.parametrize("acr", [REMOVED, "basic", "", None, ["mfa"], "MFA"], ids=brief)
    def test_one_of_another_kind_is_refused(self, way: Way, acr: Any) -> None:
        other = other_way(way, acr_values=["mfa", "phr"])
        other.provider.claims = {"acr": acr}
        other.assert_out(other.come(), "too-weak")

    def test_one_of_the_kinds_is_enough(self, way: Way) -> None:
        other = other_way(way, acr_values=["mfa", "phr"])
        other.assert_in(other.come(acr="phr"))


class TestDirectories:
    """Of an issuer that stands for many directories, those that are named are let in (Entra ID)."""

    OURS, OTHER = "9122040d-6c67-4c5b-b112-36a304b66dad", "11111111-2222-3333-4444-555555555555"

    @pytest.fixture
    def many(self, way: Way) -> Way:
        name = f"{way.provider.url}/{{tenantid}}/v2.0"
        other = other_way(way, preset="entra", issuer=name, directory_ids=[self.OURS])
        described = way.provider.described() | {"issuer": name}
        way.provider.answers["/organizations/v2.0/.well-known/openid-configuration"] = says(described)
        return other

    def come(self, many: Way, iss: str | None, **claims: Any) -> TestResponse:
        many.provider.claims = {"iss": f"{many.provider.url}/{iss}/v2.0"}
        return many.come(**{"tid": self.OURS, "oid": "o", "xms_edov": True} | claims, iss=REMOVED)

    def test_theirs_come_in(self, many: Way) -> None:
        many.assert_in(self.come(many, self.OURS))
        (subject,) = many.subjects()
        assert subject == f"{many.provider.url}/{self.OURS}/v2.0 {self.OURS} o"

    @pytest.mark.parametrize("tid", [OTHER, OURS.upper(), "", None, [OURS], "common", REMOVED], ids=brief)
    def test_others_do_not(self, many: Way, tid: Any) -> None:
        many.assert_out(self.come(many, tid if isinstance(tid, str) else self.OURS, tid=tid), "other-organisation")

    @pytest.mark.parametrize("iss", [OTHER, "organizations", "{tenantid}", ""])
    def test_nor_does_who_names_another_issuer(self, many: Way, iss: str) -> None:
        many.assert_out(self.come(many, iss), "mixed-up")

    @pytest.mark.parametrize("oid", [None, "", 1.5, "a b", REMOVED], ids=brief)
    def test_nor_who_cannot_be_known_again(self, many: Way, oid: Any) -> None:
        many.assert_out(self.come(many, self.OURS, oid=oid), "no-subject")


class TestSignatures:
    @pytest.mark.parametrize("listed", [None, ["none"], ["none", "RS256"], [], "none"], ids=brief)
    def test_none_is_no_signature(self, way: Way, listed: Any) -> None:
        way.provider.algorithm = "none"
        way.provider.discovery = {} if listed is None else {"id_token_signing_alg_values_supported": listed}
        way.assert_out(way.come(), "bad-signature")

    @pytest.mark.parametrize("name", ["None", "NONE", "nOnE", "", "RS257", None, ["RS256"], REMOVED], ids=brief)
    def test_nor_is_another_word_for_it(self, way: Way, name: Any) -> None:
        way.provider.algorithm, way.provider.header = "none", {"alg": name}
        way.assert_out(way.come(), "bad-signature")

    @pytest.mark.parametrize("listed", [None, ["HS256"], ["HS256", "RS256"]], ids=brief)
    def test_the_public_key_is_no_secret(self, way: Way, listed: Any) -> None:
        way.provider.algorithm = "HS256"
        way.provider.discovery = {} if listed is None else {"id_token_signing_alg_values_supported": listed}
        way.assert_out(way.come(), "bad-signature")

    def test_a_published_secret_is_none_either(self, way: Way) -> None:
        secret = base64.urlsafe_b64encode(way.provider.key.as_pem(private=False)).decode()
        way.provider.answers["/jwks"] = says({"keys": [{"kty": "oct", "k": secret, "kid": "published"}]})
        way.provider.algorithm = "HS256"
        way.provider.discovery = {"id_token_signing_alg_values_supported": ["HS256"]}
        way.assert_out(way.come(), "bad-signature")

    def test_another_key_of_that_name_is_not_the_providers(self, way: Way) -> None:
        way.provider.key = RSAKey.generate_key(2048, {"kid": "published"})
        way.assert_out(way.come(), "bad-signature")

    def test_a_key_in_the_header_is_not_believed(self, way: Way) -> None:
        key = ECKey.generate_key("P-256", {"kid": "published"})
        way.provider.key, way.provider.algorithm = key, "ES256"
        way.provider.header = {"jwk": key.as_dict(private=False)}
        way.assert_out(way.come(), "bad-signature")

    @pytest.mark.parametrize("name", ["jku", "x5u"])
    def test_no_key_is_fetched_from_where_the_header_says(self, way: Way, name: str) -> None:
        way.provider.key = RSAKey.generate_key(2048, {"kid": "elsewhere"})
        way.provider.header = {name: f"{way.provider.url}/other-keys"}
        way.provider.answers["/other-keys"] = says({"keys": [way.provider.key.as_dict(private=False)]})
        way.assert_out(way.come(), "bad-signature")
        assert not way.provider.asked("/other-keys")

    def test_a_key_for_encryption_signs_nothing(self, way: Way) -> None:
        way.provider.answers["/jwks"] = says({"keys": [{**way.provider.key.as_dict(private=False), "use": "enc"}]})
        way.assert_out(way.come(), "bad-signature")

    def test_a_key_for_another_algorithm_signs_nothing(self, way: Way) -> None:
        way.provider.answers["/jwks"] = says({"keys": [{**way.provider.key.as_dict(private=False), "alg": "PS256"}]})
        way.assert_out(way.come(), "bad-signature")

    @pytest.mark.parametrize("listed", [["ES256"], ["HS256"], ["none"]], ids=brief)
    def test_an_algorithm_that_is_not_listed_is_not_taken(self, way: Way, listed: list[str]) -> None:
        way.provider.discovery = {"id_token_signing_alg_values_supported": listed}
        way.assert_out(way.come(), "bad-signature")

    def test_another_algorithm_is_as_good(self, way: Way) -> None:
        way.provider.key, way.provider.algorithm, way.provider.published = elliptic(), "ES256", [elliptic()]
        way.assert_in(way.come())

    @pytest.mark.parametrize(
        "header",
        [
            {"crit": ["exp"]},
            {"crit": ["https://acme.example/must"], "https://acme.example/must": True},
            {"crit": "exp"},
            {"crit": ["b64"], "b64": False},
            {"typ": "at+jwt"},
            {"typ": "logout+jwt"},
            {"typ": ["JWT"]},
            {"kid": ["published"]},
            {"kid": 1},
            {"x": "y" * 200_000},
        ],
        ids=brief,
    )
    def test_a_header_that_asks_for_something_else_is_refused(self, way: Way, header: Said) -> None:
        way.provider.header = header
        answer = way.come()
        assert answer.status_code == 502
        assert not way.visitor.is_signed_in()

    @pytest.mark.parametrize("typ", ["JWT", "jwt", REMOVED], ids=brief)
    def test_the_usual_types_are_taken(self, way: Way, typ: Any) -> None:
        way.provider.header = {"typ": typ}
        way.assert_in(way.come())

    @pytest.mark.parametrize(
        ("fault", "token"),
        [
            ("no-token", REMOVED),
            ("no-token", None),
            ("no-token", 7),
            ("no-token", ["a.b.c"]),
            ("bad-signature", ""),
            ("bad-signature", "a.b.c"),
            ("bad-signature", "a.b.c.d.e"),
            ("bad-signature", "." * 1000),
            ("bad-signature", "\ud83d.b.c"),
            ("bad-signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."),
            ("too-long", "x" * 300_000),
        ],
        ids=brief,
    )
    def test_what_is_no_token_is_refused(self, way: Way, fault: str, token: Any) -> None:
        way.provider.token = {"id_token": token}
        way.assert_out(way.come(), fault)

    def test_a_changed_token_is_refused(self, way: Way) -> None:
        forged = way.provider.sign({"sub": "mallory"}).split(".")[1]
        real = way.provider.sign
        way.provider.sign = lambda claims, **header: ".".join(  # type: ignore[method-assign]
            forged if place == 1 else part for place, part in enumerate(real(claims, **header).split("."))
        )
        try:
            way.assert_out(way.come(), "bad-signature")
        finally:
            del way.provider.sign  # type: ignore[method-assign]

    def test_a_token_that_ends_sessions_begins_none(self, way: Way) -> None:
        way.provider.token = {"id_token": way.provider.logout_token(CLIENT, sub="alice")}
        answer = way.come()
        assert answer.status_code == 502
        assert not way.visitor.is_signed_in()

    def test_a_token_that_begins_a_session_ends_none(self, way: Way) -> None:
        way.assert_in(way.come())
        moment = int(time.time())
        said = {"iss": way.provider.issuer, "aud": CLIENT, "sub": "alice", "iat": moment, "exp": moment + 60}
        path = f"/sso/{way.config_id}/backchannel-logout"
        token = way.provider.sign(said | {"jti": "x", "nonce": "y"})
        answer = Visitor(way.app, way.workspace.host).client.post(
            path, base_url=way.workspace.url, data={"logout_token": token}
        )
        assert answer.status_code == 400
        assert way.visitor.is_signed_in()


class TestKeys:
    """Keys are fetched when they are needed, and not whenever somebody likes."""

    def test_unknown_ones_are_looked_for_once_a_minute(self, way: Way, clock: SimpleNamespace) -> None:
        way.assert_in(way.come())
        for number in range(5):
            way.provider.header = {"kid": f"unknown-{number}"}
            again = way.again()
        again.assert_out(again.come(), "bad-signature")
        assert len(way.provider.asked("/jwks")) == 1
        clock.now += KEYS_EVERY + 1
        for number in range(5):
            way.provider.header = {"kid": f"unknown-{number}"}
            again = way.again()
        again.assert_out(again.come(), "bad-signature")
        assert len(way.provider.asked("/jwks")) == 2

    def test_nor_are_they_by_whoever_sends_logout_tokens(self, way: Way, clock: SimpleNamespace) -> None:
        way.assert_in(way.come())
        clock.now += KEYS_EVERY + 1
        anybody = way.app.test_client()
        for number in range(20):
            token = way.provider.logout_token(CLIENT, sub="alice").split(".")
            token[0] = way.provider.sign({}, kid=f"unknown-{number}").split(".")[0]
            answer = anybody.post(
                f"/sso/{way.config_id}/backchannel-logout",
                base_url=way.workspace.url,
                data={"logout_token": ".".join(token)},
            )
            assert answer.status_code == 400
        assert len(way.provider.asked("/jwks")) == 2

    def test_nor_while_they_cannot_be_fetched(self, way: Way) -> None:
        way.provider.answers["/jwks"] = says({}, 404)
        for _ in range(10):
            answer = way.app.test_client().post(
                f"/sso/{way.config_id}/backchannel-logout",
                base_url=way.workspace.url,
                data={"logout_token": way.provider.logout_token(CLIENT, sub="alice")},
            )
            assert answer.status_code in (400, 503)
        assert len(way.provider.asked("/jwks")) <= 2

    def test_many_at_once_are_one_look(self, way: Way, clock: SimpleNamespace) -> None:
        way.assert_in(way.come())
        clock.now += KEYS_EVERY + 1
        way.provider.header = {"kid": "unknown"}
        ways = [way.again() for _ in range(4)]
        addresses = [one.back() for one in ways]
        answers = at_once(
            [lambda one=one, address=address: one.follow(address) for one, address in zip(ways, addresses, strict=True)]
        )
        assert [answer.status_code for answer in answers] == [502] * 4
        assert len(way.provider.asked("/jwks")) == 2

    def test_new_ones_are_found(self, way: Way, clock: SimpleNamespace) -> None:
        way.assert_in(way.come())
        way.provider.rotate()
        clock.now += KEYS_EVERY + 1
        way.assert_in(way.again().come())

    def test_old_ones_are_forgotten(self, way: Way, clock: SimpleNamespace) -> None:
        way.assert_in(way.come())
        old = way.provider.key
        way.provider.rotate()
        clock.now += metadata.GOOD_FOR + 1
        way.provider.key = old
        again = way.again()
        again.assert_out(again.come(), "bad-signature")

    def test_strange_ones_do_not_hide_the_others(self, way: Way) -> None:
        mine = way.provider.key.as_dict(private=False)
        strange: list[Any] = [
            1, None, "x", [], {}, {"kty": "RSA"}, {"kty": "RSA", "n": 1, "e": []}, {"kty": "RSA", "n": "", "e": ""},
            {"kty": "EC", "crv": ["x"], "x": "", "y": ""}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": ["RSA"]}, {"kty": "AKP", "alg": "ML-DSA-44"},
            {**mine, "kid": 7}, {**mine, "key_ops": 1}, {**mine, "alg": ["RS256"]},
        ]  # fmt: skip
        way.provider.answers["/jwks"] = says({"keys": [*strange, mine]})
        way.assert_in(way.come())

    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            ("odd-answer", []),
            ("odd-answer", {}),
            ("odd-answer", {"keys": {}}),
            ("odd-answer", {"keys": None}),
            ("odd-answer", {"keys": [{}] * 101}),
            ("bad-signature", {"keys": []}),
        ],
        ids=brief,
    )
    def test_without_any_nobody_gets_in(self, way: Way, fault: str, told: Any) -> None:
        way.provider.answers["/jwks"] = says(told)
        way.assert_out(way.come(), fault)

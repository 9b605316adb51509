"""What is not in a token is asked for, and has to be about the same person."""

from typing import Any

import pytest
from flask import Flask

from tests.auth import sources
from tests.auth.hostile import Way, brief, other_way
from tests.factories import Workspace, make_workspace
from tests.servers.hostile_http import says
from tests.servers.hostile_oidc import REMOVED, HostileProvider

Said = dict[str, Any]


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: what is refused does not get that far."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


class TestUserinfo:
    """What is not in the token is asked for, and has to be about the same person."""

    @pytest.fixture(autouse=True)
    def _thin(self, provider: HostileProvider) -> None:
        provider.thin = True

    def test_it_is_asked(self, way: Way) -> None:
        way.assert_in(way.come())
        assert len(way.provider.asked("/userinfo")) == 1

    @pytest.mark.parametrize("sub", ["mallory", "Alice", "alice ", "", None, 7, ["alice"], REMOVED], ids=brief)
    def test_of_another_person_it_is_refused(self, way: Way, sub: Any) -> None:
        way.provider.userinfo = {"sub": sub}
        way.assert_out(way.come(), "other-subject")

    @pytest.mark.parametrize(
        "answer", [[], None, 7, "alice", b"", b"alice", b"<html>", b"{", b"[" * 100_000, b'{"sub":"alice"}x'],
        ids=brief,
    )  # fmt: skip
    def test_what_is_no_object_is_refused(self, way: Way, answer: Any) -> None:
        way.provider.answers["/userinfo"] = says(answer)
        way.assert_out(way.come(), "odd-answer")

    @pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404])
    def test_another_status_is_refused(self, way: Way, status: int) -> None:
        way.provider.answers["/userinfo"] = says({"sub": "alice"}, status)
        way.assert_out(way.come(), "odd-answer")

    def test_it_cannot_change_what_is_signed(self, way: Way) -> None:
        way.provider.thin = False
        way.provider.userinfo = {"email": f"owner@{way.workspace.slug}.example", "email_verified": True, "name": "Eve"}
        way.provider.claims = {"name": REMOVED, "email": f"alice@{way.workspace.slug}.example"}
        way.assert_in(way.come())
        assert way.visitor.get("/api/v1/me").get_json()["user"]["email"] == f"alice@{way.workspace.slug}.example"

    @pytest.mark.parametrize(
        "told",
        [
            {"groups": [f"group-{number}" for number in range(20_000)]},
            {"groups": REMOVED, "hasgroups": True},
            {"groups": REMOVED, "_claim_names": {"groups": "src1"}},
        ],
        ids=brief,
    )
    def test_groups_that_are_left_out_take_no_rights_away(self, way: Way, told: Said) -> None:
        other = other_way(way)
        sources.map_group(other.app, other.workspace, "engineering", "admin")
        other.assert_in(other.come())
        other.provider.userinfo = told
        again = other.again()
        again.assert_out(again.come(), "too-many-groups")
        assert other.visitor.get("/api/v1/me").get_json()["roles"] == ["admin"]

    def test_left_out_of_the_token_they_are_missed_as_well(self, way: Way) -> None:
        way.provider.claims = {"_claim_names": {"groups": "src1"}, "hasgroups": True}
        way.provider.thin = False
        way.assert_out(way.come(), "too-many-groups")

    def test_too_many_in_the_token_are_refused(self, way: Way) -> None:
        way.provider.thin = False
        answer = way.come(groups=[f"group-{number}" for number in range(20_000)])
        assert answer.status_code == 502
        assert not way.visitor.is_signed_in()


class TestPlainOAuth:
    """Without a token of the person's, the person is whom the access token belongs to."""

    @pytest.fixture
    def hub(self, way: Way) -> Way:
        other = other_way(way, kind="oauth2")
        other.provider.emails = [{"email": f"alice@{other.workspace.slug}.example", "primary": True, "verified": True}]
        return other

    def test_an_honest_one_signs_in(self, hub: Way) -> None:
        hub.assert_in(hub.come())
        assert hub.subjects() == {f"{hub.provider.url} 4711"}

    @pytest.mark.parametrize("id", [None, True, 1.5, "", "a b", [4711], {"id": 1}, "x" * 256, REMOVED], ids=brief)
    def test_who_cannot_be_known_again_is_refused(self, hub: Way, id: Any) -> None:
        hub.provider.user = {"id": id}
        hub.assert_out(hub.come(), "no-subject")

    @pytest.mark.parametrize(
        "listed",
        [
            [],
            {},
            None,
            "owner@x",
            [None, 7, "x"],
            [{"email": "{owner}", "primary": True, "verified": False}],
            [{"email": "{owner}", "primary": True, "verified": "true"}],
            [{"email": "{owner}", "primary": True, "verified": 1}],
            [{"email": "{owner}", "primary": False, "verified": True}],
            [{"email": "{owner}", "primary": 1, "verified": True}],
            [{"email": ["{owner}"], "primary": True, "verified": True}],
        ],
        ids=brief,
    )
    def test_only_a_primary_verified_address_is_the_persons(self, hub: Way, listed: Any) -> None:
        owner = hub.workspace.people["owner"].email
        hub.provider.user = {"email": owner, "email_verified": True}
        hub.provider.emails = listed
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one["email"] == "{owner}":
                one["email"] = owner
        answer = hub.come()
        assert answer.headers["Location"] == "/auth/login?step=password"
        assert "no account here yet" in hub.visitor.get("/auth/login?step=password").text
        assert not hub.visitor.is_signed_in()
        assert hub.subjects() == set()

    def test_an_id_token_is_not_looked_at(self, hub: Way) -> None:
        hub.provider.token = {"id_token": "nonsense"}
        hub.assert_in(hub.come())

"""What a broken or hostile provider sends: refused with the error that SCIM has for it, never with a fault of ours."""

import json
import random
import string
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from auth import roles, users
from auth.models import User
from auth.scim import bounds, documents
from tests.auth.helpers import at_once, inside
from tests.auth.scim.conftest import GROUP, PATCH, USER, Provider
from tests.factories import Workspace
from tests.program import Program, personal_token
from tests.visitor import sign_in

HOSTILE = (
    'userName eq "x" or 1=1',
    "userName eq \"x' OR '1'='1\"",
    'userName eq "x\\"; DROP TABLE users; --"',
    'userName co "%"',
    'userName sw "_"',
    'userName eq "\\u0000"',
    'userName eq "\\ud800"',
    'externalId eq "\\u0000"',
    'externalId eq "\\udfff"',
    'title eq "\\ud800"',
    'id eq "\\u0000"',
    'id eq "{00000000-0000-0000-0000-000000000000}"',
    "userName gt 1",
    'active eq "maybe"',
    "active gt true",
    'meta.created gt "yesterday"',
    'meta.created gt "9999-12-31T23:59:59Z"',
    'meta.created lt "0001-01-01T00:00:00+14:00"',
    'emails[type eq "work" and value co "@"].value eq "x"',
    'emails[type eq "work"]',
    "emails[[]]",
    'password eq "x"',
    'members.value eq "x"',
    'groups.value eq "x"',
    'schemas eq "x"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x"',
    'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "x"',
    'nothing eq "x"',
    "userName",
    "eq",
    "()",
    "not",
    "not (not (not (userName pr)))",
    "userName eq 1e400",
    f"userName eq {'9' * 400}",
    f'userName eq "{"x" * 3000}"',
    f'userName eq "{"x" * 30000}"',
    f"{'(' * 30}userName pr{')' * 30}",
    f"{'(' * 1500}userName pr{')' * 1500}",
    f"{'not (' * 700}userName pr{')' * 700}",
    " and ".join(["userName pr"] * 280),
    " or ".join([f'title eq "{number}"' for number in range(180)]),
    " or ".join(["userName pr"] * 3000),
)
PATHS = (
    "", " ", ".", "..", "userName.value", "emails[", "emails[]", "emails[type eq", 'emails[type eq "work"', "members",
    'members[value eq "x"].display', "id", "meta", "meta.version", "groups", "schemas", "password", "nothing",
    "urn:x:y", "urn:ietf:params:scim:schemas:core:2.0:User:userName", "a." * 2000, "[" * 2000, "x" * 100_000,
    'emails[value co "@"].value', "\u0000", "name.givenName", "active", "externalId",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**400, "", "x", "\u0000", "x" * 70_000, [], [None], [[[]]], {}, {"a": 1}, {"value": "x"},
    [{"value": "x"}], {"": ""}, [{"value": None}],
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
thorough = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def alice(provider: Provider, acme: Workspace) -> dict[str, Any]:
    """Somebody to be attacked."""
    return provider.add_user(f"alice@{acme.slug}.example", externalId="1")


def expect_scim(answer: Any) -> None:
    """It is an answer of SCIM's, and no fault of ours."""
    assert answer.status_code < 500 or answer.status_code == 501, answer.text[:300]
    if answer.status_code >= 400:
        assert answer.get_json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_filter_finds_nobody_else_and_breaks_nothing(
    provider: Provider, alice: dict[str, Any], number: int
) -> None:
    asked = HOSTILE[number]
    for answer in (
        provider.get("/Users", query_string={"filter": asked}),
        provider.send("POST", "/Users/.search", {"filter": asked}),
        provider.get("/", query_string={"filter": asked}),
        provider.get("/Groups", query_string={"filter": asked}),
    ):
        expect_scim(answer)
        if answer.status_code == 200:
            assert {one["id"] for one in answer.get_json().get("Resources", [])} <= {alice["id"]}


def test_wildcards_of_the_database_are_letters(provider: Provider, alice: dict[str, Any]) -> None:
    for asked in ('userName co "%"', 'userName co "_"', 'title co "%%%"', 'userName eq "alice%"'):
        assert provider.find("Users", asked) == []


@pytest.mark.parametrize("number", range(len(PATHS)))
def test_a_path_of_a_patch_breaks_nothing(provider: Provider, alice: dict[str, Any], number: int) -> None:
    team = provider.add_group("staff", alice)
    for op, value in (("add", {"value": "x"}), ("replace", "x"), ("remove", None), ("drop", "x")):
        operation = {"op": op, "path": PATHS[number], "value": value}
        expect_scim(provider.patch("Users", alice, operation))
        expect_scim(provider.patch("Groups", team, operation))


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_a_value_of_any_type_breaks_nothing(provider: Provider, alice: dict[str, Any], number: int) -> None:
    value = VALUES[number]
    for name in ("userName", "externalId", "active", "emails", "name", "schemas", "id", "meta", "password"):
        expect_scim(provider.send("POST", "/Users", {"schemas": [USER], "userName": "bob", name: value}))
        expect_scim(provider.patch("Users", alice, {"op": "add", "value": {name: value}}))
    for name in ("displayName", "members", "externalId"):
        expect_scim(provider.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "staff", name: value}))


@given(body=json_values)
@thorough
def test_a_body_of_any_shape_breaks_nothing(provider: Provider, body: Any) -> None:
    raw = json.dumps(body)
    for method, path in (("POST", "/Users"), ("POST", "/Bulk"), ("POST", "/.search"), ("PATCH", "/Users/x")):
        expect_scim(provider.send(method, path, data=raw, content_type="application/scim+json"))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b'"\\ud800"', b"NaN", b'{"userName":"\\u0000"}'],
    ids=["empty", "open", "binary", "deep list", "deep object", "surrogate", "nan", "nul"],
)
def test_what_is_no_json_is_refused(provider: Provider, raw: bytes) -> None:
    for content_type in ("application/scim+json", "text/plain", "application/x-www-form-urlencoded", ""):
        answer = provider.send("POST", "/Users", data=raw, content_type=content_type)
        expect_scim(answer)
        assert answer.status_code in (400, 415)


def test_too_large_a_body_is_refused(provider: Provider) -> None:
    raw = b'{"userName":"' + b"x" * (1024 * 1024) + b'"}'
    answer = provider.send("POST", "/Users", data=raw, content_type="application/scim+json")
    expect_scim(answer)
    assert answer.status_code == 413


def test_a_resource_does_not_grow_without_end(provider: Provider, alice: dict[str, Any]) -> None:
    letters = string.ascii_letters
    refused = False
    for number in range(6):
        text = "".join(random.Random(number).choices(letters, k=20_000))
        entry = {"op": "add", "path": "photos", "value": [{"value": f"https://x.example/{text}", "type": f"p{number}"}]}
        refused = refused or provider.patch("Users", alice, entry).status_code == 413
    assert refused
    assert len(provider.get(f"/Users/{alice['id']}").data) <= documents.LARGEST + 2000


@pytest.mark.parametrize(
    "query",
    [{"startIndex": "0"}, {"startIndex": "-5"}, {"startIndex": "9" * 30}, {"startIndex": "x"}, {"count": "-1"},
     {"count": "9" * 30}, {"count": "x"}, {"cursor": "x"}, {"cursor": "x" * 5000}, {"cursor": "", "startIndex": "2"},
     {"sortBy": "userName"}, {"attributes": "x" * 5000}, {"attributes": "userName,nothing"},
     {"excludedAttributes": "userName,id"}],
    ids=str,
)  # fmt: skip
def test_a_query_of_any_kind_breaks_nothing(provider: Provider, alice: dict[str, Any], query: dict[str, str]) -> None:
    for path in ("/Users", "/", f"/Users/{alice['id']}", "/Schemas", "/ServiceProviderConfig"):
        expect_scim(provider.get(path, query_string=query))


@pytest.mark.parametrize(
    "path", ["/Users/..", "/Users/%2e%2e", "/Users//", "/Users/x/y", "/Me", "/Bulk", "/%00", "/x" * 500]
)
def test_no_path_breaks_anything(provider: Provider, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        answer = provider.send(method, path)
        assert answer.status_code < 500 or answer.status_code == 501


def test_a_bulk_request_does_each_operation_or_none_of_it(app: Flask, acme: Workspace, provider: Provider) -> None:
    taken = acme.people["member"].email
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [USER], "userName": "alice"}},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"schemas": [USER], "userName": taken}},
        {"method": "POST", "path": "/Groups", "bulkId": "c",
         "data": {"schemas": [GROUP], "displayName": "staff", "members": [{"value": "bulkId:a"}]}},
    ]  # fmt: skip
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = provider.send("POST", "/Bulk", body)
    assert answer.status_code == 200, answer.text
    assert [one["status"] for one in answer.get_json()["Operations"]] == ["201", "409", "201"]
    assert provider.get("/Users").get_json()["totalResults"] == 1
    body["Operations"] = operations[:1] * 101
    assert provider.send("POST", "/Bulk", body).status_code == 413


def test_many_operations_of_one_patch_are_bounded(provider: Provider, alice: dict[str, Any]) -> None:
    operations = [{"op": "replace", "path": "title", "value": str(number)} for number in range(2000)]
    body = {"schemas": [PATCH], "Operations": operations}
    answer = provider.send("PATCH", f"/Users/{alice['id']}", body)
    assert answer.status_code in (400, 413)


def test_a_filter_that_leaves_too_much_to_look_at_is_refused(
    provider: Provider, alice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.add_user("bob")
    monkeypatch.setattr(bounds, "MOST_SCANNED", 1)
    answer = provider.get("/Users", query_string={"filter": 'title ne "x"'})
    assert (answer.status_code, answer.get_json()["scimType"]) == (400, "tooMany")
    assert len(provider.find("Users", f'emails.value eq "{alice["userName"]}"')) == 0
    assert len(provider.find("Users", 'title ne "x" and externalId eq "1"')) == 1


@pytest.mark.parametrize("letter", ["\u0000", "\ud800", "\ufffe", "\u202e", "\u0130", "a\r\nB: c"])
def test_no_letter_breaks_anything(provider: Provider, letter: str) -> None:
    for number, (name, value) in enumerate(
        [("userName", letter), ("displayName", letter), ("externalId", letter), ("name", {"formatted": letter}),
         ("name", {"givenName": letter}), ("locale", letter), ("preferredLanguage", letter), (letter, letter),
         ("emails", [{"value": letter}]), ("emails", [{"value": f"{letter}@x.example"}]), ("title", letter)]
    ):  # fmt: skip
        body = {"schemas": [USER], "userName": f"bob{number}"} | {name: value}
        answer = provider.send("POST", "/Users", data=json.dumps(body), content_type="application/scim+json")
        expect_scim(answer)
        if answer.status_code == 201:
            expect_scim(
                provider.patch("Users", answer.get_json(), {"op": "add", "path": "displayName", "value": letter})
            )


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_no_method_goes_past_the_token(provider: Provider, method: str) -> None:
    assert provider.client.open("/scim/v2/Users", method=method, base_url=provider.base).status_code == 401


def test_nothing_but_the_header_proves_who_provisions(app: Flask, acme: Workspace, provider: Provider) -> None:
    assert sign_in(app, acme, "owner").get("/scim/v2/Users").status_code == 401
    assert personal_token(app, acme, "owner").get("/scim/v2/Users").status_code == 401
    nobody = Program(app, acme.host)
    for query in (f"access_token={provider.token}", f"token={provider.token}"):
        assert nobody.get(f"/scim/v2/Users?{query}").status_code == 401
    assert nobody.get("/scim/v2/Users", headers={"Cookie": f"session={provider.token}"}).status_code == 401
    assert Program(app, acme.host, provider.token).get("/api/v1/me").status_code == 401


class TestRaces:
    """Several requests of one provider at once."""

    @pytest.mark.parametrize(
        ("path", "body"),
        [("/Users", {"schemas": [USER], "userName": "bob"}), ("/Groups", {"schemas": [GROUP], "displayName": "staff"})],
        ids=["user", "group"],
    )
    def test_of_many_that_make_the_same_one_does(
        self, app: Flask, acme: Workspace, provider: Provider, path: str, body: dict[str, Any]
    ) -> None:
        senders = [Provider(app, acme.host, provider.token) for _ in range(5)]
        answers = at_once([lambda one=one: one.send("POST", path, body).status_code for one in senders])
        assert sorted(answers) == [201] + [409] * 4
        assert provider.get(path).get_json()["totalResults"] == 1

    def test_members_who_are_added_at_once_are_all_in(self, app: Flask, acme: Workspace, provider: Provider) -> None:
        people = [provider.add_user(f"user{number}") for number in range(5)]
        team = provider.add_group("staff")

        def add(person: dict[str, Any]) -> Callable[[], int]:
            sender = Provider(app, acme.host, provider.token)
            operation = {"op": "add", "path": "members", "value": [{"value": person["id"]}]}
            return lambda: sender.patch("Groups", team, operation).status_code

        assert at_once([add(person) for person in people]) == [204] * 5
        told = provider.get(f"/Groups/{team['id']}").get_json()["members"]
        assert {member["value"] for member in told} == {person["id"] for person in people}

    def test_owners_who_are_closed_at_once_leave_one(self, app: Flask, acme: Workspace, provider: Provider) -> None:
        people = [provider.add_user(f"user{number}") for number in range(4)]
        with inside(app, acme) as session:
            for user in session.scalars(select(User).where(User.email.endswith(".invalid"))):
                roles.grant_role(user, "owner", actor=None)
            users.deactivate_user(session.find(User, acme.people["owner"].id), actor=None)
        closing = {"op": "replace", "path": "active", "value": False}

        def close(number: int, person: dict[str, Any]) -> Callable[[], int]:
            sender = Provider(app, acme.host, provider.token)
            if number % 2:
                return lambda: sender.patch("Users", person, closing).status_code
            return lambda: sender.send("DELETE", f"/Users/{person['id']}").status_code

        answers = at_once([close(number, person) for number, person in enumerate(people)])
        assert sum(status == 204 for status in answers) == 3
        assert max(answers) < 500
        with inside(app, acme) as session:
            assert len([one for one in roles.owners() if session.find(User, one).active]) == 1


class TestCosts:
    """What one request may cost, whatever is in the database."""

    def test_many_operations_on_a_large_group_are_refused(
        self, provider: Provider, alice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        team = provider.add_group("staff", alice, provider.add_user("bob"))
        monkeypatch.setattr(bounds, "MOST_COMPARED", 50)
        removal = {"op": "remove", "path": 'members[value sw "x"]'}
        assert provider.patch("Groups", team, *[removal] * 2).status_code == 204
        assert provider.patch("Groups", team, *[removal] * 3).status_code == 413

    def test_groups_with_too_many_members_together_are_told_without_them(
        self, provider: Provider, alice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("staff", "others"):
            provider.add_group(name, alice)
        monkeypatch.setattr(documents, "MOST_LISTED", 1)
        refused = provider.get("/Groups")
        assert (refused.status_code, refused.get_json()["scimType"]) == (400, "tooMany")
        assert len(provider.get("/Groups", query_string={"count": "1"}).get_json()["Resources"]) == 1
        for query in ({"excludedAttributes": "members"}, {"attributes": "displayName"}):
            told = provider.get("/Groups", query_string=query).get_json()["Resources"]
            assert [one.get("members") for one in told] == [None, None]

    def test_the_operations_of_a_bulk_request_have_one_purse(
        self, provider: Provider, alice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        team = provider.add_group("staff", alice)
        monkeypatch.setattr(documents, "MOST_SPENT", 5)
        change = {"op": "replace", "path": "members", "value": [{"value": alice["id"]}]}
        data = {"schemas": [PATCH], "Operations": [change]}
        operations = [{"method": "PATCH", "path": f"/Groups/{team['id']}", "data": data}] * 9
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
        told = [one["status"] for one in provider.send("POST", "/Bulk", body).get_json()["Operations"]]
        assert (told[0], told[-1]) == ("200", "413")

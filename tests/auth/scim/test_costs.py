"""What requests cost, in statements, and what is refused before it costs too much."""

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from auth.audit_models import AuditEvent
from auth.models import Membership
from auth.scim import bounds, documents, teams
from tests.auth.helpers import inside
from tests.auth.scim.conftest import GROUP, PATCH, USER, Provider
from tests.factories import Workspace
from tests.statements import counted

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
def people(provider: Provider) -> list[dict[str, Any]]:
    return [provider.add_user(f"user{number}", externalId=f"{number}") for number in range(5)]


@pytest.fixture
def team(provider: Provider, people: list[dict[str, Any]]) -> dict[str, Any]:
    """Everybody but the last."""
    return provider.add_group("Staff", *people[:4], externalId="staff")


def cost(app: Flask, provider: Provider, path: str, **query: str) -> int:
    provider.get(path, query_string=query)
    with counted(app) as sent:
        answer = provider.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return len(sent)


def asks_of_members(sent: list[str]) -> list[str]:
    """The statements that read who is in a group, but of some users only."""
    return [one for one in sent if "FROM memberships" in one and "SELECT" in one and "user_id IN" not in one]


class TestStatements:
    """A page costs what it costs, whatever its length."""

    @pytest.mark.parametrize(
        "query", [{}, {"sortBy": "name.familyName"}, {"filter": "active eq true"}, {"cursor": ""}], ids=str
    )
    def test_a_longer_page_costs_no_more(
        self, app: Flask, provider: Provider, people: list[dict[str, Any]], query: dict[str, str]
    ) -> None:
        few, many = (cost(app, provider, "/Users", count=str(count), **query) for count in (1, 5))
        assert few == many

    @pytest.mark.parametrize(
        "asked",
        ['members.value eq "{user}"', 'members[value eq "{user}"]', 'members eq "{user}"', 'displayName eq "staff"',
         'externalId eq "staff"', 'id eq "{team}" and members[value eq "{user}"]', "meta.created gt \"2020-01-01\"",
         f'{GROUP}:displayName eq "staff"', 'externalId pr and not (displayName eq "x")'],
    )  # fmt: skip
    def test_what_has_a_column_or_a_row_is_found_by_the_database(
        self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any], asked: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("auth.scim.storage.page_of_matches", None)
        filter = asked.format(user=people[0]["id"], team=team["id"])
        assert [one["id"] for one in provider.find("Groups", filter)] == [team["id"]]

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [('groups.value eq "{team}"', "0123"), ('not (groups.value eq "{team}")', "4"), ('groups eq "{user}"', ""),
         ('meta.lastModified lt "2020-01-01T00:00:00Z"', ""), ("meta.created pr", "01234"),
         ('meta.created ge "2020-01-01T00:00:00+02:00"', "01234"), ('members.value eq "x"', None)],
    )  # fmt: skip
    def test_so_are_people(
        self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any], asked: str, expected: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("auth.scim.storage.page_of_matches", None)
        query = {"filter": asked.format(user=people[0]["id"], team=team["id"])}
        answer = provider.get("/Users", query_string=query)
        if expected is None:
            assert answer.get_json()["scimType"] == "invalidFilter"
        else:
            assert "".join(one["userName"][-1] for one in answer.get_json().get("Resources", [])) == expected


class TestMembers:
    """Who comes and who goes, without a look at everybody else."""

    def shapes(self, person: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"op": "add", "path": "members", "value": [{"value": person["id"]}]},
            {"op": "remove", "path": f'members[value eq "{person["id"]}"]'},
            {"op": "Add", "value": {"members": [{"value": person["id"]}]}},
            {"op": "Remove", "path": f"{GROUP}:members", "value": [{"value": person["id"], "$ref": None}]},
        ]

    def test_nobody_else_is_read(
        self, app: Flask, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]
    ) -> None:
        for number, operation in enumerate(self.shapes(people[4])):
            with counted(app) as sent:
                assert provider.patch("Groups", team, operation).status_code == 204
            assert [one for one in asks_of_members(sent) if "count(" not in one] == []
            told = provider.get(f"/Groups/{team['id']}").get_json()["members"]
            assert len(told) == (4 if number % 2 else 5)

    @pytest.mark.parametrize("query", [{"excludedAttributes": "members"}, {"attributes": "displayName"}], ids=str)
    def test_nor_are_they_told_to_whom_does_not_ask(
        self, app: Flask, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any], query: dict[str, str]
    ) -> None:
        with counted(app) as sent:
            told = provider.get(f"/Groups/{team['id']}", query_string=query).get_json()
        assert "members" not in told
        assert asks_of_members(sent) == []
        with counted(app) as sent:
            answer = provider.patch("Groups", team, self.shapes(people[4])[0], query_string=query)
        assert (answer.status_code, "members" in answer.get_json()) == (200, False)
        assert [one for one in asks_of_members(sent) if "count(" not in one] == []

    def test_they_are_told_to_who_does(
        self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]
    ) -> None:
        for query in ({"attributes": "members"}, {"excludedAttributes": "displayName"}):
            told = provider.patch("Groups", team, self.shapes(people[4])[0], query_string=query).get_json()
            assert {one["value"] for one in told["members"]} == {one["id"] for one in people}
            assert told["members"][0]["$ref"].startswith(f"{provider.base}/scim/v2/Users/")

    def test_each_of_them_is_recorded_and_changes_the_version_once(
        self, app: Flask, acme: Workspace, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]
    ) -> None:
        seen = [team["meta"]["version"]]
        for operation in (op for op in self.shapes(people[4])[:2] for _ in range(2)):
            provider.patch("Groups", team, operation)
            seen.append(provider.get(f"/Groups/{team['id']}").headers["ETag"])
        assert seen[1] == seen[2] != seen[3] == seen[4]
        with inside(app, acme) as session:
            kinds = session.scalars(select(AuditEvent.kind).where(AuditEvent.kind.startswith("group "))).all()
            assert kinds.count("group joined") == 5
            assert kinds.count("group left") == 1

    def test_a_stale_version_changes_nothing(
        self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]
    ) -> None:
        operation = self.shapes(people[4])[0]
        assert provider.patch("Groups", team, operation, headers={"If-Match": 'W/"99"'}).status_code == 412
        assert len(provider.get(f"/Groups/{team['id']}").get_json()["members"]) == 4

    def test_the_last_word_counts(self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]) -> None:
        come, go, *_ = self.shapes(people[0])
        provider.patch("Groups", team, go, come)
        assert len(provider.get(f"/Groups/{team['id']}").get_json()["members"]) == 4
        provider.patch("Groups", team, come, go)
        assert len(provider.get(f"/Groups/{team['id']}").get_json()["members"]) == 3

    def test_a_group_does_not_grow_beyond_its_size(
        self, app: Flask, acme: Workspace, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(teams, "MOST_MEMBERS", 4)
        assert provider.patch("Groups", team, self.shapes(people[4])[0]).status_code == 400
        with inside(app, acme) as session:
            assert len(session.scalars(select(Membership)).all()) == 4

    def test_everybody_goes_in_few_statements(
        self, app: Flask, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any]
    ) -> None:
        with counted(app) as sent:
            assert provider.patch("Groups", team, {"op": "remove", "path": "members"}).status_code == 204
        assert len([one for one in sent if one.startswith("DELETE FROM memberships")]) == 1


class TestBounds:
    """What would take long is refused before it does."""

    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [("filter", 'title eq "x" or ' * 300 + "title pr", "invalidFilter"), ("sortBy", "x" * 5000, "invalidPath"),
         ("FILTER", "title pr or " * 500 + "title pr", "invalidFilter"), ("sort_by", "x" * 5000, "invalidPath"),
         ("attributes", "title," * 5000, "invalidValue"), ("excludedAttributes", ["title"] * 9000, "invalidValue")],
        ids=["filter", "order", "capitals", "another order", "attributes", "many attributes"],
    )  # fmt: skip
    def test_a_search_is_as_long_as_it_may_be(
        self, provider: Provider, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, kind: str
    ) -> None:
        monkeypatch.setattr("scim2_server.service.ScimService.read_search", None)  # never reached
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], name: value}
        answer = provider.send("POST", "/Users/.search", body)
        assert (answer.status_code, answer.get_json()["scimType"]) == (400, kind)

    @pytest.mark.parametrize("bulk", [False, True], ids=["alone", "in bulk"])
    @pytest.mark.parametrize(
        ("path", "number", "status"),
        [("title", 1001, 413), ("x" * 5000, 1, 400), ('emails[value eq "' + "x" * 3900 + '"]', 30, 413)],
        ids=["many", "long", "many and long"],
    )
    def test_a_change_is_so_too(
        self, provider: Provider, people: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, path: str,
        number: int, status: int, bulk: bool,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("scim2_server.service.ScimService.read_patch", None)
        monkeypatch.setattr("scim2_server.service.ScimService.read_bulk", None)
        data = {"schemas": [PATCH], "operations": [{"op": "replace", "Path": path, "value": "x"}] * number}
        if bulk:
            one = {"method": "PATCH", "path": f"/Users/{people[0]['id']}", "data": data}
            body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [one]}
            assert provider.send("POST", "/Bulk", body).status_code == status
        else:
            assert provider.send("PATCH", f"/Users/{people[0]['id']}", data).status_code == status

    def test_the_more_a_filter_compares_the_fewer_it_may_leave(
        self, provider: Provider, people: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "MOST_TESTED", 350)  # five, each with a schema, compared fourteen times
        for asked, status in (
            ('title ne "x"', 200),
            ('emails[type ne "x"]', 200),
            ('emails[type ne "x" and value ne "x"]', 400),
            (" and ".join(['title ne "x"'] * 14), 200),
            (" and ".join(['title ne "x"'] * 15), 400),
            ('externalId eq "1" and ' + " and ".join(['title ne "x"'] * 15), 200),
        ):
            assert provider.get("/Users", query_string={"filter": asked}).status_code == status, asked

    def test_the_more_values_there_are_the_fewer_people_are_looked_at_or_told(
        self, provider: Provider, people: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emails = [{"value": f"x{number}@x.example"} for number in range(50)]
        assert provider.patch("Users", people[0], {"op": "add", "path": "emails", "value": emails}).status_code == 204
        with monkeypatch.context() as patched:
            patched.setattr(bounds, "MOST_TESTED", 40)
            assert provider.get("/Users", query_string={"filter": 'title ne "x"'}).get_json()["scimType"] == "tooMany"
            assert provider.find("Users", 'title ne "x" and userName eq "user1"')
        monkeypatch.setattr(documents, "MOST_SPENT", 40)
        assert provider.get("/Users").status_code == 413
        assert provider.get("/Users", query_string={"startIndex": "2", "count": "3"}).status_code == 200

    @pytest.mark.parametrize(
        ("path", "most"),
        [('members[value sw "x"]', 4), (" and ".join(['value ne "x"'] * 6).join(("members[", "]")), 2)],
        ids=["simple", "long"],
    )
    def test_the_more_a_path_compares_the_fewer_values_there_may_be(
        self, provider: Provider, team: dict[str, Any], monkeypatch: pytest.MonkeyPatch, path: str, most: int
    ) -> None:
        monkeypatch.setattr(bounds, "MOST_COMPARED", 225)
        change = {"op": "add", "path": f"{path}.type", "value": "User"}
        assert provider.patch("Groups", team, *[change] * most).status_code in (204, 400)
        assert provider.patch("Groups", team, *[change] * (most + 1)).status_code == 413

    def test_values_of_a_person_are_counted_as_well(
        self, provider: Provider, people: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emails = [{"value": f"x{number}@x.example"} for number in range(20)]
        monkeypatch.setattr(bounds, "MOST_COMPARED", 20 * 42)
        one_by_one = [{"op": "add", "path": "emails", "value": [email]} for email in emails]
        assert provider.patch("Users", people[0], *one_by_one).status_code == 204
        change = {"op": "replace", "path": 'emails[value eq "x1@x.example"].type', "value": "x"}
        assert provider.patch("Users", people[0], change).status_code == 204
        assert provider.patch("Users", people[0], change, change).status_code == 413
        title = {"op": "replace", "path": "title", "value": "x"}
        assert provider.patch("Users", people[0], *[title] * 20).status_code == 204
        assert provider.patch("Users", people[1], *one_by_one * 3).status_code == 413  # it grows with each

    def test_keys_are_paths_too(self, provider: Provider, people: list[dict[str, Any]]) -> None:
        for keys, status in (
            (["emails[" + " or ".join(['type eq "x"'] * 500) + "].value"], 400),
            ([f'emails[type eq "t{number}"].value' for number in range(1001)], 413),
            ([f'emails[type eq "t{number}"].value' for number in range(3)], 204),
        ):
            value = dict.fromkeys(keys, "x@x.example")
            assert provider.patch("Users", people[0], {"op": "add", "value": value}).status_code == status

    def test_members_are_looked_at_only_where_a_filter_says_so(
        self, provider: Provider, people: list[dict[str, Any]], team: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = provider.add_group("Others", *people[3:], externalId="others")
        monkeypatch.setattr(bounds, "MOST_TESTED", 100)
        monkeypatch.setattr(documents, "MOST_LISTED", 6)
        for asked, expected in (
            ('externalId sw "s"', [team]),
            ('members.type eq "User"', [team, other]),
            (f'members[value eq "{people[0]["id"]}" and type eq "User"]', None),
            (f'id eq "{other["id"]}" and members[type eq "User"]', [other]),
            ('members[type eq "User"]', None),
            (" or ".join(['members.type eq "User"'] * 8), None),
        ):
            answer = provider.get("/Groups", query_string={"filter": asked})
            if expected is None:
                assert (answer.status_code, answer.get_json()["scimType"]) == (400, "tooMany"), asked
            else:
                assert [one["id"] for one in answer.get_json()["Resources"]] == [one["id"] for one in expected], asked
        monkeypatch.setattr(documents, "MOST_LISTED", 1)
        told = provider.find("Groups", 'externalId sw "s"', excludedAttributes="members")
        assert [one["id"] for one in told] == [team["id"]]
        monkeypatch.undo()
        asked = f'members[value eq "{people[0]["id"]}" and type eq "User"]'
        assert [one["id"] for one in provider.find("Groups", asked)] == [team["id"]]

    def test_members_of_groups_are_told_to_an_end(
        self, provider: Provider, team: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(documents, "MOST_LISTED", 3)
        assert provider.get(f"/Groups/{team['id']}").get_json()["scimType"] == "tooMany"
        told = provider.get(f"/Groups/{team['id']}", query_string={"excludedAttributes": "members"})
        assert told.get_json()["displayName"] == "Staff"
        change = {"op": "replace", "path": "displayName", "value": "Crew"}
        assert provider.patch("Groups", team, change).status_code == 204


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("id", "00000000-0000-4000-8000-000000000000"), ("meta", {"resourceType": "Group", "version": "x"}),
     ("groups", [{"value": "x"}]), ("meta.created", "2020-01-01T00:00:00Z"), ("groups.value", "x")],
)  # fmt: skip
def test_what_is_only_read_is_not_written(
    provider: Provider, people: list[dict[str, Any]], attribute: str, value: Any
) -> None:
    person = people[0]
    before = provider.get(f"/Users/{person['id']}").get_json()
    answer = provider.patch("Users", person, {"op": "replace", "path": attribute, "value": value})
    assert (answer.status_code, answer.get_json()["scimType"]) == (400, "mutability")
    if "." not in attribute:
        body = {"schemas": [USER], "userName": "user0", "externalId": "0", attribute: value}
        answer = provider.send("PUT", f"/Users/{person['id']}", body)
        assert answer.status_code in (200, 400)
    after = provider.get(f"/Users/{person['id']}").get_json()
    assert (after["id"], after.get("groups")) == (before["id"], before.get("groups"))
    assert after["meta"]["created"] == before["meta"]["created"]
    assert after["meta"]["resourceType"] == "User"


@pytest.mark.parametrize("letter", ["\u0130", "\u00df", "\u212a", "e\u0301", "\ud83d\ude00"])
def test_names_are_compared_in_one_way_only(provider: Provider, letter: str) -> None:
    """Whatever the case of a letter is, and however it is composed: made twice is a conflict, and never a fault."""
    for name in (f"{letter}x", f"{letter.lower()}X"):
        provider.send("POST", "/Users", {"schemas": [USER], "userName": name})
    (found,) = provider.find("Users", f"userName eq {json.dumps(letter.lower() + 'x')}")
    again = provider.send("POST", "/Users", {"schemas": [USER], "userName": found["userName"]})
    assert (again.status_code, again.get_json()["scimType"]) == (409, "uniqueness")

"""What Entra ID, Okta and OneLogin really send, in the shapes that their users and servers' authors report."""

import json
from typing import Any

import pytest

from tests.auth.scim.conftest import GROUP, PATCH, USER, Provider

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
def boss(provider: Provider) -> dict[str, Any]:
    return provider.add_user("boss@id.example", externalId="boss")


@pytest.fixture
def bob(provider: Provider, boss: dict[str, Any]) -> dict[str, Any]:
    """Somebody as Entra ID makes them: with a manager by id alone."""
    return provider.add_user(
        "bob@id.example",
        schemas=[USER, ENTERPRISE],
        externalId="0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        active=True,
        displayName="Bob Byrne",
        emails=[{"primary": True, "type": "work", "value": "bob@id.example"}],
        meta={"resourceType": "User"},
        name={"formatted": "Bob Byrne", "familyName": "Byrne", "givenName": "Bob"},
        roles=[],
        **{ENTERPRISE: {"department": "Sales", "manager": boss["id"]}},
    )


@pytest.fixture
def team(provider: Provider, boss: dict[str, Any], bob: dict[str, Any]) -> dict[str, Any]:
    return provider.add_group("Team", boss, bob, externalId="8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159")


def now(provider: Provider, kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as it is told now."""
    told: dict[str, Any] = provider.get(f"/{kind}/{resource['id']}").get_json()
    return told


def members(provider: Provider, team: dict[str, Any]) -> set[str]:
    return {one["value"] for one in now(provider, "Groups", team).get("members", [])}


def apply(provider: Provider, kind: str, resource: dict[str, Any], *operations: dict[str, Any]) -> None:
    answer = provider.patch(kind, resource, *operations)
    assert answer.status_code in (200, 204), answer.text


class TestEntra:
    """Entra ID: operations in capitals, booleans in words, managers by id."""

    def test_its_connection_is_tried_by_looking_for_nobody(self, provider: Provider) -> None:
        asked = {"filter": 'userName eq "f3a1d1a0-5a1c-4a0e-9d64-2b2b6f0f1c11"'}
        answer = provider.get("/Users", query_string=asked)
        assert answer.status_code == 200
        assert answer.get_json()["totalResults"] == 0
        assert answer.get_json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ('userName eq "BOB@id.example"', "bob"),
            ('externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"', "bob"),
            ('emails[type eq "work"].value eq "bob@id.example"', "bob"),
            ('emails[type eq "work" and value eq "BOB@id.example"]', "bob"),
            ('emails[type eq "home"].value eq "bob@id.example"', ""),
            ('id eq "{bob}" and manager eq "{boss}"', "bob"),
            ("id eq {bob} and manager eq {boss}", "bob"),
            ('id eq "{bob}" and {enterprise}:manager eq "{boss}"', "bob"),
            ('id eq "{boss}" and manager eq "{boss}"', ""),
            ('{user}:userName eq "bob@id.example"', "bob"),
            ('{user}:externalId eq "boss"', "boss"),
            ('displayName eq "a manager eq {bob} in a text"', ""),
        ],
    )
    def test_people_are_found(
        self, provider: Provider, boss: dict[str, Any], bob: dict[str, Any], asked: str, expected: str
    ) -> None:
        ids = {"bob": bob["id"], "boss": boss["id"], "enterprise": ENTERPRISE, "user": USER}
        found = provider.find("Users", asked.format_map(ids))
        assert [one["userName"].partition("@")[0] for one in found] == ([expected] if expected else [])

    @pytest.mark.parametrize(
        "asked",
        ['displayName eq "TEAM"', 'externalId eq "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"',
         'id eq "{team}" and members eq "{bob}"', 'id eq "{team}" and members[value eq "{bob}"]',
         'members.value eq "{bob}"'],
    )  # fmt: skip
    def test_groups_are_found_without_their_members(
        self, provider: Provider, team: dict[str, Any], bob: dict[str, Any], asked: str
    ) -> None:
        filter = asked.format(team=team["id"], bob=bob["id"])
        (found,) = provider.find("Groups", filter, excludedAttributes="members")
        assert found["id"] == team["id"]
        assert "members" not in found

    @pytest.mark.parametrize("value", ["False", False, "false"], ids=["capital", "boolean", "word"])
    def test_an_account_is_closed_and_opened(self, provider: Provider, bob: dict[str, Any], value: object) -> None:
        apply(provider, "Users", bob, {"op": "Replace", "path": "active", "value": value})
        assert now(provider, "Users", bob)["active"] is False
        apply(provider, "Users", bob, {"op": "Add", "path": "active", "value": "True"})
        assert now(provider, "Users", bob)["active"] is True

    def test_an_address_that_there_is_not_is_made(self, provider: Provider, boss: dict[str, Any]) -> None:
        apply(
            provider, "Users", boss,
            {"op": "Add", "path": 'emails[type eq "work"].value', "value": "boss@id.example"},
            {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+34 600 000 000"},
            {"op": "Replace", "path": 'addresses[type eq "work"].formatted', "value": "Calle Mayor 1"},
            {"op": "Add", "path": "name.givenName", "value": "Berta"},
        )  # fmt: skip
        told = now(provider, "Users", boss)
        assert told["emails"] == [{"value": "boss@id.example", "type": "work"}]
        assert (told["addresses"][0]["formatted"], told["name"]["givenName"]) == ("Calle Mayor 1", "Berta")

    def test_several_attributes_stand_in_one_value(self, provider: Provider, bob: dict[str, Any]) -> None:
        value = {
            "displayName": "Robert Byrne",
            "name.givenName": "Robert",
            f"{ENTERPRISE}:department": "Support",
            'emails[type eq "work"].value': "robert@id.example",
        }
        apply(provider, "Users", bob, {"op": "Add", "value": value})
        told = now(provider, "Users", bob)
        assert told["name"]["givenName"] == "Robert"
        assert told[ENTERPRISE]["department"] == "Support"

    def test_a_manager_is_an_id(self, provider: Provider, bob: dict[str, Any], boss: dict[str, Any]) -> None:
        assert now(provider, "Users", bob)[ENTERPRISE]["manager"] == {"value": boss["id"]}
        path = f"{ENTERPRISE}:manager"
        apply(provider, "Users", bob, {"op": "Remove", "path": f'{path}[value eq "{boss["id"]}"]'})
        assert "manager" not in now(provider, "Users", bob)[ENTERPRISE]
        for value in (bob["id"], {"value": bob["id"]}):
            apply(provider, "Users", bob, {"op": "Add", "path": path, "value": value})
            assert now(provider, "Users", bob)[ENTERPRISE]["manager"] == {"value": bob["id"]}
            apply(provider, "Users", bob, {"op": "Remove", "path": path})
        assert "manager" not in now(provider, "Users", bob)[ENTERPRISE]

    @pytest.mark.parametrize("extra", [{}, {"$ref": None}, {"display": "Bob"}], ids=["id", "no address", "name"])
    def test_members_come_and_go_by_value(
        self, provider: Provider, team: dict[str, Any], bob: dict[str, Any], boss: dict[str, Any], extra: dict[str, Any]
    ) -> None:
        value = [{"value": bob["id"]} | extra]
        for _ in range(2):  # twice is once
            apply(provider, "Groups", team, {"op": "Remove", "path": "members", "value": value})
            assert members(provider, team) == {boss["id"]}
        for _ in range(2):
            apply(provider, "Groups", team, {"op": "Add", "path": "members", "value": value})
            assert members(provider, team) == {boss["id"], bob["id"]}

    def test_its_content_type_names_a_charset(self, provider: Provider, bob: dict[str, Any]) -> None:
        body = json.dumps({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "title", "value": "Ü"}]})
        for content_type in ("application/scim+json; charset=utf-8", "application/json; charset=utf-8"):
            answer = provider.send("PATCH", f"/Users/{bob['id']}", data=body, content_type=content_type)
            assert answer.status_code == 204, answer.text


class TestOkta:
    """Okta: no path, whole resources by PUT, and its pages of two and of a hundred."""

    def test_it_counts_first(self, provider: Provider, bob: dict[str, Any], team: dict[str, Any]) -> None:
        people = provider.get("/Users", query_string={"startIndex": "1", "count": "2"}).get_json()
        assert (people["totalResults"], people["itemsPerPage"], people["startIndex"]) == (2, 2, 1)
        teams = provider.get("/Groups", query_string={"startIndex": "1", "count": "100"}).get_json()
        assert (teams["totalResults"], len(teams["Resources"][0]["members"])) == (1, 2)

    def test_an_account_is_closed_without_a_path(self, provider: Provider, bob: dict[str, Any]) -> None:
        for value in (False, True):
            apply(provider, "Users", bob, {"op": "replace", "value": {"active": value}})
            assert now(provider, "Users", bob)["active"] is value

    def test_a_person_is_put_as_a_whole(self, provider: Provider, bob: dict[str, Any]) -> None:
        body = now(provider, "Users", bob) | {"groups": [], "password": "a long secret", "title": "Buyer"}
        answer = provider.send("PUT", f"/Users/{bob['id']}", body)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["title"] == "Buyer"
        assert "password" not in answer.text

    def test_a_group_is_renamed_with_its_id_beside(
        self, provider: Provider, team: dict[str, Any], bob: dict[str, Any], boss: dict[str, Any]
    ) -> None:
        apply(provider, "Groups", team, {"op": "replace", "value": {"id": team["id"], "displayName": "Crew"}})
        assert now(provider, "Groups", team)["displayName"] == "Crew"
        assert members(provider, team) == {bob["id"], boss["id"]}

    def test_members_are_replaced_with_and_without_a_path(
        self, provider: Provider, team: dict[str, Any], bob: dict[str, Any], boss: dict[str, Any]
    ) -> None:
        one = [{"value": bob["id"], "display": "bob@id.example"}]
        apply(provider, "Groups", team, {"op": "replace", "path": "members", "value": one})
        assert members(provider, team) == {bob["id"]}
        apply(provider, "Groups", team, {"op": "replace", "value": {"members": [{"value": boss["id"]}]}})
        assert members(provider, team) == {boss["id"]}
        apply(provider, "Groups", team, {"op": "add", "value": {"members": one, "externalId": "new"}})
        assert members(provider, team) == {boss["id"], bob["id"]}
        assert now(provider, "Groups", team)["externalId"] == "new"
        whole = {"schemas": [GROUP], "id": team["id"], "displayName": "Team", "members": one}
        assert provider.send("PUT", f"/Groups/{team['id']}", whole).status_code == 200
        assert members(provider, team) == {bob["id"]}

    def test_a_member_goes_by_a_path(
        self, provider: Provider, team: dict[str, Any], bob: dict[str, Any], boss: dict[str, Any]
    ) -> None:
        apply(provider, "Groups", team, {"op": "remove", "path": f'members[value eq "{bob["id"]}"]'})
        assert members(provider, team) == {boss["id"]}
        apply(provider, "Groups", team, {"op": "remove", "path": "members"})
        assert members(provider, team) == set()


def test_onelogin_adds_and_removes_in_one_request(
    provider: Provider, team: dict[str, Any], bob: dict[str, Any], boss: dict[str, Any]
) -> None:
    apply(
        provider, "Groups", team,
        {"op": "add", "path": "members", "value": [{"value": bob["id"]}]},
        {"op": "remove", "path": f'members[value eq "{boss["id"]}"]'},
        {"op": "replace", "path": "displayName", "value": "Crew"},
    )  # fmt: skip
    assert members(provider, team) == {bob["id"]}
    assert now(provider, "Groups", team)["displayName"] == "Crew"

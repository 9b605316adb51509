"""Lists and filters: what is found, page by page."""

from typing import Any

import pytest

from auth.scim import bounds, filters
from tests.auth.scim.conftest import Provider

PEOPLE = ("anna", "Bert", "carla", "dora", "emil")


@pytest.fixture
def staff(provider: Provider) -> list[dict[str, Any]]:
    """Five people; the second is closed."""
    return [
        provider.add_user(
            name, externalId=f"ext-{number}", title=f"T{number}", active=number != 1,
            emails=[{"value": f"{name}@home.example", "type": "home"}],
        )
        for number, name in enumerate(PEOPLE)
    ]  # fmt: skip


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["userName"] for one in found]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ('userName eq "BERT"', "b"),
        ('userName ne "bert"', "acde"),
        ('userName co "A"', "acd"),
        ('userName sw "d"', "d"),
        ('userName ew "l"', "e"),
        ("userName pr", "abcde"),
        ('externalId eq "ext-2"', "c"),
        ('externalId eq "EXT-2"', ""),
        ('not (externalId eq "ext-2")', "abde"),
        ("active eq false", "b"),
        ("active eq true", "acde"),
        ('active eq true and userName co "a"', "acd"),
        ('userName eq "anna" or externalId eq "ext-4"', "ae"),
        ('title eq "t3"', "d"),
        ('title eq "t3" or title eq "t0"', "ad"),
        ('not (title eq "t3")', "abce"),
        ('emails.value eq "CARLA@home.example"', "c"),
        ('emails[type eq "home" and value sw "dora"]', "d"),
        ('emails[type eq "work"]', ""),
        ('emails[type eq "home"] and active eq false', "b"),
        ('title gt "T2"', "de"),
        ('meta.resourceType eq "User"', "abcde"),
        ('meta.created gt "2020-01-01T00:00:00Z"', "abcde"),
        ("groups pr", ""),
    ],
)
def test_a_filter_finds_exactly_whom_it_describes(
    provider: Provider, staff: list[dict[str, Any]], asked: str, expected: str
) -> None:
    assert "".join(name[0].lower() for name in names(provider.find("Users", asked))) == expected


@pytest.mark.parametrize("asked", [None, 'title sw "T"'], ids=["in the database", "by the library"])
def test_an_index_walks_through_all_once(provider: Provider, staff: list[dict[str, Any]], asked: str | None) -> None:
    query = {"count": "2"} | ({"filter": asked} if asked else {})
    seen: list[str] = []
    for start in (1, 3, 5, 7):
        page = provider.get("/Users", query_string=query | {"startIndex": str(start)}).get_json()
        assert (page["totalResults"], page["startIndex"]) == (5, start)
        seen += names(page.get("Resources", []))
    assert seen == list(PEOPLE)


@pytest.mark.parametrize("asked", [None, 'title sw "T"'], ids=["in the database", "by the library"])
def test_a_cursor_is_stable_while_people_come_and_go(
    provider: Provider, staff: list[dict[str, Any]], asked: str | None
) -> None:
    query = {"count": "2"} | ({"filter": asked} if asked else {})
    first = provider.get("/Users", query_string=query | {"cursor": ""}).get_json()
    assert names(first["Resources"]) == ["anna", "Bert"]
    assert "previousCursor" not in first
    provider.send("DELETE", f"/Users/{staff[0]['id']}")
    provider.add_user("zoe", title="T9")
    second = provider.get("/Users", query_string=query | {"cursor": first["nextCursor"]}).get_json()
    assert names(second["Resources"]) == ["carla", "dora"]
    third = provider.get("/Users", query_string=query | {"cursor": second["nextCursor"]}).get_json()
    assert names(third["Resources"]) == ["emil", "zoe"]
    assert "nextCursor" not in third
    back = provider.get("/Users", query_string=query | {"cursor": third["previousCursor"]}).get_json()
    assert names(back["Resources"]) == ["carla", "dora"]
    start = provider.get("/Users", query_string=query | {"cursor": back["previousCursor"]}).get_json()
    assert names(start["Resources"]) == ["Bert"]


def test_a_cursor_is_for_its_own_query(provider: Provider, staff: list[dict[str, Any]]) -> None:
    cursor = provider.get("/Users", query_string={"count": "2", "cursor": ""}).get_json()["nextCursor"]
    for query in ({"filter": "userName pr", "count": "2"}, {"count": "3"}):
        answer = provider.get("/Users", query_string=query | {"cursor": cursor})
        assert answer.status_code == 400
    assert provider.get("/Groups", query_string={"count": "2", "cursor": cursor}).status_code == 400


def test_a_page_has_an_end(provider: Provider, staff: list[dict[str, Any]]) -> None:
    page = provider.get("/Users", query_string={"count": "100000"}).get_json()
    assert page["itemsPerPage"] == 5
    assert provider.get("/Users", query_string={"count": "0"}).get_json()["totalResults"] == 5


def test_the_root_searches_both(provider: Provider, staff: list[dict[str, Any]]) -> None:
    provider.add_group("staff", staff[0])
    assert provider.get("/").get_json()["totalResults"] == 6
    found = provider.get("/", query_string={"filter": 'displayName eq "staff"'}).get_json()
    assert [one["displayName"] for one in found["Resources"]] == ["staff"]


def test_groups_are_found_by_name_and_member(provider: Provider, staff: list[dict[str, Any]]) -> None:
    provider.add_group("Staff", staff[0], externalId="g1")
    provider.add_group("others", staff[1])
    for asked in ('displayName eq "staff"', 'externalId eq "g1"', f'members.value eq "{staff[0]["id"]}"',
                  f'members[value eq "{staff[0]["id"]}"]'):  # fmt: skip
        assert [one["displayName"] for one in provider.find("Groups", asked)] == ["Staff"]


def test_only_what_is_asked_for_is_told(provider: Provider, staff: list[dict[str, Any]]) -> None:
    (found,) = provider.find("Users", 'userName eq "anna"', attributes="userName")
    assert found.keys() == {"schemas", "id", "userName"}
    (found,) = provider.find("Users", 'userName eq "anna"', excludedAttributes="emails,title")
    assert "emails" not in found
    assert "userName" in found


@pytest.mark.parametrize("asked", ['title eq "t3"', 'emails[type eq "home" and value eq "dora@home.example"]'])
def test_the_database_leaves_little_to_look_at(
    provider: Provider, staff: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(bounds, "MOST_SCANNED", 4)
    monkeypatch.setattr(filters, "_SHORTEST_HINT", 2)
    assert names(provider.find("Users", asked)) == ["dora"]

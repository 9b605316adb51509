"""In which order a search finds, page by page (RFC 7644, section 3.4.2.3)."""

from typing import Any

import pytest

from tests.auth.scim.conftest import USER, Provider

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
TOLD = (
    ("dora", {"displayName": "Dora", "externalId": "b", "department": "X"}),
    ("Anna", {"displayName": "zoe", "name": {"familyName": "Bell"}, "active": False}),
    ("carla", {"name": {"familyName": "adams"}, "externalId": "B"}),
    ("bert", {"displayName": "anna", "name": {"familyName": "Cole"}, "externalId": "a", "department": "Y"}),
)


@pytest.fixture
def people(provider: Provider) -> list[dict[str, Any]]:
    """Four people, of whom not everything is known."""
    made = []
    for name, said in TOLD:
        attributes = dict(said)
        department = attributes.pop("department", None)
        extra = {ENTERPRISE: {"department": department}, "schemas": [USER, ENTERPRISE]} if department else {}
        made.append(provider.add_user(name, **attributes, **extra))
    return made


def found(provider: Provider, path: str = "/Users", **query: str) -> str:
    """The first letters of the names found, in order."""
    answer = provider.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    resources = answer.get_json().get("Resources", [])
    return "".join((one.get("userName") or one["displayName"])[0].lower() for one in resources)


def test_it_is_announced(provider: Provider) -> None:
    assert provider.get("/ServiceProviderConfig").get_json()["sort"] == {"supported": True}


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("userName", "abcd"),
        ("USERNAME", "abcd"),
        (f"{USER}:userName", "abcd"),
        ("displayName", "bdac"),
        ("name.familyName", "cabd"),
        ("externalId", None),  # which of a small and a capital letter is first, databases say
        ("active", "adcb"),
        ("meta.created", "dacb"),
        ("meta.lastModified", "dacb"),
        ("id", "dacb"),
        (f"{ENTERPRISE}:department", "dbac"),
        ("title", "dacb"),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"filter": 'schemas co "core"'}], ids=["in the database", "by the library"])
def test_an_order_has_two_directions_and_pages_keep_to_it(
    provider: Provider, people: list[dict[str, Any]], attribute: str, expected: str | None, asked: dict[str, str]
) -> None:
    query = asked | {"sortBy": attribute}
    forth = found(provider, **query)
    if expected is not None:
        assert forth == expected
    assert found(provider, **query, sortOrder="ascending") == forth
    assert found(provider, **query, sortOrder="descending") == forth[::-1]
    for order, whole in (("ascending", forth), ("descending", forth[::-1])):
        by_index = [
            found(provider, **query, sortOrder=order, count="1", startIndex=str(place)) for place in (1, 2, 3, 4)
        ]
        assert "".join(by_index) == whole
        assert "".join(by_cursor(provider, query | {"sortOrder": order, "count": "3"})) == whole


def by_cursor(provider: Provider, query: dict[str, str]) -> list[str]:
    """All pages, forth; the way back is the same."""
    pages, cursor, back = [], "", None
    while cursor is not None:
        answer = provider.get("/Users", query_string=query | {"cursor": cursor}).get_json()
        pages.append("".join(one["userName"][0].lower() for one in answer.get("Resources", [])))
        cursor, back = answer.get("nextCursor"), answer.get("previousCursor")
    answer = provider.get("/Users", query_string=query | {"cursor": back}).get_json()
    assert "".join(one["userName"][0].lower() for one in answer["Resources"]) == pages[-2]
    return pages


def test_pages_are_stable_while_people_come_and_go(provider: Provider, people: list[dict[str, Any]]) -> None:
    query = {"sortBy": "userName", "count": "2"}
    first = provider.get("/Users", query_string=query | {"cursor": ""}).get_json()
    assert [one["userName"] for one in first["Resources"]] == ["Anna", "bert"]
    provider.add_user("aaron")
    provider.send("DELETE", f"/Users/{people[3]['id']}")
    provider.add_user("cecil")
    second = provider.get("/Users", query_string=query | {"cursor": first["nextCursor"]}).get_json()
    assert [one["userName"] for one in second["Resources"]] == ["carla", "cecil"]


def test_a_cursor_is_of_its_order(provider: Provider, people: list[dict[str, Any]]) -> None:
    query = {"sortBy": "userName", "count": "2"}
    cursor = provider.get("/Users", query_string=query | {"cursor": ""}).get_json()["nextCursor"]
    for other in ({"sortBy": "title"}, {"sortOrder": "descending"}):
        answer = provider.get("/Users", query_string=query | other | {"cursor": cursor})
        assert (answer.status_code, answer.get_json()["scimType"]) == (400, "invalidCursor")


def test_groups_and_both_are_sorted(provider: Provider, people: list[dict[str, Any]]) -> None:
    for name in ("staff", "Others", "Eta"):
        provider.add_group(name)
    assert found(provider, "/Groups", sortBy="displayName") == "eos"
    assert found(provider, "/Groups", sortBy="displayName", sortOrder="descending") == "soe"
    assert found(provider, "/", sortBy="displayName") == "bdeosac"  # of people by what they are called, too
    assert found(provider, "/", sortBy="userName") == "abcdsoe"
    assert found(provider, "/", sortBy="active", filter='userName pr or displayName eq "eta"') == "adcbe"


def test_an_order_without_an_attribute_is_none(provider: Provider, people: list[dict[str, Any]]) -> None:
    assert found(provider, sortOrder="descending") == "dacb"


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [("emails", "invalidValue"), ("emails.value", "invalidValue"), ("groups.value", "invalidValue"),
     ("schemas", "invalidValue"), ("meta.version", "invalidValue"), ("meta.location", "invalidValue"),
     ("name", "invalidPath"), ("password", "invalidPath"), ("nothing", "invalidPath"), ('emails[type eq "work"]',
     "invalidPath"), ("x" * 3000, "invalidPath"), ("id; DROP TABLE users", "invalidPath")],
)  # fmt: skip
def test_what_nothing_is_sorted_by_is_refused(provider: Provider, attribute: str, kind: str) -> None:
    answer = provider.get("/Users", query_string={"sortBy": attribute})
    assert (answer.status_code, answer.get_json()["scimType"]) == (400, kind)
    assert provider.get("/Users", query_string={"sortBy": "id", "sortOrder": "sideways"}).status_code == 400


def test_any_letter_has_a_place(provider: Provider) -> None:
    for number, letter in enumerate(["\u0130", "\u00df", "\ud83d\ude00", "'", "\\", '"', "%", "\n"]):
        provider.add_user(f"user{number}", title=letter)
    for order in ("ascending", "descending"):
        pages, cursor = [], ""
        while cursor is not None:
            query = {"sortBy": "title", "sortOrder": order, "count": "3", "cursor": cursor}
            answer = provider.get("/Users", query_string=query).get_json()
            pages += [one["id"] for one in answer["Resources"]]
            cursor = answer.get("nextCursor")
        assert len(pages) == len(set(pages)) == 8

"""The rules of signing in, on their page and by the API."""

import pytest
from flask import Flask

from auth import policy
from auth.policy import Policy
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PAGE, API = "/admin/policy/", "/api/v1/policy"


def rules_of(app: Flask, workspace: Workspace) -> Policy:
    with inside(app, workspace):
        return policy.current()


FORM = {
    "methods": ["password", "passkey"], "shortest_password": "12", "second_factor": "roles",
    "second_factor_roles": ["owner"], "session_hours": "8", "idle_minutes": "", "networks": "127.0.0.0/8\n192.0.2.1",
}  # fmt: skip


def test_the_page_saves_them(app: Flask, acme: Workspace) -> None:
    admin = sign_in(app, acme, "admin")
    assert admin.post(PAGE, FORM).status_code == 302
    assert rules_of(app, acme) == Policy(
        shortest_password=12, second_factor="roles", second_factor_roles=("owner",), session_hours=8,
        networks=("127.0.0.0/8", "192.0.2.1/32"),
    )  # fmt: skip
    page = admin.get(PAGE).text
    assert "192.0.2.1/32" in page
    assert 'value="12"' in page


def test_the_page_shows_the_callers_address_and_no_fault_at_first(app: Flask, acme: Workspace) -> None:
    page = sign_in(app, acme, "owner").get(PAGE).text
    assert "127.0.0.1" in page
    assert "invalid-feedback" not in page


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"networks": "192.0.2.0/24"}, "is in none of them"),
        ({"networks": "somewhere"}, "does not appear to be"),
        ({"methods": []}, "No owner could sign in any more"),
        ({"shortest_password": "3"}, "between 8 and 128"),
        ({"second_factor": "x"}, "Not a valid choice"),
        ({"second_factor_roles": ["nobody's"]}, "is not a valid choice"),
    ],
    ids=str,
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    app: Flask, acme: Workspace, changed: dict[str, object], said: str
) -> None:
    answer = sign_in(app, acme, "admin").post(PAGE, FORM | {"session_hours": "77"} | changed)
    assert answer.status_code == 422
    assert said in answer.text.replace("&#39;", "'")
    assert 'value="77"' in answer.text
    assert rules_of(app, acme) == Policy()


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_they_are_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert visitor.get(PAGE).status_code == 403
    assert visitor.post(PAGE, FORM).status_code == 403
    assert visitor.get(API).status_code == 403
    assert visitor.client.patch(
        API, base_url=visitor.base, json={}, headers={"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    ).status_code == 403  # fmt: skip
    assert PAGE not in visitor.get("/").text


def patch(visitor: Visitor, body: object) -> tuple[int, dict[str, object]]:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    answer = visitor.client.patch(API, base_url=visitor.base, json=body, headers=headers)
    return answer.status_code, answer.get_json()


def test_the_api_shows_and_changes_them(app: Flask, acme: Workspace) -> None:
    admin = sign_in(app, acme, "admin")
    assert admin.get(API).get_json()["shortest_password"] == 8
    status, rules = patch(admin, {"idle_minutes": 30})
    assert (status, rules["idle_minutes"], rules["methods"]) == (200, 30, ["passkey", "password"])
    assert rules_of(app, acme) == Policy(idle_minutes=30)


def test_the_api_names_the_field_that_is_wrong(app: Flask, acme: Workspace) -> None:
    status, problem = patch(sign_in(app, acme, "admin"), {"idle_minutes": 1})
    assert status == 422
    assert problem["errors"] == [{"field": "idle_minutes", "message": "must be 5 or more"}]

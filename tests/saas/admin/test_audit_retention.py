"""How long events are kept, chosen by administrators."""

import pytest
from flask import Flask

from tests.factories import Workspace
from tests.saas.test_operations import send
from tests.visitor import Visitor, sign_in

PAGE, API, LOG = "/admin/audit/retention", "/api/v1/audit/retention", "/api/v1/audit"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def test_it_is_chosen_on_the_page_and_told_in_the_log(admin: Visitor) -> None:
    assert admin.post(PAGE, {"days": "90"}).status_code == 302
    assert admin.get(API).json == {"days": 90}
    told = admin.get(f"{LOG}?kind=audit+log+kept").json["items"]
    assert [one["details"] for one in told] == [{"days": [400, 90]}]


@pytest.mark.parametrize("days", ["29", "3661", "", "many"])
def test_a_time_that_cannot_be_is_refused_at_its_field(admin: Visitor, days: str) -> None:
    answer = admin.post(PAGE, {"days": days})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert admin.get(API).json == {"days": 400}


def test_the_api_takes_the_same_times(admin: Visitor) -> None:
    assert send(admin, "PUT", API, {"days": 30}).json == {"days": 30}
    assert send(admin, "PUT", API, {"days": 29}).status_code == 422


def test_who_only_reads_the_log_cannot_shorten_it(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = {"name": "Auditor", "permissions": ["audit:read"]}
    assert send(admin, "POST", "/api/v1/roles", role).status_code == 201
    viewer = acme.people["viewer"]
    assert send(admin, "PUT", f"/api/v1/members/{viewer.id}/roles/Auditor", {}).status_code == 204
    visitor = sign_in(app, acme, "viewer")
    assert visitor.get(API).status_code == 200
    assert PAGE not in visitor.get("/admin/audit/").text
    assert visitor.get(PAGE).status_code == 403
    assert send(visitor, "PUT", API, {"days": 30}).status_code == 403

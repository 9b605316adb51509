"""JSON of members, and the member pages: what is not in test_members.py."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from auth import accounts, invitations, local_groups, members, roles
from auth.audit_models import AuditEvent
from auth.holdings import find_holder
from tenants.db import now
from tests.auth.helpers import inside, row_of, set_up_app
from tests.factories import Workspace, add_person
from tests.visitor import Visitor, sign_in

PAGE, API = "/admin/members/", "/api/v1/members"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def put(visitor: Visitor, path: str, body: Any = None) -> int:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    options: dict[str, Any] = {"json": body} if body is not None else {}
    return visitor.client.put(
        path, base_url=visitor.base, headers=headers, environ_base=visitor.environ, **options
    ).status_code


class TestRoles:
    """Roles by the API."""

    def test_many_are_given_one(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        people = [add_person(app, acme, role=None) for _ in range(3)]
        body = {"role": "viewer", "member_ids": [str(person.id) for person in people]}
        assert admin.post_json(f"{API}/roles", body).get_json() == {"given": 3}
        assert admin.post_json(f"{API}/roles", body).get_json() == {"given": 0}
        with inside(app, acme):
            assert all(members.describe(row_of(person)).roles == ["viewer"] for person in people)

    def test_an_unknown_one_among_them_leaves_all_as_they_were(
        self, app: Flask, acme: Workspace, globex: Workspace, admin: Visitor
    ) -> None:
        person = add_person(app, acme, role=None)
        answers = [
            admin.post_json(f"{API}/roles", {"role": "viewer", "member_ids": [str(person.id), str(other)]})
            for other in (globex.people["viewer"].id, uuid.uuid4())
        ]
        assert [answer.status_code for answer in answers] == [422, 422]
        assert [answer.get_json()["errors"][0]["field"] for answer in answers] == ["member_ids"] * 2
        with inside(app, acme):
            assert members.describe(row_of(person)).roles == []

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"role": "owner"}, 403),
            ({"role": "nobody"}, 422),
            ({"role": "viewer", "ends_at": "2020-01-01T00:00:00Z"}, 403),
            ({"role": "viewer", "ends_at": "2099-01-01T00:00:00"}, 422),
            ({"role": "viewer", "member_ids": []}, 422),
        ],
    )
    def test_what_cannot_be_given_is_refused(
        self, acme: Workspace, admin: Visitor, body: dict[str, Any], status: int
    ) -> None:
        body = {"member_ids": [str(acme.people["member"].id)]} | body
        assert admin.post_json(f"{API}/roles", body).status_code == status

    def test_one_is_given_until_a_moment(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer, end = acme.people["viewer"], now() + timedelta(days=2)
        assert put(admin, f"{API}/{viewer.id}/roles/member", {"ends_at": end.isoformat()}) == 204
        with inside(app, acme):
            holder = find_holder(viewer.id)
        assert holder is not None
        assert [held.expires_at for held in holder.held if held.role == "member"] == [end]

    def test_one_is_shown_as_it_was_given_by_hand(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer, end = acme.people["viewer"], now() + timedelta(days=2)
        with inside(app, acme):
            roles.grant_role(row_of(viewer), "member", actor=None, origin="default")
            group = local_groups.create_group("Staff", actor=None)
            local_groups.add_member(group, row_of(viewer), actor=None)
            local_groups.give_role(group, roles.get_role("admin"), actor=None)
        path = f"{API}/{viewer.id}/roles"
        assert put(admin, f"{path}/member", {"ends_at": end.isoformat()}) == 204
        shown = admin.get(f"{path}/member").json
        assert (shown["role"], shown["origin"], shown["lapsed"]) == ("member", "manual", False)
        assert shown == next(one for one in admin.get(f"{API}/{viewer.id}").json["grants"] if one["id"] == shown["id"])
        for other in ("admin", "owner", "nobody"):  # through a group, not at all, and no role
            assert admin.get(f"{path}/{other}").status_code == 404

    def test_a_role_may_have_a_stroke_in_its_name(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        with inside(app, acme):
            roles.create_role("dev/ops", ["project:read"], actor=None)
        viewer = acme.people["viewer"]
        assert put(admin, f"{API}/{viewer.id}/roles/dev/ops") == 204
        with inside(app, acme):
            assert "dev/ops" in members.describe(row_of(viewer)).roles

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_it_is_for_administrators(self, app: Flask, acme: Workspace, role: str) -> None:
        visitor = sign_in(app, acme, role)
        mine = acme.people[role].id
        assert visitor.post_json(f"{API}/roles", {"role": "viewer", "member_ids": [str(mine)]}).status_code == 403
        assert put(visitor, f"{API}/{mine}/roles/admin") == 403
        assert visitor.post(f"{PAGE}give-role", {"role": "viewer", "user": [str(mine)]}).status_code == 403


class TestPages:
    """What a member's page shows and takes."""

    def test_the_last_sign_in_is_shown(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer = acme.people["viewer"]
        with inside(app, acme):
            assert members.describe(row_of(viewer)).signed_in_at is None
        sign_in(app, acme, "viewer").post("/auth/logout")
        with inside(app, acme):
            moment = members.describe(row_of(viewer)).signed_in_at
        assert moment is not None
        assert moment.isoformat() in admin.get(f"{PAGE}{viewer.id}").text

    @pytest.mark.parametrize("day", ["9999-12-31", "9001-01-01"])
    def test_a_day_beyond_all_time_is_told(self, acme: Workspace, admin: Visitor, day: str) -> None:
        answer = admin.post(f"{PAGE}{acme.people['viewer'].id}/roles", {"role": "member", "until": day})
        assert (answer.status_code, "too far away" in answer.text) == (422, True)

    def test_a_name_can_be_seen(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        answer = admin.post(f"{PAGE}{acme.people['viewer'].id}/rename", {"name": "Ve\u202era"})
        assert answer.status_code == 403
        with inside(app, acme):
            assert row_of(acme.people["viewer"]).name == "Viewer"

    def test_who_gave_a_role_is_named(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer = acme.people["viewer"]
        admin.post(f"{PAGE}{viewer.id}/roles", {"role": "member"})
        assert "given by Admin" in admin.get(f"{PAGE}{viewer.id}").text
        with inside(app, acme):
            accounts.remove(row_of(acme.people["admin"]), actor=None)
        assert "given by a former member" in sign_in(app, acme, "owner").get(f"{PAGE}{viewer.id}").text


def test_ones_own_second_factor_is_not_reset_here(app: Flask, acme: Workspace, admin: Visitor, steady: None) -> None:
    set_up_app(app, admin)
    me = acme.people["admin"].id
    answer = admin.post(f"{PAGE}{me}/reset-second-factor")
    assert answer.status_code == 403
    assert "where you prove that it is you" in answer.text
    with inside(app, acme):
        assert row_of(acme.people["admin"]).tf_primary_method is not None


class TestMany:
    """A role for all who are chosen in the list."""

    def test_it_may_end(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer = acme.people["viewer"]
        form = {"role": "member", "until": "2099-12-31", "user": str(viewer.id)}
        assert admin.post(f"{PAGE}give-role", form).status_code == 302
        with inside(app, acme):
            holder = find_holder(viewer.id)
        assert holder is not None
        (held,) = [held for held in holder.held if held.role == "member"]
        assert held.expires_at is not None
        assert held.expires_at.date().isoformat() == "2099-12-31"

    @pytest.mark.parametrize(
        "wrong", [{"role": "nobody"}, {"until": "some day"}, {"until": "9999-12-31"}, {"until": "2020-01-01"}]
    )
    def test_what_is_wrong_gives_nothing(
        self, app: Flask, acme: Workspace, admin: Visitor, wrong: dict[str, str]
    ) -> None:
        viewer = acme.people["viewer"]
        form = {"role": "member", "user": str(viewer.id)} | wrong
        assert admin.post(f"{PAGE}give-role", form).status_code == 302
        assert "alert-danger" in admin.get(PAGE).text
        with inside(app, acme):
            assert members.describe(row_of(viewer)).roles == ["viewer"]


def test_whom_a_removed_member_has_invited_is_invited_no_more_and_it_is_recorded(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    admin.post_json("/api/v1/invitations", {"emails": ["new@x.example"], "role": "viewer"})
    with inside(app, acme) as session:
        accounts.remove(row_of(acme.people["admin"]), actor=None)
        session.flush()
        assert invitations.count_pending() == 0
        (told,) = session.scalars(select(AuditEvent).where(AuditEvent.kind == "invitation revoked"))
    assert told.target == "new@x.example"

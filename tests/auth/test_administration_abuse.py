"""People who administer rights, and would like more, or to harm others, or to send us what is none of it."""

import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from auth import (
    acceptance,
    accounts,
    bulk_grants,
    groups,
    invitation_links,
    invitations,
    local_groups,
    member_import,
    role_editor,
    roles,
    users,
)
from auth.errors import AuthError, InvitationVoid, NotAllowed, UnsuitableName
from auth.identity import Identity, snapshot_of
from auth.member_import import Outcome
from auth.models import Grant, Group, Invitation, User
from auth.providers import configs
from tenants.db import now
from tests.auth.helpers import NEW_PASSWORD, at_once, change, inside, mail_to, row_of
from tests.factories import Person, Workspace, add_person, make_project, make_workspace
from tests.visitor import Visitor, sign_in

TOO_FAR = ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00")
WRONG: list[Any] = [
    None, True, 1, 1e300, "", "x", "\ud800", "\u202e", "x" * 5000, [], ["\ud800"], [[]], {}, {"a": 1},
    "9999-12-31T23:59:59-14:00", "2030-01-01T00:00:00", ["x"] * 1001, [None],
    "00000000-0000-0000-0000-000000000000", ["00000000-0000-0000-0000-000000000000"] * 2,
]  # fmt: skip
"""Values that some field takes, and others do not."""


def actor(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def holder_of(app: Flask, workspace: Workspace, *permissions: str) -> Person:
    """Somebody with a role of the workspace's own that permits just that."""
    name = f"only {' '.join(permissions)}"
    with inside(app, workspace):
        roles.create_role(name, permissions, actor=None)
    return add_person(app, workspace, role=name)


def browser_of(app: Flask, workspace: Workspace, person: Person) -> Visitor:
    visitor = Visitor(app, workspace.host)
    assert visitor.sign_in(person).status_code == 302
    return visitor


def send(visitor: Visitor, method: str, path: str, body: Any, *, csrf: str | None = None) -> TestResponse:
    headers = {"Origin": visitor.base, "X-CSRFToken": csrf or visitor.csrf_token()}
    return visitor.client.open(
        path, method=method, base_url=visitor.base, json=body, headers=headers, environ_base=visitor.environ
    )


def grants_of(user_id: uuid.UUID, role: str) -> int:
    role_id = roles.get_role(role).id
    counted: int = g.db.scalar(select(func.count(Grant.id)).where(Grant.user_id == user_id, Grant.role_id == role_id))
    return counted


def outcome_of(app: Flask, workspace: Workspace, work: Callable[[], object]) -> Callable[[], str]:
    """That work in a transaction of its own; gives back "done", or which error it was."""

    def run() -> str:
        try:
            with inside(app, workspace):
                work()
        except (AuthError, ValueError) as error:
            return type(error).__name__
        return "done"

    return run


# --- who administers, and would like more -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decide",
    [
        lambda user, me: accounts.rename(user, "Nobody", actor=me),
        lambda user, me: accounts.end_sessions(user, actor=me),
        lambda user, me: accounts.reset_second_factor(user, actor=me),
        lambda user, me: accounts.remove(user, actor=me),
        lambda user, me: users.deactivate_user(user, actor=me),
        lambda user, me: users.reactivate_user(user, actor=me),
        lambda user, me: roles.grant_role(user, "viewer", actor=me),
        lambda user, me: bulk_grants.give_to_many([user], roles.get_role("viewer"), actor=me),
        lambda user, me: invitations.invite(["new@x.example"], "viewer", actor=me),
        lambda user, me: invitations.revoke(g.db.scalars(select(Invitation)).one(), actor=me),
        lambda user, me: invitations.resend(g.db.scalars(select(Invitation)).one(), actor=me),
    ],
    ids=[
        "rename", "end-sessions", "reset-second-factor", "remove", "deactivate", "reactivate", "give-a-role",
        "give-to-many", "invite", "revoke-an-invitation", "resend-an-invitation",
    ],
)  # fmt: skip
@pytest.mark.parametrize("victim", ["admin", "owner"])
def test_who_only_manages_members_decides_nothing_about_administrators_and_gives_nothing(
    app: Flask, acme: Workspace, decide: Callable[[User, Identity], object], victim: str
) -> None:
    manager = holder_of(app, acme, "member:manage")
    with inside(app, acme):
        invitations.invite(["asked@x.example"], "viewer", actor=None)
    with inside(app, acme), pytest.raises(NotAllowed):
        decide(row_of(acme.people[victim]), actor(manager))


def test_an_import_is_no_way_around_what_one_may_do_line_by_line(app: Flask, acme: Workspace) -> None:
    manager, slug = holder_of(app, acme, "member:manage"), acme.slug
    text = (
        f"email,name,role\nowner@{slug}.example,Nobody,\nadmin@{slug}.example,,viewer\nnew@{slug}.example,New,owner\n"
    )
    with inside(app, acme):
        done = member_import.apply(text, actor=actor(manager))
    assert [row.outcome for row in done.rows] == [Outcome.WRONG] * 3
    assert not done.applied


def test_a_grant_that_somebody_else_has_made_is_not_shortened_by_who_could_not_take_it(
    app: Flask, acme: Workspace
) -> None:
    clerk, end = holder_of(app, acme, "member:manage", "role:manage"), now() + timedelta(days=1)
    with inside(app, acme):
        with pytest.raises(NotAllowed):
            roles.grant_role(row_of(acme.people["admin"]), "admin", actor=actor(clerk), expires_at=end)
        admins = [row_of(acme.people["admin"])]
        with pytest.raises(NotAllowed):
            bulk_grants.give_to_many(admins, roles.get_role("admin"), actor=actor(clerk), expires_at=end)


@pytest.mark.parametrize("name", ["Propietario", "ADMINISTRADOR", "Editor de proyecto", "Administrator", "owner"])
def test_no_role_is_called_like_a_built_in_one_in_any_language(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme):
        with pytest.raises(UnsuitableName):
            roles.create_role(name, [], actor=None)
        role = roles.create_role("mine", [], actor=None)
        with pytest.raises(UnsuitableName):
            role_editor.change_role(role, name=name, actor=None)


@pytest.mark.parametrize("path", ["editors", "updates"])
def test_who_may_not_see_a_project_is_not_shown_it_by_a_form_about_it(app: Flask, acme: Workspace, path: str) -> None:
    there, missing = make_project(app, acme, "Manhattan"), uuid.uuid4()
    visitor = browser_of(app, acme, holder_of(app, acme, "role:manage", "project:update"))
    answers = [visitor.post(f"/projects/{project_id}/{path}", {}) for project_id in (there, missing)]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert "Manhattan" not in answers[0].text


def test_another_tenants_ids_in_a_body_are_as_good_as_none(app: Flask, acme: Workspace, globex: Workspace) -> None:
    with inside(app, globex):
        group_id = local_groups.create_group("Theirs", actor=None).id
        role_id = roles.create_role("theirs", [], actor=None).id
        invitation_id = invitations.invite(["asked@x.example"], "viewer", actor=None)[0].id
    with inside(app, acme):
        mine = roles.create_role("mine", [], actor=None).id
    visitor, theirs = sign_in(app, acme, "owner"), str(globex.people["member"].id)
    for method, path, body in [
        ("POST", "members/roles", {"role": "viewer", "member_ids": [theirs]}),
        ("POST", "members/roles", {"role": "theirs", "member_ids": [str(acme.people["member"].id)]}),
        ("POST", "invitations", {"emails": ["new@x.example"], "role": "theirs"}),
        ("POST", f"roles/{mine}/preview", {"replacement": str(role_id)}),
        ("DELETE", f"roles/{mine}?replacement={role_id}", None),
        ("PUT", "roles/default", {"role_id": str(role_id)}),
        ("POST", "projects", {"name": "Mine", "owner_id": theirs}),
    ]:
        assert send(visitor, method, f"/api/v1/{path}", body).status_code == 422, path
    for method, path, body in [
        ("PATCH", f"groups/{group_id}", {"name": "Mine"}),
        ("DELETE", f"groups/{group_id}", None),
        ("DELETE", f"invitations/{invitation_id}", None),
        ("POST", f"invitations/{invitation_id}/resend", {}),
        ("PATCH", f"roles/{role_id}", {"name": "stolen"}),
        ("DELETE", f"members/{theirs}", None),
        ("GET", f"explain?user={theirs}&permission=project:read", None),
    ]:
        assert send(visitor, method, f"/api/v1/{path}", body).status_code == 404, path


# --- whoever is invited -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Vera \u202egnp.exe", "Vera\u200b", "\u2066Vera", "   "])
def test_nobody_comes_in_under_a_name_that_deceives(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme):
        token = invitation_links.token_of(invitations.invite(["new@x.example"], "viewer", actor=None)[0])
    form = {"name": name, "password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}
    answer = Visitor(app, acme.host).post(f"/invitation/{token}", form)
    assert answer.status_code == 422
    with inside(app, acme):
        assert users.find_by_email("new@x.example") is None


def test_of_two_who_accept_an_invitation_at_once_one_comes_in(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        token = invitation_links.token_of(invitations.invite(["new@x.example"], "viewer", actor=None)[0])
    accept = outcome_of(app, acme, lambda: acceptance.accept_with_password(token, "New", NEW_PASSWORD))
    assert sorted(at_once([accept, accept])) == [InvitationVoid.__name__, "done"]
    with inside(app, acme):
        assert grants_of(users.get_by_email("new@x.example").id, "viewer") == 1


def test_an_invitation_whose_role_is_replaced_meanwhile_gives_neither_role(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        role = roles.create_role("helper", [], actor=None)
        invitation = invitations.invite(["new@x.example"], "helper", actor=None)[0]
        token = invitation_links.token_of(invitation)
    with inside(app, acme) as session:
        seen = invitation_links.find(token)
        assert seen is not None
        session.expunge(seen)  # as it was when the other one began
        role_editor.delete_role(role_editor.find_role(role.id), replacement=roles.get_role("viewer"), actor=None)
        with pytest.raises(InvitationVoid):
            acceptance._use(seen)


# --- at the same time -------------------------------------------------------------------------------------------------


def test_of_two_who_make_a_role_of_one_name_at_once_one_is_told_so(app: Flask, acme: Workspace) -> None:
    works = [
        outcome_of(app, acme, lambda name=name: roles.create_role(name, [], actor=None))
        for name in ("Helper", "helper", "Helper")
    ]
    assert sorted(at_once(works)) == [UnsuitableName.__name__] * 2 + ["done"]


def test_of_two_who_make_an_account_of_one_address_at_once_one_is_told_so(app: Flask, acme: Workspace) -> None:
    work = outcome_of(app, acme, lambda: users.create_user("new@x.example"))
    assert sorted(at_once([work, work])) == [ValueError.__name__, "done"]


def test_a_role_that_two_give_at_once_is_given_once(app: Flask, acme: Workspace) -> None:
    member = acme.people["member"]
    works = [
        outcome_of(app, acme, lambda: roles.grant_role(row_of(member), "viewer", actor=None)),
        outcome_of(app, acme, lambda: bulk_grants.give_to_many([row_of(member)], roles.get_role("viewer"), actor=None)),
    ]
    assert at_once(works * 2) == ["done"] * 4
    with inside(app, acme):
        assert grants_of(member.id, "viewer") == 1


def test_a_file_that_is_imported_twice_at_once_is_imported_once(app: Flask, acme: Workspace) -> None:
    member, new = acme.people["member"], f"new@{acme.slug}.example"
    text = f"email,role\n{new},viewer\n{member.email},viewer\n"
    work = outcome_of(app, acme, lambda: member_import.apply(text, actor=None))
    assert at_once([work, work]) == ["done"] * 2  # the one that came later found nothing to do
    with inside(app, acme):
        assert grants_of(member.id, "viewer") == grants_of(users.get_by_email(new).id, "viewer") == 1
    assert len(mail_to(app, new)) == 1


def test_a_group_of_a_source_that_two_map_at_once_is_mapped_once(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        settings = {"issuer": "https://id.example", "client_id": "x"}
        configs.add_provider("work", "oidc", settings, actor=None, secret="secret")
    work = outcome_of(
        app, acme, lambda: groups.map_group(configs.get_config("work"), "staff", "Staff", "viewer", actor=None)
    )
    assert at_once([work, work]) == ["done"] * 2
    with inside(app, acme):
        mapped = groups.mappings_of(configs.get_config("work"))
        assert [(group.name, role) for group, role in mapped] == [("Staff", "viewer")]


@pytest.mark.parametrize("gone", ["member", "role"])
def test_what_is_removed_in_the_moment_of_giving_is_said_to_be_gone(app: Flask, acme: Workspace, gone: str) -> None:
    with inside(app, acme):
        role = roles.create_role("helper", [], actor=None)
        group, member = local_groups.create_group("Board", actor=None), row_of(acme.people["member"])
    with inside(app, acme):  # while another one has them looked up already
        if gone == "member":
            accounts.remove(row_of(acme.people["member"]), actor=None)
        else:
            role_editor.delete_role(roles.get_role("helper"), actor=None)
    with inside(app, acme):
        gives: list[Callable[[], object]] = [lambda: bulk_grants.give_to_many([member], role, actor=None)]
        if gone == "member":
            gives += [
                lambda: roles.grant_role(member, "helper", actor=None),
                lambda: local_groups.add_member(group, member, actor=None),
            ]
        else:
            gives += [lambda: local_groups.give_role(group, role, actor=None)]
        for give in gives:
            with pytest.raises(NotAllowed, match="in this moment"):
                give()


# --- what is none of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", TOO_FAR)
def test_an_end_that_no_calendar_shows_everywhere_is_refused(app: Flask, acme: Workspace, end: str) -> None:
    with inside(app, acme):
        group_id = local_groups.create_group("Board", actor=None).id
    visitor, member_id = sign_in(app, acme, "owner"), acme.people["member"].id
    csrf = visitor.csrf_token()
    for method, path, body in [
        ("PUT", f"members/{member_id}/roles/viewer", {"ends_at": end}),
        ("POST", "members/roles", {"role": "viewer", "member_ids": [str(member_id)], "ends_at": end}),
        ("POST", f"groups/{group_id}/roles", {"role": "viewer", "ends_at": end}),
        ("POST", "invitations", {"emails": ["new@x.example"], "role": "viewer", "role_ends_at": end}),
    ]:
        answer = send(visitor, method, f"/api/v1/{path}", body, csrf=csrf)
        assert (answer.status_code, answer.get_json()["detail"]) == (403, "That day is too far away."), path


GIVES: dict[str, Callable[[User, Group, datetime], object]] = {
    "grant": lambda user, _group, end: roles.grant_role(user, "viewer", actor=None, expires_at=end),
    "many": lambda user, _group, end: bulk_grants.give_to_many(
        [user], roles.get_role("viewer"), actor=None, expires_at=end
    ),
    "group": lambda _user, group, end: local_groups.give_role(
        group, roles.get_role("viewer"), actor=None, expires_at=end
    ),
    "invite": lambda _user, _group, end: invitations.invite(["new@x.example"], "viewer", actor=None, ends_at=end),
}
by_give = pytest.mark.parametrize("give", GIVES.values(), ids=GIVES)


@pytest.mark.parametrize("zone", [-14, 0, 14])
@by_give
def test_no_service_takes_an_end_that_is_too_far_away(
    app: Flask, acme: Workspace, give: Callable[[User, Group, datetime], object], zone: int
) -> None:
    far = datetime(9999, 12, 31, 12, tzinfo=timezone(timedelta(hours=zone)))
    with inside(app, acme):
        group = local_groups.create_group("Board", actor=None)
        with pytest.raises(NotAllowed):
            give(row_of(acme.people["member"]), group, far)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_a_day_at_the_edge_of_the_calendar_is_wrong_in_every_form(
    app: Flask, acme: Workspace, zone: str, day: str
) -> None:
    with inside(app, acme):
        group_id, role_id = local_groups.create_group("Board", actor=None).id, roles.get_role("viewer").id
    change(app, acme, acme.people["owner"], timezone=zone)
    visitor, member_id = sign_in(app, acme, "owner"), acme.people["member"].id
    for path, form in [
        (f"members/{member_id}/roles", {"role": "viewer", "until": day}),
        (f"groups/{group_id}/roles", {"role": str(role_id), "ends_on": day}),
        ("invitations/new", {"emails": "new@x.example", "role": "viewer", "ends_on": day}),
    ]:
        assert visitor.post(f"/admin/{path}", form).status_code == 422, path
    assert visitor.post(
        "/admin/members/give-role", {"user": member_id, "role": "viewer", "until": day}
    ).status_code in (
        302,
        422,
    )
    with inside(app, acme):
        assert grants_of(member_id, "viewer") == 0


@pytest.mark.parametrize("text", ["\0", "\ud800"], ids=["nul", "half-a-letter"])
def test_a_cursor_that_holds_no_text_is_none_of_ours(app: Flask, acme: Workspace, text: str) -> None:
    visitor = sign_in(app, acme, "owner")
    for path, place in [
        ("members", ["email", text, str(uuid.uuid4())]),
        ("roles", ["kind", "custom", text, str(uuid.uuid4())]),
        ("groups", [text]),
        ("invitations", [text]),
        ("projects", [text]),
        ("permissions/project:read/holders", [text]),
    ]:
        cursor = urlsafe_b64encode(json.dumps(place).encode()).decode()
        assert visitor.get(f"/api/v1/{path}?cursor={cursor}").status_code == 422, path


def test_no_value_in_any_field_of_a_program_is_an_error_of_ours(app: Flask) -> None:
    acme = make_workspace(app)
    with inside(app, acme):
        role_id = roles.create_role("custom", ["project:read"], actor=None).id
        group_id: uuid.UUID = local_groups.create_group("Board", actor=None).id
    visitor, member_id = sign_in(app, acme, "owner"), acme.people["member"].id
    csrf = visitor.csrf_token()
    fields: list[tuple[str, str, dict[str, Any], list[str]]] = [
        ("PATCH", f"members/{member_id}", {}, ["name", "active"]),
        ("PUT", f"members/{member_id}/roles/viewer", {}, ["ends_at"]),
        ("POST", "members/roles", {"role": "viewer", "member_ids": [str(member_id)]}, ["role", "member_ids"]),
        ("POST", "members/import/preview", {"csv": "email\nnew@x.example"}, ["csv", "seen"]),
        ("POST", "members/import", {"csv": "email\nnew@x.example"}, ["csv", "seen"]),
        ("POST", "invitations", {"emails": ["new@x.example"]}, ["emails", "role", "role_ends_at"]),
        ("POST", "roles", {"name": "new", "permissions": []}, ["name", "description", "permissions"]),
        ("PATCH", f"roles/{role_id}", {}, ["name", "description", "permissions"]),
        ("POST", f"roles/{role_id}/preview", {}, ["permissions", "replacement"]),
        ("PUT", "roles/default", {}, ["role_id"]),
        ("POST", "groups", {}, ["name"]),
        ("POST", f"groups/{group_id}/members", {}, ["email"]),
        ("POST", f"groups/{group_id}/roles", {"role": "viewer"}, ["role", "ends_at"]),
        ("POST", "projects", {"name": "Apollo"}, ["name", "status", "owner_id", "due_on"]),
    ]
    for method, path, body, names in fields:
        for name in names:
            for value in WRONG:
                answer = send(visitor, method, f"/api/v1/{path}", body | {name: value}, csrf=csrf)
                assert answer.status_code < 500, (path, name, value)


def test_a_group_that_is_not_theirs_is_shown_to_whom_it_is_refused(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        group: Group = local_groups.create_group("Owners", actor=None)
        local_groups.give_role(group, roles.get_role("owner"), actor=None)
        group_id, viewer = group.id, roles.get_role("viewer").id
    visitor, member = sign_in(app, acme, "admin"), acme.people["member"]
    for path, form in [("members", {"email": member.email}), ("roles", {"role": str(viewer)})]:
        answer = visitor.post(f"/admin/groups/{group_id}/{path}", form)
        assert answer.status_code == 422
        assert "so that you cannot change it" in answer.text

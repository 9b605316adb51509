"""JSON of grants: seen by whoever sees roles, given and taken past the guards of whoever keeps their holders."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from auth import accounts, local_groups, role_editor, roles, service_accounts
from auth.audit_models import AuditEvent
from auth.models import Grant, Group, Role, User
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.factories import Workspace, add_person, make_project
from tests.program import Program, personal_token, signed_in_program
from tests.statements import counted

GRANTS = "/api/v1/grants"
END = "2099-12-31T00:00:00Z"
SEES = {"role:read", "role:manage"}


@pytest.fixture
def owner(app: Flask, acme: Workspace) -> Program:
    return personal_token(app, acme, "owner")


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Program:
    return personal_token(app, acme, "admin")


def id_of(app: Flask, workspace: Workspace, role: str) -> str:
    with inside(app, workspace):
        return str(roles.get_role(role).id)


def make_group(app: Flask, workspace: Workspace, name: str = "Team", origin: str = "manual") -> uuid.UUID:
    with inside(app, workspace) as session:
        group = Group(name=name, origin=origin)
        session.add(group)
        session.flush()
        return group.id


def make_account(app: Flask, workspace: Workspace) -> uuid.UUID:
    with inside(app, workspace):
        return service_accounts.create_account("Robot", actor=None).id


def make_role(app: Flask, workspace: Workspace, name: str, *permissions: str) -> str:
    with inside(app, workspace):
        return str(roles.create_role(name, permissions, actor=None).id)


def put(app: Flask, workspace: Workspace, role: str, **values: Any) -> uuid.UUID:
    """A grant that was made somehow, past all guards."""
    with inside(app, workspace) as session:
        grant = Grant(role_id=roles.get_role(role).id, **values)
        session.add(grant)
        session.flush()
        return grant.id


def listed(program: Program, **query: Any) -> list[dict[str, Any]]:
    answer = program.get(GRANTS, query_string={"limit": 100} | query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def paged(program: Program, **query: Any) -> Iterator[list[str]]:
    """The ids of the grants, page by page."""
    cursor = ""
    while True:
        page = program.get(GRANTS, query_string=query | {"cursor": cursor}).json
        yield [one["id"] for one in page["items"]]
        if (cursor := page["next_cursor"] or "") == "":
            return


def names(items: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(one["holder"]["name"], one["role"]["name"]) for one in items}


def give(program: Program, expected: int = 201, **body: Any) -> dict[str, Any]:
    answer = program.post(GRANTS, {name: str(v) if isinstance(v, uuid.UUID) else v for name, v in body.items()})
    assert answer.status_code == expected, answer.text
    told: dict[str, Any] = answer.json
    return told


def only_grant(program: Program, user: uuid.UUID) -> str:
    (one,) = listed(program, user=user)
    return f"{GRANTS}/{one['id']}"


class TestReading:
    """The list, and one of it."""

    def test_all_grants_are_listed_with_who_holds_them(self, app: Flask, acme: Workspace, admin: Program) -> None:
        group, robot, project = make_group(app, acme), make_account(app, acme), make_project(app, acme)
        viewer, giver = acme.people["viewer"].id, acme.people["owner"].id
        put(app, acme, "member", group_id=group)
        put(app, acme, "viewer", user_id=robot)
        place = {"object_type": "project", "object_id": project}
        given = put(app, acme, "project-editor", user_id=viewer, granted_by=giver, reason="Holiday", **place)
        items = listed(admin)
        assert names(items) == {
            ("Owner", "owner"), ("Admin", "admin"), ("Member", "member"), ("Viewer", "viewer"), ("Team", "member"),
            ("Robot", "viewer"), ("Viewer", "project-editor"),
        }  # fmt: skip
        assert {one["holder"]["name"]: one["holder"]["kind"] for one in items if one["holder"]["kind"] != "user"} == {
            "Team": "group", "Robot": "service",
        }  # fmt: skip
        newest = items[0]
        assert newest == admin.get(f"{GRANTS}/{given}").json
        assert newest.pop("created_at")
        assert newest == {
            "id": str(given),
            "role": {"id": id_of(app, acme, "project-editor"), "name": "project-editor", "label": "Project editor"},
            "holder": {"kind": "user", "id": str(viewer), "name": "Viewer"},
            "object": {"type": "project", "id": str(project)},
            "origin": "manual", "given_by": str(giver), "reason": "Holiday", "ends_at": None, "lapsed": False,
        }  # fmt: skip

    def test_the_filters_choose(self, app: Flask, acme: Workspace, admin: Program) -> None:
        group, project, other = make_group(app, acme), make_project(app, acme), make_project(app, acme, "Hermes")
        source, viewer = f"provider:{uuid.uuid4()}", acme.people["viewer"].id
        put(app, acme, "member", group_id=group, origin=source)
        put(app, acme, "member", user_id=viewer, expires_at=now() - timedelta(days=1))
        put(app, acme, "project-editor", user_id=viewer, object_type="project", object_id=project)
        assert names(listed(admin, user=viewer)) == {
            (("Viewer"), role) for role in ("viewer", "member", "project-editor")
        }
        assert names(listed(admin, group=group)) == names(listed(admin, origin=source)) == {("Team", "member")}
        assert names(listed(admin, role=id_of(app, acme, "member"))) == {
            (who, "member") for who in ("Member", "Team", "Viewer")
        }
        assert names(listed(admin, state="lapsed")) == {("Viewer", "member")}
        assert len(listed(admin, state="active")) == len(listed(admin)) - 1
        on = {("Viewer", "project-editor")}
        assert names(listed(admin, object_type="project")) == on
        assert names(listed(admin, object_type="project", object_id=project)) == on
        assert listed(admin, object_type="project", object_id=other) == []
        assert names(listed(admin, user=viewer, state="active", role=id_of(app, acme, "viewer"))) == {
            ("Viewer", "viewer")
        }

    def test_what_cannot_be_asked_is_refused(self, admin: Program) -> None:
        alone = f"object_id={uuid.uuid4()}"
        for query in ("object_type=planet", alone, "state=new", "sort=name", "user=x", "search=x", "role=member"):
            assert admin.get(f"{GRANTS}?{query}").status_code == 422, query

    def test_a_lapsed_one_is_told_of_as_such(self, app: Flask, acme: Workspace, admin: Program) -> None:
        ended = put(app, acme, "admin", user_id=acme.people["viewer"].id, expires_at=now() - timedelta(seconds=1))
        told = admin.get(f"{GRANTS}/{ended}").json
        assert told["lapsed"] is True
        assert listed(admin, state="lapsed") == [told]
        assert admin.delete(f"{GRANTS}/{ended}").status_code == 204

    @pytest.mark.parametrize("sort", ["created", "-created", "ends", "-ends"])
    def test_every_order_goes_on_where_a_page_ends(
        self, app: Flask, acme: Workspace, admin: Program, sort: str
    ) -> None:
        viewer, day = acme.people["viewer"].id, now()
        for days in (3, 1, 2, 1):  # of two that end at once the id decides
            put(app, acme, "member", user_id=viewer, origin=f"{days}", expires_at=day + timedelta(days=days))
        whole = listed(admin, sort=sort)
        pages = list(paged(admin, sort=sort, limit=2))
        assert [one for page in pages for one in page] == [one["id"] for one in whole]
        key = "ends_at" if sort.endswith("ends") else "created_at"
        keys = [(one[key] or "9999", one["id"]) for one in whole]
        assert keys == sorted(keys, reverse=sort.startswith("-"))

    def test_a_cursor_is_of_its_order(self, admin: Program) -> None:
        cursor = admin.get(GRANTS, query_string={"limit": 1, "sort": "ends"}).json["next_cursor"]
        assert admin.get(GRANTS, query_string={"cursor": cursor}).status_code == 422
        assert admin.get(GRANTS, query_string={"cursor": "x"}).status_code == 422

    def test_a_long_page_costs_as_much_as_a_short_one(self, app: Flask, acme: Workspace, admin: Program) -> None:
        project = make_project(app, acme)
        with inside(app, acme) as session:
            role, user = roles.get_role("project-editor").id, acme.people["viewer"].id
            values = {"role_id": role, "user_id": user, "object_type": "project", "object_id": project}
            session.add_all(Grant(origin=str(number), **values) for number in range(100))
        sent = []
        for limit in (10, 10, 100):
            with counted(app) as statements:
                assert len(listed(admin, limit=limit)) == limit
            sent.append(len(statements))
        assert sent[1] == sent[2]

    def test_what_is_deleted_while_it_is_paged_leaves_no_gap(self, app: Flask, acme: Workspace, admin: Program) -> None:
        make_role(app, acme, "Passing", "project:read")
        people = [add_person(app, acme, role="Passing") for _ in range(2)] + [add_person(app, acme) for _ in range(4)]
        pages = paged(admin, sort="created", limit=5)
        seen = next(pages)  # the four of the workspace, and the first of these
        with inside(app, acme):
            role_editor.delete_role(roles.get_role("Passing"), actor=None)
            accounts.drop(row_of(people[2]))
        assert [one for page in pages for one in page] == [
            one["id"] for one in listed(admin, sort="created") if one["id"] not in seen
        ]
        assert len(listed(admin)) == 7


class TestSeeing:
    """What the list shows, its caller could see elsewhere, and its filters tell no more."""

    def test_it_takes_the_permission_to_see_roles(self, app: Flask, acme: Workspace, admin: Program) -> None:
        path = only_grant(admin, acme.people["viewer"].id)
        assert len(listed(personal_token(app, acme, "owner", only={"role:read"}))) == 4
        for program in (
            signed_in_program(app, acme, "member"),
            signed_in_program(app, acme, "viewer"),
            personal_token(app, acme, "owner", only={"member:manage", "member:read", "role:manage"}),
        ):
            for answer in (program.get(GRANTS), program.get(path), program.get(f"{GRANTS}?user={uuid.uuid4()}")):
                assert answer.status_code == 403
            assert acme.people["owner"].email not in answer.text

    def test_an_object_that_they_may_not_see_is_not_named_and_not_found(self, app: Flask, acme: Workspace) -> None:
        project, viewer = make_project(app, acme), acme.people["viewer"].id
        given = put(app, acme, "project-editor", user_id=viewer, object_type="project", object_id=project)
        auditor = personal_token(app, acme, "owner", only={"role:read"})
        assert auditor.get(f"{GRANTS}/{given}").json["object"] == {"type": "project", "id": None}
        assert str(project) not in auditor.get(GRANTS).text
        asked = [
            auditor.get(GRANTS, query_string={"object_type": "project", "object_id": one}).json
            for one in (project, uuid.uuid4())
        ]
        assert asked[0] == asked[1] == {"items": [], "next_cursor": None}

    def test_an_object_of_their_own_is_named_to_whoever_sees_no_other(self, app: Flask, acme: Workspace) -> None:
        mine, other = make_project(app, acme), make_project(app, acme, "Hermes")
        make_role(app, acme, "Auditor", "role:read")
        auditor = add_person(app, acme, role="Auditor")
        for project in (mine, other):
            put(app, acme, "project-editor", user_id=acme.people["viewer"].id, object_type="project", object_id=project)
        put(app, acme, "project-editor", user_id=auditor.id, object_type="project", object_id=mine)
        program = Program(app, acme.host)
        program.sign_in(auditor)
        named = {one["object"]["id"] for one in listed(program, object_type="project")}
        assert named == {str(mine), None}

    def test_another_workspaces_ids_are_none(
        self, app: Flask, acme: Workspace, globex: Workspace, owner: Program
    ) -> None:
        group, project = make_group(app, globex), make_project(app, globex)
        user, role = globex.people["viewer"].id, make_role(app, globex, "Theirs", "project:read")
        theirs = put(app, globex, "Theirs", group_id=group)
        for query in (
            {"user": user}, {"group": group}, {"role": role}, {"object_type": "project", "object_id": project},
        ):  # fmt: skip
            assert listed(owner, **query) == []
        for one in (theirs, uuid.uuid4()):
            assert owner.get(f"{GRANTS}/{one}").status_code == owner.delete(f"{GRANTS}/{one}").status_code == 404
        mine, on = {"user_id": acme.people["viewer"].id, "role": "member"}, {"type": "project"}
        for foreign, missing in (
            (mine | {"user_id": user}, mine | {"user_id": uuid.uuid4()}),
            ({"group_id": group, "role": "member"}, {"group_id": uuid.uuid4(), "role": "member"}),
            ({"user_id": mine["user_id"], "role_id": role}, {"user_id": mine["user_id"], "role_id": uuid.uuid4()}),
            (mine | {"role": "Theirs"}, mine | {"role": "Nobodys"}),
            (mine | {"object": on | {"id": str(project)}}, mine | {"object": on | {"id": str(uuid.uuid4())}}),
        ):
            assert give(owner, 422, **foreign)["errors"] == give(owner, 422, **missing)["errors"]
        with inside(app, globex) as session:
            assert session.scalars(select(Grant).where(Grant.user_id == user)).one()


class TestGiving:
    """A role is given to one holder, past the guards."""

    def test_a_person_has_it_at_once(self, app: Flask, acme: Workspace, admin: Program) -> None:
        viewer = signed_in_program(app, acme, "viewer")
        assert "project:create" not in viewer.get("/api/v1/me").json["permissions"]
        who = acme.people["viewer"].id
        answer = admin.post(GRANTS, {"user_id": str(who), "role": "member", "ends_at": END, "reason": " Holiday "})
        assert (answer.status_code, answer.json) == (201, admin.get(answer.headers["Location"]).json)
        told = answer.json
        assert (told["holder"], told["ends_at"], told["reason"], told["origin"], told["given_by"]) == (
            {"kind": "user", "id": str(who), "name": "Viewer"}, END, "Holiday", "manual", str(acme.people["admin"].id),
        )  # fmt: skip
        assert "project:create" in viewer.get("/api/v1/me").json["permissions"]
        assert admin.delete(answer.headers["Location"]).status_code == 204
        assert "project:create" not in viewer.get("/api/v1/me").json["permissions"]
        assert admin.delete(answer.headers["Location"]).status_code == 404
        with inside(app, acme) as session:
            kinds = session.scalars(select(AuditEvent.kind).where(AuditEvent.target_id == who).order_by(AuditEvent.id))
            assert list(kinds)[-2:] == ["role given", "role taken"]

    def test_a_group_and_a_service_account_are_holders_too(self, app: Flask, acme: Workspace, owner: Program) -> None:
        group, robot = make_group(app, acme), make_account(app, acme)
        role = id_of(app, acme, "viewer")
        for holder in ({"group_id": group}, {"user_id": robot}):
            told = give(owner, **holder, role_id=role, ends_at=END, reason="Trial")
            assert (told["role"]["name"], told["ends_at"], told["reason"]) == ("viewer", END, "Trial")
            assert owner.delete(f"{GRANTS}/{told['id']}").status_code == 204
        assert len(listed(owner)) == 4

    def test_given_again_it_has_the_new_end(self, app: Flask, acme: Workspace, owner: Program) -> None:
        group = make_group(app, acme)
        put(app, acme, "member", user_id=acme.people["viewer"].id, origin="invitation")  # another one, not by hand
        for holder in (
            {"user_id": acme.people["viewer"].id},
            {"group_id": group},
            {"user_id": make_account(app, acme)},
        ):
            first = give(owner, **holder, role="member")
            assert give(owner, 200, **holder, role="member", ends_at=END) == first | {"ends_at": END}

    def test_a_role_is_given_on_one_object(self, app: Flask, acme: Workspace, admin: Program) -> None:
        mine, other = make_project(app, acme), make_project(app, acme, "Hermes")
        viewer = signed_in_program(app, acme, "viewer")
        told = give(
            admin, user_id=acme.people["viewer"].id, role="project-editor", object={"type": "project", "id": str(mine)}
        )
        assert told["object"] == {"type": "project", "id": str(mine)}
        change = {"description": "Better"}
        assert viewer.open("PATCH", f"/api/v1/projects/{mine}", json=change).status_code == 200
        assert viewer.open("PATCH", f"/api/v1/projects/{other}", json=change).status_code == 403
        assert admin.delete(f"{GRANTS}/{told['id']}").status_code == 204
        assert viewer.open("PATCH", f"/api/v1/projects/{mine}", json=change).status_code == 403

    def test_what_does_not_fit_is_refused_by_its_field(self, app: Flask, acme: Workspace, admin: Program) -> None:
        whole, nowhere = {"user_id": acme.people["viewer"].id, "role": "member"}, str(uuid.uuid4())
        for change, field in (
            ({"user_id": None}, "user_id"),
            ({"group_id": make_group(app, acme)}, "user_id"),
            ({"role": None}, "role"),
            ({"role_id": id_of(app, acme, "viewer")}, "role"),
            ({"role": "janitor"}, "role"),
            ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
            ({"ends_at": "2099-01-01T00:00:00"}, "ends_at"),
            ({"reason": "a\nb"}, "reason"),
            ({"reason": "x" * 256}, "reason"),
            ({"object": {"type": "planet", "id": nowhere}}, "object.type"),
            ({"object": {"type": "project", "id": nowhere}}, "object.id"),
            ({"origin": "scim"}, "origin"),
        ):
            told = give(admin, 422, **(whole | change))
            assert [one["field"] for one in told["errors"]] == [field], change

    def test_a_role_has_its_place(self, app: Flask, acme: Workspace, admin: Program) -> None:
        on = {"type": "project", "id": str(make_project(app, acme))}
        viewer = acme.people["viewer"].id
        assert give(admin, 403, user_id=viewer, role="project-editor")["type"].endswith("#guarded")
        assert give(admin, 403, user_id=viewer, role="member", object=on)["type"].endswith("#guarded")
        assert give(admin, 422, group_id=make_group(app, acme), role="project-editor", object=on)

    def test_nobody_gives_what_they_do_not_hold(self, app: Flask, acme: Workspace, admin: Program) -> None:
        holders = ({"user_id": acme.people["admin"].id}, {"group_id": make_group(app, acme)})
        make_role(app, acme, "Manager", "role:read", "role:manage", "member:manage")
        clerk = add_person(app, acme, role="Manager")
        weak = Program(app, acme.host)
        weak.sign_in(clerk)
        for holder in (*holders, {"user_id": clerk.id}):
            for program, role in ((admin, "owner"), (weak, "admin"), (weak, "viewer")):
                assert give(program, 403, **holder, role=role)["type"].endswith("#guarded")
        assert give(weak, user_id=acme.people["viewer"].id, role="Manager")

    def test_a_token_gives_no_more_than_it_may(self, app: Flask, acme: Workspace) -> None:
        who, group = acme.people["viewer"].id, make_group(app, acme)
        robot, role = make_account(app, acme), make_role(app, acme, "Giver", "role:manage")
        for only, holder, expected in (
            ({"role:read", "member:manage"}, {"user_id": who}, 403),
            ({"role:manage", "member:manage"}, {"user_id": who}, 403),
            (SEES, {"user_id": who}, 403),
            (SEES, {"user_id": robot}, 403),
            (SEES | {"member:manage"}, {"user_id": robot}, 403),
            (SEES | {"client:manage"}, {"user_id": who}, 403),
            (SEES | {"member:manage"}, {"user_id": who}, 201),
            (SEES | {"client:manage"}, {"user_id": robot}, 201),
            (SEES, {"group_id": group}, 201),
        ):
            program = personal_token(app, acme, "owner", only=only)
            give(program, expected, **holder, role_id=role)
        # An owner's token that is not for everything is no owner's.
        narrow = personal_token(app, acme, "owner", only=SEES | {"member:manage"})
        for name in ("owner", "viewer"):
            assert give(narrow, 403, user_id=who, role=name)["type"].endswith("#guarded")

    def test_an_owner_is_a_person_and_not_for_a_time(self, app: Flask, acme: Workspace, owner: Program) -> None:
        give(owner, 403, user_id=make_account(app, acme), role="owner")
        give(owner, 403, user_id=acme.people["admin"].id, role="owner", ends_at=END)
        assert give(owner, user_id=acme.people["admin"].id, role="owner")

    def test_a_sources_group_is_given_nothing_by_hand(self, app: Flask, acme: Workspace, owner: Program) -> None:
        group = make_group(app, acme, origin=f"provider:{uuid.uuid4()}")
        assert give(owner, 403, group_id=group, role="viewer")["type"].endswith("#guarded")

    def test_asked_twice_with_one_key_it_is_given_once(self, app: Flask, acme: Workspace, admin: Program) -> None:
        body, key = {"user_id": str(acme.people["viewer"].id), "role": "member"}, {"Idempotency-Key": "one"}
        first, second = (admin.post(GRANTS, body, headers=key) for _ in range(2))
        assert (first.status_code, first.json) == (second.status_code, second.json)
        assert first.status_code == 201


class TestTaking:
    """One grant is taken, past the guards, if it is for people to take."""

    def test_only_that_one_is_taken(self, app: Flask, acme: Workspace, admin: Program) -> None:
        viewer = acme.people["viewer"].id
        invited = put(app, acme, "viewer", user_id=viewer, origin="invitation")
        project = make_project(app, acme)
        put(app, acme, "project-editor", user_id=viewer, object_type="project", object_id=project)
        put(app, acme, "viewer", group_id=make_group(app, acme))
        before = listed(admin)
        assert admin.delete(f"{GRANTS}/{invited}").status_code == 204
        assert listed(admin) == [one for one in before if one["id"] != str(invited)]

    @pytest.mark.parametrize("origin", ["provider:0190aaaa-0000-7000-8000-000000000000", "scim"])
    def test_what_a_source_gives_is_not_taken_by_hand(
        self, app: Flask, acme: Workspace, owner: Program, origin: str
    ) -> None:
        group = make_group(app, acme, origin=origin)
        for holder in ({"group_id": group}, {"user_id": acme.people["viewer"].id}):
            path = f"{GRANTS}/{put(app, acme, 'member', origin=origin, **holder)}"
            answer = owner.delete(path)
            assert (answer.status_code, answer.json["type"].endswith("#guarded")) == (403, True)
            assert "source" in answer.json["detail"]
            assert owner.get(path).status_code == 200

    def test_the_last_owner_stays(self, app: Flask, acme: Workspace, owner: Program) -> None:
        path = only_grant(owner, acme.people["owner"].id)
        answer = owner.delete(path)
        assert (answer.status_code, answer.json["type"].endswith("#guarded")) == (403, True)
        give(owner, user_id=acme.people["admin"].id, role="owner")
        assert owner.delete(path).status_code == 204
        assert owner.get(GRANTS).status_code == 403

    def test_the_group_that_makes_the_last_owner_one_keeps_its_role(self, app: Flask, acme: Workspace) -> None:
        group = make_group(app, acme)
        with inside(app, acme) as session:
            local_groups.add_member(
                session.get(Group, (acme.tenant.id, group)), row_of(acme.people["admin"]), actor=None
            )
            local_groups.give_role(session.get(Group, (acme.tenant.id, group)), roles.get_role("owner"), actor=None)
        admin = personal_token(app, acme, "admin")
        assert admin.delete(only_grant(admin, acme.people["owner"].id)).status_code == 204
        (given,) = listed(admin, group=group)
        assert admin.delete(f"{GRANTS}/{given['id']}").status_code == 403
        assert listed(admin, group=group) == [given]

    def test_nobody_takes_what_they_do_not_hold(self, app: Flask, acme: Workspace, admin: Program) -> None:
        path = only_grant(admin, acme.people["owner"].id)
        give(personal_token(app, acme, "owner"), user_id=acme.people["member"].id, role="owner")
        assert admin.delete(path).status_code == 403  # though another owner would be left
        admins = only_grant(admin, acme.people["admin"].id)
        for only in (SEES, {"role:manage", "member:manage"}, {"role:read", "member:manage"}, SEES | {"member:manage"}):
            assert personal_token(app, acme, "owner", only=only).delete(admins).status_code == 403
        make_role(app, acme, "Giver", "role:manage")
        given = f"{GRANTS}/{put(app, acme, 'Giver', user_id=acme.people['viewer'].id)}"
        for only in ({"role:manage", "member:manage"}, SEES, SEES | {"client:manage"}):
            assert personal_token(app, acme, "owner", only=only).delete(given).status_code == 403
        assert personal_token(app, acme, "owner", only=SEES | {"member:manage"}).delete(given).status_code == 204
        robot = make_account(app, acme)
        of_robot = f"{GRANTS}/{put(app, acme, 'viewer', user_id=robot)}"
        less = SEES | {"member:manage", "project:read", "member:read"}
        assert personal_token(app, acme, "owner", only=less).delete(of_robot).status_code == 403
        assert admin.delete(of_robot).status_code == 204

    def test_it_is_taken_as_it_was_seen_or_not_at_all(self, app: Flask, acme: Workspace, admin: Program) -> None:
        told = give(admin, user_id=acme.people["viewer"].id, role="member")
        path = f"{GRANTS}/{told['id']}"
        seen = {"If-Match": admin.get(path).headers["ETag"]}
        give(admin, 200, user_id=acme.people["viewer"].id, role="member", ends_at=END)
        assert admin.delete(path, headers=seen).status_code == 412
        assert admin.delete(path, headers={"If-Match": admin.get(path).headers["ETag"]}).status_code == 204

    def test_with_its_role_or_its_holder_it_is_gone(self, app: Flask, acme: Workspace, admin: Program) -> None:
        make_role(app, acme, "Passing", "project:read")
        person = add_person(app, acme, role=None)
        paths = [
            f"{GRANTS}/{put(app, acme, role, user_id=who)}"
            for role, who in (("Passing", acme.people["viewer"].id), ("viewer", person.id))
        ]
        with inside(app, acme) as session:
            session.delete(session.scalars(select(Role).where(Role.name == "Passing")).one())
            session.delete(session.scalars(select(User).where(User.id == person.id)).one())
        for path in paths:
            assert admin.get(path).status_code == admin.delete(path).status_code == 404

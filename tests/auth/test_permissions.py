"""Permissions: the catalogue, what the built-in roles may do, grants, and what Flask-Principal is told."""

import re
import uuid
from datetime import timedelta

import flask_principal
import pytest
from flask import Flask, g
from flask_principal import ItemNeed, Need, RoleNeed, UserNeed
from flask_principal import Permission as Demand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from auth import roles
from auth.errors import NotAllowed, UnknownPermission, UnknownRole
from auth.explain import explain
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Group, Membership, Role
from auth.permissions import (
    ADMIN,
    OWNER,
    VIEWER,
    AccessPermission,
    BuiltinRole,
    Catalogue,
    Permission,
    access_of,
    declare,
    public,
    requires,
    signed_in,
)
from auth.roles import get_role, grant_role
from saas.projects.permissions import EDITOR, OBJECT_TYPE, ProjectPermission
from tenants.db import now
from tests.auth.conftest import Clock
from tests.auth.helpers import change, grant, inside, row_of
from tests.factories import Person, Workspace, add_person, make_project
from tests.visitor import Visitor, sign_in

PEOPLE = ("owner", "admin", "member", "viewer", "nobody", "editor")


class Sample(Permission):
    """Permissions of a feature that there is only here."""

    LOOK = "sample:look", "See samples."
    TAKE = "sample:take", "Take samples."


def visit_as(app: Flask, workspace: Workspace, person: Person) -> Visitor:
    visitor = Visitor(app, workspace.host)
    assert visitor.sign_in(person).status_code == 302
    return visitor


def permissions(visitor: Visitor) -> set[str]:
    return set(visitor.get("/api/v1/me").get_json()["permissions"])


# The catalogue


def test_a_permission_is_registered_once() -> None:
    catalogue = Catalogue()
    catalogue.register(Sample, {VIEWER: [Sample.LOOK]})

    with pytest.raises(ValueError, match="sample:look"):
        catalogue.register(Sample, {})


def test_an_owner_has_every_permission_without_being_named() -> None:
    catalogue = Catalogue()
    catalogue.register(Sample, {VIEWER: [Sample.LOOK]})

    assert set(Sample) <= catalogue.of_builtin(OWNER.name)
    assert catalogue.of_builtin(VIEWER.name) & set(Sample) == {Sample.LOOK}
    assert not catalogue.of_builtin(ADMIN.name) & set(Sample)


def test_what_nobody_registered_is_unknown() -> None:
    with pytest.raises(UnknownPermission):
        Catalogue().check("sample:look")


def test_a_role_that_no_release_knows_permits_nothing() -> None:
    assert Catalogue().of_builtin("janitor") == frozenset()


def test_a_custom_role_keeps_only_what_there_is() -> None:
    catalogue = Catalogue()

    assert catalogue.of_custom(["role:read", "sample:look", ""]) == {"role:read"}


def test_operators_permissions_are_in_no_role_of_a_tenant() -> None:
    catalogue = Catalogue()
    catalogue.register(Sample, {}, operator_side=True)

    assert not any(catalogue.of_builtin(role) & set(Sample) for role in catalogue.roles)
    assert catalogue.of_custom(list(Sample)) == frozenset()


@pytest.mark.parametrize("role", [OWNER, ADMIN, VIEWER], ids=lambda role: role.name)
def test_operators_permissions_cannot_be_registered_for_a_tenants_role(role: BuiltinRole) -> None:
    with pytest.raises(ValueError, match="operator"):
        Catalogue().register(Sample, {role: [Sample.LOOK]}, operator_side=True)


def test_operators_permissions_cannot_be_put_into_a_custom_role(app: Flask, acme: Workspace) -> None:
    catalogue: Catalogue = app.extensions["auth"].catalogue
    catalogue.register(Sample, {}, operator_side=True)
    try:
        with inside(app, acme), pytest.raises(NotAllowed):
            roles.create_role("spy", [Sample.LOOK], actor=None)
    finally:
        catalogue.operator_side -= set(Sample)
        for permission in Sample:
            del catalogue.permissions[permission]


def test_operators_permissions_stored_in_a_role_behind_our_back_permit_nothing(app: Flask, acme: Workspace) -> None:
    catalogue: Catalogue = app.extensions["auth"].catalogue
    catalogue.register(Sample, {}, operator_side=True)
    try:
        with inside(app, acme) as session:
            session.add(Role(name="spy", stored_permissions=[Sample.LOOK, "project:read"]))
        grant(app, acme, acme.people["viewer"], "spy")
        assert Sample.LOOK not in permissions(sign_in(app, acme, "viewer"))
    finally:
        catalogue.operator_side -= set(Sample)
        for permission in Sample:
            del catalogue.permissions[permission]


def test_every_permission_says_what_it_allows(app: Flask) -> None:
    with app.test_request_context():
        assert all(str(item.description) for item in app.extensions["auth"].catalogue.permissions.values())


# Declarations


@pytest.mark.parametrize("nothing", [None, "", (), "project:read", [], frozenset()])
def test_an_endpoint_cannot_require_nothing(nothing: object) -> None:
    with pytest.raises(TypeError):
        requires(nothing)  # type: ignore[arg-type]


def test_requires_without_argument_is_refused_at_import() -> None:
    with pytest.raises(TypeError):
        requires()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        requires(lambda: "view")  # type: ignore[arg-type]


def test_an_endpoint_declares_its_access_once() -> None:
    with pytest.raises(TypeError):
        public(signed_in(lambda: "x"))


def test_an_endpoint_that_declares_nothing_is_refused_to_everybody(app: Flask, acme: Workspace, owner: Visitor) -> None:
    endpoint = "projects.list_projects"
    view = app.view_functions[endpoint]
    app.view_functions[endpoint] = lambda: "open to all"  # type: ignore[assignment]
    try:
        assert access_of(app, endpoint) is None
        assert owner.get("/projects/").status_code == 403
        assert Visitor(app, acme.host).get("/projects/").status_code == 403
    finally:
        app.view_functions[endpoint] = view


def test_a_public_endpoint_is_open_and_a_signed_in_one_is_not(app: Flask, acme: Workspace, member: Visitor) -> None:
    endpoint = "projects.list_projects"
    view = app.view_functions[endpoint]
    anonymous = Visitor(app, acme.host)
    try:
        app.view_functions[endpoint] = public(lambda: "open")
        assert anonymous.get("/projects/").text == "open"
        app.view_functions[endpoint] = signed_in(lambda: "inside")
        assert anonymous.get("/projects/").status_code == 302
        assert member.get("/projects/").text == "inside"
    finally:
        app.view_functions[endpoint] = view


def test_declare_leaves_the_view_as_it_is() -> None:
    view = lambda: "x"  # noqa: E731
    assert declare(view, requires.__globals__["Access"](public=True))() == "x"


# Built-in roles × endpoints of projects

MATRIX = {
    ("GET", "/api/v1/me"): {"owner", "admin", "member", "viewer", "nobody", "editor"},
    ("GET", "/account/"): {"owner", "admin", "member", "viewer", "nobody", "editor"},
    ("GET", "/projects/"): {"owner", "admin", "member", "viewer", "editor"},
    ("GET", "/projects/new"): {"owner", "admin", "member"},
    ("POST", "/projects/new"): {"owner", "admin", "member"},
    ("GET", "/projects/{id}"): {"owner", "admin", "member", "viewer", "editor"},
    ("GET", "/projects/{id}/edit"): {"owner", "admin", "member", "editor"},
    ("POST", "/projects/{id}/edit"): {"owner", "admin", "member", "editor"},
    ("POST", "/projects/{id}/updates"): {"owner", "admin", "member", "editor"},
    ("POST", "/projects/{id}/archive"): {"owner", "admin", "member", "editor"},
    ("POST", "/projects/{id}/restore"): {"owner", "admin", "member", "editor"},
    ("POST", "/projects/{id}/editors"): {"owner", "admin"},
    ("POST", "/projects/{id}/editors/{user}/remove"): {"owner", "admin"},
    ("GET", "/projects/{id}/delete"): {"owner", "admin"},
    ("GET", "/api/v1/projects"): {"owner", "admin", "member", "viewer", "editor"},
    ("POST", "/api/v1/projects"): {"owner", "admin", "member"},
    ("GET", "/api/v1/projects/{id}"): {"owner", "admin", "member", "viewer", "editor"},
    ("PATCH", "/api/v1/projects/{id}"): {"owner", "admin", "member", "editor"},
    ("GET", "/api/v1/projects/{id}/updates"): {"owner", "admin", "member", "viewer", "editor"},
    ("POST", "/api/v1/projects/{id}/updates"): {"owner", "admin", "member", "editor"},
    ("GET", "/api/v1/projects/{id}/updates/{update}"): {"owner", "admin", "member", "viewer", "editor"},
    ("GET", "/api/v1/projects/{id}/editors"): {"owner", "admin"},
    ("GET", "/api/v1/projects/{id}/editors/{user}"): {"owner", "admin"},
    ("PUT", "/api/v1/projects/{id}/editors/{user}"): {"owner", "admin"},
    ("DELETE", "/api/v1/projects/{id}/editors/{user}"): {"owner", "admin"},
    ("DELETE", "/api/v1/projects/{id}"): {"owner", "admin"},
    ("POST", "/projects/{id}/delete"): {"owner", "admin"},
}


@pytest.mark.parametrize("who", [*PEOPLE, "anonymous"])
def test_everybody_reaches_what_their_role_permits_and_nothing_else(app: Flask, acme: Workspace, who: str) -> None:
    project = make_project(app, acme)
    if who == "anonymous":
        browser = Visitor(app, acme.host)
    elif who in acme.people:
        browser = sign_in(app, acme, who)
    else:
        person = add_person(app, acme, role=None)
        if who == "editor":
            grant(app, acme, person, EDITOR.name, on=(OBJECT_TYPE, project))
        browser = visit_as(app, acme, person)
    token = browser.csrf_token()
    for (method, path), allowed in MATRIX.items():
        address = path.format(id=project, user=acme.people["viewer"].id, update=uuid.uuid4())
        if method == "GET":
            answer = browser.get(address)
        elif path.startswith("/api/"):
            body = {"body": "B"} if path.endswith("/updates") else {"name": "N"}
            headers = {"X-CSRFToken": token}
            answer = browser.client.open(address, method=method, base_url=browser.base, json=body, headers=headers)
        else:
            answer = browser.post(address, {"email": acme.people["viewer"].email}, csrf=token)
        refused = answer.status_code in (401, 403) or (answer.location or "").startswith("/auth/login")
        assert refused is (who not in allowed), (who, method, path, answer.status_code)
        assert answer.status_code < 500


def test_the_matrix_names_every_endpoint_of_projects(app: Flask) -> None:
    names = {"<uuid:project_id>": "{id}", "<uuid:user_id>": "{user}", "<uuid:update_id>": "{update}"}
    rules = {
        (method, re.sub("<.*?>", lambda found: names[found[0]], rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(("projects.", "projects_api."))
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}
    }

    assert rules <= MATRIX.keys()


def test_who_may_not_is_told_so_as_a_problem_by_the_api(app: Flask, acme: Workspace) -> None:
    browser = visit_as(app, acme, add_person(app, acme, role=None))
    answer = browser.get("/api/v1/projects")

    assert answer.status_code == 403
    assert answer.content_type == "application/problem+json"
    assert Visitor(app, acme.host).get("/api/v1/projects").status_code == 401


def test_a_right_on_one_object_is_no_right_on_another(app: Flask, acme: Workspace) -> None:
    mine, other = make_project(app, acme, "Mine"), make_project(app, acme, "Other")
    person = add_person(app, acme, role=None)
    grant(app, acme, person, EDITOR.name, on=(OBJECT_TYPE, mine))
    browser = visit_as(app, acme, person)

    assert browser.post(f"/projects/{mine}/archive").status_code == 302
    assert browser.post(f"/projects/{other}/archive").status_code == 403
    assert browser.get(f"/projects/{other}").status_code == 403
    assert [item["name"] for item in browser.get("/api/v1/projects?status=archived").get_json()["items"]] == ["Mine"]
    assert browser.get("/api/v1/projects").get_json()["total"] == 0


def test_a_right_on_an_object_of_another_kind_with_the_same_id_is_none(app: Flask, acme: Workspace) -> None:
    project = make_project(app, acme)
    person = add_person(app, acme, role=None)
    with inside(app, acme) as session:
        role = get_role(EDITOR.name)
        session.add(Grant(user_id=person.id, role_id=role.id, object_type="folder", object_id=project))

    assert visit_as(app, acme, person).get(f"/projects/{project}").status_code == 403


def test_a_right_on_an_object_ends_with_the_object(app: Flask, acme: Workspace, owner: Visitor) -> None:
    project, person = make_project(app, acme), add_person(app, acme, role=None)
    grant(app, acme, person, EDITOR.name, on=(OBJECT_TYPE, project))
    owner.post(f"/projects/{project}/delete")

    with inside(app, acme):
        snapshot = snapshot_of(person.id)
        assert snapshot is not None
        assert not snapshot.objects


def test_a_grant_counts_with_the_next_request_and_so_does_its_end(app: Flask, acme: Workspace) -> None:
    browser = sign_in(app, acme, "viewer")
    assert "project:create" not in permissions(browser)
    grant(app, acme, acme.people["viewer"], "member")
    assert "project:create" in permissions(browser)
    with inside(app, acme):
        roles.revoke_role(row_of(acme.people["viewer"]), "member", actor=None)
    assert "project:create" not in permissions(browser)


def test_a_grant_ends_when_its_time_is_over(app: Flask, clock: Clock, acme: Workspace) -> None:
    grant(app, acme, acme.people["viewer"], "member", expires_at=now() + timedelta(hours=1))
    browser = sign_in(app, acme, "viewer")
    assert "project:create" in permissions(browser)
    clock.advance(minutes=61)

    assert "project:create" not in permissions(browser)
    assert "project:read" in permissions(browser)


def test_a_grant_that_was_over_before_counts_for_nothing(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["viewer"], "admin", expires_at=now() - timedelta(seconds=1))

    assert "role:manage" not in permissions(sign_in(app, acme, "viewer"))


def join(app: Flask, workspace: Workspace, person: Person, role: str | None = "admin", name: str = "Team") -> None:
    """Put somebody into a new group that has a role."""
    with inside(app, workspace) as session:
        group = Group(name=name)
        session.add(group)
        session.flush()
        session.add(Membership(user_id=person.id, group_id=group.id))
        if role:
            session.add(Grant(group_id=group.id, role_id=get_role(role).id))


def test_a_group_gives_its_roles_to_its_members_only(app: Flask, acme: Workspace) -> None:
    join(app, acme, acme.people["viewer"])

    assert "role:manage" in permissions(sign_in(app, acme, "viewer"))
    assert "role:manage" not in permissions(sign_in(app, acme, "member"))


def test_who_leaves_a_group_loses_its_roles_with_the_next_request(app: Flask, acme: Workspace) -> None:
    join(app, acme, acme.people["viewer"])
    browser = sign_in(app, acme, "viewer")
    assert "role:manage" in permissions(browser)
    with inside(app, acme) as session:
        session.execute(delete(Membership))

    assert "role:manage" not in permissions(browser)


def test_a_custom_role_permits_what_is_in_it_and_changes_with_it(app: Flask, acme: Workspace) -> None:
    person = add_person(app, acme, role=None)
    with inside(app, acme):
        roles.create_role("clerk", ["project:read"], actor=None)
    grant(app, acme, person, "clerk")
    browser = visit_as(app, acme, person)
    assert permissions(browser) == {"project:read"}
    with inside(app, acme):
        get_role("clerk").stored_permissions = ["project:read", "project:delete"]

    assert permissions(browser) == {"project:read", "project:delete"}


@pytest.mark.parametrize("name", ["owner", "admin", "project-editor"])
def test_a_custom_role_has_no_name_of_a_built_in_one(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme), pytest.raises(NotAllowed):
        roles.create_role(name, [], actor=None)


def test_an_unknown_role_cannot_be_given(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(UnknownRole):
        grant_role(row_of(acme.people["viewer"]), "janitor", actor=None)


def test_a_role_for_objects_is_not_given_on_the_whole_workspace(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        viewer = row_of(acme.people["viewer"])
        with pytest.raises(NotAllowed):
            grant_role(viewer, EDITOR.name, actor=None)
        with pytest.raises(NotAllowed):
            grant_role(viewer, "admin", actor=None, on=(OBJECT_TYPE, uuid.uuid4()))


def test_giving_a_role_twice_leaves_one_grant(app: Flask, acme: Workspace) -> None:
    for _ in range(2):
        grant(app, acme, acme.people["viewer"], "admin")
    with inside(app, acme):
        assert roles.revoke_role(row_of(acme.people["viewer"]), "admin", actor=None) == 1


def test_a_deactivated_user_has_no_rights(app: Flask, acme: Workspace) -> None:
    change(app, acme, acme.people["admin"], active=False)
    with inside(app, acme):
        assert snapshot_of(acme.people["admin"].id) is None


# Flask-Principal


def identity_of(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def test_principal_is_told_of_everything_that_is_held(app: Flask, acme: Workspace) -> None:
    project, person = make_project(app, acme), acme.people["viewer"]
    grant(app, acme, person, EDITOR.name, on=(OBJECT_TYPE, project))
    with inside(app, acme):
        provided = identity_of(person).provides

        assert UserNeed(person.id) in provided
        assert RoleNeed("viewer") in provided
        assert RoleNeed("admin") not in provided
        assert RoleNeed(EDITOR.name) not in provided
        assert Need("fsperm", "project:read") in provided
        assert Need("fsperm", "project:update") not in provided
        assert ItemNeed("project:update", project, OBJECT_TYPE) in provided
        assert ItemNeed("project:update", uuid.uuid4(), OBJECT_TYPE) not in provided


@pytest.mark.parametrize("need", [RoleNeed("admin"), Need("fsperm", "role:manage")])
def test_principals_own_permissions_decide_accordingly(app: Flask, acme: Workspace, need: object) -> None:
    with inside(app, acme):
        for role, expected in (("admin", True), ("viewer", False)):
            g.identity = identity_of(acme.people[role])
            assert Demand(need).can() is expected
        g.identity = Identity()
        assert not Demand(need).can()


def test_an_identity_of_principals_own_is_replaced_by_an_anonymous_one(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        g.identity = flask_principal.Identity("anybody")
        flask_principal.identity_loaded.send(app, identity=g.identity)

        assert not g.identity.is_authenticated
        assert g.permissions == frozenset()


# Explanations


def test_an_explanation_names_every_link_of_the_chain(app: Flask, acme: Workspace) -> None:
    person = acme.people["viewer"]
    join(app, acme, person, "admin", "Night shift")
    with inside(app, acme):
        told = explain(person.id, "role:manage")
        line = next(line for line in told.lines() if "Night shift" in line)
        grant_id = str(told.through[0].grant_id)

    assert told.allowed
    assert told.lines()[0].startswith(f"{person.email} may role:manage")
    places = [
        line.index(word) for word in ("origin 'manual'", "group 'Night shift'", f"grant {grant_id}", "role 'admin'")
    ]
    assert places == sorted(places)


def test_an_explanation_says_what_is_missing(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        text = "\n".join(explain(acme.people["viewer"].id, "project:delete").lines())

    assert f"{acme.people['viewer'].email} may not project:delete" in text
    assert "owner or admin" in text


def test_an_explanation_tells_of_a_grant_that_is_over(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["viewer"], "admin", expires_at=now() - timedelta(days=1))
    with inside(app, acme):
        told = explain(acme.people["viewer"].id, "role:manage")

    assert not told.allowed
    assert any("lapsed" in line and "role 'admin'" in line for line in told.lines())


def test_an_explanation_tells_of_a_deactivated_account(app: Flask, acme: Workspace) -> None:
    change(app, acme, acme.people["admin"], active=False)
    with inside(app, acme):
        told = explain(acme.people["admin"].id, "role:manage")

    assert not told.allowed
    assert "deactivated" in "\n".join(told.lines())


def test_a_permission_that_there_is_not_cannot_be_explained(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(UnknownPermission):
        explain(acme.people["owner"].id, "role:mangle")


ROLE_NAMES = ["owner", "admin", "member", "viewer", "clerk"]
PROJECTS = [uuid.UUID(int=number) for number in (1, 2)]
GRANTS = st.lists(
    st.tuples(
        st.sampled_from(ROLE_NAMES),
        st.booleans(),  # through a group
        st.sampled_from([None, *PROJECTS]),
        st.sampled_from([None, -1, 1]),  # days until it ends
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grants=GRANTS, active=st.booleans())
def test_an_explanation_agrees_with_the_decision(
    app: Flask, acme: Workspace, grants: list[tuple[str, bool, uuid.UUID | None, int | None]], active: bool
) -> None:
    person = add_person(app, acme, role=None)
    with inside(app, acme) as session:
        row_of(person).active = active
        if not session.query(Role).filter_by(name="clerk").count():
            roles.create_role("clerk", ["project:delete", "role:read"], actor=None)
        group = Group(name=person.email)
        session.add(group)
        session.flush()
        session.add(Membership(user_id=person.id, group_id=group.id))
        for role, through_group, place, days in grants:
            session.add(
                Grant(
                    user_id=None if through_group else person.id,
                    group_id=group.id if through_group else None,
                    role_id=get_role(role if place is None else EDITOR.name).id,
                    object_type=OBJECT_TYPE if place else "",
                    object_id=place,
                    expires_at=now() + timedelta(days=days) if days else None,
                )
            )
    with inside(app, acme):
        snapshot = snapshot_of(person.id)
        for permission in (*AccessPermission, *ProjectPermission):
            for place in (None, *PROJECTS):
                on = (OBJECT_TYPE, place) if place else None
                decided = snapshot is not None and (
                    permission in snapshot.permissions
                    or (on is not None and permission in snapshot.objects.get(on, frozenset()))
                )
                told = explain(person.id, permission, on=on)
                assert told.allowed is decided, (permission, on)
                assert bool(told.missing) is not bool(told.through)

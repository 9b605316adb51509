"""Pages of groups, as administrators use them."""

import re
import secrets
import uuid

import pytest
from flask import Flask, g
from sqlalchemy import insert, select

from auth import local_groups
from auth.models import Grant, Group, Membership, User
from auth.providers.models import ProviderConfig
from auth.roles import create_role, get_role
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace, add_person
from tests.statements import counted
from tests.visitor import Visitor, sign_in

LIST, NEW = "/admin/groups/", "/admin/groups/new"
WITH_GROUP = ("", "/rename", "/delete")


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def make_group(
    app: Flask, workspace: Workspace, name: str = "Night shift", *roles: str, people: tuple[Person, ...] = ()
) -> str:
    """A group that gives these roles to these people; gives back where its page is."""
    with inside(app, workspace):
        group = local_groups.create_group(name, actor=None)
        for role in roles:
            local_groups.give_role(group, get_role(role), actor=None)
        for person in people:
            local_groups.add_member(group, row_of(person), actor=None)
        return f"/admin/groups/{group.id}"


def map_group(app: Flask, workspace: Workspace, *people: Person) -> str:
    """A directory's group that gives the role of member; gives back where its page is."""
    with inside(app, workspace) as session:
        config = ProviderConfig(name="office", label="Head office", kind="ldap")
        session.add(config)
        session.flush()
        group = Group(name="Engineering", origin=config.origin, external_key="cn=engineering")
        session.add(group)
        session.flush()
        session.add(Grant(group_id=group.id, role_id=get_role("member").id, origin=config.origin))
        session.add_all(Membership(user_id=person.id, group_id=group.id) for person in people)
        return f"/admin/groups/{group.id}"


def in_group(app: Flask, workspace: Workspace, path: str) -> set[uuid.UUID]:
    """Ids of those who are in the group of that page."""
    with inside(app, workspace):
        chosen = select(Membership.user_id).where(Membership.group_id == uuid.UUID(path.rpartition("/")[2]))
        return set(g.db.scalars(chosen))


def role_id(app: Flask, workspace: Workspace, name: str) -> str:
    with inside(app, workspace):
        return str(get_role(name).id)


def names(page: str) -> list[str]:
    """The groups in the list, in their order."""
    return re.findall(r'<a href="/admin/groups/[0-9a-f-]{36}">([^<]+)</a>', page)


def test_there_are_no_groups_yet_and_the_page_says_what_to_do(admin: Visitor) -> None:
    page = admin.get(LIST).text
    assert "No groups yet" in page
    assert NEW in page


def test_a_group_is_made_filled_given_a_role_and_emptied(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = admin.post(NEW, {"name": " Night shift "}).headers["Location"]
    viewer = acme.people["viewer"]
    assert admin.post(f"{path}/members", {"email": viewer.email.upper()}).status_code == 302
    given = admin.post(f"{path}/roles", {"role": role_id(app, acme, "member"), "ends_on": "2099-12-31"})
    assert given.status_code == 302
    page = admin.get(path).text
    assert viewer.email in page
    assert "2099" in page
    assert "project:create" in sign_in(app, acme, "viewer").get("/api/v1/me").json["permissions"]
    assert admin.post(f"{path}/roles/{role_id(app, acme, 'member')}/take").status_code == 302
    assert admin.post(f"{path}/members/{viewer.id}/remove").status_code == 302
    page = admin.get(path).text
    assert "Nobody is in it" in page
    assert "Being in this group permits nothing" in page


def test_a_right_that_a_group_gave_is_gone_with_the_next_request(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme, "Night shift", "member", people=(acme.people["viewer"],))
    viewer = sign_in(app, acme, "viewer")
    assert viewer.get("/projects/new").status_code == 200
    admin.post(f"{path}/members/{acme.people['viewer'].id}/remove")
    assert viewer.get("/projects/new").status_code == 403


def test_a_group_is_renamed(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme)
    assert admin.post(f"{path}/rename", {"name": "Day shift"}).headers["Location"] == path
    assert names(admin.get(LIST).text) == ["Day shift"]


@pytest.mark.parametrize("form", ["new", "rename"])
def test_a_name_that_another_group_has_is_refused_beside_the_field(
    app: Flask, acme: Workspace, admin: Visitor, form: str
) -> None:
    make_group(app, acme, "Day shift")
    path = NEW if form == "new" else make_group(app, acme) + "/rename"
    answer = admin.post(path, {"name": "day SHIFT"})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert 'value="day SHIFT"' in answer.text


def test_deleting_says_what_happens_and_then_does_it(app: Flask, acme: Workspace, admin: Visitor) -> None:
    people = (acme.people["member"], acme.people["viewer"])
    path = make_group(app, acme, "Night shift", "member", people=people)
    page = admin.get(f"{path}/delete").text
    assert "Its 2 members stay in the workspace" in page
    assert "It gives nobody the role “Member” any more" in page
    assert admin.post(f"{path}/delete").headers["Location"] == LIST
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize("email", ["nobody@x.example", "", "x" * 400])
def test_who_is_no_member_cannot_be_put_into_a_group(app: Flask, acme: Workspace, admin: Visitor, email: str) -> None:
    path = make_group(app, acme)
    answer = admin.post(f"{path}/members", {"email": email})
    assert answer.status_code == 422
    assert "invalid-feedback" in answer.text


def test_who_is_in_it_already_is_said_to_be(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme, people=(acme.people["member"],))
    admin.post(f"{path}/members", {"email": acme.people["member"].email})
    assert "is in the group already" in admin.get(path).text


def test_a_role_whose_day_is_over_is_refused(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme)
    answer = admin.post(f"{path}/roles", {"role": role_id(app, acme, "member"), "ends_on": "2020-01-01"})
    assert answer.status_code == 422
    assert "That day is over" in answer.text


def test_a_role_that_is_not_the_actors_to_give_is_not_offered_and_not_taken(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    path = make_group(app, acme)
    owner = role_id(app, acme, "owner")
    assert f'value="{owner}"' not in admin.get(path).text
    assert admin.post(f"{path}/roles", {"role": owner}).status_code == 422
    assert "no roles" in admin.get(path).text.lower()


def test_a_group_that_makes_owners_shows_no_way_to_change_it(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme, "Owners", "owner")
    page = admin.get(path).text
    assert "It gives permissions that you do not hold" in page
    assert f"{path}/members" not in page
    assert admin.post(f"{path}/members", {"email": acme.people["admin"].email}).status_code == 422
    assert admin.post(f"{path}/delete").status_code == 403
    assert admin.get(f"{path}/delete").status_code == 403
    assert in_group(app, acme, path) == set()
    assert f"{path}/members" in sign_in(app, acme, "owner").get(path).text


def test_a_group_of_a_source_is_shown_with_its_origin_and_cannot_be_changed(app: Flask, acme: Workspace) -> None:
    path = map_group(app, acme, acme.people["viewer"])
    owner = sign_in(app, acme, "owner")
    listed, page = owner.get(LIST).text, owner.get(path).text
    assert "Head office" in listed
    assert "Member" in listed
    assert "cn=engineering" in page
    assert acme.people["viewer"].email in page
    for gone in ("/rename", "/delete", "/members", "/take"):
        assert f"{path}{gone}" not in page
    assert owner.post(f"{path}/members", {"email": acme.people["member"].email}).status_code == 422
    assert owner.post(f"{path}/members/{acme.people['viewer'].id}/remove").status_code == 403
    assert owner.post(f"{path}/rename", {"name": "Mine"}).status_code == 403
    assert owner.post(f"{path}/delete").status_code == 403
    assert in_group(app, acme, path) == {acme.people["viewer"].id}


def test_a_mapped_group_in_which_nobody_was_seen_is_marked(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = map_group(app, acme)
    assert "Nobody seen in it" in admin.get(LIST).text
    assert "Nobody was seen in it" in admin.get(path).text
    make_group(app, acme)
    assert admin.get(LIST).text.count("Nobody seen in it") == 1


def test_groups_are_found_filtered_and_sorted(app: Flask, acme: Workspace, admin: Visitor) -> None:
    for name in ("Beta", "Alpha", "100% proof"):
        make_group(app, acme, name)
    map_group(app, acme)
    assert names(admin.get(LIST).text) == ["100% proof", "Alpha", "Beta", "Engineering"]
    assert names(admin.get(f"{LIST}?sort=-name").text) == ["Engineering", "Beta", "Alpha", "100% proof"]
    assert names(admin.get(f"{LIST}?search=0%25").text) == ["100% proof"]
    assert names(admin.get(f"{LIST}?source=manual&search=e").text) == ["Beta"]
    assert "Nothing found" in admin.get(f"{LIST}?search=zebra").text
    assert admin.get(f"{LIST}?sort=origin").status_code == 404
    assert admin.get(f"{LIST}?page=0").status_code == 404
    assert "This page is empty" in admin.get(f"{LIST}?page=9").text


def test_a_large_group_is_paged_and_costs_no_more_statements(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make_group(app, acme, "All", "viewer", people=(acme.people["member"],))
    admin.get(path)

    def statements(of: str) -> int:
        with counted(app) as sent:
            assert admin.get(of).status_code == 200
        return len(sent)

    few = statements(path), statements(LIST)
    with inside(app, acme):
        ids = [uuid.uuid4() for _ in range(120)]
        people = [{"id": one, "email": f"{one}@x.example", "name": secrets.token_hex(4)} for one in ids]
        g.db.execute(insert(User), people)
        group_id = uuid.UUID(path.rpartition("/")[2])
        g.db.execute(insert(Membership), [{"user_id": one, "group_id": group_id} for one in ids])
        for number in range(60):
            local_groups.give_role(
                local_groups.create_group(f"Group {number}", actor=None), get_role("viewer"), actor=None
            )
    admin.get(path)
    assert (statements(path), statements(LIST)) == few
    page = admin.get(path).text
    assert page.count("Take out") == 50
    assert "1–50 of 121" in page
    assert admin.get(f"{path}?page=3").text.count("Take out") == 21
    assert "This page is empty" in admin.get(f"{path}?page=4").text


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_see_roles_is_refused_every_page_of_groups(app: Flask, acme: Workspace, role: str) -> None:
    member = acme.people["member"]
    path = make_group(app, acme, "Night shift", "viewer", people=(member,))
    visitor = sign_in(app, acme, role)
    for page in (LIST, NEW, *(path + end for end in WITH_GROUP)):
        assert visitor.get(page).status_code == 403, page
    viewer_role = role_id(app, acme, "viewer")
    for page in (
        NEW, f"{path}/rename", f"{path}/delete", f"{path}/members", f"{path}/members/{member.id}/remove",
        f"{path}/roles", f"{path}/roles/{viewer_role}/take",
    ):  # fmt: skip
        data = {"name": "Mine", "email": acme.people[role].email, "role": viewer_role}
        assert visitor.post(page, data).status_code == 403, page
    assert "/admin/groups/" not in visitor.get("/").text


def test_who_sees_roles_and_manages_none_sees_groups_and_changes_none(app: Flask, acme: Workspace) -> None:
    path = make_group(app, acme, "Night shift", "viewer", people=(acme.people["member"],))
    reader = add_person(app, acme, role=None)
    with inside(app, acme):
        group = local_groups.create_group("Readers", actor=None)
        local_groups.give_role(group, create_role("reader", ["role:read"], actor=None), actor=None)
        local_groups.add_member(group, row_of(reader), actor=None)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(reader)
    page = visitor.get(path)
    assert page.status_code == 200
    assert f"{path}/" not in page.text
    assert names(visitor.get(LIST).text) == ["Night shift", "Readers"]
    assert visitor.post(f"{path}/members", {"email": reader.email}).status_code == 403


def test_a_group_of_another_workspace_is_none(app: Flask, acme: Workspace, globex: Workspace) -> None:
    path = make_group(app, acme, people=(acme.people["member"],))
    owner = sign_in(app, globex, "owner")
    for end in WITH_GROUP:
        assert owner.get(path + end).status_code == 404
    for end in ("/rename", "/delete", "/members", f"/members/{acme.people['member'].id}/remove", "/roles"):
        assert owner.post(path + end, {"name": "Mine", "email": "x@x.example"}).status_code == 404
    assert names(owner.get(LIST).text) == []
    own = make_group(app, globex)
    assert owner.post(f"{own}/members", {"email": acme.people["member"].email}).status_code == 422
    assert owner.post(f"{own}/roles", {"role": role_id(app, acme, "viewer")}).status_code == 422

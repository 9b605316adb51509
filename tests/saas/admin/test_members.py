"""Members, on their pages and by the API: listed, looked at, and decided about within the guards."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select

from auth import accounts, local_groups, members, roles
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed
from auth.holdings import find_holder
from auth.identity import Identity, snapshot_of
from auth.members import LOCAL, Filter
from auth.models import Group, Membership, User
from auth.providers.models import LinkedIdentity
from saas.projects.models import Project, ProjectUpdate
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import add_passkey, change, grant, inside, row_of, set_up_app
from tests.factories import Person, Workspace, add_person, make_project
from tests.statements import counted
from tests.visitor import Visitor, sign_in

PAGE, API = "/admin/members/", "/api/v1/members"
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def actor(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def found(app: Flask, workspace: Workspace, **wanted: Any) -> list[str]:
    """The names of the members that are wanted."""
    with inside(app, workspace):
        return [member.user.name for member in members.find(Filter(**wanted), limit=50).members]


def strong(app: Flask, workspace: Workspace) -> Person:
    """Somebody who holds what an administrator does not."""
    person = add_person(app, workspace, email=f"strong@{workspace.slug}.example")
    grant(app, workspace, person, "owner")
    return person


class TestList:
    """Who is listed, and in which order."""

    def test_all_are_with_their_roles(self, acme: Workspace, admin: Visitor) -> None:
        page = admin.get(PAGE).text
        for person in acme.people.values():
            assert person.email in page
        assert "Administrator" in page

    @pytest.mark.parametrize("search", ["view", "VIEWER@", "ewer@t"])
    def test_a_part_of_a_name_or_an_address_is_enough(self, app: Flask, acme: Workspace, search: str) -> None:
        assert found(app, acme, search=search) == ["Viewer"]

    def test_what_is_searched_for_is_no_pattern(self, app: Flask, acme: Workspace) -> None:
        assert found(app, acme, search="%") == found(app, acme, search="_iewer") == []

    def test_a_role_counts_however_it_is_held(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            group = Group(name="web")
            session.add(group)
            session.flush()
            session.add(Membership(user_id=acme.people["viewer"].id, group_id=group.id))
            role = roles.get_role("admin")
            roles.grant_to_group(group, role, actor=None, origin="manual", reason="test")
            role_id, group_id = role.id, group.id
        grant(app, acme, acme.people["member"], "admin", expires_at=now() - timedelta(days=1))
        assert found(app, acme, role=role_id) == ["Admin", "Viewer"]
        assert found(app, acme, group=group_id) == ["Viewer"]
        with inside(app, acme):
            assert members.describe(row_of(acme.people["viewer"])).roles == ["admin", "viewer"]

    def test_they_are_told_apart_by_source_and_state(self, app: Flask, acme: Workspace) -> None:
        work = sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret", label="Acme ID")
        with inside(app, acme) as session:
            session.add(LinkedIdentity(user_id=acme.people["member"].id, provider_id=work, subject="m", login="m"))
        change(app, acme, acme.people["viewer"], active=False)
        change(app, acme, acme.people["admin"], confirmed_at=None)
        assert found(app, acme, source=str(work)) == ["Member"]
        assert found(app, acme, source=LOCAL) == ["Admin", "Owner", "Viewer"]
        assert found(app, acme, state="deactivated") == ["Viewer"]
        assert found(app, acme, state="unconfirmed") == ["Admin"]

    @pytest.mark.parametrize("path", [PAGE, f"{PAGE}?sort=-seen", API, f"{API}?sort=signed_in"])
    def test_many_cost_no_more_statements_than_few(
        self, app: Flask, acme: Workspace, admin: Visitor, path: str
    ) -> None:
        def cost() -> int:
            with counted(app) as sent:
                assert admin.get(path).status_code == 200
            return len(sent)

        admin.get(path)  # which has more to find out
        few = cost()
        with inside(app, acme) as session:
            session.execute(insert(User), [{"email": f"p{one}@x.example", "name": f"P {one}"} for one in range(60)])
        admin.get(path)
        assert cost() == few

    def test_they_are_sorted_by_when_they_were_last_seen(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        sign_in(app, acme, "viewer")
        page = admin.get(f"{PAGE}?sort=-seen").text
        rows = re.findall(r'role="rowheader"><a [^>]*>([^<]+)<', page)
        assert rows == ["Viewer", "Admin", "Member", "Owner"]
        assert 'aria-sort="descending"' in page
        assert "sort=seen" in page

    @pytest.mark.parametrize("query", ["sort=password", "page=0", "state=x", "role=x", "source=x"])
    def test_what_there_is_not_is_not_found(self, admin: Visitor, query: str) -> None:
        assert admin.get(f"{PAGE}?{query}").status_code == 404

    def test_nobody_found_says_so(self, admin: Visitor) -> None:
        assert "No member matches" in admin.get(f"{PAGE}?search=nobody-of-that-name").text


class TestMember:
    """One member, and what is done about them."""

    def path(self, person: Person, end: str = "") -> str:
        return f"{PAGE}{person.id}{end}"

    def test_what_reaches_them_is_shown(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        member = acme.people["member"]
        grant(app, acme, member, "viewer", expires_at=now() + timedelta(days=3), reason="for the audit")
        sign_in(app, acme)
        page = admin.get(self.path(member)).text
        for shown in (member.email, "Viewer", "for the audit", "project:create", "127.0.0.1"):
            assert shown in page

    def test_roles_and_groups_lead_to_their_pages(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer = acme.people["viewer"]
        with inside(app, acme):
            group, role = local_groups.create_group("Night <b>", actor=None), roles.get_role("member")
            local_groups.give_role(group, role, actor=None)
            local_groups.add_member(group, row_of(viewer), actor=None)
            to_group, to_role = f'<a href="/admin/groups/{group.id}">', f'<a href="/admin/roles/{role.id}">'
            roles.create_role("hiring", ["member:manage"], actor=None)
        page = admin.get(self.path(viewer)).text
        assert page.count(f"{to_group}Night &lt;b&gt;</a>") == 2
        assert f"{to_role}Member</a>" in page
        hiring = Visitor(app, acme.host)
        hiring.sign_in(add_person(app, acme, role="hiring"))
        page = hiring.get(self.path(viewer)).text
        assert "Night &lt;b&gt;" in page
        assert to_group not in page
        assert to_role not in page

    def test_a_role_is_given_until_a_day_and_taken_back(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        viewer = acme.people["viewer"]
        day = (now() + timedelta(days=5)).date().isoformat()
        assert admin.post(self.path(viewer, "/roles"), {"role": "member", "until": day}).status_code == 302
        visitor = sign_in(app, acme, "viewer")
        assert "project:create" in visitor.get("/api/v1/me").get_json()["permissions"]
        with inside(app, acme):
            holder = find_holder(viewer.id)
        assert holder is not None
        (held,) = [one for one in holder.held if one.role == "member"]
        assert held.expires_at is not None
        assert admin.post(self.path(viewer, f"/roles/{held.grant_id}/take")).status_code == 302
        assert "project:create" not in visitor.get("/api/v1/me").get_json()["permissions"]

    def test_a_day_that_is_over_is_refused(self, acme: Workspace, admin: Visitor) -> None:
        answer = admin.post(self.path(acme.people["viewer"], "/roles"), {"role": "member", "until": "2020-01-01"})
        assert (answer.status_code, "That day is over." in answer.text) == (422, True)

    def test_an_administrator_makes_no_owner(self, acme: Workspace, admin: Visitor) -> None:
        answer = admin.post(self.path(acme.people["viewer"], "/roles"), {"role": "owner"})
        assert answer.status_code == 422
        assert "Only owners give or take" in answer.text

    @pytest.mark.parametrize("end", ["/deactivate", "/remove", "/end-sessions", "/reset-second-factor", "/rename"])
    def test_an_administrator_decides_nothing_about_an_owner(
        self, app: Flask, acme: Workspace, admin: Visitor, end: str
    ) -> None:
        person = strong(app, acme)
        visitor = Visitor(app, acme.host)
        visitor.sign_in(person)
        assert admin.post(self.path(person, end), {"name": "x"}).status_code == 403
        assert visitor.is_signed_in()

    def test_a_deactivated_one_is_out_at_once_and_back_when_reactivated(
        self, app: Flask, acme: Workspace, admin: Visitor, member: Visitor
    ) -> None:
        person = acme.people["member"]
        admin.post(self.path(person, "/deactivate"))
        assert not member.is_signed_in()
        admin.post(self.path(person, "/reactivate"))
        member.sign_in(person)
        assert member.is_signed_in()

    def test_sessions_are_ended_everywhere(self, acme: Workspace, admin: Visitor, member: Visitor) -> None:
        admin.post(self.path(acme.people["member"], "/end-sessions"))
        assert not member.is_signed_in()

    @pytest.mark.usefixtures("steady")
    def test_a_second_factor_that_is_lost_is_taken_away(
        self, app: Flask, acme: Workspace, admin: Visitor, member: Visitor
    ) -> None:
        set_up_app(app, member)
        add_passkey(member, "secondary")
        admin.post(self.path(acme.people["member"], "/reset-second-factor"))
        assert not member.is_signed_in()
        member.sign_in(acme.people["member"])
        assert member.is_signed_in()
        with inside(app, acme):
            user = row_of(acme.people["member"])
            left = [user.tf_totp_secret, user.mf_recovery_codes, user.webauthn]
            assert not any(left)

    def test_a_removed_one_leaves_their_work_behind(
        self, app: Flask, acme: Workspace, admin: Visitor, member: Visitor
    ) -> None:
        person, project = acme.people["member"], make_project(app, acme)
        member.post(f"/projects/{project}/updates", {"body": "On its way"})
        assert "stay" in admin.get(self.path(person, "/remove")).text
        assert admin.post(self.path(person, "/remove")).status_code == 302
        assert not member.is_signed_in()
        assert admin.get(self.path(person)).status_code == 404
        with inside(app, acme) as session:
            assert session.find(User, person.id) is None
            assert session.scalars(select(Project)).one().owner_id is None
            assert session.scalars(select(ProjectUpdate)).one().author_id is None
        page = admin.get(f"/projects/{project}").text
        assert page.count("Former member") == 2
        assert "Former member" in admin.get("/projects/").text
        assert "Former member" in admin.get("/").text

    def test_the_last_owner_stays(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(NotAllowed, match="last owner"):
            accounts.remove(row_of(acme.people["owner"]), actor=actor(acme.people["owner"]))

    def test_everything_is_recorded(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        person = acme.people["viewer"]
        for end in ("/rename", "/end-sessions", "/reset-second-factor", "/deactivate", "/reactivate", "/remove"):
            assert admin.post(self.path(person, end), {"name": "Vera"}).status_code == 302
        with inside(app, acme) as session:
            noted = session.execute(
                select(AuditEvent.kind, AuditEvent.actor_id)
                .where(AuditEvent.target_id == person.id, AuditEvent.actor_id == acme.people["admin"].id)
                .order_by(AuditEvent.id)
            ).all()
        assert [one.kind for one in noted] == [
            "account changed", "sessions ended", "second factor reset", "account deactivated", "account reactivated",
            "account removed",
        ]  # fmt: skip


class TestMany:
    """A role for many at once."""

    def test_all_get_it(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        people = [add_person(app, acme, role=None) for _ in range(3)]
        answer = admin.post(f"{PAGE}give-role", {"role": "viewer", "user": [str(person.id) for person in people]})
        assert answer.status_code == 302
        with inside(app, acme):
            assert all(members.describe(row_of(person)).roles == ["viewer"] for person in people)

    def test_one_that_is_not_there_leaves_all_as_they_were(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        person = add_person(app, acme, role=None)
        form = {"role": "viewer", "user": [str(person.id), str(uuid.uuid4())]}
        assert admin.post(f"{PAGE}give-role", form).status_code == 404
        with inside(app, acme):
            assert members.describe(row_of(person)).roles == []

    def test_owners_are_not_made_so_either(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        form = {"role": "owner", "user": [str(acme.people["viewer"].id)]}
        assert admin.post(f"{PAGE}give-role", form).status_code == 403


class TestWho:
    """Whose business it is."""

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_they_are_for_administrators(self, app: Flask, acme: Workspace, role: str) -> None:
        visitor = sign_in(app, acme, role)
        owner = acme.people["owner"]
        for path in (PAGE, f"{PAGE}{owner.id}", f"{PAGE}{owner.id}/remove", API, f"{API}/{owner.id}"):
            assert visitor.get(path).status_code == 403, path
        for end in ("deactivate", "remove", "roles", "end-sessions", "reset-second-factor", "rename"):
            assert visitor.post(f"{PAGE}{owner.id}/{end}", {"role": "owner"}).status_code == 403, end

    def test_another_workspaces_member_is_not_found(self, admin: Visitor, globex: Workspace) -> None:
        stranger = globex.people["member"].id
        for path in (f"{PAGE}{stranger}", f"{API}/{stranger}"):
            assert admin.get(path).status_code == 404
        assert admin.post(f"{PAGE}{stranger}/deactivate").status_code == 404


class TestApi:
    """The same for programs."""

    def ask(self, visitor: Visitor, method: str, path: str, body: Any = None) -> Any:
        headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
        return visitor.client.open(f"{API}{path}", method=method, base_url=visitor.base, json=body, headers=headers)

    def test_a_list_is_gone_through_page_by_page(self, acme: Workspace, admin: Visitor) -> None:
        seen, cursor = [], ""
        while cursor is not None:
            page = admin.get(f"{API}?limit=3&cursor={cursor}").get_json()
            seen += [item["email"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == sorted(person.email for person in acme.people.values())

    @pytest.mark.parametrize("sort", ["-name", "created", "-seen", "signed_in"])
    def test_so_it_is_in_any_order(self, app: Flask, acme: Workspace, admin: Visitor, sort: str) -> None:
        sign_in(app, acme, "viewer").post("/auth/logout")
        seen: list[str] = []
        path = f"{API}?sort={sort}"
        whole = [item["name"] for item in admin.get(path).get_json()["items"]]
        cursor = ""
        while cursor is not None:
            page = admin.get(f"{path}&limit=1&cursor={cursor}").get_json()
            seen += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == whole
        assert sorted(seen) == ["Admin", "Member", "Owner", "Viewer"]

    def test_a_cursor_of_another_order_is_named(self, admin: Visitor) -> None:
        cursor = admin.get(f"{API}?limit=1").get_json()["next_cursor"]
        answer = admin.get(f"{API}?sort=seen&cursor={cursor}")
        assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "cursor")

    def test_one_is_told_with_grants(self, acme: Workspace, admin: Visitor) -> None:
        told = admin.get(f"{API}/{acme.people['viewer'].id}").get_json()
        assert (told["state"], told["roles"]) == ("active", ["viewer"])
        assert told["grants"][0]["role"] == "viewer"

    def test_what_the_pages_do_is_done(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        person = f"/{acme.people['viewer'].id}"
        told = self.ask(admin, "PATCH", person, {"name": "Vera", "active": False}).get_json()
        assert (told["name"], told["state"]) == ("Vera", "deactivated")
        assert self.ask(admin, "PATCH", person, {"active": True}).get_json()["state"] == "active"
        assert self.ask(admin, "PUT", f"{person}/roles/member").status_code == 204
        assert self.ask(admin, "DELETE", f"{person}/roles/member").status_code == 204
        assert self.ask(admin, "DELETE", f"{person}/roles/member").status_code == 404
        assert self.ask(admin, "PUT", f"{person}/roles/none").status_code == 404
        assert self.ask(admin, "POST", f"{person}/end-sessions").get_json() == {"ended": 0}
        assert self.ask(admin, "POST", f"{person}/reset-second-factor").status_code == 204
        assert self.ask(admin, "DELETE", person).status_code == 204
        assert self.ask(admin, "GET", person).status_code == 404

    @pytest.mark.parametrize("body", [{"email": "x"}, {"name": 1}, {"active": "no"}], ids=str)
    def test_what_cannot_be_is_named(self, acme: Workspace, admin: Visitor, body: Any) -> None:
        answer = self.ask(admin, "PATCH", f"/{acme.people['viewer'].id}", body)
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["field"] == next(iter(body))

    @pytest.mark.parametrize("query", ["state=x", "role=x", "source=x", "cursor=x", "limit=0", "sort=x"])
    def test_a_wrong_filter_is_named(self, admin: Visitor, query: str) -> None:
        assert admin.get(f"{API}?{query}").status_code == 422

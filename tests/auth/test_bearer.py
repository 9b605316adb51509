"""Bearer tokens: who calls by one, where it counts, and that all that ends it does so with the next request."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from auth import api_tokens, enforcement, sessions, tenant_settings
from auth.client_models import Consent, OAuthClient
from auth.models import LoginSession
from auth.policy_changes import change_policy
from auth.roles import create_role, grant_role, revoke_role
from auth.token_models import ApiToken
from auth.users import deactivate_user
from tenants.db import now
from tenants.lifecycle import resume_tenant, suspend_tenant
from tests.auth.helpers import change, inside, row_of
from tests.factories import Workspace, add_person, make_project
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

MEANS = {"jwt": signed_in_program, "personal": personal_token}


@pytest.fixture(params=MEANS)
def program(request: pytest.FixtureRequest, app: Flask, acme: Workspace) -> Program:
    """A program of acme's member, by either kind of token."""
    return MEANS[request.param](app, acme)


def me(program: Program) -> Any:
    answer = program.get("/api/v1/me")
    assert answer.status_code == 200, answer.text
    return answer.json


class TestWhoCalls:
    """A token stands for its owner, at the API and nowhere else."""

    def test_a_token_is_its_owners(self, acme: Workspace, program: Program) -> None:
        assert me(program)["user"]["email"] == acme.people["member"].email
        assert "project:create" in me(program)["permissions"]

    def test_a_token_needs_no_csrf_token_and_no_origin_of_ours(self, program: Program) -> None:
        answer = program.post("/api/v1/projects", {"name": "Apollo"}, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 201

    @pytest.mark.parametrize("path", ["/", "/account/", "/account/tokens", "/projects/"])
    def test_a_token_is_nobody_on_pages(self, program: Program, path: str) -> None:
        answer = program.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 302
        assert "/auth/login" in answer.location

    def test_a_page_with_a_token_is_not_the_cookies(self, member: Visitor, program: Program) -> None:
        shown = {"Authorization": f"Bearer {program.token}"}
        assert member.get("/account/").status_code == 200
        assert member.get("/account/", headers=shown).status_code == 302

    def test_the_token_says_who_calls_and_not_the_cookie(self, app: Flask, acme: Workspace, program: Program) -> None:
        owner = sign_in(app, acme, "owner")
        answer = owner.get("/api/v1/me", headers={"Authorization": f"Bearer {program.token}"})
        assert answer.json["user"]["email"] == acme.people["member"].email

    def test_a_cookie_beside_a_bad_token_signs_nobody_in(self, member: Visitor) -> None:
        answer = member.get("/api/v1/me", headers={"Authorization": "Bearer tnt_pat_nonsense"})
        assert answer.status_code == 401
        assert answer.json["type"].endswith("#invalid-token")

    def test_a_token_on_another_tenants_host_is_nobodys(self, app: Flask, globex: Workspace, program: Program) -> None:
        signed_in_program(app, globex)
        assert not Program(app, globex.host, program.token).is_signed_in

    def test_the_scheme_is_written_in_any_case(self, app: Flask, acme: Workspace, program: Program) -> None:
        shown = {"Authorization": f"bearer  {program.token}"}
        assert Program(app, acme.host).get("/api/v1/me", headers=shown).status_code == 200


HEADERS = {
    "nothing": "",
    "scheme only": "Bearer",
    "scheme and space": "Bearer ",
    "basic": "Basic dXNlcjpwYXNzd29yZA==",
    "no token": "Bearer nonsense",
    "two tokens": "Bearer a.b.c, Bearer d.e.f",
    "long": "Bearer " + "x" * 10_000,
    "long and dotted": "Bearer " + "a." * 5_000,
    "deep": "Bearer e30." + "W1tb" * 900 + ".x",
    "letters": "Bearer \xe9\xe8",
    "checksum": "Bearer tnt_pat_" + "a" * 46,
    "unsigned": "Bearer eyJhbGciOiJub25lIn0.eyJzaWQiOiIwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAifQ.",
    "no id in it": "Bearer e30.eyJzaWQiOiI3In0.x",
    "a number in it": "Bearer e30.eyJzaWQiOjd9.x",
    "a list in it": "Bearer e30.WzFd.x",
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_shows_no_token_is_refused(member: Visitor, header: str) -> None:
    assert member.get("/api/v1/me", headers={"Authorization": header}).status_code == 401
    assert member.get("/api/v1/me").status_code == 200


def test_a_refresh_token_is_no_bearer_token(app: Flask, acme: Workspace) -> None:
    program = signed_in_program(app, acme)
    assert not Program(app, acme.host, program.refresh_token).is_signed_in


class TestAtOnce:
    """What ends a right, or a person's being let in, holds for tokens from the next request on."""

    def test_a_role_that_is_taken(self, app: Flask, acme: Workspace, program: Program) -> None:
        assert program.post("/api/v1/projects", {"name": "Apollo"}).status_code == 201
        with inside(app, acme):
            revoke_role(row_of(acme.people["member"]), "member", actor=None)
        assert program.post("/api/v1/projects", {"name": "Apollo"}).status_code == 403
        assert me(program)["permissions"] == []

    def test_a_role_that_is_given(self, app: Flask, acme: Workspace, program: Program) -> None:
        assert program.get("/api/v1/audit").status_code == 403
        with inside(app, acme):
            grant_role(row_of(acme.people["member"]), "admin", actor=None)
        assert program.get("/api/v1/audit").status_code == 200

    def test_a_deactivated_owner(self, app: Flask, acme: Workspace, program: Program) -> None:
        assert program.is_signed_in
        change(app, acme, acme.people["member"], active=False)
        assert not program.is_signed_in

    def test_an_owner_who_was_deactivated_has_no_tokens_when_they_are_back(
        self, app: Flask, acme: Workspace, program: Program
    ) -> None:
        with inside(app, acme):
            deactivate_user(row_of(acme.people["member"]), actor=None)
        change(app, acme, acme.people["member"], active=True)
        assert not program.is_signed_in

    def test_a_removed_owner(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.delete(row_of(acme.people["member"]))
        assert not program.is_signed_in

    def test_a_suspended_workspace(self, app: Flask, acme: Workspace, program: Program) -> None:
        with app.app_context():
            suspend_tenant(acme.slug)
        assert program.get("/api/v1/me").status_code == 403
        with app.app_context():
            resume_tenant(acme.slug)
        assert program.is_signed_in

    def test_a_rule_about_networks(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme):
            change_policy({"networks": ["192.0.2.0/24"]}, actor=None)
        assert not program.is_signed_in
        assert Program(app, acme.host, program.token, "192.0.2.7").is_signed_in

    def test_a_rule_about_second_factors(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme):
            change_policy({"second_factor": "roles", "second_factor_roles": ["member"]}, actor=None)
        answer = program.get("/api/v1/me")
        assert answer.status_code == 403
        assert answer.json["type"].endswith("#second-factor-needed")

    def test_a_source_that_is_enforced(self, app: Flask, acme: Workspace, program: Program) -> None:
        domain = acme.people["member"].email.partition("@")[2]
        with inside(app, acme):
            enforce_elsewhere(domain)
        assert not program.is_signed_in


def enforce_elsewhere(domain: str) -> None:
    """Have the domain's people sign in at some source, as the tenant's settings say it."""
    tenant_settings.keep(tenant_settings.lock(), "enforcement", {"domains": {domain: "elsewhere"}, "break_glass": None})


class TestLoginSessions:
    """A JSON web token lives with its login session."""

    @pytest.fixture
    def program(self, app: Flask, acme: Workspace) -> Program:
        return signed_in_program(app, acme)

    def test_one_that_is_ended(self, app: Flask, acme: Workspace, program: Program, member: Visitor) -> None:
        listed = member.get("/api/v1/sessions").json["items"]
        (login,) = [one["id"] for one in listed if one["kind"] == "api"]
        assert member.post(f"/account/sessions/{login}/end").status_code == 302
        assert not program.is_signed_in

    def test_one_of_a_former_password(self, app: Flask, acme: Workspace, program: Program) -> None:
        change(app, acme, acme.people["member"], fs_uniquifier="x" * 32)
        assert not program.is_signed_in
        assert program.refresh().status_code == 401

    def test_one_that_nobody_has_used_for_a_week(self, app: Flask, acme: Workspace, program: Program) -> None:
        move(app, acme, seen_at=now() - sessions.PROGRAM_IDLE - timedelta(minutes=1))
        assert not program.is_signed_in

    def test_one_that_was_used_yesterday(self, app: Flask, acme: Workspace, program: Program) -> None:
        move(app, acme, seen_at=now() - timedelta(days=1))
        assert program.is_signed_in

    def test_one_that_is_over(self, app: Flask, acme: Workspace, program: Program) -> None:
        move(app, acme, expires_at=now() - timedelta(seconds=1))
        assert not program.is_signed_in

    def test_a_rule_about_hours(self, app: Flask, acme: Workspace, program: Program) -> None:
        move(app, acme, created_at=now() - timedelta(hours=2))
        assert program.is_signed_in
        with inside(app, acme):
            change_policy({"session_hours": 1}, actor=None)
        assert not program.is_signed_in

    def test_its_use_is_noted_once_a_minute(self, app: Flask, acme: Workspace, program: Program) -> None:
        move(app, acme, seen_at=now() - timedelta(minutes=2))
        me(program)
        with inside(app, acme) as session:
            seen = session.scalar(select(LoginSession.seen_at))
        me(program)
        with inside(app, acme) as session:
            assert session.scalar(select(LoginSession.seen_at)) == seen
        assert now() - seen < timedelta(minutes=1)


def move(app: Flask, acme: Workspace, **times: Any) -> None:
    """Change when acme's login sessions began, were used, or end."""
    with inside(app, acme) as session:
        session.execute(update(LoginSession).values(**times))


class TestTokens:
    """A personal token may do what was chosen, and never more than its owner."""

    def token(self, app: Flask, acme: Workspace, *only: str, role: str = "member") -> Program:
        return personal_token(app, acme, role, only=set(only))

    def test_a_token_with_less_is_refused_the_rest(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read")
        assert me(program)["permissions"] == ["project:read"]
        assert program.get("/api/v1/projects").status_code == 200
        assert program.post("/api/v1/projects", {"name": "Apollo"}).status_code == 403

    def test_a_token_for_what_its_owner_may_not_do_does_not_do_it(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read", "audit:read")
        assert me(program)["permissions"] == ["project:read"]
        assert program.get("/api/v1/audit").status_code == 403

    def test_a_token_without_permissions_is_its_owners_all_the_same(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme)
        assert me(program)["permissions"] == []
        assert program.get("/api/v1/projects").status_code == 403

    def test_a_token_reaches_single_objects_as_far_as_it_may(self, app: Flask, acme: Workspace) -> None:
        person, project = add_person(app, acme, role=None), make_project(app, acme)
        acme.people["editor"] = person
        with inside(app, acme):
            grant_role(row_of(person), "project-editor", on=("project", project), actor=None)
        reader = self.token(app, acme, "project:read", role="editor")
        editor = self.token(app, acme, "project:read", "project:update", role="editor")
        other = make_project(app, acme)
        assert reader.get(f"/api/v1/projects/{project}").status_code == 200
        assert reader.open("PATCH", f"/api/v1/projects/{project}", json={"name": "x"}).status_code == 403
        assert editor.open("PATCH", f"/api/v1/projects/{project}", json={"name": "x"}).status_code == 200
        assert editor.open("PATCH", f"/api/v1/projects/{other}", json={"name": "x"}).status_code == 403

    def test_an_owners_token_is_no_owner_unless_it_may_do_all_of_it(self, app: Flask, acme: Workspace) -> None:
        less = self.token(app, acme, "member:manage", "role:manage", "role:read", role="owner")
        assert me(less)["roles"] == []
        admin = acme.people["admin"].id
        assert less.open("PUT", f"/api/v1/members/{admin}/roles/owner").status_code == 403
        assert less.delete(f"/api/v1/members/{acme.people['owner'].id}").status_code == 403
        assert me(personal_token(app, acme, "owner"))["roles"] == ["owner"]

    def test_a_custom_role_counts_too(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            create_role("auditor", ["audit:read"], actor=None)
            grant_role(row_of(acme.people["member"]), "auditor", actor=None)
        assert self.token(app, acme, "audit:read").get("/api/v1/audit").status_code == 200

    def test_a_revoked_token_is_nobodys(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read")
        assert program.is_signed_in
        with inside(app, acme):
            (row,) = api_tokens.list_of(acme.people["member"].id)
            api_tokens.revoke(row, actor=None)
        assert not program.is_signed_in

    def test_a_token_that_is_over_is_nobodys(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read")
        set_token(app, acme, expires_at=now() + timedelta(minutes=1))
        assert program.is_signed_in
        set_token(app, acme, expires_at=now() - timedelta(seconds=1))
        assert not program.is_signed_in

    def test_a_rule_about_how_long_a_token_lasts_holds_for_those_that_there_are(
        self, app: Flask, acme: Workspace
    ) -> None:
        program = self.token(app, acme, "project:read")
        set_token(app, acme, created_at=now() - timedelta(days=31))
        assert program.is_signed_in
        with inside(app, acme):
            change_policy({"longest_token_days": 30}, actor=None)
        assert not program.is_signed_in

    def test_its_use_is_noted_once_a_minute(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read")
        me(program)
        with inside(app, acme) as session:
            used = session.scalar(select(ApiToken.last_used_at))
        me(program)
        with inside(app, acme) as session:
            assert session.scalar(select(ApiToken.last_used_at)) == used
        assert used is not None
        set_token(app, acme, last_used_at=now() - timedelta(minutes=2))
        me(program)
        with inside(app, acme) as session:
            assert session.scalar(select(ApiToken.last_used_at)) >= used

    def test_a_refused_use_is_noted_too(self, app: Flask, acme: Workspace) -> None:
        program = self.token(app, acme, "project:read")
        assert program.get("/api/v1/audit").status_code == 403
        with inside(app, acme) as session:
            assert session.scalar(select(ApiToken.last_used_at)) is not None

    def test_a_person_of_an_identity_provider_is_asked_for_no_second_factor_here(
        self, app: Flask, acme: Workspace
    ) -> None:
        program = self.token(app, acme, "project:read")
        set_token(app, acme, single_sign_on=True)
        with inside(app, acme):
            change_policy({"second_factor": "all"}, actor=None)
        assert program.is_signed_in


def set_token(app: Flask, acme: Workspace, **values: Any) -> None:
    """Change acme's tokens."""
    with inside(app, acme) as session:
        session.execute(update(ApiToken).values(**values))


class TestApps:
    """A token that an app was given is cut down to what the app may do now."""

    @pytest.fixture
    def program(self, app: Flask, acme: Workspace) -> Program:
        with inside(app, acme) as session:
            client = OAuthClient(
                client_id="app", name="App", kind="app", auth_method="none",
                permissions=["project:read", "project:create"],
            )  # fmt: skip
            session.add(client)
            session.flush()
            session.add(Consent(user_id=acme.people["member"].id, client_id=client.id))
            _row, secret = api_tokens.issue(
                acme.people["member"].id,
                kind=api_tokens.OAUTH,
                permissions=["project:read", "project:create"],
                expires_at=now() + timedelta(hours=1),
                client_id=client.id,
            )
        assert secret.startswith("tnt_at_")
        return Program(app, acme.host, secret)

    def test_it_may_do_what_was_allowed(self, program: Program) -> None:
        assert me(program)["permissions"] == ["project:create", "project:read"]

    def test_an_app_that_may_do_less_by_now_does_less(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.execute(update(OAuthClient).values(permissions=["project:read"]))
        assert me(program)["permissions"] == ["project:read"]

    def test_an_app_that_is_allowed_nothing_is_nobody(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.execute(delete(Consent))
        assert not program.is_signed_in

    def test_an_app_that_is_switched_off_is_nobody(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.execute(update(OAuthClient).values(active=False))
        assert not program.is_signed_in

    def test_an_app_loses_its_tokens_when_one_source_alone_vouches_for_the_person(
        self, app: Flask, acme: Workspace, program: Program
    ) -> None:
        with inside(app, acme):
            member = row_of(acme.people["member"])
            enforce_elsewhere(member.email.partition("@")[2])
            enforcement.follow_address(member)
        assert not program.is_signed_in

    def test_an_app_is_nobody_in_person(self, program: Program) -> None:
        assert program.get("/api/v1/tokens").status_code == 403
        assert program.get("/api/v1/sessions").status_code == 403

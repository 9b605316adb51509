"""Personal tokens as a service, and the page of one's account: made, listed, revoked, and what is refused."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import accounts, api_tokens, token_secrets
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed
from auth.identity import JWT, Identity, snapshot_of
from auth.models import LoginSession
from auth.policy_changes import change_policy
from auth.sessions import Login
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tests.auth.conftest import Clock
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace, add_person
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

LONG_AGO = timedelta(minutes=16)


def identity_of(person: Person, *, signed_in: timedelta = timedelta(), methods: str = "password") -> Identity:
    """Somebody who has signed in by API that long ago."""
    moment = now() - signed_in
    login = Login(person.id, person.id, "database", methods, False, moment, moment, moment, "api", "")
    return Identity(person.id, snapshot_of(person.id), login, means=JWT)


def create(
    person: Person, *permissions: str, name: str = "x", expires_at: datetime | None = None, **options: Any
) -> tuple[ApiToken, str]:
    return api_tokens.create(identity_of(person, **options), name, permissions, expires_at)


class TestMaking:
    """`api_tokens.create`."""

    def test_only_the_hash_of_the_secret_is_kept(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            row, secret = create(acme.people["member"], "project:read")
            assert secret.startswith("tnt_pat_")
            assert row.token_hash == token_secrets.digest(secret)

    def test_it_is_recorded_without_the_secret(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            _row, secret = create(acme.people["member"], "project:read", name="Nightly  report")
            event = session.scalar(select(AuditEvent).where(AuditEvent.kind == "token created"))
        assert event.details == {"name": "Nightly report", "permissions": ["project:read"], "expires_at": None}
        assert secret not in str(event.details)

    @pytest.mark.parametrize("permissions", [["audit:read"], ["project:read", "audit:read"], ["made:up"], []])
    def test_nobody_makes_one_for_more_than_they_may_do(
        self, app: Flask, acme: Workspace, permissions: Collection[str]
    ) -> None:
        with inside(app, acme), pytest.raises(NotAllowed):
            create(acme.people["member"], *permissions)

    @pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x07b"], ids=["none", "blank", "long", "unprintable"])
    def test_a_name_is_needed_that_people_can_see(self, app: Flask, acme: Workspace, name: str) -> None:
        with inside(app, acme), pytest.raises(NotAllowed):
            create(acme.people["member"], "project:read", name=name)

    def test_an_end_lies_ahead(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(NotAllowed):
            create(acme.people["member"], "project:read", expires_at=now() - timedelta(seconds=1))

    @pytest.mark.parametrize("days", [None, 32], ids=["no end", "too late"])
    def test_the_rules_can_ask_for_an_end(self, app: Flask, acme: Workspace, days: int | None) -> None:
        with inside(app, acme):
            change_policy({"longest_token_days": 30}, actor=None)
            row, _secret = create(acme.people["member"], "project:read", expires_at=now() + timedelta(days=30))
            assert api_tokens.ends_at(row) is not None
            with pytest.raises(NotAllowed):
                create(acme.people["member"], "project:read", expires_at=now() + timedelta(days=days) if days else None)

    def test_it_takes_a_sign_in_of_this_moment(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(NotAllowed):
            create(acme.people["member"], "project:read", signed_in=LONG_AGO)

    def test_it_takes_a_login_session(self, app: Flask, acme: Workspace) -> None:
        member = acme.people["member"]
        with inside(app, acme), pytest.raises(NotAllowed):
            api_tokens.create(
                Identity(member.id, snapshot_of(member.id), means="personal"), "x", ["project:read"], None
            )

    def test_nobody_makes_any_number(self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api_tokens, "MOST", 1)
        with inside(app, acme):
            create(acme.people["member"], "project:read")
            create(acme.people["owner"], "project:read")
            with pytest.raises(NotAllowed):
                create(acme.people["member"], "project:read")

    def test_it_knows_by_which_source_its_owner_had_come(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            row, _secret = create(acme.people["member"], "project:read", methods="single sign-on")
            assert (row.provider, row.single_sign_on) == ("database", True)


class TestEnding:
    """What ends tokens."""

    def test_revoking_is_recorded(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            row, _secret = create(acme.people["member"], "project:read", name="Nightly")
            api_tokens.revoke(row, actor=identity_of(acme.people["member"]))
            assert api_tokens.list_of(acme.people["member"].id) == []
            event = session.scalar(select(AuditEvent).where(AuditEvent.kind == "token revoked"))
        assert event.details == {"name": "Nightly"}

    def test_an_administrator_revokes_a_members(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            row, _secret = create(acme.people["member"], "project:read")
            accounts.revoke_token(row, actor=identity_of(acme.people["admin"]))
            assert api_tokens.list_of(acme.people["member"].id) == []

    @pytest.mark.parametrize(("actor", "owner"), [("member", "viewer"), ("viewer", "member"), ("admin", "owner")])
    def test_nobody_revokes_what_is_not_theirs_to_decide(
        self, app: Flask, acme: Workspace, actor: str, owner: str
    ) -> None:
        with inside(app, acme):
            row, _secret = create(acme.people[owner], "project:read")
            with pytest.raises(NotAllowed):
                accounts.revoke_token(row, actor=identity_of(acme.people[actor]))

    def test_one_is_found_by_its_owner_only(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            row, _secret = create(acme.people["member"], "project:read")
            assert api_tokens.find(row.id, user_id=acme.people["member"].id) is row
            assert api_tokens.find(row.id, user_id=acme.people["owner"].id) is None

    def test_a_family_ends_together_and_its_login_session_with_it(self, app: Flask, acme: Workspace) -> None:
        program, other = signed_in_program(app, acme), signed_in_program(app, acme)
        program.refresh()
        with inside(app, acme) as session:
            used = session.scalar(select(RefreshToken).where(RefreshToken.used_at.is_not(None)))
            api_tokens.revoke_family(used.family)
            assert len(session.scalars(select(RefreshToken)).all()) == 1
            assert len(session.scalars(select(LoginSession)).all()) == 1
        assert (program.is_signed_in, other.is_signed_in) == (False, True)

    def test_a_family_of_an_apps_tokens_ends_together(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            family = acme.tenant.id
            for each in (family, acme.people["owner"].id):
                api_tokens.issue(acme.people["member"].id, kind="oauth", permissions=[], expires_at=None, family=each)
            api_tokens.revoke_family(family)
            assert [row.family for row in g.db.scalars(select(ApiToken))] == [acme.people["owner"].id]


class TestPages:
    """/account/tokens."""

    def make(self, visitor: Visitor, **values: Any) -> Any:
        form = {"name": "Nightly report", "days": "30", "permissions": ["project:read"]} | values
        return visitor.post("/account/tokens/new", form)

    def test_a_token_is_made_and_shown_once(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        answer = self.make(member)
        assert answer.status_code == 200
        (secret,) = re.findall(r"tnt_pat_\w{46}", answer.text)
        assert Program(app, acme.host, secret).get("/api/v1/me").json["permissions"] == ["project:read"]
        listed = member.get("/account/tokens").text
        assert "Nightly report" in listed
        assert secret not in listed

    def test_what_one_may_not_do_is_not_offered(self, member: Visitor) -> None:
        page = member.get("/account/tokens/new").text
        assert 'value="project:read"' in page
        assert 'value="audit:read"' not in page
        assert self.make(member, permissions=["audit:read"]).text.count("tnt_pat_") == 0

    def test_a_token_without_permissions_is_not_made(self, member: Visitor) -> None:
        assert "Choose what the token may do." in self.make(member, permissions=[]).text

    def test_a_token_may_last_until_it_is_revoked_unless_the_rules_say_otherwise(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        assert "tnt_pat_" in self.make(member, days="").text
        with inside(app, acme):
            change_policy({"longest_token_days": 45}, actor=None)
        page = member.get("/account/tokens/new").text
        assert re.findall(r'<option value="(\d*)"', page) == ["7", "30", "45"]
        assert "tnt_pat_" not in self.make(member, days="").text
        assert "tnt_pat_" not in self.make(member, days="90").text
        assert "tnt_pat_" in self.make(member, days="45").text

    def test_it_takes_a_recent_proof(self, member: Visitor, clock: Clock) -> None:
        clock.advance(minutes=20)
        answer = member.get("/account/tokens/new")
        assert answer.status_code == 302
        assert "/auth/verify" in answer.location
        assert member.get("/account/tokens").status_code == 200
        asked = member.post_json("/api/v1/tokens", {"name": "x", "permissions": ["project:read"]})
        assert asked.status_code == 403

    def test_a_token_is_revoked(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = personal_token(app, acme)
        (token_id,) = re.findall(r"/account/tokens/([0-9a-f-]{36})/revoke", member.get("/account/tokens").text)
        answer = member.post(f"/account/tokens/{token_id}/revoke")
        assert answer.status_code == 302
        assert not program.is_signed_in

    def test_anothers_token_is_not_there(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = personal_token(app, acme, "owner")
        with inside(app, acme):
            (row,) = api_tokens.list_of(acme.people["owner"].id)
        assert str(row.id) not in member.get("/account/tokens").text
        assert member.post(f"/account/tokens/{row.id}/revoke").status_code == 404
        assert program.is_signed_in

    def test_a_token_that_is_over_says_so(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        personal_token(app, acme)
        with inside(app, acme):
            (row,) = api_tokens.list_of(acme.people["member"].id)
            row.expires_at = now() - timedelta(days=1)
        assert "Over" in member.get("/account/tokens").text

    def test_somebody_without_permissions_is_told_so(self, app: Flask, acme: Workspace) -> None:
        acme.people["nobody"] = add_person(app, acme, role=None)
        page = sign_in(app, acme, "nobody").get("/account/tokens/new").text
        assert "You have no permissions" in page

    def test_a_list_costs_the_same_with_many(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        with inside(app, acme):
            for _ in range(30):
                api_tokens.issue(row_of(acme.people["member"]).id, kind="personal", permissions=[], expires_at=None)
        assert member.get("/account/tokens").text.count("/revoke") == 30

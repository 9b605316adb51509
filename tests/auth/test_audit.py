"""What the audit log is told, by whom, and what it never holds."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import event, select, text

from auth import audit, audit_bounds, audit_chain, invitations, linking, throttle
from auth.audit_models import AuditEvent
from auth.audit_signing import CONTENT
from auth.audit_verification import verify
from auth.errors import InvalidProvider
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.token_models import ApiToken
from tests.auth.helpers import (
    NEW_PASSWORD,
    add_passkey,
    ask_reset_link,
    change,
    give_code,
    inside,
    make_recovery_codes,
    post_json,
    row_of,
    set_up_app,
    use_passkey,
)
from tests.factories import PASSWORD, Workspace
from tests.program import personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

OIDC = {"issuer": "https://id.example", "client_id": "saas"}


@pytest.fixture(autouse=True)
def _nobody_refused_before() -> None:
    audit_bounds._counts.clear()


def events(app: Flask, workspace: Workspace, *kinds: str) -> list[AuditEvent]:
    """The workspace's events of these kinds, oldest first."""
    with inside(app, workspace):
        return list(reversed(audit.search(kinds=kinds, limit=1000)))


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that are sent within the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    engine = app.extensions["tenants"].engines.shared
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


class TestRecording:
    def test_it_is_one_statement(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            session.connection()
            with counted(app) as sent:
                audit.record("role created", details={"name": "x"})
            assert len(sent) == 1
            with counted(app) as sent:
                audit.record_all("role given", [audit.Party("user", uuid.uuid4(), "x")] * 30)
            assert len(sent) == 1

    def test_a_kind_that_nobody_knows_is_refused(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(KeyError):
            audit.record("something")

    def test_what_is_rolled_back_did_not_happen(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            audit.record("role created")
            session.rollback()
        assert events(app, acme, "role created") == []

    def test_at_the_command_line_it_is_the_operator(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            audit.record("role created")
            with audit.acting_as(audit.Party("provider", None, "office")):
                audit.record("role changed")
            audit.record("role deleted", actor=audit.SYSTEM)
            audit.record("role given", actor=row_of(acme.people["member"]))
        found = events(app, acme, "role created", "role changed", "role deleted", "role given")[-4:]
        assert [row.actor_kind for row in found] == ["operator", "provider", "system", "user"]
        assert [row.actor for row in found][1:] == ["office", "", acme.people["member"].email]

    def test_what_no_database_takes_is_left_out(self, app: Flask, acme: Workspace) -> None:
        odd = "a\0b\ud800\\u0000"
        with inside(app, acme):
            target = audit.Party("role", None, odd * 100)
            audit.record("role created", target, details={odd: [odd, 1.5], "long": "x" * 9999, "when": audit.now()})
        (row,) = events(app, acme, "role created")[-1:]
        assert row.details["ab?\\u0000"] == ["ab?\\u0000", "1.5"]
        assert len(row.details["long"]) == 2000
        assert len(row.target) == 320

    def test_changes_are_what_differs(self) -> None:
        before, after = {"a": 1, "b": [1], "c": None}, {"a": 2, "b": [1], "d": "x"}
        assert audit.changes(before, after) == {"a": [1, 2], "d": [None, "x"]}

    def test_another_tenants_events_are_not_found(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        with inside(app, globex):
            audit.record("role created", audit.Party("role", one := uuid.uuid4(), "of globex alone"))
        with inside(app, acme):
            assert audit.search(party=one) == audit.search(party="globex") == []


class TestSigningIn:
    def test_it_is_told_with_methods_source_and_address(self, app: Flask, acme: Workspace) -> None:
        person = acme.people["member"]
        visitor = Visitor(app, acme.host, "203.0.113.7")
        visitor.sign_in(person)
        (row,) = events(app, acme, "signed in")
        assert (row.actor_kind, row.actor_id, row.actor, row.target_id) == ("user", person.id, person.email, person.id)
        assert row.details == {"methods": "password", "source": "database"} | row.details
        assert row.details["methods"].startswith("password")
        assert row.address == "203.0.113.7"
        assert row.agent.startswith("Werkzeug")
        assert row.request_id

    def test_it_costs_one_statement(self, app: Flask, acme: Workspace) -> None:
        visitor = Visitor(app, acme.host)
        with counted(app) as sent:
            visitor.sign_in(acme.people["member"])
        assert sum("audit_events" in statement for statement in sent) == 1

    def test_now_and_then_a_request_seals_the_log(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit, "_SEALED_EVERY", 1)
        sign_in(app, acme)
        with inside(app, acme):
            verdict = verify()
        assert (verdict.fault, verdict.unsealed) == (None, 0)
        assert verdict.events > 0

    def test_a_log_that_cannot_be_sealed_stops_nobody(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_limit: int) -> None:
            g.db.connection().execute(text("SELECT * FROM nothing_of_this_name"))

        monkeypatch.setattr(audit, "_SEALED_EVERY", 1)
        monkeypatch.setattr(audit_chain, "seal", fail)
        assert sign_in(app, acme).is_signed_in()
        assert len(events(app, acme, "signed in")) == 1

    def test_a_page_costs_none(self, app: Flask, acme: Workspace) -> None:
        member = sign_in(app, acme)
        with counted(app) as sent:
            assert member.get("/").status_code == 200
        assert not [statement for statement in sent if "audit" in statement]

    def test_a_failure_is_told_with_what_was_typed(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        for login in ("Nobody@x.example", acme.people["member"].email, "x" * 5000):
            visitor.post("/auth/login", {"email": login, "password": "wrong-secret"})
        found = events(app, acme, "sign-in failed")
        assert [(row.actor_kind, row.target_kind) for row in found] == [("nobody", "login")] * 2
        assert found[0].target.casefold() == "nobody@x.example"
        assert found[1].target == acme.people["member"].email
        assert found[0].details == {"step": "password", "reason": "wrong"}

    def test_a_flood_of_failures_is_told_as_often_as_attempts_are_let_through(
        self, app: Flask, acme: Workspace, visitor: Visitor
    ) -> None:
        token = visitor.csrf_token()
        for _ in range(throttle.PER_ACCOUNT + 8):
            visitor.post("/auth/login", {"email": "a@x.example", "password": "wrong"}, csrf=token)
        assert len(events(app, acme, "sign-in failed")) == throttle.PER_ACCOUNT

    def test_a_wrong_second_factor_is_told(self, app: Flask, acme: Workspace, member: Visitor, steady: None) -> None:
        set_up_app(app, member)
        visitor = Visitor(app, acme.host)
        visitor.sign_in(acme.people["member"])
        assert give_code(visitor, "000000").status_code == 200
        (row,) = events(app, acme, "sign-in failed")
        assert (row.target_id, row.details["step"]) == (acme.people["member"].id, "second factor")
        assert row.actor_kind == "nobody"

    def test_a_flood_of_wrong_second_factors_is_bounded(
        self, app: Flask, acme: Workspace, member: Visitor, steady: None
    ) -> None:
        set_up_app(app, member)
        visitor = Visitor(app, acme.host)
        visitor.sign_in(acme.people["member"])
        for _ in range(throttle.PER_ACCOUNT + 5):
            give_code(visitor, "000000")
        assert len(events(app, acme, "sign-in failed")) == throttle.PER_ACCOUNT

    @pytest.mark.parametrize(
        ("values", "reason"), [({"active": False}, "deactivated"), ({"confirmed_at": None}, "address not confirmed")]
    )
    def test_who_is_proved_and_may_not_come_in_is_told_a_few_times(
        self, app: Flask, acme: Workspace, visitor: Visitor, values: dict[str, Any], reason: str
    ) -> None:
        person = acme.people["member"]
        change(app, acme, person, **values)
        for _ in range(audit_bounds.MOST + 3):
            visitor.sign_in(person)
        found = events(app, acme, "sign-in refused")
        assert len(found) == audit_bounds.MOST
        assert {(row.target_id, row.details["reason"]) for row in found} == {(person.id, reason)}
        assert events(app, acme, "signed in") == []

    def test_signing_out_is_told_and_of_nobody_is_not(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        member.post("/auth/logout")
        member.post("/auth/logout")
        (row,) = events(app, acme, "signed out")
        assert (row.actor_id, row.target_id) == (acme.people["member"].id, acme.people["member"].id)


class TestOwnAccount:
    def test_a_changed_password_is_told_once(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        sign_in(app, acme)
        fields = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
        assert member.post("/auth/change", fields).status_code == 302
        (row,) = events(app, acme, "password changed")
        assert (row.target_id, row.details) == (acme.people["member"].id, {"sessions": 1, "tokens": 0})
        assert len(events(app, acme, "signed in")) == 2

    def test_a_password_set_by_a_mailed_link_is_told(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        path = ask_reset_link(app, visitor, acme.people["member"])
        visitor.post(path, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
        (row,) = events(app, acme, "password reset")
        assert row.target_id == acme.people["member"].id

    def test_ended_sessions_are_told(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        sign_in(app, acme)
        member.post("/account/sessions/end")
        (row,) = events(app, acme, "sessions ended")
        assert row.details == {"sessions": 2}

    def test_a_second_factor_is_told(self, app: Flask, acme: Workspace, member: Visitor, steady: None) -> None:
        set_up_app(app, member)
        post_json(member, "/auth/tf-setup", {"setup": "disable"})
        found = events(app, acme, "second factor changed")
        assert [row.details["method"] for row in found] == ["authenticator", None]

    def test_passkeys_are_told(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        device = add_passkey(member, name="laptop")
        assert use_passkey(Visitor(app, acme.host), device).status_code == 200
        assert member.post("/auth/wan-delete", {"name": "laptop"}).status_code == 302
        assert [row.details for row in events(app, acme, "passkey added", "passkey removed")] == [
            {"name": "laptop"}
        ] * 2
        assert events(app, acme, "signed in")[-1].details["methods"].startswith(("webauthn", "passkey"))

    def test_a_changed_name_is_told(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        for name in ("Vera", "Vera"):
            member.post("/account/profile", {"name": name, "locale": "", "timezone": ""})
        (row,) = [row for row in events(app, acme, "account changed") if "name" in row.details]
        assert row.details == {"name": ["Member", "Vera"]}

    def test_connecting_with_a_source_is_told(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            config = configs.add_provider("work", "oidc", OIDC, actor=None, secret="s3cret-of-work")
            user = row_of(acme.people["member"])
            linking.connect(user, ExternalIdentity(str(config.id), "subject-1", "m", user.email, "M"), config)
            linking.disconnect(user, config)
            party = audit.party_of(config)
        for row in events(app, acme, "account connected", "account disconnected"):
            assert (row.target_id, row.details["source"]) == (acme.people["member"].id, str(party.id))


class TestSources:
    def test_every_change_is_told(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            config = configs.add_provider("work", "oidc", OIDC, actor=None, secret="s3cret-of-work")
            configs.change_provider(config, actor=None, label="Work", settings=OIDC | {"client_id": "other"})
            configs.change_provider(config, actor=None, secret="an0ther-secret")
            configs.change_provider(config, actor=None, label="Work")
            configs.enable_provider(config, actor=None, untried=True)
            configs.disable_provider(config, actor=None)
            configs.remove_provider(config, actor=None)
            names = [kind for kind in audit.KINDS if kind.startswith("provider ")]
        found = events(app, acme, *names)
        assert [row.kind.removeprefix("provider ") for row in found] == [
            "added", "changed", "changed", "enabled", "disabled", "removed",
        ]  # fmt: skip
        assert {row.target for row in found} == {"work"}
        assert found[0].details["issuer"] == "https://id.example"
        assert found[1].details == {"label": ["work", "Work"], "client_id": ["saas", "other"]}
        assert found[2].details == {"secret": "changed"}

    def test_a_faulty_one_leaves_nothing(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(InvalidProvider):
            configs.add_provider("work", "oidc", {"issuer": "nonsense"}, actor=None, secret="s3cret")
        assert events(app, acme, "provider added") == []


class TestDenials:
    def test_a_page_that_is_refused_is_told_with_what_was_needed(self, app: Flask, acme: Workspace) -> None:
        viewer = sign_in(app, acme, "viewer")
        assert viewer.get("/admin/audit/").status_code == 403
        assert viewer.post("/projects/new", {"name": "x"}).status_code == 403
        first, second = events(app, acme, "access denied")
        assert first.actor_id == second.actor_id == acme.people["viewer"].id
        assert first.details == {"method": "GET", "endpoint": "audit.list_events", "permission": "audit:read"}
        assert second.details["permission"] == "project:create"

    def test_only_the_first_are_told(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        for workspace in (acme, globex):
            viewer = sign_in(app, workspace, "viewer")
            for _ in range(audit_bounds.MOST + 5):
                viewer.get("/admin/audit/")
            assert len(events(app, workspace, "access denied")) == audit_bounds.MOST
            for _ in range(2):
                viewer.get("/api/v1/audit")  # something else is told of once all the same
            assert len(events(app, workspace, "access denied")) == audit_bounds.MOST + 1

    def test_nobody_is_not_told_of(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        visitor.get("/admin/audit/")
        visitor.get("/nowhere")
        assert events(app, acme, "access denied") == []

    def test_a_guard_that_refuses_says_why(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            (one,) = invitations.invite(["boss@x.example"], "owner", actor=None)
            one_id = one.id
        assert sign_in(app, acme, "admin").post(f"/admin/invitations/{one_id}/revoke").status_code == 403
        (row,) = events(app, acme, "access denied")
        assert "Only owners" in row.details["reason"]


def test_nothing_secret_is_in_any_event(app: Flask, acme: Workspace, visitor: Visitor, steady: None) -> None:
    secrets = [PASSWORD, NEW_PASSWORD, "wrong-secret", "s3cret-of-work", "an0ther-secret"]
    with inside(app, acme):
        config = configs.add_provider("work", "oidc", OIDC, actor=None, secret="s3cret-of-work")
        configs.change_provider(config, actor=None, secret="an0ther-secret")
    visitor.post("/auth/login", {"email": acme.people["member"].email, "password": "wrong-secret"})
    member = sign_in(app, acme)
    secrets += member.cookies().values()
    secrets.append(set_up_app(app, member).key)
    secrets += make_recovery_codes(member)
    add_passkey(member, "secondary")
    path = ask_reset_link(app, visitor, acme.people["viewer"])
    secrets.append(path.rpartition("/")[2])
    visitor.post(path, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
    fields = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    member.post("/auth/change", fields)
    secrets += member.cookies().values()
    with inside(app, acme) as session:
        rows = session.scalars(select(AuditEvent)).all()
        told = json.dumps([{name: getattr(row, name) for name in CONTENT} for row in rows], default=str)
        hashes = [row_of(person).password for person in acme.people.values()]
    assert len(rows) > 8
    assert not [secret for secret in (*secrets, *hashes) if secret and secret in told]


def test_what_is_done_by_a_token_is_told_apart_from_what_its_owner_does(app: Flask, acme: Workspace) -> None:
    owner = acme.people["owner"]
    personal, first_party = personal_token(app, acme, "owner"), signed_in_program(app, acme, "owner")
    for number, program in enumerate((personal, first_party)):
        assert program.post("/api/v1/groups", {"name": f"Shift {number}"}).status_code == 201
    by_token, in_person = events(app, acme, "group created")
    with inside(app, acme) as session:
        token = session.scalars(select(ApiToken)).one()
    assert (by_token.actor_kind, by_token.actor_id, by_token.actor) == ("token", owner.id, owner.email)
    assert by_token.details["token"] == str(token.id)
    assert (in_person.actor_kind, "token" in in_person.details) == ("user", False)


def test_what_a_token_is_refused_is_told_of_the_token(app: Flask, acme: Workspace) -> None:
    weak = personal_token(app, acme, "owner", only={"project:read"})
    assert weak.get("/api/v1/members").status_code == 403
    (denied,) = events(app, acme, "access denied")
    assert (denied.actor_kind, denied.actor_id) == ("token", acme.people["owner"].id)

"""What hostile hands find at the audit log, the rules of signing in, sources on trial and the workspace's look."""

import ast
import io
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import delete, insert, select, text, update

from auth import (
    audit,
    audit_bounds,
    audit_chain,
    audit_retention,
    group_lists,
    local_groups,
    overview,
    policy,
    provider_changes,
    provisional,
    tenant_settings,
    visits,
    ways_in,
)
from auth.audit_models import AuditEvent
from auth.errors import InvalidPolicy
from auth.first_factor import FirstFactor
from auth.identity import Identity, snapshot_of
from auth.policy import Policy
from auth.policy_changes import change_policy
from auth.providers import configs
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.role_editor import change_role
from auth.roles import create_role, get_role
from saas import branding
from tenants.db import now
from tests.auth import sources
from tests.auth.authenticator import Passkeys
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    add_passkey,
    ask_passkey,
    grant,
    inside,
    make_recovery_codes,
    post_json,
    row_of,
    set_up_app,
    use_passkey,
)
from tests.auth.test_audit_chain import EVENTS, POINTS, Attacker, attack, checkpoint, record, sealed, verified
from tests.factories import PASSWORD, Workspace, make_workspace
from tests.visitor import Visitor, sign_in

__all__ = ["attack"]  # a fixture

ROOT = Path(__file__).parents[2]
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}


def events(app: Flask, workspace: Workspace, *kinds: str) -> list[AuditEvent]:
    with inside(app, workspace) as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind.in_(kinds)).order_by(AuditEvent.id)))


def reasons(app: Flask, workspace: Workspace) -> list[str]:
    return [str(event.details.get("reason")) for event in events(app, workspace, "access denied")]


def identity_of(workspace: Workspace, role: str = "owner") -> Identity:
    person = workspace.people[role]
    return Identity(person.id, snapshot_of(person.id))


def rule(app: Flask, workspace: Workspace, **values: Any) -> None:
    with inside(app, workspace):
        change_policy(values, actor=None)


class TestDenials:
    """What a guard refuses is recorded, whether the answer is 403 or a page that says so beside the form."""

    @pytest.fixture
    def owners(self, app: Flask, acme: Workspace) -> uuid.UUID:
        """A group whose members are owners."""
        with inside(app, acme):
            group = local_groups.create_group("Board", actor=None)
            local_groups.give_role(group, get_role("owner"), actor=None)
            return group.id

    def test_a_refusal_beside_a_form_is_told(self, app: Flask, acme: Workspace, owners: uuid.UUID) -> None:
        admin, member = sign_in(app, acme, "admin"), acme.people["member"]
        assert admin.post(f"/admin/groups/{owners}/members", {"email": member.email}).status_code == 422
        (denied,) = events(app, acme, "access denied")
        assert denied.actor_id == acme.people["admin"].id
        assert denied.details["endpoint"] == "groups.add_member"
        assert "owner" in denied.details["reason"]

    def test_so_is_the_same_by_the_api(self, app: Flask, acme: Workspace, owners: uuid.UUID) -> None:
        body = {"email": acme.people["member"].email}
        assert post_json(sign_in(app, acme, "admin"), f"/api/v1/groups/{owners}/members", body).status_code == 403
        assert len(reasons(app, acme)) == 1
        with inside(app, acme):
            assert group_lists.list_one(local_groups.find_group(owners)).members == 0  # type: ignore[arg-type]

    def test_a_refusal_that_is_flashed_is_told(self, app: Flask, acme: Workspace) -> None:
        config_id = sources.add(app, acme, "work", "oidc", OIDC, secret="s")
        owner = sign_in(app, acme, "owner")
        with inside(app, acme) as session:
            for role in ("owner", "admin"):
                session.add(LinkedIdentity(user_id=acme.people[role].id, provider_id=config_id, subject=role))
                row_of(acme.people[role]).password = None
        assert owner.post(f"/admin/sign-in/sources/{config_id}/disable", {}).status_code == 302
        assert [reason[:16] for reason in reasons(app, acme)] == ["No administrator"]
        assert sources.config_of(app, acme, config_id).enabled

    def test_a_page_that_only_says_what_would_be_refused_is_not(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            role_id = create_role("Auditor", ["audit:read"], actor=None).id
        rule(app, acme, second_factor="roles", second_factor_roles=["Auditor"])
        owner = sign_in(app, acme, "owner")
        assert owner.get(f"/admin/roles/{role_id}/delete").status_code == 200
        assert reasons(app, acme) == []
        assert owner.post(f"/admin/roles/{role_id}/delete", {}).status_code == 422
        assert len(reasons(app, acme)) == 1

    def test_a_name_that_is_taken_denies_nobody_anything(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        with inside(app, acme):
            local_groups.create_group("Board", actor=None)
            other = local_groups.create_group("Staff", actor=None).id
        assert owner.post(f"/admin/groups/{other}/rename", {"name": "Board"}).status_code == 422
        assert reasons(app, acme) == []

    def test_a_file_that_gives_too_much_is_told_when_it_is_imported(self, app: Flask, acme: Workspace) -> None:
        admin = sign_in(app, acme, "admin")
        body = {"csv": f"email,name,role\nnew@{acme.slug}.example,New,owner\nother@{acme.slug}.example,O,nonsense\n"}
        assert post_json(admin, "/api/v1/members/import/preview", body).status_code == 200
        assert reasons(app, acme) == []
        assert post_json(admin, "/api/v1/members/import", body).status_code == 422
        assert ["owner" in reason for reason in reasons(app, acme)] == [True]

    def test_no_more_than_the_first_are_told(self, app: Flask, acme: Workspace, owners: uuid.UUID) -> None:
        admin = sign_in(app, acme, "admin")
        for _ in range(audit_bounds.MOST + 3):
            admin.post(f"/admin/groups/{owners}/members", {"email": acme.people["member"].email})
        assert len(reasons(app, acme)) == audit_bounds.MOST

    def test_no_view_turns_a_refusal_into_text_by_itself(self) -> None:
        guarded = {"NotAllowed", "NoWayIn", "AuthError", "ValueError", "Exception"}
        found = []
        for path in sorted([*ROOT.glob("auth/*.py"), *ROOT.glob("saas/**/*.py")]):
            source = path.read_text()
            if "Blueprint(" not in source and path.name != "arrivals.py":
                continue
            for handler in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)):
                names = (
                    {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
                    if handler.type
                    else set()
                )
                if names & guarded and "str(error)" in ast.unparse(handler):
                    found.append(f"{path.relative_to(ROOT)}:{handler.lineno}")
        assert found == []


class TestSignIns:
    """Failures and changes that were told of by nobody."""

    def forged(self, visitor: Visitor, device: Passkeys) -> int:
        begun = ask_passkey(visitor)
        credential = json.loads(device.get(begun["credential_options"]))
        signature = credential["response"]["signature"]
        credential["response"]["signature"] = signature[:-8] + ("A" * 8 if signature[-8:] != "A" * 8 else "B" * 8)
        path = f"/auth/wan-signin/{begun['wan_state']}"
        return post_json(visitor, path, {"credential": json.dumps(credential)}).status_code

    def test_a_passkey_that_proves_nobody_is_told(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        device, visitor = add_passkey(member), Visitor(app, acme.host)
        assert self.forged(visitor, device) == 400
        (failed,) = events(app, acme, "sign-in failed")
        assert failed.details == {"step": "passkey", "reason": "wrong"}
        assert (failed.actor_kind, failed.target_id) == ("nobody", acme.people["member"].id)

    def test_so_is_one_that_nobody_here_has(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        device = add_passkey(sign_in(app, globex, "member"))
        device.origin = f"http://{acme.host}"
        assert use_passkey(Visitor(app, acme.host), device).status_code == 400
        (failed,) = events(app, acme, "sign-in failed")
        assert failed.details == {"step": "passkey", "reason": "unknown"}
        assert events(app, globex, "sign-in failed") == []

    def test_a_flood_of_them_is_bounded(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        device, visitor = add_passkey(member, counts=False), Visitor(app, acme.host)
        for _ in range(audit_bounds.MOST + 2):
            self.forged(visitor, device)
        assert len(events(app, acme, "sign-in failed")) == audit_bounds.MOST

    def test_a_wrong_password_of_somebody_who_is_signed_in_is_told(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        member.post("/auth/verify", {"password": "wrong"})
        (failed,) = events(app, acme, "sign-in failed")
        assert failed.details == {"step": "confirmation", "reason": "wrong"}
        assert failed.actor_id == failed.target_id == acme.people["member"].id

    def test_new_recovery_codes_are_told_and_not_what_they_are(
        self, app: Flask, acme: Workspace, member: Visitor, steady: None
    ) -> None:
        set_up_app(app, member)
        codes = make_recovery_codes(member)
        (made,) = events(app, acme, "recovery codes made")
        assert made.details == {"codes": len(codes)}
        assert (made.actor_id, made.target_id) == (acme.people["member"].id, acme.people["member"].id)
        assert not any(code in json.dumps(made.details) for code in codes)


class TestPolicyCommand:
    """`flask --app saas policy`."""

    def run(self, app: Flask, *words: str) -> tuple[int, str]:
        result = app.test_cli_runner().invoke(args=["policy", *words])
        return result.exit_code, result.output

    def test_every_rule_has_an_option(self, app: Flask) -> None:
        code, said = self.run(app, "set", "--help")
        assert code == 0
        for name in Policy.model_fields:
            plural = name in ("methods", "second_factor_roles", "networks")
            assert f"--{name.removesuffix('s' if plural else '').replace('_', '-')} " in said, name
        assert "password|passkey" in said
        assert "optional|roles|all" in said
        assert "--force" not in said

    def test_what_is_given_is_set_and_the_rest_stays(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, shortest_password=12)
        words = ["--second-factor", "roles", "--second-factor-role", "owner", "--second-factor-role", "admin",
                 "--session-hours", "8", "--network", "192.0.2.0/24"]  # fmt: skip
        assert self.run(app, "set", acme.slug, *words)[0] == 0
        with inside(app, acme):
            assert policy.current() == Policy(
                shortest_password=12, second_factor="roles", second_factor_roles=("admin", "owner"), session_hours=8,
                networks=("192.0.2.0/24",),
            )  # fmt: skip
        assert [event.actor_kind for event in events(app, acme, "policy changed")] == ["operator"] * 2

    def test_default_takes_one_back(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, session_hours=8, networks=["192.0.2.0/24"], idle_minutes=30)
        words = ["--tenant", acme.slug, "--session-hours", "default", "--network", "default"]
        assert self.run(app, "set", *words)[0] == 0
        with inside(app, acme):
            assert policy.current() == Policy(idle_minutes=30)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "give a rule"),
            (("--method", "magic"), "magic"),
            (("--idle-minutes", "soon"), "idle_minutes"),
            (("--session-hours", "0"), "session_hours"),
            (("--network", "10.0.0.0/33"), "networks"),
            (("--second-factor-role", "nobody"), "second_factor_roles"),
            (("--method", "passkey"), "No owner could sign in"),
            (("--method", "passkey", "--force"), "No such option"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_what_cannot_be_is_refused_in_a_line(
        self, app: Flask, acme: Workspace, words: tuple[str, ...], said: str
    ) -> None:
        code, output = self.run(app, "set", acme.slug, *words)
        assert code != 0
        assert said in output
        with inside(app, acme):
            assert policy.current() == Policy()

    def test_rules_are_taken_back_also_when_no_owner_gets_in(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, networks=["192.0.2.0/24"])
        with inside(app, acme):
            row_of(acme.people["owner"]).password = None
        assert self.run(app, "reset", acme.slug) == (0, "reset\n")


class TestRules:
    """Rules that shut out, or do not hold."""

    def linked(self, app: Flask, workspace: Workspace, **changes: Any) -> uuid.UUID:
        """A web source by which alone the owner comes; an admin has a password."""
        config_id = sources.add(app, workspace, "work", "oidc", OIDC, secret="s", **changes)
        with inside(app, workspace) as session:
            session.add(LinkedIdentity(user_id=workspace.people["owner"].id, provider_id=config_id, subject="s"))
            session.get_one(ProviderConfig, (workspace.tenant.id, config_id)).admin_seen_at = now()
        return config_id

    def test_a_source_that_has_let_no_administrator_in_is_no_way_in(self, app: Flask, acme: Workspace) -> None:
        config_id = self.linked(app, acme)
        with inside(app, acme) as session:
            row_of(acme.people["owner"]).password = None
            config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
            config.enabled = False  # changed while it is off, its settings are on no trial
            provider_changes.change_provider(config, actor=None, settings=config.settings | {"client_id": "mistyped"})
            config.enabled = True
            session.flush()
            assert not ways_in.some_owner_gets_in(Policy())

    def test_a_source_on_trial_is_no_way_in(self, app: Flask, acme: Workspace) -> None:
        config_id = self.linked(app, acme)
        with inside(app, acme) as session:
            config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
            wanted = config.settings | {"client_id": "mistyped"}
            provider_changes.change_provider(config, actor=None, settings=wanted)
            with pytest.raises(InvalidPolicy, match="No owner"):
                change_policy({"methods": ["passkey"]}, actor=None)
            assert provider_changes.undo_change(config, actor=None)
            change_policy({"methods": ["passkey"]}, actor=None)

    def test_nor_is_one_that_another_source_stands_in_front_of(self, app: Flask, acme: Workspace) -> None:
        self.linked(app, acme)
        domain = sources.own(app, acme, f"{acme.slug}.example")
        other = sources.add(app, acme, "other", "oidc", OIDC | {"client_id": "x"}, secret="s", domains=[domain])
        with inside(app, acme):
            row_of(acme.people["owner"]).password = None
            assert ways_in.some_owner_gets_in(Policy())
            tenant_settings.keep(
                tenant_settings.lock(), "enforcement", {"domains": {domain: str(other)}, "break_glass": None}
            )
            assert not ways_in.some_owner_gets_in(Policy())

    def test_whoever_is_named_for_emergencies_is_a_way_in_whatever_the_methods(
        self, app: Flask, acme: Workspace, visitor: Visitor
    ) -> None:
        domain = sources.own(app, acme, f"{acme.slug}.example")
        sources.enforce(app, acme, sources.add(app, acme, "work", "oidc", OIDC, secret="s", domains=[domain]))
        rule(app, acme, methods=["passkey"])
        visitor.sign_in(acme.people["owner"])
        assert visitor.is_signed_in()

    @pytest.mark.parametrize(
        ("networks", "address", "admitted"),
        [
            (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
            (["::ffff:192.0.2.0/120"], "192.0.2.7", True),
            (["::ffff:192.0.2.0/120"], "::ffff:192.0.2.7", True),
            (["::ffff:192.0.2.0/120"], "198.51.100.1", False),
            (["2001:db8::/32"], "2001:db8::7", True),
            (["2001:db8::/32"], "2001:db9::7", False),
            (["::/0"], "192.0.2.7", False),
            (["fe80::/10"], "fe80::1%eth0", True),
            (["0.0.0.0/0"], "", False),
            (["0.0.0.0/0"], "unix:", False),
        ],
        ids=str,
    )
    def test_addresses_are_looked_at_as_what_they_are(self, networks: list[str], address: str, admitted: bool) -> None:
        assert Policy.model_validate({"networks": networks}).admits(address) is admitted

    def test_nobody_shuts_themselves_out(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        for networks in (["192.0.2.0/24"], ["::/0"], ["127.0.0.2"]):
            answer = owner.client.patch(
                "/api/v1/policy", json={"networks": networks}, base_url=owner.base, environ_base=owner.environ,
                headers={"Origin": owner.base, "X-CSRFToken": owner.csrf_token()},
            )  # fmt: skip
            assert answer.status_code == 422, networks
            assert answer.get_json()["errors"][0]["field"] == "networks"
        assert owner.is_signed_in()

    def test_a_value_cannot_pass_for_another_fault(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(InvalidPolicy) as refused:
            change_policy({"networks": ["x; methods: y"]}, actor=None)
        assert str(refused.value).count("; ") == 0

    def test_a_role_that_is_gained_within_a_session_brings_its_rules_with_it(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        rule(app, acme, second_factor="roles", second_factor_roles=["admin"])
        assert member.get("/projects/").status_code == 200
        with inside(app, acme):
            group = local_groups.create_group("Board", actor=None)
            local_groups.give_role(group, get_role("admin"), actor=None)
            local_groups.add_member(group, row_of(acme.people["member"]), actor=None)
        assert member.get("/projects/").headers["Location"] == "/auth/tf-setup"
        assert member.get("/api/v1/audit").status_code == 403

    def test_a_role_that_is_renamed_keeps_its_rules(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        with inside(app, acme):
            create_role("Auditor", ["audit:read", "member:read"], actor=None)
        grant(app, acme, acme.people["member"], "Auditor")
        rule(app, acme, second_factor="roles", second_factor_roles=["Auditor"])
        with inside(app, acme):
            role = get_role("Auditor")
            change_role(role, name="Reviser", actor=None)
        assert member.get("/api/v1/audit").status_code == 403

    def test_a_shorter_session_ends_those_that_are_older(
        self, app: Flask, acme: Workspace, member: Visitor, clock: Clock
    ) -> None:
        clock.advance(hours=1, minutes=5)
        assert member.is_signed_in()
        rule(app, acme, session_hours=1)
        assert not member.is_signed_in()


class TestTrial:
    """Settings of a source on trial, and what happens meanwhile."""

    @pytest.fixture
    def work(self, app: Flask, acme: Workspace) -> uuid.UUID:
        return sources.add(app, acme, "work", "oidc", OIDC, secret="s")

    def change(self, app: Flask, workspace: Workspace, config_id: uuid.UUID, client_id: str, **others: Any) -> None:
        with inside(app, workspace) as session:
            config = session.get_one(ProviderConfig, (workspace.tenant.id, config_id))
            wanted = config.settings | {"client_id": client_id}
            provider_changes.change_provider(config, actor=identity_of(workspace), settings=wanted, **others)

    def test_domains_that_came_with_them_leave_somebody_a_way_in_when_they_go_back(
        self, app: Flask, acme: Workspace, clock: Clock, visitor: Visitor
    ) -> None:
        first, second = (sources.own(app, acme, f"{name}{acme.slug}.example") for name in ("a.", ""))
        work = sources.add(app, acme, "work", "oidc", OIDC, secret="s", domains=[first])
        sources.enforce(app, acme, work)
        self.change(app, acme, work, "another", domains=[first, second])
        clock.advance(minutes=16)
        visitor.get("/auth/login")
        with inside(app, acme) as session:
            config = session.get_one(ProviderConfig, (acme.tenant.id, work))
            assert config.settings["client_id"] == "tenantry"
            assert config.domains == sorted([first, second])
            assert ways_in.some_administrator_gets_in(without=[work])
        assert visitor.sign_in(acme.people["owner"]).status_code == 302
        assert visitor.is_signed_in()

    def test_who_comes_late_to_undo_it_does_not_undo_what_is_newer(
        self, app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock
    ) -> None:
        self.change(app, acme, work, "first")
        clock.advance(minutes=16)
        with inside(app, acme):
            seen = g.tenant  # by a process that waits for the lock meanwhile
            config = configs.get_config("work")
            assert provisional.go_back(config)
        self.change(app, acme, work, "second")
        with inside(app, acme):
            g.tenant = seen
            provisional.settle()
        assert sources.config_of(app, acme, work).settings["client_id"] == "second"
        with inside(app, acme):
            assert provisional.pending() == {work}

    def test_a_proof_of_the_former_settings_does_not_make_newer_ones_stay(
        self, app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock
    ) -> None:
        self.change(app, acme, work, "first")
        with inside(app, acme):
            seen = g.tenant  # by the request of an administrator who comes back
            owner = row_of(acme.people["owner"])
            proved = FirstFactor(str(owner.id), str(work), "single sign-on", int(now().timestamp()))
        clock.advance(minutes=1)
        self.change(app, acme, work, "second")
        with inside(app, acme):
            g.tenant = seen
            visits.note_administrator(row_of(acme.people["owner"]), proved)
        with inside(app, acme):
            assert provisional.pending() == {work}

    def test_of_a_source_that_is_gone_meanwhile_nothing_is_left(
        self, app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock, visitor: Visitor
    ) -> None:
        self.change(app, acme, work, "first")
        with inside(app, acme):
            configs.remove_provider(configs.get_config("work"), actor=None)  # as the command line does
        clock.advance(minutes=16)
        assert visitor.get("/auth/login").status_code == 200
        with inside(app, acme):
            assert not provisional.pending()

    def test_what_cannot_be_read_any_more_stops_nobody(
        self, app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock, visitor: Visitor
    ) -> None:
        self.change(app, acme, work, "first")
        with inside(app, acme):
            row = tenant_settings.lock()
            kept = dict(row.settings["provisional"])
            tenant_settings.keep(row, "provisional", {str(work): kept[str(work)] | {"former": "nonsense"}})
        clock.advance(minutes=16)
        assert visitor.get("/auth/login").status_code == 200
        assert sources.config_of(app, acme, work).settings["client_id"] == "first"


class TestChain:
    """What is done to the rows of the log, beside what `test_audit_chain.py` tries."""

    @pytest.mark.parametrize("seal", [True, False], ids=["sealed", "not sealed"])
    def test_another_tenants_event_is_none(
        self, app: Flask, acme: Workspace, globex: Workspace, attack: Any, seal: bool
    ) -> None:
        base = sealed(app, acme, 5)
        with inside(app, globex) as session:
            row = session.scalars(select(AuditEvent).limit(1)).one()
            theirs = {column.name: getattr(row, column.name) for column in EVENTS.columns}
        with attack(base) as attacker:
            values = theirs | {"tenant_id": acme.tenant.id, "id": uuid.uuid4(), "seq": None, "hash": None}
            if seal:
                values |= {"seq": base + 6, "hash": "f" * 64}
            attacker.do(insert(EVENTS).values(values))
        verdict = verified(app, acme)
        assert verdict.fault is not None
        assert verdict.seq == (base + 6 if seal else None)
        with inside(app, acme):  # nor does the application make it one
            assert audit_chain.seal() == 0

    @pytest.mark.parametrize("place", ["first", "last"])
    def test_the_very_first_and_the_very_last_are_named_when_edited(
        self, app: Flask, acme: Workspace, attack: Any, place: str
    ) -> None:
        base = sealed(app, acme, 5)
        seq = 1 if place == "first" else base + 5
        with attack(base) as attacker:
            attacker.change(seq - base, actor="somebody else")
        assert verified(app, acme).seq == seq

    def test_the_very_last_is_named_when_it_is_gone(self, app: Flask, acme: Workspace, attack: Any) -> None:
        base = sealed(app, acme, 5)
        with attack(base) as attacker:
            attacker.remove(5)
        assert verified(app, acme).seq == base + 5

    def test_what_is_sealed_anew_without_one_is_told_by_a_checkpoint_kept_elsewhere(
        self, app: Flask, acme: Workspace, attack: Any
    ) -> None:
        base = sealed(app, acme, 5, 5)
        known = checkpoint(app, acme)
        with attack(base) as attacker:
            attacker.remove(8)
            attacker.do(update(EVENTS).where(attacker.after(EVENTS, 5)).values(seq=None, hash=None))
            attacker.forget_points(5)
        with inside(app, acme):
            record(3)
            audit_chain.seal_all()
        assert verified(app, acme, known).seq == base + 10

    def retained(self, app: Flask, workspace: Workspace, clock: Clock) -> int:
        """A log of which the first part is removed, for its time is over; the place of the first that is left."""
        base = sealed(app, workspace, 5)
        clock.advance(days=401)
        sealed(app, workspace, 5)
        with inside(app, workspace):
            assert audit_retention.forget_old() == base + 5
            audit_chain.seal_all()
        assert verified(app, workspace).fault is None
        return base + 6

    def a_removed_first(self, attacker: Attacker, first: int) -> None:
        attacker.remove(first - attacker.base)

    def a_changed_first(self, attacker: Attacker, first: int) -> None:
        attacker.change(first - attacker.base, actor="somebody else")

    def more_removed_and_the_beginning_moved(self, attacker: Attacker, first: int) -> None:
        row = attacker.do(select(EVENTS).where(attacker.at(first - attacker.base))).one()
        self.a_removed_first(attacker, first)
        mine = (POINTS.c.tenant_id == attacker.tenant_id) & POINTS.c.begins
        attacker.do(update(POINTS).where(mine).values(seq=first, hash=row.hash))

    def the_beginning_forgotten(self, attacker: Attacker, first: int) -> None:
        attacker.do(delete(POINTS).where(POINTS.c.tenant_id == attacker.tenant_id, POINTS.c.begins))

    @pytest.mark.parametrize(
        ("what", "named"),
        [
            ("a_removed_first", 0),
            ("a_changed_first", 0),
            ("more_removed_and_the_beginning_moved", 0),
            ("the_beginning_forgotten", None),
        ],
    )
    def test_after_what_is_old_was_removed_the_first_that_is_left_is_as_safe(
        self, app: Flask, acme: Workspace, attack: Any, clock: Clock, what: str, named: int | None
    ) -> None:
        first = self.retained(app, acme, clock)
        with attack(first) as attacker:
            getattr(self, what)(attacker, first)
        assert verified(app, acme).seq == (first if named is not None else 1)

    def test_an_event_whose_values_are_none_is_named(self, lone_app: Flask) -> None:
        app, acme = lone_app, make_workspace(lone_app)
        base = sealed(app, acme, 5, 5)
        engine = app.extensions["tenants"].engines.shared
        with engine.begin() as connection:
            triggers = connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_events'"
            ).all()
            for name, _sql in triggers:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            connection.execute(
                text("UPDATE audit_events SET at = 'never' WHERE tenant_id = :tenant AND seq = :seq"),
                {"tenant": acme.tenant.id.hex, "seq": base + 3},
            )
            for _name, sql in triggers:
                connection.exec_driver_sql(sql)
        verdict = verified(app, acme)
        assert (verdict.seq, verdict.events) == (base + 3, base + 2)
        result = app.test_cli_runner().invoke(args=["audit", "verify", acme.slug])
        assert result.exit_code == 1
        assert f"event {base + 3} cannot be read" in result.output


class TestLook:
    """The workspace's name and logo."""

    PAGE = "/admin/workspace/"

    @staticmethod
    def png(width: int, height: int) -> bytes:
        return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes(60)

    def send(self, visitor: Visitor, logo: bytes) -> Any:
        data = {"name": "Acme", "accent": "", "logo": (io.BytesIO(logo), "logo.png")}
        return visitor.post(self.PAGE, data, content_type="multipart/form-data")

    @pytest.mark.parametrize(
        "logo",
        [
            png(30_000, 30_000),
            png(branding.MOST_PIXELS + 1, 1),
            png(0, 10),
            b"\x89PNG\r\n\x1a\n<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"\xff\xd8\xff<script>alert(1)</script>",
            b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\xff\xff\xff\xff" + bytes(20),
            b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\xff\xff\xff\xff\xff\xff" + bytes(20),
            b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f\xff\xff\xff\xff" + bytes(20),
            b"RIFF\0\0\0\0WEBP<script>" + bytes(20),
            b"",
        ],
        ids=["bomb", "wide", "empty", "svg in png", "script in jpeg", "jpeg bomb", "webp bomb", "lossless bomb",
             "script in webp", "nothing"],
    )  # fmt: skip
    def test_what_is_no_small_picture_is_refused(
        self, app: Flask, acme: Workspace, owner: Visitor, logo: bytes
    ) -> None:
        assert self.send(owner, logo).status_code == 422
        assert owner.get("/branding/logo").status_code == 404

    def test_whatever_else_a_picture_is_it_does_nothing(self, acme: Workspace, owner: Visitor) -> None:
        assert self.send(owner, self.png(64, 64) + b"<script>alert(1)</script>").status_code == 302
        answer = owner.get("/branding/logo")
        assert answer.mimetype == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers.getlist("Content-Security-Policy") == [
            "default-src 'none'; frame-ancestors 'none'; sandbox"
        ]

    @pytest.mark.parametrize(
        ("name", "status"),
        [("\ud800", 400), ("a\u202eb", 422), ("\x1b[31m", 422), ("\u200b", 422), ("Zoë & Söhne 株式会社", 200)],
        ids=["half a character", "turned", "terminal", "invisible", "words"],
    )
    def test_a_name_is_what_it_looks_like(self, acme: Workspace, owner: Visitor, name: str, status: int) -> None:
        answer = owner.client.patch(
            "/api/v1/workspace", data=json.dumps({"name": name}), content_type="application/json", base_url=owner.base,
            headers={"Origin": owner.base, "X-CSRFToken": owner.csrf_token()},
        )  # fmt: skip
        assert answer.status_code == status


def test_days_are_those_of_utc_whatever_the_connections_time_zone_is(postgres_app: Flask) -> None:
    acme = make_workspace(postgres_app)
    with inside(postgres_app, acme) as session:
        audit.record("signed in", audit.party_of(row_of(acme.people["owner"])))
        here = [number for _day, number in overview.sign_ins_by_day()]
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            session.connection().exec_driver_sql(f"SET LOCAL TIME ZONE '{zone}'")
            assert [number for _day, number in overview.sign_ins_by_day()] == here, zone
    assert here[-1] == 1


@pytest.fixture
def caller(app: Flask, acme: Workspace) -> Iterator[Visitor]:
    """The owner, in a browser that is given an answer of 500 rather than the error."""
    visitor = sign_in(app, acme, "owner")
    app.testing = False
    yield visitor
    app.testing = True


ODD: list[Any] = [
    None, True, 1, 1.5, -1, 10**400, "", "x", "\ud800", "\u202e", "x" * 100_000, [], [None], [[]], ["\ud800"], {},
    {"a": 1}, "10.0.0.0/8; x: y", ["fe80::1%eth0/64", "127.0.0.1"],
]  # fmt: skip


def test_no_body_is_an_error_of_ours(app: Flask, caller: Visitor) -> None:
    headers = {"Origin": caller.base, "X-CSRFToken": caller.csrf_token()}
    places = [
        ("PATCH", "/api/v1/policy", sorted(Policy.model_fields)),
        ("PATCH", "/api/v1/workspace", ["name", "accent", "logo"]),
        ("POST", "/api/v1/domains", ["domain"]),
        ("PUT", "/api/v1/providers/order", ["ids"]),
    ]
    found = []
    for method, path, names in places:
        bodies = [json.dumps({name: value}) for name in names for value in ODD]
        for body in [*bodies, "", "[]", "null", "{", '{"a":NaN}', '"x"', "[" * 50_000]:
            answer = caller.client.open(
                path, method=method, data=body, content_type="application/json", base_url=caller.base, headers=headers
            )
            if answer.status_code >= 500:
                found.append((path, body[:60]))
    assert found == []


def test_no_question_about_the_log_is_an_error_of_ours(app: Flask, caller: Visitor) -> None:
    odd = ["", "x", "%ff", "%ED%A0%80", "0001-01-01", "9999-12-31", "2030-01-31T12:00:00%2B23:59", "-1", "9" * 5000,
           "%25", "00000000-0000-0000-0000-000000000000", "WyJ4Il0", "bnVsbA", "W10"]  # fmt: skip
    found = []
    for path in ("/admin/audit/", "/api/v1/audit", "/admin/audit/export.csv", "/admin/audit/export.jsonl"):
        for name in ("kind", "who", "since", "until", "before", "limit", "cursor"):
            found += [
                f"{path}?{name}={value}" for value in odd if caller.get(f"{path}?{name}={value}").status_code >= 500
            ]
        many = "&".join(["kind=signed+in"] * 2000)
        found += [path] if caller.get(f"{path}?{many}").status_code >= 500 else []
    assert found == []


def test_no_secret_stands_in_what_was_and_what_is(app: Flask, acme: Workspace) -> None:
    config_id = sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret-one")
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
        wanted = config.settings | {"client_id": "x"}
        provider_changes.change_provider(config, actor=identity_of(acme), settings=wanted, secret="s3cret-two")
        assert provider_changes.undo_change(config, actor=identity_of(acme))
        told = json.dumps([event.details for event in audit.search(limit=100)])
        sealed_former = json.dumps(dict(g.tenant.settings))
    assert "s3cret" not in told + sealed_former
    assert PASSWORD not in told
    assert "changed back" in told


def test_an_event_is_of_the_moment_that_it_says(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        audit.record("account changed", details={"at": datetime(2030, 1, 1, tzinfo=UTC), "for": timedelta(days=1)})
        assert audit.search(limit=1)[0].details == {"at": "2030-01-01 00:00:00+00:00", "for": "1 day, 0:00:00"}

"""`flask audit ...`: a log that is verified, sealed, kept and shortened."""

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import delete

from auth import audit, audit_verification
from auth.audit_models import AuditEvent
from tenants.lifecycle import find_tenant
from tests.auth.conftest import Clock
from tests.auth.helpers import inside
from tests.factories import Workspace


@pytest.fixture(autouse=True)
def _only(monkeypatch: pytest.MonkeyPatch, acme: Workspace, globex: Workspace) -> None:
    """As if the installation had these two workspaces and no others."""
    monkeypatch.setattr("auth.audit_cli.list_tenants", lambda: [find_tenant(one.slug) for one in (acme, globex)])


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["audit", *words])


def record(app: Flask, workspace: Workspace, count: int) -> None:
    with inside(app, workspace):
        for _ in range(count):
            audit.record("account changed")


def remove(app: Flask, workspace: Workspace, *places: int) -> None:
    with inside(app, workspace) as session:
        session.execute(delete(AuditEvent).where(AuditEvent.seq.in_(places)))


def test_a_log_in_order_is_told(app: Flask, acme: Workspace) -> None:
    record(app, acme, 4)
    assert "0 events are in order" in run(app, "verify", acme.slug).stdout
    assert run(app, "seal", acme.slug).exit_code == 0
    record(app, acme, 2)
    answer = run(app, "verify", acme.slug)
    assert answer.exit_code == 0
    assert "events are in order, 2 are not sealed yet" in answer.stdout


def test_the_first_event_that_is_not_in_order_is_named(app: Flask, acme: Workspace) -> None:
    record(app, acme, 9)
    run(app, "seal", acme.slug)
    remove(app, acme, 4, 7)
    answer = run(app, "verify", acme.slug)
    assert answer.exit_code == 1
    assert "event 4 was removed; the 3 before it are in order" in answer.stdout


def test_what_stands_at_that_place_is_shown(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record(app, acme, 3)
    run(app, "seal", acme.slug)
    monkeypatch.setattr(audit_verification, "link", lambda _before, _said, _signature: "")
    answer = run(app, "verify", acme.slug)
    assert answer.exit_code == 1
    assert "event 1 stands in another's place" in answer.stdout
    assert "(there is now “" in answer.stdout


def test_long_work_shows_how_far_it_is(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record(app, acme, 5)
    run(app, "seal", acme.slug)
    monkeypatch.setattr(audit_verification, "_SHOWN_EVERY", 2)
    answer = run(app, "verify", acme.slug)
    assert "2 events ..." in answer.stderr
    assert "4 events ..." in answer.stderr


def test_a_checkpoint_kept_elsewhere_tells_of_what_was_cut_off(app: Flask, acme: Workspace) -> None:
    record(app, acme, 3)
    known = run(app, "checkpoint", acme.slug).stdout.strip()
    place = int(known.partition(" ")[0])
    assert run(app, "verify", acme.slug, "--known", known).exit_code == 0
    with inside(app, acme) as session:
        session.execute(delete(audit_verification.AuditCheckpoint))
        session.execute(delete(AuditEvent))
    assert run(app, "verify", acme.slug).exit_code == 0
    answer = run(app, "verify", acme.slug, "--known", known)
    assert answer.exit_code == 1
    assert "event 1 and what followed was cut off" in answer.stdout
    record(app, acme, place + 1)
    run(app, "seal", acme.slug)
    answer = run(app, "verify", acme.slug, "--known", known)
    assert f"event {place} is not the one of the checkpoint that was kept elsewhere" in answer.stdout


def test_what_is_no_checkpoint_is_told(app: Flask, acme: Workspace) -> None:
    for wrong in ("nonsense", f"5 {'a' * 64} {'b' * 8}:{'c' * 64}"):
        answer = run(app, "verify", acme.slug, "--known", wrong)
        assert answer.exit_code == 1
        assert "checkpoint" in answer.stderr
    assert "no tenant" in run(app, "verify", "nobody-has-this").stderr


def test_a_timer_seals_and_shortens_every_log(app: Flask, acme: Workspace, globex: Workspace, clock: Clock) -> None:
    record(app, acme, 2)
    record(app, globex, 2)
    answer = run(app, "seal", "--all-tenants")
    assert answer.stdout.startswith("2 workspaces: ")
    assert " 0 removed; 0 workspaces failed" in answer.stdout
    clock.advance(days=100)
    assert "kept for 90 days" in run(app, "keep", acme.slug, "90").stdout
    run(app, "seal", "--all-tenants")
    with inside(app, acme):
        assert [event.kind for event in audit.search()] == ["audit log shortened", "audit log kept"]
    assert run(app, "verify", acme.slug).exit_code == run(app, "verify", globex.slug).exit_code == 0
    with inside(app, globex):
        assert len(audit.search(kinds=["account changed"])) == 2


def test_one_log_that_is_not_in_order_keeps_no_other_from_being_sealed(
    app: Flask, acme: Workspace, globex: Workspace, clock: Clock
) -> None:
    record(app, acme, 5)
    run(app, "seal", acme.slug)
    remove(app, acme, 2)
    record(app, globex, 2)
    clock.advance(days=500)
    answer = run(app, "seal", "--all-tenants")
    assert answer.exit_code == 1
    assert f"{acme.slug}: ChainBroken: nothing was removed from the audit log: event 2 was removed" in answer.stderr
    assert "1 workspaces failed" in answer.stdout
    assert "0 are not sealed yet" in run(app, "verify", globex.slug).stdout


def test_the_time_for_which_a_log_is_kept_has_limits(app: Flask, acme: Workspace) -> None:
    assert "30 to 3660 days" in run(app, "keep", acme.slug, "5").stderr


def test_one_tenant_or_all_have_to_be_named(app: Flask, acme: Workspace) -> None:
    assert run(app, "seal").exit_code == run(app, "seal", acme.slug, "--all-tenants").exit_code == 2

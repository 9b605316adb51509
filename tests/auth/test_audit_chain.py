"""Whatever is done to the rows of the audit log behind the application's back is found, and named."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from flask import Flask, g
from pydantic import SecretStr
from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from auth import audit, audit_chain, audit_retention, audit_signing
from auth.audit_models import AuditCheckpoint, AuditEvent
from auth.audit_verification import Verdict, read_known, verify
from auth.errors import ChainBroken
from tenants.engines import create_owner_engine
from tests.auth.conftest import Clock
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.rows import table_of

EVENTS: Table = table_of(AuditEvent)
POINTS: Table = table_of(AuditCheckpoint)
Attack = Callable[["Attacker"], None]


class Attacker:
    """Somebody who owns the tables, and knows all but the keys. Places are counted from the first event made here."""

    def __init__(self, connection: Connection, workspace: Workspace, base: int) -> None:
        self.do, self.tenant_id, self.base = connection.execute, workspace.tenant.id, base

    def at(self, place: int) -> Any:
        return (EVENTS.c.tenant_id == self.tenant_id) & (EVENTS.c.seq == self.base + place)

    def after(self, table: Table, place: int) -> Any:
        return (table.c.tenant_id == self.tenant_id) & (table.c.seq > self.base + place)

    def change(self, place: int, **values: Any) -> None:
        self.do(update(EVENTS).where(self.at(place)).values(**values))

    def remove(self, place: int) -> None:
        self.do(delete(EVENTS).where(self.at(place)))

    def close_gap(self, place: int) -> None:
        """Move what stands after that place up by one."""
        for seq in (
            self.do(select(EVENTS.c.seq).where(self.after(EVENTS, place)).order_by(EVENTS.c.seq)).scalars().all()
        ):
            self.change(seq - self.base, seq=seq - 1)

    def make_room(self, place: int) -> None:
        """Move that place and what stands after it down by one."""
        wanted = select(EVENTS.c.seq).where(self.after(EVENTS, place - 1)).order_by(EVENTS.c.seq.desc())
        for seq in self.do(wanted).scalars().all():
            self.change(seq - self.base, seq=seq + 1)

    def copy(self, place: int, **values: Any) -> None:
        row = self.do(select(EVENTS).where(self.at(place))).one()
        self.do(insert(EVENTS).values({**row._mapping, "id": uuid.uuid4(), **values}))

    def chain_anew(self) -> None:
        """Compute every hash again, as the application does."""
        rows = self.do(select(EVENTS).where(self.after(EVENTS, -self.base)).order_by(EVENTS.c.seq)).all()
        last = audit_signing.BEGINNING
        for row in rows:
            last = audit_signing.link(last, audit_signing.said_by(row), row.signature)
            self.change(row.seq - self.base, hash=last)

    def forget_points(self, place: int) -> None:
        """Remove the checkpoints after that place."""
        self.do(delete(POINTS).where(self.after(POINTS, place)))

    def cut(self, place: int) -> None:
        """Remove the events after that place."""
        self.do(delete(EVENTS).where(self.after(EVENTS, place)))


@pytest.fixture
def attack(database: Database, acme: Workspace) -> Iterator[Callable[[int], Any]]:
    """Begin an attack on acme: the triggers are gone meanwhile."""
    engine = create_owner_engine(database.settings())

    @contextmanager
    def begin(base: int) -> Iterator[Attacker]:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT set_config('app.tenant_id', :id, true)"), {"id": str(acme.tenant.id)}
                ).all()
                connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER USER")
                yield Attacker(connection, acme, base)
                connection.exec_driver_sql("ALTER TABLE audit_events ENABLE TRIGGER USER")
            else:
                triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_events'"
                kept = connection.exec_driver_sql(triggers).all()
                for name, _sql in kept:
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
                yield Attacker(connection, acme, base)
                for _name, sql in kept:
                    connection.exec_driver_sql(sql)

    yield begin
    engine.dispose()


def record(count: int) -> None:
    for number in range(count):
        audit.record("account changed", audit.Party("user", uuid.uuid4(), f"u{number}"), details={"name": ["a", "b"]})


def sealed(app: Flask, workspace: Workspace, *batches: int) -> int:
    """Seal what the making of the workspace has recorded, then that many more; gives back how many those were."""
    with inside(app, workspace):
        base = audit_chain.seal_all()
        for batch in batches:
            record(batch)
            assert audit_chain.seal() == batch
    return base


def verified(app: Flask, workspace: Workspace, known: str = "") -> Verdict:
    with inside(app, workspace):
        return verify(read_known(known) if known else None)


def checkpoint(app: Flask, workspace: Workspace) -> str:
    with inside(app, workspace):
        return audit_chain.latest_checkpoint()


def test_an_untouched_log_is_in_order(app: Flask, acme: Workspace) -> None:
    base = sealed(app, acme, 5, 5)
    with inside(app, acme):
        record(3)
    assert verified(app, acme) == Verdict(base + 10, unsealed=3)
    assert verified(app, acme, checkpoint(app, acme)).fault is None


CHANGES = {
    "at": audit.now(),
    "kind": "account created",
    "actor_kind": "user",
    "actor_id": uuid.uuid4(),
    "actor": "somebody else",
    "target_kind": "role",
    "target_id": uuid.uuid4(),
    "target": "somebody else",
    "address": "203.0.113.9",
    "agent": "another",
    "request_id": "another",
    "details": {"name": ["a", "c"]},
    "id": uuid.uuid4(),
    "hash": "f" * 64,
    "signature": "00000000:" + "f" * 64,
}


def test_every_column_is_tried() -> None:
    assert {column.name for column in EVENTS.columns} == CHANGES.keys() | {"seq", "tenant_id"}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_event_is_named(app: Flask, acme: Workspace, attack: Any, column: str) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:
        attacker.change(3, **{column: CHANGES[column]})
    verdict = verified(app, acme)
    assert verdict.seq == base + 3
    assert verdict.events == base + 2
    assert f"event {base + 3} " in str(verdict.fault)


def a_removed_one(attacker: Attacker) -> None:
    attacker.remove(3)


def removed_and_the_gap_closed(attacker: Attacker) -> None:
    attacker.remove(3)
    attacker.close_gap(3)


def two_swapped(attacker: Attacker) -> None:
    attacker.change(3, seq=-1)
    attacker.change(4, seq=attacker.base + 3)
    attacker.do(update(EVENTS).where(EVENTS.c.seq == -1).values(seq=attacker.base + 4))


def a_copy_put_in(attacker: Attacker) -> None:
    attacker.make_room(3)
    attacker.copy(1, seq=attacker.base + 3)


def one_changed_and_all_chained_anew(attacker: Attacker) -> None:
    attacker.change(3, actor="somebody else")
    attacker.chain_anew()


def a_copy_put_in_and_all_chained_anew(attacker: Attacker) -> None:
    a_copy_put_in(attacker)
    attacker.chain_anew()


def changed_chained_anew_and_no_checkpoint_left(attacker: Attacker) -> None:
    one_changed_and_all_chained_anew(attacker)
    attacker.forget_points(-attacker.base)


@pytest.mark.parametrize(
    "done",
    [
        a_removed_one,
        removed_and_the_gap_closed,
        two_swapped,
        a_copy_put_in,
        one_changed_and_all_chained_anew,
        a_copy_put_in_and_all_chained_anew,
        changed_chained_anew_and_no_checkpoint_left,
    ],
)
def test_the_place_is_named(app: Flask, acme: Workspace, attack: Any, done: Attack) -> None:
    base = sealed(app, acme, 5, 5, 5)
    with attack(base) as attacker:
        done(attacker)
    assert verified(app, acme).seq == base + 3


def test_the_first_of_all_is_missed(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5)
    with attack(base) as attacker:
        attacker.remove(1 - base)
    verdict = verified(app, acme)
    assert (verdict.seq, verdict.fault) == (1, "event 1 was removed")


def a_removed_one_and_all_chained_anew(attacker: Attacker) -> None:
    removed_and_the_gap_closed(attacker)
    attacker.chain_anew()


def two_swapped_and_all_chained_anew(attacker: Attacker) -> None:
    two_swapped(attacker)
    attacker.chain_anew()


@pytest.mark.parametrize("done", [a_removed_one_and_all_chained_anew, two_swapped_and_all_chained_anew])
def test_what_is_chained_anew_is_found_between_two_checkpoints(
    app: Flask, acme: Workspace, attack: Any, done: Attack
) -> None:
    base = sealed(app, acme, 2, 5, 5)
    with attack(base) as attacker:
        done(attacker)
    verdict = verified(app, acme)
    assert verdict.seq == base + 3
    assert f"between {base + 3} and {base + 7}" in str(verdict.fault)


def test_what_is_chained_anew_without_checkpoints_is_not_signed_for(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5, 5)
    with attack(base) as attacker:
        attacker.remove(12)
        attacker.close_gap(12)
        attacker.chain_anew()
        attacker.forget_points(10)
    verdict = verified(app, acme)
    assert verdict.seq == base + 11
    assert "not signed for" in str(verdict.fault)


def test_the_application_does_not_sign_for_what_was_chained_anew(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5, 5)
    with attack(base) as attacker:
        attacker.remove(12)
        attacker.close_gap(12)
        attacker.chain_anew()
        attacker.forget_points(10)
    with inside(app, acme):
        record(5)
        assert audit_chain.seal_all() == 5
    verdict = verified(app, acme)
    assert verdict.seq == base + 11
    assert f"between {base + 11} and {base + 14}" in str(verdict.fault)


def test_a_cut_off_end_is_named(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:
        attacker.cut(7)
    verdict = verified(app, acme)
    assert (verdict.seq, verdict.fault) == (base + 8, f"event {base + 8} and what followed was cut off")


def test_an_end_cut_off_is_found_after_the_log_went_on(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:
        attacker.cut(7)
    with inside(app, acme):
        record(5)
        audit_chain.seal_all()
    assert verified(app, acme).seq == base + 8


def test_an_end_cut_off_with_its_checkpoint_is_found(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:
        attacker.cut(7)
        attacker.forget_points(5)
    assert verified(app, acme).seq == base + 6


def test_an_end_cut_off_at_a_checkpoint_is_told_by_one_kept_elsewhere(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5, 5)
    known = checkpoint(app, acme)
    with attack(base) as attacker:
        attacker.cut(5)
        attacker.forget_points(5)
    assert verified(app, acme).fault is None  # nothing in the database could tell
    assert verified(app, acme, known).seq == base + 6
    with inside(app, acme):  # the log goes on, past that place
        record(9)
        audit_chain.seal_all()
    assert verified(app, acme).fault is None
    assert verified(app, acme, known).seq == base + 10
    assert "kept elsewhere" in str(verified(app, acme, known).fault)


def a_forged_checkpoint(attacker: Attacker) -> None:
    values = {"tenant_id": attacker.tenant_id, "id": uuid.uuid4(), "at": audit.now(), "begins": False}
    forged = {"seq": attacker.base + 3, "hash": "f" * 64, "signature": "f" * 73}
    attacker.do(insert(POINTS).values(values | forged))


def a_checkpoint_moved(attacker: Attacker) -> None:
    wanted = (POINTS.c.tenant_id == attacker.tenant_id) & (POINTS.c.seq == attacker.base + 10)
    attacker.do(update(POINTS).where(wanted).values(seq=attacker.base + 3))


def a_checkpoint_that_hides_what_was_before(attacker: Attacker) -> None:
    attacker.do(delete(EVENTS).where(EVENTS.c.tenant_id == attacker.tenant_id, EVENTS.c.seq <= attacker.base + 5))
    wanted = (POINTS.c.tenant_id == attacker.tenant_id) & (POINTS.c.seq == attacker.base + 5)
    attacker.do(update(POINTS).where(wanted).values(begins=True))


@pytest.mark.parametrize("done", [a_forged_checkpoint, a_checkpoint_moved, a_checkpoint_that_hides_what_was_before])
def test_a_forged_checkpoint_is_named(app: Flask, acme: Workspace, attack: Any, done: Attack) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:
        done(attacker)
    verdict = verified(app, acme)
    assert verdict.seq in (base + 3, base + 5)
    assert "was not set by this installation" in str(verdict.fault)


def test_another_tenants_checkpoint_is_none(app: Flask, acme: Workspace, globex: Workspace) -> None:
    sealed(app, globex, 5)
    known = checkpoint(app, globex)
    sealed(app, acme, 5)
    with pytest.raises(ValueError, match="not set by this installation for this workspace"):
        verified(app, acme, known)
    for nonsense in ("5", "five a b", "5 a", ""):
        with inside(app, acme), pytest.raises(ValueError, match="SEQ HASH SIGNATURE"):
            read_known(nonsense)


def test_two_checkpoints_of_one_place_tell_of_a_log_made_anew(app: Flask, acme: Workspace) -> None:
    base = sealed(app, acme, 5)
    with inside(app, acme) as session:
        session.add(point := AuditCheckpoint(seq=base + 5, hash="e" * 64, signature=""))
        point.begins = False
        point.signature = audit_signing.sign_point(point)
    assert "two checkpoints" in str(verified(app, acme).fault)


def test_an_event_that_the_application_did_not_record_is_not_sealed(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5)
    with attack(base) as attacker:
        attacker.copy(3, seq=None, hash=None, id=uuid.UUID(int=1))
    with inside(app, acme):
        record(5)
        assert audit_chain.seal_all() == 5
    assert "not sealed yet, was changed or put in" in str(verified(app, acme).fault)


def test_many_forged_events_do_not_keep_others_from_being_sealed(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5)
    with attack(base) as attacker:
        for number in range(5):
            attacker.copy(3, seq=None, hash=None, id=uuid.UUID(int=number))
    with inside(app, acme):
        record(5)
        assert [audit_chain.seal(2) for _ in range(4)] == [2, 2, 1, 0]


def test_an_event_that_is_changed_before_it_is_sealed_is_named(app: Flask, acme: Workspace, attack: Any) -> None:
    base = sealed(app, acme, 5)
    with inside(app, acme):
        record(1)
        changed = audit.search(limit=1)[0].id
    with attack(base) as attacker:
        attacker.do(update(EVENTS).where(EVENTS.c.id == changed).values(actor="somebody else"))
    assert str(changed) in str(verified(app, acme).fault)


@pytest.mark.parametrize("column", [*CHANGES, "seq"])
def test_the_database_refuses_a_change(app: Flask, acme: Workspace, column: str) -> None:
    sealed(app, acme, 1)
    with inside(app, acme) as session:
        event = audit.search(limit=1)[0].id
        change = update(EVENTS).where(EVENTS.c.id == event).values({column: CHANGES.get(column, 7)})
        with pytest.raises(DBAPIError, match="an event of the audit log is not changed"):
            session.connection().execute(change)
        session.rollback()


def test_the_database_refuses_a_change_before_sealing(app: Flask, acme: Workspace) -> None:
    with inside(app, acme) as session:
        record(1)
        change = update(EVENTS).where(EVENTS.c.id == audit.search(limit=1)[0].id).values(actor="somebody else")
        with pytest.raises(DBAPIError, match="an event of the audit log is not changed"):
            session.connection().execute(change)
        session.rollback()


def test_what_is_kept_no_longer_goes_and_the_rest_verifies(app: Flask, acme: Workspace, clock: Clock) -> None:
    base = sealed(app, acme, 5)
    old = checkpoint(app, acme)
    clock.advance(days=200)
    sealed(app, acme, 4)
    clock.advance(days=201)
    with inside(app, acme):
        assert audit_retention.forget_old() == base + 5
    for _ in range(2):
        verdict = verified(app, acme)
        assert (verdict.events, verdict.fault) == (4, None) or verdict.events == 5
        with inside(app, acme):
            assert audit_retention.forget_old() == 0
            told = audit.search(kinds=["audit log shortened"])
            assert [event.details for event in told] == [{"events": base + 5, "days": 400}]
            audit_chain.seal_all()
    assert "older than all that is kept" not in verified(app, acme, checkpoint(app, acme)).note
    clock.advance(days=401)
    with inside(app, acme):
        assert audit_retention.forget_old() == 5
    assert "older than all that is kept" in verified(app, acme, old).note
    sealed(app, acme, 3)
    assert verified(app, acme).fault is None


def test_what_is_kept_no_longer_is_kept_while_it_is_not_in_order(
    app: Flask, acme: Workspace, attack: Any, clock: Clock
) -> None:
    base = sealed(app, acme, 5, 5)
    with attack(base) as attacker:  # to have the application itself remove the traces
        for place in range(1 - base, 4):
            attacker.change(place, at=audit.now() - timedelta(days=500))
    with inside(app, acme), pytest.raises(ChainBroken, match="event 1 was changed"):
        audit_retention.forget_old()
    assert verified(app, acme).seq == 1


def test_the_time_for_which_a_log_is_kept_has_limits(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        assert audit_retention.kept_for() == 400
        for days in (-1, 0, 29, 100_000):
            with pytest.raises(ValueError, match="30 to 3660"):
                audit_retention.keep_for(days, actor=None)
        audit_retention.keep_for(90, actor=None)
        assert audit_retention.kept_for() == 90
        assert audit.search(limit=1)[0].details == {"days": [400, 90]}
        g.tenant = replace(g.tenant, settings={"audit_days": 0})  # by somebody with the database
        assert audit_retention.kept_for() == 30


@contextmanager
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch, *secrets: str) -> Iterator[None]:
    """The application with these encryption keys."""
    tenants = app.extensions["tenants"]
    with monkeypatch.context() as patch:
        changed = tenants.settings.model_copy(update={"encryption_keys": tuple(map(SecretStr, secrets))})
        patch.setattr(tenants, "settings", changed)
        yield


def test_a_key_can_be_given_up(app: Flask, acme: Workspace, attack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = "k" * 40, "l" * 40
    with keys(app, monkeypatch, first):
        with inside(app, acme) as session:
            session.connection().execute(delete(EVENTS))
        sealed(app, acme, 5, 5)
    with keys(app, monkeypatch, second, first), inside(app, acme):
        assert verify().fault is None
        assert audit_chain.renew_signatures() == 2
        assert audit_chain.renew_signatures() == 0
    with keys(app, monkeypatch, second):
        sealed(app, acme, 5)
        assert verified(app, acme) == Verdict(15)
        with attack(0) as attacker:
            attacker.change(3, actor="somebody else")
        assert verified(app, acme).seq == 3
    with keys(app, monkeypatch, "m" * 40):
        assert "was not set by this installation" in str(verified(app, acme).fault)


@pytest.mark.postgres
def test_nobody_waits_for_who_seals(postgres_app: Flask) -> None:
    app, acme = postgres_app, make_workspace(postgres_app)
    base = sealed(app, acme, 1)
    holding, done = Event(), Event()
    with inside(app, acme):
        record(20)

    def seals() -> None:
        with inside(app, acme):
            assert audit_chain.seal() == 20
            holding.set()
            done.wait(20)

    slow = Thread(target=seals)
    slow.start()
    assert holding.wait(20)
    found: list[int] = []

    def others() -> None:
        with inside(app, acme):
            found.append(audit_chain.seal())
            record(3)

    other = Thread(target=others)
    other.start()
    other.join(20)
    waited = other.is_alive()
    done.set()
    slow.join()
    other.join()
    assert not waited
    assert found == [0]
    assert verified(app, acme) == Verdict(base + 21, unsealed=3)


def test_many_who_record_and_seal_at_once_make_one_chain(app: Flask, acme: Workspace) -> None:
    base = sealed(app, acme)
    together = Barrier(6)

    def work() -> None:
        together.wait()
        for _ in range(5):
            with inside(app, acme):
                record(3)
            with inside(app, acme):
                audit_chain.seal()

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with inside(app, acme):
        audit_chain.seal_all()
    assert verified(app, acme) == Verdict(base + 90)

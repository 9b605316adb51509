"""The page of the audit log, and the log as a file."""

import csv
import io
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from auth import audit
from auth.audit_models import AuditEvent
from saas.admin import audit_export
from tests.auth.helpers import change, inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PAGE = "/admin/audit/"
FILES = ("/admin/audit/export.csv", "/admin/audit/export.jsonl")


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def record(app: Flask, workspace: Workspace, kind: str = "account changed", **options: object) -> None:
    with inside(app, workspace):
        audit.record(kind, **options)  # type: ignore[arg-type]


def shown(page: str) -> list[str]:
    """What has happened, in the order of the page."""
    return re.findall(r"<summary>([^<]+)</summary>\s*<dl", page)


def targets(page: str) -> list[str]:
    return re.findall(r'data-label="About">(?:<a [^>]*>)?([^<]*)<', page)


def in_table(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    answer = visitor.get(FILES[0] + query)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def in_lines(visitor: Visitor, query: str = "") -> list[dict[str, object]]:
    answer = visitor.get(FILES[1] + query)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


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


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    for path in (PAGE, *FILES):
        assert visitor.get(path).status_code == 403
    assert PAGE not in visitor.get("/").text
    assert Visitor(app, acme.host).get(PAGE).status_code == 302


def test_owners_and_admins_find_it_in_the_navigation(app: Flask, acme: Workspace, admin: Visitor) -> None:
    for visitor in (admin, sign_in(app, acme, "owner")):
        page = visitor.get(PAGE)
        assert page.status_code == 200
        assert re.search(r'aria-current="page"[^>]*>\s*Audit log', page.text)


def test_an_event_says_who_did_what_to_whom_and_from_where(app: Flask, acme: Workspace, admin: Visitor) -> None:
    page = admin.get(PAGE).text
    assert shown(page)[0] == "Signed in"
    assert acme.people["admin"].email in page
    for told in ("127.0.0.1", "Methods", "password", "Accounts of this workspace", "not sealed yet", "Werkzeug"):
        assert told in page


def test_changes_show_what_was_and_what_is(app: Flask, acme: Workspace, admin: Visitor) -> None:
    details = {
        "name": ["Old & odd", "<b>New</b>"],
        "domains": ["a.example", "b.example"],
        "enabled": [False, True],
        "until": [None, "2030-01-31T12:00:00+00:00"],
    }
    record(app, acme, target=audit.Party("user", uuid.uuid4(), "<i>Vera</i>"), details=details)
    page = admin.get(PAGE + "?kind=account+changed").text
    assert re.search(r"Old &amp; odd</span>.*→.*is now.*&lt;b&gt;New&lt;/b&gt;", page)
    assert "a.example, b.example" in page
    assert re.search(r"no</span>.*→.*yes", page)
    assert re.search(r"–</span>.*→.*Jan 31, 2030, 12:00:00", page)
    assert "&lt;i&gt;Vera&lt;/i&gt;" in page
    assert "<b>New" not in page


def test_times_and_words_are_those_of_the_reader(app: Flask, acme: Workspace, admin: Visitor) -> None:
    details = {"until": [None, "2030-01-31T12:00:00+00:00"]}
    record(app, acme, details=details)
    change(app, acme, acme.people["admin"], locale="es", timezone="Asia/Tokyo")
    page = admin.get(PAGE).text
    assert re.search(r"31 ene 2030, 21:00:00", page)


def test_days_are_those_of_the_readers_time_zone(app: Flask, acme: Workspace, admin: Visitor) -> None:
    change(app, acme, acme.people["admin"], timezone="Pacific/Kiritimati")  # 14 hours ahead
    with inside(app, acme) as session:
        at = session.scalars(select(AuditEvent.at).order_by(AuditEvent.id.desc()).limit(1)).one()
    there = (at + timedelta(hours=14)).date()
    assert shown(admin.get(f"{PAGE}?since={there}&until={there}").text)
    assert "Nothing found" in admin.get(f"{PAGE}?since={there + timedelta(days=1)}").text
    assert "Nothing found" in admin.get(f"{PAGE}?until={there - timedelta(days=1)}").text


def test_it_is_filtered_by_kind_and_by_whom(app: Flask, acme: Workspace, admin: Visitor) -> None:
    one = uuid.uuid4()
    record(app, acme, "role created", target=audit.Party("role", one, "Some 100% role"))
    record(app, acme, "role deleted", target=audit.Party("role", uuid.uuid4(), "another role"))
    assert shown(admin.get(PAGE + "?kind=role+created&who=some").text) == ["Role created"]
    for query in (f"who={one}", "who=100%25", "who=SOME"):
        assert targets(admin.get(f"{PAGE}?{query}").text) == ["Some 100% role"]
    assert 'id="whose">Some 100% role' in admin.get(f"{PAGE}?who={one}").text
    assert "Nothing found" in admin.get(f"{PAGE}?who={uuid.uuid4()}").text
    by_admin = admin.get(f"{PAGE}?who={acme.people['admin'].id}").text
    assert "Signed in" in shown(by_admin)
    assert "Role created" not in shown(by_admin)


@pytest.mark.parametrize(
    "query", ["kind=nonsense", "since=some+day", "until=9999-99-99", "before=x", "since=0001-01-01"]
)
def test_what_is_no_filter_is_left_out(admin: Visitor, query: str) -> None:
    assert "Signed in" in shown(admin.get(f"{PAGE}?{query}").text)
    for path in FILES:
        assert admin.get(f"{path}?{query}").status_code == 200


def test_it_is_paged_without_a_gap(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        people = [audit.Party("user", uuid.uuid4(), f"p{number:03}") for number in range(120)]
        audit.record_all("role given", people)
    path, seen = f"{PAGE}?kind=role+given&who=p", []
    for _ in range(5):
        page = admin.get(path).text
        seen += [name for name in targets(page) if re.fullmatch(r"p\d{3}", name)]
        found = re.search(r'rel="next" href="([^"]+)"', page)
        if not found:
            break
        path = found.group(1).replace("&amp;", "&")
    assert seen == [f"p{number:03}" for number in reversed(range(120))]
    assert "This page is empty" in admin.get(f"{PAGE}?kind=role+given&before={uuid.UUID(int=0)}").text


def test_a_long_log_takes_no_more_statements_than_a_short_one(app: Flask, acme: Workspace, admin: Visitor) -> None:
    def cost() -> int:
        admin.get(PAGE)
        with counted(app) as sent:
            assert admin.get(PAGE).status_code == 200
        return len(sent)

    few = cost()
    with inside(app, acme):
        for number in range(8):
            details = {"source": str(uuid.uuid4()), "number": number}
            audit.record_all("account changed", [audit.Party("user", uuid.uuid4(), "x")] * 20, details=details)
    assert cost() == few


def test_another_tenants_events_are_none(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    role = uuid.uuid4()
    record(app, globex, "role created", target=audit.Party("role", role, "of globex alone"))
    with inside(app, globex):
        (theirs,) = audit.search(kinds=["role created"])
    for query in ("", "?who=globex", f"?who={role}", f"?before={uuid.UUID(int=2**128 - 1)}"):
        assert "of globex alone" not in admin.get(PAGE + query).text
        assert "of globex alone" not in admin.get(FILES[0] + query).text
        assert "of globex alone" not in admin.get(FILES[1] + query).text
    assert str(theirs.id) not in admin.get(FILES[1]).text


def test_the_files_hold_what_the_filters_find(
    app: Flask, acme: Workspace, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "AT_ONCE", 7)
    with inside(app, acme):
        people = [audit.Party("user", uuid.uuid4(), f"Zoë {number}") for number in range(21)]
        audit.record_all("role given", people, details={"role": ["a", "ñ"]})
        audit.record("role taken", people[0])
    table, lines = in_table(admin, "?kind=role+given&who=zo"), in_lines(admin, "?kind=role+given&who=zo")
    assert [row["target"] for row in table] == [f"Zoë {number}" for number in reversed(range(21))]
    assert [row["id"] for row in lines] == [row["id"] for row in table]
    assert json.loads(table[0]["details"]) == lines[0]["details"] == {"role": ["a", "ñ"]}
    assert len(in_lines(admin)) > 22


def test_the_files_are_streamed(app: Flask, acme: Workspace, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "AT_ONCE", 2)
    for _ in range(5):
        record(app, acme)
    answer = admin.get(FILES[0], buffered=False)
    parts = answer.iter_encoded()
    assert next(parts).startswith(b'"at","kind"')
    assert next(parts).count(b"\r\n") == 2
    with counted(app) as sent:
        next(parts)
    assert sum("audit_events" in statement for statement in sent) == 1
    answer.close()


def test_the_files_are_named_and_told_of(app: Flask, acme: Workspace, admin: Visitor) -> None:
    for path, kind in zip(FILES, ("text/csv", "application/jsonl"), strict=True):
        answer = admin.get(path + "?kind=signed+in")
        assert answer.mimetype == kind
        assert f"audit-{acme.slug}-" in answer.headers["Content-Disposition"]
    with inside(app, acme):
        told = audit.search(kinds=["audit log exported"])
        assert [row.details for row in told] == [{"format": ending, "kind": "signed in"} for ending in ("jsonl", "csv")]
        assert {row.actor for row in told} == {acme.people["admin"].email}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1"])
def test_a_spreadsheet_finds_no_formula(app: Flask, acme: Workspace, admin: Visitor, text: str) -> None:
    record(app, acme, "role created", target=audit.Party("role", uuid.uuid4(), text), details={text: text})
    (row,) = in_table(admin, "?kind=role+created")
    assert row["target"] == f"'{text}"
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in row.values())
    (line,) = in_lines(admin, "?kind=role+created")
    assert line["details"] == {text: text}


def test_asking_whether_there_is_a_file_is_no_export(app: Flask, acme: Workspace, admin: Visitor) -> None:
    assert admin.client.head(FILES[0], base_url=admin.base).status_code == 200
    with inside(app, acme):
        assert audit.search(kinds=["audit log exported"]) == []

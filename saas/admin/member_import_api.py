"""JSON of imports: what a file of members would do, and doing it."""

from typing import Annotated, Any, Literal

from flask import Blueprint, g
from pydantic import Field, StringConstraints

from auth import member_files, member_import
from auth.errors import InvalidImport
from auth.member_import import Outcome, Preview, Row
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given

bp = Blueprint("member_import_api", __name__, url_prefix="/api/v1/members")


class ImportFile(Given):
    """The body that imports members. With `seen`, as a preview gave it, only what was shown there is done."""

    csv: Annotated[
        str,
        StringConstraints(max_length=member_files.LARGEST),
        Field(examples=["email,name,role\nvera@example.com,Vera,member\n"]),
    ]
    seen: Annotated[str, StringConstraints(max_length=64)] | None = None


class ImportCounts(Answer):
    """How many lines do what."""

    new: int
    changed: int
    same: int
    wrong: int


class ImportedRow(Answer):
    """A line of the file, and what becomes of it."""

    line: int
    email: str
    outcome: Literal["new", "changed", "same", "wrong"]
    reason: str | None
    name: str | None
    role: str | None


class ImportJson(Answer):
    """What a file does, or would do."""

    applied: bool
    seen: str
    """Names what is shown here, for the import itself."""
    counts: ImportCounts
    rows: list[ImportedRow]


@bp.post("/import/preview")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Preview an import of members", body=ImportFile, returns=ImportJson, tag="Members")
def preview(body: ImportFile) -> Answerable:
    """What the file would do; nothing is written."""
    try:
        return _as_json(member_import.preview(body.csv, actor=g.identity))
    except InvalidImport as error:
        raise _invalid(error) from None


@bp.post("/import")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Import members", body=ImportFile, returns=ImportJson, tag="Members")
def apply(body: ImportFile) -> Answerable:
    """Do what the file says, all or nothing."""
    try:
        done = member_import.apply(body.csv, actor=g.identity, seen=body.seen)
    except InvalidImport as error:
        raise _invalid(error) from None
    if done.applied:
        return _as_json(done)
    wrong = [row for row in done.rows if row.outcome == Outcome.WRONG]
    faults = [{"field": f"csv.{row.line.number}", "message": row.reason} for row in wrong]
    raise InvalidFields(faults or [{"field": "seen", "message": "it would not do any more what was seen"}])


def _as_json(found: Preview) -> dict[str, Any]:
    return {
        "applied": found.applied,
        "seen": found.seen,
        "counts": {outcome.value: found.count(outcome) for outcome in Outcome},
        "rows": [_as_row(row) for row in found.rows],
    }


def _as_row(row: Row) -> dict[str, Any]:
    return {
        "line": row.line.number,
        "email": row.line.email,
        "outcome": row.outcome.value,
        "reason": row.reason or None,
        "name": row.new_name or row.line.name or None,
        "role": row.role.name if row.role else None,
    }


def _invalid(error: InvalidImport) -> InvalidFields:
    return InvalidFields([{"field": "csv", "message": str(error)}])

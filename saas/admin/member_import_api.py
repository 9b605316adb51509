"""JSON of imports: what a file of members would do, and doing it."""

from typing import Annotated, Any

from flask import Blueprint, g, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auth import member_files, member_import
from auth.errors import InvalidImport
from auth.member_import import Outcome, Preview, Row
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields, read_object

bp = Blueprint("member_import_api", __name__, url_prefix="/api/v1/members")


class Import(BaseModel):
    """The body that imports members. With `seen`, as a preview gave it, only what was shown there is done."""

    model_config = ConfigDict(extra="forbid")

    csv: Annotated[str, StringConstraints(max_length=member_files.LARGEST)]
    seen: Annotated[str, StringConstraints(max_length=64)] | None = None


@bp.post("/import/preview")
@requires(AccessPermission.MEMBER_MANAGE)
def preview() -> ResponseReturnValue:
    """What the file would do; nothing is written."""
    try:
        return jsonify(_as_json(member_import.preview(_read().csv, actor=g.identity)))
    except InvalidImport as error:
        raise _invalid(error) from None


@bp.post("/import")
@requires(AccessPermission.MEMBER_MANAGE)
def apply() -> ResponseReturnValue:
    """Do what the file says, all or nothing."""
    given = _read()
    try:
        done = member_import.apply(given.csv, actor=g.identity, seen=given.seen)
    except InvalidImport as error:
        raise _invalid(error) from None
    if done.applied:
        return jsonify(_as_json(done))
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


def _read() -> Import:
    try:
        return Import.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None

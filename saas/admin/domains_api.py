"""JSON of domains of e-mail addresses: list, take up, check, give up."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, g, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auth import domains
from auth.domain_records import record_of
from auth.errors import DomainTaken, InvalidDomain
from auth.permissions import AccessPermission, requires
from auth.providers.models import MailDomain
from saas.admin.domain_views import check_now, find_domain
from saas.api import InvalidFields, read_object

bp = Blueprint("domains_api", __name__, url_prefix="/api/v1/domains")


class NewDomain(BaseModel):
    """The body that takes up a domain."""

    model_config = ConfigDict(extra="forbid")

    domain: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
def list_domains() -> ResponseReturnValue:
    """The tenant's domains, by name, with the records that prove them; there are 50 at most."""
    return jsonify(items=[as_json(row) for row in domains.list_domains()], next_cursor=None)


@bp.post("")
@requires(AccessPermission.PROVIDER_MANAGE)
def create() -> ResponseReturnValue:
    """Take up a domain, pending until its record is found."""
    try:
        given = NewDomain.model_validate(read_object())
        row = domains.add_domain(given.domain, actor=g.identity)
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None
    except (InvalidDomain, DomainTaken) as error:
        raise InvalidFields([{"field": "domain", "message": str(error)}]) from None
    return jsonify(as_json(row)), 201


@bp.get("/<uuid:domain_id>")
@requires(AccessPermission.PROVIDER_READ)
def show(domain_id: uuid.UUID) -> ResponseReturnValue:
    """One domain."""
    return jsonify(as_json(find_domain(domain_id)))


@bp.post("/<uuid:domain_id>/check")
@requires(AccessPermission.PROVIDER_MANAGE)
def check(domain_id: uuid.UUID) -> ResponseReturnValue:
    """Look for the record now; `finding` says what has come of it."""
    row = find_domain(domain_id)
    finding = check_now(row)
    return jsonify(as_json(row) | {"finding": finding.value})


@bp.delete("/<uuid:domain_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
def remove(domain_id: uuid.UUID) -> ResponseReturnValue:
    """Give a domain up."""
    domains.remove_domain(find_domain(domain_id), g.identity)
    return "", 204


def as_json(row: MailDomain) -> dict[str, Any]:
    """A domain for programs."""
    record = record_of(row)
    return {
        "id": str(row.id),
        "domain": row.domain,
        "state": row.state,
        "vouched": row.vouched,
        "record": None if row.vouched else {"type": "TXT", "name": record.name, "value": record.value},
        "proved_at": _as_time(row.proved_at),
        "checked_at": _as_time(row.checked_at),
        "created_at": _as_time(row.created_at),
    }


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None

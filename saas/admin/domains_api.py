"""JSON of domains of e-mail addresses: list, take up, check, give up."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, g, url_for
from pydantic import StringConstraints

from auth import domains
from auth.domain_records import record_of
from auth.errors import DomainTaken, InvalidDomain
from auth.permissions import AccessPermission, requires
from auth.providers.models import MailDomain
from saas.admin.domain_views import check_now, find_domain
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, first_page

bp = Blueprint("domains_api", __name__, url_prefix="/api/v1/domains")


class DomainQuery(Paging):
    """Which domains, and in which order."""

    state: Literal["pending", "proved", "warning", "lapsed"] | None = None
    sort: Literal["name", "-name", "created", "-created"] = "name"


class NewDomain(Given):
    """The body that takes up a domain."""

    domain: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class DnsRecord(Answer):
    """The record that proves a domain."""

    type: Literal["TXT"]
    name: str
    value: str


class DomainJson(Answer):
    """A domain of e-mail addresses."""

    id: uuid.UUID
    domain: str
    state: Literal["pending", "proved", "warning", "lapsed"]
    vouched: bool
    """The installation's operators vouch for it: it needs no record."""
    record: DnsRecord | None
    proved_at: datetime | None
    checked_at: datetime | None
    created_at: datetime


class CheckedDomain(DomainJson):
    """A domain, and what has come of looking for its record."""

    finding: str


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
@operation("List domains", query=DomainQuery, returns=Page[DomainJson], tag="Domains")
def list_domains(query: DomainQuery) -> Answerable:
    """A page of the workspace's domains, by name unless sorted, with the records that prove them."""
    order, state = domains.ORDERS[query.sort], query.state or ""
    rows = domains.list_domains(state=state, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [as_json(row) for row in shown], "next_cursor": more}


@bp.post("")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Take up a domain", body=NewDomain, returns=DomainJson, status=201, tag="Domains")
def create(body: NewDomain) -> Answerable:
    """Take up a domain, pending until its record is found; `Location` is its address."""
    try:
        row = domains.add_domain(body.domain, actor=g.identity)
    except (InvalidDomain, DomainTaken) as error:
        raise InvalidFields([{"field": "domain", "message": str(error)}]) from None
    return as_json(row), 201, {"Location": url_for("domains_api.show", domain_id=row.id)}


@bp.get("/<uuid:domain_id>")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show a domain", returns=DomainJson, tag="Domains")
def show(domain_id: uuid.UUID) -> Answerable:
    """One domain with its record."""
    return as_json(find_domain(domain_id))


@bp.post("/<uuid:domain_id>/check")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Check a domain now", returns=CheckedDomain, tag="Domains")
def check(domain_id: uuid.UUID) -> Answerable:
    """Look for the record now; `finding` says what has come of it."""
    row = find_domain(domain_id)
    finding = check_now(row)
    return as_json(row).model_dump() | {"finding": finding.value}


@bp.delete("/<uuid:domain_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Give a domain up", tag="Domains")
def remove(domain_id: uuid.UUID) -> Answerable:
    """Give a domain up; whoever is signed in stays so."""
    domains.remove_domain(find_domain(domain_id), g.identity)


def as_json(row: MailDomain) -> DomainJson:
    """A domain for programs."""
    record = record_of(row)
    return DomainJson.model_validate(
        {
            "id": row.id,
            "domain": row.domain,
            "state": row.state,
            "vouched": row.vouched,
            "record": None if row.vouched else {"type": "TXT", "name": record.name, "value": record.value},
            "proved_at": row.proved_at,
            "checked_at": row.checked_at,
            "created_at": row.created_at,
        }
    )

"""`flask --app saas domains ...`: the domains of e-mail addresses that tenants prove to be their own."""

import json
import sys
from typing import Any

import click
import structlog
from flask import g
from flask.cli import AppGroup

from auth import domains as service
from auth.cli import in_tenant
from auth.domain_records import PROVED, Finding, record_of
from auth.providers.models import MailDomain
from tenants.cli import as_json, say_errors
from tenants.context import Tenant, bound
from tenants.lifecycle import find_tenant, list_tenants
from tenants.models import TenantStatus

domains = AppGroup("domains", help="Prove that domains of e-mail addresses are a tenant's own, and vouch for them.")
"""The command group."""

FOUND = {
    Finding.FOUND: "the record is there",
    Finding.ABSENT: "there is no TXT record",
    Finding.DIFFERENT: "there is a TXT record, with another value",
    Finding.UNANSWERED: "no name server gave an answer",
    Finding.TAKEN: "the record is there, but another workspace has proved that the domain is its own",
}

log = structlog.get_logger()


@domains.command("add")
@click.argument("domain")
@in_tenant
def add(domain: str) -> None:
    """Take up a DOMAIN, and show the record that proves it."""
    row = service.add_domain(domain, actor=None)
    record = record_of(row)
    click.echo(f"{row.domain}: pending. Publish this TXT record, then: domains check {row.domain}")
    click.echo(f'  {record.name}. TXT "{record.value}"')


@domains.command("list")
@as_json
@in_tenant
def list_(as_json: bool) -> None:
    """List the domains with their states and records."""
    found = [_as_dict(row) for row in service.list_domains()]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        how = "vouched for" if one["vouched"] else f'{one["record"]["name"]}. TXT "{one["record"]["value"]}"'
        click.echo(f"{one['domain']:<40}{one['state']:<10}{how}")


@domains.command("check")
@click.argument("domain")
@in_tenant
def check(domain: str) -> None:
    """Look for the record of a DOMAIN now; exit code 1 unless the domain is proved after that."""
    row = service.get_domain(domain)
    for checked in service.check_each([row]):
        click.echo(_line(checked))
    if row.vouched:
        click.echo(f"{row.domain}: {row.state}, vouched for")
    if row.state != PROVED:
        g.db.commit()  # the state stays, whatever the exit code
        sys.exit(1)


@domains.command("vouch")
@click.argument("domain")
@in_tenant
def vouch(domain: str) -> None:
    """Answer for it that a DOMAIN is the tenant's: proved at once, without a record, until it is removed."""
    row = service.add_domain(domain, actor=None, vouched=True)
    click.echo(f"{row.domain}: {row.state}, vouched for")


@domains.command("remove")
@click.argument("domain")
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_tenant
def remove(domain: str, yes: bool) -> None:
    """Give a DOMAIN up; its people stay users."""
    row = service.get_domain(domain)
    if not yes:
        click.confirm(f"Remove '{row.domain}'? Another workspace may then prove that it is its own.", abort=True)
    service.remove_domain(row, None)
    click.echo(f"{row.domain}: removed")


@domains.command("recheck")
@click.option("--tenant", "slug", help="Slug of the tenant. Default: every active one.")
@click.option("--force", is_flag=True, help="Also what was looked up within the last hour.")
@say_errors
def recheck(slug: str | None, force: bool) -> None:
    """Look for every record again, and mail owners what got worse; to be run once a day or more often."""
    failed = checked = worse = 0
    tenants = _tenants(slug)
    for tenant in tenants:
        try:
            with bound(tenant):
                found = service.check_all(_show(tenant), force=force)
        except Exception as error:  # the other tenants' domains have nothing to do with it
            log.exception("domains were not checked", tenant=tenant.slug)
            click.echo(f"{tenant.slug}: not checked: {type(error).__name__}", err=True)
            failed += 1
        else:
            checked += len(found)
            worse += sum(one.worse for one in found)
    click.echo(f"{len(tenants)} workspaces: {checked} domains checked, {worse} got worse; {failed} workspaces failed")
    if failed:
        sys.exit(1)


def _tenants(slug: str | None) -> list[Tenant]:
    if slug is not None:
        return [find_tenant(slug)]
    if "tenant" in g:  # under `tenants run`
        return [g.tenant]
    return [tenant for tenant in list_tenants() if tenant.status == TenantStatus.ACTIVE]


def _show(tenant: Tenant) -> Any:
    return lambda checked: click.echo(f"{tenant.slug}: {_line(checked)}", err=True)


def _line(checked: service.Checked) -> str:
    row, before = checked.row, checked.before
    state = row.state if row.state == before else f"{before} → {row.state}"
    return f"{row.domain}: {state}; {FOUND[checked.finding]}"


def _as_dict(row: MailDomain) -> dict[str, Any]:
    record = record_of(row)
    return {
        "id": str(row.id),
        "domain": row.domain,
        "state": row.state,
        "vouched": row.vouched,
        "record": {"type": "TXT", "name": record.name, "value": record.value},
        "proved_at": row.proved_at.isoformat() if row.proved_at else None,
        "checked_at": row.checked_at.isoformat() if row.checked_at else None,
    }

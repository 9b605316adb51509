"""`flask --app saas audit ...`: whether a tenant's audit log is as it was recorded, and what a timer does for it."""

import sys

import click
import structlog
from flask import g
from flask.cli import AppGroup
from sqlalchemy import select

from auth import audit_chain, audit_retention
from auth.audit_models import AuditEvent
from auth.audit_verification import read_known, verify
from tenants.cli import say_errors
from tenants.context import Tenant, bound
from tenants.lifecycle import find_tenant, list_tenants
from tenants.models import TenantStatus

audit = AppGroup("audit", help="Verify, seal and keep the audit logs of tenants.")
"""The command group."""

log = structlog.get_logger()


@audit.command("verify")
@click.argument("slug", metavar="TENANT")
@click.option("--known", metavar="CHECKPOINT", help="A checkpoint that was kept elsewhere, as `checkpoint` printed it.")
@say_errors
def verify_(slug: str, known: str | None) -> None:
    """Say whether the audit log is as it was recorded; exit code 1, and which event is not, if it is not."""
    with bound(find_tenant(slug), writes=False):
        kept = read_known(known) if known else None
        verdict = verify(kept, tell=lambda count: click.echo(f"{count} events ...", err=True))
        if verdict.fault is not None:
            click.echo(f"{slug}: {verdict.fault}{_named(verdict.seq)}; the {verdict.events} before it are in order")
            sys.exit(1)
    click.echo(f"{slug}: {verdict.events} events are in order, {verdict.unsealed} are not sealed yet")
    if verdict.note:
        click.echo(f"{slug}: {verdict.note}")


@audit.command("checkpoint")
@click.argument("slug", metavar="TENANT")
@say_errors
def checkpoint(slug: str) -> None:
    """Seal what there is and print the checkpoint at the end. Kept elsewhere, it shows a log that is cut off later."""
    with bound(find_tenant(slug)):
        audit_chain.seal_all()
        click.echo(audit_chain.latest_checkpoint())


@audit.command("seal")
@click.argument("slug", metavar="TENANT", required=False)
@click.option("--all-tenants", is_flag=True, help="Every one; to be run by a timer, say every five minutes.")
@say_errors
def seal(slug: str | None, all_tenants: bool) -> None:
    """Chain what was recorded, and remove what is kept no longer. Exit code 1 when some log is not in order."""
    if (slug is None) is not all_tenants:
        raise click.UsageError("name a TENANT, or give --all-tenants")
    tenants = [find_tenant(slug)] if slug is not None else _living()
    sealed = removed = failed = 0
    for tenant in tenants:
        try:
            done, gone = _tend(tenant)
        except Exception as error:  # the other tenants' logs have nothing to do with it
            log.exception("the audit log was not sealed", tenant=tenant.slug)
            click.echo(f"{tenant.slug}: {type(error).__name__}: {error}", err=True)
            failed += 1
        else:
            sealed, removed = sealed + done, removed + gone
    click.echo(f"{len(tenants)} workspaces: {sealed} events sealed, {removed} removed; {failed} workspaces failed")
    if failed:
        sys.exit(1)


@audit.command("keep")
@click.argument("slug", metavar="TENANT")
@click.argument("days", type=int)
@say_errors
def keep(slug: str, days: int) -> None:
    """Keep a tenant's events for that many DAYS; older ones go with the next `seal`."""
    with bound(find_tenant(slug)):
        audit_retention.keep_for(days, actor=None)
    click.echo(f"{slug}: events are kept for {days} days")


def _tend(tenant: Tenant) -> tuple[int, int]:
    """Seal a tenant's events, and remove the old ones; how many of each."""
    with bound(tenant) as session:
        sealed = audit_chain.seal_all(lambda count: click.echo(f"{tenant.slug}: {count} events ...", err=True))
        audit_chain.renew_signatures()
        session.commit()
        removed = audit_retention.forget_old()
        sealed += audit_chain.seal() if removed else 0  # the removal is an event itself
    return sealed, removed


def _living() -> list[Tenant]:
    return [tenant for tenant in list_tenants() if tenant.status != TenantStatus.DELETED]


def _named(seq: int | None) -> str:
    """What stands at that place, if something does."""
    if seq is None:
        return ""
    try:
        event = g.db.scalar(select(AuditEvent).where(AuditEvent.seq == seq))
    except (ValueError, TypeError):  # what stands there has values that are none
        return ""
    return f" (there is now “{event.kind}” of {event.at.isoformat()}, {event.id})" if event is not None else ""

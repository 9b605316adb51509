"""`flask --app saas keys ...`: the keys that sign tenants' tokens."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import click
from flask.cli import AppGroup

from auth import signing_keys
from auth.token_models import SigningKey
from tenants.cli import as_json, say_errors
from tenants.context import bound
from tenants.lifecycle import find_tenant, list_tenants

keys = AppGroup("keys", help="List and change the keys that sign tenants' tokens.")
"""The command group."""

everybody = click.option("--all-tenants", is_flag=True, help="Of every tenant.")


@keys.command("rotate")
@click.argument("tenant", required=False)
@everybody
@click.option("--at-once", is_flag=True, help="A key has leaked: what the former ones have signed is void at once.")
@say_errors
def rotate(tenant: str | None, all_tenants: bool, at_once: bool) -> None:
    """Make a new key, which signs from now on; the former ones verify until what they have signed is over."""
    for slug, row in _of_each(tenant, all_tenants, lambda: signing_keys.rotate(at_once=at_once)):
        click.echo(f"{slug}: {row.kid}")


@keys.command("list")
@click.argument("tenant", required=False)
@everybody
@as_json
@say_errors
def list_(tenant: str | None, all_tenants: bool, as_json: bool) -> None:
    """List the keys, the newest first."""
    found: list[dict[str, Any]] = [
        _describe(slug, row) for slug, rows in _of_each(tenant, all_tenants, signing_keys.list_keys) for row in rows
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key in found:
        state = f"retired {key['retired_at']}" if key["retired_at"] else "signs"
        click.echo(f"{key['tenant']:<20} {key['kid']:<44} {key['created_at']}  {state}")


def _describe(slug: str, row: SigningKey) -> dict[str, Any]:
    retired = row.retired_at.isoformat() if row.retired_at else None
    return {"tenant": slug, "kid": row.kid, "created_at": row.created_at.isoformat(), "retired_at": retired}


def _of_each(tenant: str | None, all_tenants: bool, work: Callable[[], Any]) -> Sequence[tuple[str, Any]]:
    if (tenant is None) != all_tenants:
        raise click.UsageError("Name a tenant by its slug, or give --all-tenants.")
    found = [find_tenant(tenant)] if tenant is not None else list_tenants()
    done = []
    for one in found:
        with bound(one):
            done.append((one.slug, work()))
    return done

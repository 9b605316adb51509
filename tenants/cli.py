"""`flask --app saas tenants ...`."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from tenants.context import Tenant, bound
from tenants.errors import TenancyError
from tenants.lifecycle import (
    change_plan,
    create_tenant,
    find_tenant,
    list_tenants,
    rename_tenant,
    resume_tenant,
    suspend_tenant,
)

tenants = AppGroup("tenants", help="Create, show, suspend, resume and rename tenants.")
"""The command group."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a command raises as a user's mistake (ValueError, LookupError) into one line and exit code 1."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (TenancyError, ValueError, LookupError) as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def read_password() -> str:
    """The password on standard input, without the end of line."""
    return sys.stdin.readline().rstrip("\r\n")


@tenants.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="Name of the workspace, as its people read it.")
@click.option("--owner-email", required=True)
@click.option("--owner-name", default="", help="Default: what stands before the @.")
@click.option("--owner-password-stdin", is_flag=True, help="Read the owner's password from standard input.")
@click.option("--plan", default="standard", show_default=True)
@say_errors
def create(slug: str, name: str, owner_email: str, owner_name: str, owner_password_stdin: bool, plan: str) -> None:
    """Create a tenant with its built-in roles and its owner; without a password the owner is mailed a link."""
    password = read_password() if owner_password_stdin else None
    owner = {"email": owner_email, "name": owner_name, "password": password}
    _print(create_tenant(slug, name, owner, plan=plan))


@tenants.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List every tenant."""
    found = list_tenants()
    if as_json:
        click.echo(json.dumps([_as_dict(tenant) for tenant in found], indent=2))
        return
    for tenant in found:
        click.echo(f"{tenant.slug:<42}{tenant.status:<12}{tenant.plan:<14}{tenant.name}")


@tenants.command("show")
@click.argument("slug")
@say_errors
def show(slug: str) -> None:
    """Show one tenant as JSON."""
    click.echo(json.dumps(_as_dict(find_tenant(slug)), indent=2))


@tenants.command("suspend")
@click.argument("slug")
@say_errors
def suspend(slug: str) -> None:
    """Answer every request of a tenant with a page that says it is suspended."""
    _print(suspend_tenant(slug))


@tenants.command("resume")
@click.argument("slug")
@say_errors
def resume(slug: str) -> None:
    """Serve a suspended tenant again."""
    _print(resume_tenant(slug))


@tenants.command("rename")
@click.argument("slug")
@click.option("--name", help="The new name.")
@click.option("--slug", "new_slug", help="The new subdomain; passkeys of the old one no longer work.")
@say_errors
def rename(slug: str, name: str | None, new_slug: str | None) -> None:
    """Change a tenant's name or its subdomain."""
    if not name and not new_slug:
        raise click.UsageError("give --name, --slug or both")
    _print(rename_tenant(slug, name=name, new_slug=new_slug))


@tenants.command("plan")
@click.argument("slug")
@click.argument("plan")
@say_errors
def plan_(slug: str, plan: str) -> None:
    """Put a tenant on another PLAN, one of the settings'."""
    known = current_app.extensions["tenants"].settings.plans
    if plan not in known:
        raise click.UsageError(f"no plan '{plan}'; there are {', '.join(sorted(known))}")
    _print(change_plan(slug, plan))


@tenants.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("slug")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
@say_errors
def run(context: click.Context, slug: str, command: tuple[str, ...]) -> None:
    """Run another flask COMMAND with the tenant SLUG bound; committed when it succeeds."""
    with bound(find_tenant(slug)):
        current_app.cli.main(list(command), standalone_mode=False, obj=context.obj, prog_name="flask")


def _as_dict(tenant: Tenant) -> dict[str, Any]:
    values = {field.name: getattr(tenant, field.name) for field in fields(tenant)}
    return values | {"id": str(tenant.id), "settings": dict(tenant.settings)}


def _print(tenant: Tenant) -> None:
    url = current_app.extensions["tenants"].settings.external_url(
        f"{tenant.slug}.{current_app.extensions['tenants'].settings.base_domain}"
    )
    click.echo(f"{tenant.slug}: {tenant.name} ({tenant.status}) {url}")

"""`flask --app saas users ...` and `roles ...`: always of one tenant, named by --tenant."""

import json
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, BinaryIO

import click
from flask import g
from flask.cli import AppGroup

from auth import accounts, invitations, member_files, member_import, provisional
from auth import roles as roles_service
from auth import users as users_service
from auth.explain import explain
from auth.permissions import MEMBER
from tenants.cli import as_json, read_password, say_errors
from tenants.context import bound
from tenants.lifecycle import find_tenant

users = AppGroup("users", help="Create, import, list, deactivate and remove the users of a tenant.")
"""The command group."""
roles = AppGroup("roles", help="List, grant, revoke and explain roles in a tenant.")
"""The command group."""


def in_tenant(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --tenant SLUG and run it with that tenant bound.

    Under `tenants run SLUG -- ...` the tenant is bound already and the option may be left out.
    """

    @click.option("--tenant", "slug", help="Slug of the tenant.")
    @wraps(command)
    @say_errors
    def wrapped(*args: Any, slug: str | None, **kwargs: Any) -> Any:
        if slug is None and "tenant" in g:
            return command(*args, **kwargs)
        if slug is None:
            raise click.UsageError("Missing option '--tenant'.")
        with bound(find_tenant(slug)):
            provisional.settle()
            return command(*args, **kwargs)

    return wrapped


@users.command("create")
@click.argument("email")
@click.option("--name", default="", help="Default: what stands before the @.")
@click.option("--role", "role_names", multiple=True, default=[MEMBER.name], show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; else a link is mailed.")
@click.option("--unconfirmed", is_flag=True, help="Mail a link by which the owner of the address confirms it.")
@in_tenant
def create(email: str, name: str, role_names: tuple[str, ...], password_stdin: bool, unconfirmed: bool) -> None:
    """Create a user with roles."""
    password = read_password() if password_stdin else None
    user = users_service.create_user(email, name, password=password, confirmed=not unconfirmed)
    for role_name in role_names:
        roles_service.grant_role(user, role_name, actor=None, reason="command line")
    if password is None:
        users_service.send_welcome(user)
    elif unconfirmed:
        users_service.send_confirmation(user)
    click.echo(f"{user.email}: {', '.join(role_names)}")


@users.command("invite")
@click.argument("emails", nargs=-1, required=True, metavar="EMAIL...")
@click.option("--role", "role_name", default=MEMBER.name, show_default=True)
@in_tenant
def invite(emails: tuple[str, ...], role_name: str) -> None:
    """Mail people a link, good for a week, by which they become users with that role."""
    for invitation in invitations.invite(emails, role_name, actor=None):
        click.echo(f"{invitation.email}: invited as {role_name}")


@users.command("list")
@as_json
@in_tenant
def list_users(as_json: bool) -> None:
    """List the users."""
    found = [
        {"id": str(user.id), "email": user.email, "name": user.name, "active": user.active}
        for user in users_service.list_users()
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for user in found:
        click.echo(f"{user['email']:<40} {'active' if user['active'] else 'deactivated':<12} {user['name']}")


@users.command("deactivate")
@click.argument("email")
@in_tenant
def deactivate(email: str) -> None:
    """Close an account and end its login sessions, from the next request on."""
    users_service.deactivate_user(users_service.get_by_email(email), actor=None)
    click.echo(f"{email}: deactivated")


@users.command("reactivate")
@click.argument("email")
@in_tenant
def reactivate(email: str) -> None:
    """Open a deactivated account again."""
    users_service.reactivate_user(users_service.get_by_email(email), actor=None)
    click.echo(f"{email}: active")


@users.command("remove")
@click.argument("email")
@in_tenant
def remove(email: str) -> None:
    """Delete an account for good; what its owner has made for the workspace stays."""
    accounts.remove(users_service.get_by_email(email), actor=None)
    click.echo(f"{email}: removed")


@users.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@in_tenant
def import_(file: BinaryIO, dry_run: bool) -> None:
    """Make and change members by a CSV file of email, name and role ("-": standard input), all or none of them."""
    text = member_files.decode(file.read(member_files.LARGEST + 1))
    done = member_import.preview(text, actor=None) if dry_run else member_import.apply(text, actor=None)
    for row in done.rows:
        click.echo(f"{row.line.number:>5} {row.outcome:<8} {row.line.email}{f': {row.reason}' if row.reason else ''}")
    if done.count("wrong") and not dry_run:
        raise click.ClickException("nobody was imported: some lines are wrong")


@roles.command("list")
@as_json
@in_tenant
def list_roles(as_json: bool) -> None:
    """List the roles with their permissions."""
    found: list[dict[str, Any]] = [
        {"name": role.name, "builtin": role.builtin, "permissions": sorted(roles_service.permissions_of(role))}
        for role in roles_service.list_roles()
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for role in found:
        click.echo(
            f"{role['name']:<20} {'built in' if role['builtin'] else 'custom':<9} {', '.join(role['permissions'])}"
        )


place = click.option("--on", "place", metavar="TYPE:ID", help="On one object instead of the whole tenant.")


@roles.command("grant")
@click.argument("email")
@click.argument("role")
@click.option("--reason")
@place
@in_tenant
def grant(email: str, role: str, reason: str | None, place: str | None) -> None:
    """Give a user a role."""
    user = users_service.get_by_email(email)
    roles_service.grant_role(user, role, actor=None, on=_parse(place), reason=reason or "command line")
    click.echo(f"{email}: {role}{f' on {place}' if place else ''}")


@roles.command("revoke")
@click.argument("email")
@click.argument("role")
@place
@in_tenant
def revoke(email: str, role: str, place: str | None) -> None:
    """Take a role from a user, from the next request on."""
    revoked = roles_service.revoke_role(users_service.get_by_email(email), role, actor=None, on=_parse(place))
    if not revoked:
        raise click.ClickException(f"{email} has no grant of {role}{f' on {place}' if place else ''}")
    click.echo(f"{email}: no longer {role}")


@roles.command("explain")
@click.argument("email")
@click.argument("permission")
@place
@in_tenant
def explain_(email: str, permission: str, place: str | None) -> None:
    """Say why a user may, or may not: user → source → group → grant → role → permission."""
    explanation = explain(users_service.get_by_email(email).id, permission, on=_parse(place))
    click.echo("\n".join(explanation.lines()))


def _parse(place: str | None) -> tuple[str, uuid.UUID] | None:
    if place is None:
        return None
    object_type, _, object_id = place.partition(":")
    try:
        return object_type, uuid.UUID(object_id)
    except ValueError:
        raise click.UsageError("--on takes TYPE:ID, for example project:0198...") from None

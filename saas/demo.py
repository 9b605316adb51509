"""`flask --app saas demo seed|load`: something to look at, and bulk to measure with. Never in production."""

import json
import secrets
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import uuid_utils.compat as uuid7
from flask import current_app, g
from flask.cli import AppGroup
from sqlalchemy import insert, select

from auth import api_tokens, cookies, passwords, roles, sessions, token_secrets, users
from auth.models import Grant, LoginSession, Role, User
from auth.token_models import ApiToken
from saas.projects.models import Project, ProjectStatus, ProjectUpdate
from tenants.cli import say_errors
from tenants.context import Tenant, bound
from tenants.db import now
from tenants.errors import UnknownTenant
from tenants.lifecycle import create_tenant, find_tenant

cli = AppGroup("demo", help="Demo tenants, and bulk data for measuring. Refused in production.")

PASSWORD = "correct horse battery staple"  # noqa: S105 - public, of demo tenants only
BUILTIN = ("owner", "admin", "member", "viewer")
_TENANTS = {"acme": "Acme Industries", "globex": "Globex Corporation"}
_BATCH = 2_000  # rows an INSERT


@cli.command("seed")
@say_errors
def seed() -> None:
    """Create the tenants acme and globex, with a user for every role and some projects, unless they exist."""
    _refuse_in_production()
    for slug, name in _TENANTS.items():
        try:
            find_tenant(slug)
        except UnknownTenant:
            _seed_tenant(slug, name)
            click.echo(f"{slug}: created, with owner@, admin@, member@ and viewer@{slug}.example")


@cli.command("load")
@click.option("--tenants", "tenant_count", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option(
    "--users", "user_count", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="Per tenant."
)
@click.option(
    "--projects",
    "project_count",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    help="Per tenant.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to write who is signed in.",
)
@say_errors
def load(tenant_count: int, user_count: int, project_count: int, credentials: Path) -> None:
    """Create tenants in bulk, every user signed in: a JSON list of {host, email, role, cookie, csrf, bearer}."""
    _refuse_in_production()
    # One hash for all: computing it is what a sign-in costs, thousands of times.
    password = passwords.hash_new(PASSWORD)
    signed_in: list[dict[str, Any]] = []
    run = secrets.token_hex(3)
    with click.progressbar(range(tenant_count), label="loading tenants") as numbers:
        for number in numbers:
            slug = f"load-{run}-{number}"
            owner = {"email": f"user0@{slug}.example", "name": "User 0"}
            tenant = create_tenant(slug, f"Load {run} {number}", owner | {"password_hash": password})
            signed_in += _fill(tenant, password, user_count, project_count)
    credentials.write_text(json.dumps(signed_in, indent=1), encoding="utf-8")
    credentials.chmod(0o600)
    click.echo(f"{tenant_count} tenants, {len(signed_in)} signed-in users: {credentials}")


def _refuse_in_production() -> None:
    if current_app.extensions["tenants"].settings.production:
        raise click.ClickException("demo data has public passwords: refused in production")


def _seed_tenant(slug: str, name: str) -> None:
    tenant = create_tenant(slug, name, {"email": f"owner@{slug}.example", "name": "Olivia Owner", "password": PASSWORD})
    people = {"admin": "Adrian Admin", "member": "Mia Member", "viewer": "Vera Viewer"}
    with bound(tenant):
        for role, person in people.items():
            user = users.create_user(f"{role}@{slug}.example", person, password=PASSWORD)
            roles.grant_role(user, role, actor=None, origin="default", reason="demo data")
        g.db.flush()
        _seed_projects(users.get_by_email(f"member@{slug}.example"))


def _seed_projects(author: User) -> None:
    kinds = ("Website relaunch", "Supplier portal", "Office move", "Annual audit", "Hiring plan", "Spring campaign")
    for place, kind in enumerate(kinds):
        project = Project(
            name=f"{kind}, {g.tenant.name.split()[0]}",
            description="What has to be done, by whom, and until when.",
            status=list(ProjectStatus)[place % 3],
            owner_id=author.id,
            due_on=date.today() + timedelta(days=14 * (place + 1)),
        )
        g.db.add(project)
        g.db.flush()
        g.db.add(ProjectUpdate(project_id=project.id, author_id=author.id, body="Kick-off done, first tasks are set."))


def _fill(tenant: Tenant, password: str, user_count: int, project_count: int) -> list[dict[str, Any]]:
    with bound(tenant) as session:
        role_ids = {role.name: role.id for role in session.scalars(select(Role))}
        owner = users.get_by_email(f"user0@{tenant.slug}.example")
        people = [_person(tenant, number, password) for number in range(1, user_count)]
        _insert(User, people)
        everybody = [(owner.id, owner.email, owner.fs_uniquifier, "owner")] + [
            (person["id"], person["email"], person["fs_uniquifier"], BUILTIN[number % 4])
            for number, person in enumerate(people, start=1)
        ]
        _insert(
            Grant,
            [{"user_id": key, "role_id": role_ids[role], "origin": "default"} for key, _, _, role in everybody[1:]],
        )
        logins = [sessions.issue(entry[0], "demo load") for entry in everybody]
        _insert(LoginSession, [row for _token, row in logins])
        tokens = [_personal_token(key, role) for key, _, _, role in everybody]
        _insert(ApiToken, [row for _secret, row in tokens])
        _insert(Project, [_project(number, everybody[number % len(everybody)][0]) for number in range(project_count)])
    return [
        _credentials(tenant, email, role, handle, token) | {"bearer": secret}
        for (_, email, handle, role), (token, _), (secret, _) in zip(everybody, logins, tokens, strict=True)
    ]


def _insert(model: type[Any], rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _BATCH):
        g.db.execute(insert(model), rows[start : start + _BATCH])


def _person(tenant: Tenant, number: int, password: str) -> dict[str, Any]:
    return {
        "id": uuid7.uuid7(),
        "email": f"user{number}@{tenant.slug}.example",
        "name": f"User {number}",
        "password": password,
        "confirmed_at": now(),
        "fs_uniquifier": secrets.token_hex(32),
    }


def _project(number: int, owner_id: uuid.UUID) -> dict[str, Any]:
    return {
        "name": f"Project {number}",
        "description": f"Description of project {number}",
        "status": list(ProjectStatus)[number % 3].value,
        "owner_id": owner_id,
    }


def _personal_token(user_id: uuid.UUID, role: str) -> tuple[str, dict[str, Any]]:
    """A token for all that the role permits, without an end: its secret, and the values of its row."""
    secret = token_secrets.make(token_secrets.PERSONAL)
    return secret, {
        "token_hash": token_secrets.digest(secret),
        "kind": api_tokens.PERSONAL,
        "user_id": user_id,
        "name": "demo load",
        "permissions": sorted(current_app.extensions["auth"].catalogue.of_builtin(role)),
        "scopes": [],
        "provider": "database",
    }


def _credentials(tenant: Tenant, email: str, role: str, handle: str, token: str) -> dict[str, Any]:
    settings = current_app.extensions["tenants"].settings
    host = f"{tenant.slug}.{settings.base_domain}"
    cookie, csrf = cookies.write(current_app, host, handle, token)
    return {"host": host, "email": email, "role": role, "cookie": cookie, "csrf": csrf}

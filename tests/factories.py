"""What tests are about: tenants with people. Every test makes its own, in a database that all share."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import uuid_utils.compat as uuid7
from flask import Flask, g
from sqlalchemy import insert, select

from auth import audit, passwords, roles, users
from auth.models import Grant, Role, User
from saas.projects.models import Project
from tenants.context import Tenant, bound
from tenants.db import now
from tenants.lifecycle import create_tenant

PASSWORD = "correct horse battery staple"
ROLES = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True)
class Person:
    """A user of a test's tenant."""

    id: uuid.UUID
    email: str
    password: str = PASSWORD


@dataclass(frozen=True)
class Workspace:
    """A tenant and its people, one of every built-in role, by role name."""

    tenant: Tenant
    host: str
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return self.tenant.slug

    @property
    def url(self) -> str:
        return f"http://{self.host}"


def make_workspace(app: Flask, slug: str | None = None) -> Workspace:
    """Create a tenant with an owner, an admin, a member and a viewer."""
    slug = slug or f"t{secrets.token_hex(6)}"
    with app.app_context():
        hashed = passwords.hash_new(PASSWORD)
        owner = {"email": f"owner@{slug}.example", "name": "Owner", "password_hash": hashed}
        tenant = create_tenant(slug, slug.title(), owner)
        workspace = Workspace(tenant, f"{slug}.localhost")
        with bound(tenant):
            owner_id = g.db.scalar(select(User.id))
            workspace.people["owner"] = Person(owner_id, f"owner@{slug}.example")
            workspace.people.update(_add_all(ROLES[1:], slug, hashed))
    return workspace


def add_person(app: Flask, workspace: Workspace, *, role: str | None = "member", email: str | None = None) -> Person:
    """Add a user with that role, or with none."""
    with app.app_context(), bound(workspace.tenant):
        return _add(role, email or f"p{secrets.token_hex(4)}@{workspace.slug}.example", passwords.hash_new(PASSWORD))


def make_project(app: Flask, workspace: Workspace, name: str = "Apollo", **values: object) -> uuid.UUID:
    """Add a project of the tenant's member and give back its id."""
    with app.app_context(), bound(workspace.tenant) as session:
        project = Project(name=name, owner_id=workspace.people["member"].id, **values)
        session.add(project)
        session.flush()
        return project.id


def _add_all(names: Sequence[str], slug: str, hashed: str) -> dict[str, Person]:
    """Add a user with each of these roles, in few statements: nearly every test begins with it."""
    role_ids = dict(g.db.execute(select(Role.name, Role.id)).all())
    people = {name: Person(uuid7.uuid7(), f"{name}@{slug}.example") for name in names}
    rows = [
        {
            "id": person.id,
            "email": person.email,
            "name": name.title(),
            "password": hashed,
            "confirmed_at": now(),
            "fs_uniquifier": secrets.token_hex(32),
        }
        for name, person in people.items()
    ]
    g.db.execute(insert(User), rows)
    grants = [{"user_id": person.id, "role_id": role_ids[name], "origin": "manual"} for name, person in people.items()]
    g.db.execute(insert(Grant), grants)
    parties = [audit.Party("user", person.id, person.email) for person in people.values()]
    audit.record_all("account created", parties)
    return people


def _add(role: str | None, email: str, hashed: str) -> Person:
    user = users.create_user(email, email.partition("@")[0].title(), password_hash=hashed)
    if role:
        roles.grant_role(user, role, actor=None)
    return Person(user.id, email)

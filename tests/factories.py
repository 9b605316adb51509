"""What tests are about: tenants with people. Every test makes its own, in a database that all share."""

import secrets
import uuid
from dataclasses import dataclass, field

from flask import Flask

from auth import passwords, roles, users
from saas.projects.models import Project
from tenants.context import Tenant, bound
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
            person = users.get_by_email(f"owner@{slug}.example")
            workspace.people["owner"] = Person(person.id, person.email)
            for role in ROLES[1:]:
                workspace.people[role] = _add(role, f"{role}@{slug}.example", hashed)
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


def _add(role: str | None, email: str, hashed: str) -> Person:
    user = users.create_user(email, email.partition("@")[0].title(), password_hash=hashed)
    if role:
        roles.grant_role(user, role, actor=None)
    return Person(user.id, email)

"""A tenant's life: created, renamed, suspended, resumed."""

from collections.abc import Mapping
from typing import Any

import uuid_utils.compat as uuid7
from flask import current_app, g
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tenants.context import Tenant, bound
from tenants.errors import SlugTaken, UnknownTenant
from tenants.models import Domain, TenantRow, TenantStatus
from tenants.resolver import BY_SLUG, TENANT, as_value, check_slug
from tenants.signals import send, tenant_created

_ALL = TENANT.order_by(TenantRow.slug)


def create_tenant(slug: str, name: str, owner: Mapping[str, Any], *, plan: str = "standard") -> Tenant:
    """Create a tenant with its built-in roles and its owner, in one transaction: all of it or nothing.

    `owner` describes the first user for whoever receives `tenant_created`. Raises InvalidSlug, SlugTaken, and what
    a receiver finds wrong with the owner.
    """
    check_slug(slug)
    _check_unused(slug)
    tenant = Tenant(uuid7.uuid7(), slug, name, TenantStatus.ACTIVE, plan, 1)
    with bound(tenant) as session:
        session.add(TenantRow(id=tenant.id, slug=slug, name=name, plan=plan))
        try:
            session.flush()
        except IntegrityError as error:
            raise SlugTaken(f"'{slug}' is taken") from error
        send(tenant_created, tenant=tenant, owner=owner)
    return find_tenant(slug)


def find_tenant(slug: str) -> Tenant:
    """The tenant of that slug, whatever its status. Raises UnknownTenant."""
    with current_app.extensions["tenants"].engines.shared.connect() as connection:
        row = connection.execute(BY_SLUG, {"slug": slug}).mappings().first()
    if row is None:
        raise UnknownTenant(f"no tenant '{slug}'")
    return as_value(row)


def list_tenants() -> list[Tenant]:
    """Every tenant, by slug."""
    with current_app.extensions["tenants"].engines.shared.connect() as connection:
        return [as_value(row) for row in connection.execute(_ALL).mappings()]


def suspend_tenant(slug: str) -> Tenant:
    """Stop serving a tenant, from the next request of every process on."""
    return _change(slug, status=TenantStatus.SUSPENDED)


def resume_tenant(slug: str) -> Tenant:
    """Serve a suspended tenant again."""
    return _change(slug, status=TenantStatus.ACTIVE)


def change_plan(slug: str, plan: str) -> Tenant:
    """Put a tenant on another plan, whose limits hold from the next request of every process on."""
    return _change(slug, plan=plan)


def rename_tenant(slug: str, *, name: str | None = None, new_slug: str | None = None) -> Tenant:
    """Change a tenant's name, or the slug under which it is reached. Raises InvalidSlug, SlugTaken."""
    changes = {"name": name} if name else {}
    if new_slug:
        changes["slug"] = check_slug(new_slug)
        _check_unused(new_slug, by=find_tenant(slug))
    return _change(slug, **changes)


def _check_unused(slug: str, by: Tenant | None = None) -> None:
    """Raise SlugTaken for a slug that another tenant had: its people's bookmarks still lead there."""
    former = select(Domain.tenant_id).where(Domain.host == _host(slug), Domain.verified_at.is_(None))
    with current_app.extensions["tenants"].engines.shared.connect() as connection:
        holder = connection.execute(former).scalar()
    if holder is not None and (by is None or holder != by.id):
        raise SlugTaken(f"'{slug}' was another tenant's")


def _host(slug: str) -> str:
    return f"{slug}.{current_app.extensions['tenants'].settings.base_domain}"


def _change(slug: str, /, **changes: str) -> Tenant:
    tenant = find_tenant(slug)
    if tenant.status == TenantStatus.DELETED:
        raise UnknownTenant(f"no tenant '{slug}'")
    with bound(tenant):
        if changes.get("slug", slug) != slug and g.db.get(Domain, _host(slug)) is None:
            # Unverified, so it leads nowhere; kept, so that nobody else gets it.
            g.db.add(Domain(host=_host(slug), tenant_id=tenant.id))
        row = g.db.get_one(TenantRow, tenant.id)
        for name, value in changes.items():
            setattr(row, name, value)
        row.version = TenantRow.version + 1
        try:
            g.db.flush()
        except IntegrityError as error:
            raise SlugTaken(f"'{changes['slug']}' is taken") from error
    return find_tenant(changes.get("slug", slug))

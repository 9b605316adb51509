"""Rows of a tenant that one transaction holds at a time."""

import uuid

from sqlalchemy import select

from tenants.db import TenantScoped, TenantSession
from tenants.models import TenantRow


def hold(session: TenantSession, model: type[TenantScoped] | None = None, id: uuid.UUID | None = None) -> None:
    """Wait for whoever is changing that row, and keep everybody from changing it until this transaction's end.

    Without a row, or where access depends on it, the tenant's own is held: first, for that is the order in which a
    flush writes. References to what is held can be made meanwhile. On SQLite whoever writes is alone anyway.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    if model is None or model.decides_access:
        of_tenant = select(TenantRow.id).where(TenantRow.id == session.tenant_id)
        session.execute(of_tenant.with_for_update(key_share=True))
    if model is not None:
        session.execute(select(model.id).where(model.id == id).with_for_update(key_share=True))

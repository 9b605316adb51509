"""Names that one transaction of a tenant holds at a time."""

import hashlib

from sqlalchemy import func, select

from tenants.db import TenantSession


def hold(session: TenantSession, name: str) -> None:
    """Wait until no other transaction of the tenant holds `name`, and hold it until this one's end.

    On SQLite whoever writes is alone anyway.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(session.tenant_id.bytes + name.encode()).digest()[:8], signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))

"""What administrators have set for their workspace: kept with the tenant, where every request reads it anyway."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flask import g

from tenants.models import TenantRow


def lock() -> TenantRow:
    """The bound tenant's row as it is now. Whoever changes its settings at the same time waits here."""
    g.db.flush()
    row: TenantRow = g.db.get_one(TenantRow, g.tenant.id, with_for_update=True, populate_existing=True)
    return row


def keep(row: TenantRow, name: str, value: Any) -> None:
    """Set one of the settings; an empty value removes it. Every process sees it with its next request."""
    others = {known: held for known, held in row.settings.items() if known != name}
    row.settings = others | ({name: value} if value else {})
    row.version = TenantRow.version + 1
    g.db.flush()
    g.tenant = replace(g.tenant, name=row.name, settings=MappingProxyType(dict(row.settings)))

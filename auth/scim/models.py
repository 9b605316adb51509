"""The table of what identity providers have provisioned; every row belongs to a tenant."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant

LONGEST_EXTERNAL_ID = 255
LONGEST_NAME_KEY = 1000
_LIVE = text("deleted_at IS NULL")


class ScimResource(TenantScoped, Base):
    """A user or a group that a source has provisioned. Its id is SCIM's; no other id of ours is told or understood."""

    __tablename__ = "scim_resources"

    provider_id: Mapped[uuid.UUID]
    kind: Mapped[str] = mapped_column(String(10))
    """User or Group."""
    user_id: Mapped[uuid.UUID | None]
    group_id: Mapped[uuid.UUID | None]
    external_id: Mapped[str | None] = mapped_column(String(LONGEST_EXTERNAL_ID))
    """What the source calls it; compared with what it has said, and never with an id of ours."""
    name_key: Mapped[str] = mapped_column(String(LONGEST_NAME_KEY))
    """`userName` or `displayName`, in the form in which they are compared."""
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was sent, but what stands elsewhere: ids, members, secrets."""
    closed: Mapped[bool] = mapped_column(default=False)
    """Whether the user's account was deactivated by this source, which alone may open it again then."""
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    modified_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]
    """When the source has deleted the user, who is known again should they come back."""

    __table_args__ = (
        within_tenant("provider_id", "providers", ondelete="CASCADE"),
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("group_id", "groups", ondelete="CASCADE"),
        CheckConstraint("kind IN ('User', 'Group')", name="kind"),
        CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_holder"),
        Index(
            "uq_scim_resources_tenant_name", "tenant_id", "provider_id", "kind", "name_key", unique=True,
            postgresql_where=_LIVE, sqlite_where=_LIVE,
        ),
        Index(
            "uq_scim_resources_tenant_external", "tenant_id", "provider_id", "kind", "external_id", unique=True,
            postgresql_where=_LIVE, sqlite_where=_LIVE,
        ),
        Index("uq_scim_resources_tenant_user", "tenant_id", "provider_id", "user_id", unique=True),
        Index("uq_scim_resources_tenant_group", "tenant_id", "group_id", unique=True),
        Index("ix_scim_resources_tenant_user_id", "tenant_id", "user_id"),
    )  # fmt: skip

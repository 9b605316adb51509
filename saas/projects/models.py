"""Projects and their updates."""

import enum
import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant


class ProjectStatus(enum.StrEnum):
    """Where a project stands."""

    PLANNED = "planned"
    ACTIVE = "active"
    DONE = "done"
    ARCHIVED = "archived"
    """Out of the way: lists show it only when asked to."""


class Project(TenantScoped, Base):
    """Something that people of a tenant work on together."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(20), default=ProjectStatus.ACTIVE)
    owner_id: Mapped[uuid.UUID | None]
    """The user who answers for it; None once that user was removed."""
    due_on: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    __table_args__ = (
        within_tenant("owner_id", "users"),
        CheckConstraint("status IN ('planned', 'active', 'done', 'archived')", name="status"),
        Index("ix_projects_tenant_name", "tenant_id", "name", "id"),
        Index("ix_projects_tenant_updated", "tenant_id", "updated_at", "id"),
        Index("ix_projects_tenant_owner", "tenant_id", "owner_id"),
    )


class ProjectUpdate(TenantScoped, Base):
    """A dated note on a project by one of the tenant's users."""

    __tablename__ = "project_updates"

    project_id: Mapped[uuid.UUID]
    author_id: Mapped[uuid.UUID | None]
    """None once that user was removed."""
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        within_tenant("project_id", "projects", ondelete="CASCADE"),
        within_tenant("author_id", "users"),
        Index("ix_project_updates_tenant_project", "tenant_id", "project_id", "created_at"),
        Index("ix_project_updates_tenant_author", "tenant_id", "author_id"),
    )

"""Identity sources of a tenant, whom they vouch for, and the groups that they know."""

import sqlalchemy as sa
from alembic import op

from tenants import rls

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("providers", "linked_identities")


def upgrade() -> None:
    op.create_table(
        "providers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("creates_users", sa.String(length=10), nullable=False),
        sa.Column("most_departures", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("syncing_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_providers_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_providers")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_providers_tenant_id_name")),
    )
    op.create_table(
        "linked_identities",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("login", sa.String(length=320), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("departed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_linked_identities_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["users.tenant_id", "users.id"],
            name=op.f("fk_linked_identities_tenant_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "provider_id"],
            ["providers.tenant_id", "providers.id"],
            name=op.f("fk_linked_identities_tenant_id_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_linked_identities")),
        sa.UniqueConstraint(
            "tenant_id", "provider_id", "subject", name=op.f("uq_linked_identities_tenant_id_provider_id_subject")
        ),
        sa.UniqueConstraint(
            "tenant_id", "user_id", "provider_id", name=op.f("uq_linked_identities_tenant_id_user_id_provider_id")
        ),
    )
    op.create_index("ix_linked_identities_tenant_login", "linked_identities", ["tenant_id", "login"], unique=False)
    op.add_column("groups", sa.Column("external_key", sa.String(length=1000), nullable=True))
    op.create_index("uq_groups_tenant_key", "groups", ["tenant_id", "origin", "external_key"], unique=True)
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            for statement in rls.confine(table):
                op.execute(statement)


def downgrade() -> None:
    op.drop_index("uq_groups_tenant_key", table_name="groups")
    # Plain ALTER TABLE on SQLite too: a rebuilt table would take the rows that refer to it along.
    op.drop_column("groups", "external_key")
    op.drop_table("linked_identities")
    op.drop_table("providers")

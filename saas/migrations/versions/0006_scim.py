"""What identity providers have provisioned by SCIM."""

import sqlalchemy as sa
from alembic import op

from tenants import rls

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "scim_resources",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("group_id", sa.Uuid(), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("name_key", sa.String(length=1000), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('User', 'Group')", name=op.f("ck_scim_resources_kind")),
        sa.CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name=op.f("ck_scim_resources_one_holder")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_scim_resources_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "provider_id"],
            ["providers.tenant_id", "providers.id"],
            name=op.f("fk_scim_resources_tenant_id_provider_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["users.tenant_id", "users.id"],
            name=op.f("fk_scim_resources_tenant_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["groups.tenant_id", "groups.id"],
            name=op.f("fk_scim_resources_tenant_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_scim_resources")),
    )
    for name, column in (("name", "name_key"), ("external", "external_id")):
        op.create_index(
            f"uq_scim_resources_tenant_{name}",
            "scim_resources",
            ["tenant_id", "provider_id", "kind", column],
            unique=True,
            postgresql_where=LIVE,
            sqlite_where=LIVE,
        )
    op.create_index(
        "uq_scim_resources_tenant_user", "scim_resources", ["tenant_id", "provider_id", "user_id"], unique=True
    )
    op.create_index("uq_scim_resources_tenant_group", "scim_resources", ["tenant_id", "group_id"], unique=True)
    op.create_index("ix_scim_resources_tenant_user_id", "scim_resources", ["tenant_id", "user_id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        for statement in rls.confine("scim_resources"):
            op.execute(statement)


def downgrade() -> None:
    op.drop_table("scim_resources")

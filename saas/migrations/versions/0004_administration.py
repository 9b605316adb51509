"""The audit log, invitations, and what is left of a member who was removed."""

import sqlalchemy as sa
from alembic import op

from tenants import rls

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("audit_events", "audit_checkpoints", "invitations", "logos")
_CONTENT = (
    "id, tenant_id, at, kind, actor_kind, actor_id, actor, target_kind, target_id, target, address, agent, request_id,"
    " details, signature"
)
_REFUSED = "an event of the audit log is not changed"


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("actor_kind", sa.String(length=20), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("target_kind", sa.String(length=20), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("target", sa.String(length=320), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("agent", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("signature", sa.String(length=73), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_events_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_events")),
        sa.UniqueConstraint("tenant_id", "seq", name=op.f("uq_audit_events_tenant_id_seq")),
    )
    for name, columns in (("at", ["at"]), ("kind", ["kind", "id"]), ("actor", ["actor_id", "id"]),
                          ("target", ["target_id", "id"])):  # fmt: skip
        op.create_index(f"ix_audit_events_tenant_{name}", "audit_events", ["tenant_id", *columns], unique=False)
    op.create_index(
        "ix_audit_events_unsealed",
        "audit_events",
        ["tenant_id", "id"],
        unique=False,
        postgresql_where=sa.text("seq IS NULL"),
        sqlite_where=sa.text("seq IS NULL"),
    )

    op.create_table(
        "audit_checkpoints",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begins", sa.Boolean(), nullable=False),
        sa.Column("signature", sa.String(length=73), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_checkpoints_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_checkpoints")),
    )
    op.create_index("ix_audit_checkpoints_tenant_seq", "audit_checkpoints", ["tenant_id", "seq"], unique=False)

    op.create_table(
        "invitations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("role_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "role_id"],
            ["roles.tenant_id", "roles.id"],
            name=op.f("fk_invitations_tenant_id_role_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_invitations_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_invitations")),
    )
    op.create_index(
        "uq_invitations_tenant_email", "invitations", ["tenant_id", sa.literal_column("lower(email)")], unique=True
    )

    op.create_table(
        "logos",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("content_type", sa.String(length=40), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_logos_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_logos")),
    )

    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            for statement in rls.confine(table):
                op.execute(statement)
    _keep_events()
    with op.batch_alter_table("project_updates", reflect_kwargs={"resolve_fks": False}) as updates:
        updates.alter_column("author_id", existing_type=sa.Uuid(), nullable=True)
    op.drop_table("security_events")


def downgrade() -> None:
    op.create_table(
        "security_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_security_events_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_security_events")),
    )
    op.create_index("ix_security_events_tenant_at", "security_events", ["tenant_id", "at"], unique=False)
    op.execute("DELETE FROM project_updates WHERE author_id IS NULL")
    with op.batch_alter_table("project_updates", reflect_kwargs={"resolve_fks": False}) as updates:
        updates.alter_column("author_id", existing_type=sa.Uuid(), nullable=False)
    if op.get_bind().dialect.name == "postgresql":
        for statement in rls.confine("security_events"):
            op.execute(statement)
        for name in ("content", "chain"):
            op.execute(f"DROP TRIGGER audit_events_{name} ON audit_events")
        op.execute("DROP FUNCTION refuse_audit_change()")
    for table in reversed(TABLES):
        op.drop_table(table)


def _keep_events() -> None:
    """Have the database refuse a change of an event, but its one place in the chain."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$"
        )
        do = "EXECUTE FUNCTION refuse_audit_change()"
    else:
        do = f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
    op.execute(f"CREATE TRIGGER audit_events_content BEFORE UPDATE OF {_CONTENT} ON audit_events FOR EACH ROW {do}")
    op.execute(
        "CREATE TRIGGER audit_events_chain BEFORE UPDATE OF seq, hash ON audit_events"
        f" FOR EACH ROW WHEN (OLD.seq IS NOT NULL) {do}"
    )

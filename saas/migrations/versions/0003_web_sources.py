"""Web sources of identity, sign-ins under way there, and domains of e-mail addresses."""

import sqlalchemy as sa
from alembic import op

from tenants import rls

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("mail_domains", "security_events", "sign_in_attempts", "provider_sessions")


def upgrade() -> None:
    op.create_table(
        "mail_domains",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'proved', 'warning', 'lapsed')", name=op.f("ck_mail_domains_state")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_mail_domains_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_mail_domains")),
        sa.UniqueConstraint("tenant_id", "domain", name=op.f("uq_mail_domains_tenant_id_domain")),
    )
    op.create_index(
        "uq_mail_domains_owner",
        "mail_domains",
        ["domain"],
        unique=True,
        postgresql_where=sa.text("state IN ('proved', 'warning')"),
        sqlite_where=sa.text("state IN ('proved', 'warning')"),
    )

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

    op.create_table(
        "sign_in_attempts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=128), nullable=False),
        sa.Column("next_path", sa.Text(), nullable=False),
        sa.Column("return_to", sa.String(length=300), nullable=False),
        sa.Column("brokered", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handover_hash", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "provider_id"],
            ["providers.tenant_id", "providers.id"],
            name=op.f("fk_sign_in_attempts_tenant_id_provider_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["users.tenant_id", "users.id"],
            name=op.f("fk_sign_in_attempts_tenant_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_sign_in_attempts_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_sign_in_attempts")),
        sa.UniqueConstraint("tenant_id", "handover_hash", name=op.f("uq_sign_in_attempts_tenant_id_handover_hash")),
        sa.UniqueConstraint("tenant_id", "state_hash", name=op.f("uq_sign_in_attempts_tenant_id_state_hash")),
    )
    op.create_index("ix_sign_in_attempts_tenant_end", "sign_in_attempts", ["tenant_id", "expires_at"], unique=False)

    op.create_table(
        "provider_sessions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("login_session_id", sa.Uuid(), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("sid", sa.String(length=255), nullable=False),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "login_session_id"],
            ["login_sessions.tenant_id", "login_sessions.id"],
            name=op.f("fk_provider_sessions_tenant_id_login_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "provider_id"],
            ["providers.tenant_id", "providers.id"],
            name=op.f("fk_provider_sessions_tenant_id_provider_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_provider_sessions_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_provider_sessions")),
    )
    op.create_index(
        "ix_provider_sessions_tenant_login_session",
        "provider_sessions",
        ["tenant_id", "login_session_id"],
        unique=False,
    )
    op.create_index(
        "ix_provider_sessions_tenant_sid", "provider_sessions", ["tenant_id", "provider_id", "sid"], unique=False
    )
    op.create_index(
        "ix_provider_sessions_tenant_subject",
        "provider_sessions",
        ["tenant_id", "provider_id", "subject"],
        unique=False,
    )

    for column in ("rehearsed_at", "admin_seen_at", "enforced_at"):
        op.add_column("providers", sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            for statement in rls.confine(table):
                op.execute(statement)


def downgrade() -> None:
    # Plain ALTER TABLE on SQLite too: a rebuilt table would take the rows that refer to it along.
    for column in ("enforced_at", "admin_seen_at", "rehearsed_at"):
        op.drop_column("providers", column)
    for table in reversed(TABLES):
        op.drop_table(table)

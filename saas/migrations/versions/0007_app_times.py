"""Since when an app acts for somebody: rules count from then."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("api_tokens", "refresh_tokens")
COLUMNS = ("signed_in_at", "allowed_at")


def upgrade() -> None:
    for table in TABLES:
        for column in COLUMNS:
            op.add_column(table, sa.Column(column, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for table in reversed(TABLES):
        for column in reversed(COLUMNS):
            op.drop_column(table, column)

"""Alembic's environment: run a migration on the engine that was configured, in one transaction."""

from alembic import context

import auth.audit_models
import auth.client_models
import auth.models
import auth.providers.models
import auth.scim.models
import auth.token_models
import saas.branding
import saas.idempotency
import saas.projects.models
import tenants.models
from tenants.db import Base

FEATURES = (
    tenants.models, auth.models, auth.audit_models, auth.providers.models, auth.token_models, auth.client_models,
    auth.scim.models, saas.branding, saas.idempotency, saas.projects.models,
)  # fmt: skip
"""Imported for their tables, which autogeneration compares with the database."""


def run() -> None:
    """Run what was asked for."""
    engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()

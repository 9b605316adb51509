"""Is the process up, and is it ready to serve? On any host, with no tenant."""

from alembic.runtime.migration import MigrationContext
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from auth.breakers import breakers
from auth.permissions import public
from saas.migrations import head_revision
from tenants.errors import TenancyError
from tenants.request import without_tenant

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
@without_tenant
def healthz() -> ResponseReturnValue:
    """The process answers; nothing else is asked."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
@without_tenant
def readyz() -> ResponseReturnValue:
    """The database answers and its schema is the one that this release needs; else 503 and what is wrong.

    Also how many identity sources are asked, as this process finds them. That is told and not judged: one tenant's
    directory that does not answer is no reason to send everybody elsewhere.
    """
    try:
        revision = current_app.extensions["tenants"].engines.ask(
            lambda connection: MigrationContext.configure(connection).get_current_revision()
        )
    except (SQLAlchemyError, TenancyError):
        checks = {"database": "unreachable", "migrations": "unknown"}
    else:
        at_head = revision == head_revision()
        checks = {"database": "ok", "migrations": "ok" if at_head else f"at {revision}, not {head_revision()}"}
    ready = all(state == "ok" for state in checks.values())
    details = {"identity_sources": {state.value: number for state, number in breakers.states().items()}}
    answer = jsonify(status="ok" if ready else "unavailable", checks=checks, details=details)
    return answer, 200 if ready else 503

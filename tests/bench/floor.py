"""The floor: bare Flask and SQLAlchemy Core doing the same work, with no tenancy, no identity and no permissions.

Its statements are built once, and it bypasses row-level security: nothing that serves tenants can be cheaper by much.
"""

import os
import uuid
from datetime import datetime
from typing import Any

from flask import Flask, jsonify, request
from sqlalchemy import Uuid, bindparam, create_engine, func, insert, select

from saas.projects.models import Project
from tenants.db import now

projects = Project.__table__
_PAGE = (
    select(projects)
    .where(projects.c.tenant_id == bindparam("tenant", type_=Uuid()), projects.c.status != "archived")
    .order_by(projects.c.id.desc())
    .limit(21)
)
_COUNT = (
    select(func.count())
    .select_from(projects)
    .where(projects.c.tenant_id == bindparam("tenant", type_=Uuid()), projects.c.status != "archived")
)
_INSERT = insert(projects)


def create_app() -> Flask:
    """An application that believes whatever tenant the header names."""
    app = Flask(__name__)
    engine = create_engine(os.environ["BENCH_DATABASE_URL"], pool_size=10, max_overflow=0)

    @app.get("/api/v1/projects")
    def read():
        tenant = uuid.UUID(request.headers["X-Tenant"])
        with engine.begin() as connection:
            rows = connection.execute(_PAGE, {"tenant": tenant}).all()
            total = connection.execute(_COUNT, {"tenant": tenant}).scalar_one()
        return jsonify(items=[as_json(row) for row in rows[:20]], next_cursor=None, total=total)

    @app.post("/api/v1/projects")
    def write():
        body = request.get_json()
        row = {
            "tenant_id": uuid.UUID(request.headers["X-Tenant"]),
            "id": uuid.uuid4(),
            "name": body["name"],
            "description": "",
            "status": "active",
            "created_at": now(),
            "updated_at": now(),
        }
        with engine.begin() as connection:
            connection.execute(_INSERT, row)
        return jsonify(id=str(row["id"])), 201

    return app


def as_json(project: Any) -> dict[str, Any]:
    """A row as the product's API gives it."""
    return {
        "id": str(project.id),
        "name": project.name,
        "description": project.description,
        "status": project.status,
        "owner_id": str(project.owner_id) if project.owner_id else None,
        "due_on": project.due_on.isoformat() if project.due_on else None,
        "created_at": _as_time(project.created_at),
        "updated_at": _as_time(project.updated_at),
    }


def _as_time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


app = create_app()

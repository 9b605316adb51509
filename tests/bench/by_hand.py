"""A peer: the same page built straight from the manuals of Flask-Security, Flask-Principal and Flask-SQLAlchemy.

Tenants by subdomain, a tenant_id in every query, roles with permissions: what a team writes first. It has its own
tables (`by_hand_*`) in the same database, filled with as many rows.
"""

import os

from flask import Flask, abort, g, jsonify, request
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, permissions_required
from flask_security.models import fsqla_v2 as fsqla
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, select, text

db = SQLAlchemy()
fsqla.FsModels.set_db_info(db, user_table_name="by_hand_users", role_table_name="by_hand_roles")


class Role(db.Model, fsqla.FsRoleMixin):
    __tablename__ = "by_hand_roles"


class User(db.Model, fsqla.FsUserMixin):
    __tablename__ = "by_hand_users"
    tenant_id = db.Column(db.Integer, db.ForeignKey("by_hand_tenants.id"))


class Tenant(db.Model):
    __tablename__ = "by_hand_tenants"
    id = db.Column(db.Integer, primary_key=True)
    slug = db.Column(db.String(40), unique=True)


class Project(db.Model):
    __tablename__ = "by_hand_projects"
    id = db.Column(db.Integer, primary_key=True)
    tenant_id = db.Column(db.Integer, db.ForeignKey("by_hand_tenants.id"), index=True)
    name = db.Column(db.String(200))
    description = db.Column(db.Text)
    status = db.Column(db.String(20))


def create_app() -> Flask:
    """The peer's application; with BENCH_FILL=slugs it makes and fills its tables first."""
    app = Flask(__name__)
    app.config |= {
        "SECRET_KEY": "bench",
        "SECURITY_PASSWORD_SALT": "1",
        "SQLALCHEMY_DATABASE_URI": os.environ["BENCH_DATABASE_URL"],
        "WTF_CSRF_ENABLED": False,
        "SECURITY_PASSWORD_HASH": "argon2",
    }
    db.init_app(app)

    @app.before_request
    def resolve():
        tenant = db.session.scalar(select(Tenant).where(Tenant.slug == request.host.split(".")[0]))
        if tenant is None:
            abort(404)
        g.tenant = tenant

    Security(app, SQLAlchemyUserDatastore(db, User, Role))

    @app.get("/api/v1/projects")
    @auth_required("session")
    @permissions_required("project:read")
    def read():
        mine = select(Project).where(Project.tenant_id == g.tenant.id, Project.status != "archived")
        rows = db.session.scalars(mine.order_by(Project.id.desc()).limit(21)).all()
        total = db.session.scalar(select(func.count()).select_from(mine.subquery()))
        items = [
            {"id": row.id, "name": row.name, "description": row.description, "status": row.status} for row in rows[:20]
        ]
        return jsonify(items=items, next_cursor=None, total=total)

    return app


def fill(app: Flask, slugs: list[str], users: int, projects: int) -> dict[str, str]:
    """Make the tables and rows; gives back a session cookie of one user for every slug."""
    cookies = {}
    with app.app_context():
        db.create_all()
        role = Role(name="member", permissions=["project:read"])
        db.session.add(role)
        for place, slug in enumerate(slugs, start=1):
            db.session.add(Tenant(id=place, slug=slug))
            db.session.flush()
            people = [
                User(
                    email=f"u{n}@{slug}.example",
                    tenant_id=place,
                    active=True,
                    password="-",
                    fs_uniquifier=f"{slug}-{n}",
                    roles=[role],
                )
                for n in range(users)
            ]
            db.session.add_all(people)
            db.session.execute(
                text(
                    "INSERT INTO by_hand_projects (tenant_id, name, description, status)"
                    " SELECT :t, 'Project ' || n, 'Description of project ' || n, 'active'"
                    " FROM generate_series(1, :n) n"
                ),
                {"t": place, "n": projects},
            )
            serializer = app.session_interface.get_signing_serializer(app)
            cookies[slug] = "session=" + serializer.dumps({"_user_id": f"{slug}-0", "_fresh": True})
        db.session.commit()
    return cookies


app = create_app()

"""How a transaction begins on PostgreSQL."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from auth.models import Role
from saas import create_app
from tenants.context import bound
from tests.conftest import Database
from tests.factories import make_workspace
from tests.visitor import sign_in

pytestmark = pytest.mark.postgres


@pytest.fixture(params=[False, True], ids=["direct", "behind a transaction pooler"])
def app(postgres_database: Database, request: pytest.FixtureRequest) -> Iterator[Flask]:
    app = create_app(postgres_database.settings(database_transaction_pooler=request.param, database_pool_size=1))
    yield app
    app.extensions["tenants"].engines.dispose()


def prepared_on(app: Flask) -> set[str]:
    with app.extensions["tenants"].engines.shared.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").scalars()
        return {name for name in names if name.startswith("opening_")}


def test_what_every_request_begins_with_is_prepared_unless_connections_change_hands(app: Flask) -> None:
    member = sign_in(app, make_workspace(app))
    for _ in range(3):
        assert member.get("/api/v1/me").status_code == 200
    pooler = app.extensions["tenants"].settings.database_transaction_pooler
    assert len(prepared_on(app)) == (0 if pooler else 2)


def test_a_refused_request_keeps_what_is_prepared(app: Flask) -> None:
    viewer = sign_in(app, make_workspace(app), "viewer")
    before = prepared_on(app)
    assert viewer.post_json("/api/v1/projects", {"name": "x"}).status_code == 403
    assert prepared_on(app) == before


def test_statements_that_psycopg_cleared_are_prepared_again(app: Flask) -> None:
    acme = make_workspace(app)
    member = sign_in(app, acme)
    with app.app_context():
        for _ in range(6):  # psycopg prepares, and so has something to clear
            with bound(acme.tenant) as session:
                session.scalars(select(Role)).all()
        with bound(acme.tenant) as session:
            session.begin_nested().rollback()
        with bound(acme.tenant) as session:  # without a login session to ask for
            assert session.scalars(select(Role)).all()
    assert member.get("/api/v1/me").status_code == 200
    assert member.get("/api/v1/me").status_code == 200


def test_one_of_them_may_be_gone_and_the_others_not(app: Flask) -> None:
    member = sign_in(app, make_workspace(app))
    for name in ("opening_binding", "companion"):
        assert member.get("/api/v1/me").status_code == 200
        with app.extensions["tenants"].engines.shared.connect() as connection:
            for prepared in connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").scalars().all():
                if prepared.startswith("opening_") and (prepared == "opening_binding") is (name == "opening_binding"):
                    connection.exec_driver_sql(f"DEALLOCATE {prepared}")
        assert member.get("/api/v1/me").status_code == 200

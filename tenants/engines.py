"""Engines, looked up and never global, and how a transaction begins on each kind of database.

Connections are in the driver's autocommit mode and every BEGIN is sent from here: so that on PostgreSQL it travels
with the tenant's setting in one trip, and so that SQLite begins when we say so.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from config.settings import Settings
from tenants import rls
from tenants.errors import DatabaseUnavailable
from tenants.opening import Opening, open_transaction, roll_back

log = structlog.get_logger()

T = TypeVar("T")


class Engines:
    """The databases of one application: which engine serves a tenant, and which the global tables."""

    def __init__(self, settings: Settings) -> None:
        self._production = settings.production
        self._role_is_checked = False
        self.shared = self._create(settings.database_url, settings)
        # The session begins these connections' transactions itself, see `begin`.
        self._scoped = self.shared.execution_options(
            begun_by_session=True, may_prepare=not settings.database_transaction_pooler
        )

    def of(self, tenant_id: uuid.UUID) -> Engine:
        """The engine on which that tenant is placed; today every tenant is on the shared database."""
        return self._scoped

    def ask(self, question: Callable[[Connection], T]) -> T:
        """What `question` reads on a connection to the global tables.

        Asked once more on a new connection when the pooled one turns out to be dead, say after a restart of the server.
        """
        try:
            with self.shared.connect() as connection:
                return question(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with self.shared.connect() as connection:
            return question(connection)

    def dispose(self) -> None:
        """Close every idle connection."""
        self.shared.dispose()

    def _create(self, url: str, settings: Settings) -> Engine:
        if url.startswith("sqlite"):
            engine = create_engine(
                _with_folder(url), pool_size=settings.database_pool_size, max_overflow=0, hide_parameters=True
            )
            event.listen(engine, "connect", _prepare_sqlite)
        else:
            prepare = {"prepare_threshold": None} if settings.database_transaction_pooler else {}
            engine = create_engine(
                url,
                pool_size=settings.database_pool_size,
                max_overflow=0,
                pool_timeout=10,
                connect_args={"connect_timeout": 5, **prepare},
                hide_parameters=True,  # errors are logged; the values of a statement are the tenants'
            )
            event.listen(engine, "connect", self._prepare_postgresql)
            event.listen(engine, "rollback", _roll_back_plainly)
        event.listen(engine, "begin", _begin_plainly)
        return engine

    def _prepare_postgresql(self, connection: psycopg.Connection[Any], _: Any) -> None:
        connection.autocommit = True
        if self._role_is_checked:
            return
        if self._production:
            rls.refuse_unsafe_role(connection)
        else:
            for fault in rls.faults_of_role(connection):
                log.warning("row-level security is not what keeps tenants apart here", reason=fault)
        self._role_is_checked = True  # a role does not change under a running process


def create_owner_engine(settings: Settings) -> Engine:
    """An engine that works as the owner of the tables: for migrations, never for requests."""
    engine = create_engine(_with_folder(settings.migration_database_url or settings.database_url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_plainly)
    return engine


def begin(connection: Connection, tenant_id: uuid.UUID, opening: Opening, *, writes: bool) -> None:
    """Begin a transaction confined to that tenant and fill in `opening`.

    Raises DatabaseUnavailable when a pooled connection turns out to be dead; the pool is emptied then.
    """
    if connection.dialect.name == "postgresql":
        _begin_postgresql(connection, tenant_id, opening)
    else:
        _begin_sqlite(connection, tenant_id, opening, writes=writes)


def _begin_postgresql(connection: Connection, tenant_id: uuid.UUID, opening: Opening) -> None:
    raw = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    prepared: set[str] | None = None
    if connection.get_execution_options().get("may_prepare"):
        prepared = connection.info.setdefault("prepared", set())  # lives as long as the driver's connection
    try:
        open_transaction(raw, tenant_id, opening, prepared)
    except psycopg.Error as error:
        connection.invalidate(error)
        if not isinstance(error, psycopg.OperationalError):
            raise
        connection.engine.dispose()
        raise DatabaseUnavailable("the connection to the database was lost") from error


def _roll_back_plainly(connection: Connection) -> None:
    if not connection.invalidated and not connection.closed:
        roll_back(cast("psycopg.Connection[Any]", connection.connection.driver_connection))


def _begin_sqlite(connection: Connection, tenant_id: uuid.UUID, opening: Opening, *, writes: bool) -> None:
    # A reader that turns writer fails at once when another has written meanwhile, without waiting for the busy
    # timeout: who may write says so at the beginning.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    version = connection.exec_driver_sql("SELECT version FROM tenants WHERE id = ?", (tenant_id.hex,)).first()
    opening.version = version[0] if version else None
    if opening.companion is not None:
        parameters = {**opening.parameters, "bound_tenant": tenant_id}
        opening.answer = connection.execute(opening.companion, parameters).first()


def _begin_plainly(connection: Connection) -> None:
    if not connection.get_execution_options().get("begun_by_session"):
        connection.exec_driver_sql("BEGIN")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing on its own
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _with_folder(url: str) -> str:
    path = make_url(url).database
    if url.startswith("sqlite") and path and path != ":memory:":
        Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    return url

"""The base of all models, and the session that sees one tenant.

Two of the three walls stand here: criteria that the session adds to every statement, and composite keys (see
`TenantScoped`). The third, row-level security, is in `rls.py`; the session switches it on with each transaction.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary

import uuid_utils.compat as uuid7
from flask import current_app, g
from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    Row,
    Select,
    Table,
    Uuid,
    bindparam,
    event,
    insert,
    inspect,
    literal,
    update,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    SessionTransaction,
    mapped_column,
    with_loader_criteria,
)
from sqlalchemy.types import TypeDecorator

from tenants.confinement import check_statement, check_values
from tenants.engines import Engines, begin
from tenants.errors import CrossTenantAccess, NoTenantBound, UnscopedStatement
from tenants.opening import Opening


def now() -> datetime:
    """The current time, UTC and aware: the only clock of the application."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite forgets the zone, so it is given back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: times are UTC and aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware time."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    """Base of every model; one metadata, so that one migration history describes it."""

    own_column: ClassVar[str] = "tenant_id"
    """Holds the id of the tenant whose row it is; nobody else writes it."""

    decides_access: ClassVar[frozenset[str]] = frozenset()
    """Columns on which somebody's access depends: a change of one, or a new or deleted row, raises the tenant's
    version, by which every process notices on its next request."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        uuid.UUID: Uuid(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


def bound_tenant_id() -> uuid.UUID:
    """Id of the tenant that the current application context is bound to. Raises NoTenantBound."""
    session: TenantSession | None = g.get("db") if g else None
    if session is None:
        raise NoTenantBound("no tenant is bound: wrap this in `with bound(tenant):`")
    return session.tenant_id


class TenantScoped:
    """A row that belongs to a tenant.

    The primary key is (tenant_id, id). A foreign key to another such table carries tenant_id (`within_tenant`), so
    that the database itself refuses a reference across tenants. Unique constraints start with tenant_id.
    """

    tenant_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tenants.id"), primary_key=True, sort_order=-20, default=bound_tenant_id
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, sort_order=-10, default=uuid7.uuid7)

    decides_access: ClassVar[frozenset[str]]  # of Base, beside which this always stands

    @classmethod
    def of_bound_tenant(cls) -> Any:
        """The criterion that confines this class to the bound tenant, whichever that is when it runs."""
        return cls.tenant_id == bindparam("bound_tenant", callable_=bound_tenant_id, type_=Uuid())


def within_tenant(column: str, target: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    """Foreign key from (tenant_id, `column`) to the primary key of the tenant-scoped table `target`."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{target}.tenant_id", f"{target}.id"], ondelete=ondelete)


M = TypeVar("M", bound=TenantScoped)


class TenantSession(Session):
    """A session that sees one tenant, and raises where it could be made to see another."""

    def __init__(self, tenant_id: uuid.UUID, engines: Engines, *, writes: bool) -> None:
        super().__init__(engines.of(tenant_id), expire_on_commit=False)
        self.tenant_id = tenant_id
        self.writes = writes
        self.opening = Opening()

    def find(self, model: type[M], id: uuid.UUID | None) -> M | None:
        """The tenant's row of that id, or None; a foreign id is as good as a missing one."""
        return self.get(model, (self.tenant_id, id)) if id is not None else None

    def merge(self, instance: Any, **options: Any) -> Any:
        """Merge an instance of this tenant. Raises CrossTenantAccess for another's, also when nothing is loaded."""
        _refuse_foreign(self, instance)
        return super().merge(instance, **options)

    def bulk_save_objects(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: SQLAlchemy asks nobody before it writes in this way. Use `insert(...)` or `add_all`."""
        raise UnscopedStatement("bulk_... methods cannot be confined to a tenant: use insert() or update()")

    bulk_insert_mappings = bulk_update_mappings = bulk_save_objects

    def rows(self, statement: Select[Any], parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """Rows of columns, for lists: confined like everything else, without the cost of entities.

        `statement` selects columns of mapped classes and is built once, at import.
        """
        self._check_context()
        if not statement.is_select:
            raise UnscopedStatement("rows() reads; let execute() write")
        if self.new or self.dirty or self.deleted:
            self.flush()
        return self.connection().execute(_with_criteria(statement), parameters).all()

    def add_row(self, model: type[TenantScoped], values: Mapping[str, Any]) -> Row[Any]:
        """Insert one row of this tenant and give it back with its defaults, without the cost of an entity."""
        self._check_context()
        if values.get("tenant_id", self.tenant_id) != self.tenant_id:
            raise CrossTenantAccess("a write into another tenant")
        if model.decides_access:
            _raise_version(self)
        return self.connection().execute(_insertion(cast("Any", model)), {**values, "tenant_id": self.tenant_id}).one()

    def release(self) -> None:
        """Give the connection back before slow work that needs no database; what was loaded stays loaded.

        Commits what was done so far, so it belongs before the first change.
        """
        if self.in_transaction():
            self.commit()

    def _check_context(self) -> None:
        if bound_tenant_id() != self.tenant_id:
            raise CrossTenantAccess("this session is bound to another tenant than the context")


def open_session(tenant_id: uuid.UUID, *, writes: bool) -> TenantSession:
    """A session for that tenant on its placement; it connects when first used."""
    return TenantSession(tenant_id, current_app.extensions["tenants"].engines, writes=writes)


@cache
def _insertion(model: Any) -> Any:
    table = cast("Table", inspect(model).local_table)
    return insert(table).returning(*table.columns)


@event.listens_for(TenantSession, "after_begin")
def _open_transaction(session: TenantSession, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        begin(connection, session.tenant_id, session.opening, writes=session.writes)


_CRITERIA = with_loader_criteria(TenantScoped, lambda cls: cls.of_bound_tenant(), include_aliases=True)
# Statements are built once, at import; so is their confined form, which would cost as much as running them.
_confined: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


@event.listens_for(TenantSession, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    session = cast("TenantSession", state.session)
    session._check_context()
    if not state.is_orm_statement:
        raise UnscopedStatement("a tenant's session takes ORM statements only: text and Core SQL cannot be confined")
    if state.is_insert or state.is_update or state.is_delete:
        _confine_write(state, session)
    if not state.is_relationship_load and not state.is_column_load:
        state.statement = _with_criteria(state.statement)


def _with_criteria(statement: Any) -> Any:
    confined = _confined.get(statement)
    if confined is None:
        check_statement(statement)
        # An INSERT takes no criteria; a copy all the same, for a value that held its key would keep it for ever.
        confined = statement.options(*(() if statement.is_insert else (_CRITERIA,)))
        _confined[statement] = confined
    return confined


def _confine_write(state: ORMExecuteState, session: TenantSession) -> None:
    statement: Any = state.statement
    model: Any = state.bind_mapper.class_ if state.bind_mapper is not None else Base
    check_values(statement, state.parameters, model.own_column, session.tenant_id)
    if state.is_update and isinstance(state.parameters, list) and not issubclass(model, TenantScoped):
        raise UnscopedStatement(f"an UPDATE of {model.__name__} by primary key cannot be confined to a tenant")
    if not issubclass(model, TenantScoped) and not state.is_insert:
        state.statement = statement.where(getattr(model, model.own_column) == session.tenant_id)
    if model.decides_access:
        _raise_version(session)


@event.listens_for(TenantSession, "before_attach")
def _refuse_foreign(session: TenantSession, instance: Any) -> None:
    if not isinstance(instance, TenantScoped):
        return
    state = inspect(instance)
    # Of an expired instance only the identity is left.
    owner = state.identity[0] if state.identity else state.dict.get("tenant_id")
    if owner not in (None, session.tenant_id):
        raise CrossTenantAccess(f"a {type(instance).__name__} of another tenant")


@event.listens_for(TenantSession, "before_flush")
def _check_written(session: TenantSession, *_: Any) -> None:
    changes_access = False
    for instance in (*session.new, *session.dirty, *session.deleted):
        tenant_id: Any = getattr(instance, instance.own_column)
        if tenant_id is None:  # until it is given one here
            setattr(instance, instance.own_column, session.tenant_id)
        elif tenant_id != session.tenant_id:
            raise CrossTenantAccess(f"a {type(instance).__name__} of another tenant")
        changes_access = changes_access or _changes_access(session, instance)
    if changes_access:
        _raise_version(session)


def _changes_access(session: TenantSession, instance: Any) -> bool:
    if not instance.decides_access:
        return False
    if instance in session.new or instance in session.deleted:
        return True
    attributes = inspect(instance).attrs
    return any(attributes[name].history.has_changes() for name in instance.decides_access)


def _raise_version(session: TenantSession) -> None:
    table = Base.metadata.tables["tenants"]
    # On the connection: the session itself takes no Core statement, and the row is this tenant's own.
    session.connection().execute(
        update(table).where(table.c.id == literal(session.tenant_id, Uuid())).values(version=table.c.version + 1)
    )

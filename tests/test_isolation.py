"""A row of tenant A is invisible and unwritable from tenant B, for every table and every route, now and later.

The attacks are generated from the models and the URL map, so what is added is attacked too.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    String,
    UniqueConstraint,
    cast,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, joinedload, make_transient, make_transient_to_detached, selectinload
from werkzeug.routing import Rule, UUIDConverter
from werkzeug.test import TestResponse

from auth import api_tokens, clients, service_accounts
from auth.client_models import Consent
from auth.models import Grant, Group, LoginSession, Membership, Role, User
from auth.providers.models import ProviderConfig, ProvisioningToken
from auth.scim.models import ScimResource
from auth.token_models import ApiToken
from saas import openapi
from saas.projects.models import Project, ProjectUpdate
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.context import bind, bound, unbind
from tenants.db import Base, TenantSession
from tenants.errors import CrossTenantAccess, NoTenantBound, UnscopedStatement
from tenants.models import Domain, TenantRow
from tests.factories import Workspace, make_workspace
from tests.rows import MODELS, links_of, make_row, model_of, own_column, plain_columns, table_of
from tests.visitor import Visitor, sign_in

Model = type[Any]
SCOPED = [table_of(model) for model in MODELS]
by_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
by_table = pytest.mark.parametrize("table", SCOPED, ids=lambda table: table.name)
links = [(model, link) for model in MODELS for link in links_of(table_of(model))]
by_link = pytest.mark.parametrize(
    ("model", "link"), links, ids=[f"{model.__name__}.{own_column(link).name}" for model, link in links]
)
NOWHERE = {"issuer": "http://127.0.0.1:1", "client_id": "x", "client_auth": "none", "insecure": True}
GIVEN: dict[Model, dict[str, Any]] = {
    ProviderConfig: {"enabled": True, "kind": "oidc", "settings": NOWHERE},
}
"""What a row has to be for its owner to see it on every page that shows one."""
ACROSS_TENANTS = {"uq_mail_domains_owner"}
"""Constraints that say that something has one owner among all tenants."""
ROLE = "viewer"
"""A role that the users whose rows are made hold; its name stands in addresses."""
MISSING = uuid.UUID("01900000-0000-7000-8000-000000000000")


class ServiceAccount:
    """Stands for users that are programs: some addresses are theirs only."""


class App:
    """Stands for the programs that are apps: some addresses are theirs only."""


class Credential:
    """Stands for the programs by which service accounts prove themselves."""


class ProvisionedUser:
    """Stands for what was provisioned and is a user."""


class ProvisionedGroup:
    """Stands for what was provisioned and is a group."""


class MemberToken:
    """Stands for personal tokens of others than the owner, who asks."""


@dataclass(frozen=True)
class Pair:
    """Two tenants with a row in every table: A's are attacked, from B."""

    app: Flask
    a: Workspace
    b: Workspace
    of_a: dict[Model, uuid.UUID]
    of_b: dict[Model, uuid.UUID]

    def read(self, model: Model) -> list[dict[str, Any]]:
        """Every row of A in that table, as it is now."""
        columns = [attribute.key for attribute in inspect(model).column_attrs]
        with self.app.app_context(), bound(self.a.tenant, writes=False) as session:
            rows = session.scalars(select(model).order_by(model.id)).all()
            return [{name: getattr(row, name) for name in columns} for row in rows]


@pytest.fixture(scope="module")
def pair(app: Flask) -> Pair:
    a, b = make_workspace(app), make_workspace(app)
    made: list[dict[Model, uuid.UUID]] = []
    for workspace in (a, b):
        with app.app_context(), bound(workspace.tenant) as session:
            made.append({model: make_row(session, model, **GIVEN.get(model, {})).id for model in MODELS})
            add_programs(made[-1])
            add_belongings(session, workspace.people["owner"].id, made[-1])
    return Pair(app, a, b, *made)


def add_programs(made: dict[Model, uuid.UUID]) -> None:
    """A service account with its credential, and an app."""
    account, back = service_accounts.create_account("Robot", actor=None), ["https://app.example/"]
    made[ServiceAccount] = account.id
    made[Credential] = clients.add_credential(account, "Key", actor=None)[0].id
    made[App] = clients.add_app("App", redirects=back, permissions=[], actor=None)[0].id


def add_belongings(session: TenantSession, owner: uuid.UUID, made: dict[Model, uuid.UUID]) -> None:
    """What belongs to another row of the same address, or to the owner, for people see none but their own."""

    def add(model: Model, **given: Any) -> uuid.UUID:
        found: uuid.UUID = make_row(session, model, **given).id
        return found

    personal = {"kind": api_tokens.PERSONAL, "permissions": [], "expires_at": None}
    user, group, project, source = made[User], made[Group], made[Project], made[ProviderConfig]
    made[ApiToken] = api_tokens.issue(owner, **personal)[0].id
    made[MemberToken] = api_tokens.issue(user, **personal)[0].id
    made[LoginSession] = add(LoginSession, user_id=owner)
    made[Consent] = add(Consent, user_id=owner, client_id=made[App])
    made[ProjectUpdate] = add(ProjectUpdate, project_id=project)
    made[ProvisioningToken] = add(ProvisioningToken, provider_id=source)
    made[ProvisionedUser] = add(ScimResource, kind="User", provider_id=source, user_id=user, group_id=None)
    made[ProvisionedGroup] = add(ScimResource, kind="Group", provider_id=source, user_id=None, group_id=group)
    add(Membership, user_id=user, group_id=group)
    add(Grant, user_id=None, group_id=group, role_id=made[Role], object_type="", object_id=None)
    ids = {name: id for id, name in session.execute(select(Role.id, Role.name))}
    for holder, role in ((user, ids[ROLE]), (made[ServiceAccount], made[Role])):
        add(Grant, user_id=holder, group_id=None, role_id=role, object_type="", object_id=None)
    add(Grant, user_id=user, group_id=None, role_id=ids[EDITOR.name], object_type=OBJECT_TYPE, object_id=project)


@pytest.fixture
def b(pair: Pair) -> Iterator[TenantSession]:
    """A session of B; what it did is committed, unless it was refused."""
    with pair.app.app_context():
        yield bind(pair.b.tenant, writes=True)
        unbind()


@pytest.fixture
def key(pair: Pair, request: pytest.FixtureRequest) -> tuple[uuid.UUID, uuid.UUID]:
    """The primary key of A's row of the test's model."""
    return pair.a.tenant.id, pair.of_a[request.getfixturevalue("model")]


@pytest.fixture
def untouched(pair: Pair, request: pytest.FixtureRequest) -> Iterator[None]:
    """A's rows of the test's model are after the test what they were before."""
    model = request.getfixturevalue("model")
    before = pair.read(model)
    assert before
    yield
    assert pair.read(model) == before


Key = tuple[uuid.UUID, uuid.UUID]


def copy_of(pair: Pair, model: Model) -> Any:
    """A's row as an instance of no session."""
    with pair.app.app_context(), bound(pair.a.tenant, writes=False) as session:
        row = session.find(model, pair.of_a[model])
        assert row is not None
        session.expunge(row)
        return row


class TestReading:
    """The session sees one tenant's rows."""

    @by_model
    def test_a_key_of_another_tenant_gets_nothing(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.get(model, key) is None
        assert b.get(model, key, populate_existing=True, with_for_update=True) is None

    @by_model
    def test_an_id_of_another_tenant_finds_nothing(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.find(model, key[1]) is None

    @by_model
    def test_the_own_row_is_found(self, model: Model, pair: Pair, b: TenantSession) -> None:
        assert b.find(model, pair.of_b[model]) is not None

    @by_model
    def test_a_select_gives_own_rows_only(self, model: Model, pair: Pair, b: TenantSession) -> None:
        found = b.scalars(select(model)).all()
        assert found
        assert {row.tenant_id for row in found} == {pair.b.tenant.id}

    @by_model
    def test_a_select_by_another_tenants_id_gives_nothing(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.execute(select(model.id).where(model.id == key[1])).all() == []
        assert b.execute(select(model.id).where(model.tenant_id == key[0])).all() == []

    @by_model
    def test_aggregates_count_own_rows_only(self, model: Model, pair: Pair, b: TenantSession) -> None:
        own = len(b.scalars(select(model)).all())
        assert b.scalar(select(func.count()).select_from(model)) == own
        assert b.scalar(select(func.count(model.id))) == own
        assert b.scalar(select(func.count()).select_from(model).where(model.id == pair.of_a[model])) == 0

    @by_model
    def test_an_alias_is_confined(self, model: Model, key: Key, b: TenantSession) -> None:
        other = aliased(model)
        assert b.execute(select(other.id).where(other.id == key[1])).all() == []

    @by_model
    def test_subqueries_are_confined(self, model: Model, key: Key, b: TenantSession) -> None:
        found = select(model.id).where(model.id == key[1])
        assert b.execute(select(found.subquery())).all() == []
        assert b.execute(select(found.cte())).all() == []
        assert b.scalar(select(found.scalar_subquery())) is None
        assert b.scalar(select(exists(found))) is False
        assert b.execute(select(User.id).where(exists(found))).all() == []
        assert b.execute(select(User.id).where(exists().where(model.id == key[1]))).all() == []

    @by_model
    def test_unions_are_confined(self, model: Model, key: Key, b: TenantSession) -> None:
        found = select(model.id).where(model.id == key[1])
        assert b.execute(union_all(found, found)).all() == []
        assert b.execute(select(union_all(found, found).subquery())).all() == []

    @by_model
    def test_joins_are_confined(self, model: Model, key: Key, b: TenantSession) -> None:
        other = aliased(model)
        its, others = model.tenant_id == TenantRow.id, other.tenant_id == TenantRow.id
        assert b.execute(select(TenantRow.id).join(model, its & (model.id == key[1]))).all() == []
        assert b.execute(select(TenantRow.id).outerjoin(other, others).where(other.id == key[1])).all() == []
        assert b.execute(select(TenantRow.id).where(others, other.id == key[1])).all() == []
        assert key[0] not in b.scalars(select(TenantRow.id).join(model, its)).all()

    @by_model
    def test_relationships_load_own_rows_only(self, model: Model, pair: Pair, b: TenantSession) -> None:
        for name in [relationship.key for relationship in inspect(model).relationships]:
            for load in (selectinload, joinedload):
                b.expunge_all()
                for row in b.scalars(select(model).options(load(getattr(model, name)))).unique():
                    loaded = getattr(row, name)
                    related = loaded if isinstance(loaded, list) else [loaded]
                    assert all(one is None or one.tenant_id == pair.b.tenant.id for one in related)

    @by_model
    def test_a_legacy_query_is_confined(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.query(model).filter(model.id == key[1]).all() == []

    @by_model
    def test_rows_of_columns_are_own_rows(self, model: Model, pair: Pair, key: Key, b: TenantSession) -> None:
        other = aliased(model)
        assert {row.tenant_id for row in b.rows(select(model.tenant_id))} == {pair.b.tenant.id}
        assert b.rows(select(func.count()).select_from(model).where(model.id == key[1])) == [(0,)]
        assert b.rows(select(other.id).where(other.id == key[1])) == []
        assert b.rows(select(select(model.id).where(model.id == key[1]).subquery())) == []
        assert b.rows(select(User.id).where(exists(select(model.id).where(model.id == key[1])))) == []

    @by_model
    def test_rows_that_are_loaded_in_batches_are_own_rows(self, model: Model, pair: Pair, b: TenantSession) -> None:
        found = b.scalars(select(model).execution_options(yield_per=1))
        assert {row.tenant_id for row in found} == {pair.b.tenant.id}


@pytest.mark.usefixtures("untouched")
class TestWriting:
    """The session writes one tenant's rows."""

    @by_model
    def test_an_update_reaches_own_rows_only(self, model: Model, key: Key, b: TenantSession) -> None:
        name = plain_columns(model)[0] if plain_columns(model) else "id"
        same = {name: getattr(model, name)}
        assert b.execute(update(model).where(model.id == key[1]).values(same)).rowcount == 0
        own = len(b.scalars(select(model)).all())
        assert b.execute(update(model).values(same)).rowcount == own
        b.commit()

    @by_model
    def test_a_delete_reaches_own_rows_only(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.execute(delete(model).where(model.id == key[1])).rowcount == 0
        assert b.execute(delete(model).where(model.tenant_id == key[0])).rowcount == 0
        b.commit()

    @by_model
    def test_a_legacy_update_reaches_own_rows_only(self, model: Model, key: Key, b: TenantSession) -> None:
        assert b.query(model).filter(model.id == key[1]).delete() == 0
        b.commit()

    @by_model
    def test_a_subquery_of_a_write_sees_own_rows_only(self, model: Model, key: Key, b: TenantSession) -> None:
        other = aliased(model)
        assert b.execute(delete(model).where(exists(select(other.id).where(other.id == key[1])))).rowcount == 0
        b.commit()

    @by_model
    def test_an_update_moves_no_row_to_another_tenant(self, model: Model, key: Key, b: TenantSession) -> None:
        with pytest.raises(CrossTenantAccess):
            b.execute(update(model).values(tenant_id=key[0]))
        with pytest.raises(CrossTenantAccess):
            b.execute(update(model), {"tenant_id": key[0]})

    @by_model
    def test_an_update_by_primary_key_reaches_no_other_tenant(self, model: Model, key: Key, b: TenantSession) -> None:
        with pytest.raises(CrossTenantAccess):
            b.execute(update(model), [{"tenant_id": key[0], "id": key[1]}])

    @by_model
    def test_the_tenant_of_an_instance_cannot_be_changed(
        self, model: Model, pair: Pair, key: Key, b: TenantSession
    ) -> None:
        row = b.find(model, pair.of_b[model])
        assert row is not None
        row.tenant_id = key[0]
        with pytest.raises(CrossTenantAccess):
            b.flush()

    @by_model
    def test_an_instance_for_another_tenant_cannot_be_added(self, model: Model, key: Key, b: TenantSession) -> None:
        with pytest.raises(CrossTenantAccess):
            b.add(model(tenant_id=key[0]))

    @by_model
    def test_an_instance_that_is_given_to_another_tenant_later_is_not_written(
        self, model: Model, key: Key, b: TenantSession
    ) -> None:
        row = model()
        b.add(row)
        row.tenant_id = key[0]
        with pytest.raises(CrossTenantAccess):
            b.flush()

    @by_model
    def test_inserts_for_another_tenant_are_refused(self, model: Model, key: Key, b: TenantSession) -> None:
        foreign = {"tenant_id": key[0]}
        for attempt in (
            lambda: b.execute(insert(model).values(foreign)),
            lambda: b.execute(insert(model).values([{"tenant_id": b.tenant_id}, foreign])),
            lambda: b.execute(insert(model), foreign),
            lambda: b.execute(insert(model), [{"tenant_id": b.tenant_id}, foreign]),
            lambda: b.execute(insert(model).values({model.tenant_id: key[0]})),
            lambda: b.execute(insert(model).values(tenant_id=select(TenantRow.id).limit(1).scalar_subquery())),
        ):
            with pytest.raises(CrossTenantAccess):
                attempt()

    @by_model
    def test_a_single_row_for_another_tenant_is_refused(self, model: Model, key: Key, b: TenantSession) -> None:
        with pytest.raises(CrossTenantAccess):
            b.add_row(model, {"tenant_id": key[0]})

    @by_model
    def test_an_upsert_moves_no_row_to_another_tenant(
        self, model: Model, pair: Pair, key: Key, b: TenantSession
    ) -> None:
        dialect = postgresql if b.get_bind().dialect.name == "postgresql" else sqlite
        upsert = dialect.insert(model).values(id=pair.of_b[model])
        with pytest.raises(CrossTenantAccess):
            b.execute(upsert.on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"tenant_id": key[0]}))

    @by_model
    def test_another_tenants_instance_is_not_taken_in(
        self, model: Model, pair: Pair, key: Key, b: TenantSession
    ) -> None:
        for take_in in (b.add, b.delete, lambda row: b.merge(row, load=False), b.merge):
            with pytest.raises(CrossTenantAccess):
                take_in(copy_of(pair, model))

    @by_model
    def test_a_made_up_identity_of_another_tenant_is_not_taken_in(
        self, model: Model, key: Key, b: TenantSession
    ) -> None:
        known = model(tenant_id=key[0], id=key[1])
        make_transient_to_detached(known)
        with pytest.raises(CrossTenantAccess):
            b.add(known)
        # As an instance is after the rollback of the session that it was in: only its identity is known.
        forgotten = model(tenant_id=key[0], id=key[1])
        make_transient_to_detached(forgotten)
        state = inspect(forgotten)
        state._expire(state.dict, set())
        with pytest.raises(CrossTenantAccess):
            b.add(forgotten)

    @by_model
    def test_a_copy_that_forgets_its_past_becomes_an_own_row_or_is_refused(
        self, model: Model, pair: Pair, b: TenantSession
    ) -> None:
        row = copy_of(pair, model)
        make_transient(row)
        with pytest.raises(CrossTenantAccess):
            b.add(row)

    @by_model
    def test_methods_that_ask_nobody_are_refused(self, model: Model, pair: Pair, key: Key, b: TenantSession) -> None:
        mapping = [{"tenant_id": key[0], "id": key[1]}]
        for attempt in (
            lambda: b.bulk_insert_mappings(model, mapping),
            lambda: b.bulk_update_mappings(model, mapping),
            lambda: b.bulk_save_objects([copy_of(pair, model)]),
        ):
            with pytest.raises(UnscopedStatement):
                attempt()


class TestUnscoped:
    """What cannot be confined is refused before it is sent."""

    @by_model
    def test_core_statements_are_refused(self, model: Model, b: TenantSession) -> None:
        table = table_of(model)
        for statement in (
            select(table),
            select(table.c.id),
            select(table.alias()),
            select(func.count()).select_from(table),
            insert(table).values(id=uuid.uuid4()),
            update(table).values(id=uuid.uuid4()),
            delete(table),
        ):
            with pytest.raises(UnscopedStatement):
                b.execute(statement)
            with pytest.raises(UnscopedStatement):
                b.rows(statement)

    @by_model
    def test_core_parts_of_statements_are_refused(self, model: Model, b: TenantSession) -> None:
        table = table_of(model)
        whose = TenantRow  # of whose rows everybody may read
        for statement in (
            select(whose.id, table.c.id).where(table.c.tenant_id == whose.id),
            select(whose.id).join(table, table.c.tenant_id == whose.id),
            select(whose.id).select_from(table).where(whose.id == table.c.tenant_id),
            select(whose.id).where(exists(select(table.c.id))),
            select(whose.id).where(table.c.tenant_id == whose.id),
            select(whose.id).where(whose.id.in_(select(table.alias().c.tenant_id))),
            select(whose.id, func.max(cast(table.c.id, String))).where(table.c.tenant_id == whose.id),
            update(User).where(exists(select(table.c.id).where(table.c.tenant_id != User.tenant_id))).values(name="x"),
            delete(User).where(User.id.in_(select(table.c.id))),
        ):
            with pytest.raises(UnscopedStatement):
                b.execute(statement)
            with pytest.raises(UnscopedStatement):
                b.rows(statement)

    @by_model
    def test_text_is_refused(self, model: Model, b: TenantSession) -> None:
        everything = text(f"SELECT * FROM {table_of(model).name}")
        for statement in (
            everything,
            select(model).from_statement(everything),
            select(model.id).where(text("1 = 1 OR 1 = 1")),
            select(model.id).where(literal_column("1 = 1 OR 1 = 1")),
            select(model.id).order_by(text("1")),
            select(model.id).select_from(text(table_of(model).name)),
            select(literal_column(f"(SELECT count(*) FROM {table_of(model).name})")).select_from(model),
            everything.columns(model.id),
            update(model).where(text("1 = 1 OR 1 = 1")).values(id=uuid.uuid4()),
        ):
            with pytest.raises(UnscopedStatement):
                b.execute(statement)
            with pytest.raises(UnscopedStatement):
                b.rows(statement)

    @by_model
    def test_writes_that_join_or_select_are_refused(self, model: Model, b: TenantSession) -> None:
        other = User if model is not User else Project
        for statement in (
            update(other).where(other.id == model.id).values(name="x"),
            update(other).values(name=cast(model.id, String)),
            delete(other).where(other.id == model.id),
            insert(model).from_select(["tenant_id", "id"], select(model.tenant_id, model.id)),
            insert(other).values(name=select(cast(model.id, String)).limit(1).scalar_subquery()),
            select(other.id).add_cte(delete(model).cte()),
        ):
            with pytest.raises(UnscopedStatement):
                b.execute(statement)


class TestBinding:
    """A tenant is bound, and it is the session's, or nothing is read."""

    @by_model
    def test_without_a_tenant_nothing_is_read(self, model: Model, pair: Pair) -> None:
        with pair.app.app_context(), bound(pair.a.tenant) as session:
            unbind()
            with pytest.raises(NoTenantBound):
                session.scalars(select(model)).all()
            with pytest.raises(NoTenantBound):
                session.rows(select(model.id))
            with pytest.raises(NoTenantBound):
                session.add_row(model, {})
            bind(pair.a.tenant, writes=False)

    @by_model
    def test_without_an_application_nothing_is_read(self, model: Model, pair: Pair) -> None:
        with pair.app.app_context():
            session = bind(pair.a.tenant, writes=False)
            unbind()
        with pytest.raises(NoTenantBound):
            session.scalars(select(model)).all()
        session.close()

    @by_model
    def test_the_session_of_an_outer_tenant_is_refused_within_an_inner_one(self, model: Model, pair: Pair) -> None:
        with pair.app.app_context(), bound(pair.a.tenant) as outer:
            with bound(pair.b.tenant) as inner:
                with pytest.raises(CrossTenantAccess):
                    outer.scalars(select(model)).all()
                with pytest.raises(CrossTenantAccess):
                    outer.rows(select(model.id))
                with pytest.raises(CrossTenantAccess):
                    outer.add_row(model, {})
                assert inner.find(model, pair.of_b[model]) is not None
            assert outer.find(model, pair.of_a[model]) is not None


class TestGlobalTables:
    """Tenants and their hosts: everybody reads them, nobody writes another's."""

    def test_another_tenants_row_cannot_be_written(self, pair: Pair, b: TenantSession) -> None:
        row = b.get_one(TenantRow, pair.a.tenant.id)
        row.name = "Taken over"
        with pytest.raises(CrossTenantAccess):
            b.flush()
        b.rollback()
        b.delete(b.get_one(TenantRow, pair.a.tenant.id))
        with pytest.raises(CrossTenantAccess):
            b.flush()

    def test_statements_write_the_own_row_only(self, pair: Pair, b: TenantSession) -> None:
        assert b.execute(update(TenantRow).values(plan=TenantRow.plan)).rowcount == 1
        assert b.execute(update(TenantRow).where(TenantRow.id == pair.a.tenant.id).values(name="x")).rowcount == 0
        assert b.execute(delete(Domain).where(Domain.tenant_id == pair.a.tenant.id)).rowcount == 0
        with pytest.raises(UnscopedStatement):
            b.execute(update(TenantRow), [{"id": pair.b.tenant.id, "name": "x"}])

    def test_a_host_cannot_be_given_to_another_tenant(self, pair: Pair, b: TenantSession) -> None:
        for attempt in (
            lambda: b.execute(insert(Domain).values(host="x.example", tenant_id=pair.a.tenant.id)),
            lambda: b.execute(update(Domain).values(tenant_id=pair.a.tenant.id)),
            lambda: (b.add(Domain(host="x.example", tenant_id=pair.a.tenant.id)), b.flush()),
        ):
            with pytest.raises(CrossTenantAccess):
                attempt()
            b.rollback()


class TestKeys:
    """The database itself refuses a reference across tenants."""

    @by_table
    def test_the_primary_key_starts_with_the_tenant(self, table: Any) -> None:
        assert [column.name for column in table.primary_key] == ["tenant_id", "id"]

    @by_table
    def test_every_unique_constraint_and_index_starts_with_the_tenant(self, table: Any) -> None:
        uniques = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
        for one in (*uniques, *table.indexes):
            if one.name in ACROSS_TENANTS:
                continue
            assert next(iter(one.columns)).name == "tenant_id", one

    @by_table
    def test_no_column_is_unique_or_foreign_by_itself(self, table: Any) -> None:
        for column in table.columns:
            assert not column.unique, column
        for key in table.foreign_key_constraints:
            referred = {element.target_fullname for element in key.elements}
            if key.referred_table.name == "tenants":
                assert referred == {"tenants.id"}
            else:
                assert key.column_keys[0] == "tenant_id"
                assert f"{key.referred_table.name}.tenant_id" in referred

    def test_every_table_is_scoped_or_known_to_be_global(self) -> None:
        assert set(Base.metadata.tables) - {table.name for table in SCOPED} == {"tenants", "domains"}

    @by_link
    def test_a_reference_to_another_tenants_row_is_refused(
        self, model: Model, link: Any, pair: Pair, b: TenantSession
    ) -> None:
        foreign = pair.of_a[model_of(link.referred_table)]
        row = b.find(model, pair.of_b[model])
        assert row is not None
        if own_column(link).nullable:  # of references that exclude each other only the tested one is given
            for other in links_of(table_of(model)):
                if own_column(other).nullable:
                    setattr(row, own_column(other).name, None)
        setattr(row, own_column(link).name, foreign)
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            b.flush()


def routes_with_ids(app: Flask) -> list[Rule]:
    return [
        rule
        for rule in app.url_map.iter_rules()
        if any(isinstance(converter, UUIDConverter) for converter in rule._converters.values())
    ]


def described(app: Flask, rule: Rule, method: str) -> dict[str, Any]:
    """What the operation is to be sent, as its description has it for an example."""
    if "openapi" not in app.extensions:
        app.extensions["openapi"] = openapi.describe(app)
    told = app.extensions["openapi"]["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)][method.lower()]
    body = told["requestBody"]["content"]["application/json"]["example"] if "requestBody" in told else None
    query = {one["name"]: "x" for one in told["parameters"] if one["in"] == "query" and one.get("required")}
    return {"json": body, "query_string": query}


_STAND_INS: dict[str, Model] = {
    "account": ServiceAccount,
    "client": App,
    "credential": Credential,
    "provisioned_user": ProvisionedUser,
    "provisioned_group": ProvisionedGroup,
    "member_token": MemberToken,
}


def model_named(argument: str) -> Model:
    """The model that an argument such as project_id is about."""
    stem = argument.removesuffix("_id")
    if stem in _STAND_INS:
        return _STAND_INS[stem]
    names = {re.sub(r"(?<!^)(?=[A-Z])", "_", model.__name__).lower(): model for model in MODELS}
    for name, model in sorted(names.items(), key=lambda item: len(item[0])):
        if name == stem or name.endswith(f"_{stem}"):
            return model
    raise AssertionError(f"the argument {argument} is about no model: name it <model>_id")


def facts(answer: TestResponse, *ids: uuid.UUID) -> tuple[Any, ...]:
    """What an answer tells: without the request's own number and the ids that it was asked with."""
    body = answer.get_data(as_text=True)
    for text_of in (answer.headers.get("X-Request-ID") or "-", *map(str, ids)):
        body = body.replace(text_of, "*")
    body = re.sub(r'(csrf_token"[^>]*?value=")[^"]+', r"\1*", body)
    told = ("X-Request-ID", "Set-Cookie", "Date", "RateLimit-Remaining", "RateLimit-Reset")
    headers = {name: value for name, value in answer.headers if name not in told}
    location = headers.pop("Location", "")
    for one in ids:
        location = location.replace(str(one), "*")
    headers.pop("Content-Length", None)
    return answer.status_code, body, location, headers


@pytest.fixture(scope="module")
def owner(pair: Pair) -> Visitor:
    """B's owner, signed in."""
    return sign_in(pair.app, pair.b, "owner")


class TestRoutes:
    """A foreign id answers exactly like one that never was."""

    @pytest.fixture
    def ask(self, pair: Pair, owner: Visitor) -> Callable[[Rule, str, dict[str, uuid.UUID]], TestResponse]:
        token = owner.csrf_token()

        def ask(rule: Rule, method: str, values: dict[str, uuid.UUID]) -> TestResponse:
            path = pair.app.url_map.bind("localhost").build(rule.endpoint, values, method=method)
            if path.startswith("/api/"):
                headers = {"X-CSRFToken": token, "Origin": owner.base}
                given = described(pair.app, rule, method)
                return owner.client.open(path, method=method, base_url=owner.base, headers=headers, **given)
            if method == "POST":
                return owner.post(
                    path, {"name": "Taken over", "body": "x", "email": pair.b.people["member"].email}, csrf=token
                )
            return owner.client.open(path, method=method, base_url=owner.base, headers={"X-CSRFToken": token})

        return ask

    def test_there_are_such_routes(self, app: Flask) -> None:
        assert len(routes_with_ids(app)) > 5

    def test_a_foreign_id_answers_like_a_missing_one(
        self, pair: Pair, ask: Callable[[Rule, str, dict[str, uuid.UUID]], TestResponse]
    ) -> None:
        before = {model: pair.read(model) for model in MODELS}
        for rule in routes_with_ids(pair.app):
            own = {argument: pair.of_b[model_named(argument)] for argument in rule.arguments}
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                for argument in rule.arguments:
                    foreign = pair.of_a[model_named(argument)]
                    of_foreign = ask(rule, method, own | {argument: foreign})
                    of_missing = ask(rule, method, own | {argument: MISSING})
                    told, expected = facts(of_foreign, foreign), facts(of_missing, MISSING)
                    assert told == expected, f"{method} {rule.rule} tells {argument} of another tenant"
                    assert of_foreign.status_code in (403, 404), f"{method} {rule.rule}"
        assert {model: pair.read(model) for model in MODELS} == before

    def test_an_own_id_answers_otherwise(
        self, pair: Pair, ask: Callable[[Rule, str, dict[str, uuid.UUID]], TestResponse]
    ) -> None:
        for rule in routes_with_ids(pair.app):
            if "GET" in (rule.methods or set()):
                own: dict[str, Any] = {argument: pair.of_b[model_named(argument)] for argument in rule.arguments}
                own |= {"role": ROLE} if "role" in own else {}
                # 503: it leads to a provider that does not answer.
                assert ask(rule, "GET", own).status_code not in (403, 404), rule.rule

    def test_a_foreign_id_in_a_body_answers_like_a_missing_one(self, pair: Pair, owner: Visitor) -> None:
        foreign = pair.a.people["member"].id
        for answer in ("post_json", "post"):
            path = "/api/v1/projects" if answer == "post_json" else "/projects/new"
            told, expected = (
                facts(getattr(owner, answer)(path, {"name": "Apollo", "status": "active", "owner_id": str(one)}), one)
                for one in (foreign, MISSING)
            )
            assert told == expected
            assert told[0] == 422

    def test_a_foreign_id_in_a_query_answers_like_a_missing_one(self, pair: Pair, owner: Visitor) -> None:
        foreign = pair.a.people["member"].id
        told, expected = (facts(owner.get(f"/projects/?owner={one}"), one) for one in (foreign, MISSING))
        assert told == expected

    def test_a_cursor_of_another_tenant_leads_to_own_rows_only(self, pair: Pair) -> None:
        for workspace in (pair.a, pair.b):
            with pair.app.app_context(), bound(workspace.tenant) as session:
                session.add_all(Project(name=f"of {workspace.slug}") for _ in range(3))
        of_a, of_b = sign_in(pair.app, pair.a, "owner"), sign_in(pair.app, pair.b, "owner")
        cursor = of_a.get("/api/v1/projects?limit=1").json["next_cursor"]
        page = of_b.get(f"/api/v1/projects?limit=100&cursor={cursor}").json
        assert not [project for project in page["items"] if pair.a.slug in project["name"]]

    def test_a_search_finds_own_rows_only(self, pair: Pair, owner: Visitor) -> None:
        with pair.app.app_context(), bound(pair.a.tenant) as session:
            session.add(Project(name="zebra crossing"))
        assert "zebra crossing" not in owner.get("/projects/?search=zebra").get_data(as_text=True)
        assert owner.get("/api/v1/projects?search=zebra").json["items"] == []

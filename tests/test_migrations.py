"""The migrations build what the models say, and take it away again."""

from collections.abc import Callable, Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from saas.migrations import configuration, head_revision
from tenants.db import Base
from tenants.engines import create_owner_engine
from tests.conftest import Database
from tests.rows import MODELS, table_of

# SQLAlchemy cannot read an index on an expression back from SQLite; a test of its own looks at it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]
SCOPED = {table_of(model).name for model in MODELS}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An empty database of each kind, as its owner."""
    if request.param == "postgresql":
        make: Callable[[], Database] = request.getfixturevalue("make_postgres")
        database = make()
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('migrations')}/empty.db"
        database = Database("sqlite", url, url)
    engine = create_owner_engine(database.settings())
    yield engine
    engine.dispose()


@pytest.fixture
def migrated(engine: Engine) -> Engine:
    command.upgrade(configuration(engine), "head")
    return engine


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_history_has_one_end_and_one_beginning() -> None:
    script = ScriptDirectory.from_config(configuration())
    assert script.get_heads() == [head_revision()]
    assert len(script.get_bases()) == 1


def test_they_build_what_the_models_say(migrated: Engine) -> None:
    assert tables(migrated) == set(Base.metadata.tables)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_command_that_operators_run_agrees(migrated: Engine) -> None:
    command.check(configuration(migrated))


def test_an_address_is_unique_in_any_case(migrated: Engine) -> None:
    # An index on an expression, which the comparison with the models does not look at.
    with migrated.connect() as connection:
        catalogue = (
            "SELECT sql FROM sqlite_master WHERE name = 'uq_users_tenant_email'"
            if migrated.dialect.name == "sqlite"
            else "SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_users_tenant_email'"
        )
        (definition,) = connection.execute(text(catalogue)).one()
    assert definition.startswith("CREATE UNIQUE INDEX")
    assert "(tenant_id, lower(" in definition


def test_every_check_of_the_models_is_built(migrated: Engine) -> None:
    for table in Base.metadata.tables.values():
        built = {check["name"] for check in inspect(migrated).get_check_constraints(table.name)}
        named = {str(one.name) for one in table.constraints if one.__visit_name__ == "check_constraint"}
        assert named <= built, table.name


def test_every_reference_is_built_with_what_follows_a_deletion(migrated: Engine) -> None:
    for table in Base.metadata.tables.values():
        built = {
            (tuple(key["constrained_columns"]), key["referred_table"], key["options"].get("ondelete"))
            for key in inspect(migrated).get_foreign_keys(table.name)
        }
        meant = {
            (tuple(key.column_keys), key.referred_table.name, key.ondelete) for key in table.foreign_key_constraints
        }
        assert built == meant, table.name


def test_every_scoped_table_is_walled_off(migrated: Engine) -> None:
    if migrated.dialect.name == "sqlite":
        pytest.skip("SQLite has no row-level security")
    with migrated.connect() as connection:
        walled = connection.execute(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity AND relforcerowsecurity")
        ).scalars()
        assert SCOPED | {"tenants", "domains"} == set(walled)


def test_they_can_be_taken_back_to_nothing_and_built_again(migrated: Engine) -> None:
    command.downgrade(configuration(migrated), "base")
    assert tables(migrated) == set()
    with migrated.connect() as connection:
        left = (
            "SELECT name FROM sqlite_master WHERE name NOT LIKE '%alembic%'"
            if migrated.dialect.name == "sqlite"
            else "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relname NOT LIKE 'alembic%' UNION ALL SELECT typname FROM pg_type"
            " WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%alembic%'"
        )
        assert connection.execute(text(left)).all() == []
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == []
    command.upgrade(configuration(migrated), "head")
    assert tables(migrated) == set(Base.metadata.tables)


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(migrated: Engine) -> None:
    command.upgrade(configuration(migrated), "head")
    command.check(configuration(migrated))


def test_a_revision_is_named_by_its_number() -> None:
    script = ScriptDirectory.from_config(configuration())
    for revision in script.walk_revisions():
        assert revision.revision.isdigit()
        assert len(revision.revision) == 4

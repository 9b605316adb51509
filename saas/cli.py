"""`flask --app saas db ...` and `demo ...`."""

import logging
from collections.abc import Callable
from typing import Any

import click
from alembic import command
from alembic.util import CommandError
from flask import Flask, current_app
from flask.cli import AppGroup

from saas import demo
from saas.migrations import configuration
from tenants.engines import create_owner_engine

db = AppGroup("db", help="Migrate the database, as the owner of the tables (SAAS_MIGRATION_DATABASE_URL).")


def init_app(app: Flask) -> None:
    """Add the command groups."""
    app.cli.add_command(db)
    app.cli.add_command(demo.cli)


@db.command("upgrade")
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the schema to REVISION."""
    _run(command.upgrade, revision)


@db.command("downgrade")
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Take the schema back to REVISION ("base": to nothing)."""
    _run(command.downgrade, revision)


@db.command("check")
def check() -> None:
    """Fail unless the database is at the newest revision and the models say what the migrations built."""
    _run(command.check)
    click.echo("the database is what this release needs")


@db.command("current")
def current() -> None:
    """Print the revision of the database."""
    _run(command.current)


@db.command("revision")
@click.argument("message")
def revision(message: str) -> None:
    """Write a new migration from the difference between models and database; edit it before use."""
    _run(command.revision, message, True)


def _run(work: Callable[..., Any], *arguments: Any) -> None:
    logging.getLogger("alembic").setLevel("INFO")
    engine = create_owner_engine(current_app.extensions["tenants"].settings)
    try:
        work(configuration(engine), *arguments)
    except CommandError as error:
        raise click.ClickException(str(error)) from error
    finally:
        engine.dispose()

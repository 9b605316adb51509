"""The history of the schema, run by Alembic as the owner of the tables."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

_FOLDER = Path(__file__).parent


def configuration(engine: Engine | None = None) -> Config:
    """Alembic's configuration; `engine` is the one on which commands work."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["engine"] = engine
    return config


@cache
def head_revision() -> str | None:
    """The newest revision that this release has."""
    return ScriptDirectory.from_config(configuration()).get_current_head()

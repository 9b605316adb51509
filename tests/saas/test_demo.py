"""Demo tenants and bulk data."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from saas import create_app
from tests.conftest import Database, migrate
from tests.factories import PASSWORD
from tests.visitor import Visitor


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application on a database of its own: the demo's tenants have fixed names."""
    if request.param == "postgresql":
        make: Callable[[], Database] = request.getfixturevalue("make_postgres")
        database = make()
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('demo')}/demo.db"
        database = Database("sqlite", url, url)
    app = create_app(migrate(database).settings())
    yield app
    app.extensions["tenants"].engines.dispose()


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["demo", *arguments])


@pytest.fixture(scope="module")
def seeded(app: Flask) -> Flask:
    result = run(app, "seed")
    assert result.exit_code == 0, result.output
    return app


@pytest.mark.parametrize("slug", ["acme", "globex"])
@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
def test_everybody_of_the_demo_signs_in_with_their_role(seeded: Flask, slug: str, role: str) -> None:
    browser = Visitor(seeded, f"{slug}.localhost")
    browser.post("/auth/login", {"email": f"{role}@{slug}.example", "password": PASSWORD})
    me = browser.get("/api/v1/me").json
    assert (me["roles"], me["tenant"]["slug"]) == ([role], slug)
    assert browser.get("/api/v1/projects").json["items"]


def test_seeding_again_changes_nothing(seeded: Flask) -> None:
    assert run(seeded, "seed").output == ""


def test_bulk_data_comes_with_who_is_signed_in(app: Flask, tmp_path: Path) -> None:
    written = tmp_path / "credentials.json"
    loaded = run(app, "load", "--tenants", "2", "--users", "5", "--projects", "7", "--credentials", str(written))
    assert loaded.exit_code == 0, loaded.output
    assert written.stat().st_mode & 0o077 == 0
    people = json.loads(written.read_text(encoding="utf-8"))
    assert len(people) == 10
    assert {person["role"] for person in people} == {"owner", "admin", "member", "viewer"}
    for person in people:
        client = app.test_client(use_cookies=False)
        base, headers = f"http://{person['host']}", {"Cookie": person["cookie"]}
        me = client.get("/api/v1/me", base_url=base, headers=headers).json
        assert (me["user"]["email"], me["roles"]) == (person["email"], [person["role"]])
        listed = client.get("/api/v1/projects?limit=100", base_url=base, headers=headers).json
        assert len(listed["items"]) == 7
        by_token = client.get("/api/v1/me", base_url=base, headers={"Authorization": f"Bearer {person['bearer']}"})
        assert by_token.json == me


@pytest.mark.parametrize("command", [["seed"], ["load", "--credentials", "never-written.json"]])
def test_production_is_spared(sqlite_database: Database, command: list[str]) -> None:
    app = create_app(
        sqlite_database.settings(
            env="production", secret_key="s" * 40, encryption_keys="e" * 40, base_domain="app.example",
            scheme="https", argon2_memory_kib=19456, argon2_rounds=2,
        )
    )  # fmt: skip
    refused = run(app, *command)
    assert refused.exit_code == 1
    assert "refused in production" in refused.output
    assert not Path("never-written.json").exists()
    app.extensions["tenants"].engines.dispose()

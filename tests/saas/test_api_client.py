"""A typed client, generated from the API's description, checked by mypy and used against the running product."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.browser.site import Site, serve
from tests.conftest import Database
from tests.factories import make_workspace
from tests.program import personal_token

NAME = "generated_client"
SCRIPT = f"""
from {NAME} import AuthenticatedClient
from {NAME}.api.projects import projects_create, projects_list_projects
from {NAME}.models import NewProject, ProjectJson


def names(client: AuthenticatedClient) -> list[str]:
    made = projects_create.sync(client=client, body=NewProject(name="By the client"))
    assert isinstance(made, ProjectJson), made
    page = projects_list_projects.sync(client=client, search="client")
    assert page is not None and hasattr(page, "items"), page
    return [one.name for one in page.items if one.id == made.id]
"""


@pytest.fixture(scope="module")
def site(sqlite_database: Database) -> Iterator[Site]:
    with serve(sqlite_database) as site:
        yield site


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client is, with a program that uses it."""
    folder = tmp_path_factory.mktemp("client")
    workspace = make_workspace(site.app)
    told = site.app.test_client().get("/api/openapi.json", base_url=workspace.url).json
    (folder / "openapi.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")  # which would fetch formatters
    (folder / "program.py").write_text(SCRIPT, encoding="utf-8")
    arguments = ["--path", "openapi.json", "--config", "config.yml", "--meta", "none", "--output-path", NAME]
    command = [sys.executable, "-m", "openapi_python_client", "generate", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
    return folder


def load(folder: Path, name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    patch.syspath_prepend(str(folder))
    return importlib.import_module(name)


def test_it_does_what_the_api_does(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(site.app)
    program, client = load(folder, "program", monkeypatch), load(folder, NAME, monkeypatch)
    token = personal_token(site.app, workspace, "member").token
    # Not every system finds names below localhost for Python, as browsers and curl do.
    base, named = f"http://127.0.0.1:{site.port}", {"Host": f"{workspace.host}:{site.port}"}
    with client.AuthenticatedClient(base_url=base, token=token, headers=named) as connected:
        assert program.names(connected) == ["By the client"]


def test_a_program_that_uses_it_is_typed(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "", "--follow-imports", "silent", "program.py"],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout

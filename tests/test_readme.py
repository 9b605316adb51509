"""The README's commands for the API, run as they are printed."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.site import Site, serve
from tests.conftest import Database, migrate
from tests.servers import ServerMissingError, require

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The product with its demo data, as `make run` has it."""
    url = f"sqlite:///{tmp_path}/demo.db"
    database = migrate(Database("sqlite", url, url))
    with serve(database) as site:
        assert site.app.test_cli_runner().invoke(args=["demo", "seed"]).exit_code == 0
        yield site


def curl() -> str:
    found = shutil.which("curl")
    if found is None:
        raise ServerMissingError("curl is not installed")
    return found


def test_the_commands_for_the_api_work_as_they_are_printed(site: Site) -> None:
    require(curl)
    section = README.read_text(encoding="utf-8").partition("## Use the API")[2].partition("\n## ")[0]
    printed = "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    assert printed.count("curl -s") > 10
    script = printed.replace("localhost:8000", f"localhost:{site.port}").replace("\ncurl ", "\necho; curl ")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    me, listed, changed, refused, robot, seen = [line for line in done.stdout.splitlines() if line]
    assert '"owner@acme.example"' in me
    assert '"To the moon"' in listed
    assert '"description"' not in listed
    assert '"status":"done"' in changed
    assert '"type":"/api/problems#not-permitted"' in refused
    assert '"roles":["viewer"]' in robot
    assert '"total":' in seen

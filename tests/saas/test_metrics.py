"""What the processes count, and to whom they tell it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from auth.breakers import FAILURES, breakers
from auth.permissions import access_of, public
from config.settings import PREFIX
from saas import create_app
from tenants.request import without_tenant
from tests.conftest import DEPLOY, Database
from tests.factories import Workspace, make_workspace
from tests.servers import free_port
from tests.visitor import Visitor, sign_in

TOKEN = "a=token/of-the+tests=="
Samples = dict[tuple[str, ...], float]


@pytest.fixture
def app(sqlite_database: Database) -> Iterator[Flask]:
    app = create_app(sqlite_database.settings(metrics_token=TOKEN))
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


def ask(app: Flask, authorization: str | None = f"Bearer {TOKEN}", host: str = "10.0.0.7:8000") -> TestResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    return app.test_client().get("/metrics", headers=headers, environ_overrides={"HTTP_HOST": host})


def samples(text: str) -> Samples:
    """The numbers, by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(app: Flask) -> Samples:
    return samples(ask(app).get_data(as_text=True))


def requests(found: Samples, method: str = "GET", status: int = 200) -> float:
    return found.get(("tenantry_requests_total", method, str(status)), 0)


@pytest.mark.parametrize("host", ["acme.localhost", "localhost", "10.0.0.7:8000", "unknown.example"])
@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ", f"Bearer {TOKEN}"])
def test_without_the_setting_there_is_no_such_page(
    sqlite_database: Database, host: str, authorization: str | None
) -> None:
    app = create_app(sqlite_database.settings())
    assert ask(app, authorization, host).status_code == 404
    app.extensions["tenants"].engines.dispose()


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}",
     "Bearer \xe9\xff", f"Bearer\t{TOKEN}"],
)  # fmt: skip
def test_who_has_not_the_token_is_refused_and_told_nothing(app: Flask, authorization: str | None) -> None:
    answer = ask(app, authorization)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "tenantry" not in answer.get_data(as_text=True)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["acme.localhost", "localhost", "127.0.0.1", "10.0.0.7:8000", "unknown.example", ""])
def test_who_has_the_token_reads_the_text_on_any_host(app: Flask, host: str) -> None:
    answer = ask(app, host=host)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "Set-Cookie" not in answer.headers
    assert samples(answer.get_data(as_text=True))["process_resident_memory_bytes",] > 2**20


def test_a_token_that_is_not_ascii_is_one_all_the_same(sqlite_database: Database) -> None:
    app = create_app(sqlite_database.settings(metrics_token="clé"))
    assert ask(app, "Bearer " + "clé".encode().decode("latin-1")).status_code == 200
    app.extensions["tenants"].engines.dispose()


def test_a_signed_in_owner_needs_the_token_too(app: Flask, acme: Workspace) -> None:
    assert sign_in(app, acme, "owner").get("/metrics").status_code == 401


def test_the_page_declares_that_it_is_public(app: Flask) -> None:
    access = access_of(app, "metrics.tell")
    assert access is not None
    assert access.public


def test_breakers_are_told_by_state(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "_known", OrderedDict())
    for source in ("one", "two"):
        with breakers.of(source).attempt(OSError):
            pass
    for _ in range(FAILURES):
        with suppress(OSError), breakers.of("the tests' directory").attempt(OSError):
            raise OSError
    found = told(app)
    states = {labels[1]: number for labels, number in found.items() if labels[0].endswith("_breakers")}
    assert states == {"closed": 2, "open": 1, "half-open": 0}
    breakers._known.clear()
    assert told(app)["tenantry_identity_source_breakers", "open"] == 0


def test_requests_are_counted_by_method_and_status_and_timed_by_endpoint(app: Flask, acme: Workspace) -> None:
    visitor = Visitor(app, acme.host)
    visitor.get("/healthz")
    visitor.get("/healthz")
    visitor.get("/nothing")
    visitor.client.post("/auth/login", base_url=acme.url)  # without a token
    with visitor.get("/static/app.css") as answer:
        assert answer.status_code == 200
    found = told(app)
    assert requests(found) == 3
    assert requests(found, status=404) == 1
    assert requests(found, "POST", 400) == 1
    timed = {labels[1]: number for labels, number in found.items() if labels[0] == "tenantry_request_seconds_count"}
    assert timed == {"health.healthz": 2, "none": 1, "security.login": 1, "static": 1}
    assert 0 < found["tenantry_request_seconds_sum", "health.healthz"] < 60


def test_a_request_that_fails_is_counted(app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.view_functions["health.healthz"] = public(without_tenant(lambda: 1 / 0))
    app.test_client().get("/healthz")
    assert requests(told(app), status=500) == 1


def test_what_a_caller_makes_up_is_no_label(app: Flask, acme: Workspace) -> None:
    before = len(told(app))
    visitor = Visitor(app, acme.host)
    for number in range(30):
        visitor.get(f"/{number}-made-up", headers={"Host": f"made-up-{number}.example"})
        visitor.client.open("/healthz", method=f"MADE{number}UP", base_url=acme.url)
    text = ask(app).get_data(as_text=True)
    assert "made" not in text.lower()
    assert requests(samples(text), "other", 405) == 30
    assert len(samples(text)) < before + 60  # each that is told apart would add two


def test_no_tenant_host_or_path_is_told(app: Flask, acme: Workspace) -> None:
    owner = sign_in(app, acme, "owner")
    for path in ("/", "/projects/", "/account/", f"/projects/{acme.tenant.id}", "/nothing-here", "/api/v1/me"):
        owner.get(path)
    text = ask(app, host=acme.host).get_data(as_text=True)
    assert "projects" in text
    for private in (
        acme.slug,
        acme.host,
        str(acme.tenant.id),
        "localhost",
        "example",
        "10.0.0.7",
        "nothing-here",
        '"/',
    ):
        assert private not in text


def test_two_applications_in_a_process_count_for_themselves(app: Flask, sqlite_database: Database) -> None:
    other = create_app(sqlite_database.settings(metrics_token=TOKEN))
    app.test_client().get("/healthz")
    assert requests(told(app)) == 1
    assert requests(told(other)) == 0
    other.extensions["tenants"].engines.dispose()


SERVED = """
from contextlib import suppress
from auth.breakers import FAILURES, breakers
for _ in range(FAILURES):
    with suppress(OSError), breakers.of("a directory").attempt(OSError):
        raise OSError
from saas.wsgi import app
"""  # a breaker that each worker finds open


class Gunicorn:
    """Two workers, started as deploy/run.sh starts them."""

    def __init__(self, database: Database, folder: Path) -> None:
        (folder / "served.py").write_text(SERVED)
        self._port = free_port()
        given = {
            "SAAS_ENV": "development",
            "SAAS_DATABASE_URL": database.url,
            "SAAS_METRICS_TOKEN": TOKEN,
            "PORT": str(self._port),
            "PYTHONPATH": str(folder),
            "WEB_CONCURRENCY": "2",
        }
        outside = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "WEB_", "BIND"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "served:app"],
            cwd=DEPLOY.parent,
            env=outside | given,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return set(map(int, children.split()))

    def ready_workers(self, but: int = 0) -> set[int]:
        """The workers, none of which is `but`, as soon as both have their metrics."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "gunicorn has ended"
            with suppress(OSError):
                found = self.workers() - {but}
                if len(found) == 2 and all(self.folder(worker) for worker in found):
                    self.get("/healthz")
                    return found
            time.sleep(0.1)
        raise AssertionError("gunicorn does not come up")

    @staticmethod
    def folder(worker: int) -> Path | None:
        """Where a worker's metrics are: the folder of the files that it maps."""
        mapped = re.search(r"(/\S*/tenantry-metrics-[^/]*)/gauge_", Path(f"/proc/{worker}/maps").read_text())
        return Path(mapped.group(1)) if mapped else None

    def get(self, path: str) -> str:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", headers={"Authorization": f"Bearer {TOKEN}", "Connection": "close"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return str(answer.read().decode())

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Have every request within this block answered by that one: the other ones stand still."""
        others = self.workers() - {worker}
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def told(self) -> Samples:
        return samples(self.get("/metrics"))


@pytest.fixture
def gunicorn(sqlite_database: Database, tmp_path: Path) -> Iterator[Gunicorn]:
    server = Gunicorn(sqlite_database, tmp_path)
    yield server
    server.process.terminate()
    server.process.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="finds the workers in /proc")
def test_whichever_worker_is_asked_tells_what_all_of_them_counted(gunicorn: Gunicorn) -> None:
    one, other = gunicorn.ready_workers()
    before = gunicorn.told()
    for worker in (one, other):
        with gunicorn.only(worker):
            for _ in range(5):
                gunicorn.get("/healthz")
    for worker in (one, other):
        with gunicorn.only(worker):
            found = gunicorn.told()
            assert (
                found["tenantry_request_seconds_count", "health.healthz"]
                == 10 + before["tenantry_request_seconds_count", "health.healthz"]
            )
            assert sum(found["tenantry_identity_source_breakers", state] for state in ("open", "half-open")) == 2
    with pytest.raises(urllib.error.HTTPError, match="404"):
        gunicorn.get("/nothing")
    assert requests(gunicorn.told(), status=404) == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="finds the workers in /proc")
def test_a_worker_that_ends_leaves_what_it_counted_and_nothing_of_what_was_so(gunicorn: Gunicorn) -> None:
    one, other = gunicorn.ready_workers()
    folder = gunicorn.folder(one)
    assert folder is not None
    with gunicorn.only(one):
        for _ in range(5):
            gunicorn.get("/healthz")
        before = gunicorn.told()
    os.kill(one, signal.SIGKILL)
    assert other in gunicorn.ready_workers(but=one)
    found = gunicorn.told()
    counted = ("tenantry_request_seconds_count", "health.healthz")
    assert before[counted] < found[counted] <= before[counted] + 2
    assert sum(found["tenantry_identity_source_breakers", state] for state in ("open", "half-open")) == 2
    assert found["process_cpu_seconds_total",] > before["process_cpu_seconds_total",]
    assert {path.stem.rpartition("_")[2] for path in folder.iterdir()} == {"0", "1"}
    gunicorn.process.terminate()
    assert gunicorn.process.wait(30) == 0
    assert not folder.exists()

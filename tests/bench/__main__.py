"""Measure reads, denials and writes of the product, of the floor and of a hand-made peer, in interleaved rounds.

Prints a table of ratios to the floor in the same run: CPU time of workers and PostgreSQL per request is the steady
figure, throughput depends on what else the machine does. What a read costs by a bearer token is also told as a ratio to
the same read by cookie, of the same people.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import load_settings
from saas import create_app
from tests.bench.load import Call, drive
from tests.bench.servers import ROOT, cpu_seconds, memory, serve
from tests.bench.tokens import sign_in_programs
from tests.servers import postgres

NEW_PROJECT = json.dumps({"name": "Bench"}).encode()
JSON = {"Content-Type": "application/json"}


COOKIE, JWT, PERSONAL = "read: product", "read: JWT", "read: token"


@dataclass
class Subject:
    """One thing measured: a kind of request to one server."""

    name: str
    port: int
    pid: int
    calls: Sequence[Call]
    expected: int
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


def main() -> None:
    """Set everything up, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500, help="per subject and round")
    given = parser.parse_args()
    with postgres.start() as database, tempfile.TemporaryDirectory() as folder:
        credentials = _prepare(database, Path(folder), given)
        product = _environment(database) | {"SAAS_LOG_LEVEL": "ERROR"}
        bare = {"BENCH_DATABASE_URL": database.url("postgres", "tenantry")}
        with (
            serve("saas.wsgi:app", product) as ours,
            serve("tests.bench.floor:app", bare) as floor,
            serve("tests.bench.by_hand:app", bare) as by_hand,
        ):
            subjects = _subjects(credentials, database, given, ours, floor, by_hand, bare)
            _run(subjects, database, given)
            _report(subjects)
            _report_tokens(subjects)
            print(f"\nmemory of a worker over the floor's: {memory(ours[1]) - memory(floor[1]):+.0f} MiB")


def _environment(database: postgres.PostgresServer) -> dict[str, str]:
    return {
        "SAAS_ENV": "development",
        "SAAS_DATABASE_URL": database.url("tenantry_app", "tenantry"),
        "SAAS_MIGRATION_DATABASE_URL": database.url("tenantry_owner", "tenantry"),
        "SAAS_PUBLIC_PORT": "",
    }


def _prepare(database: postgres.PostgresServer, folder: Path, given: argparse.Namespace) -> list[dict[str, str]]:
    database.create_database("tenantry")
    database.psql((ROOT / "deploy/roles.sql").read_text(), "tenantry")
    target = folder / "credentials.json"
    flask = [sys.executable, "-m", "flask", "--app", "saas"]
    sizes = [f"--tenants={given.tenants}", f"--users={given.users}", f"--projects={given.projects}"]
    for command in (["db", "upgrade"], ["demo", "load", *sizes, f"--credentials={target}"]):
        subprocess.run([*flask, *command], cwd=ROOT, env={**os.environ, **_environment(database)}, check=True)
    database.psql("ANALYZE", "tenantry")
    loaded: list[dict[str, str]] = json.loads(target.read_text())
    return loaded


def _subjects(
    credentials: list[dict[str, str]],
    database: postgres.PostgresServer,
    given: argparse.Namespace,
    ours: tuple[int, int],
    floor: tuple[int, int],
    by_hand: tuple[int, int],
    bare: dict[str, str],
) -> list[Subject]:
    slugs = sorted({entry["host"].partition(".")[0] for entry in credentials})
    tenants = dict(database.psql("SELECT slug, id::text FROM tenants", "tenantry"))
    programs = _programs(credentials, database)
    page = "/api/v1/projects"
    plain = [{"X-Tenant": tenants[slug]} for slug in slugs]
    callers = [{"Host": entry["host"], "Cookie": entry["cookie"]} for entry in credentials]
    writers = [
        {"Host": entry["host"], "Cookie": entry["cookie"], "X-CSRFToken": entry["csrf"]}
        for entry in credentials
        if entry["role"] != "viewer"
    ]
    viewers = [
        {"Host": entry["host"], "Cookie": entry["cookie"], "X-CSRFToken": entry["csrf"]}
        for entry in credentials
        if entry["role"] == "viewer"
    ]
    peer = _fill_peer(slugs, given, bare)
    return [
        Subject("read: floor", *floor, [Call("GET", page, headers) for headers in plain], 200),
        Subject(COOKIE, *ours, [Call("GET", page, headers) for headers in callers], 200),
        *(
            Subject(name, *ours, [Call("GET", page, headers) for headers in shown], 200)
            for name, shown in programs.items()
        ),
        Subject("read: by hand", *by_hand, [Call("GET", page, headers) for headers in peer], 200),
        Subject("denial: product", *ours, [Call("POST", page, h | JSON, NEW_PROJECT) for h in viewers], 403),
        Subject("write: floor", *floor, [Call("POST", page, h | JSON, NEW_PROJECT) for h in plain], 201),
        Subject("write: product", *ours, [Call("POST", page, h | JSON, NEW_PROJECT) for h in writers], 201),
    ]


def _programs(credentials: list[dict[str, str]], database: postgres.PostgresServer) -> dict[str, list[dict[str, str]]]:
    """What the same people send who show a token, by the name of what is measured."""
    app = create_app(load_settings(_environment(database)))
    signed = list(sign_in_programs(app, credentials))
    app.extensions["tenants"].engines.dispose()
    kept = [entry["bearer"] for entry in credentials]
    return {
        name: [
            {"Host": entry["host"], "Authorization": f"Bearer {token}"}
            for entry, token in zip(credentials, tokens, strict=True)
        ]
        for name, tokens in {JWT: signed, PERSONAL: kept}.items()
    }


def _fill_peer(slugs: list[str], given: argparse.Namespace, bare: dict[str, str]) -> list[dict[str, str]]:
    script = (
        "import json, sys; from tests.bench.by_hand import app, fill;"
        f" print(json.dumps(fill(app, {slugs!r}, {given.users}, {given.projects})))"
    )
    filled = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **bare},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [{"Host": f"{slug}.localhost", "Cookie": cookie} for slug, cookie in json.loads(filled.stdout).items()]


def _run(subjects: list[Subject], database: postgres.PostgresServer, given: argparse.Namespace) -> None:
    for subject in subjects:  # warm: connections, caches, prepared statements
        drive(subject.port, subject.calls, max(200, len(subject.calls)), subject.expected)
    for number in range(given.rounds):
        print(f"round {number + 1} of {given.rounds}", flush=True)
        for subject in subjects:
            before = cpu_seconds(subject.pid) + cpu_seconds(database.pid)
            seconds = drive(subject.port, subject.calls, given.requests, subject.expected)
            used = cpu_seconds(subject.pid) + cpu_seconds(database.pid) - before
            subject.cpu.append(used / given.requests)
            subject.rate.append(given.requests / seconds)


def _report(subjects: list[Subject]) -> None:
    base = {subject.name.partition(":")[0]: subject for subject in subjects if subject.name.endswith("floor")}
    base["denial"] = base["read"]
    median: Callable[[list[float]], float] = statistics.median
    print(f"\n{'':<18}{'CPU us':>9}{'CPU / floor':>13}{'requests/s':>12}{'rate / floor':>14}")
    for subject in subjects:
        floor = base[subject.name.partition(":")[0]]
        cpu = median([mine / bare for mine, bare in zip(subject.cpu, floor.cpu, strict=True)])
        rate = median([mine / bare for mine, bare in zip(subject.rate, floor.rate, strict=True)])
        print(
            f"{subject.name:<18}{median(subject.cpu) * 1e6:>9.0f}{cpu:>13.2f}{median(subject.rate):>12.0f}{rate:>14.2f}"
        )


def _report_tokens(subjects: list[Subject]) -> None:
    known = {subject.name: subject for subject in subjects}
    for name in (JWT, PERSONAL):
        pairs = zip(known[name].cpu, known[COOKIE].cpu, strict=True)
        ratio = statistics.median([mine / cookies for mine, cookies in pairs])
        print(f"{name}: {ratio:.2f} of the CPU that the cookie's costs")


main()

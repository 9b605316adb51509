"""`python -m tests.bench.sync`: how long a sync takes and how much memory, on PostgreSQL and a real directory."""

import argparse
import resource
import time
from pathlib import Path

from alembic import command
from flask import Flask, g

from auth import groups
from auth.providers import configs
from auth.providers.registry import provider_of
from auth.sync import Report, Sync
from config.settings import load_settings
from saas import create_app
from saas.migrations import configuration
from tenants.context import bound
from tenants.engines import create_owner_engine
from tenants.lifecycle import create_tenant
from tests.servers import openldap, postgres
from tests.servers.openldap import OpenLdapServer

ROLES = Path(__file__).parents[2] / "deploy" / "roles.sql"


def peak_mib() -> int:
    """The largest this process has been, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def make_app(server: postgres.PostgresServer, **overrides: object) -> Flask:
    """The application on a fresh database."""
    server.create_database("bench")
    server.psql(ROLES.read_text(), "bench")
    values = {
        "env": "testing",
        "database_url": server.url("tenantry_app", "bench"),
        "migration_database_url": server.url("tenantry_owner", "bench"),
        "mail_url": "memory:",
    }
    settings = load_settings({}, **(values | overrides))
    engine = create_owner_engine(settings)
    command.upgrade(configuration(engine), "head")
    engine.dispose()
    return create_app(settings)


def connect(directory: OpenLdapServer) -> None:
    """Connect the bound tenant, with the large group giving a role."""
    settings = {
        "servers": [directory.tls_url],
        "ca_bundle": directory.ca,
        "bind_dn": directory.service_dn,
        "base_dn": directory.people,
        "group_base": directory.groups,
    }
    config = configs.add_provider(
        "office", "ldap", settings, actor=None, secret=directory.service_password, creates_users="sync"
    )
    key, name = provider_of(config).find_group("crowd")
    groups.map_group(config, key, name, "member", actor=None)


def show(label: str, began: float, report: Report) -> None:
    """Print a line of the result."""
    print(
        f"{label:<28}{time.monotonic() - began:7.1f} s   {report.listed} listed, {report.created} made,"
        f" {report.joined} joined, {len(report.departed)} departed; peak {peak_mib()} MiB",
        flush=True,
    )


def main() -> None:
    """Measure the first sync, which makes everybody, and the next ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--group", type=int, default=5_000)
    options = parser.parse_args()
    with postgres.start() as server, openldap.start() as directory:
        directory.load_people(options.people, group_size=options.group)
        app = make_app(server)
        with app.app_context():
            tenant = create_tenant("acme", "Acme", {"email": "owner@acme.example", "password": "a long enough secret"})
            with bound(tenant):
                connect(directory)
            print(f"before: peak {peak_mib()} MiB")
            for label in ("the first, making everybody", "the second, nothing new"):
                began = time.monotonic()
                with bound(tenant):
                    show(label, began, Sync(configs.get_config("office"), lambda report: None).run())
            for number in range(options.people // 10):
                directory.delete(f"uid=user{number},{directory.people}")
            began = time.monotonic()
            with bound(tenant):
                show("a tenth of them have left", began, Sync(configs.get_config("office"), lambda report: None).run())
            g.pop("db", None)
        app.extensions["tenants"].engines.dispose()


if __name__ == "__main__":
    main()

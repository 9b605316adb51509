"""`flask --app saas tenants ...`: what operators type."""

import json
import secrets
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from tenants.context import bound
from tenants.db import Base
from tenants.errors import UnknownTenant
from tenants.lifecycle import find_tenant
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor, sign_in


def run(app: Flask, *arguments: str, input: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["tenants", *arguments], input=input)


def create(app: Flask, slug: str, *options: str, password: str = PASSWORD, email: str | None = None) -> Result:
    return run(
        app, "create", slug, "--name", "Acme Industries", "--owner-email", email or f"owner@{slug}.example",
        "--owner-password-stdin", *options, input=password + "\n",
    )  # fmt: skip


def rows(app: Flask) -> dict[str, int]:
    """How many rows every table has, counted past every wall on SQLite and tenant by tenant on PostgreSQL."""
    with app.app_context():
        counts: dict[str, int] = dict.fromkeys(Base.metadata.tables, 0)
        engine = app.extensions["tenants"].engines.shared
        with engine.connect() as connection:
            for table in counts:
                counts[table] = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        return counts


@pytest.fixture
def slug() -> str:
    return f"c{secrets.token_hex(6)}"


class TestCreate:
    """A tenant with its owner, all of it or nothing."""

    def test_it_says_where_the_workspace_is(self, app: Flask, slug: str) -> None:
        made = create(app, slug)
        assert made.exit_code == 0, made.output
        assert f"{slug}: Acme Industries (active) http://{slug}.localhost" in made.output

    def test_its_owner_signs_in_and_is_owner(self, app: Flask, slug: str) -> None:
        create(app, slug)
        browser = Visitor(app, f"{slug}.localhost")
        browser.post("/auth/login", {"email": f"owner@{slug}.example", "password": PASSWORD})
        assert browser.get("/api/v1/me").json["roles"] == ["owner"]

    def test_without_a_password_the_owner_is_sent_a_link(self, app: Flask, slug: str) -> None:
        made = run(app, "create", slug, "--name", "Acme", "--owner-email", f"owner@{slug}.example")
        assert made.exit_code == 0, made.output
        assert PASSWORD not in made.output

    def test_the_plan_is_kept(self, app: Flask, slug: str) -> None:
        create(app, slug, "--plan", "enterprise")
        with app.app_context():
            assert find_tenant(slug).plan == "enterprise"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"email": "no address"}, "no address"),
            ({"email": "owner@"}, "owner@"),
            ({"password": "short"}, "8"),
            ({"password": "password"}, "guessed"),
            ({"password": ""}, "8"),
        ],
    )
    def test_what_fails_leaves_nothing_behind(self, app: Flask, slug: str, change: dict[str, Any], said: str) -> None:
        before = rows(app)
        failed = create(app, slug, **change)
        assert failed.exit_code == 1
        assert said in failed.output
        assert "Traceback" not in failed.output
        assert rows(app) == before
        with app.app_context(), pytest.raises(UnknownTenant):
            find_tenant(slug)
        assert create(app, slug).exit_code == 0

    def test_a_taken_slug_is_refused_and_its_tenant_untouched(self, app: Flask, acme: Workspace) -> None:
        before = rows(app)
        failed = create(app, acme.slug)
        assert failed.exit_code == 1
        assert failed.output == f"Error: '{acme.slug}' is taken\n"
        assert rows(app) == before
        assert sign_in(app, acme, "owner").get("/api/v1/me").json["tenant"]["name"] == acme.tenant.name

    @pytest.mark.parametrize("bad", ["A", "www", "-x", "xn--a", "a_b"])
    def test_a_bad_slug_is_refused_in_one_line(self, app: Flask, bad: str) -> None:
        failed = create(app, "--", bad) if bad.startswith("-") else create(app, bad)
        assert failed.exit_code in (1, 2)
        assert "Traceback" not in failed.output

    def test_what_is_missing_is_named(self, app: Flask, slug: str) -> None:
        failed = run(app, "create", slug)
        assert failed.exit_code == 2
        assert "--name" in failed.output


class TestList:
    """Every tenant."""

    def test_a_line_says_slug_status_plan_and_name(self, app: Flask, acme: Workspace) -> None:
        lines = run(app, "list").output.splitlines()
        (line,) = [line for line in lines if line.startswith(f"{acme.slug} ")]
        assert line.split(maxsplit=3) == [acme.slug, "active", "standard", acme.tenant.name]

    def test_json_is_for_programs(self, app: Flask, acme: Workspace) -> None:
        listed = {one["slug"]: one for one in json.loads(run(app, "list", "--json").output)}
        assert listed[acme.slug]["id"] == str(acme.tenant.id)
        assert list(listed) == sorted(listed)


class TestShow:
    """One tenant."""

    def test_it_is_shown_as_json(self, app: Flask, acme: Workspace) -> None:
        shown = json.loads(run(app, "show", acme.slug).output)
        assert (shown["name"], shown["status"], shown["settings"]) == (acme.tenant.name, "active", {})

    @pytest.mark.parametrize("command", ["show", "suspend", "resume"])
    def test_an_unknown_one_is_an_error_in_one_line(self, app: Flask, command: str) -> None:
        failed = run(app, command, "no-such-tenant")
        assert (failed.exit_code, failed.output) == (1, "Error: no tenant 'no-such-tenant'\n")


class TestSuspend:
    """Suspended and served again."""

    def test_it_is_effective_at_once_and_can_be_repeated(self, app: Flask, acme: Workspace) -> None:
        member = sign_in(app, acme)
        for _ in range(2):
            assert "(suspended)" in run(app, "suspend", acme.slug).output
            assert member.get("/").status_code == 403
        for _ in range(2):
            assert "(active)" in run(app, "resume", acme.slug).output
            assert member.get("/").status_code == 200


class TestRename:
    """Another name, another slug."""

    def test_a_new_name_is_shown_at_once(self, app: Flask, acme: Workspace) -> None:
        member = sign_in(app, acme)
        assert run(app, "rename", acme.slug, "--name", "Renamed Ltd").exit_code == 0
        assert member.get("/api/v1/me").json["tenant"]["name"] == "Renamed Ltd"

    def test_a_new_slug_moves_the_host(self, app: Flask, acme: Workspace, slug: str) -> None:
        moved = run(app, "rename", acme.slug, "--slug", slug)
        assert f"http://{slug}.localhost" in moved.output
        assert Visitor(app, acme.host).get("/auth/login").status_code == 404
        assert Visitor(app, f"{slug}.localhost").get("/auth/login").status_code == 200

    def test_a_slug_that_is_taken_or_none_is_refused(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        for bad in (globex.slug, "www", "Bad"):
            failed = run(app, "rename", acme.slug, "--name", "Half done", "--slug", bad)
            assert failed.exit_code == 1
            assert failed.output.startswith("Error: ")
        with app.app_context():
            assert find_tenant(acme.slug).name == acme.tenant.name

    def test_it_needs_something_to_change(self, app: Flask, acme: Workspace) -> None:
        assert run(app, "rename", acme.slug).exit_code == 2


class TestRun:
    """Another command, with a tenant bound."""

    def test_it_works_in_the_tenant(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        listed = run(app, "run", acme.slug, "--", "users", "list")
        assert listed.exit_code == 0, listed.output
        assert acme.people["member"].email in listed.output
        assert globex.people["member"].email not in listed.output

    def test_what_it_did_is_committed(self, app: Flask, acme: Workspace) -> None:
        member = sign_in(app, acme)
        email = acme.people["member"].email
        assert run(app, "run", acme.slug, "--", "users", "deactivate", email).exit_code == 0
        assert not member.is_signed_in()

    def test_what_fails_is_rolled_back_and_has_its_exit_code(self, app: Flask, acme: Workspace) -> None:
        failed = run(app, "run", acme.slug, "--", "users", "deactivate", acme.people["owner"].email)
        assert failed.exit_code != 0
        assert sign_in(app, acme, "owner").is_signed_in()

    def test_an_unknown_tenant_or_command_is_an_error(self, app: Flask, acme: Workspace) -> None:
        assert run(app, "run", "no-such-tenant", "--", "users", "list").exit_code == 1
        assert run(app, "run", acme.slug, "--", "no-such-command").exit_code != 0
        assert run(app, "run", acme.slug).exit_code == 2

    def test_a_command_that_needs_a_tenant_says_so(self, app: Flask) -> None:
        failed = app.test_cli_runner().invoke(args=["users", "list"])
        assert failed.exit_code == 2
        assert "--tenant" in failed.output

    def test_nothing_stays_bound(self, app: Flask, acme: Workspace) -> None:
        run(app, "run", acme.slug, "--", "users", "list")
        assert app.extensions["tenants"].engines.shared.pool.checkedout() == 0
        with app.app_context(), bound(acme.tenant):
            pass

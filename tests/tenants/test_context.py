"""What is bound for one request is gone before the next, however the first one ended."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from flask import Flask, Response, abort, current_app, g, jsonify, stream_with_context
from sqlalchemy import func, select

from auth.permissions import public
from saas import create_app
from saas.projects.models import Project
from tenants.context import Tenant, afterwards, bind, bound
from tenants.errors import CrossTenantAccess, NoTenantBound
from tests.conftest import Database
from tests.factories import Workspace, make_workspace

held: list[Any] = []


@public
def whose() -> Response:
    """What a request finds bound, and what it sees."""
    return jsonify(slug=g.tenant.slug, tenant=str(g.db.tenant_id), projects=g.db.scalars(select(Project.name)).all())


@public
def write() -> str:
    g.db.add(Project(name="written"))
    g.db.flush()
    return "written"


@public
def write_and_answer(status: int) -> tuple[str, int]:
    write()
    return "answered", status


@public
def write_and_abort(status: int) -> str:
    write()
    afterwards(lambda: g.db.add(Project(name="survives")))
    abort(status)


@public
def write_and_fail() -> str:
    write()
    raise LookupError("in the view")


@public
def stream() -> Response:
    """The request is over when its answer is streamed, so what streams binds its tenant itself."""
    tenant = g.tenant

    def lines() -> Iterator[str]:
        with bound(tenant, writes=False) as session:
            for name in session.scalars(select(Project.name).order_by(Project.id)):
                yield f"{name}\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")


@public
def stream_and_fail() -> Response:
    tenant = g.tenant

    def lines() -> Iterator[str]:
        with bound(tenant, writes=False) as session:
            yield str(session.scalar(select(func.count()).select_from(Project)))
            raise LookupError("in the stream")

    return Response(stream_with_context(lines()), mimetype="text/plain")


@public
def stream_of_nobody() -> Response:
    def lines() -> Iterator[str]:
        yield str(g.db.scalars(select(Project.name)).all())

    return Response(stream_with_context(lines()), mimetype="text/plain")


@public
def nest() -> Response:
    with current_app.app_context(), pytest.raises(NoTenantBound):
        _ = g.tenant
    assert structlog.contextvars.get_contextvars()["tenant"] == g.tenant.slug
    return whose()


@public
def visit(slug: str) -> Response:
    """Works in another tenant for a while."""
    other: Tenant = current_app.config["WORKSPACES"][slug].tenant
    with bound(other) as session:
        session.add(Project(name="left by a visitor"))
    return whose()


@public
def forget(slug: str) -> str:
    """Enters another tenant and never leaves it."""
    manager = bound(current_app.config["WORKSPACES"][slug].tenant)
    manager.__enter__().connection()
    held.append(manager)
    return "forgotten"


@pytest.fixture(scope="module")
def app(database: Database) -> Iterator[Flask]:
    """An application with views that misbehave."""
    app = create_app(database.settings(database_pool_size=3))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config["WORKSPACES"] = {}
    app.config["FAULT"] = ""

    @app.after_request
    def after(response: Response) -> Response:
        if app.config["FAULT"] == "after_request":
            raise LookupError("in after_request")
        return response

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        if app.config["FAULT"] == "teardown_request":
            raise LookupError("in teardown")

    @app.teardown_appcontext
    def teardown_context(_: BaseException | None) -> None:
        if app.config["FAULT"] == "teardown_appcontext":
            raise LookupError("in the context's teardown")

    for rule, view in (
        ("/whose", whose), ("/write", write), ("/write/answer/<int:status>", write_and_answer),
        ("/write/abort/<int:status>", write_and_abort), ("/write/fail", write_and_fail), ("/stream", stream),
        ("/stream/fail", stream_and_fail), ("/stream/nobody", stream_of_nobody),
        ("/nest", nest), ("/visit/<slug>", visit), ("/forget/<slug>", forget),
    ):  # fmt: skip
        app.add_url_rule(rule, view.__name__, view)
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def acme(app: Flask) -> Workspace:
    return remember(app, make_workspace(app))


@pytest.fixture
def globex(app: Flask) -> Workspace:
    return remember(app, make_workspace(app))


@pytest.fixture(autouse=True)
def clean(app: Flask) -> Iterator[None]:
    """After every test: the next request starts clean, and the pool has its connections back."""
    yield
    app.config["FAULT"] = ""
    next_one = make_workspace(app)
    found = app.test_client().get("/whose", base_url=next_one.url).json
    assert found == {"slug": next_one.slug, "tenant": str(next_one.tenant.id), "projects": []}
    assert checked_out(app) == 0
    held.clear()


def remember(app: Flask, workspace: Workspace) -> Workspace:
    app.config["WORKSPACES"][workspace.slug] = workspace
    return workspace


def checked_out(app: Flask) -> int:
    found: int = app.extensions["tenants"].engines.shared.pool.checkedout()
    return found


def get(app: Flask, workspace: Workspace, path: str) -> Any:
    with app.test_client().get(path, base_url=workspace.url) as answer:
        answer.get_data()
        return answer


def projects(app: Flask, workspace: Workspace) -> list[str]:
    with app.app_context(), bound(workspace.tenant, writes=False) as session:
        return sorted(session.scalars(select(Project.name)))


class TestCommit:
    """One commit after the view; none after a refusal."""

    def test_a_view_that_returns_is_committed(self, app: Flask, acme: Workspace) -> None:
        assert get(app, acme, "/write").status_code == 200
        assert projects(app, acme) == ["written"]

    @pytest.mark.parametrize("status", [200, 204, 302, 303])
    def test_a_view_that_answers_is_committed(self, app: Flask, acme: Workspace, status: int) -> None:
        get(app, acme, f"/write/answer/{status}")
        assert projects(app, acme) == ["written"]

    @pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
    def test_a_view_that_refuses_is_rolled_back(self, app: Flask, acme: Workspace, status: int) -> None:
        get(app, acme, f"/write/answer/{status}")
        assert projects(app, acme) == []

    @pytest.mark.parametrize("status", [403, 404, 500])
    def test_what_must_survive_a_refusal_does(self, app: Flask, acme: Workspace, status: int) -> None:
        assert get(app, acme, f"/write/abort/{status}").status_code == status
        assert projects(app, acme) == ["survives"]

    def test_a_view_that_raises_is_rolled_back(self, app: Flask, acme: Workspace) -> None:
        answer = get(app, acme, "/write/fail")
        assert answer.status_code == 500
        assert "LookupError" not in answer.get_data(as_text=True)
        assert projects(app, acme) == []


class TestConnections:
    """Who needs no data takes no connection."""

    @pytest.mark.parametrize("path", ["/healthz", "/static/app.css", "/auth/fs-static/js/webauthn.js"])
    def test_what_needs_no_tenant_takes_none(
        self, app: Flask, acme: Workspace, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = app.extensions["tenants"].engines.shared
        monkeypatch.setattr(engine.pool, "connect", lambda: pytest.fail("a connection was taken"))
        assert get(app, acme, path).status_code == 200

    def test_a_session_that_nobody_uses_takes_none(self, app: Flask, acme: Workspace) -> None:
        with app.app_context(), bound(acme.tenant):
            assert checked_out(app) == 0

    def test_a_released_session_gives_its_connection_back_and_takes_one_again(
        self, app: Flask, acme: Workspace
    ) -> None:
        with app.app_context(), bound(acme.tenant) as session:
            session.scalars(select(Project)).all()
            session.release()
            assert checked_out(app) == 0
            assert session.scalars(select(Project)).all() == []


class TestFaults:
    """Requests that end badly."""

    @pytest.mark.parametrize("fault", ["after_request", "teardown_request", "teardown_appcontext"])
    def test_a_hook_that_raises_leaves_nothing_behind(self, app: Flask, acme: Workspace, fault: str) -> None:
        app.config["FAULT"] = fault
        client = app.test_client()
        if fault == "after_request":
            assert client.get("/whose", base_url=acme.url).status_code == 500
        else:
            with pytest.raises(LookupError):
                client.get("/whose", base_url=acme.url)
        assert checked_out(app) == 0

    def test_a_hook_that_raises_before_the_commit_leaves_nothing_written(self, app: Flask, acme: Workspace) -> None:
        app.config["FAULT"] = "after_request"
        get(app, acme, "/write")
        app.config["FAULT"] = ""
        assert projects(app, acme) == []

    def test_a_streamed_answer_is_the_tenants_to_its_end(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        get(app, acme, "/write")
        answer = app.test_client().get("/stream", base_url=acme.url)
        get(app, globex, "/whose")
        assert answer.get_data(as_text=True) == "written\n"
        answer.close()

    def test_a_stream_that_fails_leaves_nothing_behind(self, app: Flask, acme: Workspace) -> None:
        with pytest.raises(LookupError):
            app.test_client().get("/stream/fail", base_url=acme.url).get_data()

    def test_a_stream_that_binds_no_tenant_has_none(self, app: Flask, acme: Workspace) -> None:
        with pytest.raises(NoTenantBound):
            app.test_client().get("/stream/nobody", base_url=acme.url).get_data()

    def test_a_stream_that_nobody_reads_to_its_end_leaves_nothing_behind(self, app: Flask, acme: Workspace) -> None:
        get(app, acme, "/write")
        answer = app.test_client().get("/stream", base_url=acme.url, buffered=False)
        answer.close()
        assert checked_out(app) == 0

    def test_a_failing_session_does_not_keep_others_from_leaving(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenants.db.TenantSession.close", lambda self: (_ for _ in ()).throw(LookupError))
        assert get(app, acme, "/healthz").status_code == 200
        answer = app.test_client().get("/whose", base_url=acme.url)
        monkeypatch.undo()
        assert answer.status_code == 200


class TestNesting:
    """One tenant within another, one context within another."""

    def test_an_inner_context_has_no_tenant_and_leaves_the_outer_one_alone(self, app: Flask, acme: Workspace) -> None:
        assert get(app, acme, "/nest").json["slug"] == acme.slug

    def test_an_inner_tenant_gives_way_to_the_outer_one(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        assert get(app, acme, f"/visit/{globex.slug}").json["slug"] == acme.slug
        assert projects(app, globex) == ["left by a visitor"]
        assert projects(app, acme) == []

    def test_a_tenant_that_nobody_left_is_left_with_the_request(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        assert get(app, acme, f"/forget/{globex.slug}").status_code == 200
        assert checked_out(app) == 0

    def test_a_tenant_that_is_left_late_does_not_unbind_the_next_one(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        get(app, acme, f"/forget/{globex.slug}")
        with app.app_context(), bound(acme.tenant) as session:
            held.pop().__exit__(None, None, None)
            assert g.db is session
            assert g.tenant == acme.tenant

    def test_a_tenant_that_nobody_left_within_another_ends_with_the_other(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        with app.app_context(), bound(acme.tenant) as outer:
            with bound(globex.tenant):
                held.append(bound(acme.tenant))
                held[-1].__enter__()
            assert g.db is outer
        assert checked_out(app) == 0

    def test_a_tenant_that_nobody_left_is_left_with_the_context(self, app: Flask, acme: Workspace) -> None:
        with app.app_context():
            bind(acme.tenant, writes=False).connection()
        assert checked_out(app) == 0

    def test_a_client_that_preserves_its_context_gets_the_next_tenant(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        with app.test_client() as client:
            for workspace in (acme, globex, acme):
                assert client.get("/whose", base_url=workspace.url).json["slug"] == workspace.slug
                assert g.get("tenant") is None or g.tenant.slug == workspace.slug


class TestBound:
    """`bound(tenant)`, wherever it is used."""

    def test_it_needs_an_application(self, acme: Workspace) -> None:
        with pytest.raises(RuntimeError), bound(acme.tenant):
            pass

    def test_it_commits(self, app: Flask, acme: Workspace) -> None:
        with app.app_context(), bound(acme.tenant) as session:
            session.add(Project(name="kept"))
        assert projects(app, acme) == ["kept"]

    def test_it_rolls_back_what_raises(self, app: Flask, acme: Workspace) -> None:
        def fail() -> None:
            with app.app_context(), bound(acme.tenant) as session:
                session.add(Project(name="lost"))
                session.flush()
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        assert projects(app, acme) == []

    def test_it_leaves_nothing_in_g(self, app: Flask, acme: Workspace) -> None:
        with app.app_context():
            with bound(acme.tenant):
                assert g.tenant == acme.tenant
            for name in ("tenant", "db"):
                with pytest.raises(NoTenantBound):
                    getattr(g, name)
            assert not [name for name in g if name in ("tenant", "db", "identity", "permissions")]

    def test_the_inner_block_commits_although_the_outer_fails(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        def fail() -> None:
            with app.app_context(), bound(acme.tenant, writes=False):
                with bound(globex.tenant) as inner:
                    inner.add(Project(name="kept"))
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        assert projects(app, globex) == ["kept"]

    def test_the_outer_session_is_refused_inside(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        with (
            app.app_context(),
            bound(acme.tenant, writes=False) as outer,
            bound(globex.tenant, writes=False),
            pytest.raises(CrossTenantAccess),
        ):
            outer.scalars(select(Project)).all()

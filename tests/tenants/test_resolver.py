"""Host to tenant: which names, which spellings, and what everybody else is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from saas import create_app
from tenants.context import bound
from tenants.db import now
from tenants.errors import InvalidSlug
from tenants.lifecycle import rename_tenant, resume_tenant, suspend_tenant
from tenants.models import Domain, TenantRow, TenantStatus
from tenants.resolver import APEX, RESERVED, check_slug, normalize_host
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor, sign_in


def ask(app: Flask, host: str | None, path: str = "/auth/login", **environ: Any) -> TestResponse:
    """What is answered to that Host header, sent as it is."""
    overrides: dict[str, Any] = {"HTTP_HOST": host, **environ}
    if host is None:
        overrides = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", **environ}
    # A client with cookies would parse the host itself.
    with Client(app, use_cookies=False).get(path, environ_overrides=overrides) as answer:
        answer.get_data()
        return answer


def body(answer: TestResponse) -> str:
    return answer.get_data(as_text=True).replace(answer.headers["X-Request-ID"], "*")


class TestSlugs:
    """What a workspace may be called."""

    @pytest.mark.parametrize("slug", ["ab", "a1", "1a", "acme", "acme-industries", "a-b-c", "a" * 40, "42", "a--b"])
    def test_a_dns_label_is_a_slug(self, slug: str) -> None:
        assert check_slug(slug) == slug

    @pytest.mark.parametrize(
        "slug",
        ["a", "", "a" * 41, "-acme", "acme-", "Acme", "ACME", "ac_me", "ac.me", "ac me", " acme", "acme\n", "acme\0",
         "münchen", "аcme", "acme/", "../x", "%61cme", "a:b", "xn--mnchen-3ya", "ab--cd", "acme'", "１２",
         "acme\u200b"],
    )  # fmt: skip
    def test_anything_else_is_none(self, slug: str) -> None:
        with pytest.raises(InvalidSlug):
            check_slug(slug)

    @pytest.mark.parametrize("slug", sorted(RESERVED - {""}))
    def test_a_reserved_name_is_none(self, slug: str) -> None:
        with pytest.raises(InvalidSlug):
            check_slug(slug)

    def test_every_name_of_ours_is_reserved(self) -> None:
        assert APEX | {"console"} <= RESERVED


class TestNormalizing:
    """The one form in which hosts are compared."""

    @pytest.mark.parametrize(
        ("host", "normal"),
        [
            ("acme.localhost", "acme.localhost"),
            ("ACME.LocalHost", "acme.localhost"),
            ("acme.localhost:8000", "acme.localhost"),
            ("acme.localhost.", "acme.localhost"),
            ("acme.localhost.:8000", "acme.localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("a" * 63 + ".example", "a" * 63 + ".example"),
        ],
    )
    def test_a_host_name_has_one_form(self, host: str, normal: str) -> None:
        assert normalize_host(host) == normal

    @pytest.mark.parametrize(
        "host",
        ["", ".", "..", ":8000", "acme..localhost", ".localhost", "acme.localhost..", "-a.example", "a-.example",
         "[::1]", "[::1]:8000", "::1", "acme_x.localhost", "acme.localhost:port", "acme.localhost:999999", "a b",
         "user@acme.localhost", "user:pw@acme.localhost", "acme.localhost,globex.localhost", "acme.localhost/x",
         "acme.localhost\0", "acme.localhost\n", "acme%2elocalhost", "a" * 64 + ".example", ("a" * 50 + ".") * 6 + "aa",
         "\u2028.example", "ac\u200dme.example", "*.localhost", "http://acme.localhost", "acme.localhost?x", "acme;x"],
    )  # fmt: skip
    def test_what_is_no_host_name_has_none(self, host: str) -> None:
        assert normalize_host(host) is None


class TestHosts:
    """Requests, by their Host header."""

    @pytest.mark.parametrize(
        "spelling", ["{}.localhost", "{}.LOCALHOST", "{}.localhost:80", "{}.localhost.", "{}.localhost.:80"]
    )
    def test_every_spelling_of_a_host_leads_to_its_tenant(self, app: Flask, acme: Workspace, spelling: str) -> None:
        host = spelling.format(acme.slug.upper() if "LOCAL" in spelling else acme.slug)
        answer = ask(app, host)
        assert answer.status_code == 200
        assert acme.tenant.name in answer.get_data(as_text=True)

    @pytest.mark.parametrize(
        "host",
        ["{}.example", "x.{}.localhost", "{}x.localhost", "{}localhost", "{}.localhost.example", "{}", "[::1]",
         "[::1]:80", "127.0.0.1", "{}.localhost,{}.localhost", "user@{}.localhost", "{}.localhost/", "nobody.localhost",
         "console.localhost", "localhost.localhost", "xn--bcher-kva.localhost", "a" * 300, "{}.localhost:port",
         "..", "{}_.localhost"],
    )  # fmt: skip
    def test_any_other_host_is_the_same_404(self, app: Flask, acme: Workspace, host: str) -> None:
        answer = ask(app, host.format(acme.slug, acme.slug))
        assert answer.status_code == 404
        assert acme.tenant.name not in answer.get_data(as_text=True)
        assert body(answer) == body(ask(app, "unknown.localhost"))

    def test_a_request_without_host_is_the_same_404(self, app: Flask) -> None:
        assert body(ask(app, None)) == body(ask(app, "unknown.localhost"))
        assert ask(app, "").status_code == 404

    def test_an_unknown_host_answers_programs_in_their_way(self, app: Flask) -> None:
        answer = ask(app, "unknown.localhost", "/api/v1/me")
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")

    def test_a_host_of_no_tenant_gets_no_cookie(self, app: Flask) -> None:
        assert "Set-Cookie" not in ask(app, "unknown.localhost").headers

    @pytest.mark.parametrize(
        "header", ["HTTP_X_FORWARDED_HOST", "HTTP_X_ORIGINAL_HOST", "HTTP_X_HOST", "HTTP_FORWARDED"]
    )
    def test_a_forwarded_host_is_not_believed(
        self, app: Flask, acme: Workspace, globex: Workspace, header: str
    ) -> None:
        forwarded = f"host={globex.host}" if header == "HTTP_FORWARDED" else globex.host
        told = ask(app, acme.host, **{header: forwarded}).get_data(as_text=True)
        assert acme.tenant.name in told
        assert globex.tenant.name not in told


@pytest.fixture(scope="module")
def proxied(sqlite_database: Database) -> Iterator[Flask]:
    """An application behind one proxy."""
    app = create_app(sqlite_database.settings(trusted_proxies=1))
    yield app
    app.extensions["tenants"].engines.dispose()


class TestBehindProxies:
    """Forwarded headers, where a proxy is trusted to set them."""

    @pytest.mark.parametrize("forwarded", ["{0}", "evil.example, {0}", "{0}:8443", "{1}"])
    def test_the_host_that_the_nearest_proxy_names_counts(self, proxied: Flask, forwarded: str) -> None:
        acme = make_workspace(proxied)
        upper = acme.host.upper()
        answer = ask(proxied, "internal:8000", HTTP_X_FORWARDED_HOST=forwarded.format(acme.host, upper))
        assert acme.tenant.name in answer.get_data(as_text=True)

    def test_a_host_that_a_client_has_slipped_in_does_not_count(self, proxied: Flask) -> None:
        acme, globex = make_workspace(proxied), make_workspace(proxied)
        answer = ask(proxied, "internal:8000", HTTP_X_FORWARDED_HOST=f"{globex.host}, {acme.host}")
        assert acme.tenant.name in answer.get_data(as_text=True)

    def test_a_forwarded_host_that_is_none_is_the_same_404(self, proxied: Flask) -> None:
        acme = make_workspace(proxied)
        answer = ask(proxied, acme.host, HTTP_X_FORWARDED_HOST="user@" + acme.host)
        assert answer.status_code == 404


class TestStatus:
    """Tenants that are not served."""

    def test_a_deleted_tenant_is_like_one_that_never_was(self, app: Flask, acme: Workspace) -> None:
        assert ask(app, acme.host).status_code == 200
        with app.app_context(), bound(acme.tenant) as session:
            row = session.get_one(TenantRow, acme.tenant.id)
            row.status, row.version = TenantStatus.DELETED, TenantRow.version + 1
        answer = ask(app, acme.host)
        assert answer.status_code == 404
        assert body(answer) == body(ask(app, "unknown.localhost"))

    @pytest.fixture
    def suspended(self, app: Flask, acme: Workspace) -> Workspace:
        with app.app_context():
            suspend_tenant(acme.slug)
        return acme

    @pytest.mark.parametrize("path", ["/", "/auth/login", "/projects/", "/account/", "/nothing"])
    def test_a_suspended_tenant_is_told_so(self, app: Flask, suspended: Workspace, path: str) -> None:
        answer = ask(app, suspended.host, path)
        assert answer.status_code == 403
        assert "csrf" not in answer.get_data(as_text=True)

    @pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/projects"])
    def test_a_suspended_tenants_programs_are_told_so(self, app: Flask, suspended: Workspace, path: str) -> None:
        answer = ask(app, suspended.host, path)
        assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/static/app.css"])
    def test_what_needs_no_tenant_is_served_all_the_same(self, app: Flask, suspended: Workspace, path: str) -> None:
        assert ask(app, suspended.host, path).status_code == 200

    def test_who_is_signed_in_is_out_with_the_suspension_and_back_in_with_its_end(
        self, app: Flask, acme: Workspace
    ) -> None:
        member = sign_in(app, acme)
        with app.app_context():
            suspend_tenant(acme.slug)
        assert member.get("/api/v1/me").status_code == 403
        assert member.get("/projects/").status_code == 403
        assert member.client.post("/projects/new", base_url=acme.url, data={"name": "x"}).status_code == 403
        with app.app_context():
            resume_tenant(acme.slug)
        assert member.get("/api/v1/me").status_code == 200

    def test_nobody_signs_in_to_a_suspended_tenant(self, app: Flask, suspended: Workspace) -> None:
        answer = app.test_client().post(
            "/auth/login", base_url=suspended.url, data={"email": "x@x.example", "password": "x"}
        )
        assert answer.status_code == 403

    def test_after_a_new_slug_the_old_host_is_nobodys(self, app: Flask, acme: Workspace) -> None:
        assert ask(app, acme.host).status_code == 200
        new = f"n{acme.slug}"
        with app.app_context():
            rename_tenant(acme.slug, new_slug=new)
        assert ask(app, acme.host).status_code == 404
        assert ask(app, f"{new}.localhost").status_code == 200

    def test_a_renamed_tenant_is_gone_from_its_former_host(self, app: Flask, acme: Workspace) -> None:
        member = sign_in(app, acme)
        with app.app_context():
            rename_tenant(acme.slug, new_slug=f"n{acme.slug}")
        assert member.get("/api/v1/me").status_code == 404


class TestDomains:
    """A tenant's own host names."""

    @staticmethod
    def give(app: Flask, workspace: Workspace, host: str, *, verified: bool) -> None:
        with app.app_context(), bound(workspace.tenant) as session:
            session.add(Domain(host=host, tenant_id=workspace.tenant.id, verified_at=now() if verified else None))

    def test_a_verified_domain_leads_to_its_tenant(self, app: Flask, acme: Workspace) -> None:
        host = f"{acme.slug}.example"
        self.give(app, acme, host, verified=True)
        for spelling in (host, host.upper(), f"{host}:8443", f"{host}."):
            assert acme.tenant.name in ask(app, spelling).get_data(as_text=True)

    def test_a_domain_that_is_not_verified_leads_nowhere(self, app: Flask, acme: Workspace) -> None:
        host = f"{acme.slug}.example"
        self.give(app, acme, host, verified=False)
        assert body(ask(app, host)) == body(ask(app, "unknown.localhost"))

    def test_a_subdomain_of_a_domain_leads_nowhere(self, app: Flask, acme: Workspace) -> None:
        host = f"{acme.slug}.example"
        self.give(app, acme, host, verified=True)
        assert ask(app, f"www.{host}").status_code == 404

    def test_a_domain_below_the_base_domain_takes_no_host_from_its_tenant(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        self.give(app, globex, acme.host, verified=True)
        assert acme.tenant.name in ask(app, acme.host).get_data(as_text=True)

    def test_an_international_domain_is_found_in_its_ascii_form(self, app: Flask, acme: Workspace) -> None:
        host = f"bücher-{acme.slug}.example".encode("idna").decode("ascii")
        self.give(app, acme, host, verified=True)
        assert ask(app, host).status_code == 200

    def test_people_are_signed_in_on_one_host_only(self, app: Flask, acme: Workspace) -> None:
        host = f"{acme.slug}.example"
        self.give(app, acme, host, verified=True)
        member, other = sign_in(app, acme), Visitor(app, host)
        other.take_cookies(member.cookies())
        assert not other.is_signed_in()


class TestApex:
    """Our own hosts that serve no tenant."""

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "www.localhost", "auth.localhost"])
    def test_it_asks_for_the_workspace(self, app: Flask, host: str) -> None:
        answer = ask(app, host, "/")
        assert answer.status_code == 200
        assert 'name="workspace"' in answer.get_data(as_text=True)

    @pytest.mark.parametrize("path", ["/auth/login", "/projects/", "/api/v1/me", "/account/", "/nothing"])
    def test_it_has_nothing_else(self, app: Flask, path: str) -> None:
        assert ask(app, "localhost", path).status_code == 404

    def test_nothing_is_sent_to_it(self, app: Flask) -> None:
        assert app.test_client().post("/", base_url="http://localhost").status_code in (404, 405)
        assert app.test_client().post("/language", base_url="http://localhost").status_code == 404

    def test_it_tells_not_whether_a_workspace_exists(self, app: Flask, acme: Workspace) -> None:
        absent = "absent-" + acme.slug
        answers = [ask(app, "localhost", f"/?workspace={slug}") for slug in (acme.slug, absent)]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert answers[0].headers["Location"] == f"http://{acme.slug}.localhost/"
        assert answers[1].headers["Location"] == f"http://{absent}.localhost/"
        assert body(answers[0]).replace(acme.slug, "*") == body(answers[1]).replace(absent, "*")

    @pytest.mark.parametrize("typed", ["{}", " {} ", "{}.localhost", "{upper}"])
    def test_it_forgives_how_a_workspace_is_typed(self, app: Flask, acme: Workspace, typed: str) -> None:
        value = typed.format(acme.slug, upper=acme.slug.upper()).replace(" ", "+")
        answer = ask(app, "localhost:8000", f"/?workspace={value}")
        assert answer.headers["Location"] == f"http://{acme.slug}.localhost:8000/"

    @pytest.mark.parametrize(
        ("typed", "shown"),
        [("", ""), ("a", "a"), ("no_name", "no_name"), ("www", "www"), ("%3Cscript%3E", "&lt;script&gt;"),
         ("%22onload%3Dx", "&#34;onload=x"), ("evil.example%2F", "evil.example/"), ("%40evil.example", "@evil.example"),
         ("%2F%2Fevil.example", "//evil.example"), ("evil.example%23", "evil.example#")],
    )  # fmt: skip
    def test_what_is_no_name_is_said_and_kept(self, app: Flask, typed: str, shown: str) -> None:
        answer = ask(app, "localhost", f"/?workspace={typed}")
        assert answer.status_code == 422
        assert f'value="{shown}"' in answer.get_data(as_text=True)

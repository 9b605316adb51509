"""Fixtures of the browser tests: the product served on a port, one Chromium, and a fresh profile for every test.

They run on PostgreSQL as the application's role; what says `on_both` runs on SQLite too.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.site import Site, serve
from tests.browser.steps import come_in
from tests.browser.watch import Watch
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.servers import chromium, oidc, require
from tests.servers.oidc import OidcServer

PATIENCE = 15_000  # milliseconds, for a machine that is busy with other tests

Open = Callable[..., Page]


# For this folder only: while it runs, Playwright keeps an event loop in this thread, which no other test could use.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The one browser."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = require(partial(chromium.launch, playwright))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def postgres_site(postgres_database: Database) -> Iterator[Site]:
    """The product on PostgreSQL."""
    with serve(postgres_database) as site:
        yield site


@pytest.fixture(scope="package")
def sqlite_site(sqlite_database: Database) -> Iterator[Site]:
    """The product on SQLite."""
    with serve(sqlite_database) as site:
        yield site


@pytest.fixture(scope="package")
def provider() -> Iterator[OidcServer]:
    """An identity provider; people come to its pages, too."""
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    """The running product: on PostgreSQL, unless the test is parametrised with the kind of database."""
    found: Site = request.getfixturevalue(f"{getattr(request, 'param', 'postgres')}_site")
    return found


@pytest.fixture
def acme(site: Site) -> Workspace:
    """A workspace."""
    return make_workspace(site.app)


@pytest.fixture
def globex(site: Site) -> Workspace:
    """Another workspace."""
    return make_workspace(site.app)


@pytest.fixture
def open_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Open a browser profile of one's own. The test fails on whatever its pages complain about."""
    watch, contexts = Watch(), []

    def open_one(**options: object) -> BrowserContext:
        context = browser.new_context(**({"locale": "en-GB"} | options))
        context.set_default_timeout(PATIENCE)
        watch.follow(context)
        contexts.append(context)
        return context

    yield open_one
    for context in contexts:
        context.close()
    assert watch.complaints == []


@pytest.fixture
def open_page(open_context: Callable[..., BrowserContext], site: Site) -> Open:
    """Open a page in a new profile, on the host of a workspace."""

    def open_one(place: Workspace | str, **options: object) -> Page:
        return open_context(base_url=site.url(place), **options).new_page()

    return open_one


@pytest.fixture
def page(open_page: Open, acme: Workspace) -> Page:
    """A page on acme's host, in which nobody is signed in."""
    return open_page(acme)


@pytest.fixture
def member(page: Page, site: Site, acme: Workspace) -> Page:
    """A page in which acme's member is signed in, on the dashboard."""
    come_in(page, site, acme)
    return page


@pytest.fixture
def steady(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One-time codes by a clock that stands still: half a minute does not end in the middle of a test."""
    moment = time.time() // 30 * 30 + 15
    monkeypatch.setattr(site.app.extensions["security"].totp_factory._totp, "now", staticmethod(lambda: moment))

"""That a quiet browser is one that was listened to."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site
from tests.browser.watch import Watch
from tests.factories import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

ADD = """
attributes => document.body.append(Object.assign(document.createElement(attributes.tag), attributes))
"""


@pytest.mark.parametrize(
    ("spoil", "heard"),
    [
        (lambda page: page.evaluate(ADD, {"tag": "script", "textContent": "1"}), "Content Security Policy"),
        (lambda page: page.evaluate(ADD, {"tag": "style", "textContent": "p {}"}), "Content Security Policy"),
        (lambda page: page.evaluate(ADD, {"tag": "img", "src": "https://elsewhere.example/"}), "elsewhere.example"),
        (lambda page: page.evaluate(ADD, {"tag": "img", "src": "/static/missing.png"}), "404"),
        (lambda page: page.evaluate("setTimeout(() => { throw new Error('no such thing') })"), "no such thing"),
        (lambda page: page.evaluate("console.error('broken')"), "broken"),
    ],
    ids=["script", "style", "foreign", "missing", "exception", "console"],
)
def test_what_a_browser_complains_about_is_heard(
    browser: Browser, site: Site, acme: Workspace, spoil: Callable[[Page], object], heard: str
) -> None:
    watch = Watch()
    with browser.new_context(base_url=site.url(acme)) as context:
        watch.follow(context)
        page = context.new_page()
        page.goto("/no/such/page")
        page.goto("/auth/login")
        expect(page.locator("main h1")).to_be_visible()
        assert watch.complaints == []
        spoil(page)
        page.wait_for_timeout(300)

    assert any(heard in complaint for complaint in watch.complaints), watch.complaints

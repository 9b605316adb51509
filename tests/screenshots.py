"""The README's pictures: `python -m tests.screenshots` runs the product with demo data and writes them."""

import logging
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from config.settings import load_settings
from saas import create_app
from saas.demo import PASSWORD
from tests.browser.steps import sign_in_there
from tests.servers import chromium, demo_provider, oidc

FOLDER = Path(__file__).parent.parent / "deploy" / "pictures"
LARGEST = 150_000  # bytes; a README is read on slow lines too
DESK, PHONE = (1280, 720), (390, 760)


@contextmanager
def provider() -> Iterator[list[list[str]]]:
    """Run the demo's identity provider; gives the commands by which a workspace is connected with it."""
    secret = secrets.token_hex(32)
    with oidc.start(redirects=demo_provider.REDIRECTS) as server, tempfile.NamedTemporaryFile("w") as file:
        demo_provider.populate(server, secret)
        file.write(secret)
        file.flush()
        add = (
            f"providers add workid --tenant acme --kind oidc --issuer {server.issuer} --insecure"
            f" --client-id {demo_provider.CLIENT} --secret-file {file.name} --groups-claim teams --domain acme.example"
        ).split()
        commands = [
            [*add, "--label", "Acme ID"],
            ["providers", "map", "workid", "engineering", "member", "--tenant", "acme"],
            ["domains", "vouch", "acme.example", "--tenant", "acme"],
        ]
        yield commands


@contextmanager
def product(commands: list[list[str]]) -> Iterator[str]:
    """Serve the product on a free port, on a database of its own; gives the address of a demo workspace."""
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/pictures.db"
        app = create_app(
            load_settings({}, env="development", database_url=database, mail_url="memory:", log_level="ERROR")
        )
        runner = app.test_cli_runner()
        for command in (["db", "upgrade"], ["demo", "seed"], *commands):
            done = runner.invoke(args=command)
            if done.exit_code:
                raise SystemExit(f"{' '.join(command)}: {done.output}{done.exception or ''}")
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://acme.localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def visit(browser: Browser, address: str, size: tuple[int, int]) -> Page:
    """A page of a new browser profile, at the sign-in."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, base_url=address, locale="en-GB")
    page.goto("/")
    return page


def sign_in(page: Page) -> None:
    """Come in as the workspace's owner."""
    page.get_by_label("E-mail address").fill("owner@acme.example")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/")


def rehearse(page: Page) -> None:
    """Rehearse a sign-in at the provider, as alice."""
    page.goto("/admin/sign-in/")
    page.locator("main a[href$='/rehearse']").click()
    page.locator("main form button").click()
    sign_in_there(page, "alice")
    page.locator("#claims").wait_for()


def take(page: Page, name: str) -> None:
    """Write the visible part of a page."""
    picture = page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
    print(f"{name}.png: {len(picture) // 1000} kB")
    if len(picture) > LARGEST:
        sys.exit(f"{name}.png is larger than {LARGEST // 1000} kB")


def main() -> None:
    """Write all pictures."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        provider() as commands,
        product(commands) as address,
        sync_playwright() as playwright,
        chromium.launch(playwright) as browser,
    ):
        page = visit(browser, address, DESK)
        take(page, "sign-in")
        sign_in(page)
        take(page, "dashboard")
        page.goto("/projects/")
        take(page, "projects")
        page.goto("/account/")
        take(page, "account")
        page.goto("/admin/members/")
        take(page, "members")
        page.goto("/admin/")
        take(page, "overview")
        rehearse(page)
        take(page, "rehearsal")
        phone = visit(browser, address, PHONE)
        sign_in(phone)
        phone.goto("/projects/")
        take(phone, "phone")


if __name__ == "__main__":
    main()

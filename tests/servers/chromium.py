"""The machine's own Chromium, driven by Playwright without a browser download."""

import os
import shutil

from playwright.sync_api import Browser, Playwright

from tests.servers import ServerMissingError

COMMANDS = ("chromium", "chromium-browser", "google-chrome")

# Without these a closed network is asked for the vendor's hosts at every start.
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def path() -> str | None:
    """Return the installed browser's path."""
    return next(filter(None, map(shutil.which, COMMANDS)), None)


def launch(playwright: Playwright) -> Browser:
    """Start a headless browser; raise ServerMissingError where none is installed."""
    executable = path()
    if executable is None:
        raise ServerMissingError("no Chromium here (Debian's package: chromium)")
    # Chromium refuses its sandbox to root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=executable, headless=True, args=ARGUMENTS + sandbox)

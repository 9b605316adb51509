"""Which requests begin a transaction that may write: SQLite has to know when it begins."""

from contextlib import suppress

import pytest
from flask import Flask, g
from flask_wtf.csrf import CSRFError

from tests.factories import Workspace


@pytest.mark.parametrize(
    ("method", "path", "writes"),
    [
        ("GET", "/auth/login", False),
        ("HEAD", "/auth/login", False),
        ("POST", "/auth/login", True),
        ("GET", "/auth/confirm/token", True),
        ("GET", "/auth/change-email/token", True),
        ("GET", "/auth/confirm", False),
    ],
)
def test_a_request_that_writes_says_so_when_it_begins(
    app: Flask, acme: Workspace, method: str, path: str, writes: bool
) -> None:
    with app.test_request_context(path, method=method, base_url=acme.url):
        with suppress(CSRFError):  # a later hook's business
            app.preprocess_request()
        assert g.db.writes is writes

"""The page on which administrators see how people sign in."""

import pytest
from flask import Flask

from auth import audit, enforcement
from auth.providers import configs
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PAGE = "/admin/sign-in/"
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}


def test_sources_domains_and_events_are_shown(app: Flask, acme: Workspace) -> None:
    sources.own(app, acme, f"{acme.slug}.example", "warning")
    config_id = sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret", label="Acme ID", rehearsed=False)
    with inside(app, acme):
        audit.record("single sign-on failed", details={"reason": "<script>alert(1)</script>"})
    page = sign_in(app, acme, "admin").get(PAGE).text
    for shown in ("Acme ID", "On, provisional", "Record missing", "Signing in at a source failed",
                  f"/admin/sign-in/sources/{config_id}"):  # fmt: skip
        assert shown in page
    assert "<script>alert" not in page
    assert "s3cret" not in page


def test_an_empty_page_says_what_to_do(app: Flask, acme: Workspace) -> None:
    assert "Connect a directory or an identity provider" in sign_in(app, acme, "owner").get(PAGE).text


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert visitor.get(PAGE).status_code == 403
    assert PAGE not in visitor.get("/").text


def test_another_tenants_events_are_not_shown(app: Flask, acme: Workspace, globex: Workspace) -> None:
    with inside(app, globex):
        audit.record("domain added", details={"domain": "of globex alone"})
    assert "of globex alone" not in sign_in(app, acme, "owner").get(PAGE).text


def test_an_unknown_kind_of_event_is_an_error_where_it_is_recorded(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(KeyError):
        audit.record("something")


def test_whoever_only_reads_is_offered_no_rehearsal(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret")
    assert "Rehearse" in sign_in(app, acme, "admin").get(PAGE).text
    with inside(app, acme):
        assert configs.get_config("work").rehearsed_at
        assert enforcement.required_source(f"x@{acme.slug}.example") is None

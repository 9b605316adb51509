"""Hosts that change hands."""

import secrets

import pytest
from flask import Flask

from saas import create_app
from tenants.context import bound
from tenants.db import now
from tenants.errors import SlugTaken
from tenants.lifecycle import create_tenant, rename_tenant
from tenants.models import Domain
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor


def title_on(app: Flask, host: str) -> str | None:
    page = Visitor(app, host).get("/auth/login")
    return (
        page.get_data(as_text=True).partition("<title>")[2].partition("</title>")[0]
        if page.status_code == 200
        else None
    )


def test_a_domain_leads_to_its_new_tenant_at_once(app: Flask, acme: Workspace, globex: Workspace) -> None:
    host = f"{secrets.token_hex(6)}.example"
    with app.app_context():
        with bound(acme.tenant) as session:
            session.add(Domain(host=host, tenant_id=acme.tenant.id, verified_at=now()))
        assert acme.tenant.name in (title_on(app, host) or "")
        with bound(acme.tenant) as session:
            session.delete(session.get_one(Domain, host))
        assert title_on(app, host) is None
        with bound(globex.tenant) as session:
            session.add(Domain(host=host, tenant_id=globex.tenant.id, verified_at=now()))
    assert globex.tenant.name in (title_on(app, host) or "")


def test_a_domain_that_is_no_longer_verified_leads_nowhere(app: Flask, acme: Workspace) -> None:
    host = f"{secrets.token_hex(6)}.example"
    with app.app_context():
        with bound(acme.tenant) as session:
            session.add(Domain(host=host, tenant_id=acme.tenant.id, verified_at=now()))
        assert title_on(app, host) is not None
        with bound(acme.tenant) as session:
            session.get_one(Domain, host).verified_at = None
    assert title_on(app, host) is None


def test_a_former_slug_is_nobody_elses(app: Flask, acme: Workspace) -> None:
    new = f"n{secrets.token_hex(5)}"
    other = make_workspace(app)
    with app.app_context():
        rename_tenant(acme.slug, new_slug=new)
        with pytest.raises(SlugTaken):
            create_tenant(acme.slug, "Impostor", {"email": "owner@impostor.example", "password_hash": "x"})
        with pytest.raises(SlugTaken):
            rename_tenant(other.slug, new_slug=acme.slug)
        assert rename_tenant(new, new_slug=acme.slug).id == acme.tenant.id


@pytest.mark.parametrize(("port", "status"), [("", 200), (":443", 200), (":6666", 404), (":99999", 404)])
def test_production_is_not_asked_by_another_port_whose_number_mailed_links_would_carry(
    sqlite_database: Database, port: str, status: int
) -> None:
    app = create_app(
        sqlite_database.settings(
            env="production",
            secret_key="k" * 40,
            encryption_keys="e" * 40,
            mail_url="smtp://localhost",
            base_domain="localhost",
            scheme="https",
            argon2_memory_kib=47104,
        )
    )
    acme = make_workspace(app)
    answer = app.test_client().get(
        "/auth/login", base_url=f"https://{acme.host}", headers={"Host": f"{acme.host}{port}"}
    )
    assert answer.status_code == status

"""The first page of the administration."""

from datetime import timedelta

import pytest
from flask import Flask, g

from auth import audit, overview, roles
from auth.models import Invitation
from auth.providers.models import LinkedIdentity
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import change, grant, inside
from tests.factories import Workspace, add_person
from tests.visitor import sign_in

PAGE = "/admin/"
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}


def invite(email: str, **until: float) -> None:
    """Add an invitation that ends after so long."""
    role = roles.get_role("member")
    g.db.add(Invitation(email=email, role_id=role.id, nonce="x", expires_at=now() + timedelta(**until)))


def test_active_members_are_counted_by_source(app: Flask, acme: Workspace) -> None:
    work = sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret", label="Acme ID")
    for name in ("alice", "bob", "carol"):
        person = add_person(app, acme, email=f"{name}@{acme.slug}.example")
        with inside(app, acme) as session:
            session.add(LinkedIdentity(user_id=person.id, provider_id=work, subject=name, login=name))
    change(app, acme, person, active=False)
    with inside(app, acme):
        sources_ = overview.members_by_source()
    found = [(source.config.name if source.config else None, source.people) for source in sources_]
    assert found == [("work", 2), (None, 4)]
    assert "Acme ID" in sign_in(app, acme, "admin").get(PAGE).text


def test_failures_are_counted_where_they_happened(app: Flask, acme: Workspace) -> None:
    work = sources.add(app, acme, "work", "oidc", OIDC, secret="s3cret")
    with inside(app, acme):
        audit.record("single sign-on failed", sources.config_of(app, acme, work))
        audit.record("sign-in failed")
        assert [source.failures for source in overview.members_by_source()] == [1, 1]


def test_sign_ins_are_counted_by_day(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        before = overview.sign_ins_by_day()
        for _ in range(3):
            audit.record("signed in", actor=audit.SYSTEM)
        after = overview.sign_ins_by_day()
    assert len(after) == 30
    assert after[-1] == (now().date(), before[-1][1] + 3)
    assert [number for _day, number in after[:-1]] == [0] * 29


def test_what_is_about_to_end_and_who_is_invited_is_listed(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["member"], "admin", expires_at=now() + timedelta(days=3))
    grant(app, acme, acme.people["viewer"], "admin", expires_at=now() + timedelta(days=30))
    with inside(app, acme):
        invite("late@partner.example", days=-1)
        invite("soon@partner.example", days=3)
        assert [(ending.holder, ending.role) for ending in overview.ending_soon()] == [("Member", "admin")]
        assert overview.pending_invitations()[0] == 1
    page = sign_in(app, acme, "owner").get(PAGE).text
    assert "soon@partner.example" in page
    assert "late@partner.example" not in page


def test_an_empty_one_says_so(app: Flask, acme: Workspace) -> None:
    page = sign_in(app, acme, "owner").get(PAGE).text
    assert "Nobody is invited" in page


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert visitor.get(PAGE).status_code == 403
    assert "Administration" not in visitor.get("/").text


def test_the_administration_has_a_navigation_of_its_own(app: Flask, acme: Workspace) -> None:
    admin = sign_in(app, acme, "admin")
    assert "app-subnav" not in admin.get("/").text
    assert "app-subnav" in admin.get(PAGE).text

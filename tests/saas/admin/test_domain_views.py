"""Pages on which administrators take up domains of e-mail addresses, have them checked, and give them up."""

import uuid
from typing import Any

import pytest
from flask import Flask

from auth import audit, domains, enforcement
from auth.domain_records import Finding, Record
from auth.providers.models import MailDomain
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.saas.admin.test_provider_views import OIDC, SECRET, ask, follow
from tests.visitor import Visitor, sign_in

PAGE = "/admin/sign-in/"
DOMAINS = f"{PAGE}domains/"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the DNS answers, the next time; the last one again and again."""
    answers = [Finding.ABSENT]

    def look_up(records: list[Record], _servers: Any) -> list[Finding]:
        return [answers[-1] for _record in records]

    monkeypatch.setattr(domains, "look_up", look_up)
    return answers


def added(app: Flask, workspace: Workspace, name: str) -> uuid.UUID:
    with inside(app, workspace):
        return domains.add_domain(name, actor=None).id


def test_a_domain_is_added_and_its_record_shown(app: Flask, acme: Workspace, admin: Visitor) -> None:
    name = f"{acme.slug}.example"
    page = follow(admin, admin.post(f"{DOMAINS}new", {"domain": f" {name.upper()} "}))
    with inside(app, acme):
        token = domains.get_domain(name).token
        assert "domain added" in [event.kind for event in audit.search(limit=5)]
    for shown in (f"<code>_tenantry.{name}</code>", f"<code>tenantry-domain-verification={token}</code>",
                  "Not proved yet", "Copy the value", "Check now"):  # fmt: skip
        assert shown in page


@pytest.mark.parametrize("typed", ["", "no domain", "example", "-x.example"])
def test_what_is_no_domain_is_said_beside_it_and_kept(admin: Visitor, typed: str) -> None:
    answer = admin.post(f"{DOMAINS}new", {"domain": typed})
    assert answer.status_code == 422
    assert 'id="domain-error"' in answer.text
    assert f'value="{typed}"' in answer.text


def test_a_check_says_what_was_found(app: Flask, acme: Workspace, admin: Visitor, found: list[Finding]) -> None:
    name = f"{acme.slug}.example"
    path = f"{DOMAINS}{added(app, acme, name)}/check"
    assert f"There is no TXT record of {name} yet" in follow(admin, admin.post(path))
    found.append(Finding.DIFFERENT)
    assert "another value" in follow(admin, admin.post(path))
    found.append(Finding.FOUND)
    page = follow(admin, admin.post(path))
    assert "the domain is proved" in page
    with inside(app, acme):
        assert enforcement.held_domains("proved") == {name}


def test_a_vouched_domain_is_not_looked_for(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        config_id = domains.add_domain(f"{acme.slug}.example", actor=None, vouched=True).id
    page = admin.get(PAGE).text
    assert "The operators of this installation answer for it." in page
    assert f"{config_id}/check" not in page
    assert "proved" in follow(admin, admin.post(f"{DOMAINS}{config_id}/check"))


def test_checks_are_limited(
    app: Flask, acme: Workspace, admin: Visitor, found: list[Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saas.admin.domain_views.MOST_CHECKS", 2)
    path = f"{DOMAINS}{added(app, acme, f'{acme.slug}.example')}/check"
    assert [admin.post(path).status_code for _ in range(3)] == [302, 302, 429]


def test_removing_says_what_will_happen_and_asks_once(app: Flask, acme: Workspace) -> None:
    owner = sign_in(app, acme, "owner")
    domain = sources.own(app, acme, f"{acme.slug}.example", vouched=False)
    source = sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET, domains=[domain], label="Acme ID")
    sources.enforce(app, acme, source)
    with inside(app, acme):
        path = f"{DOMAINS}{domains.get_domain(domain).id}/remove"
    assert "“Acme ID” is enforced for it no more" in owner.get(path).text
    assert f"{domain} is removed" in follow(owner, owner.post(path))
    with inside(app, acme):
        assert not domains.list_domains()
        assert enforcement.required_source(f"x@{domain}") is None


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_are_refused_everything(app: Flask, acme: Workspace, role: str) -> None:
    visitor, row = sign_in(app, acme, role), added(app, acme, f"{acme.slug}.example")
    for method, path in (("GET", "new"), ("POST", "new"), ("POST", f"{row}/check"), ("GET", f"{row}/remove"),
                         ("POST", f"{row}/remove")):  # fmt: skip
        assert ask(visitor, method, DOMAINS + path) == 403, path


def test_another_workspaces_domain_is_not_there(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    for row in (added(app, globex, f"{globex.slug}.example"), uuid.uuid4()):
        for method, path in (("POST", f"{row}/check"), ("GET", f"{row}/remove"), ("POST", f"{row}/remove")):
            assert ask(admin, method, DOMAINS + path) == 404, path
    with inside(app, globex) as session:
        assert session.query(MailDomain).count() == 1

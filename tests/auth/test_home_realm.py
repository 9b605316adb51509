"""Where a person signs in is found out by the address."""

import html
import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth.providers import configs
from auth.providers.registry import list_configs
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor

DIRECTORY = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
ASKS_FIRST = 'action="/sso/find"'
PASSWORD = 'type="password"'


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def domain(acme: Workspace) -> str:
    return f"{acme.slug}.example"


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer, domain: str) -> uuid.UUID:
    """acme's source, for its domain."""
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


def find(visitor: Visitor, email: str, **form: str) -> TestResponse:
    """Give an address."""
    return visitor.post("/sso/find", {"email": email} | form)


def led_to(answer: TestResponse) -> str:
    """Where the page leads by itself; empty if nowhere."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    return html.unescape(found.group(1)) if found else ""


def page_of(answer: TestResponse, email: str) -> str:
    """The page, without what differs from one to the next in any case."""
    return re.sub(r'name="csrf_token"[^>]*value="[^"]+"', "", answer.text).replace(email, "SOMEBODY")


def test_with_several_ways_the_address_is_asked_for_first(visitor: Visitor, work: uuid.UUID) -> None:
    page = visitor.get("/auth/login").text
    assert ASKS_FIRST in page
    assert PASSWORD not in page
    assert "Sign in with Acme ID" in page


def test_the_second_step_asks_for_the_password(visitor: Visitor, work: uuid.UUID) -> None:
    page = visitor.get("/auth/login?step=password").text
    assert ASKS_FIRST not in page
    assert PASSWORD in page
    assert "Sign in with Acme ID" in page


def test_a_wrong_password_asks_for_the_password_again(acme: Workspace, visitor: Visitor, work: uuid.UUID) -> None:
    page = visitor.post("/auth/login", {"email": acme.people["member"].email, "password": "guessed"}).text
    assert ASKS_FIRST not in page
    assert PASSWORD in page


def test_without_a_web_source_nothing_is_different(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    sources.add(app, acme, "office", "ldap", DIRECTORY, domains=[f"{acme.slug}.example"])
    page = visitor.get("/auth/login").text
    assert ASKS_FIRST not in page
    assert PASSWORD in page


@pytest.mark.parametrize("options", [{"domains": []}, {"enabled": False}], ids=str)
def test_a_source_to_which_no_address_leads_is_only_a_button(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, options: dict[str, Any]
) -> None:
    sources.connect(app, acme, server, label="Acme ID", **{"domains": [domain]} | options)
    page = visitor.get("/auth/login").text
    assert ASKS_FIRST not in page
    assert ("Sign in with Acme ID" in page) is options.get("enabled", True)


def test_where_one_wanted_to_go_is_on_the_page(visitor: Visitor, work: uuid.UUID) -> None:
    page = visitor.get("/auth/login?next=/projects/").text
    assert 'name="next" value="/projects/"' in page
    assert f"/sso/{work}/start?next=/projects/" in page


def test_an_address_of_a_sources_domain_leads_to_the_source(
    visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
) -> None:
    answer = find(visitor, f"anybody@{domain}", next="/projects/")
    assert answer.status_code == 200
    assert led_to(answer) == f"/sso/{work}/start?next=/projects/"
    assert f'href="/sso/{work}/start?next=/projects/"' in answer.text
    away = visitor.get(led_to(answer)).headers["Location"]
    assert away.startswith(f"{server.issuer}/auth?")
    assert parse_qs(urlsplit(away).query)["login_hint"] == [f"anybody@{domain}"]


def test_the_whole_way_ends_where_one_wanted_to_go(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
) -> None:
    sources.own(app, acme, domain)
    sub = sources.add_person(server, f"alice@{domain}")
    start = led_to(find(visitor, f"alice@{domain}", next="/projects/"))
    back = oidc.sign_in(server, visitor.get(start).headers["Location"], sub)
    assert sources.follow(visitor, back).headers["Location"] == "/projects/"
    assert visitor.is_signed_in()


def test_the_address_is_told_to_one_source_once(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
) -> None:
    second = sources.connect(app, acme, server, "second")
    find(visitor, f"anybody@{domain}")
    sources.depart(visitor, work)
    for config_id in (work, second):
        assert "login_hint" not in sources.depart(visitor, config_id)


def test_every_spelling_of_the_domain_leads_there(visitor: Visitor, work: uuid.UUID, domain: str) -> None:
    for typed in (f"a@{domain.upper()}", f" a@{domain} ", f"a@{domain}.", f"a b@{domain}", f"a@b@{domain}"):
        assert led_to(find(visitor, typed)).startswith(f"/sso/{work}/start"), typed


def test_a_domain_in_letters_of_its_own_leads_there_too(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer
) -> None:
    work = sources.connect(app, acme, server, domains=[f"bücher-{acme.slug}.example"])
    assert led_to(find(visitor, f"leser@BÜCHER-{acme.slug}.example")).startswith(f"/sso/{work}/start")


def test_another_domain_leads_to_the_password_with_the_address_filled_in(
    visitor: Visitor, work: uuid.UUID, domain: str
) -> None:
    for place in ("elsewhere.example", f"mail.{domain}", f"not{domain}", f"{domain}.example"):
        answer = find(visitor, f"bob@{place}", next="/projects/")
        assert answer.headers["Location"] == "/auth/login?step=password&next=/projects/"
        page = visitor.get(answer.headers["Location"]).text
        assert PASSWORD in page
        assert f'value="bob@{place}"' in page


def test_what_is_no_address_leads_to_the_password(visitor: Visitor, work: uuid.UUID) -> None:
    for typed in ("bob", "@", "bob@", "", " ", "@@", "bob@.", "x" * 5000, "a@" + "x" * 5000):
        answer = find(visitor, typed)
        assert answer.headers["Location"] == "/auth/login?step=password", typed
        assert visitor.get(answer.headers["Location"]).status_code == 200


def test_known_and_unknown_people_look_the_same(
    acme: Workspace, visitor: Visitor, work: uuid.UUID, domain: str
) -> None:
    known, unknown = acme.people["member"].email, f"nobody@{domain}"
    assert page_of(find(visitor, known), known) == page_of(find(visitor, unknown), unknown)


def test_known_and_unknown_people_of_a_domain_without_a_source_look_the_same(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer
) -> None:
    sources.connect(app, acme, server, domains=["elsewhere.example"])
    pages = []
    for email in (acme.people["member"].email, f"nobody@{acme.slug}.example", "nobody@unknown.example"):
        answer = find(visitor, email)
        pages.append((answer.headers["Location"], page_of(visitor.get(answer.headers["Location"]), email)))
    assert len(set(pages)) == 1


def test_a_directory_is_no_place_to_be_led_to(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str
) -> None:
    sources.connect(app, acme, server, domains=["elsewhere.example"])
    sources.add(app, acme, "office", "ldap", DIRECTORY, domains=[domain])
    assert find(visitor, f"bob@{domain}").headers["Location"] == "/auth/login?step=password"
    assert "user name" in visitor.get("/auth/login").text


def test_a_source_that_is_switched_off_is_none_either(
    app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, domain: str
) -> None:
    with inside(app, acme):
        configs.disable_provider(configs.get_config("work"), actor=None)
    assert find(visitor, f"bob@{domain}").headers["Location"] == "/auth/login?step=password"


def test_a_source_of_another_workspace_is_none_either(
    app: Flask, globex: Workspace, work: uuid.UUID, domain: str
) -> None:
    elsewhere = Visitor(app, globex.host)
    assert find(elsewhere, f"bob@{domain}").headers["Location"] == "/auth/login?step=password"


def test_of_several_sources_each_has_its_own_domains(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
) -> None:
    sources.connect(app, acme, server, "second", domains=["second.example", "third.example"])
    with inside(app, acme):
        second = next(config.id for config in list_configs() if config.name == "second")
    for place, config_id in ((domain, work), ("second.example", second), ("third.example", second)):
        assert led_to(find(visitor, f"bob@{place}")).startswith(f"/sso/{config_id}/start")


def test_nobody_is_led_elsewhere(visitor: Visitor, work: uuid.UUID, domain: str) -> None:
    for foreign in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert led_to(find(visitor, f"bob@{domain}", next=foreign)) == f"/sso/{work}/start"
        answer = find(visitor, "bob@elsewhere.example", next=foreign)
        assert answer.headers["Location"] == "/auth/login?step=password"


def test_what_was_typed_is_text(visitor: Visitor, work: uuid.UUID) -> None:
    find(visitor, '"><script>alert(1)</script>@elsewhere.example')
    page = visitor.get("/auth/login?step=password").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_an_address_is_sent_from_our_own_pages_only(visitor: Visitor, work: uuid.UUID, domain: str) -> None:
    assert visitor.post("/sso/find", {"email": f"bob@{domain}"}, csrf="").status_code == 400
    foreign = {"Origin": "https://evil.example"}
    assert visitor.post("/sso/find", {"email": f"bob@{domain}"}, headers=foreign).status_code == 400
    assert visitor.get("/sso/find").status_code == 405

"""The product's main pages, each with what is needed to stand on it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect
from sqlalchemy import select

from auth import audit, clients, consents, invitation_links, invitations, roles, service_accounts, users
from auth.identity import Identity
from auth.oauth_server import scopes
from auth.providers import configs
from auth.providers.models import LinkedIdentity, MailDomain
from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import Program, row_of
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    enter,
    expect_signed_in,
    form_with,
    leave,
    send,
    sign_in,
    sign_in_there,
)
from tests.factories import Workspace, make_project
from tests.servers.oidc import OidcServer

LONG_NAME = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" * 3
"""Wider than a phone, and nowhere to break it."""

PUBLIC = ("/auth/login", "/auth/reset", "/auth/confirm", "/auth/wan-signin", "/api/docs", "/api/problems")
PERSONAL = (
    "/", "/projects/", "/projects/?sort=name", "/projects/?search=nothing+has+this+name", "/projects/?page=9",
    "/projects/new", "/account/", "/account/sessions", "/account/apps/", "/account/tokens",
    "/account/tokens/new", "/auth/change", "/auth/change-email", "/auth/tf-setup",
    "/auth/mf-recovery-codes", "/auth/wan-register", "/auth/verify", "/admin/sign-in/", "/no/such/page",
)  # fmt: skip
ADMIN = (
    "/admin/", "/admin/members/", "/admin/members/import", "/admin/invitations/", "/admin/invitations/new",
    "/admin/policy/", "/admin/workspace/", "/admin/api/", "/admin/roles/", "/admin/roles/new", "/admin/audit/",
    "/admin/apps/", "/admin/apps/new", "/admin/service-accounts/", "/admin/service-accounts/new",
    "/admin/audit/retention",
)  # fmt: skip
PROJECT = ("", "/edit", "/delete")


def walk(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    """Bring the page to one main page after the other, as the workspace's owner sees them; gives the name of each."""
    person = workspace.people["owner"]
    for path in PUBLIC:
        yield _go(page, path)
    enter(page, person, password="not the password")
    yield "/auth/login, refused"
    sign_in(page, person)
    yield "/, with nothing in it"
    yield _go(page, "/projects/?search=")
    project = _fill(site, workspace)
    for path in (*PERSONAL, *(f"/projects/{project}{end}" for end in PROJECT)):
        yield _go(page, path)
    page.goto(f"/account/connect/{_connect(site, workspace)}")
    yield "a directory to connect with"
    yield _go(page, "/account/?with=directories")
    for name, path, press, appears in _PRESSED:
        page.goto(path.format(project=project))
        press(page)
        expect(page.locator(appears)).to_be_visible()
        yield name
    yield from _web_sources(page, site, workspace)


def _web_sources(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    config_id = _connect_web(site, workspace)
    for path in ("/admin/sign-in/", "/account/", "/auth/verify", f"/sso/{config_id}/connect"):
        yield _go(page, f"{path}?with=sources")
    with inside(site.app, workspace) as session:
        domain = session.scalars(select(MailDomain.id).order_by(MailDomain.domain)).first()
    for path in (
        "sources/new", "sources/new/ldap/active-directory", "sources/new/oidc/entra", "sources/new/oauth2/github",
        f"sources/{config_id}", *(f"sources/{config_id}/{step}" for step in ("edit", "enforce", "disable", "remove")),
        "domains/new", f"domains/{domain}/remove",
    ):  # fmt: skip
        yield _go(page, f"/admin/sign-in/{path}")
    page.goto(f"/admin/sign-in/sources/{config_id}/edit")
    page.locator("main details summary").click()
    yield "all settings of a source"
    for name, end in (("lost", "callback"), ("unreachable", "start"), ("a rehearsal that fails", "rehearse")):
        page.goto(f"/sso/{config_id}/{end}")
        if end == "rehearse":
            send(page.locator("main form"))
            expect(page.get_by_role("alert")).to_be_visible()
        yield name
    page.context.clear_cookies()
    for path in ("/auth/login?with=sources", "/auth/login?step=password"):
        yield _go(page, path)
    page.goto("/auth/login")
    form = form_with(page, "email")
    form.locator("[name=email]").fill(f"somebody@{workspace.slug}.example")
    with _held_back(page, f"**/sso/{config_id}/start"):
        send(form)
    yield "on the way to a source"


def walk_provider(page: Page, site: Site, workspace: Workspace, provider: OidcServer) -> Iterator[str]:
    """Bring the page to what only a provider that answers leads to, first as the owner, then as somebody from there."""
    work = _connect_provider(site, workspace, provider)
    somebody = _add_somebody(workspace, provider)
    begin, there = f"/sso/{work}/start", f"{provider.issuer}/auth?**"

    come_in(page, site, workspace, "owner")
    rehearse = f"/sso/{work}/rehearse"
    yield _go(page, rehearse)
    with _held_back(page, there):
        send(page.locator("main form"))
    yield "on the way to a rehearsal"
    state = _state(page.locator("main a.btn").get_attribute("href") or "")
    said = f"error=invalid_scope&error_description={LONG_NAME}&iss={provider.issuer}"
    page.goto(f"/sso/{work}/callback?{said}&state={state}")
    expect(page.get_by_role("alert")).to_be_visible()
    yield "a rehearsal that the provider breaks off"
    page.goto(rehearse)
    send(page.locator("main form"))
    sign_in_there(page, somebody)
    expect(page.locator("#claims")).to_be_visible()
    yield "a rehearsal"
    page.goto(f"/sso/{work}/connect")
    with _held_back(page, there):
        send(page.locator("main form"))
    yield "on the way to be connected"

    page.context.clear_cookies()
    with page.expect_request(there) as sent:
        page.goto(begin)
    page.goto(f"/sso/{work}/callback?code=none&state={_state(sent.value.url)}")
    yield "misconfigured"
    page.goto(begin)
    page.locator("[name=cancel]").click()
    page.wait_for_url("**/callback?**")
    yield "denied"
    page.goto(site.url("auth.localhost", f"/broker/{work}/callback"))
    yield "lost at the broker"

    page.goto(begin)
    sign_in_there(page, somebody)
    expect_signed_in(page)
    for path in ("/account/", "/auth/verify"):
        yield _go(page, f"{path}?for=somebody")
    with _held_back(page, f"{provider.issuer}/session/end?**"):
        leave(page)
    yield "on the way to sign out there"
    sources.enforce(site.app, workspace, work)
    page.goto("/auth/login?step=password")
    form = form_with(page, "password")
    form.locator("[name=email]").fill(workspace.people["member"].email)
    form.locator("[name=password]").fill(workspace.people["member"].password)
    send(form)
    expect(page.get_by_role("alert")).to_be_visible()
    yield "a password that counts no more"


def walk_admin(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    """Bring the page to every page of the administration, with much on it, and then to an invitation."""
    for path in ADMIN:
        if path == ADMIN[0]:
            come_in(page, site, workspace, "owner")
        yield f"{_go(page, path)}, with nothing in it"
    _connect_web(site, workspace)
    link = _invite(site, workspace)
    for path in ADMIN:
        yield _go(page, path)
    yield from _members(page, workspace)
    page.goto("/admin/workspace/")
    page.locator("[name=accent]").fill("#ffff00")
    send(page.locator("main form"))
    yield "a colour that cannot be read"
    page.locator("[name=accent]").fill("#0b5cad")
    send(page.locator("main form"))
    yield "a colour of the workspace's own"
    yield from _roles(page, site, workspace)
    yield from _programs(page, site, workspace)
    page.goto("/admin/policy/")
    page.locator("[name=networks]").fill(LONG_NAME)
    send(page.locator("main form"))
    yield "rules that cannot be"
    yield f"{_go(page, link)[:12]} of somebody else"
    page.context.clear_cookies()
    yield _go(page, link)[:12]
    yield _go(page, link + "x")[:12]


def _roles(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    with inside(site.app, workspace):
        role = roles.create_role(LONG_NAME[:80], ["project:read"], actor=None)
        roles.grant_role(users.get_by_email(workspace.people["viewer"].email), role.name, actor=None)
        role_id = role.id
    for end in ("", "/edit", "/delete"):
        yield _go(page, f"/admin/roles/{role_id}{end}")
    page.goto(f"/admin/roles/{role_id}/edit")
    page.locator("[name=permissions][value='project:create']").check()
    page.locator("main button[value=preview]").click()
    expect(page.locator("main button[value=save]")).to_be_visible()
    yield "who gains and loses what"


def _programs(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    back = f"https://app.example/{'x' * 300}"
    with inside(site.app, workspace):
        everything = sorted(each.value for feature in roles.catalogue().features for each in feature.permissions)
        app, _secret = clients.add_app(LONG_NAME[:100], redirects=[back], permissions=everything, actor=None)
        account = service_accounts.create_account(LONG_NAME[:100], actor=None)
        service_accounts.give_role(account, "member", actor=None)
        clients.add_credential(account, LONG_NAME[:100], actor=None)
        program = Program(site.app, workspace.host, app.id, app.client_id, redirect_uri=back)
        paths = (f"/admin/apps/{app.id}", f"/admin/service-accounts/{account.id}")
    for path in paths:
        for end in ("", "/remove"):
            yield _go(page, f"{path}{end}")
    yield _go(page, f"{paths[0]}/edit")
    page.goto(paths[0])
    page.locator("form[action$='/secret'] button").click()
    page.locator("#confirm[open] button[value=yes]").click()
    expect(page.locator("#client-secret")).to_be_visible()
    yield "a secret that is shown once"
    yield _go(page, program.ask(" ".join(["openid", "email", *everything])))[:16]
    yield _go(page, program.ask(redirect_uri="https://evil.example/"))[:16] + ", refused"
    with inside(site.app, workspace):
        owner = Identity(workspace.people["owner"].id)
        consents.give(owner, row_of(program), scopes.Scope(frozenset(everything), frozenset(scopes.IDENTITY)))
    yield f"{_go(page, '/account/apps/')}, with one"


def _members(page: Page, workspace: Workspace) -> Iterator[str]:
    owner = workspace.people["owner"]
    for end, name in (("", "a member"), ("/remove", "a member to remove")):
        page.goto(f"/admin/members/{owner.id}{end}")
        yield name
    page.goto("/admin/members/import")
    page.locator("[name=text]").fill(
        f"email,name,role\nnew@x.example,New,\n{owner.email},Other,\n{LONG_NAME},{LONG_NAME},\n"
    )
    send(page.locator("main form"))
    yield "an import with a wrong line"
    page.locator("[name=text]").fill(f"email,name\n{'long-name' * 6}@x.example,{LONG_NAME}\n{owner.email},Other\n")
    send(page.locator("main details form"))
    yield "an import to confirm"


def walk_hosts(page: Page, site: Site) -> Iterator[str]:
    """Bring the page to the pages that need no workspace."""
    for name, address in (
        ("apex", site.url("localhost")),
        ("apex, refused", site.url("localhost", "/?workspace=!")),
        ("no workspace", site.url("nobody-here.localhost")),
    ):
        page.goto(address)
        yield name


def _go(page: Page, path: str) -> str:
    page.goto(path)
    return path


def _fill(site: Site, workspace: Workspace) -> str:
    for number in range(20):
        make_project(site.app, workspace, f"Project {number}")
    make_project(site.app, workspace, "Done", status="done")
    return str(make_project(site.app, workspace, LONG_NAME, description=f"{LONG_NAME}\n" * 3))


def _connect(site: Site, workspace: Workspace) -> uuid.UUID:
    settings = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
    with inside(site.app, workspace):
        config = configs.add_provider("office", "ldap", settings, actor=None, label=LONG_NAME[:100])
        configs.enable_provider(config, actor=None)
        return config.id


def _connect_web(site: Site, workspace: Workspace) -> uuid.UUID:
    settings = {"issuer": "http://localhost:1", "client_id": "x", "client_auth": "none", "insecure": True}
    mine = f"{workspace.slug}.example"
    with inside(site.app, workspace) as session:
        config = configs.add_provider("web", "oidc", settings, actor=None, label=LONG_NAME[:100], domains=[mine])
        configs.enable_provider(config, actor=None, untried=True)
        for state in ("pending", "proved", "warning", "lapsed"):
            domain = mine if state == "proved" else f"{state}.{LONG_NAME[:40]}.{mine}".lower().replace("ä", "a")
            session.add(MailDomain(domain=domain, token="t" * 43, state=state))
        owner = workspace.people["owner"].id
        session.add(LinkedIdentity(user_id=owner, provider_id=config.id, subject=LONG_NAME, login=LONG_NAME.lower()))
        for kind in audit.KINDS:
            audit.record(kind, config, details={"reason": LONG_NAME * 2, "name": [LONG_NAME, None]})
        return config.id


def _invite(site: Site, workspace: Workspace) -> str:
    """Ask many people in; gives back where one of them accepts."""
    mine = f"{workspace.slug}.example"
    with inside(site.app, workspace):
        made = invitations.invite([f"{'long-name' * 6}{number}@{mine}" for number in range(12)], "member", actor=None)
        return f"/invitation/{invitation_links.token_of(made[0])}"


def _connect_provider(site: Site, workspace: Workspace, provider: OidcServer) -> uuid.UUID:
    domain = sources.own(site.app, workspace, f"{workspace.slug}.example")
    work = sources.connect(
        site.app, workspace, provider, host=site.url(workspace, ""), label=LONG_NAME[:100], domains=[domain]
    )
    sources.map_group(site.app, workspace, LONG_NAME, "member")
    return work


def _add_somebody(workspace: Workspace, provider: OidcServer) -> str:
    login = f"{'x' * 99}-{workspace.slug}"
    provider.add_person(
        login,
        email=f"{'long-name' * 7}@{workspace.slug}.example",
        email_verified=True,
        name=LONG_NAME,
        groups=["engineering", LONG_NAME, *(f"team {number}" for number in range(8))],
    )
    return login


def _state(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


@contextmanager
def _held_back(page: Page, address: str) -> Iterator[None]:
    """Stay on a page that leads on to that address by itself; ends when it has tried to."""
    page.route(address, lambda route: route.fulfill(status=204))  # to which a browser stays where it is
    with page.expect_response(address):
        yield
    page.unroute(address)


def _send_empty_project(page: Page) -> None:
    form = form_with(page, "description")
    form.locator("[name=name]").fill(" ")
    send(form)


def _post_update(page: Page) -> None:
    form = form_with(page, "body")
    form.locator("[name=body]").fill(LONG_NAME)
    send(form)


def _press(selector: str) -> Callable[[Page], None]:
    return lambda page: page.locator(selector).click()


_PRESSED: tuple[tuple[str, str, Callable[[Page], None], str], ...] = (
    ("a project with an error", "/projects/new", _send_empty_project, "[aria-invalid=true]"),
    ("a project with an update", "/projects/{project}", _post_update, "#updates .lines"),
    ("an open menu", "/", _press("details.menu summary"), "details.menu[open]"),
    ("a key for an app", "/auth/tf-setup", _press("main form:has([value=authenticator]) button"), ".secret-key"),
    ("recovery codes", "/auth/mf-recovery-codes", _press("main form[method=post] button"), "#codes"),
    ("a question", "/account/sessions", _press(".card-footer button"), "#confirm[open]"),
)
"""Pages that an address alone does not lead to: a name, where to begin, what to press, and what appears."""

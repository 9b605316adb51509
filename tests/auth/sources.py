"""Web sources of the tests' own, connected to a workspace, and people who walk to them and back without a browser."""

import html
import re
import secrets
import uuid
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth import groups, links, users
from auth.audit_models import AuditEvent
from auth.models import User
from auth.providers import configs
from auth.providers.models import MailDomain, ProviderConfig
from tenants.db import now
from tests.auth.helpers import inside
from tests.factories import Person, Workspace
from tests.servers import oidc
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor

POLICY = ("label", "domains", "creates_users")


def connect(
    app: Flask,
    workspace: Workspace,
    server: OidcServer,
    name: str = "work",
    *,
    host: str | None = None,
    enabled: bool = True,
    rehearsed: bool = True,
    client: dict[str, Any] | None = None,
    key: str | None = None,
    backchannel: str | None = None,
    **settings: Any,
) -> uuid.UUID:
    """Connect the workspace to that provider, in which a client is made for it; gives back the source's id.

    `key` is the private key of a client that has no secret; `backchannel` the host that is told of sign-outs there, if
    it is not the workspace's.
    """
    policy = {key: settings.pop(key) for key in POLICY if key in settings}
    base = host or workspace.url
    made = server.add_client(redirect_uris=[f"{base}/sso/placeholder/callback"], **(client or {}))
    given = {"issuer": server.issuer, "client_id": made.id, "insecure": True, "groups_claim": "groups",
             "scopes": ["openid", "profile", "email", "groups"]} | settings  # fmt: skip
    config_id = add(
        app, workspace, name, "oidc", given, secret=key or made.secret, enabled=enabled, rehearsed=rehearsed, **policy
    )
    # Only now is it known where people come back.
    server.add_client(
        client_id=made.id,
        secret=made.secret,
        redirect_uris=[
            f"{base}/sso/{config_id}/callback",
            f"http://auth.localhost{f':{port}' if (port := urlsplit(base).port) else ''}/broker/{config_id}/callback",
        ],
        post_logout_redirect_uris=[f"{base}/sso/{config_id}/signed-out"],
        **(client or {}) | {"backchannel_logout_uri": f"{backchannel or base}/sso/{config_id}/backchannel-logout"},
    )
    return config_id


def add(
    app: Flask,
    workspace: Workspace,
    name: str,
    kind: str,
    settings: dict[str, Any],
    *,
    secret: str | None = None,
    enabled: bool = True,
    rehearsed: bool = True,
    **policy: Any,
) -> uuid.UUID:
    """Add a source of any kind, as if it had been rehearsed."""
    with inside(app, workspace):
        config = configs.add_provider(name, kind, settings, actor=None, secret=secret, **policy)
        if rehearsed:
            config.rehearsed_at = now()
        if enabled:
            configs.enable_provider(config, actor=None, untried=True)
        return config.id


def own(app: Flask, workspace: Workspace, domain: str, state: str = "proved", *, vouched: bool = True) -> str:
    """Let the workspace have proved a domain."""
    with inside(app, workspace) as session:
        session.add(MailDomain(domain=domain, token="none", state=state, vouched=vouched, proved_at=now()))
    return domain


def add_person(server: OidcServer, email: str | None, **claims: Any) -> str:
    """Add somebody with that address to the provider, who is verified; gives back who they are there."""
    sub = f"p-{secrets.token_hex(4)}"
    server.add_person(sub, **{"email": email, "email_verified": True} | claims)
    return sub


def enforce(app: Flask, workspace: Workspace, config_id: uuid.UUID, break_glass: Person | None = None) -> None:
    """Enforce the source, as after an administrator's sign-in; the owner is named for emergencies."""
    with inside(app, workspace) as session:
        config = session.find(ProviderConfig, config_id)
        assert config is not None
        config.admin_seen_at = now()
        named = break_glass or workspace.people["owner"]
        configs.enforce_provider(config, users.get_by_email(named.email), actor=None)


def map_group(app: Flask, workspace: Workspace, group: str, role: str, name: str = "work") -> None:
    """Give the members of a provider's group a role."""
    with inside(app, workspace):
        groups.map_group(configs.get_config(name), group, group, role, actor=None)


def config_of(app: Flask, workspace: Workspace, config_id: uuid.UUID) -> ProviderConfig:
    """The source as it is now."""
    with inside(app, workspace) as session:
        found = session.find(ProviderConfig, config_id)
        assert found is not None
        return found


def user_at(app: Flask, workspace: Workspace, email: str) -> User | None:
    """The user with that address."""
    with inside(app, workspace):
        return users.find_by_email(email)


def subjects_of(app: Flask, workspace: Workspace, email: str) -> list[str]:
    """Who the user is at the sources that vouch for them, without the issuers, in the sources' order."""
    with inside(app, workspace):
        user = users.get_by_email(email)
        return [link.subject.rpartition(" ")[2] for link, _config in links.links_of(user.id)]


def events_of(app: Flask, workspace: Workspace, kind: str) -> list[str]:
    """The first detail of each of the workspace's events of a kind, in their order."""
    with inside(app, workspace) as session:
        wanted = select(AuditEvent.details).where(AuditEvent.kind == kind).order_by(AuditEvent.id)
        return [str(next(iter(details.values()), "")) for details in session.scalars(wanted)]


def depart(visitor: Visitor, config_id: uuid.UUID, step: str = "start", **query: str) -> str:
    """Set out to the source; gives back the address to which the browser is sent."""
    if step in ("connect", "rehearse"):  # by a form, whose page leads on
        page = visitor.post(f"/sso/{config_id}/{step}")
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
        assert found, page.text
        return html.unescape(found.group(1))
    answer = visitor.get(f"/sso/{config_id}/{step}", query_string=query)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def follow(visitor: Visitor, address: str) -> TestResponse:
    """Ask for an address to which the browser was sent, on whichever of our hosts it is."""
    parts = urlsplit(address)
    return visitor.client.get(
        f"{parts.path}?{parts.query}", base_url=f"{parts.scheme}://{parts.netloc}", environ_base=visitor.environ
    )


def sign_in(
    visitor: Visitor,
    server: OidcServer,
    config_id: uuid.UUID,
    login: str,
    step: str = "start",
    *,
    browser: oidc.Browser | None = None,
    **query: str,
) -> TestResponse:
    """Go there, sign in, and come back; gives the answer to the return. `browser` is who is known there already."""
    there = browser or oidc.Browser(server)
    answer = follow(visitor, there.sign_in(depart(visitor, config_id, step, **query), login))
    if answer.status_code == 302 and "/finish?" in answer.headers["Location"]:
        answer = follow(visitor, answer.headers["Location"])
    return answer


def join(visitor: Visitor, server: OidcServer, config_id: uuid.UUID, person: Person, **claims: Any) -> str:
    """Join an account with somebody at the provider by proving both in that browser; gives back who it is there."""
    sub = add_person(server, person.email, **claims)
    sign_in(visitor, server, config_id, sub)
    assert visitor.sign_in(person).status_code == 302
    return sub

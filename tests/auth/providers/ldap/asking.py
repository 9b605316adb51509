"""How the tests ask a directory."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import SecretStr

from auth.providers.base import ExternalIdentity
from auth.providers.ldap import LdapConfiguration, LdapProvider
from auth.providers.ldap.channel import Deadline
from auth.providers.ldap.conversation import Access, Conversation, open_conversation
from auth.providers.ldap.faults import Fault
from auth.providers.ldap.provider import Unanswered
from tests.servers import openldap, require
from tests.servers.hostile_ldap import Hostile
from tests.servers.openldap import PASSWORD, OpenLdapServer

EVERYWHERE = [ip_network("0.0.0.0/0"), ip_network("::/0")]
TIMEOUT = 0.4
SLACK = 8.0
"""Seconds that a busy machine may need more than the deadline says."""


def unique(name: str) -> str:
    """A name that no other test has."""
    return f"{name}-{secrets.token_hex(4)}"


def provider_for(servers: list[str], *, secret: str | None = None, **settings: Any) -> LdapProvider:
    """A provider, whose id is its own, with these servers."""
    given = {"servers": servers, "base_dn": "dc=acme,dc=example", "timeout": 10.0, "connect_timeout": 5.0} | settings
    given["connect_timeout"] = min(given["connect_timeout"], given["timeout"])
    access = Access(LdapConfiguration.model_validate(given), SecretStr(secret) if secret else None, EVERYWHERE)
    return LdapProvider(id=secrets.token_hex(8), access=access)


def connected_to(server: OpenLdapServer, **settings: Any) -> LdapProvider:
    """A provider that is a real server's, by LDAPS."""
    given = {
        "servers": [server.tls_url],
        "ca_bundle": server.ca,
        "bind_dn": server.service_dn,
        "secret": server.service_password,
        "base_dn": server.people,
        "group_base": server.groups,
    } | settings
    return provider_for(**given)


def quick(hostile: Hostile | OpenLdapServer, **settings: Any) -> LdapProvider:
    """A provider that is impatient with its server, and speaks with it without TLS."""
    return provider_for([hostile.url], **{"insecure": True, "timeout": TIMEOUT} | settings)


def sign_in(
    provider: LdapProvider, login: str, password: str = PASSWORD, counted: list[str] | None = None
) -> ExternalIdentity:
    """Sign somebody in; `counted` takes the accounts that are counted."""
    return provider.authenticate(login, password, count=(counted if counted is not None else []).append)


@contextlib.contextmanager
def in_time(timeout: float = TIMEOUT) -> Iterator[None]:
    """The block ends within the timeout, but for what a busy machine adds."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < timeout + SLACK


@contextlib.contextmanager
def a_server(**options: Any) -> Iterator[OpenLdapServer]:
    """An OpenLDAP server with options."""
    with require(partial(openldap.start, **options)) as started:
        yield started


@contextlib.contextmanager
def as_service(provider: LdapProvider) -> Iterator[Conversation]:
    """A session as the service account."""
    [server] = provider.access.configuration.parsed_servers
    with open_conversation(provider.access, server, Deadline(provider.access.configuration.timeout)) as session:
        session.bind_service()
        yield session


def subject_in(server: OpenLdapServer, dn: str) -> str:
    """What identifies an entry for ever."""
    return server.get(dn)["entryUUID"][0]


def unanswered(provider: LdapProvider, password: str = PASSWORD) -> Fault:
    """Why nobody can be signed in, told in time."""
    with in_time(provider.access.configuration.timeout), pytest.raises(Unanswered) as caught:
        sign_in(provider, "someone", password)
    return caught.value.fault

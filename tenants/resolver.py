"""Host to tenant.

A host is a subdomain of the base domain, a verified domain of a tenant, or a reserved name. What a process has
resolved it keeps, and holds it for true only while the tenant's version is the one just read.
"""

import re
from functools import lru_cache
from types import MappingProxyType

from flask import Request
from sqlalchemy import Connection, RowMapping, bindparam, select
from werkzeug.exceptions import SecurityError

from tenants.context import Tenant
from tenants.errors import InvalidSlug
from tenants.models import Domain, TenantRow, TenantStatus

APEX = frozenset({"", "www", "auth"})
"""Labels before the base domain that are no tenant and say so ("" is the base domain itself)."""

RESERVED = APEX | {
    "admin", "api", "app", "assets", "billing", "blog", "cdn", "console", "dashboard", "dev", "docs", "ftp",
    "help", "id", "imap", "internal", "localhost", "login", "mail", "metrics", "mx", "ns", "ns1", "ns2", "oauth", "pop",
    "postmaster", "root", "scim", "security", "signup", "smtp", "sso", "staging", "static", "status", "support",
    "system", "test", "webmail", "webhooks",
}  # fmt: skip
"""Slugs that no tenant may have: ours to use, or able to mislead."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_PORT = re.compile(r":[0-9]{1,5}\Z")
_MOST_HOSTS = 10_000

TENANT = select(
    TenantRow.id,
    TenantRow.slug,
    TenantRow.name,
    TenantRow.status,
    TenantRow.plan,
    TenantRow.version,
    TenantRow.settings,
)
"""The columns of which `as_value` makes a Tenant."""
BY_SLUG = TENANT.where(TenantRow.slug == bindparam("slug"))
_BY_DOMAIN = TENANT.join(Domain, Domain.tenant_id == TenantRow.id).where(
    Domain.host == bindparam("host"), Domain.verified_at.is_not(None)
)


def check_slug(slug: str) -> str:
    """Give back `slug` if a tenant may be called so; raise InvalidSlug, with the reason, if not."""
    if not _LABEL.fullmatch(slug):
        raise InvalidSlug("2 to 40 lower-case letters, digits and inner hyphens (a DNS label)")
    if slug.startswith("xn--") or slug[2:4] == "--":
        raise InvalidSlug("must not have '--' in third place: such labels are international names in disguise")
    if slug in RESERVED:
        raise InvalidSlug(f"'{slug}' is reserved")
    return slug


def host_of(request: Request) -> str | None:
    """The host name that `request` asks for: lower case, ASCII, without port and trailing dot; None if it is none."""
    try:
        host = request.host
    except SecurityError:
        return None
    return normalize_host(host)


@lru_cache(maxsize=_MOST_HOSTS)
def normalize_host(host: str) -> str | None:
    """`host` in the one form in which hosts are compared, or None if it is no host name (an IP literal is none)."""
    host = _PORT.sub("", host).lower()
    if not host.isascii():
        try:
            ascii_host = host.encode("idna")
            # What the encoding drops or folds, say an invisible joiner, only makes a host look like another one.
            if ascii_host.decode("idna") != host:
                return None
        except UnicodeError:
            return None
        host = ascii_host.decode("ascii")
    host = host[:-1] if host.endswith(".") else host
    return host if _HOST.fullmatch(host) else None


class Resolver:
    """Finds the tenant of a host, and remembers it."""

    def __init__(self, base_domain: str) -> None:
        self._base_domain = base_domain
        self._known: dict[str, Tenant] = {}

    def label_of(self, host: str) -> str | None:
        """What stands before the base domain: "" for the base domain itself, None for a host elsewhere."""
        if host == self._base_domain:
            return ""
        suffix = "." + self._base_domain
        return host.removesuffix(suffix) if host.endswith(suffix) else None

    def is_apex(self, host: str) -> bool:
        """Whether this is one of our own hosts that serve no tenant."""
        return self.label_of(host) in APEX

    def recall(self, host: str) -> Tenant | None:
        """The tenant that `host` had when last looked up. Not an answer: its version has to be compared."""
        return self._known.get(host)

    def look_up(self, host: str, connection: Connection) -> Tenant | None:
        """The tenant that `host` has now; None for an unknown or deleted one."""
        label = self.label_of(host)
        if label is None:
            row = connection.execute(_BY_DOMAIN, {"host": host}).mappings().first()
        else:
            row = connection.execute(BY_SLUG, {"slug": label}).mappings().first()
        if row is None or row["status"] == TenantStatus.DELETED:
            self._known.pop(host, None)
            return None
        if len(self._known) >= _MOST_HOSTS:
            self._known.clear()
        tenant = self._known[host] = as_value(row)
        return tenant


def as_value(row: RowMapping) -> Tenant:
    """The frozen value of a row of the tenants table."""
    return Tenant(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        status=row["status"],
        plan=row["plan"],
        version=row["version"],
        settings=MappingProxyType(row["settings"]),
    )

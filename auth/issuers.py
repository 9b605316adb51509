"""In whose name tokens are given: each host of a tenant is an issuer of its own (RFC 8414, section 3.3).

Whatever names an issuer names the host that was asked: metadata, the answer that the browser carries back (RFC 9207),
ID tokens, introspection, access tokens of our own sign-in, and whom an assertion has to be for. A token is the
tenant's all the same: it counts on every host that the tenant has at that moment, whichever of them gave it, and on
no other's. Keys are the tenant's, so that a host that goes to another tenant takes nothing along.
"""

import uuid

from flask import current_app, g, has_request_context, request
from sqlalchemy import select

from tenants.models import Domain
from tenants.resolver import host_of

_MOST_TENANTS = 10_000
_VERIFIED = select(Domain.host).where(Domain.verified_at.is_not(None))
_known: dict[uuid.UUID, tuple[int, frozenset[str]]] = {}


def asked() -> str:
    """The address of the bound tenant's host that is asked, without a slash at its end; else of its first one."""
    host = host_of(request) if has_request_context() else None
    return _address(host) if host is not None else _first()


def is_ours(issuer: str) -> bool:
    """Whether the bound tenant has that address, at this moment."""
    return issuer in (_first(), asked()) or issuer in _others()


def _first() -> str:
    """The address by the tenant's slug, which it always has."""
    return _address(f"{g.tenant.slug}.{current_app.extensions['tenants'].settings.base_domain}")


def _others() -> frozenset[str]:
    """The addresses of its verified domains; known while the tenant's version is the one that they were read at."""
    known = _known.get(g.tenant.id)
    if known is not None and known[0] == g.tenant.version:
        return known[1]
    found = frozenset(map(_address, g.db.scalars(_VERIFIED.where(Domain.tenant_id == g.tenant.id))))
    if len(_known) >= _MOST_TENANTS:
        _known.clear()
    _known[g.tenant.id] = (g.tenant.version, found)
    return found


def _address(host: str) -> str:
    return str(current_app.extensions["tenants"].settings.external_url(host))

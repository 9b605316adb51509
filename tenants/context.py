"""What is bound while a tenant is served: `g.tenant` and `g.db`.

`bound(tenant)` is the one way in and out, for requests, tasks, the command line and tests.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flask import g
from flask.ctx import _AppCtxGlobals

from tenants.db import TenantSession, open_session
from tenants.errors import NoTenantBound
from tenants.signals import send, tenant_unbound


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it was at `version`: a value to pass around, not a row."""

    id: uuid.UUID
    slug: str
    name: str
    status: str
    plan: str
    version: int
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)


class TenantGlobals(_AppCtxGlobals):
    """`flask.g`, in which a missing tenant or session is an error that says what is missing."""

    def __getattr__(self, name: str) -> Any:
        if name in ("db", "tenant"):
            raise NoTenantBound(f"g.{name}: no tenant is bound to this context")
        return super().__getattr__(name)


def bind(tenant: Tenant, *, writes: bool) -> TenantSession:
    """Bind `tenant` to the current application context and return its session, not yet connected."""
    g.tenant = tenant
    session = g.db = open_session(tenant.id, writes=writes)
    g.setdefault("sessions", []).append(session)
    return session


def unbind() -> None:
    """Undo `bind`: close the session, then forget the tenant. Does nothing when nothing is bound."""
    session: TenantSession | None = g.pop("db", None)
    try:
        if session is not None:
            session.close()
    finally:
        g.pop("tenant", None)
        send(tenant_unbound)


def unbind_all() -> None:
    """Undo every `bind` of this application context, also one that somebody has forgotten to undo."""
    if "db" in g:
        unbind()
    for session in g.pop("sessions", ()):
        session.close()


@contextmanager
def bound(tenant: Tenant, *, writes: bool = True) -> Iterator[TenantSession]:
    """Run a block as `tenant`: its session in `g.db`, committed at the end, rolled back when the block raises.

    May be nested, also inside a request of another tenant: what was bound before is bound again afterwards.
    """
    before = {name: g.pop(name) for name in ("tenant", "db", "identity", "permissions") if name in g}
    session = bind(tenant, writes=writes)
    entered = g.sessions
    try:
        yield session
        session.commit()
    finally:
        # A block that is left only when its context is gone must not unbind what another context has bound.
        if g and g.get("sessions") is entered:
            unbind()
            for name, value in before.items():
                setattr(g, name, value)
        session.close()


def afterwards(work: Callable[[], None]) -> None:
    """Run `work` in a transaction of its own once the request's has ended, however it ended.

    For what must survive a refusal. It runs bound to the same tenant; its changes are committed.
    """
    g.setdefault("afterwards", []).append(work)

"""The request hooks: bind, commit or roll back, unbind. Read this first.

Flask runs before_request hooks in order of registration and teardown hooks in reverse, so this package is
initialised before whatever reads tenant data, and leaves after it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, abort, current_app, g, has_request_context, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from config.settings import Settings
from tenants.context import Tenant, bind, bound, unbind, unbind_all
from tenants.db import TenantSession
from tenants.errors import DatabaseUnavailable
from tenants.models import TenantStatus
from tenants.resolver import host_of
from tenants.signals import send, tenant_opening

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

F = TypeVar("F", bound=Callable[..., Any])


class Suspended(Forbidden):
    """The tenant exists and is suspended."""

    description = "This workspace is suspended."
    problem = "suspended"


def init_app(app: Flask) -> None:
    """Register the hooks on `app`."""
    app.before_request(bind_tenant)
    app.after_request(end_transaction)
    app.teardown_request(unbind_tenant)
    # Once more, for the request whose teardown was cut short by another hook that raised.
    app.teardown_appcontext(leave_context)


def without_tenant(view: F) -> F:
    """Mark a view that is answered on any host, with no tenant bound and no data at hand."""
    view.without_tenant = True  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
    return view


def writes_on_get(view: F) -> F:
    """Mark a view that writes although it is asked by GET, as the links in mails do."""
    view.writes_on_get = True  # type: ignore[attr-defined]  # read by `_may_write`
    return view


def bind_tenant() -> ResponseReturnValue | None:
    """Resolve the host and bind its tenant, or answer in its place: 404 for no tenant, 403 for a suspended one."""
    if _needs_no_tenant(request.endpoint):
        return None
    extension = current_app.extensions["tenants"]
    host = host_of(request)
    if host is None or not _comes_by_public_port(extension.settings):
        abort(404)
    if extension.resolver.is_apex(host):
        answer: ResponseReturnValue = extension.answer_apex()
        return answer
    tenant = _open(host)
    if tenant is None:
        abort(404)
    structlog.contextvars.bind_contextvars(tenant=tenant.slug)
    if tenant.status == TenantStatus.SUSPENDED:
        raise Suspended
    return None


def look_again() -> None:
    """See the bound tenant, and whatever was loaded, as they are now: after a wait for whoever was changing them."""
    host = host_of(request)
    found = current_app.extensions["tenants"].resolver.look_up(host, g.db.connection()) if host is not None else None
    if found is None or found.id != g.tenant.id:
        abort(404)
    if found.status == TenantStatus.SUSPENDED:
        raise Suspended
    g.tenant = found
    g.db.expire_all()


def end_transaction(response: Response) -> Response:
    """Commit what the view did, or roll it back when the answer is a refusal; then do what was put off until now."""
    session: TenantSession | None = g.get("db")
    if session is not None:
        if response.status_code < 400:
            session.commit()
        else:
            session.rollback()
        for work in g.pop("afterwards", ()):
            with bound(g.tenant):
                work()
    return response


def unbind_tenant(_: BaseException | None = None) -> None:
    """Leave nothing of this request behind. Never raises: that would skip the other teardowns."""
    try:
        unbind_all()
    except Exception:
        structlog.get_logger().exception("the session could not be closed")
    structlog.contextvars.clear_contextvars()


def leave_context(error: BaseException | None = None) -> None:
    """The same at the end of an application context; one within a request leaves the request's log context alone."""
    outer = structlog.contextvars.get_contextvars() if has_request_context() else {}
    unbind_tenant(error)
    structlog.contextvars.bind_contextvars(**outer)


def _comes_by_public_port(settings: Settings) -> bool:
    # The port in the Host header goes into mailed links. A developer's may be any.
    _name, colon, port = request.host.rpartition(":")
    own = {str(settings.public_port), "443" if settings.scheme == "https" else "80"}
    return not settings.production or not colon or port in own


def _needs_no_tenant(endpoint: str | None) -> bool:
    if endpoint is None:
        return False
    if endpoint == "static" or endpoint.endswith(".static"):
        return True
    return getattr(current_app.view_functions.get(endpoint), "without_tenant", False)


def _may_write() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return request.method not in SAFE_METHODS or getattr(view, "writes_on_get", False)


def _open(host: str) -> Tenant | None:
    extension = current_app.extensions["tenants"]
    tenant: Tenant | None = extension.resolver.recall(host)
    if tenant is None:
        tenant = extension.engines.ask(partial(extension.resolver.look_up, host))
    while tenant is not None:
        session = bind(tenant, writes=_may_write())
        send(tenant_opening, session=session)
        _connect(session)
        if session.opening.version == tenant.version:
            return tenant
        # Something was changed since this process looked the host up; it may even be another tenant's by now.
        fresh: Tenant | None = extension.resolver.look_up(host, session.connection())
        if fresh is not None and fresh.id == tenant.id:
            g.tenant = fresh
            return fresh
        unbind()
        tenant = fresh
    return None


def _connect(session: TenantSession) -> None:
    try:
        session.connection()
    except DatabaseUnavailable:
        # A connection that died in the pool, say when the server was restarted. Nothing was done yet: once more.
        session.rollback()
        session.connection()

"""How many requests the API, SCIM, and the ways to sign in take: by address, by caller and by tenant.

By the tenant's plan (SAAS_PLANS), in windows of a minute that begin with the first request;
in Redis (SAAS_REDIS_URL), or else in each process for itself. No count costs the database anything. Two hooks:

* before the caller is known, the address is counted, so that also refused requests are, and bad tokens above all; where
  somebody signs in or a token is issued, it is counted a second time with a smaller limit;
* once the caller is known and let in, they are, and their tenant is. Whoever is nobody uses up no tenant's share.

Those are requests, whatever becomes of them; failed proofs are counted by `auth/throttle.py`, by account too, in the
database, for they must hold over processes without Redis and without mercy.

Headers: `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds), as clients read them
(draft-ietf-httpapi-ratelimit-headers, up to version 07), of the limit that is reached, else of the caller's, else of
the address'; and with 429 `Retry-After`.
"""

import logging
from collections.abc import Callable
from math import ceil
from time import time

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import ApplicationLimit, Limiter, RequestLimit

from auth.throttle import caller_address
from config.plans import DEFAULT_PLAN, Plan
from config.settings import Settings
from saas.limit_counts import CountsInMemory

PATHS = ("/api/", "/oauth/", "/scim/")
"""What programs use."""
SIGN_IN = frozenset(
    {"/api/v1/auth/revoke", "/api/v1/auth/token", "/auth/login", "/auth/mf-recovery", "/auth/reset",
     "/auth/tf-validate", "/auth/wan-signin", "/auth/wan-signin/<token>", "/oauth/introspect", "/oauth/revoke",
     "/oauth/token"}
)  # fmt: skip
"""Rules of the addresses, when posted to, where somebody proves who they are."""

# Redis is near, or it is not there: a request must not wait for it.
_PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5}

log = structlog.get_logger()


def init_app(app: Flask, settings: Settings) -> None:
    """Count addresses. Before Auth, after Tenants.

    Raises `limits.errors.ConfigurationError` where Redis is set and its client is not installed.
    """
    logging.getLogger("flask-limiter").setLevel("WARNING")  # it writes a line for each request that is refused
    sign_in, address = (_by_plan(settings.plans, name) for name in ("sign_in", "address"))
    limits = [
        ApplicationLimit(lambda: sign_in() if _signs_in() else "", key_function=_address, scope="sign-in"),
        ApplicationLimit(address, key_function=_address, scope="address"),
    ]
    app.extensions["limits"] = [_limiter(app, settings, limits, _is_unlimited)]
    app.after_request(tell)


def count_callers(app: Flask, settings: Settings) -> None:
    """Count callers and their tenants. After Auth, whose hooks find out who calls, and refuse."""
    limits = [
        ApplicationLimit(_by_plan(settings.plans, "caller"), key_function=_caller, scope="caller"),
        ApplicationLimit(_by_plan(settings.plans, "tenant"), key_function=_tenant, scope="tenant"),
    ]
    limiter = _limiter(app, settings, limits, lambda: _is_unlimited() or not _caller())
    app.extensions["limits"].insert(0, limiter)


def tell(response: Response) -> Response:
    """Set the headers. An after_request hook."""
    found = (limiter.current_limit for limiter in current_app.extensions["limits"])
    limit: RequestLimit | None = next(filter(None, found), None)
    if limit is None:
        return response
    try:
        remaining, reset = limit.remaining, max(1, ceil(limit.window.reset_time - time()))
    except Exception as error:  # whatever the client of Redis raises: it is the answer that matters
        log.warning("how many requests are left is not known", error=type(error).__name__)
        return response
    response.headers["RateLimit-Limit"] = str(limit.limit.amount)
    response.headers["RateLimit-Remaining"] = str(remaining)
    response.headers["RateLimit-Reset"] = str(reset)
    if limit.breached and response.status_code == 429:
        response.headers["Retry-After"] = str(reset)
    return response


def _limiter(app: Flask, settings: Settings, limits: list[ApplicationLimit], is_exempt: Callable[[], bool]) -> Limiter:
    """Have requests counted from the hook on that is registered now."""
    limiter = Limiter(
        _caller,
        application_limits=[*limits],
        storage_uri=settings.redis_url or f"{CountsInMemory.STORAGE_SCHEME[0]}://",
        storage_options=dict(_PATIENCE) if settings.redis_url else {},  # type: ignore[arg-type]  # seconds may be parts
        key_prefix="tenantry",
        # Redis that does not answer is a reason to count in each process, and none to refuse anybody.
        in_memory_fallback_enabled=bool(settings.redis_url),
        swallow_errors=True,
        headers_enabled=False,  # its own tell a time where the draft tells seconds
        # Its default, the endpoint, would exempt addresses at which there is nothing.
        request_identifier=lambda: request.endpoint or "nothing",
    )
    limiter.request_filter(is_exempt)
    limiter.init_app(app)
    return limiter


def _by_plan(plans: dict[str, Plan], name: str) -> Callable[[], str]:
    written = {plan: f"{getattr(limits, name)}/minute" for plan, limits in plans.items()}
    return lambda: written.get(g.tenant.plan) or written[DEFAULT_PLAN]


def _is_unlimited() -> bool:
    return "tenant" not in g or not (request.path.startswith(PATHS) or _signs_in())


def _signs_in() -> bool:
    return request.method == "POST" and request.url_rule is not None and request.url_rule.rule in SIGN_IN


# Keys bear the tenant: none can use up, or learn of, another's.


def _tenant() -> str:
    return str(g.tenant.id)


def _address() -> str:
    return f"{g.tenant.id}:{caller_address()}"


def _caller() -> str:
    """The caller's key; empty for nobody."""
    identity = g.get("identity")
    if (provisioner := g.get("provisioner")) is not None:
        who = provisioner.token_id
    elif identity is None or not identity.is_authenticated:
        return ""
    else:
        who = identity.token.id if identity.token is not None else identity.user_id
    return f"{g.tenant.id}:{who}"

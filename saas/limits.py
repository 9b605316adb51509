"""How many requests the API, SCIM, and the ways to sign in take: by address, by caller and by tenant.

By the tenant's plan (SAAS_PLANS), in windows of a minute that begin with the first request;
in Redis (SAAS_REDIS_URL), or else in each process for itself. No count costs the database anything. Two hooks:

* before the caller is known, the address is counted, so that also refused requests are, and bad tokens above all; where
  somebody signs in or a token is issued, it is counted a second time with a smaller limit;
* once the caller is known and let in, they are, and their tenant is. Whoever is nobody uses up no tenant's share, nor
  does a caller beyond their own.

Those are requests, whatever becomes of them; failed proofs are counted by `auth/throttle.py`, by account too, in the
database, for they must hold over processes without Redis and without mercy.

Headers: `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds), as clients read them
(draft-ietf-httpapi-ratelimit-headers, up to version 07), of the limit of which least is left; and with 429
`Retry-After`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from time import monotonic, time
from typing import Any, cast

import structlog
from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage, storage_from_string
from werkzeug.exceptions import TooManyRequests

from auth.throttle import caller_address
from config.plans import DEFAULT_PLAN, Plan
from config.settings import Settings
from saas import errors
from saas.limit_counts import CountsInMemory
from tenants.request import Suspended

PATHS = ("/api/", "/oauth/", "/scim/")
"""What programs use."""
SIGN_IN = frozenset(
    {"/api/v1/auth/revoke", "/api/v1/auth/token", "/auth/confirm", "/auth/login", "/auth/mf-recovery", "/auth/reset",
     "/auth/tf-validate", "/auth/wan-signin", "/auth/wan-signin/<token>", "/invitation/<token>/directory",
     "/oauth/introspect", "/oauth/revoke", "/oauth/token"}
)  # fmt: skip
"""Rules of the addresses, when posted to, where somebody proves who they are."""

# Redis is near, or it is not there: a request must not wait for it, nor each one try it again.
_PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5}
_LEFT_ALONE = 30  # seconds

log = structlog.get_logger()


@dataclass(slots=True)
class Counters:
    """Where requests are counted, and what each plan takes. Redis that does not answer is left alone for a while."""

    storage: Storage
    plans: Mapping[str, Mapping[str, RateLimitItem]]
    spare: CountsInMemory = field(default_factory=CountsInMemory)
    spare_until: float = 0.0

    def count(self, scope: str, key: str) -> "Counted":
        """Count a request of the bound tenant."""
        item = (self.plans.get(g.tenant.plan) or self.plans[DEFAULT_PLAN])[scope]
        written = item.key_for(scope, key)
        storage, used = self._using(lambda storage: storage.incr(written, item.get_expiry()))
        return Counted(item, written, storage, used)

    def reset_of(self, counted: "Counted") -> int | None:
        """Seconds until the window of a count ends; None when it cannot be found out."""
        storage, at = self._using(lambda storage: storage.get_expiry(counted.key))
        return max(1, ceil(at - time())) if storage is counted.storage else None

    def _using(self, ask: Callable[[Storage], Any]) -> tuple[Storage, Any]:
        if monotonic() >= self.spare_until:
            try:
                return self.storage, ask(self.storage)
            except Exception as error:  # whatever the client raises: counting in each process is better than refusing
                log.warning("requests are counted in each process: Redis does not answer", error=type(error).__name__)
                self.spare_until = monotonic() + _LEFT_ALONE
        return self.spare, ask(self.spare)


@dataclass(frozen=True, slots=True)
class Counted:
    """A request that was counted for one limit, the `used`th of its window."""

    item: RateLimitItem
    key: str
    storage: Storage
    used: int

    @property
    def left(self) -> int:
        """How many more there may be; less than none when it is one too many."""
        return self.item.amount - self.used


def init_app(app: Flask, settings: Settings) -> None:
    """Count addresses. Before Auth, after Tenants.

    Raises `limits.errors.ConfigurationError` where Redis is set and its client is not installed.
    """
    options: dict[str, Any] = dict(_PATIENCE) if settings.redis_url else {}
    uri = settings.redis_url or f"{CountsInMemory.STORAGE_SCHEME[0]}://"
    storage = cast("Storage", storage_from_string(uri, **options))  # of async ones the scheme would say so
    app.extensions["limits"] = Counters(storage, {name: _items(plan) for name, plan in settings.plans.items()})
    app.before_request(count_address)
    app.register_error_handler(Suspended, refuse_suspended)
    app.after_request(tell)


def count_callers(app: Flask) -> None:
    """Count callers and their tenants. After Auth, whose hooks find out who calls, and refuse."""
    app.before_request(count_caller)


def count_address() -> None:
    """Refuse an address beyond its limits. A before_request hook."""
    signs_in = _signs_in()
    if "tenant" not in g or not (signs_in or request.path.startswith(PATHS)):
        return
    key = f"{g.tenant.id}:{caller_address()}"
    if signs_in:
        _count("sign_in", key)
    _count("address", key)


def refuse_suspended(error: Suspended) -> ResponseReturnValue:
    """Answer in place of a suspended workspace. It is found out before any hook of ours, and counted here instead."""
    try:
        if "counted" not in g:
            count_address()
    except TooManyRequests as too_many:
        return errors.answer(too_many)
    return errors.answer(error)


def count_caller() -> None:
    """Refuse a caller, or a tenant, beyond their limits. A before_request hook."""
    if "tenant" in g and request.path.startswith(PATHS) and (caller := _caller()) is not None:
        _count("caller", f"{g.tenant.id}:{caller}")  # first: who is refused must not use up what is the others', too
        _count("tenant", str(g.tenant.id))


def tell(response: Response) -> Response:
    """Set the headers. An after_request hook."""
    counted: Counted | None = g.get("counted")
    if counted is None:
        return response
    response.headers["RateLimit-Limit"] = str(counted.item.amount)
    response.headers["RateLimit-Remaining"] = str(max(counted.left, 0))
    reset = current_app.extensions["limits"].reset_of(counted)
    if reset is not None:
        response.headers["RateLimit-Reset"] = str(reset)
    if counted.left < 0 and response.status_code == 429:
        response.headers["Retry-After"] = str(reset or counted.item.get_expiry())
    return response


def _count(scope: str, key: str) -> None:
    counted: Counted = current_app.extensions["limits"].count(scope, key)
    if "counted" not in g or counted.left < g.counted.left:
        g.counted = counted
    if counted.left < 0:
        raise TooManyRequests


def _items(plan: Plan) -> dict[str, RateLimitItem]:
    return {scope: RateLimitItemPerMinute(amount, namespace="tenantry") for scope, amount in plan}


def _signs_in() -> bool:
    return request.method == "POST" and request.url_rule is not None and request.url_rule.rule in SIGN_IN


def _caller() -> Any:
    """Names who calls within their tenant; None for nobody."""
    if (provisioner := g.get("provisioner")) is not None:
        return provisioner.token_id
    identity = g.get("identity")
    if identity is None or not identity.is_authenticated:
        return None
    return identity.token.id if identity.token is not None else identity.user_id

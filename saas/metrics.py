"""What the processes count, as text for Prometheus: GET /metrics, on any host, with no tenant.

No tenant, host or path is a label. Of gunicorn's workers each writes into files of its own, in a folder that
deploy/gunicorn.conf.py makes, and the one that is asked adds them all up. Gauges are written with a request, at most
once a second: of a worker at rest they tell what was so after its last one.
"""

import hmac
import threading
import time
from typing import Literal

from flask import Blueprint, Flask, Response, abort, current_app, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from auth.breakers import breakers
from auth.permissions import public
from config.settings import Settings
from tenants.request import without_tenant

NOTED_EVERY = 1.0  # seconds between two looks at the gauges, which cost more than a request should
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OF_WORKERS: dict[str, Literal["livesum", "livemax", "livemin"]] = {
    "process_resident_memory_bytes": "livesum",
    "process_virtual_memory_bytes": "livesum",
    "process_open_fds": "livemax",
    "process_max_fds": "livemin",
    "process_start_time_seconds": "livemin",
}
"""What one number says of several workers: their sum, the greatest or the least."""

bp = Blueprint("metrics", __name__)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._requests = Counter("tenantry_requests_total", "Requests answered.", ["method", "status"], registry=own)
        self._seconds = Histogram("tenantry_request_seconds", "Time to the answer.", ["endpoint"], registry=own)
        name, text = "tenantry_identity_source_breakers", "Breakers, one for each identity source and process."
        self._breakers = Gauge(name, text, ["state"], registry=own, multiprocess_mode="livesum")
        self._process = ProcessCollector(registry=None)
        self._gauges = {
            name: Gauge(name, f"The {mode[4:]} over the workers.", registry=own, multiprocess_mode=mode)
            for name, mode in _OF_WORKERS.items()
        }
        self._cpu = Counter("process_cpu_seconds_total", "CPU time that the workers have used.", registry=own)
        self._lock = threading.Lock()
        self._cpu_before = self._noted_at = 0.0
        self.note()  # none of the sums may miss a worker that was not asked for anything yet
        self._told = CollectorRegistry()
        try:
            MultiProcessCollector(self._told)  # type: ignore[no-untyped-call]  # it has no types
        except ValueError:  # there is no folder: one process, which tells its own
            self._told = own

    def count(self, method: str, status: int, endpoint: str | None, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method if method in _METHODS else "other", status).inc()
        name = "none" if endpoint is None else "static" if endpoint.endswith(".static") else endpoint
        self._seconds.labels(name).observe(seconds)
        if time.monotonic() - self._noted_at >= NOTED_EVERY:
            self.note()

    def note(self) -> None:
        """Write down what is so just now."""
        with self._lock:
            self._noted_at = time.monotonic()
            for state, number in breakers.states().items():
                self._breakers.labels(state).set(number)
            for family in self._process.collect():
                value = family.samples[0].value
                if family.name in self._gauges:
                    self._gauges[family.name].set(value)
                elif family.name == "process_cpu_seconds":
                    self._cpu.inc(max(0.0, value - self._cpu_before))
                    self._cpu_before = value

    def text(self) -> bytes:
        """Everything, of all workers."""
        self.note()
        return generate_latest(self._told)


def init_app(app: Flask, settings: Settings) -> None:
    """Have the page on `app`, and count its requests if somebody may read them."""
    app.register_blueprint(bp)
    if not settings.metrics_token.get_secret_value():
        return
    metrics = app.extensions["metrics"] = Metrics()

    @app.before_request
    def begin() -> None:
        g.begun_at = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        metrics.count(request.method, response.status_code, request.endpoint, time.perf_counter() - g.begun_at)
        return response


@bp.get("/metrics")
@public
@without_tenant
def tell() -> ResponseReturnValue:
    """The metrics as text, to who has the token; without the setting there is no such page."""
    token = current_app.extensions["tenants"].settings.metrics_token.get_secret_value()
    if not token:
        abort(404)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # A header's text is bytes, decoded so.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), token.encode()):
        return Response("A bearer token is needed.\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
    return Response(current_app.extensions["metrics"].text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

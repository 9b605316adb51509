"""Gunicorn's settings; every number that a deployment may want to move has an environment variable."""

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))

# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - only a place for that file

timeout = int(os.environ.get("WEB_TIMEOUT", "30"))
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_TIMEOUT", "25"))
# Longer than a load balancer's idle time-out is safer than shorter: the balancer closes first.
keepalive = int(os.environ.get("WEB_KEEPALIVE", "75"))

# A slow leak ends with its worker; the jitter keeps the workers from restarting together.
max_requests = int(os.environ.get("WEB_MAX_REQUESTS", "20000"))
max_requests_jitter = max_requests // 10

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190

# Forwarded headers are believed from nobody unless the deployment names its proxy.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

# The application writes one structured line a request itself.
accesslog = os.environ.get("WEB_ACCESS_LOG") or None
errorlog = "-"
# The control socket would be one more way in, at a path in the user's home.
control_socket_disable = True


# The workers' metrics. Each writes into files that bear its place and not, as usual, its process id: the worker that
# takes over a place counts on in its files, so that they do not become more with every worker that ends.
_own = {"place": "master"}
values.ValueClass = values.MultiProcessValue(lambda: _own["place"])


def on_starting(server):
    """Make the folder of the workers' metrics, which is this server's alone and empty; a reload keeps it."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="tenantry-metrics-", dir=worker_tmp_dir)


def pre_fork(server, worker):
    """Give the worker the first place that is free."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = _own["place"] = next(place for place in count() if place not in taken)


def child_exit(server, worker):
    """Forget what was so in a worker that is no more; what it counted stays."""
    mark_process_dead(worker.place)


def on_exit(server):
    """Remove the folder."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)

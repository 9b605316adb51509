"""Gunicorn's settings; every number that a deployment may want to move has an environment variable."""

import os
from pathlib import Path

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

"""Gunicorn's settings; every number that a deployment may want to move has an environment variable."""

import os
import shutil
import socket
import tempfile
import time
from itertools import count, islice
from pathlib import Path

from gunicorn.workers import gthread
from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))

# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - only a place for that file

timeout = int(os.environ.get("WEB_TIMEOUT", "30"))
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_TIMEOUT", "25"))
# Longer than a load balancer's idle time-out is safer than shorter: the balancer closes first.
keepalive = int(os.environ.get("WEB_KEEPALIVE", "75"))

# Of one worker, idle ones included; each is an open file, of which a process often has 1024.
worker_connections = int(os.environ.get("WEB_CONNECTIONS", "800"))

# A request has to be here, head and body, within this time; and nobody may take longer to read on. Gunicorn's own
# time-out is for a worker that hangs: it reads for as long as a client takes to send, one byte a minute, and each such
# client keeps a thread. A proxy that passes on whole requests only is better still.
receive_timeout = float(os.environ.get("WEB_RECEIVE_TIMEOUT", "20"))
send_timeout = float(os.environ.get("WEB_SEND_TIMEOUT", "30"))

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


class Connection(socket.socket):
    """A client's socket that is read from until a deadline."""

    deadline = float("inf")
    in_body = False
    """Whether the head of the request has been read."""

    def setblocking(self, flag):
        """Block for the time in which something has to be sent, and not without end."""
        self.settimeout(send_timeout if flag else 0.0)

    def recv(self, size, flags=0):
        """Read; after the deadline it is as if the client had left.

        Who leaves within a head gets no answer. Within a body it is an error: gunicorn would pass on what has come so
        far as the whole.
        """
        if self.gettimeout() == 0.0:
            return super().recv(size, flags)
        data = self._recv_in_time(size, flags)
        if self.in_body and not data:
            raise ConnectionResetError("the client has left before its request was here")
        return data

    def _recv_in_time(self, size, flags):
        before, left = self.gettimeout(), self.deadline - time.monotonic()
        if left <= 0:
            return b""
        try:
            self.settimeout(left if before is None else min(left, before))
            return super().recv(size, flags)
        except TimeoutError:
            return b""
        finally:
            self.settimeout(before)


class Worker(gthread.ThreadWorker):
    """Gunicorn's threads, none of which waits for a client for ever."""

    def handle(self, conn):
        """Handle a request, which has to be here by a deadline. Runs in a thread."""
        if type(conn.sock) is socket.socket:
            conn.sock = Connection(fileno=conn.sock.detach())
        conn.sock.deadline, conn.sock.in_body = time.monotonic() + receive_timeout, False
        # As gunicorn does after five seconds: who has not sent anything yet is waited for without a thread.
        if not conn.initialized and not conn.wait_for_data(0.005):
            return gthread._DEFER
        return super().handle(conn)

    def murder_pending(self):
        """Close connections on which nothing has come for too long, and when there is no more room, the oldest such.

        Gunicorn would accept nobody until then, so that whoever keeps enough of them open keeps everybody out.
        """
        for idle, close in (
            (self.pending_conns, super().murder_pending),
            (self.keepalived_conns, self.murder_keepalived),
        ):
            for conn in islice(idle, max(self.nr_conns - self.worker_connections + 1, 0)):
                conn.timeout = 0.0
            close()

    def handle_request(self, req, conn):
        """Have a request answered whose head is here."""
        conn.sock.in_body = True
        return super().handle_request(req, conn)


worker_class = Worker


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

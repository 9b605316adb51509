"""The product as browsers meet it: served on a port, at the hosts of its workspaces."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from saas import create_app
from tests.conftest import Database
from tests.factories import Workspace


class Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@dataclass(frozen=True)
class Site:
    """The running product. It runs in this process: a test can also act behind the browser's back."""

    app: Flask
    port: int

    def url(self, place: Workspace | str, path: str = "/") -> str:
        """The address of a path in a workspace, or on another host."""
        host = place.host if isinstance(place, Workspace) else place
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serve(database: Database) -> Iterator[Site]:
    """Serve the product on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = create_app(database.settings(public_port=port))
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Site(app, port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["tenants"].engines.dispose()

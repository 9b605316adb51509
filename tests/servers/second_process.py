"""The application in another process, as a second worker or a second machine would run it."""

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from config.settings import PREFIX
from tests.visitor import Visitor

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 30.0
SERVE = """
import sys
from werkzeug.serving import make_server
from saas.wsgi import app
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


class SecondProcess:
    """One more process of the application on a free port; a context manager that ends it."""

    def __init__(self, **settings: Any) -> None:
        given = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items() if value is not None}
        outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=ROOT,
            env=outside | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def get(self, visitor: Visitor, path: str = "/api/v1/me") -> tuple[int, Any]:
        """What this process answers to the browser's cookies: the status, and the body if it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_WITHIN)
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies().items())
        connection.request("GET", path, headers={"Host": visitor.host, "Cookie": cookies})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if "json" in (answer.headers["Content-Type"] or "") else None

    def __enter__(self) -> Self:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        raise RuntimeError("the second process does not answer")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

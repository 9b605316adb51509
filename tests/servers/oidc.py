"""An OpenID Connect provider of the test run's own: oidc-provider, a certified one, on Node."""

import atexit
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import requests

from tests.servers import ServerMissingError, free_port, node, unprivileged

PASSWORD = "correct horse battery staple"
ANSWERS_WITHIN = 30.0
PROGRAM = node.SOURCES / "server.mjs"


@dataclass(frozen=True)
class Client:
    """What a client is known by; a public one, and one that signs with its own key, have no secret."""

    id: str
    secret: str | None


class OidcServer:
    """One provider, all in memory; a context manager that ends it.

    `claims_in_id_token` puts what the scopes release into the ID token too; without it, only userinfo tells. The first
    of `acr_values` is a sign-in's if the client wants none of them. `redirects` is a pattern of redirect URIs, also
    after sign-out, that every client may use beside its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        claims_in_id_token: bool = False,
        acr_values: Sequence[str] = ("basic", "mfa"),
        redirects: str | None = None,
    ) -> None:
        self.port = port or free_port()
        self.issuer = f"http://localhost:{self.port}"
        options = {
            "port": self.port,
            "claimsInIdToken": claims_in_id_token,
            "acrValues": acr_values,
            "redirects": redirects,
        }
        self._turn = threading.Lock()
        self._log = Path(tempfile.mkdtemp(prefix="tenantry-oidc-")) / "log"
        program = node.program()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, PROGRAM, json.dumps(options)],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                # Ctrl-C belongs to the tests: the server is stopped after them.
                start_new_session=True,
                env={"LC_ALL": "C.UTF-8"},
                **_identity(program, PROGRAM, folder),
            )
        atexit.register(self.close)
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def add_client(
        self,
        *,
        redirect_uris: Sequence[str],
        client_id: str | None = None,
        secret: str | None = "",
        post_logout_redirect_uris: Sequence[str] = (),
        backchannel_logout_uri: str | None = None,
        token_endpoint_auth_method: str = "client_secret_basic",
        jwks: Mapping[str, Any] | None = None,
        **metadata: Any,
    ) -> Client:
        """Register a client or replace one; an empty `secret` is a random one where the method needs it."""
        client_id = client_id or f"client-{secrets.token_hex(4)}"
        if not token_endpoint_auth_method.startswith("client_secret_"):
            secret = None
        elif secret == "":
            secret = secrets.token_hex(32)
        given = {
            "client_id": client_id,
            "client_secret": secret,
            "redirect_uris": redirect_uris,
            "post_logout_redirect_uris": post_logout_redirect_uris,
            "backchannel_logout_uri": backchannel_logout_uri,
            "backchannel_logout_session_required": True if backchannel_logout_uri else None,
            "token_endpoint_auth_method": token_endpoint_auth_method,
            "jwks": jwks,
        }
        self._ask("client", {name: value for name, value in (given | metadata).items() if value is not None})
        return Client(client_id, secret)

    def add_person(self, sub: str, *, password: str = PASSWORD, **claims: Any) -> None:
        """Add somebody who signs in by `sub` or email, or replace what is known of them.

        A scope releases its claims: profile and email as usual, `groups` its own, `roles` roles and realm_access. One
        that the provider does not know goes with every ID token. `acr` and `amr` are those of the person's sign-ins.
        """
        self._ask("person", {"sub": sub, "password": password, "claims": claims})

    def requests(self) -> list[tuple[str, str]]:
        """Return method and path of every request so far."""
        return [(method, path) for method, path in self._ask("requests")]

    def rotate_keys(self) -> None:
        """Sign with new keys from now on and forget the old ones."""
        self._ask("rotate")

    def sign_out(self, sub: str) -> list[tuple[str, str | None]]:
        """End the person's sessions, and return which clients were told by back-channel logout, with their errors."""
        return [(client, failure) for client, failure in self._ask("signOut", sub)]

    def stop(self) -> None:
        """Refuse connections; what is known stays for the next `start`."""
        self._ask("unlisten")

    def start(self) -> None:
        """End `stop`."""
        self._ask("listen")

    def wait(self) -> None:
        """Wait until the server ends by itself, which it does not."""
        self._process.wait()

    def close(self) -> None:
        """End the server and remove its log."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads its group, and has nothing to save
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._log.parent, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, order: str, argument: Any = None) -> Any:
        line = json.dumps([order, argument]) + "\n"
        with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
            return self._answer()

    def _answer(self) -> Any:
        """Read the line that the server owes us."""
        pipe = self._process.stdout
        assert pipe is not None
        line, deadline = b"", time.monotonic() + ANSWERS_WITHIN
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            more = os.read(pipe.fileno(), 65536) if readable else b""
            if not more:
                raise RuntimeError(f"the identity provider does not answer:\n{self._log.read_text(errors='replace')}")
            line += more
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["answer"]


class Refused(RuntimeError):
    """The provider showed a page instead of going on; the text is the page's."""


class Browser:
    """Somebody at the provider's pages, signed in there as long as this lasts.

    What it returns is the URL at which the client would be called back; it is not opened.
    """

    def __init__(self, server: OidcServer) -> None:
        self._issuer = server.issuer
        self._http = requests.Session()
        self._http.trust_env = False

    def sign_in(self, url: str, login: str, password: str = PASSWORD) -> str:
        """Open an authorization URL, and sign in if asked; raise Refused if that is not enough."""
        return self._submit(url, {"login": login, "password": password})

    def cancel(self, url: str) -> str:
        """Open an authorization URL and refuse to sign in."""
        return self._submit(url, {"cancel": "yes"})

    def sign_out(self, url: str) -> str:
        """Open an end-session URL and confirm it; raise Refused, with the last page, if it leads to no client."""
        return self._submit(url, {"logout": "yes"})

    def _submit(self, url: str, fields: dict[str, str]) -> str:
        page = self._open("GET", url)
        if isinstance(page, requests.Response):
            form = Form(page)
            if form.action is not None:
                page = self._open("POST", form.action, form.fields | fields)
        if isinstance(page, requests.Response):
            raise Refused(page.text)
        return page

    def _open(self, method: str, url: str, data: dict[str, str] | None = None) -> requests.Response | str:
        """Return the page to which the provider leads, or the URL elsewhere."""
        while url.startswith(f"{self._issuer}/"):
            page = self._http.request(method, url, data=data, timeout=10, allow_redirects=False)
            if not page.is_redirect:
                return page
            method, url, data = "GET", urljoin(url, page.headers["location"]), None
        return url


class Form(HTMLParser):
    """The form of a page, if there is one: where it goes and what is filled in."""

    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._url = page.url
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the form and its fields."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = urljoin(self._url, given.get("action", ""))
        elif tag == "input":
            self.fields[given["name"]] = given.get("value", "")


def sign_in(server: OidcServer, url: str, login: str, password: str = PASSWORD) -> str:
    """Sign in in a new Browser."""
    return Browser(server).sign_in(url, login, password)


def _identity(*paths: Path) -> dict[str, Any]:
    """Return whom to run as: not root, unless the files are where only root may look."""
    places = {place for path in paths for place in (path, *path.parents)}
    open_to_all = all(place.stat().st_mode & 0o005 >= (0o005 if place.is_dir() else 0o004) for place in places)
    return unprivileged("nobody") if open_to_all else {}


def start(**options: Any) -> OidcServer:
    """Start a provider with these options of OidcServer; raise ServerMissingError where it cannot be installed."""
    installed = node.install()
    if isinstance(installed, ServerMissingError):
        raise installed
    return OidcServer(installed, **options)

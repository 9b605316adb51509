"""Who calls `/scim/v2`: the holder of a provisioning token, and nobody by anything else."""

from typing import Any

from flask import abort, current_app, g, request
from werkzeug.exceptions import Unauthorized

from auth import policy
from auth.permissions import access_of
from auth.providers.models import ProviderConfig
from auth.scim import tokens
from auth.scim.tokens import Provisioner
from tenants.db import TenantSession


class NoToken(Unauthorized):
    """Nobody who provisions; `wrong`: a token was shown, and is none that counts."""

    def __init__(self, *, wrong: bool) -> None:
        super().__init__()
        self.wrong = wrong

    def get_headers(self, *arguments: Any, **named: Any) -> list[tuple[str, str]]:
        """The headers of the answer, with how to show a token (RFC 6750, section 3)."""
        # By hand: Werkzeug quotes no word, and realms are sent in quotes (RFC 9110, section 11.5).
        challenge = 'Bearer realm="SCIM"' + (', error="invalid_token"' if self.wrong else "")
        return [*super().get_headers(*arguments, **named), ("WWW-Authenticate", challenge)]


def ask_with_opening(_sender: Any, session: TenantSession) -> None:
    """Have the token looked up in the trip that opens the transaction. Receives `tenant_opening`."""
    secret = _secret()
    if secret is not None and _is_asked():
        tokens.ask_with_opening(session, secret)


def identify() -> None:
    """Find out who provisions. A before_request hook, ahead of the one that enforces access.

    Answers 401 without a token that counts (RFC 6750, section 3), and 403 for one whose source is switched off, or that
    is shown at an address which the workspace does not serve.
    """
    if "tenant" not in g or not _is_asked():
        return
    secret = _secret()
    provisioner = tokens.of_opening(g.db.opening.answer, secret) if secret is not None else None
    if provisioner is None:
        raise NoToken(wrong=secret is not None)
    if not policy.admits_caller():
        abort(403, "The rules of this workspace do not admit requests from this address.")
    if not provisioner.enabled:
        abort(403, "The source is switched off.")
    g.provisioner = provisioner


def current() -> Provisioner:
    """Who provisions; there is somebody wherever `@provisions` lets requests through."""
    provisioner: Provisioner = g.provisioner
    return provisioner


def source() -> ProviderConfig:
    """The source that provisions, as the transaction under way sees it."""
    if "scim_source" not in g:  # the session's own memory lets go of what nobody holds
        g.scim_source = current().config
    config: ProviderConfig = g.scim_source
    return config


def forget(_sender: Any = None, **_: Any) -> None:
    """Drop what this package keeps in `g`. Receives `tenant_unbound`."""
    for name in ("provisioner", "scim_source", "scim_spent"):
        g.pop(name, None)


def _is_asked() -> bool:
    access = access_of(current_app, request.endpoint or "")
    return access is not None and access.provisions


def _secret() -> str | None:
    """What is shown as a bearer token; None if nothing is."""
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None

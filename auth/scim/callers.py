"""Who calls `/scim/v2`: the holder of a provisioning token, and nobody by anything else."""

from typing import Any

from flask import abort, current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from auth import policy
from auth.permissions import access_of
from auth.scim import tokens
from auth.scim.tokens import Provisioner


def identify() -> None:
    """Find out who provisions. A before_request hook, ahead of the one that enforces access.

    Answers 401 without a token that counts (RFC 6750, section 3), and 403 for one whose source is switched off, or that
    is shown at an address which the workspace does not serve.
    """
    access = access_of(current_app, request.endpoint or "")
    if "tenant" not in g or access is None or not access.provisions:
        return
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    given = scheme.lower() == "bearer" and bool(secret)
    provisioner = tokens.find(secret.strip()) if given else None
    if provisioner is None:
        raise Unauthorized(www_authenticate=_challenge(wrong=given))
    if not policy.admits_caller():
        abort(403, "The rules of this workspace do not admit requests from this address.")
    if not provisioner.enabled:
        abort(403, "The source is switched off.")
    g.provisioner = provisioner


def current() -> Provisioner:
    """Who provisions; there is somebody wherever `@provisions` lets requests through."""
    provisioner: Provisioner = g.provisioner
    return provisioner


def forget(_sender: Any = None, **_: Any) -> None:
    """Drop what this package keeps in `g`. Receives `tenant_unbound`."""
    g.pop("provisioner", None)
    g.pop("scim_spent", None)


def _challenge(*, wrong: bool) -> WWWAuthenticate:
    values: dict[str, str | None] = {"realm": "SCIM"}
    return WWWAuthenticate("bearer", values | ({"error": "invalid_token"} if wrong else {}))

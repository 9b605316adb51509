"""The session cookie: host-only, and worth nothing on another host."""

import secrets
from typing import Any, cast

from flask import Flask, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import URLSafeTimedSerializer

from tenants.resolver import host_of

_MOST_HOSTS = 10_000


class HostSession(SecureCookieSession):
    """A browser's session; once it is set aside, its cookie stays as it was."""

    is_aside = False


class HostSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, with the host in the signature.

    Sign-in steps under way, CSRF tokens and everything else in the cookie thus belong to one host, and so to one
    tenant. The host is only text here: nothing is looked up when the session is opened.
    """

    session_class = HostSession

    def __init__(self) -> None:
        self._serializers: dict[str, URLSafeTimedSerializer] = {}

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The serializer for the host of the current request; None (no session) when that is no host name."""
        host = host_of(request)
        return self.serializer_for(app, host) if host is not None and app.secret_key else None

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie, unless the browser's was set aside."""
        if not getattr(session, "is_aside", False):
            super().save_session(app, session, response)

    def serializer_for(self, app: Flask, host: str) -> URLSafeTimedSerializer:
        """The serializer for `host`."""
        if (known := self._serializers.get(host)) is not None:
            return known
        if len(self._serializers) >= _MOST_HOSTS:
            self._serializers.clear()
        # itsdangerous signs with the last key.
        keys: list[Any] = [*(app.config["SECRET_KEY_FALLBACKS"] or ()), app.secret_key]
        serializer = self._serializers[host] = URLSafeTimedSerializer(
            keys,
            salt=f"{self.salt} {host}",
            serializer=self.serializer,
            signer_kwargs={"key_derivation": self.key_derivation, "digest_method": self.digest_method},
        )
        return serializer


def init_app(app: Flask, *, secure: bool) -> None:
    """Set the session cookie of `app` up; `secure` says that browsers come by https."""
    app.session_interface = HostSessions()
    app.config |= {
        "SESSION_COOKIE_NAME": "__Host-session" if secure else "session",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_DOMAIN": None,
        "SESSION_COOKIE_PATH": "/",
        "SESSION_REFRESH_EACH_REQUEST": False,
    }


def set_aside() -> None:
    """Go on without the browser's session, as if there were none; nor is it changed by what follows."""
    session.clear()
    session.is_aside = True  # type: ignore[attr-defined]  # of ours; the proxy's type is Flask's


def write(app: Flask, host: str, handle: str, token: str) -> tuple[str, str]:
    """A cookie header and a CSRF token for a login session of that secret on `host`: for demo and test data."""
    secret = secrets.token_hex(20)
    content = {"_user_id": handle, "_fresh": True, "sid": token, "_permanent": True, "csrf_token": secret}
    value = cast("HostSessions", app.session_interface).serializer_for(app, host).dumps(content)
    csrf = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps(secret)
    return f"{app.config['SESSION_COOKIE_NAME']}={value!s}", str(csrf)

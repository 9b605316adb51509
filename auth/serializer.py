"""What Flask-Security signs: the links that it mails, and the states that it gives to a browser."""

from typing import Any

from flask import Flask, g
from itsdangerous import URLSafeTimedSerializer


class TenantSerializer:
    """Signs links and states for one tenant: what was signed for another is not ours.

    The newest key signs, all verify. The state of a set-up belongs to the login session that began it, which had
    signed in recently: it lends that to no other session.
    """

    def __init__(self, app: Flask, salt: str) -> None:
        # itsdangerous signs with the last.
        self._keys = [*app.config["SECRET_KEY_FALLBACKS"], app.config["SECRET_KEY"]]
        self._salt = salt

    def __getattr__(self, name: str) -> Any:
        login = getattr(g.get("identity"), "login", None) if self._salt in ("tf_setup", "wan") else None
        salt = f"{self._salt} {g.tenant.id}" + (f" {login.id}" if login else "")
        return getattr(URLSafeTimedSerializer(self._keys, salt=salt), name)

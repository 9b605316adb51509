"""Flask-Security's view of the tenant's users, through the session that sees only them."""

from typing import Any, cast

from flask import g
from flask_security import SQLAlchemyUserDatastore

from auth import audit
from auth.models import PERSON, Passkey, Role, User


class _Bound:
    """The `db` that Flask-Security's datastore expects: an object with the current session."""

    @property
    def session(self) -> Any:
        """The session of the bound tenant."""
        return g.db


class TenantDatastore(SQLAlchemyUserDatastore):
    """Users and passkeys of the bound tenant; nobody at all when no tenant is bound."""

    def __init__(self) -> None:
        # Of Flask-SQLAlchemy's object, which it asks for, it uses the session only.
        super().__init__(_Bound(), User, Role, Passkey)  # type: ignore[arg-type]

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> User | None:
        """Look a person up by one attribute. Service accounts are nobody here: they never sign in."""
        if "db" not in g or None in kwargs.values() or any("\0" in str(value) for value in kwargs.values()):
            return None
        # The same address in another case is the same person; not every caller says so.
        user = cast("User | None", super().find_user(case_insensitive or "email" in kwargs, **kwargs))
        if user is not None and user.kind != PERSON:
            return None
        # To the database more letters may be the same than to us, who count attempts by what is the same to us.
        if user is not None and "email" in kwargs and user.email.casefold() != kwargs["email"].casefold():
            return None
        return user

    def mf_set_recovery_codes(self, user: Any, rcs: list[str] | None) -> None:
        """Replace the recovery codes of a user; Flask-Security has no signal that would tell of it."""
        super().mf_set_recovery_codes(user, rcs)
        if rcs:
            audit.record("recovery codes made", audit.Party("user", user.id, user.email), details={"codes": len(rcs)})

    def commit(self) -> None:
        """Nothing: the request commits once, after the view (see `tenants/request.py`)."""

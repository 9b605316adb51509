"""What follows from what Flask-Security and Flask-Login report: login sessions begin and end, links become void."""

import secrets
from typing import Any

from flask import Flask, g, session
from flask_babel import gettext as _
from flask_login import user_logged_out
from flask_security import UserMixin, user_authenticated
from flask_security.signals import (
    change_email_confirmed,
    password_changed,
    password_reset,
    tf_disabled,
    tf_profile_changed,
    user_confirmed,
    wan_deleted,
    wan_registered,
)
from werkzeug.local import LocalProxy

from auth import api_tokens, audit, devices, enforcement, gate, links, sessions, users
from auth.errors import SignInRefused
from auth.models import User
from tenants.db import now


def init_app(app: Flask) -> None:
    """Follow what Flask-Security and Flask-Login report in `app`."""
    user_authenticated.connect(gate.admit, app)
    user_logged_out.connect(_end_login_session, app)
    password_changed.connect(_finish_change_of_password, app)
    password_reset.connect(_finish_reset, app)
    user_confirmed.connect(_finish_confirmation, app)
    change_email_confirmed.connect(_finish_change_of_address, app)
    for signal, note in (
        (tf_profile_changed, _note_second_factor),
        (tf_disabled, _note_no_second_factor),
        (wan_registered, _note_passkey),
        (wan_deleted, _note_passkey_gone),
    ):
        signal.connect(note, app)


def _end_login_session(_sender: Any, **_arguments: Any) -> None:
    # The identity of the request is nobody's by now.
    login = sessions.current()
    person = g.db.find(User, login.user_id) if login is not None else None
    if person is not None:
        audit.record("signed out", person, actor=person)
    sessions.end_current()


def _end_other_sessions(user: User) -> int:
    g.db.flush()
    return sessions.end_all(user.id, but_current=True)


def _finish_change_of_password(_sender: Any, user: UserMixin, **_arguments: Any) -> None:
    person = unproxied(user)
    # What programs show ends, too: whoever has known the password could have made it.
    ended = {"sessions": _end_other_sessions(person), "tokens": api_tokens.end_all(person.id)}
    audit.record("password changed", person, details=ended, actor=person)


def _finish_confirmation(_sender: Any, user: UserMixin, **_arguments: Any) -> None:
    person = unproxied(user)
    _end_other_sessions(person)
    audit.record("account changed", person, details={"address": "confirmed"}, actor=person)


def _note_second_factor(_sender: Any, user: UserMixin, method: str, **_arguments: Any) -> None:
    audit.record("second factor changed", unproxied(user), details={"method": method})


def _note_no_second_factor(_sender: Any, user: UserMixin, **_arguments: Any) -> None:
    audit.record("second factor changed", unproxied(user), details={"method": None})


def _note_passkey(_sender: Any, user: UserMixin, name: str, **_arguments: Any) -> None:
    audit.record("passkey added", unproxied(user), details={"name": name})


def _note_passkey_gone(_sender: Any, user: UserMixin, name: str, **_arguments: Any) -> None:
    audit.record("passkey removed", unproxied(user), details={"name": name})


def _finish_reset(_sender: Any, user: UserMixin, **_arguments: Any) -> None:
    # The link reached the mailbox, so the address is theirs and this browser is no stranger.
    person = unproxied(user)
    person.confirmed_at = person.confirmed_at or now()
    devices.remember(person)
    ended = {"sessions": sessions.end_all(person.id), "tokens": api_tokens.end_all(person.id)}
    audit.record("password reset", person, details=ended, actor=person)


def _finish_change_of_address(_sender: Any, user: User, old_email: str, **_arguments: Any) -> None:
    # The link may be older than what closes the account's other ways in, and an address elsewhere would open them.
    if enforcement.required_source(old_email) is not None or links.directory_of(user.id):
        g.db.rollback()
        raise SignInRefused(_("Your address is changed where you sign in, and not here."))
    # Links that were mailed to the former address name the former handle.
    user.fs_uniquifier = secrets.token_hex(16)
    if g.identity.user_id == user.id:
        session["_user_id"] = user.fs_uniquifier
    _end_other_sessions(user)
    audit.record("account changed", user, details={"email": [old_email, user.email]}, actor=user)
    enforcement.follow_address(user)
    users.send_address_notice(user, old_email)


def unproxied(user: Any) -> User:
    """The user behind Flask-Login's stand-in."""
    person: User = user._get_current_object() if isinstance(user, LocalProxy) else user
    return person

"""What administrators do with other people's accounts: rename, remove, reset the second factor, sign out.

Nobody decides about the account of somebody who holds more than they do: whoever can take a second factor away, or
sign somebody out, is halfway to being them.
"""

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete

from auth import api_tokens, audit, guards, sessions, users
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import Invitation, Passkey, User
from auth.signals import user_removed
from auth.token_models import ApiToken
from tenants.signals import send


def check_may_decide(user: User, actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor manages members, and holds all that this one holds."""
    users.check_may_manage(actor)
    guards.check_holds_all_of(actor, users.ids_of(user))


def rename(user: User, name: str, *, actor: Identity | None) -> None:
    """Give a user another name. Raises NotAllowed."""
    check_may_decide(user, actor)
    name = " ".join(name.split())
    if not 1 <= len(name) <= users.LONGEST_NAME or not name.isprintable():
        raise NotAllowed(_("A name has 1 to %(most)s characters, all of which can be seen.", most=users.LONGEST_NAME))
    if name != user.name:
        audit.record("account changed", user, details={"name": [user.name, name]}, actor=actor)
        user.name = name


def end_sessions(user: User, *, actor: Identity | None) -> int:
    """Sign a user out everywhere; gives back from how many browsers. Raises NotAllowed."""
    check_may_decide(user, actor)
    ended = sessions.end_all(user.id)
    audit.record("sessions ended", user, details={"sessions": ended}, actor=actor)
    return ended


def revoke_token(row: ApiToken, *, actor: Identity | None) -> None:
    """End a personal token, one's own or a member's. Raises NotAllowed."""
    # Who has a token with less than its owner holds is not the owner.
    if actor is not None and (actor.user_id != row.user_id or actor.token is not None):
        check_may_decide(g.db.get_one(User, (g.tenant.id, row.user_id)), actor)
    api_tokens.revoke(row, actor=actor)


def reset_second_factor(user: User, *, actor: Identity | None) -> None:
    """Take a user's second factors away, for somebody who has lost theirs, and sign them out. Raises NotAllowed."""
    check_may_decide(user, actor)
    if actor is not None and actor.user_id == user.id:  # a stolen session must not get rid of it
        raise NotAllowed(_("Your own second factor is changed in your account, where you prove that it is you."))
    user.tf_primary_method = None
    user.tf_totp_secret = None
    user.mf_recovery_codes = None
    second = g.db.execute(delete(Passkey).where(Passkey.user_id == user.id, Passkey.usage == "secondary")).rowcount
    g.db.expire(user, ["webauthn"])
    ended = sessions.end_all(user.id)
    audit.record("second factor reset", user, details={"passkeys": second, "sessions": ended}, actor=actor)


def remove(user: User, *, actor: Identity | None) -> None:
    """Delete a user with all that is theirs alone: grants, memberships, sessions, passkeys, links to sources.

    What they have made for the workspace stays, without them. Raises NotAllowed.
    """
    guards.keep_an_owner(without=user.id)  # first: it waits for who makes or unmakes an owner just now
    check_may_decide(user, actor)
    audit.record("account removed", user, details={"name": user.name}, actor=actor)
    drop(user)


def drop(user: User) -> None:
    """Delete the row of a user, and what hangs on it. Who may do that was looked at before."""
    send(user_removed, user=user)
    gone = delete(Invitation).where(Invitation.invited_by == user.id).returning(Invitation.id, Invitation.email)
    revoked = [audit.Party("invitation", row.id, row.email) for row in g.db.execute(gone)]
    audit.record_all("invitation revoked", revoked, details={"reason": "whoever invited is removed"})
    g.db.delete(user)
    g.db.flush()

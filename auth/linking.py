"""Joining an existing account with a person at a source: only after proof of both sides, in one browser.

What a source has proved waits in a row that this browser alone can claim, for a short while. Whoever then signs in to
the account in the same way as ever, second factor included, is both.
"""

import uuid
from dataclasses import replace

from flask import flash, g
from flask_babel import gettext as _

from auth import (
    attempts,
    audit,
    enforcement,
    first_factor,
    groups,
    journeys,
    links,
    policy,
    provider_sessions,
    roles,
    users,
)
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.providers.oauth import Visit


def wait_for_account(visit: Visit, config: ProviderConfig) -> None:
    """Remember in this browser whom the source has proved, until the account with their address is proved, too."""
    user = users.find_by_email(visit.identity.email or "")
    if user is not None:
        asked = visit.asked or journeys.digest_of(config)
        attempts.wait_to_link(config, replace(visit, asked=asked), user.id)


def complete(user: User) -> ProviderConfig | None:
    """Join what waits in this browser with the account just signed in to; None when nothing of theirs waits."""
    visit = attempts.claim_link(user.id, enforcement.required_source(user.email))
    if visit is None:
        return None
    identity = visit.identity
    config: ProviderConfig | None = g.db.find(ProviderConfig, uuid.UUID(identity.provider))
    # What was proved before its settings were changed was perhaps proved by somebody else's server.
    if config is None or not config.enabled or journeys.digest_of(config) != visit.asked:
        return None
    if not _is_free(user, config, identity.subject):
        return None
    links.link(user, identity, config)
    # The login session that begins now is vouched for by it, too.
    method = proved.method if (proved := first_factor.of(user)) is not None else "password"
    noted = provider_sessions.begin(config, visit.session)
    first_factor.note(user, identity.provider, method, provider_session=noted, asked=visit.asked)
    groups.set_memberships(config, user, identity.groups)
    _note("account connected", user, config, actor=user)
    return config


def connect(user: User, identity: ExternalIdentity, config: ProviderConfig, *, actor: Identity | None = None) -> None:
    """Join the signed-in user with the person whom the source has just proved. Raises NotAllowed.

    `actor` is whoever does it for them.
    """
    if not _is_free(user, config, identity.subject):
        raise NotAllowed(_("That account there, or yours, is connected with another one already."))
    links.link(user, identity, config)
    groups.set_memberships(config, user, identity.groups)
    _note("account connected", user, config, actor=actor)


def disconnect(user: User, config: ProviderConfig) -> None:
    """Let a web source sign the user in no more. Raises NotAllowed for their last way in."""
    linked = links.links_of(user.id)
    if not config.is_web or all(other.id != config.id for _link, other in linked):
        raise NotAllowed(_("Your account is not connected with that."))
    if enforcement.required_source(user.email) == str(config.id) and not enforcement.is_break_glass(user.id):
        raise NotAllowed(_("People with your address sign in with %(source)s.", source=config.label))
    others = [other for _link, other in linked if other.id != config.id and other.enabled]
    allowed = policy.current().methods
    by_password = user.password is not None and "password" in allowed
    by_passkey = "passkey" in allowed and any(passkey.usage == "first" for passkey in user.webauthn)
    if not others and not by_password and not by_passkey:
        raise NotAllowed(
            _("It is your only way in. Set a password first: sign out and choose “Forgot your password?”.")
        )
    groups.set_memberships(config, user, ())
    links.unlink(user.id, config.id)
    _note("account disconnected", user, config)


def connect_for(user: User, identity: ExternalIdentity, config: ProviderConfig, *, actor: Identity | None) -> None:
    """Join a user with a person at a source, as an administrator who answers for it. Raises NotAllowed."""
    users.check_may_manage(actor)
    roles.check_holds_all_of(actor, users.ids_of(user))
    roles.check_holds_all_given(actor, groups.matching(groups.mapped_groups(config), identity.groups))
    connect(user, identity, config, actor=actor)


def tell(config: ProviderConfig) -> None:
    """Tell the person at the browser that their account is joined with one of that source."""
    flash(
        _("Your account is connected with %(source)s. Sign in with that from now on.", source=config.label), "success"
    )


def _note(kind: str, user: User, config: ProviderConfig, *, actor: Identity | User | None = None) -> None:
    audit.record(kind, user, details={"source": str(config.id), "name": config.name}, actor=actor)


def _is_free(user: User, config: ProviderConfig, subject: str) -> bool:
    """Whether the two can be joined: neither is with another, nor does the user belong to a directory alone.

    The owner who is named to get in whatever happens joins no directory: it would take their own way in.
    """
    if config.is_web:
        if links.directories_of(user.id) and enforcement.required_source(user.email) != str(config.id):
            return False
    elif enforcement.is_break_glass(user.id):
        return False
    taken = links.find_link(str(config.id), subject)
    return taken is None and all(other.id != config.id for _link, other in links.links_of(user.id))

"""Joining an existing account with a person at a source: only after proof of both sides, in one browser.

What a source has proved waits in the browser's session, signed and for a short while. Whoever then signs in to the
account in the same way as ever, second factor included, is both.
"""

import time
import uuid
from typing import Any

from flask import flash, g, session
from flask_babel import gettext as _

from auth import groups, links, roles, users
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig

GOOD_FOR = 600
"""Seconds in which the second side has to be proved."""
_KEY = "to_link"
_MOST_GROUPS = 20  # a cookie has little room; the rest come with the next sign-in


def wait_for_account(identity: ExternalIdentity, config: ProviderConfig) -> None:
    """Remember in this browser whom the source has proved, until the account with their address is proved, too."""
    mapped = groups.matching(groups.mapped_groups(config), identity.groups)
    user = users.find_by_email(identity.email or "")
    if user is None:
        return
    session[_KEY] = {
        "at": int(time.time()),
        "user": str(user.id),
        "provider": identity.provider,
        "subject": identity.subject,
        "login": identity.login[:320],
        "place": identity.place[:500],
        "groups": sorted(map(str, mapped))[:_MOST_GROUPS],
    }


def complete(user: User) -> ProviderConfig | None:
    """Join what waits in this browser with the account just signed in to; None when nothing of theirs waits."""
    waiting = session.pop(_KEY, None)
    if not _is_of(waiting, user):
        return None
    config: ProviderConfig | None = g.db.find(ProviderConfig, uuid.UUID(waiting["provider"]))
    if config is None or not config.enabled or not _is_free(user, config, waiting["subject"]):
        return None
    identity = ExternalIdentity(
        provider=waiting["provider"], subject=waiting["subject"], login=waiting["login"], place=waiting["place"]
    )
    links.link(user, identity)
    session["provider"] = waiting["provider"]  # the login session that begins now is vouched for by it, too
    ours = {group.id for group in groups.mapped_groups(config)}
    groups.add_memberships({user.id: ours & set(map(uuid.UUID, waiting["groups"]))})
    return config


def connect(user: User, identity: ExternalIdentity, config: ProviderConfig) -> None:
    """Join the signed-in user with the person whom the source has just proved. Raises NotAllowed."""
    if not _is_free(user, config, identity.subject):
        raise NotAllowed(_("That account of the directory, or yours, is connected with another one already."))
    links.link(user, identity)
    groups.set_memberships(config, user, identity.groups)


def connect_for(user: User, identity: ExternalIdentity, config: ProviderConfig, *, actor: Identity | None) -> None:
    """Join a user with a person at a source, as an administrator who answers for it. Raises NotAllowed."""
    users.check_may_manage(actor)
    roles.check_holds_all_of(actor, users.ids_of(user))
    roles.check_holds_all_given(actor, groups.matching(groups.mapped_groups(config), identity.groups))
    connect(user, identity, config)


def tell(config: ProviderConfig) -> None:
    """Tell the person at the browser that their account is joined with one of that source."""
    flash(
        _("Your account is connected with %(source)s. Sign in with that from now on.", source=config.label), "success"
    )


def _is_of(waiting: Any, user: User) -> bool:
    return isinstance(waiting, dict) and waiting["user"] == str(user.id) and time.time() - waiting["at"] < GOOD_FOR


def _is_free(user: User, config: ProviderConfig, subject: str) -> bool:
    taken = links.find_link(str(config.id), subject)
    return taken is None and all(other.id != config.id for _link, other in links.links_of(user.id))

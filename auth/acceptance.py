"""Accepting an invitation: by a password, at a source of the tenant, or with the account that one has already.

An invitation counts once: whoever deletes its row has used it. It gives what whoever invited may give at that moment,
and nothing if they may not any more.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete

from auth import (
    audit,
    enforcement,
    invitation_links,
    links,
    passwords,
    policy,
    provisioning,
    roles,
    tenant_settings,
    users,
)
from auth.errors import InvitationVoid, NotAllowed
from auth.identity import Identity, snapshot_of
from auth.mail import normal_domain
from auth.models import Invitation, User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs


@dataclass(frozen=True, slots=True)
class Ways:
    """How somebody who has no account yet can accept."""

    password: bool
    web: Sequence[ProviderConfig]
    directories: Sequence[ProviderConfig]

    def find(self, config_id: str) -> ProviderConfig | None:
        """The source of that id, if it is one of these ways."""
        return next((config for config in (*self.web, *self.directories) if str(config.id) == config_id), None)


def ways_in(invitation: Invitation) -> Ways:
    """How the invited person can accept: by a source alone, where that is enforced for their address."""
    required = enforcement.required_source(invitation.email)
    # A web source is provisional until somebody has rehearsed a sign-in, and brings nobody new before.
    usable = [
        config
        for config in list_configs(enabled_only=True)
        if required in (None, str(config.id)) and not (config.is_web and config.rehearsed_at is None)
    ]
    domain = normal_domain(invitation.email.rpartition("@")[2])
    directories = [config for config in usable if not config.is_web]
    assigned = [config for config in directories if domain in config.domains]
    return Ways(
        password=required is None and "password" in policy.current().methods,
        web=[config for config in usable if config.is_web],
        directories=assigned or directories,
    )


def giver_of(invitation: Invitation) -> Identity | None:
    """Who gives the role: whoever invited, with what they hold now; None for the command line.

    Raises InvitationVoid if they may not give it any more.
    """
    if invitation.invited_by is None:
        return None
    snapshot = snapshot_of(invitation.invited_by)
    if snapshot is not None:
        giver = Identity(invitation.invited_by, snapshot)
        try:
            users.check_may_manage(giver)
            roles.check_may_give(giver, invitation.role, expires_at=invitation.role_ends_at)
        except NotAllowed:
            pass
        else:
            return giver
    raise InvitationVoid(
        _("Whoever invited you may not give that role any more. Ask an administrator to invite you anew.")
    )


def accept_with_password(token: str, name: str, password: str) -> User:
    """Make the invited person a user with that password; the mailed link proves the address.

    Raises InvitationVoid, and UnsuitablePassword.
    """
    if not ways_in(_get(token)).password:
        raise InvitationVoid(_("A password is no way into this workspace for you. Choose another way."))
    hashed = passwords.hash_new(password)  # slow, and lets go of the database: whatever is to last comes after
    invitation = _get(token)
    giver = giver_of(invitation)
    _use(invitation)
    try:
        user = users.create_user(invitation.email, name, password_hash=hashed)
    except ValueError:
        raise InvitationVoid(_("There is an account with your e-mail address already.")) from None
    _give(user, invitation, giver, by="password")
    return user


def accept_at_source(token: str, identity: ExternalIdentity, config: ProviderConfig) -> User:
    """The user whom the source proves: made by the invitation, if the source vouches for exactly the invited address.

    Somebody whom the source has brought before is who they are, and the invitation waits for them to accept it. Raises
    what `user_for` does, and InvitationVoid.
    """
    if links.find_link(identity.provider, identity.subject) is not None:
        return provisioning.user_for(identity, config)
    invitation = _get(token)
    if ways_in(invitation).find(str(config.id)) is None:
        raise InvitationVoid(_("%(source)s is no way to accept this invitation.", source=config.label))
    giver = giver_of(invitation)
    with g.db.begin_nested():  # who is refused has not used it
        _use(invitation)
        user = provisioning.user_for(identity, config, invited=invitation.email)
        _give(user, invitation, giver, by=config.name)
    return user


def accept_signed_in(token: str, user: User) -> None:
    """Give the role to a user who was here already, and has the invited address. Raises InvitationVoid."""
    invitation = _get(token)
    if user.email.casefold() != invitation.email.casefold():
        raise InvitationVoid(_("The invitation is for %(email)s.", email=invitation.email))
    giver = giver_of(invitation)
    _use(invitation)
    _give(user, invitation, giver, by="")


def void() -> InvitationVoid:
    """What there is to say of a link that counts no more, for whatever reason."""
    return InvitationVoid(_("This invitation cannot be used any more."))


def _get(token: str) -> Invitation:
    invitation = invitation_links.find(token)
    if invitation is None:
        raise void()
    return invitation


def _use(invitation: Invitation) -> None:
    tenant_settings.lock()  # first, as whoever deletes the role does: else each could wait for the other
    # The nonce and the role, too: it may be sent anew, or with another role, in this moment: another link counts then.
    own = (
        Invitation.id == invitation.id,
        Invitation.nonce == invitation.nonce,
        Invitation.role_id == invitation.role_id,
    )
    if not g.db.execute(delete(Invitation).where(*own)).rowcount:
        raise void()


def _give(user: User, invitation: Invitation, giver: Identity | None, *, by: str) -> None:
    roles.grant_role(user, invitation.role.name, actor=giver, origin="invitation", expires_at=invitation.role_ends_at)
    known = audit.Party("invitation", invitation.id, invitation.email)
    audit.record("invitation accepted", known, details=_details(invitation) | {"by": by}, actor=user)


def _details(invitation: Invitation) -> dict[str, str | None]:
    inviter: uuid.UUID | None = invitation.invited_by
    ends = invitation.role_ends_at
    return {
        "role": invitation.role.name,
        "role ends": ends.isoformat() if ends else None,
        "invited by": str(inviter) if inviter else None,
    }

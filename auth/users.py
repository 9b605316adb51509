"""The users of a tenant: made, found, deactivated."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import current_app, g
from flask_babel import format_timedelta
from flask_babel import gettext as _
from flask_security.confirmable import generate_confirmation_token
from flask_security.recoverable import generate_reset_password_token
from flask_security.utils import send_mail
from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError

from auth import api_tokens, audit, passwords, roles, sessions
from auth.errors import NotAllowed, UnknownUser
from auth.identity import Identity
from auth.mail import LONGEST_ADDRESS
from auth.models import PERSON, User
from auth.permissions import OWNER, AccessPermission
from auth.providers.models import LinkedIdentity
from auth.scim.models import ScimResource
from tenants.db import now

LONGEST_NAME = 200


def create_user(
    email: str,
    name: str = "",
    *,
    password: str | None = None,
    password_hash: str | None = None,
    confirmed: bool = True,
) -> User:
    """Make a user of the bound tenant, without any role.

    `password_hash` is one of ours, made before. Without either the user has no password until they follow a link that
    is mailed to them (`send_welcome`). Raises
    ValueError for an unusable or taken e-mail address, and UnsuitablePassword.
    """
    email = normal_address(email)
    if _at(email) is not None:
        raise ValueError(f"{email}: there is a user with this address already")
    user = User(
        email=email,
        name=(name or email.partition("@")[0])[:LONGEST_NAME],
        password=passwords.hash_new(password) if password is not None else password_hash,
        confirmed_at=now() if confirmed else None,
    )
    try:
        with g.db.begin_nested():
            g.db.add(user)  # at once: grants and mails refer to its id
    except IntegrityError:  # somebody was quicker by a moment
        raise ValueError(f"{email}: there is a user with this address already") from None
    audit.record("account created", user)
    return user


def normal_address(typed: str) -> str:
    """An e-mail address in the form in which it is kept. Raises ValueError for what is none."""
    if len(typed) > LONGEST_ADDRESS:  # before it is normalised, which takes quadratic time
        raise ValueError(f"{typed[:40]}…: is too long for an address")
    try:
        return str(validate_email(typed, check_deliverability=False, globally_deliverable=False).normalized)
    except EmailNotValidError as error:
        raise ValueError(f"{typed}: {error}") from None


def normal_login(typed: str) -> str | None:
    """What somebody has typed as their name: an address in its normal form, else as it is. None: too long for one."""
    typed = typed.strip()
    if len(typed) > LONGEST_ADDRESS:
        return None
    try:
        return str(current_app.extensions["security"].mail_util.normalize(typed)) if "@" in typed else typed
    except ValueError:
        return typed


def send_welcome(user: User) -> None:
    """Mail a link, good for a day, by which the user sets their first password."""
    send_mail(
        _("Welcome to %(workspace)s", workspace=g.tenant.name),
        user.email,
        "security/email/welcome",
        user=user,
        link=_link("security.reset_password", generate_reset_password_token(user)),
    )


def send_confirmation(user: User) -> None:
    """Mail a link, good for two days, by which the user confirms the e-mail address."""
    send_mail(
        _("Confirm your e-mail address"),
        user.email,
        "security/email/confirmation_instructions",
        user=user,
        confirmation_link=_link("security.confirm_email", generate_confirmation_token(user)),
        within=format_timedelta(current_app.config["SECURITY_CONFIRM_EMAIL_WITHIN"]),
    )


def send_address_notice(user: User, former: str) -> None:
    """Tell the user's former address that it is no longer theirs here."""
    send_mail(_("Your e-mail address was changed"), former, "security/email/address_notice", user=user)


def send_source_notice(user: User, source: str) -> None:
    """Tell a user who asked for a new password that they have none here, and where theirs is kept."""
    send_mail(_("Your password is not kept here"), user.email, "security/email/source_notice", user=user, source=source)


def send_break_glass_notice(user: User) -> None:
    """Tell every owner that one of them came in by the way that is there for emergencies."""
    for owner_id in roles.owners():
        owner = g.db.find(User, owner_id)
        if owner is not None:
            send_mail(
                _("Somebody signed in by the emergency way"), owner.email, "security/email/break_glass", user=owner,
                person=user,
            )  # fmt: skip


def create_owner(_sender: Any, tenant: Any, owner: Mapping[str, Any]) -> None:
    """Give a new tenant its roles and its owner. Receives `tenant_created`."""
    roles.create_builtin_roles()
    g.db.flush()
    user = create_user(
        owner["email"],
        owner.get("name", ""),
        password=owner.get("password"),
        password_hash=owner.get("password_hash"),
    )
    roles.grant_role(user, OWNER.name, actor=None, origin="default", reason="created with the workspace")
    if user.password is None:
        send_welcome(user)


def find_by_email(email: str) -> User | None:
    """The user of the bound tenant with that address, in any case."""
    user = _at(email)
    return user if user is not None and user.email.casefold() == email.casefold() else None


def get_by_email(email: str) -> User:
    """The user of the bound tenant with that address. Raises UnknownUser."""
    user = find_by_email(email)
    if user is None:
        raise UnknownUser(f"no user '{email}'")
    return user


def list_users(*, limit: int = 1000) -> Sequence[User]:
    """The people of the bound tenant, by e-mail address."""
    people = select(User).where(User.kind == PERSON)
    users: Sequence[User] = g.db.scalars(people.order_by(User.email).limit(limit)).all()
    return users


def deactivate_user(user: User, *, actor: Identity | None) -> None:
    """Close an account: no sign-in any more, and every login session ends. Raises NotAllowed."""
    check_may_manage(actor)
    roles.keep_an_owner(without=user.id)  # first: it waits for who makes or unmakes an owner just now
    if actor is not None and OWNER.name not in actor.roles and roles.is_owner(user.id):
        raise NotAllowed(_("Only owners deactivate an owner."))
    roles.check_holds_all_of(actor, ids_of(user))
    user.active = False
    ended = {"sessions": sessions.end_all(user.id), "tokens": api_tokens.end_all(user.id)}
    audit.record("account deactivated", user, details=ended, actor=actor)
    # A source opens what it has closed itself; this was decided here.
    g.db.execute(update(LinkedIdentity).where(LinkedIdentity.user_id == user.id).values(departed_at=None))
    g.db.execute(update(ScimResource).where(ScimResource.user_id == user.id).values(closed=False))


def reactivate_user(user: User, *, actor: Identity | None) -> None:
    """Open a deactivated account again. Raises NotAllowed."""
    check_may_manage(actor)
    if actor is not None and OWNER.name not in actor.roles and roles.is_owner(user.id):
        raise NotAllowed(_("Only owners reactivate an owner."))
    roles.check_holds_all_of(actor, ids_of(user))
    user.active = True
    audit.record("account reactivated", user, actor=actor)


def ids_of(user: User) -> Select[uuid.UUID]:
    """The id of one user, as a selection."""
    return select(User.id).where(User.id == user.id)


def name_of(user_id: uuid.UUID | None) -> str:
    """The name of a user, or an empty string when there is none."""
    user = g.db.find(User, user_id)
    return user.name if user else ""


def _at(email: str) -> User | None:
    # To the database more letters may be the same than to us; nobody else can have that address.
    people = select(User).where(User.kind == PERSON)
    user: User | None = g.db.scalar(people.where(func.lower(User.email) == func.lower(email)))
    return user


def check_may_manage(actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may manage members."""
    if actor is not None and AccessPermission.MEMBER_MANAGE not in actor.permissions:
        raise NotAllowed(_("Managing members needs the permission “%(name)s”.", name=AccessPermission.MEMBER_MANAGE))


def _link(endpoint: str, token: str) -> str:
    settings = current_app.extensions["tenants"].settings
    # Not url_for: there may be no request, and a pushed one would end with the teardown of this transaction.
    port = f":{settings.public_port}" if settings.public_port else ""
    adapter = current_app.url_map.bind(f"{g.tenant.slug}.{settings.base_domain}{port}", url_scheme=settings.scheme)
    return adapter.build(endpoint, {"token": token}, force_external=True)

"""What a provider says of a person → this tenant's user. The only place where the two meet."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat as uuid7
from email_validator import EmailNotValidError, validate_email
from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from structlog import get_logger

from auth import audit, default_role, enforcement, groups, links, users
from auth.errors import InvitationVoid, LinkNeeded, SignInRefused, WrongCredentials
from auth.mail import LONGEST_ADDRESS, normal_domain
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.database import DatabaseProvider
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.scim import matching
from tenants.db import now

log = get_logger()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a sign-in would do, without doing it."""

    user: str | None
    """E-mail address of the user whom the person is, or would be; None when they would not get in."""
    happens: str
    """known, created, link-needed or refused."""
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    """Roles that the person's groups give."""
    default_role: str | None = None
    """The role that the person would get as a new member whom nothing else gives one."""


def user_for(identity: ExternalIdentity, config: ProviderConfig | None = None, *, invited: str | None = None) -> User:
    """The bound tenant's user whom `identity` is, made or refreshed by what the source says now.

    The key is (tenant, provider, subject): of the database, the subject is the user's own id. `invited` is an address
    that was asked in: whoever the source proves to have it becomes a user, whomever the source brings otherwise, and
    nobody else does. Raises WrongCredentials
    when it is nobody here, SignInRefused when the tenant lets that person not in, and LinkNeeded when an account has
    their address that another source vouches for.
    """
    if config is None:
        if identity.provider != DatabaseProvider.id:
            raise WrongCredentials
        found: User | None = g.db.find(User, uuid.UUID(identity.subject))
        if found is None:
            raise WrongCredentials
        return found
    if identity.provider != str(config.id):
        raise WrongCredentials
    link = links.find_link(identity.provider, identity.subject) or _meet_provisioned(identity, config)
    is_new = link is None
    if link is None:
        link = _welcome(identity, config, invited)
    user: User = g.db.get_one(User, (g.tenant.id, link.user_id))
    refresh(user, link, identity, config)
    groups.set_memberships(config, user, identity.groups)
    if is_new and invited is None:  # an invitation gives a role of its own
        default_role.give_where_none([user.id])
    return user


def create_linked(identity: ExternalIdentity, config: ProviderConfig) -> User:
    """Make the user whom a source vouches for. Raises ValueError for an unusable or taken e-mail address."""
    user = users.create_user(identity.email or "", identity.name or identity.login, confirmed=identity.email_vouched)
    user.locale = offered(identity.locale)
    links.link(user, identity, config)
    return user


def create_many(
    people: Sequence[ExternalIdentity], config: ProviderConfig
) -> tuple[list[tuple[uuid.UUID, ExternalIdentity]], list[str]]:
    """Make the users whom a source vouches for, many at once.

    Gives back the ids of those made, and the addresses of those not made because an account has theirs already, or
    because it is none. Somebody who signs in for the first time in this moment is among the latter.
    """
    addressed = {address.casefold(): person for person in people if (address := usable(person.email))}
    taken = set(g.db.scalars(select(func.lower(User.email)).where(func.lower(User.email).in_(addressed))))
    new = [(uuid7.uuid7(), address, person) for address, person in addressed.items() if address not in taken]
    made = [(user_id, person) for user_id, _address, person in new]
    try:
        with g.db.begin_nested():
            _insert(User, [_as_user(user_id, person) for user_id, person in made])
            _insert(LinkedIdentity, [links.as_row(user_id, person) for user_id, person in made])
            with audit.acting_as(audit.party_of(config)):
                audit.record_all("account created", [audit.Party("user", id, email) for id, email, _person in new])
    except IntegrityError:
        made = [(user.id, person) for _id, person in made if (user := _made_alone(person, config)) is not None]
    ids = {person.subject for _id, person in made}
    return made, [person.email or person.place for person in people if person.subject not in ids]


def refresh(user: User, link: LinkedIdentity, identity: ExternalIdentity, config: ProviderConfig) -> None:
    """Give the user the name and address that the source has now; one who had departed is back.

    A web source only of an account that lives there: that has no password, and no other source.
    """
    links.note_seen(link, identity)
    if config.is_web and (user.password is not None or len(links.links_of(user.id)) > 1):
        return
    before = {"name": user.name, "email": user.email}
    if identity.name and user.name != identity.name[: users.LONGEST_NAME]:
        user.name = identity.name[: users.LONGEST_NAME]
    if user.locale is None and (locale := offered(identity.locale)):
        user.locale = locale
    moved = identity.email and identity.email.casefold() != user.email.casefold()
    address = usable(identity.email) if moved and _may_bring(identity, config) else None
    if address is not None:
        move(user, address, config)
    if link.departed_at is not None and not identity.disabled:
        link.departed_at = None
        user.active = True
        audit.record("account reactivated", user, actor=audit.party_of(config))
    if changed := audit.changes(before, {"name": user.name, "email": user.email}):
        audit.record("account changed", user, details=changed, actor=audit.party_of(config))


def preview(identity: ExternalIdentity, config: ProviderConfig) -> Preview:
    """What a sign-in of that person would do."""
    mappings = groups.mappings_of(config)
    wanted = groups.matching([group for group, _role in mappings], identity.groups)
    named = tuple(sorted({group.name for group, _role in mappings if group.id in wanted}))
    given = tuple(sorted({role for group, role in mappings if group.id in wanted}))
    link = links.find_link(identity.provider, identity.subject)
    if identity.disabled:
        return Preview(None, "refused", named, given)
    if link is not None:
        user = g.db.get_one(User, (g.tenant.id, link.user_id))
        comes_in = user.active or link.departed_at is not None
        return Preview(user.email, "known" if comes_in else "refused", named, given)
    if (provisioned := _provisioned(identity, config)) is not None:
        return Preview(provisioned.email, "known" if provisioned.active else "refused", named, given)
    address = usable(identity.email)
    if address and users.find_by_email(address) is not None:
        return Preview(address, "link-needed" if _may_link(identity, config) else "refused", named, given)
    if address and config.creates_users != "never" and _may_bring(identity, config):
        default = default_role.current() if not given else None
        return Preview(address, "created", named, given, default.name if default is not None else None)
    return Preview(None, "refused", named, given)


def _meet_provisioned(identity: ExternalIdentity, config: ProviderConfig) -> LinkedIdentity | None:
    """The link of somebody whose account the source has provisioned, and who comes to it for the first time."""
    user = _provisioned(identity, config)
    if user is None:
        return None
    try:
        with g.db.begin_nested():
            link = links.link(user, identity, config)
            g.db.flush()
    except IntegrityError:  # they come by two tabs at once
        return links.find_link(identity.provider, identity.subject)
    details = {"source": str(config.id), "name": config.name}
    audit.record("account connected", user, details=details, actor=audit.party_of(config))
    return link


def _provisioned(identity: ExternalIdentity, config: ProviderConfig) -> User | None:
    if not config.is_web:
        return None
    return matching.find_account(identity, config, believed=_may_bring(identity, config))


def _welcome(identity: ExternalIdentity, config: ProviderConfig, invited: str | None) -> LinkedIdentity:
    """The link of somebody whom the source vouches for the first time."""
    address = usable(identity.email)
    if address and users.find_by_email(address) is not None and _may_link(identity, config):
        raise LinkNeeded(_("There is an account with your e-mail address already."))
    if invited is not None:
        _check_invited(identity, address, invited, config)
    elif config.creates_users == "never" or (config.is_web and not _may_bring(identity, config)):
        raise SignInRefused(_("You have no account here yet. Ask an administrator of your workspace."))
    if not address:
        raise SignInRefused(_("The company directory has no e-mail address of you. Ask its administrators."))
    made = _made_alone(identity, config)
    # If it was not made here, somebody has made it in this moment: the same person in another tab, or a sync.
    link = links.find_link(identity.provider, identity.subject)
    if link is None:
        raise LinkNeeded(_("There is an account with your e-mail address already."))
    if made is not None:
        log.info("user created", provider=config.name, email=address)
    return link


def _check_invited(identity: ExternalIdentity, address: str | None, invited: str, config: ProviderConfig) -> None:
    """Raise InvitationVoid unless the source vouches for exactly the address that was asked in."""
    if address is None or address.casefold() != invited.casefold():
        said = _(
            "The invitation is for %(invited)s, and %(source)s says that you have another address. Sign in there with"
            " the account of the invited one.",
            invited=invited,
            source=config.label,
        )
        raise InvitationVoid(said)
    if not identity.email_vouched:
        raise InvitationVoid(
            _(
                "%(source)s does not confirm that %(address)s is yours. Choose another way, or confirm it there.",
                source=config.label,
                address=address,
            )
        )


def _may_link(identity: ExternalIdentity, config: ProviderConfig) -> bool:
    """Whether the address may lead to an account that has it: of a web source, only a verified one."""
    return not config.is_web or (identity.email_vouched and config.rehearsed_at is not None)


def _may_bring(identity: ExternalIdentity, config: ProviderConfig) -> bool:
    """Whether the source may bring that address here.

    A directory may; a web source that was rehearsed a verified one, of those of its domains that the tenant has proved.
    """
    if not config.is_web:
        return True
    # An unverified one is anybody's, and whoever came with it first would keep the account.
    believed = identity.email_vouched and config.rehearsed_at is not None
    return believed and is_of_own_domain(identity.email or "", config)


def is_of_own_domain(address: str, config: ProviderConfig) -> bool:
    """Whether the address is of one of the source's domains that the tenant has proved to be its own."""
    domain = normal_domain(address.rpartition("@")[2])
    return domain in config.domains and domain in enforcement.held_domains("proved")


def _as_user(user_id: uuid.UUID, identity: ExternalIdentity) -> dict[str, Any]:
    return {
        "id": user_id,
        "email": usable(identity.email),
        "name": (identity.name or identity.login)[: users.LONGEST_NAME],
        "locale": offered(identity.locale),
        "confirmed_at": now() if identity.email_vouched else None,
    }


def _insert(model: type[Any], rows: list[dict[str, Any]]) -> None:
    if rows:
        g.db.execute(insert(model), rows)


def _made_alone(identity: ExternalIdentity, config: ProviderConfig) -> User | None:
    try:
        with g.db.begin_nested(), audit.acting_as(audit.party_of(config)):
            user = create_linked(identity, config)
            g.db.flush()
            return user
    except (IntegrityError, ValueError):
        return None


def move(user: User, address: str, config: ProviderConfig) -> None:
    """Follow a change of address at the source, unless an account has the new one: an address never joins two."""
    if users.find_by_email(address) is not None:
        log.warning("address not taken over from the source", user=str(user.id), address=address)
        return
    try:
        with g.db.begin_nested():
            user.email = address
            if config.is_web:  # links that were mailed to the former address name the former handle
                user.fs_uniquifier = secrets.token_hex(16)
            g.db.flush()
    except IntegrityError:
        g.db.refresh(user)
        log.warning("address not taken over from the source", user=str(user.id), address=address)
    else:
        enforcement.follow_address(user)


def usable(email: str | None) -> str | None:
    """An address as it is kept; None for what is none."""
    if len(email or "") > LONGEST_ADDRESS:  # before it is normalised, which takes quadratic time
        return None
    try:
        return validate_email(email or "", check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError:
        return None


def offered(locale: str | None) -> str | None:
    """The language that is offered here of those that a directory writes: "es", "es-MX", "es_ES, en;q=0.5"."""
    code = (locale or "").replace("_", "-").partition(",")[0].partition(";")[0].partition("-")[0].strip().lower()
    return code if code in current_app.extensions["tenants"].settings.languages else None

"""Provisioned users: what a source says of a person by SCIM → this tenant's user.

The key is (tenant, source, `externalId` or `userName`). An address never leads to an account, but to one that this
source vouches for already and that has no other way in; whatever else has the address is a conflict. Of rights SCIM
says nothing but who is in which group.
"""

import uuid
from dataclasses import dataclass, replace

import uuid_utils.compat as uuid7
from flask import g
from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    UniquenessException,
)
from scim2_models import User as UserResource
from sqlalchemy import or_, select, update

from auth import audit, default_role, groups, links, provisioning, roles, users
from auth.models import User
from auth.providers.models import ProviderConfig
from auth.scim import matching
from auth.scim.documents import kept, version_of
from auth.scim.models import LONGEST_EXTERNAL_ID, LONGEST_NAME_KEY, ScimResource
from auth.scim.names import comparable
from auth.scim.schemas import EnterpriseUser
from tenants.db import now

Person = UserResource[EnterpriseUser]
LONGEST_USER_NAME = 320
NO_ADDRESS = "provisioned.invalid"
"""Domain of what stands for the address of whoever brings none that may be believed: nobody can have it, or be it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a source says of a person, as far as it matters here."""

    user_name: str
    name: str
    address: str | None
    """The address of the person, usable and normalised."""
    locale: str | None
    external_id: str | None
    active: bool | None
    """None where nothing is said of it: it stays as it is."""

    @classmethod
    def by(cls, resource: Person) -> "Said":
        """Read a resource. Raises InvalidValueException for what is too long, or cannot be kept."""
        user_name, external_id = resource.user_name or "", resource.external_id
        check_names(user_name, external_id, longest=LONGEST_USER_NAME)
        emails = [email for email in resource.emails or [] if email.value]
        chosen = next((email for email in emails if email.primary), emails[0] if emails else None)
        given = resource.name
        parts = (given.given_name, given.family_name) if given is not None else ()
        name = resource.display_name or (given.formatted if given is not None else None)
        name = (name or " ".join(filter(None, parts)) or user_name)[: users.LONGEST_NAME]
        if "\0" in name:
            raise InvalidValueException(detail="No value holds a NUL")
        return cls(
            user_name=user_name,
            name=name,
            address=provisioning.usable(str(chosen.value) if chosen is not None else user_name),
            locale=provisioning.offered(resource.preferred_language or resource.locale),
            external_id=external_id,
            active=resource.active,
        )


def check_names(name: str, external_id: str | None, *, longest: int) -> None:
    """Raise InvalidValueException for names that cannot be kept."""
    if not name.strip() or len(name) > longest or len(comparable(name)) > LONGEST_NAME_KEY or "\0" in name:
        raise InvalidValueException(detail=f"A name has 1 to {longest} characters")
    if external_id is not None and not 0 < len(external_id) <= LONGEST_EXTERNAL_ID:
        raise InvalidValueException(detail=f"externalId has 1 to {LONGEST_EXTERNAL_ID} characters")
    if external_id is not None and "\0" in external_id:
        raise InvalidValueException(detail="No value holds a NUL")


def create(config: ProviderConfig, resource: Person) -> ScimResource:
    """The row of a person whom the source provisions, with an account that is new, or theirs already.

    Raises UniquenessException when another resource, or an account, has what has to be theirs alone.
    """
    said = Said.by(resource)
    _check_free(config, said)
    row = _who_was_deleted(config, said)
    if row is None:
        user = _account_at_source(config, said) or _new_account(config, said)
        row = ScimResource(provider_id=config.id, kind="User", user_id=user.id)
        g.db.add(row)
    else:
        row.deleted_at = None
        row.version += 1
        said = replace(said, active=said.active is not False)
    _write(config, row, resource, said)
    g.db.flush()
    return row


def change(config: ProviderConfig, row: ScimResource, resource: Person) -> None:
    """Bring a person into line with what the source says now. Raises UniquenessException, and NotAllowed."""
    said = Said.by(resource)
    _check_free(config, said, but=row)
    if said.address != Said.by(Person.model_validate(row.attributes)).address:  # or a closing could be refused
        _check_address_is_free(said.address, row)
    row.version += 1
    _write(config, row, resource, said)
    g.db.flush()


def delete(config: ProviderConfig, row: ScimResource) -> None:
    """Close the account of somebody whom the source does not know any more; what they have made stays.

    Raises NotAllowed for the last owner.
    """
    user = account_of(row)
    if user.active:
        _deactivate(row, user)
    held = groups.memberships_of([group.id for group in groups.mapped_groups(config)], [user.id])
    left = held.get(user.id, set())
    groups.remove_memberships({user.id: left})
    g.db.execute(
        update(ScimResource)
        .where(ScimResource.group_id.in_(left))
        .values(version=ScimResource.version + 1, modified_at=now())
    )
    row.deleted_at = row.modified_at = now()
    g.db.flush()


def account_of(row: ScimResource) -> User:
    """The account of a provisioned person."""
    user: User = g.db.get_one(User, (g.tenant.id, row.user_id))
    return user


def held_at(row: ScimResource, expected_version: str | None) -> None:
    """Hold the row for a change. Raises PreconditionFailedException when it is not as the sender has seen it."""
    g.db.refresh(row, with_for_update=True)
    if row.deleted_at is not None:
        raise NotFoundException
    active = account_of(row).active if row.user_id is not None else None
    if expected_version is not None and version_of(row, active) != expected_version:
        raise PreconditionFailedException


def _write(config: ProviderConfig, row: ScimResource, resource: Person, said: Said) -> None:
    row.name_key, row.external_id = comparable(said.user_name), said.external_id
    row.attributes, row.modified_at = kept(resource), now()
    user = account_of(row)
    if _lives_there(user, config):
        _refresh(config, row, user, said)
    if said.active is False and user.active:
        _deactivate(row, user)
    # What an administrator has closed, only an administrator opens.
    elif said.active and not user.active and row.closed:
        users.reactivate_user(user, actor=None)
        row.closed = False


def _refresh(config: ProviderConfig, row: ScimResource, user: User, said: Said) -> None:
    """Give the account the name, language and address that the source has."""
    before = {"name": user.name, "email": user.email}
    user.name = said.name
    if user.locale is None and said.locale:
        user.locale = said.locale
    address = said.address if _may_bring(config, said.address) else None
    moved = address is not None and address.casefold() != user.email.casefold()
    # To have somebody's address is to be able to ask for a password: nobody becomes an owner by that.
    if address is not None and moved and not roles.is_owner(user.id):
        provisioning.move(user, address, config)
    if changed := audit.changes(before, {"name": user.name, "email": user.email}):
        audit.record("account changed", user, details=changed)


def _deactivate(row: ScimResource, user: User) -> None:
    users.deactivate_user(user, actor=None)
    row.closed = True


def _check_free(config: ProviderConfig, said: Said, *, but: ScimResource | None = None) -> None:
    """Raise UniquenessException when another of the source's users has the name or the id."""
    taken = select(ScimResource.id).where(
        ScimResource.provider_id == config.id,
        ScimResource.kind == "User",
        ScimResource.deleted_at.is_(None),
        or_(ScimResource.name_key == comparable(said.user_name), ScimResource.external_id == (said.external_id or "")),
    )
    if but is not None:
        taken = taken.where(ScimResource.id != but.id)
    if g.db.scalar(taken.limit(1)) is not None:
        raise UniquenessException(detail="Another user has this userName, or this externalId")


def _check_address_is_free(address: str | None, row: ScimResource) -> None:
    other = users.find_by_email(address) if address else None
    if other is not None and other.id != row.user_id:
        raise UniquenessException(detail="An account here has this address")


def _who_was_deleted(config: ProviderConfig, said: Said) -> ScimResource | None:
    """The row of the same person, should the source have deleted them once.

    A user name that somebody has again is theirs only if the source does not know them by another id.
    """
    gone = select(ScimResource).where(
        ScimResource.provider_id == config.id, ScimResource.kind == "User", ScimResource.deleted_at.is_not(None)
    )
    if said.external_id is not None:
        found: ScimResource | None = g.db.scalar(
            gone.where(ScimResource.external_id == said.external_id).order_by(ScimResource.deleted_at.desc()).limit(1)
        )
        if found is not None:
            return found
    named = gone.where(ScimResource.name_key == comparable(said.user_name))
    if said.external_id is not None:
        named = named.where(ScimResource.external_id.is_(None))
    last: ScimResource | None = g.db.scalar(named.order_by(ScimResource.deleted_at.desc()).limit(1))
    return last


def _account_at_source(config: ProviderConfig, said: Said) -> User | None:
    """The account of somebody who has come by this source before it was provisioned, if it is theirs alone."""
    user_id = matching.known_person(config, said.external_id) if said.external_id else None
    user: User | None = g.db.find(User, user_id)
    if user is None and said.address:
        user = users.find_by_email(said.address)
    if user is None:
        return None
    linked = any(other.id == config.id for _link, other in links.links_of(user.id))
    if linked and _lives_there(user, config) and not _was_provisioned(config, user.id):
        return user
    raise UniquenessException(detail="An account here has this address, and this provider does not vouch for it alone")


def _new_account(config: ProviderConfig, said: Said) -> User:
    if config.creates_users == "never":
        raise ForbiddenException(detail="This provider is set to make no accounts here")
    user_id = uuid7.uuid7()
    believed = said.address if _may_bring(config, said.address) else None
    user = User(
        id=user_id,
        email=believed or f"{user_id}@{NO_ADDRESS}",
        name=said.name,
        locale=said.locale,
        password=None,
        confirmed_at=now(),
    )
    g.db.add(user)
    g.db.flush()
    audit.record("account created", user, details={"source": config.name})
    default_role.give_where_none([user.id])
    return user


def _lives_there(user: User, config: ProviderConfig) -> bool:
    """Whether the account is of that source alone: it has no password, and no other source vouches for it."""
    return user.password is None and all(other.id == config.id for _link, other in links.links_of(user.id))


def _was_provisioned(config: ProviderConfig, user_id: uuid.UUID) -> bool:
    """Whether the source knows the account as somebody, or has: then as somebody else than who is looked for."""
    wanted = select(ScimResource.id).where(ScimResource.provider_id == config.id, ScimResource.user_id == user_id)
    return g.db.scalar(wanted) is not None


def _may_bring(config: ProviderConfig, address: str | None) -> bool:
    """Whether the source may bring that address: of those of its domains that the workspace has proved."""
    return address is not None and provisioning.is_of_own_domain(address, config)

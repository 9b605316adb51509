"""Where a sign-in meets what was provisioned: which provisioned account is the one of somebody whom a source proves.

A source says who somebody is twice: when it provisions, by `externalId`, `userName` and an address; and when they sign
in, by a subject that SCIM does not know. The two meet within one source only, once, and only for an account that it has
provisioned and that nobody has come to yet:

1. the subject is the `externalId` (so Okta), letter for letter; or else
2. the address that the source vouches for, of a domain that it may bring (`auth/provisioning.py`), is the account's,
   or its `userName`.

From then on the subject alone is compared, as everywhere. An address, a user name that is only claimed, another
source's word, and an id of ours that somebody has put into `externalId` join nothing.
"""

import uuid
from collections.abc import Sequence

from flask import g
from sqlalchemy import ColumnElement, and_, exists, func, select

from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.scim.models import ScimResource
from auth.scim.names import comparable

_LINKED = exists().where(
    LinkedIdentity.tenant_id == ScimResource.tenant_id,
    LinkedIdentity.provider_id == ScimResource.provider_id,
    LinkedIdentity.user_id == ScimResource.user_id,
)
_WAITING = (
    select(User)
    .join(ScimResource, and_(ScimResource.tenant_id == User.tenant_id, ScimResource.user_id == User.id))
    .where(ScimResource.deleted_at.is_(None), ~_LINKED)
    .limit(2)
)  # fmt: skip


def find_account(identity: ExternalIdentity, config: ProviderConfig, *, believed: bool) -> User | None:
    """The provisioned account of somebody of whom there is no link yet; `believed`: the source may bring the address.

    None also when several could be meant.
    """
    subject = plain_subject(identity.subject)
    if subject and (found := _sole(config, ScimResource.external_id == subject)) is not None:
        return found
    if not believed or not identity.email:
        return None
    named = ScimResource.name_key == comparable(identity.email)
    return _sole(config, named | (func.lower(User.email) == func.lower(identity.email)))


def known_person(config: ProviderConfig, external_id: str) -> uuid.UUID | None:
    """The user whom the source has vouched for under a subject that is this `externalId`."""
    wanted = select(LinkedIdentity.user_id, LinkedIdentity.subject).where(
        LinkedIdentity.provider_id == config.id, LinkedIdentity.subject.endswith(f" {external_id}", autoescape=True)
    )
    found = [user_id for user_id, subject in g.db.execute(wanted) if plain_subject(subject) == external_id]
    return found[0] if len(found) == 1 else None


def plain_subject(subject: str) -> str:
    """What the source itself calls the person, without the issuer; empty where only a digest is kept."""
    return "" if subject.startswith("sha256 ") else subject.rpartition(" ")[2]


def _sole(config: ProviderConfig, condition: ColumnElement[bool]) -> User | None:
    found: Sequence[User] = g.db.scalars(_WAITING.where(ScimResource.provider_id == config.id, condition)).all()
    return found[0] if len(found) == 1 else None

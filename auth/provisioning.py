"""What a provider says of a person → this tenant's user. The only place where the two meet."""

import uuid

from flask import g

from auth.errors import WrongCredentials
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.database import DatabaseProvider


def user_for(identity: ExternalIdentity) -> User:
    """The bound tenant's user whom `identity` is. Raises WrongCredentials when it is nobody here.

    The key is (tenant, provider, subject): of the database, the subject is the user's own id.
    """
    if identity.provider != DatabaseProvider.id:
        raise WrongCredentials
    user: User | None = g.db.find(User, uuid.UUID(identity.subject))
    if user is None:
        raise WrongCredentials
    return user

"""What follows from an administrator's sign-in: the source that has let one in may be relied upon."""

import uuid

from flask import g

from auth import provisional
from auth.first_factor import FirstFactor
from auth.identity import snapshot_of
from auth.models import User
from auth.permissions import AccessPermission
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from tenants.db import now


def note_administrator(user: User, proved: FirstFactor) -> None:
    """Note that an administrator got in by a source: only then it may be the only way, and new settings are to stay."""
    config = g.db.find(ProviderConfig, uuid.UUID(proved.provider)) if proved.provider != DatabaseProvider.id else None
    if config is None:
        return
    is_first, is_proof = config.admin_seen_at is None, provisional.is_proved_by(config, proved.at)
    if not is_first and not is_proof:
        return
    snapshot = snapshot_of(user.id)
    if snapshot is None or AccessPermission.PROVIDER_MANAGE not in snapshot.permissions:
        return
    if is_first:
        config.admin_seen_at = now()
    if is_proof:
        provisional.end(config, proved_at=proved.at)

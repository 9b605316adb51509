"""Settings of a source that count for a quarter of an hour, unless an administrator signs in through it by then.

What the source was set to before is kept meanwhile, encrypted like its secret, with the tenant, where every request
reads it anyway: nothing is asked for that, and whoever comes when the time is up has it undone first.

Settings and secret go back, and nothing else: not the domains that came with the same change. That closes nobody's
last way in: the change was taken only because some administrator gets in without the source, its new domains in force
(`provider_changes.change_provider`), and each later one while it is on trial the same (`ways_in`, to which what is
`pending` is no way in); so whether the source answers by its new settings or by its former ones matters to none of
these ways. A directory's domains are asked beside an account's own password, never in its place (`auth/routing.py`).
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import structlog
from cryptography.fernet import InvalidToken, MultiFernet
from flask import current_app, g, has_request_context

from auth import audit, tenant_settings
from auth.keys import box_of
from auth.providers.models import ProviderConfig
from tenants.context import bound
from tenants.db import now

log = structlog.get_logger()

LASTS = timedelta(minutes=15)
_KEY = "provisional"


@dataclass(frozen=True, slots=True)
class Former:
    """What a source was set to before a change."""

    settings: dict[str, Any]
    secret: str | None
    """As the row keeps it: encrypted."""
    rehearsed_at: datetime | None
    admin_seen_at: datetime | None

    @classmethod
    def of(cls, config: ProviderConfig) -> Self:
        """What it is set to now."""
        return cls(dict(config.settings), config.secret, config.rehearsed_at, config.admin_seen_at)


def until(config: ProviderConfig) -> datetime | None:
    """The moment at which the source's present settings are undone; None when they are there to stay."""
    entry = _entries().get(str(config.id))
    return datetime.fromisoformat(entry["until"]) if entry else None


def pending() -> frozenset[uuid.UUID]:
    """The sources whose present settings nobody has proved yet."""
    return frozenset(map(uuid.UUID, _entries()))


def begin(config: ProviderConfig, former: Former) -> None:
    """Let the settings that the source has now count for a while. What is gone back to is what was proved last."""
    row = tenant_settings.lock()
    entries = dict(row.settings.get(_KEY, {}))
    kept = entries.get(str(config.id), {}).get("former") or _seal(config, former)
    since = now()
    entries[str(config.id)] = {"since": since.isoformat(), "until": (since + LASTS).isoformat(), "former": kept}
    tenant_settings.keep(row, _KEY, entries)


def is_proved_by(config: ProviderConfig, proved_at: int) -> bool:
    """Whether settings wait for a proof, and one of that moment (seconds since 1970) is of these settings."""
    entry = _entries().get(str(config.id))
    return entry is not None and _is_since(entry, proved_at)


def end(config: ProviderConfig, *, proved_at: int | None = None) -> None:
    """Let the present settings stay: an administrator has signed in by them, or they are of no consequence now.

    With `proved_at` only if they have not been changed again since that moment, be it while this was waited for.
    """
    if str(config.id) not in _entries():
        return
    entry = tenant_settings.lock().settings.get(_KEY, {}).get(str(config.id))
    if entry is not None and (proved_at is None or _is_since(entry, proved_at)):
        _drop(str(config.id))


def go_back(config: ProviderConfig, *, actor: audit.Actor | None = None) -> bool:
    """Set the source to what it was before; False when nothing is provisional. Recorded."""
    row = tenant_settings.lock()  # first: somebody may be signing in by the new settings in this moment
    entry = row.settings.get(_KEY, {}).get(str(config.id))
    if entry is None:
        return False
    _drop(str(config.id))
    former = _open(config, entry["former"])
    if former is None:
        return False
    details: dict[str, Any] = audit.changes(config.settings, former.settings)
    if config.secret != former.secret:
        details |= {"secret": "changed back"}
    for name in ("settings", "secret", "rehearsed_at", "admin_seen_at"):
        setattr(config, name, getattr(former, name))
    g.db.flush()
    audit.record("provider changed", config, details=details | {"undone": "provisional"}, actor=actor)
    return True


def settle() -> None:
    """Undo what nobody has proved in time. A before_request hook; at the command line, before the command."""
    if "tenant" not in g or not _overdue(_entries()):
        return
    if not has_request_context():
        _settle()
        return
    g.db.release()  # the request's own transaction may be one that only reads, or be rolled back
    with bound(g.tenant):
        _settle()
        tenant = g.tenant
    g.tenant = tenant


def _settle() -> None:
    # As it is behind the lock: whoever was waited for may have undone it, or given the source other settings.
    kept = tenant_settings.lock().settings.get(_KEY, {})
    for name in _overdue(kept):
        config = g.db.find(ProviderConfig, uuid.UUID(name))
        if config is None:
            _drop(name)
            continue
        go_back(config, actor=audit.SYSTEM)


def _overdue(entries: Mapping[str, Any]) -> list[str]:
    moment = now()
    return [name for name, entry in entries.items() if datetime.fromisoformat(entry["until"]) <= moment]


def _is_since(entry: Mapping[str, Any], moment: int) -> bool:
    return moment >= int(datetime.fromisoformat(entry["since"]).timestamp())


def _drop(name: str) -> None:
    row = tenant_settings.lock()
    kept = {known: entry for known, entry in row.settings.get(_KEY, {}).items() if known != name}
    tenant_settings.keep(row, _KEY, kept)


def _entries() -> Mapping[str, Any]:
    found: Mapping[str, Any] = g.tenant.settings.get(_KEY, {})
    return found


def _seal(config: ProviderConfig, former: Former) -> str:
    moments = [moment.isoformat() if moment else None for moment in (former.rehearsed_at, former.admin_seen_at)]
    return _box(config).encrypt(json.dumps([former.settings, former.secret, *moments]).encode()).decode()


def _open(config: ProviderConfig, sealed: str) -> Former | None:
    try:
        settings, secret, *moments = json.loads(_box(config).decrypt(sealed.encode()))
    except InvalidToken:  # keys that were thrown away: the source's own secret is lost, too
        log.error("what a source was set to before cannot be read any more", provider=config.name)
        return None
    return Former(settings, secret, *(datetime.fromisoformat(each) if each else None for each in moments))


def _box(config: ProviderConfig) -> MultiFernet:
    keys = current_app.extensions["tenants"].settings.encryption_keys
    return box_of(keys, config.tenant_id, config.id)

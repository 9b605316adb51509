"""Events of the audit log in the words of whoever reads them."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import format_datetime, lazy_gettext
from flask_babel import gettext as _
from flask_babel.speaklater import LazyString

from auth import audit
from auth.audit_models import AuditEvent
from auth.providers.registry import list_configs

NAMES: Mapping[str, LazyString] = {
    "at_once": lazy_gettext("Former ones void at once"),
    "by": lazy_gettext("By"),
    "client": lazy_gettext("Client id"),
    "days": lazy_gettext("Days"),
    "domains": lazy_gettext("Domains"),
    "email": lazy_gettext("E-mail address"),
    "enabled": lazy_gettext("Switched on"),
    "endpoint": lazy_gettext("Page"),
    "events": lazy_gettext("Events"),
    "expires_at": lazy_gettext("Until"),
    "group": lazy_gettext("Group"),
    "label": lazy_gettext("Label"),
    "method": lazy_gettext("Method"),
    "methods": lazy_gettext("Methods"),
    "name": lazy_gettext("Name"),
    "origins": lazy_gettext("Origins"),
    "people": lazy_gettext("People"),
    "permission": lazy_gettext("Permission"),
    "permissions": lazy_gettext("Permissions"),
    "reason": lazy_gettext("Reason"),
    "redirect_uris": lazy_gettext("Returns to"),
    "role": lazy_gettext("Role"),
    "scopes": lazy_gettext("Scopes"),
    "secret": lazy_gettext("Secret"),
    "sessions": lazy_gettext("Sessions"),
    "source": lazy_gettext("Source"),
    "step": lazy_gettext("Step"),
    "subject": lazy_gettext("Known there as"),
    "token": lazy_gettext("Token"),
    "tokens": lazy_gettext("Tokens"),
    "until": lazy_gettext("Until"),
}
"""Names of details; another one is shown as it is."""

ACTORS: Mapping[str, LazyString] = {
    "nobody": lazy_gettext("Somebody who is not signed in"),
    "operator": lazy_gettext("Operator"),
    "provider": lazy_gettext("Source"),
    "service": lazy_gettext("Service account"),
    "system": lazy_gettext("The system"),
    "token": lazy_gettext("Member, by a token"),
    "user": lazy_gettext("Member"),
}
"""Kinds of actors."""

_LISTS = frozenset({"domains", "groups", "methods", "permissions", "redirect_uris", "roles", "scopes"})
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+\d\d:\d\d|Z)")


@dataclass(frozen=True, slots=True)
class Detail:
    """One detail of an event: its value, or what it was before and is now."""

    name: str
    value: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it is shown."""

    event: AuditEvent
    what: str
    when: str
    actor: str
    target: str
    details: list[Detail]


def show(events: Iterable[AuditEvent]) -> list[Shown]:
    """The events in words; names of sources are looked up once, if there are any."""
    rows = list(events)
    named = any("source" in row.details for row in rows)
    sources = {str(config.id): config.label for config in list_configs()} if named else {}
    sources["database"] = _("Accounts of this workspace")
    return [
        Shown(
            row,
            str(audit.KINDS.get(row.kind, row.kind)),
            format_datetime(row.at, "long"),
            row.actor or str(ACTORS.get(row.actor_kind, row.actor_kind)),
            row.target,
            list(_details(row.details, sources)),
        )
        for row in rows
    ]


def _details(details: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Detail]:
    for name, value in details.items():
        label = str(NAMES.get(name, name))
        if isinstance(value, list) and len(value) == 2 and not _is_plain(name, value):
            yield Detail(label, _say(value[1]), before=_say(value[0]))
        elif name == "source":
            yield Detail(label, sources.get(str(value), _say(value)))
        else:
            yield Detail(label, _say(value))


def _is_plain(name: str, value: list[Any]) -> bool:
    """Whether two values are a list of things rather than what was and what is."""
    return name in _LISTS and all(isinstance(each, str) for each in value)


def _say(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, list):
        return ", ".join(map(_say, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_say(held)}" for name, held in value.items())
    if isinstance(value, str) and _TIME.fullmatch(value):
        with suppress(ValueError):
            return str(format_datetime(datetime.fromisoformat(value), "medium"))
    return str(value)


def name_of_party(party: uuid.UUID | str | None, rows: Iterable[AuditEvent]) -> str:
    """How whoever is looked for by id is called in one of these events, or an empty string."""
    for row in rows:
        if row.actor_id == party:
            return row.actor
        if row.target_id == party:
            return row.target
    return ""

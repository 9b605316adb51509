"""Changes of sources by people: as `auth/providers/configs.py` makes them, and so that administrators still get in.

A change after which none of them could sign in is refused. New settings of a source that is on are provisional until
one of them has signed in through it.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask import g
from flask_babel import gettext as _

from auth import provisional, tenant_settings, ways_in
from auth.errors import InvalidProvider, NoWayIn
from auth.identity import Identity
from auth.models import User
from auth.providers import configs
from auth.providers.kinds import validate
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs
from auth.validation import about


def change_provider(config: ProviderConfig, *, actor: Identity | None, **changes: Any) -> None:
    """Change what is given, as `configs.change_provider` does; settings that are as they were count as not given.

    Raises NotAllowed, InvalidProvider, and NoWayIn when no administrator would have another way in.
    """
    configs.check_may_change(config, actor=actor)
    if changes.get("settings") is not None:
        wanted = validate(config.kind, changes["settings"]).model_dump(mode="json")
        if wanted == config.settings:
            del changes["settings"]
    if changes.get("secret", "") is None:
        del changes["secret"]
    tries = config.enabled and bool(changes.keys() & {"settings", "secret"})
    former = provisional.Former.of(config)
    closes = tries or (config.enabled and "domains" in changes)
    with _keeping_a_way_in(without=[config.id] if tries else [], closes=closes):
        configs.change_provider(config, actor=actor, **changes)
        if tries:
            provisional.begin(config, former)


def undo_change(config: ProviderConfig, *, actor: Identity | None) -> bool:
    """Go back from provisional settings now; False when they are there to stay. Raises NotAllowed."""
    configs.check_may_change(config, actor=actor)
    return provisional.go_back(config, actor=actor)


def disable_provider(config: ProviderConfig, *, actor: Identity | None, end_sessions: bool = False) -> int:
    """Switch the source off, as `configs.disable_provider` does. Raises NotAllowed, InvalidProvider, NoWayIn."""
    with _keeping_a_way_in():
        ended = configs.disable_provider(config, actor=actor, end_sessions=end_sessions)
        provisional.end(config)
        return ended


def remove_provider(config: ProviderConfig, *, actor: Identity | None) -> int:
    """Forget the source, as `configs.remove_provider` does. Raises NotAllowed, InvalidProvider, NoWayIn."""
    with _keeping_a_way_in():
        provisional.end(config)
        return configs.remove_provider(config, actor=actor)


def enforce_provider(config: ProviderConfig, break_glass: User, *, actor: Identity | None) -> None:
    """Enforce the source, as `configs.enforce_provider` does. Raises NotAllowed, InvalidProvider, NoWayIn."""
    with _keeping_a_way_in():
        configs.enforce_provider(config, break_glass, actor=actor)


def order_providers(ids: Sequence[uuid.UUID], *, actor: Identity | None) -> None:
    """Ask the sources in that order. Raises InvalidProvider unless they are all of them, once each, and NotAllowed."""
    known = {config.id: config for config in list_configs()}
    if len(ids) != len(known) or set(ids) != known.keys():
        raise InvalidProvider(about("order", _("every source has to be named, once")))
    places = sorted(config.position for config in known.values())
    if len(set(places)) < len(places):
        places = list(range(len(places)))
    for config_id, place in zip(ids, places, strict=True):
        if known[config_id].position != place:
            configs.change_provider(known[config_id], actor=actor, position=place)


@contextmanager
def _keeping_a_way_in(*, without: Collection[uuid.UUID] = (), closes: bool = True) -> Iterator[None]:
    """Undo what is done within the block, and raise NoWayIn, if no administrator could sign in after it.

    `without` are sources that may not work afterwards; what closes no way in is not looked at.
    """
    if closes:
        tenant_settings.lock()  # two who each rely on what the other one closes wait for each other here
    before = g.tenant
    try:
        with g.db.begin_nested():
            yield
            g.db.flush()
            if closes and not ways_in.some_administrator_gets_in(without=without):
                raise NoWayIn(
                    _(
                        "No administrator could sign in any more, should this not work. Give one of them another way in"
                        " first: a password, a passkey or another source."
                    )
                )
    except BaseException:
        g.tenant = before  # what was kept with it is undone in the database only
        raise

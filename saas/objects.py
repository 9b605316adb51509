"""The kinds of objects on which something can be permitted, as features register them: what explanations ask about."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `type` stands in grants, and names it in addresses; `label` is translated when it is shown."""

    type: str
    label: Any
    find_name: Callable[[uuid.UUID], str | None]
    """The name of one that the caller may see; None for any other."""
    offered: Callable[[], Sequence[tuple[uuid.UUID, str]]]
    """Some that the caller may see, to choose from: ids and names."""
    may_see: Callable[[uuid.UUID], bool]
    """Whether the caller may see one of that id; without asking the database whether there is one."""


def add(app: Flask, kind: Kind) -> None:
    """Register a kind of object."""
    app.extensions.setdefault("objects", {})[kind.type] = kind


def kinds() -> Sequence[Kind]:
    """The kinds of this application, in the order in which they were registered."""
    return tuple(current_app.extensions.get("objects", {}).values())


def find(type_: str) -> Kind | None:
    """The kind of that type."""
    found: Kind | None = current_app.extensions.get("objects", {}).get(type_)
    return found

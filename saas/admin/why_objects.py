"""The object that a question about permissions is about, if it is about one: its kind, its id and its name."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import abort, request

from auth.explain import Object
from saas import objects
from saas.objects import Kind


@dataclass(frozen=True, slots=True)
class Named:
    """An object that the caller may see."""

    kind: Kind
    id: uuid.UUID
    name: str

    @property
    def place(self) -> Object:
        """The object as decisions know it."""
        return self.kind.type, self.id


def chosen() -> Named | None:
    """The object in the page's address: `?project=...`. Answers 404 for one that the caller cannot see."""
    for kind in objects.kinds():
        if given := request.args.get(kind.type, "").strip():
            try:
                return find(kind, uuid.UUID(given)) or abort(404)
            except ValueError:
                abort(404)
    return None


def find(kind: Kind, object_id: uuid.UUID) -> Named | None:
    """That object, if the caller may see it."""
    name = kind.find_name(object_id)
    return Named(kind, object_id, name) if name is not None else None


def choices(of: Named | None) -> list[tuple[Kind, Sequence[tuple[uuid.UUID, str]]]]:
    """The kinds of objects with those to choose from, the chosen one among them."""
    found: list[tuple[Kind, Sequence[tuple[uuid.UUID, str]]]] = []
    for kind in objects.kinds():
        offered = list(kind.offered())
        if of is not None and of.kind is kind and of.id not in dict(offered):
            offered.insert(0, (of.id, of.name))
        found.append((kind, offered))
    return found

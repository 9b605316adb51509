"""Changes of a group that name the members who come and go: what they ask for is known without looking at the others.

So Entra ID, Okta and OneLogin keep groups up to date, one person or a few at a time. Everything else that a PATCH may
say of members (RFC 7644, section 3.5.2) is the library's, which needs all of them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scim2_models import PatchOp, PatchOperation, Path
from scim2_models.path import CompareOperator, Comparison, ValuePath

from auth.scim.filters import resource_id
from auth.scim.schemas import Group

_SAID = frozenset({"value", "display", "$ref", "type"})
"""What a provider says of a member; only the first counts."""


@dataclass(slots=True)
class MemberChanges:
    """Who comes and who goes, by the ids of SCIM's; an id that is none of ours is None."""

    added: set[uuid.UUID | None] = field(default_factory=set)
    removed: set[uuid.UUID | None] = field(default_factory=set)

    def add(self, ids: set[uuid.UUID | None]) -> None:
        """Let somebody come."""
        self.added |= ids
        self.removed -= ids

    def remove(self, ids: set[uuid.UUID | None]) -> None:
        """Let somebody go."""
        self.removed |= ids
        self.added -= ids


def divide(patch: PatchOp[Group]) -> tuple[MemberChanges, PatchOp[Group]] | None:
    """What a PATCH says of members, and the rest of it; None when all members are needed."""
    changes = MemberChanges()
    rest: list[PatchOperation[Group]] = []
    for operation in patch.operations or ():
        path = operation.path
        if path is None or path.model is not None:
            remaining = _take_from_value(operation, changes)
            if remaining is None:
                return None
            rest += remaining
        elif not _is_of_members(path):
            rest.append(operation)
        elif not _take(operation, path, changes):
            return None
    return changes, patch.model_copy(update={"operations": rest})


def _take(operation: PatchOperation[Group], path: Path[Group], changes: MemberChanges) -> bool:
    """Note what an operation on members asks for; False if that is not to be known from it alone."""
    if _is_whole(path):
        ids = _ids_in(operation.value)
        if ids is None or operation.op == PatchOperation.Op.replace_:
            return False
        (changes.add if operation.op == PatchOperation.Op.add else changes.remove)(ids)
        return True
    named = _id_in(path) if operation.op == PatchOperation.Op.remove and operation.value is None else None
    if named is None:
        return False
    changes.remove({resource_id(named)})
    return True


def _take_from_value(
    operation: PatchOperation[Group], changes: MemberChanges
) -> Sequence[PatchOperation[Group]] | None:
    """The same of an operation without a path; gives back what it says of other attributes."""
    value = operation.value
    if not isinstance(value, dict):
        return [operation]
    rest = {name: one for name, one in value.items() if not _names_members(name)}
    if len(rest) == len(value):
        return [operation]
    given = [one for name, one in value.items() if _names_members(name)]
    ids = _ids_in(given[0]) if len(given) == 1 and operation.op == PatchOperation.Op.add else None
    if ids is None or not all(name.rpartition(":")[2].lower() == "members" for name in value.keys() - rest.keys()):
        return None
    changes.add(ids)
    return [operation.model_copy(update={"value": rest})] if rest else []


def _ids_in(value: Any) -> set[uuid.UUID | None] | None:
    """The ids of members that are listed; None for what is no list of members."""
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) and isinstance(one.get("value"), str) and one.keys() <= _SAID for one in entries):
        return None
    return {resource_id(one["value"]) for one in entries}


def _id_in(path: Path[Group]) -> str | None:
    """The id in `members[value eq "..."]`; None for any other path."""
    node = path.ast
    if not isinstance(node, ValuePath) or node.sub_attr is not None or not isinstance(node.val_filter, Comparison):
        return None
    wanted = node.val_filter
    if wanted.op != CompareOperator.eq or str(wanted.attr_path).lower() != "value" or not isinstance(wanted.value, str):
        return None
    return wanted.value


def _is_whole(path: Path[Group]) -> bool:
    return path.rpartition(":")[2].lower() == "members"


def _is_of_members(path: Path[Group]) -> bool:
    binding = path.resolve()
    return binding is not None and binding.field_name == "members"


def _names_members(name: str) -> bool:
    return "members" in name.lower()

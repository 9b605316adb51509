"""How much one request may ask for: the library reads and compares whatever it is given, for as long as it takes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import from_json
from scim2_models import (
    InvalidFilterException,
    InvalidPathException,
    InvalidValueException,
    PatchOp,
    PatchOperation,
    PayloadTooLargeException,
    Resource,
    TooManyException,
)
from scim2_models.path import FilterNode, LogicalExpr, Not, ValuePath

LONGEST = 4000
"""Characters of a filter, or of a path."""
LONGEST_LIST = 20_000
"""Characters of `attributes`, or of all paths of a request."""
MOST_CHANGES = 1000
"""Operations of all PATCHes of a request; each may name many values."""
MOST_COMPARED = 200_000
"""What one PATCH compares: the library goes through all values of an attribute with each operation on it."""
MOST_SCANNED = 2000
"""Resources that the library looks at for one search."""
MOST_TESTED = 100_000
"""What one search compares."""
_READING = 4
"""So many comparisons cost what it costs to read a resource; each value of an attribute is one more."""
_SELECTION = 12
"""So many, what it costs to look within an attribute for a value, by a filter."""
_WITHIN, _WITHIN_MEMBERS = 40, 8
"""So many, what it costs to change a value that a path selects: addresses are checked each time anew."""


def check_search(payload: Any) -> None:
    """Refuse a search that takes long to read. Raises InvalidFilterException, InvalidPathException."""
    if not isinstance(payload, dict):
        return
    for name, value in payload.items():
        length = sum(len(str(one)) for one in value) if isinstance(value, list) else len(str(value))
        match name.lower().replace("_", ""):
            case "filter" if length > LONGEST:
                raise InvalidFilterException(detail=f"A filter has at most {LONGEST} characters")
            case "sortby" if length > LONGEST:
                raise InvalidPathException(detail=f"A path has at most {LONGEST} characters")
            case "attributes" | "excludedattributes" if length > LONGEST_LIST:
                raise InvalidValueException(detail=f"These are more than {LONGEST_LIST} characters of attributes")


def check_changes(body: bytes) -> None:
    """Refuse a PATCH, or a bulk request, that takes long to read.

    Raises InvalidPathException, PayloadTooLargeException.
    """
    try:
        found = list(_changes_in(from_json(body)))
    except ValueError:
        return  # the library says so
    if len(found) > MOST_CHANGES:
        raise PayloadTooLargeException(detail=f"A request has at most {MOST_CHANGES} operations of PATCH")
    if max(map(len, found), default=0) > LONGEST:
        raise InvalidPathException(detail=f"A path has at most {LONGEST} characters")
    if sum(map(len, found)) > 5 * LONGEST_LIST:
        raise PayloadTooLargeException(detail="The paths of these operations are too long together: send fewer")


def check_tested(wanted: FilterNode, kept: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to have the library look at so much. `kept` is what is kept of each resource. Raises TooManyException."""
    work = _weight(wanted) * sum(_READING + values_in(one) for one in kept)
    if work > MOST_TESTED:
        raise too_many()


def too_many() -> TooManyException:
    """The answer to a filter that leaves too much to look at."""
    return TooManyException(detail="The filter leaves too many resources to look at: compare userName or externalId")


def values_in(kept: Mapping[str, Any]) -> int:
    """How many values the attributes have that may have several."""
    return sum(len(value) for value in kept.values() if isinstance(value, list))


def compared(current: Resource[Any], patch: PatchOp[Resource[Any]]) -> int:
    """How much a PATCH of that resource compares."""
    lengths: dict[str, int] = {}
    total = 0
    for operation in patch.operations or ():
        binding = operation.path.resolve() if operation.path else None
        name = binding.field_name if binding is not None else ""
        here = getattr(current, name, None) if name else None
        length = lengths.setdefault(name, max(len(here) if isinstance(here, list) else 1, _longest(current, name)))
        total += length * _weight_of(operation, name, inner=binding is not None and binding.sub_field_name is not None)
        lengths[name] += len(operation.value) if isinstance(operation.value, list) else 1
    return total


def _longest(current: Resource[Any], name: str) -> int:
    """How many values an operation without a path goes through."""
    if name:
        return 1
    values = (getattr(current, field) for field in type(current).model_fields)
    return max((len(value) for value in values if isinstance(value, list)), default=1)


def _weight_of(operation: Any, name: str, *, inner: bool) -> int:
    wanted = operation.path.value_filter if operation.path else None
    each = _WITHIN_MEMBERS if name == "members" else _WITHIN
    if operation.op == PatchOperation.Op.remove and isinstance(operation.value, list):
        return each + 2 * len(operation.value)
    if not name and isinstance(operation.value, dict):  # its keys are paths
        return sum(_WITHIN if "[" in key else 1 for key in _keys_of(operation.value)) or 1
    if wanted is not None:
        return each + 2 * _weight(wanted)
    return each if inner else 1


def _weight(node: FilterNode) -> int:
    match node:
        case LogicalExpr():
            return sum(_weight(term) for term in node.terms)
        case Not():
            return _weight(node.expr)
        case ValuePath():
            return _SELECTION * _weight(node.val_filter)
    return 1


def _changes_in(payload: Any) -> Iterator[str]:
    """The paths of all operations of PATCH, empty for none, and the keys of their values that select as paths do.

    Names count whatever their case (RFC 7643, section 2.1), and also where there are two of one.
    """
    for operations in _values_of(payload, "operations"):
        for operation in operations if isinstance(operations, list) else ():
            for data in _values_of(operation, "data"):
                yield from _changes_in(data)
            yield from (str(path) for path in _values_of(operation, "path") or [""])
            for value in _values_of(operation, "value"):
                yield from (key for key in _keys_of(value) if "[" in key)


def _values_of(given: Any, name: str) -> list[Any]:
    return [value for key, value in given.items() if key.lower() == name] if isinstance(given, dict) else []


def _keys_of(value: Any) -> Iterator[str]:
    """The keys of an object and of those within it."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield str(key)
        yield from _keys_of(inner)

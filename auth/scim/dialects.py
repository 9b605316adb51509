"""What Entra ID writes against the letter of RFC 7644, as the letter has it: of managers, and of ids without quotes."""

import json
import re

from auth.scim.schemas import EnterpriseUser

_MANAGER = f"{EnterpriseUser.__schema__}:manager"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+'
_BEFORE = r"(?<![\w:.\[-])"
# A string is taken as it is, so that nothing within one is changed.
_IN_FILTER = re.compile(
    rf"{_STRING}|(?P<manager>{_BEFORE}(?:{re.escape(_MANAGER)}|manager)(?=\s+eq\s))"
    rf"|(?P<id>(?<=\seq\s)[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![\w-]))",
    re.IGNORECASE,
)
_SELECTED_MANAGER = re.compile(rf"(?:{re.escape(_MANAGER)}|manager)\[\s*value\s+eq\s+{_STRING}\s*\]", re.IGNORECASE)


def read_filter(text: str) -> str:
    """A filter with `manager eq` and ids as RFC 7644 would have them; anything else as it is."""
    return _IN_FILTER.sub(_in_order, text)


def read_patch(body: bytes) -> bytes:
    """A PATCH with `manager[value eq "..."]`, of which there is only one, as the attribute; anything else as it is."""
    if b"manager[" not in body.lower():
        return body
    try:
        payload = json.loads(body)
    except ValueError:
        return body
    operations = payload.get("Operations", payload.get("operations")) if isinstance(payload, dict) else None
    for operation in operations if isinstance(operations, list) else ():
        path = operation.get("path") if isinstance(operation, dict) else None
        if isinstance(path, str) and _SELECTED_MANAGER.fullmatch(path):
            operation["path"] = _MANAGER
    return json.dumps(payload).encode()


def _in_order(found: re.Match[str]) -> str:
    if found["manager"]:
        return f"{_MANAGER}.value"
    return f'"{found["id"]}"' if found["id"] else found[0]

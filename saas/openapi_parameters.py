"""Parameters of the API's operations, for its description."""

from collections.abc import Iterator, Mapping
from typing import Any

from werkzeug.routing import Rule

from saas.operations import Operation


def parts_of(rule: Rule) -> Iterator[tuple[bool, str]]:
    """The parts of an address: whether each is fixed, and its text or its name."""
    return ((not is_dynamic, part) for is_dynamic, part in rule._trace if part != "|")


_PATH_WORDS: Mapping[str, str] = {
    "config_id": "The id of the provider.",
    "client_id": "The id of the app; not its `client_id`.",
    "consent_id": "The id of what the app was allowed.",
    "account_id": "The id of the service account.",
    "user_id": "The id of the member.",
    "member_token_id": "The id of the token.",
    "update_id": "The id of the update.",
    "event_id": "The id of the event.",
    "permission": "The name of the permission.",
    "role": "The name of the role.",
}
"""What parameters of addresses are whose names do not say it."""


_QUERY_WORDS: Mapping[str, str] = {
    "active": "Only those that are active, or only those that are not.",
    "builtin": "Only those that every workspace has, or only those of this one.",
    "object_id": "The id of the object; the whole workspace, when left out.",
    "object_type": "The kind of the object; the whole workspace, when left out.",
    "owner_id": "Only those of this member.",
    "permission": "The name of the permission.",
    "role": "The name of the role.",
    "since": "Only what was at that time, or later.",
    "sort": "The order; with a minus the same one backwards.",
    "state": "Only those of which this is true.",
    "user": "The id of the member.",
}
"""What parameters of queries are whose models do not say it."""


def in_path(rule: Rule) -> list[dict[str, Any]]:
    """The parameters that stand in an address."""
    named = {"UUIDConverter": {"type": "string", "format": "uuid"}, "IntegerConverter": {"type": "integer"}}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_WORDS.get(name) or f"The id of the {name.removesuffix('_id').replace('_', ' ')}.",
            "schema": named.get(type(rule._converters[name]).__name__, {"type": "string", "minLength": 1}),
        }
        for is_fixed, name in parts_of(rule)
        if not is_fixed
    ]


def in_query(declared: Operation, method: str) -> list[dict[str, Any]]:
    """Those of the query: what the view declares, and `fields`."""
    parameters: list[dict[str, Any]] = []
    if declared.query is not None:
        schema = declared.query.model_json_schema(mode="validation")
        for name, described in schema["properties"].items():
            plain = _without_null(described)
            plain.pop("title", None)
            parameter = {"name": name, "in": "query", "schema": plain, "required": name in schema.get("required", ())}
            if told := plain.pop("description", "") or _QUERY_WORDS.get(name, ""):
                parameter["description"] = told
            parameters.append(parameter)
    if declared.item is not None and method == "GET":
        names = sorted(declared.item.model_fields)
        told = f"What to give of each, separated by commas: {', '.join(names)}. Everything, when left out."
        pattern = f"^({'|'.join(names)})(,({'|'.join(names)}))*$"
        parameters.append(
            {"name": "fields", "in": "query", "description": told, "schema": {"type": "string", "pattern": pattern}}
        )
    return parameters


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a value that is either given or not: a query knows no null."""
    plain = dict(schema)
    kinds = [kind for kind in plain.pop("anyOf", []) if kind != {"type": "null"}]
    if plain.get("default", "") is None:
        del plain["default"]
    return {**plain, **kinds[0]} if len(kinds) == 1 else {**plain, **({"anyOf": kinds} if kinds else {})}


def in_headers(method: str, declared: Operation, *, known: bool, readable: bool) -> list[dict[str, Any]]:
    """Those in headers: conditions where there is something to compare with, and a key by which a request counts once.

    `known`: whether it takes somebody who is known, for a key is its caller's; `readable`: whether the address is read.
    """
    headers = {
        "POST": (
            "Idempotency-Key",
            "Up to 255 characters: sent again within a day, the request is answered again only.",
        ),
        "PUT": ("If-Match", "The ETag of the state that was seen: another one is not changed."),
        "GET": ("If-None-Match", "The ETag of the state that is known: it is not sent again."),
    }
    name, told = headers.get("PUT" if method in ("PATCH", "DELETE") else method, ("", ""))
    given = {"POST": known, "GET": declared.returns is not None}.get(method, readable)
    if not name or not given:
        return []
    shape = {"type": "string", "maxLength": 255} if method == "POST" else {"type": "string"}
    return [{"name": name, "in": "header", "description": told, "schema": shape}]

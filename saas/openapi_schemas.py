"""Schemas and examples of what the API's operations take and give, for its description."""

import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from saas.operations import Operation

LOCATION = "#/components/schemas/"


class Schemas:
    """The schemas of what the operations take and give, each defined once."""

    def __init__(self, operations: list[Operation]) -> None:
        wanted: dict[tuple[int, str], Any] = {}
        for declared in operations:
            if declared.body is not None:
                wanted[id(declared.body), "validation"] = declared.body
            for model in (declared.returns, *declared.also.values()):
                if model is not None:
                    wanted[id(model), "serialization"] = model
        inputs = [(key, key[1], TypeAdapter(model)) for key, model in wanted.items()]
        # Its keys may be anything that can be hashed, and the modes are texts of ours; the hints know literals only.
        made, shared = TypeAdapter.json_schemas(inputs, ref_template=f"{LOCATION}{{model}}")  # type: ignore[arg-type]
        self._made = {key: schema for (key, _mode), schema in made.items()}
        self.definitions: dict[str, Any] = shared.get("$defs", {})

    def of(self, model: Any, mode: str) -> Any:
        """The schema of a model, a reference as a rule."""
        return self._made[id(model), mode]

    def example(self, schema: Mapping[str, Any], name: str = "") -> Any:
        """A value of that schema: what its fields give as an example, else something of their name or type."""
        if reference := schema.get("$ref"):
            return self.example(self.definitions[reference.removeprefix(LOCATION)], name)
        for given in ("examples", "enum"):
            if schema.get(given):
                return schema[given][0]
        for given in ("const", "default"):
            if given in schema:
                return schema[given]
        for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            return self.example(choice, name)
        if schema.get("type") == "object":
            return {field: self.example(part, field) for field, part in schema.get("properties", {}).items()}
        if schema.get("type") == "array":
            return [self.example(schema["items"], name)] if schema.get("items") else []
        if schema.get("type") == "string" and not schema.get("format"):
            return _BY_NAME.get(name, "text")
        found = _EXAMPLES.get(schema.get("format") or schema.get("type", ""), "text")
        return max(found, schema["minimum"]) if "minimum" in schema else found


_RANDOM = "0123456789abcdefghijklmnopqrstuvwxyzABCD1a2b3c"
_BY_NAME: Mapping[str, str] = {
    "access_token": "eyJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiIuLi4ifQ.c2lnbmF0dXJl",
    "address": "192.0.2.7",
    "break_glass": "vera@acme.example",
    "client_id": "8f14e45fceea167a5a36dedd4bea2543",
    "client_secret": f"tnt_cs_{_RANDOM}",
    "device": "Firefox on Linux",
    "domain": "acme.example",
    "domains": "acme.example",
    "email": "vera@acme.example",
    "emails": "vera@acme.example",
    "gains": "project:update",
    "loses": "project:delete",
    "name": "Vera",
    "next_cursor": "WyIwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiXQ",
    "origin": "manual",
    "permission": "project:read",
    "permissions": "project:read",
    "provider": "database",
    "origins": "https://app.example.com",
    "redirect_uris": "https://app.example.com/callback",
    "refresh_token": f"tnt_rt_{_RANDOM}",
    "role": "viewer",
    "roles": "viewer",
    "scopes": "openid",
    "slug": "acme",
    "token": f"tnt_pat_{_RANDOM}",
    "user_name": "vera@acme.example",
}
"""Of texts, by the field that they stand in: what is nothing but text elsewhere."""
_EXAMPLES: Mapping[str, Any] = {
    "uuid": str(uuid.UUID(int=0x0190_0000_0000_7000_8000_0000_0000_0001)),
    "date-time": "2030-01-31T12:00:00Z",
    "date": "2030-01-31",
    "email": "vera@example.com",
    "uri": "https://app.example.com/callback",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
}

"""The description of the API (OpenAPI 3.1), made of what its views declare; nothing in it is written by hand twice."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask
from werkzeug.exceptions import default_exceptions
from werkzeug.routing import Rule

from auth.permissions import Access, access_of
from saas.openapi_parameters import in_headers, in_path, in_query, parts_of
from saas.openapi_schemas import LOCATION, Schemas
from saas.operations import Operation, is_required
from saas.problems import BY_STATUS, MEANINGS, PAGE

PREFIX = "/api/v1/"
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "description": "Names the kind of problem; stays the same.",
            "format": "uri-reference",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; its words may change."},
        "instance": {"type": "string", "description": "Names this request in our logs.", "format": "uri"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_TOLD: Mapping[str, Any] = {
    "RateLimit-Limit": {
        "schema": {"type": "integer"},
        "description": "Requests a minute, of the limit of which least is left: the address', the caller's or the"
        " workspace's.",
    },
    "RateLimit-Remaining": {"schema": {"type": "integer"}, "description": "How many of them are left."},
    "RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Seconds until there are all of them again."},
    "X-Request-ID": {"schema": {"type": "string"}, "description": "Names this request in our logs."},
}
"""Headers of every answer."""
_REFUSALS = {
    400: "Malformed",
    401: "NotSignedIn",
    403: "NotPermitted",
    404: "NotFound",
    409: "Conflict",
    412: "ChangedMeanwhile",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "InvalidFields",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
}
"""The reusable answers of `components.responses`, by status."""


def describe(app: Flask) -> dict[str, Any]:
    """The document. Raises TypeError for a view below `/api/v1/` that declares no operation."""
    found = sorted(_operations(app), key=lambda each: (each[0].rule, each[1]))
    schemas = Schemas([declared for _rule, _method, declared, _access in found])
    paths: dict[str, dict[str, Any]] = {}
    read = {rule.rule for rule, method, _declared, _access in found if method == "GET"}
    for rule, method, declared, access in found:
        path = "".join(part if is_fixed else f"{{{part}}}" for is_fixed, part in parts_of(rule))
        paths.setdefault(path, {})[method.lower()] = _operation(rule, method, declared, access, schemas) | {
            "parameters": [
                *in_path(rule),
                *in_query(declared, method),
                *in_headers(method, declared, known=not access.public, readable=rule.rule in read),
            ]
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tenantry",
            "version": "1",
            "description": (
                "The same rights as the person or account behind the token, in the workspace of the host that is asked."
                " Times are UTC (RFC 3339), ids opaque. Lists go on at `cursor`; `fields` chooses what is given."
            ),
        },
        "servers": [{"url": "/", "description": "The workspace of this host"}],
        "tags": [{"name": name} for name in sorted({declared.tag for _r, _m, declared, _a in found})],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions | {"Problem": _PROBLEM},
            "headers": _TOLD,
            "responses": {name: _refusal(status) for status, name in _REFUSALS.items()},
            "securitySchemes": _security_schemes(app),
        },
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation, Access]]:
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(PREFIX):
            continue
        declared: Operation | None = getattr(app.view_functions[rule.endpoint], "operation", None)
        access = access_of(app, rule.endpoint)
        if declared is None or access is None:
            raise TypeError(f"{rule.endpoint} declares no operation, or no access")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, declared, access


def _operation(rule: Rule, method: str, declared: Operation, access: Access, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": rule.endpoint.replace("_api.", "_").replace(".", "_"),
        "summary": declared.summary,
        "description": " ".join(filter(None, [declared.description, _needs(access)])),
        "tags": [declared.tag],
        "responses": _responses(rule, method, declared, access, schemas),
        "security": _security(access),
    }
    if access.permission is not None:
        described["x-permission"] = access.permission
    if declared.body is not None:
        schema = schemas.of(declared.body, "validation")
        content = {"schema": schema, "example": schemas.example(schema)}
        described["requestBody"] = {
            "required": is_required(declared.body),
            "content": {"application/json": content},
        }
    return described


def _needs(access: Access) -> str:
    if access.permission is None:
        return ""
    where = " on the workspace or on an object" if access.on or access.anywhere else ""
    return f"Needs `{access.permission}`{where}."


def _responses(rule: Rule, method: str, declared: Operation, access: Access, schemas: Schemas) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, model in {declared.status: declared.returns, **declared.also}.items():
        answers[str(status)] = _success(status, model, declared, schemas)
    if method == "GET" and declared.returns is not None:
        answers["304"] = {
            "description": "Not changed since the state that If-None-Match names",
            "headers": _headers_told(),
        }
    statuses = {400, 422, 429, 500, 503, *declared.errors}
    if not access.public:
        statuses |= {401, 403}
    if rule.arguments:
        statuses.add(404)
    if declared.body is not None:
        statuses |= {413, 415}
    if method == "POST" and not access.public:
        statuses.add(409)
    if method in ("PUT", "PATCH", "DELETE"):
        statuses.add(412)
    answers |= {str(status): {"$ref": f"#/components/responses/{_REFUSALS[status]}"} for status in sorted(statuses)}
    return answers


def _success(status: int, model: Any, declared: Operation, schemas: Schemas) -> dict[str, Any]:
    if model is None:
        return {"description": "Done", "headers": _headers_told()}
    schema = schemas.of(model, "serialization")
    answer: dict[str, Any] = {
        "description": declared.summary,
        "headers": _headers_told(),
        "content": {"application/json": {"schema": schema, "example": schemas.example(schema)}},
    }
    if status == 200 and declared.body is None:
        answer["headers"]["ETag"] = {"schema": {"type": "string"}, "description": "Names this state, for If-Match"}
    return answer


def _refusal(status: int) -> dict[str, Any]:
    kind = BY_STATUS[status]
    example: dict[str, Any] = {
        "type": f"{PAGE}#{kind}",
        "title": default_exceptions[status]().name,
        "status": status,
        "detail": MEANINGS[kind],
        "instance": "urn:request:0f8b1c0e5d9a4c7f8a3e2b6d1c4f7a90",
    }
    if status == 422:
        example["errors"] = [{"field": "name", "message": "must be given"}]
    content = {"schema": {"$ref": f"{LOCATION}Problem"}, "example": example}
    answer: dict[str, Any] = {
        "description": MEANINGS[kind],
        "headers": _headers_told(),
        "content": {"application/problem+json": content},
    }
    if status == 401:
        answer["headers"]["WWW-Authenticate"] = {"schema": {"type": "string"}}
    if status in (429, 503):
        answer["headers"]["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds"}
    return answer


def _headers_told() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _TOLD}


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access.public:
        return []
    scopes = [access.permission] if access.permission else []
    ways: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}]
    return ways if getattr(access, "in_person", False) else [*ways, {"oauth2": scopes}]


def _security_schemes(app: Flask) -> dict[str, Any]:
    permissions: Mapping[str, Any] = app.extensions["auth"].catalogue.permissions
    scopes = {name: str(permission.description) for name, permission in sorted(permissions.items())}
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or a personal access token."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": app.config["SESSION_COOKIE_NAME"],
            "description": "A browser's login session; a change needs the page's token in X-CSRFToken, too.",
        },
        "oauth2": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": scopes},
                "authorizationCode": {
                    "authorizationUrl": "/oauth/authorize",
                    "tokenUrl": "/oauth/token",
                    "scopes": scopes,
                },
            },
        },
    }

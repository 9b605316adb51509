"""What an API view takes and gives, declared once: it is parsed by, checked against and documented from the same.

    @bp.patch("/<uuid:project_id>")
    @requires(ProjectPermission.EDIT, on=("project", "project_id"))
    @operation("Change a project", body=ProjectChange, returns=ProjectJson, tag="Projects")
    def change(project_id: uuid.UUID, body: ProjectChange) -> Answerable: ...

Whatever the view gives back has to fit `returns`. Of that come `fields`, `ETag`, `If-Match` and `Idempotency-Key`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeVar

from flask import Response, abort, current_app, g, request
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import BadRequest, NotFound, PreconditionFailed

from auth import validation
from auth.permissions import access_of, permits
from saas import idempotency
from saas.api import InvalidFields, read_object
from saas.shapes import Page
from tenants.db import TenantScoped
from tenants.locks import hold
from tenants.request import look_again

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
Answerable = Any
"""What a view may give back: what fits `returns`, None for no content, (that, status[, headers]), or a Response."""


@dataclass(frozen=True)
class Operation:
    """What a view has declared."""

    summary: str
    view: Callable[..., Any]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    returns: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    tag: str = ""
    description: str = ""
    also: Mapping[int, Any] = field(default_factory=dict)
    """Further statuses of success, with what is given then."""
    row: type[TenantScoped] | None = None
    """Whose row of the id in the address is read, if it is one thing that can be changed."""

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks and writes what is given back."""
        return TypeAdapter(self.returns)

    @cached_property
    def item(self) -> Any:
        """The model whose fields can be chosen: of a page its items', else the answer's own; None for neither."""
        model = self.returns
        if isinstance(model, type) and issubclass(model, Page):
            (model,) = model.__pydantic_generic_metadata__["args"]
        return model if isinstance(model, type) and issubclass(model, BaseModel) else None

    @property
    def is_page(self) -> bool:
        """Whether it gives a list."""
        return isinstance(self.returns, type) and issubclass(self.returns, Page)


def operation(
    summary: str,
    *,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    returns: Any = None,
    status: int | None = None,
    errors: tuple[int, ...] = (),
    tag: str = "",
    description: str = "",
    also: Mapping[int, Any] | None = None,
    row: type[TenantScoped] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an API view.

    It is called with what the body and the query are parsed to, as `body` and `query`. `errors` are the statuses beside
    those that any operation of its kind can answer. `row` is held while a change with a condition is made of what this
    operation reads. Answers 422 for what does not fit.
    """

    def declare(view: Callable[..., Any]) -> Callable[..., Any]:
        given = status or (200 if returns is not None else 204)
        told = description or (view.__doc__ or "").strip()
        declared = Operation(summary, view, body, query, returns, given, errors, tag, told, also or {}, row)

        @wraps(view)
        def answer(**arguments: Any) -> Response:
            if query is not None:
                arguments["query"] = read_query(query)
            elif names := set(request.args) - {"fields"}:
                raise InvalidFields([{"field": name, "message": "is not known here"} for name in sorted(names)])
            chosen = _chosen_fields(declared)  # before anything is done: a mail that is sent cannot be taken back
            if body is not None:
                arguments["body"] = read_body(body)
            return idempotency.once(lambda: _perform(declared, arguments, chosen))

        answer.operation = declared  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
        return answer

    return declare


def operation_of(endpoint: str) -> Operation | None:
    """What the endpoint's view has declared."""
    return getattr(current_app.view_functions.get(endpoint), "operation", None)


def read_body(model: type[Model]) -> Model:
    """The request's JSON object as `model`; none is as good as an empty one if nothing in it is required.

    Raises InvalidFields.
    """
    # A form has been read by then, and is not nothing.
    if not (is_required(model) or request.get_data() or request.content_length or request.form or request.files):
        return model()
    read_object()  # refuses what is no object, or too much of one
    # As JSON and strictly: a date is text there, and neither 1 nor "no" is a truth value.
    return _told(lambda: model.model_validate_json(request.get_data(), strict=True))


def is_required(model: type[BaseModel]) -> bool:
    """Whether such a body has to be sent: it has a field that cannot be left out."""
    return any(each.is_required() for each in model.model_fields.values())


def read_query(model: type[Model]) -> Model:
    """The request's query as `model`; a name that is given twice is a list to it. Raises InvalidFields."""
    given = {name: values if len(values) > 1 else values[0] for name, values in request.args.lists()}
    given.pop("fields", None)
    return _told(lambda: model.model_validate(given))


def _told(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": validation.say(fault)} for fault in error.errors()]
        ) from None


def _perform(declared: Operation, arguments: Mapping[str, Any], chosen: Any) -> Response:
    _check_precondition()
    value, status, headers = _parts(declared.view(**arguments), declared.status)
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status=204, headers=headers)
    schema = declared.also.get(status, declared.returns) if status != declared.status else declared.returns
    adapter = declared.adapter if schema is declared.returns else TypeAdapter(schema)
    checked = adapter.validate_python(value)
    full = adapter.dump_json(checked)
    body = full if chosen is None else adapter.dump_json(checked, include=chosen)
    response = Response(body, status=status, content_type="application/json", headers=headers)
    return _with_tag(response, full, declared)


def _parts(given: Any, status: int) -> tuple[Any, int, Mapping[str, str]]:
    if not isinstance(given, tuple):
        return given, status, {}
    value, chosen, *headers = given
    return value, chosen, headers[0] if headers else {}


def _chosen_fields(declared: Operation) -> Any:
    given = request.args.getlist("fields")
    if not given:
        return None
    if len(given) > 1:
        raise InvalidFields([{"field": "fields", "message": "is given twice"}])
    names = {name.strip() for name in given[0].split(",")}
    known = set(declared.item.model_fields) if declared.item is not None else set()
    if unknown := names - known:
        said = f"there are {', '.join(sorted(known))}; not {', '.join(sorted(unknown))}"
        raise InvalidFields([{"field": "fields", "message": said[:1000]}])
    if not declared.is_page:
        return names
    return {"items": {"__all__": names}, "next_cursor": True, "total": True}


def _with_tag(response: Response, full: bytes, declared: Operation) -> Response:
    """Name the representation (RFC 9110, section 8.8.3); a read of what the caller has already is answered by 304."""
    reading = _reading() if request.method != "POST" else None
    if reading is None or response.status_code >= 300 or reading[1].returns is not declared.returns:
        return response
    response.set_etag(_tag(full))
    if request.method in ("GET", "HEAD"):
        response.make_conditional(request)
    return response


def _check_precondition() -> None:
    """Refuse a change of something else than the caller has seen: `If-Match` (RFC 9110, section 13.1.1)."""
    named, others = "If-Match" in request.headers, "If-None-Match" in request.headers
    if request.method in ("GET", "HEAD", "POST") or not (named or others):
        return
    if (named and not request.if_match) or (others and not request.if_none_match):
        # Not as if there was none: who has sent it wants to be asked.
        raise BadRequest("If-Match and If-None-Match hold entity tags, in quotation marks.")
    reading = _reading()
    if reading is None:
        raise PreconditionFailed("there is nothing to compare with at this address")
    endpoint, declared, own = reading
    access = access_of(current_app, endpoint)
    if access is None or not permits(access, own):
        abort(403)  # else they could find out by guesses what they may not read
    # Whoever else changes it waits from here on, with a condition or without, here or at our pages; and what they have
    # done is seen.
    hold(g.db, declared.row, next(iter(own.values()), None))
    look_again()
    tag = _present_tag(declared, own)
    if named and (tag is None or not request.if_match.contains(tag)):
        raise PreconditionFailed("it is not any more as you have seen it")
    if others and tag is not None and request.if_none_match.contains_weak(tag):
        raise PreconditionFailed("it is as you say that it is not")


def _present_tag(declared: Operation, own: Mapping[str, Any]) -> str | None:
    """The state of what an operation reads; None when there is no such thing, and it may be made."""
    queries = {"query": declared.query()} if declared.query is not None else {}
    try:
        value, _status, _headers = _parts(declared.view(**own, **queries), declared.status)
    except NotFound:
        if "If-Match" in request.headers:
            raise
        return None
    return _tag(declared.adapter.dump_json(declared.adapter.validate_python(value)))


def _reading() -> tuple[str, Operation, Mapping[str, Any]] | None:
    """How the address of the request is read: endpoint and operation, and the arguments of that."""
    own: Mapping[str, Any]
    if request.method in ("GET", "HEAD"):
        endpoint, own = request.endpoint or "", request.view_args or {}
    else:
        rules = current_app.url_map.bind(request.host)
        if not rules.test(request.path, "GET"):
            return None
        endpoint, own = rules.match(request.path, "GET")
    found = operation_of(endpoint)
    return (endpoint, found, own) if found is not None else None


def _tag(full: bytes) -> str:
    return hashlib.sha256(full).hexdigest()[:32]

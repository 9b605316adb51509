"""JSON of one's own personal tokens."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, g, url_for
from pydantic import AwareDatetime, Field, StringConstraints

from auth import api_tokens
from auth.permissions import in_person
from auth.token_models import ApiToken
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, first_page

bp = Blueprint("tokens_api", __name__, url_prefix="/api/v1/tokens")


class NewToken(Given):
    """The body that makes a token."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=api_tokens.LONGEST_NAME)] = (
        Field(examples=["Nightly report"])
    )
    permissions: Annotated[list[str], Field(min_length=1, max_length=200, examples=[["project:read"]])]
    """What it may be used for; nothing that the caller may not do."""
    expires_at: AwareDatetime | None = None
    """When it ends; the rules of the workspace can ask for it."""


class TokenQuery(Paging):
    """In which order tokens are listed."""

    sort: Literal["-created", "created", "name", "-name", "used", "-used"] = "-created"
    """used: one that was never used comes before those that were."""


class TokenJson(Answer):
    """A personal token, without its secret."""

    id: uuid.UUID
    name: str
    permissions: list[str]
    created_at: datetime
    expires_at: datetime | None
    """By its own end, or the rules of the workspace as they are now; null: it does not end by itself."""
    last_used_at: datetime | None
    """To the minute."""


class MadeToken(TokenJson):
    """A personal token that was just made."""

    token: str
    """The secret, for the header `Authorization: Bearer ...`. It is shown this once."""


@bp.get("")
@in_person
@operation("List own tokens", query=TokenQuery, returns=Page[TokenJson], tag="Tokens")
def list_tokens(query: TokenQuery) -> Answerable:
    """A page of the caller's personal tokens, the newest first unless sorted."""
    return page_of(g.identity.user_id, query)


@bp.post("")
@in_person
@operation("Make a token", body=NewToken, returns=MadeToken, status=201, tag="Tokens", errors=(403,))
def create(body: NewToken) -> Answerable:
    """Make a personal token: shortly after signing in, for it is a way in of its own."""
    row, secret = api_tokens.create(g.identity, body.name, body.permissions, body.expires_at)
    return as_dict(row) | {"token": secret}, 201, {"Location": url_for("tokens_api.show", token_id=row.id)}


@bp.get("/<uuid:token_id>")
@in_person
@operation("Show a token", returns=TokenJson, tag="Tokens")
def show(token_id: uuid.UUID) -> Answerable:
    """One of the caller's personal tokens."""
    return as_dict(found(api_tokens.find(token_id, user_id=g.identity.user_id)))


@bp.delete("/<uuid:token_id>")
@in_person
@operation("Revoke a token", tag="Tokens")
def revoke(token_id: uuid.UUID) -> Answerable:
    """End one of the caller's personal tokens, at once."""
    api_tokens.revoke(found(api_tokens.find(token_id, user_id=g.identity.user_id)), actor=g.identity)


def page_of(user_id: uuid.UUID, query: TokenQuery) -> dict[str, Any]:
    """A page of somebody's personal tokens."""
    order = api_tokens.ORDERS[query.sort]
    rows = api_tokens.list_of(user_id, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [as_dict(row) for row in shown], "next_cursor": more}


def as_dict(row: ApiToken) -> dict[str, Any]:
    """A token as the API gives it."""
    return {
        "id": row.id,
        "name": row.name,
        "permissions": row.permissions,
        "created_at": row.created_at,
        "expires_at": api_tokens.ends_at(row),
        "last_used_at": row.last_used_at,
    }

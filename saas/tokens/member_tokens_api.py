"""JSON of members' personal tokens, for whoever manages members: seen and revoked, never made."""

import uuid

from flask import Blueprint, abort, g

from auth import accounts, api_tokens
from auth.models import PERSON, User
from auth.permissions import AccessPermission, requires
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Page
from saas.tokens.tokens_api import TokenJson, as_dict

bp = Blueprint("member_tokens_api", __name__, url_prefix="/api/v1/members/<uuid:user_id>/tokens")

_manages = requires(AccessPermission.MEMBER_MANAGE)


@bp.get("")
@_manages
@operation("List a member's tokens", returns=Page[TokenJson], tag="Members")
def list_tokens(user_id: uuid.UUID) -> Answerable:
    """A member's personal tokens, the newest first; all of them at once."""
    user = found(g.db.find(User, user_id))
    if user.kind != PERSON:
        abort(404)
    return {"items": [as_dict(row) for row in api_tokens.list_of(user.id)], "next_cursor": None}


@bp.delete("/<uuid:token_id>")
@_manages
@operation("Revoke a member's token", tag="Members", errors=(403,))
def revoke(user_id: uuid.UUID, token_id: uuid.UUID) -> Answerable:
    """End a personal token of a member who holds no more than the caller does."""
    accounts.revoke_token(found(api_tokens.find(token_id, user_id=user_id)), actor=g.identity)

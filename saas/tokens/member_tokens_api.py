"""JSON of members' personal tokens, for whoever manages members: seen and revoked, never made."""

import uuid

from flask import Blueprint, abort, g

from auth import accounts, api_tokens
from auth.models import PERSON, User
from auth.permissions import AccessPermission, requires
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Page
from saas.tokens.tokens_api import TokenJson, TokenQuery, as_dict, page_of

bp = Blueprint("member_tokens_api", __name__, url_prefix="/api/v1/members/<uuid:user_id>/tokens")

_manages = requires(AccessPermission.MEMBER_MANAGE)


@bp.get("")
@_manages
@operation("List a member's tokens", query=TokenQuery, returns=Page[TokenJson], tag="Members")
def list_tokens(user_id: uuid.UUID, query: TokenQuery) -> Answerable:
    """A page of a member's personal tokens, the newest first unless sorted."""
    return page_of(_member(user_id).id, query)


@bp.get("/<uuid:member_token_id>")
@_manages
@operation("Show a member's token", returns=TokenJson, tag="Members")
def show(user_id: uuid.UUID, member_token_id: uuid.UUID) -> Answerable:
    """One of a member's personal tokens."""
    return as_dict(found(api_tokens.find(member_token_id, user_id=user_id)))


@bp.delete("/<uuid:member_token_id>")
@_manages
@operation("Revoke a member's token", tag="Members", errors=(403,))
def revoke(user_id: uuid.UUID, member_token_id: uuid.UUID) -> Answerable:
    """End a personal token of a member who holds no more than the caller does."""
    accounts.revoke_token(found(api_tokens.find(member_token_id, user_id=user_id)), actor=g.identity)


def _member(user_id: uuid.UUID) -> User:
    user: User = found(g.db.find(User, user_id))
    if user.kind != PERSON:
        abort(404)
    return user

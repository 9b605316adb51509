"""Where others find what a tenant's tokens are verified by."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from auth import signing_keys
from auth.permissions import public

bp = Blueprint("jwks", __name__)


@bp.get("/.well-known/jwks.json")
@public
def show() -> ResponseReturnValue:
    """The public keys of the tenant (RFC 7517, section 5)."""
    response = jsonify(signing_keys.public_keys())
    response.content_type = "application/jwk-set+json"
    return response

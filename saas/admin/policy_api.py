"""JSON of the rules of signing in."""

from flask import Blueprint, g, jsonify
from flask.typing import ResponseReturnValue

from auth import policy
from auth.errors import InvalidPolicy
from auth.permissions import AccessPermission, requires
from auth.policy_changes import change_policy
from saas.api import InvalidFields, read_object

bp = Blueprint("policy_api", __name__, url_prefix="/api/v1/policy")


@bp.get("")
@requires(AccessPermission.WORKSPACE_MANAGE)
def show() -> ResponseReturnValue:
    """The rules of signing in."""
    return jsonify(policy.current().model_dump(mode="json"))


@bp.patch("")
@requires(AccessPermission.WORKSPACE_MANAGE)
def change() -> ResponseReturnValue:
    """Set the rules that are given; the others stay."""
    try:
        rules = change_policy(read_object(), actor=g.identity)
    except InvalidPolicy as error:
        faults = [fault.partition(": ") for fault in str(error).split("; ")]
        raise InvalidFields([{"field": name, "message": said} for name, _colon, said in faults]) from None
    return jsonify(rules.model_dump(mode="json"))

"""JSON of the rules of signing in."""

from flask import Blueprint, g

from auth import policy
from auth.errors import InvalidPolicy
from auth.permissions import AccessPermission, requires
from auth.policy import Policy
from auth.policy_changes import change_policy
from saas.api import InvalidFields
from saas.operations import Answerable, operation

bp = Blueprint("policy_api", __name__, url_prefix="/api/v1/policy")


@bp.get("")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Show the rules of signing in", returns=Policy, tag="Policy")
def show() -> Answerable:
    """The rules that hold at present."""
    return policy.current()


@bp.patch("")
@requires(AccessPermission.WORKSPACE_MANAGE)
@operation("Change the rules of signing in", body=Policy, returns=Policy, tag="Policy")
def change(body: Policy) -> Answerable:
    """Set the rules that are given; the others stay."""
    try:
        return change_policy(body.model_dump(mode="json", exclude_unset=True), actor=g.identity)
    except InvalidPolicy as error:
        faults = [fault.partition(": ") for fault in str(error).split("; ")]
        raise InvalidFields([{"field": name, "message": said} for name, _colon, said in faults]) from None

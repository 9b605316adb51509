"""Changing a workspace's rules of signing in, without leaving nobody who could."""

from typing import Any

from flask import has_request_context, request
from flask_babel import gettext as _
from pydantic import ValidationError

from auth import audit, policy, roles, tenant_settings, ways_in
from auth.errors import InvalidPolicy, NotAllowed
from auth.identity import Identity
from auth.permissions import AccessPermission
from auth.policy import Policy


def change_policy(values: dict[str, Any], *, actor: Identity | None) -> Policy:
    """Set the rules that are given; the others stay. They hold from everybody's next request on.

    Raises NotAllowed, and InvalidPolicy for rules that cannot be, or that would shut out the actor, or all owners.
    """
    check_may_change(actor)
    row = tenant_settings.lock()
    before = Policy.model_validate(row.settings.get(policy.KEY, {}))
    try:
        after = Policy.model_validate(before.model_dump() | values)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, fault['loc'][:1]))}: {_say(fault['msg'])}" for fault in error.errors())
        raise InvalidPolicy(said) from None
    _check_roles(after)
    _check_lets_in(before, after)
    if after != before:
        kept = after.model_dump(mode="json", exclude_defaults=True)
        tenant_settings.keep(row, policy.KEY, kept)
        changed = audit.changes(before.model_dump(mode="json"), after.model_dump(mode="json"))
        audit.record("policy changed", details=changed, actor=actor)
    return after


def check_may_change(actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may change the rules."""
    needed = AccessPermission.WORKSPACE_MANAGE
    if actor is not None and needed not in actor.permissions:
        raise NotAllowed(_("The rules of signing in are changed with the permission “%(name)s”.", name=needed))


def _say(message: str) -> str:
    """What is wrong with a value, without what tells faults apart: the value may hold that, too."""
    return message.replace("; ", " ")


def _check_roles(rules: Policy) -> None:
    known = {role.name for role in roles.list_roles()}
    if unknown := [name for name in rules.second_factor_roles if name not in known]:
        said = _("There is no role “%(name)s”.", name=_say(unknown[0]))
        raise InvalidPolicy(f"second_factor_roles: {said}")


def _check_lets_in(before: Policy, after: Policy) -> None:
    if has_request_context() and not after.admits(request.remote_addr or ""):
        said = _("Your own address, %(address)s, is in none of them.", address=request.remote_addr)
        raise InvalidPolicy(f"networks: {said}")
    # Rules that close no way in are taken back also when there is none left: by an operator, for who is shut out.
    if set(before.methods) - set(after.methods) and not ways_in.some_owner_gets_in(after):
        said = _("No owner could sign in any more. Give one of them another way first.")
        raise InvalidPolicy(f"methods: {said}")

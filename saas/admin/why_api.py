"""JSON of explanations: why somebody may, or may not, and who can."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

from auth import explain, holders, roles
from auth.explain import Chain, Object, Voucher
from auth.holdings import Held
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas import objects
from saas.admin import why_objects
from saas.api import InvalidFields, page_size, read_cursor, write_cursor

bp = Blueprint("why_api", __name__, url_prefix="/api/v1")


@bp.get("/explain")
@requires(AccessPermission.ROLE_READ)
def explain_decision() -> ResponseReturnValue:
    """Why `?user=` may do `?permission=`, on the workspace or on `?object_type=` and `?object_id=`, or why not."""
    user_id, permission, on = _uuid("user"), request.args.get("permission", ""), _object()
    user: User | None = g.db.find(User, user_id)
    if user is None:
        abort(404)
    if not _is_known(permission):
        raise InvalidFields([{"field": "permission", "message": "no such permission"}])
    told = explain.explain(user.id, permission, on=on)
    chains = explain.chains_of((*told.through, *told.lapsed))
    return jsonify(
        user={"id": str(user.id), "name": user.name, "email": user.email, "active": user.active},
        permission=permission,
        object=_as_object(on),
        allowed=told.allowed,
        deactivated=told.deactivated,
        sources=[_as_voucher(voucher) for voucher in explain.vouchers_of(user)],
        through=_as_chains(told.through, chains),
        lapsed=_as_chains(told.lapsed, chains),
        missing={"roles": list(told.missing)},
    )


@bp.get("/permissions/<permission>/holders")
@requires(AccessPermission.ROLE_READ)
def list_holders(permission: str) -> ResponseReturnValue:
    """A page of those who can do that, on the workspace or on `?object_type=` and `?object_id=`, and how many."""
    if not _is_known(permission):
        abort(404)
    limit, place, on = page_size(), _place(), _object()
    found = holders.list_holders_after(place, permission, on=on, limit=limit + 1)
    items = [
        {
            "id": str(one.user_id),
            "name": one.name,
            "email": one.email,
            "through": _as_chains(one.through, found.chains),
        }
        for one in found.people[:limit]
    ]
    more = write_cursor(str(found.people[limit - 1].user_id)) if len(found.people) > limit else None
    return jsonify(items=items, next_cursor=more, total=holders.count_holders(permission, on=on))


def _as_chains(held: Iterable[Held], chains: dict[uuid.UUID, Chain]) -> list[dict[str, Any]]:
    return [_as_chain(chains[one.grant_id]) for one in held]


def _as_chain(chain: Chain) -> dict[str, Any]:
    held = chain.held
    group = {"id": str(chain.group_id), "name": held.group, "origin": chain.group_origin} if chain.group_id else None
    return {
        "group": group,
        "grant": {
            "id": str(held.grant_id),
            "origin": held.origin,
            "given_by": str(held.granted_by) if held.granted_by else None,
            "reason": held.reason,
            "object": _as_object((held.object_type, held.object_id) if held.object_id else None),
            "ends_at": _as_time(held.expires_at),
        },
        "role": held.role,
    }


def _as_voucher(voucher: Voucher) -> dict[str, Any]:
    provider = voucher.provider
    return {
        "id": str(provider.id) if provider else None,
        "name": provider.name if provider else None,
        "label": provider.label if provider else None,
        "login": voucher.login,
        "departed": voucher.departed,
    }


def _as_object(on: Object | None) -> dict[str, str] | None:
    return {"type": on[0], "id": str(on[1])} if on else None


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def _is_known(permission: str) -> bool:
    catalogue = roles.catalogue()
    return permission in catalogue.permissions and permission not in catalogue.operator_side


def _object() -> Object | None:
    """The object that is asked about. Answers 404 for one that there is not, or that the caller may not see."""
    type_ = request.args.get("object_type", "")
    if not type_ and "object_id" not in request.args:
        return None
    kind = objects.find(type_)
    if kind is None:
        known = ", ".join(kind.type for kind in objects.kinds())
        raise InvalidFields([{"field": "object_type", "message": f"must be one of {known}"}])
    named = why_objects.find(kind, _uuid("object_id"))
    return named.place if named is not None else abort(404)


def _uuid(name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.args.get(name, ""))
    except ValueError:
        raise InvalidFields([{"field": name, "message": "must be an id"}]) from None


def _place() -> uuid.UUID | None:
    cursor = read_cursor(1)
    try:
        return uuid.UUID(cursor[0]) if cursor else None
    except ValueError:
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}]) from None

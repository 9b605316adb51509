"""JSON of explanations: why somebody may, or may not, and who can."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, abort, g
from pydantic import Field

from auth import explain, holders, roles
from auth.explain import Chain, Object, Voucher
from auth.holdings import Held
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas import objects
from saas.admin import why_objects
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Paging, first_page

bp = Blueprint("why_api", __name__, url_prefix="/api/v1")


class Where(Given):
    """On which object; on the workspace, without it."""

    object_type: Annotated[str, Field(max_length=80)] = ""
    object_id: uuid.UUID | None = None


class Question(Where):
    """Whether somebody may do something."""

    user: uuid.UUID
    permission: Annotated[str, Field(max_length=80, examples=["project:update"])]


class HolderQuery(Paging, Where):
    """On which object; on the workspace, without it."""


class ObjectJson(Answer):
    """An object of the workspace."""

    type: str
    id: uuid.UUID


class GroupInChain(Answer):
    """The group by which a role reaches somebody."""

    id: uuid.UUID
    name: str
    origin: str


class GrantInChain(Answer):
    """The grant by which a role reaches somebody."""

    id: uuid.UUID
    origin: str
    given_by: uuid.UUID | None
    reason: str | None
    object: ObjectJson | None
    ends_at: datetime | None


class ChainJson(Answer):
    """How a permission reaches somebody: by a group or directly, by a grant, in a role."""

    group: GroupInChain | None
    grant: GrantInChain
    role: str


class VoucherJson(Answer):
    """A source that vouches for somebody; null names mean the workspace's own accounts."""

    id: uuid.UUID | None
    name: str | None
    label: str | None
    login: str
    departed: bool


class AskedAbout(Answer):
    """Whom the question is about."""

    id: uuid.UUID
    name: str
    email: str
    active: bool


class Missing(Answer):
    """What would be needed: any of these roles."""

    roles: list[str]


class Explanation(Answer):
    """Why somebody may, or may not."""

    user: AskedAbout
    permission: str
    object: ObjectJson | None
    allowed: bool
    deactivated: bool
    sources: list[VoucherJson]
    through: list[ChainJson]
    lapsed: list[ChainJson]
    missing: Missing


class HolderJson(Answer):
    """Somebody who can, and how."""

    id: uuid.UUID
    name: str
    email: str
    through: list[ChainJson]


@bp.get("/explain")
@requires(AccessPermission.ROLE_READ)
@operation("Explain a decision", query=Question, returns=Explanation, errors=(404,), tag="Explain")
def explain_decision(query: Question) -> Answerable:
    """Why somebody may do something, on the workspace or on an object, or why not."""
    on = _object(query)
    user: User | None = g.db.find(User, query.user)
    if user is None:
        abort(404)
    if not _is_known(query.permission):
        raise InvalidFields([{"field": "permission", "message": "no such permission"}])
    told = explain.explain(user.id, query.permission, on=on)
    chains = explain.chains_of((*told.through, *told.lapsed))
    return {
        "user": user,
        "permission": query.permission,
        "object": _as_object(on),
        "allowed": told.allowed,
        "deactivated": told.deactivated,
        "sources": [_as_voucher(voucher) for voucher in explain.vouchers_of(user)],
        "through": _as_chains(told.through, chains),
        "lapsed": _as_chains(told.lapsed, chains),
        "missing": {"roles": list(told.missing)},
    }


@bp.get("/permissions/<permission>/holders")
@requires(AccessPermission.ROLE_READ)
@operation("List who can", query=HolderQuery, returns=CountedPage[HolderJson], tag="Explain")
def list_holders(permission: str, query: HolderQuery) -> Answerable:
    """A page of those who can do that, on the workspace or on an object, and how many they are."""
    if not _is_known(permission):
        abort(404)
    place, on = query.after_id(), _object(query)
    found = holders.list_holders_after(place, permission, on=on, limit=query.limit + 1)
    shown, more = first_page(found.people, query.limit, lambda one: [str(one.user_id)])
    items = [
        {"id": one.user_id, "name": one.name, "email": one.email, "through": _as_chains(one.through, found.chains)}
        for one in shown
    ]
    return {"items": items, "next_cursor": more, "total": holders.count_holders(permission, on=on)}


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
            "ends_at": held.expires_at,
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


def _is_known(permission: str) -> bool:
    catalogue = roles.catalogue()
    return permission in catalogue.permissions and permission not in catalogue.operator_side


def _object(query: Where) -> Object | None:
    """The object that is asked about. Answers 404 for one that there is not, or that the caller may not see."""
    if not query.object_type and query.object_id is None:
        return None
    kind = objects.find(query.object_type)
    if kind is None:
        known = ", ".join(kind.type for kind in objects.kinds())
        raise InvalidFields([{"field": "object_type", "message": f"must be one of {known}"}])
    if query.object_id is None:
        raise InvalidFields([{"field": "object_id", "message": "must be an id"}])
    named = why_objects.find(kind, query.object_id)
    return named.place if named is not None else abort(404)

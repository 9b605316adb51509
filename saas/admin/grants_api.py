"""JSON of grants: who has been given which role, where, by whom, and until when; given and taken one by one."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import AwareDatetime, Field, StringConstraints

from auth import grants, local_groups, role_editor, roles
from auth.errors import UnknownRole
from auth.explain import Object
from auth.grants import ORDERS, Filter, Listed
from auth.models import Grant, Group, Role, User
from auth.permissions import AccessPermission, can, requires
from auth.role_holders import label_of
from saas import objects
from saas.admin import why_objects
from saas.api import InvalidFields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, first_page
from tenants.db import now

bp = Blueprint("grants_api", __name__, url_prefix="/api/v1/grants")

LONGEST_REASON = 255


class GrantQuery(Paging):
    """Which grants, and in which order."""

    user: uuid.UUID | None = None
    """Id of the person or service account that holds it by itself, and not through a group."""
    group: uuid.UUID | None = None
    """Id of the group that holds it."""
    role: uuid.UUID | None = None
    """Id of the role."""
    object_type: Annotated[str, Field(max_length=40, examples=["project"])] = ""
    """Only what is given on single objects of this type."""
    object_id: uuid.UUID | None = None
    """Only what is given on this object, whose type is to be given too."""
    origin: Annotated[str, Field(max_length=80, examples=["manual"])] = ""
    """manual, default, invitation, or `provider:<id>`."""
    state: Literal["active", "lapsed"] | None = None
    sort: Literal["created", "-created", "ends", "-ends"] = "-created"
    """What has no end counts as ending last."""


class ObjectOfNewGrant(Given):
    """The one object on which a role is to be given."""

    type: Annotated[str, Field(max_length=40, examples=["project"])]
    id: uuid.UUID


class NewGrant(Given):
    """The body that gives a role: one of `role_id` and `role`, to one of `user_id` and `group_id`."""

    user_id: Annotated[uuid.UUID | None, Field(examples=["01900000-0000-7000-8000-000000000001"])] = None
    """A person, or a service account."""
    group_id: Annotated[uuid.UUID | None, Field(examples=[None])] = None
    role_id: Annotated[uuid.UUID | None, Field(examples=[None])] = None
    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)] | None = Field(
        None, examples=["member"]
    )
    """Name of the role."""
    object: Annotated[ObjectOfNewGrant | None, Field(examples=[None])] = None
    """The one object on which; the whole workspace, when left out."""
    ends_at: AwareDatetime | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_REASON)] = ""


class RoleOfGrant(Answer):
    """The role that is given."""

    id: uuid.UUID
    name: str
    label: str


class HolderOfGrant(Answer):
    """Whom it is given to: a person, a group with all who are in it, or a service account."""

    kind: Literal["user", "group", "service"]
    id: uuid.UUID
    name: str


class PlaceOfGrant(Answer):
    """The one object on which a role is given."""

    type: str
    id: uuid.UUID | None
    """Null if the caller may not see that object."""


class GrantWithHolder(Answer):
    """A role that is given to somebody, on the whole workspace or on one object."""

    id: uuid.UUID
    role: RoleOfGrant
    holder: HolderOfGrant
    object: PlaceOfGrant | None
    origin: str
    """manual, default, invitation, or `provider:<id>`, which alone takes it back."""
    given_by: uuid.UUID | None
    reason: str | None
    ends_at: datetime | None
    lapsed: bool
    """Its end has come: it gives nothing."""
    created_at: datetime


@bp.get("")
@requires(AccessPermission.ROLE_READ)
@operation("List grants", query=GrantQuery, returns=Page[GrantWithHolder], tag="Grants")
def list_grants(query: GrantQuery) -> Answerable:
    """A page of what is given to whom, newest first unless sorted otherwise; lapsed ones, too."""
    order, wanted = ORDERS[query.sort], _wanted(query)
    place = query.place(order)
    listed = grants.list_after(wanted, place, sort=query.sort, limit=query.limit + 1) if wanted is not None else []
    shown, more = first_page(listed, query.limit, lambda one: order.write(one.grant))
    return {"items": [as_json(one) for one in shown], "next_cursor": more}


@bp.post("")
@requires(AccessPermission.ROLE_MANAGE)
@operation(
    "Give a role", body=NewGrant, returns=GrantWithHolder, status=201, also={200: GrantWithHolder}, tag="Grants",
)  # fmt: skip
def give(body: NewGrant) -> Answerable:
    """Give a person, a service account or a group a role that the caller holds all of; given again, it has the new
    end (200). It takes `role:read` too; of a person, on the whole workspace, `member:manage`; of a service account
    `client:manage`.
    """
    _check_sees()
    holder, role, on = _holder(body), _role(body), _object(body)
    if body.ends_at is not None and body.ends_at <= now():
        raise _fault("ends_at", "must lie in the future")
    if not body.reason.isprintable():
        raise _fault("reason", "must be one line of text")
    grant, is_new = grants.give(
        holder, role, actor=g.identity, on=on, reason=body.reason or None, expires_at=body.ends_at
    )
    place = url_for("grants_api.show", grant_id=grant.id)
    return as_json(found(grants.find(grant.id))), 201 if is_new else 200, {"Location": place}


@bp.get("/<uuid:grant_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show a grant", returns=GrantWithHolder, row=Grant, tag="Grants")
def show(grant_id: uuid.UUID) -> Answerable:
    """A grant."""
    return as_json(found(grants.find(grant_id)))


@bp.delete("/<uuid:grant_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Take a grant back", tag="Grants")
def take(grant_id: uuid.UUID) -> Answerable:
    """Take back what was given by hand, by default or by an invitation; it counts no more at once. It takes what
    giving takes.
    """
    _check_sees()
    try:
        taken = grants.take(found(grants.find(grant_id)), actor=g.identity)
    except UnknownRole:
        abort(404)
    if not taken:
        abort(404)


def as_json(listed: Listed) -> dict[str, Any]:
    """A grant for programs."""
    grant, role = listed.grant, listed.role
    place = {"type": grant.object_type, "id": grant.object_id if _may_see(grant.object_type, grant.object_id) else None}
    return {
        "id": grant.id,
        "role": {"id": role.id, "name": role.name, "label": label_of(role)},
        "holder": {"kind": listed.kind, "id": listed.holder_id, "name": listed.holder},
        "object": place if grant.object_id is not None else None,
        "origin": grant.origin,
        "given_by": grant.granted_by,
        "reason": grant.reason,
        "ends_at": grant.expires_at,
        "lapsed": listed.lapsed,
        "created_at": grant.created_at,
    }


def _check_sees() -> None:
    """Whoever gives and takes is told what there is then: names, too."""
    if not can(AccessPermission.ROLE_READ):
        abort(403)


def _wanted(query: GrantQuery) -> Filter | None:
    """What is asked for; None for what is on an object that the caller may not see, as on one that there is not."""
    if query.object_id is not None and not query.object_type:
        raise _fault("object_type", "must be given with object_id")
    if query.object_type:
        _check_kind(query.object_type, "object_type")
    if query.object_id is not None and not _may_see(query.object_type, query.object_id):
        return None
    names = ("user", "group", "role", "object_type", "object_id", "origin")
    return Filter(**{name: getattr(query, name) for name in names}, state=query.state or "")


def _may_see(object_type: str, object_id: uuid.UUID | None) -> bool:
    kind = objects.find(object_type)
    return kind is not None and object_id is not None and kind.may_see(object_id)


def _holder(body: NewGrant) -> User | Group:
    if (body.user_id is None) == (body.group_id is None):
        raise _fault("user_id", "either this or group_id must be given")
    if body.group_id is not None:
        group = local_groups.find_group(body.group_id)
        if group is None:
            raise _fault("group_id", "no such group in this workspace")
        if body.object is not None:
            raise _fault("object", "a group is given roles on the whole workspace only")
        return group
    user: User | None = g.db.find(User, body.user_id)
    if user is None:
        raise _fault("user_id", "nobody in this workspace has this id")
    return user


def _role(body: NewGrant) -> Role:
    if (body.role_id is None) == (body.role is None):
        raise _fault("role", "either this or role_id must be given")
    if body.role_id is not None:
        role = role_editor.find_role(body.role_id)
        if role is None:
            raise _fault("role_id", "no such role in this workspace")
        return role
    try:
        return roles.get_role(body.role or "")
    except UnknownRole:
        raise _fault("role", "no such role in this workspace") from None


def _object(body: NewGrant) -> Object | None:
    if body.object is None:
        return None
    kind = _check_kind(body.object.type, "object.type")
    named = why_objects.find(kind, body.object.id)
    if named is None:
        raise _fault("object.id", "no such object in this workspace")
    return named.place


def _check_kind(object_type: str, field: str) -> objects.Kind:
    kind = objects.find(object_type)
    if kind is None:
        raise _fault(field, f"must be one of {', '.join(kind.type for kind in objects.kinds())}")
    return kind


def _fault(field: str, message: str) -> InvalidFields:
    return InvalidFields([{"field": field, "message": message}])

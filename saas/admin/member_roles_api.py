"""JSON of the roles that members are given on the whole workspace."""

import uuid
from typing import Annotated

from flask import Blueprint, abort, g
from pydantic import AwareDatetime, Field, StringConstraints

from auth import bulk_grants, members, roles
from auth.errors import UnknownRole
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas.admin.members_api import GrantJson, get_member, grant_of
from saas.api import InvalidFields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given

bp = Blueprint("member_roles_api", __name__, url_prefix="/api/v1/members")


class Until(Given):
    """How long a role is given for."""

    ends_at: AwareDatetime | None = None


class RoleForMany(Until):
    """A role, and to whom it is given."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)]
    member_ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=bulk_grants.MOST_AT_ONCE)]


class GivenToMany(Answer):
    """To how many it was news."""

    given: int


@bp.post("/roles")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Give many members a role", body=RoleForMany, returns=GivenToMany, tag="Members")
def give_role_to_many(body: RoleForMany) -> Answerable:
    """Give many members a role, all or none of them."""
    people = members.find_all(body.member_ids)
    if missing := set(body.member_ids) - {user.id for user in people}:
        raise InvalidFields([{"field": "member_ids", "message": f"no member has the id {min(map(str, missing))}"}])
    try:
        role = roles.get_role(body.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    return {"given": bulk_grants.give_to_many(people, role, actor=g.identity, expires_at=body.ends_at)}


@bp.get("/<uuid:user_id>/roles/<path:role>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Show a role of a member", returns=GrantJson, row=User, tag="Members")
def show_role(user_id: uuid.UUID, role: str) -> Answerable:
    """The grant of a role that a member holds on the whole workspace, and not through a group; a lapsed one, too."""
    return found(grant_of(get_member(user_id), role))


@bp.put("/<uuid:user_id>/roles/<path:role>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Give a member a role", body=Until, tag="Members")
def give_role(user_id: uuid.UUID, role: str, body: Until) -> Answerable:
    """Give a member a role on the whole workspace, for good or for a time; given again, it has the new end."""
    user = get_member(user_id)
    try:
        bulk_grants.give_to_many([user], roles.get_role(role), actor=g.identity, expires_at=body.ends_at)
    except UnknownRole:
        abort(404)


@bp.delete("/<uuid:user_id>/roles/<path:role>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Take a role from a member", tag="Members")
def take_role(user_id: uuid.UUID, role: str) -> Answerable:
    """Take a role back that was given by hand."""
    try:
        taken = roles.revoke_role(get_member(user_id), role, actor=g.identity)
    except UnknownRole:
        abort(404)
    if not taken:
        abort(404)

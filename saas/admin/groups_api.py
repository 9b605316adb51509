"""JSON of groups: list, make, rename, delete; their members and their roles."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import AwareDatetime, Field, StringConstraints

from auth import group_lists, local_groups, members, role_editor, roles, users
from auth.errors import UnknownRole, UnknownUser, UnsuitableName
from auth.group_lists import Filter, Listed
from auth.groups import LONGEST_NAME
from auth.models import Group
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Page, Paging, Search, first_page
from tenants.db import now

bp = Blueprint("groups_api", __name__, url_prefix="/api/v1/groups")


class GroupQuery(Paging):
    """Which groups, and in which order."""

    search: Search = ""
    """Part of the name, or of what the group is called at its source."""
    origin: Annotated[str, Field(max_length=80)] = ""
    """manual, or `provider:<id>`."""
    role: uuid.UUID | None = None
    """Id of a role that they give."""
    sort: Literal["created", "-created", "name", "-name"] = "created"


class GroupMemberQuery(Paging):
    """Which of those who are in a group, and in which order."""

    search: Search = ""
    """Part of the name or the address."""
    sort: Literal["created", "-created", "name", "-name", "email", "-email"] = "created"


class GroupRoleQuery(Paging):
    """In which order the roles of a group are listed."""

    sort: Literal["name", "-name", "created", "-created"] = "name"


class GroupName(Given):
    """The body that makes or renames a group."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME)]


class NewGroupMember(Given):
    """The body that puts somebody into a group."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class NewGroupRole(Given):
    """The body that gives a group a role."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)]
    ends_at: AwareDatetime | None = None


class GroupRole(Answer):
    """A role that a group gives its members."""

    id: uuid.UUID
    name: str
    label: str
    ends_at: datetime | None
    lapsed: bool
    """Its end has come."""


class GroupJson(Answer):
    """A set of members that can hold roles."""

    id: uuid.UUID
    name: str
    origin: str
    """manual, or `provider:<id>`: that source alone says who is in it."""
    key: str | None
    """What it is called at its source."""
    members: int
    unseen: bool
    """It is mapped, and its source has named it for nobody."""
    roles: list[GroupRole]


class GroupMember(Answer):
    """Somebody in a group."""

    id: uuid.UUID
    name: str
    email: str
    active: bool


@bp.get("")
@requires(AccessPermission.ROLE_READ)
@operation("List groups", query=GroupQuery, returns=CountedPage[GroupJson], tag="Groups")
def list_groups(query: GroupQuery) -> Answerable:
    """A page of the groups, oldest first unless sorted, and how many there are."""
    wanted, order = Filter(query.search, query.origin, query.role), group_lists.ORDERS[query.sort]
    rows = group_lists.list_groups(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, lambda row: order.write(row.group))
    return {"items": [as_json(row) for row in shown], "next_cursor": more, "total": group_lists.count_groups(wanted)}


@bp.post("")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Make a group", body=GroupName, returns=GroupJson, status=201, tag="Groups")
def create(body: GroupName) -> Answerable:
    """Make a group of the workspace's own."""
    try:
        group = local_groups.create_group(body.name, actor=g.identity)
    except UnsuitableName as error:
        raise InvalidFields([{"field": "name", "message": str(error)}]) from None
    location = url_for("groups_api.show", group_id=group.id)
    return as_json(group_lists.list_one(group)), 201, {"Location": location}


@bp.get("/<uuid:group_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show a group", returns=GroupJson, row=Group, tag="Groups")
def show(group_id: uuid.UUID) -> Answerable:
    """A group with its roles."""
    return as_json(group_lists.list_one(_get(group_id)))


@bp.patch("/<uuid:group_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Rename a group", body=GroupName, returns=GroupJson, tag="Groups")
def rename(group_id: uuid.UUID, body: GroupName) -> Answerable:
    """Give a group another name."""
    group = _get(group_id)
    try:
        local_groups.rename_group(group, body.name, actor=g.identity)
    except UnsuitableName as error:
        raise InvalidFields([{"field": "name", "message": str(error)}]) from None
    return as_json(group_lists.list_one(group))


@bp.delete("/<uuid:group_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Delete a group", tag="Groups")
def delete(group_id: uuid.UUID) -> Answerable:
    """Delete a group; its members stay."""
    local_groups.delete_group(_get(group_id), actor=g.identity)


@bp.get("/<uuid:group_id>/members")
@requires(AccessPermission.ROLE_READ)
@operation("List members of a group", query=GroupMemberQuery, returns=CountedPage[GroupMember], tag="Groups")
def list_members(group_id: uuid.UUID, query: GroupMemberQuery) -> Answerable:
    """A page of those who are in a group, and how many they are."""
    group, order = _get(group_id), group_lists.MEMBER_ORDERS[query.sort]
    rows = group_lists.list_members(
        group, search=query.search, sort=query.sort, limit=query.limit + 1, after=query.place(order)
    )
    shown, more = first_page(rows, query.limit, order.write)
    total = group_lists.count_members(group, search=query.search)
    return {"items": shown, "next_cursor": more, "total": total}


@bp.post("/<uuid:group_id>/members")
@requires(AccessPermission.ROLE_MANAGE)
@operation(
    "Put somebody into a group",
    body=NewGroupMember, returns=GroupMember, status=201, also={200: GroupMember}, tag="Groups",
)  # fmt: skip
def add_member(group_id: uuid.UUID, body: NewGroupMember) -> Answerable:
    """Put somebody into a group; who is in it already stays (200)."""
    group = _get(group_id)
    try:
        user = users.get_by_email(body.email)
    except UnknownUser:
        raise InvalidFields([{"field": "email", "message": "nobody in this workspace has this address"}]) from None
    added = local_groups.add_member(group, user, actor=g.identity)
    location = url_for("groups_api.show_member", group_id=group.id, user_id=user.id)
    return user, 201 if added else 200, {"Location": location}


@bp.get("/<uuid:group_id>/members/<uuid:user_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show a member of a group", returns=GroupMember, tag="Groups")
def show_member(group_id: uuid.UUID, user_id: uuid.UUID) -> Answerable:
    """Somebody who is in a group."""
    return found(group_lists.find_member(_get(group_id), user_id))


@bp.delete("/<uuid:group_id>/members/<uuid:user_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Take somebody out of a group", tag="Groups")
def remove_member(group_id: uuid.UUID, user_id: uuid.UUID) -> Answerable:
    """Take somebody out of a group."""
    group, user = _get(group_id), members.find_one(user_id)
    if user is None or not local_groups.remove_member(group, user, actor=g.identity):
        abort(404)


@bp.get("/<uuid:group_id>/roles")
@requires(AccessPermission.ROLE_READ)
@operation("List roles of a group", query=GroupRoleQuery, returns=Page[GroupRole], tag="Groups")
def list_roles(group_id: uuid.UUID, query: GroupRoleQuery) -> Answerable:
    """A page of the roles that a group gives, by name unless sorted; lapsed ones, too."""
    group, order = _get(group_id), group_lists.ROLE_ORDERS[query.sort]
    rows = group_lists.list_roles(group, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [_role_as_json(row) for row in shown], "next_cursor": more}


@bp.get("/<uuid:group_id>/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show a role of a group", returns=GroupRole, row=Group, tag="Groups")
def show_role(group_id: uuid.UUID, role_id: uuid.UUID) -> Answerable:
    """A role that a group gives."""
    return _role_as_json(found(group_lists.find_role(_get(group_id), role_id)))


@bp.post("/<uuid:group_id>/roles")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Give a group a role", body=NewGroupRole, returns=GroupJson, status=201, tag="Groups")
def give_role(group_id: uuid.UUID, body: NewGroupRole) -> Answerable:
    """Give the members of a group a role; given again, it has the new end."""
    group = _get(group_id)
    if body.ends_at is not None and body.ends_at <= now():
        raise InvalidFields([{"field": "ends_at", "message": "must lie in the future"}])
    try:
        role = roles.get_role(body.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    local_groups.give_role(group, role, actor=g.identity, expires_at=body.ends_at)
    location = url_for("groups_api.show_role", group_id=group.id, role_id=role.id)
    return as_json(group_lists.list_one(group)), 201, {"Location": location}


@bp.delete("/<uuid:group_id>/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Take a role from a group", tag="Groups")
def take_role(group_id: uuid.UUID, role_id: uuid.UUID) -> Answerable:
    """Take a role from the members of a group."""
    group, role = _get(group_id), role_editor.find_role(role_id)
    if role is None or not local_groups.take_role(group, role, actor=g.identity):
        abort(404)


def as_json(listed: Listed) -> GroupJson:
    """A group for programs."""
    group = listed.group
    return GroupJson(
        id=group.id,
        name=group.name,
        origin=group.origin,
        key=group.external_key,
        members=listed.members,
        unseen=listed.is_unseen,
        roles=[_role_as_json(each) for each in listed.roles],
    )


def _role_as_json(role: group_lists.Given) -> GroupRole:
    return GroupRole(id=role.role_id, name=role.name, label=role.label, ends_at=role.ends_at, lapsed=role.lapsed)


def _get(group_id: uuid.UUID) -> Group:
    group = local_groups.find_group(group_id)
    if group is None:
        abort(404)
    return group

"""Pages that explain permissions: why somebody may, or may not, and who can."""

import uuid
from typing import Any

from flask import Blueprint, abort, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from auth import explain, holders, role_holders, roles
from auth.models import Role, User
from auth.permissions import AccessPermission, Permission, can, requires
from saas import page_number
from saas.admin import origin_words, why_objects
from saas.lookup import found
from saas.navigation import Entry

bp = Blueprint("why", __name__, url_prefix="/admin", template_folder="templates")

ENTRY = Entry(
    "why.list_permissions", lazy_gettext("Permissions"), "key", visible=lambda: can(AccessPermission.ROLE_READ)
)


@bp.get("/members/<uuid:user_id>/why")
@requires(AccessPermission.ROLE_READ)
def show(user_id: uuid.UUID) -> ResponseReturnValue:
    """Why a member may do something, or may not: on the whole workspace, or on one object."""
    user = found(g.db.find(User, user_id))
    asked = request.args.get("permission", "")
    permission, on = _permission(asked) if asked else None, why_objects.chosen()
    return render_template(
        "admin/why.html",
        user=user,
        features=roles.catalogue().features,
        permission=permission,
        on=on,
        kinds=why_objects.choices(on),
        **(_answer(user, permission, on) if permission is not None else {}),
    )


@bp.get("/permissions/")
@requires(AccessPermission.ROLE_READ)
def list_permissions() -> ResponseReturnValue:
    """Everything that can be permitted, each leading to who can."""
    return render_template("admin/permissions.html", features=roles.catalogue().features)


@bp.get("/permissions/<permission>")
@requires(AccessPermission.ROLE_READ)
def who_can(permission: str) -> ResponseReturnValue:
    """Who can do something: on the whole workspace, or on one object."""
    known, on, page = _permission(permission), why_objects.chosen(), page_number.asked()
    place = on.place if on else None
    listed = holders.list_holders(known, on=place, limit=page.size, offset=page.offset)
    return render_template(
        "admin/who_can.html",
        permission=known,
        on=on,
        kinds=why_objects.choices(on),
        people=listed.people,
        chains=listed.chains,
        total=holders.count_holders(known, on=place),
        paging=page,
        **_words(),
    )


@bp.app_template_global()
def why_address(user_id: uuid.UUID, permission: str, on: why_objects.Named | None) -> str:
    """The address of the explanation of that for that member."""
    wanted: dict[str, Any] = {on.kind.type: on.id} if on else {}
    return url_for("why.show", user_id=user_id, permission=permission, **wanted)


@bp.app_template_global()
def who_can_address(permission: str, on: why_objects.Named | None, page: int = 1) -> str:
    """The address of who can do that, and of which page."""
    wanted: dict[str, Any] = {on.kind.type: on.id} if on else {}
    return url_for("why.who_can", permission=permission, page=page if page > 1 else None, **wanted)


def _answer(user: User, permission: Permission, on: why_objects.Named | None) -> dict[str, Any]:
    told = explain.explain(user.id, permission, on=on.place if on else None)
    words = _words()
    named: dict[str, Role] = words["by_name"]
    missing = [(words["labels"].get(name, name), named[name].id if name in named else None) for name in told.missing]
    return {
        "told": told,
        "vouchers": explain.vouchers_of(user),
        "chains": explain.chains_of((*told.through, *told.lapsed)),
        "missing": missing,
        **words,
    }


def _words() -> dict[str, Any]:
    """What roles and origins are called."""
    by_name = {role.name: role for role in roles.list_roles()}
    builtin = {role.name: str(role.label) for role in roles.catalogue().roles.values()}
    labels = builtin | {name: role_holders.label_of(role) for name, role in by_name.items()}
    return {"by_name": by_name, "labels": labels, "origins": origin_words.of_grants()}


def _permission(name: str) -> Permission:
    """The permission of that name, if a role of a tenant can hold it."""
    catalogue = roles.catalogue()
    if name not in catalogue.permissions or name in catalogue.operator_side:
        abort(404)
    return catalogue.permissions[name]

"""JSON of what a change of a role would do."""

import uuid
from typing import Any

from flask import Blueprint, g

from auth import role_editor, role_preview
from auth.errors import UnknownPermission
from auth.permissions import AccessPermission, requires
from auth.role_preview import Effect, Preview
from saas.admin.roles_api import Permissions, get_role, invalid_role, named_role
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given

bp = Blueprint("role_previews_api", __name__, url_prefix="/api/v1")

MOST_SHOWN = 1000
"""Members, and groups, that a preview lists; it counts all of them."""


class RoleDraft(Given):
    """The body that previews a change: of the permissions, or, without them, a deletion."""

    permissions: Permissions | None = None
    replacement: uuid.UUID | None = None


class Difference(Answer):
    """Permissions that are gained and lost."""

    gains: list[str]
    loses: list[str]


class EffectJson(Difference):
    """What a change does to a member or to a group."""

    id: uuid.UUID
    name: str
    email: str | None = None
    """Null for a group."""
    active: bool | None = None
    on_objects: Difference


class Affected(Answer):
    """How many."""

    members: int
    groups: int


class Unaffected(Answer):
    """How many hold the role, and neither gain nor lose."""

    members: int


class PreviewJson(Answer):
    """What a change would do; at most 1,000 members and as many groups are listed."""

    members: list[EffectJson]
    groups: list[EffectJson]
    affected: Affected
    unaffected: Unaffected


@bp.post("/roles/<uuid:role_id>/preview")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Preview a change of a role", body=RoleDraft, returns=PreviewJson, tag="Roles")
def preview(role_id: uuid.UUID, body: RoleDraft) -> Answerable:
    """Who would gain and lose what by a change of the role's permissions, or by its deletion; changes nothing."""
    role = get_role(role_id)
    if body.permissions is None:
        replacement = named_role(body.replacement, "replacement") if body.replacement else None
        role_editor.check_may_delete(role, replacement, actor=g.identity)
        return _as_preview(role_preview.preview_deletion(role, replacement))
    if body.replacement is not None:
        raise InvalidFields([{"field": "replacement", "message": "is for a deletion, which has no permissions"}])
    try:
        draft = role_editor.draft_change(role, permissions=body.permissions, actor=g.identity)
    except UnknownPermission as error:
        raise invalid_role(error) from None
    return _as_preview(role_preview.preview_change(role, draft.permissions))


def _as_preview(found: Preview) -> dict[str, Any]:
    return {
        "members": [_as_effect(one) for one in found.members[:MOST_SHOWN]],
        "groups": [_as_effect(one) for one in found.groups[:MOST_SHOWN]],
        "affected": {"members": len(found.members), "groups": len(found.groups)},
        "unaffected": {"members": found.unaffected},
    }


def _as_effect(effect: Effect) -> dict[str, Any]:
    found = effect.difference
    return {
        "id": str(effect.id),
        "name": effect.name,
        **({"email": effect.email, "active": effect.active} if effect.email else {}),
        "gains": sorted(found.gains),
        "loses": sorted(found.loses),
        "on_objects": {"gains": sorted(found.gains_on_objects), "loses": sorted(found.loses_on_objects)},
    }

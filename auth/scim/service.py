"""The library's service, with bounds of our own on what one request may ask for."""

from typing import Any

from scim2_models import PatchOp, PayloadTooLargeException, Resource, ResourceType
from scim2_server.conditions import Conditions
from scim2_server.service import ScimService

from auth.scim import documents

MOST_CHANGES = 1000
"""Operations of one PATCH; each may name many values."""
MOST_COMPARED = 200_000
"""Operations of one PATCH times members of the group: the library goes through all of them with each."""
_COMPARED_FOR_ONE = 8  # so many comparisons cost what it costs to tell a member


class BoundedService(ScimService):
    """The SCIM protocol, for requests that cost a bounded time."""

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> PatchOp[Resource[Any]]:
        """Read a PATCH. Raises PayloadTooLargeException for one of too many operations."""
        found = super().read_patch(resource_type, body, content_type)
        if len(found.operations or ()) > MOST_CHANGES:
            raise PayloadTooLargeException(detail=f"A PATCH has at most {MOST_CHANGES} operations")
        return found

    def apply_patch(
        self, current: Resource[Any], patch_op: PatchOp[Resource[Any]], conditions: Conditions
    ) -> Resource[Any] | None:
        """Apply a PATCH. Raises PayloadTooLargeException for many operations on a large group."""
        compared = len(patch_op.operations or ()) * len(getattr(current, "members", None) or ())
        if compared > MOST_COMPARED:
            raise PayloadTooLargeException(detail="These are too many operations for so large a group: send fewer")
        documents.spend(compared // _COMPARED_FOR_ONE)
        return super().apply_patch(current, patch_op, conditions)

"""The library's service, with bounds of our own on what one request may ask for."""

from typing import Any

from scim2_models import PatchOp, PayloadTooLargeException, Resource, ResourceType
from scim2_server.service import ScimService

MOST_CHANGES = 1000
"""Operations of one PATCH; each may name many values."""


class BoundedService(ScimService):
    """The SCIM protocol, for requests that cost a bounded time."""

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> PatchOp[Resource[Any]]:
        """Read a PATCH. Raises PayloadTooLargeException for one of too many operations."""
        found = super().read_patch(resource_type, body, content_type)
        if len(found.operations or ()) > MOST_CHANGES:
            raise PayloadTooLargeException(detail=f"A PATCH has at most {MOST_CHANGES} operations")
        return found

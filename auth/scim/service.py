"""The library's service and handler, with bounds of our own on what one request may ask for, and cost."""

from typing import Any, cast

from scim2_models import PatchOp, PayloadTooLargeException, Resource, ResourceType, ResponseParameters, SearchRequest
from scim2_server.bulk import BulkPlan
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from auth.scim import bounds, dialects, documents, membership
from auth.scim.schemas import Group
from auth.scim.storage import DatabaseStorage

_COMPARED_FOR_ONE = 4  # so many comparisons cost what it costs to tell a member


class BoundedService(ScimService):
    """The SCIM protocol, for requests that cost a bounded time."""

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """The resource as it is sent, with its address."""
        if not isinstance(resource, Group) or resource.meta is None:
            return super().publish(base_url, resource)
        # It was made for this answer alone, and names its members by whole addresses: the library would copy, and look
        # through, thousands of them.
        location = self.resource_location(base_url, self.get_resource_type_of(resource), str(resource.id))
        resource.meta = resource.meta.model_copy(update={"location": location})
        return resource

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Read a search, with its filter in the words of the specification. Raises InvalidFilterException."""
        bounds.check_search(payload)
        if isinstance(payload, dict) and isinstance(payload.get("filter"), str):
            payload = payload | {"filter": dialects.read_filter(payload["filter"])}
        return super().read_search(resource_types, payload)

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> PatchOp[Resource[Any]]:
        """Read a PATCH. Raises PayloadTooLargeException for one of too many operations."""
        bounds.check_changes(body)
        return super().read_patch(resource_type, dialects.read_patch(body), content_type)

    def read_bulk(self, body: bytes, content_type: str | None) -> BulkPlan:
        """Read a bulk request. Raises PayloadTooLargeException for one of too many operations."""
        bounds.check_changes(body)
        return super().read_bulk(body, content_type)

    def apply_patch(
        self, current: Resource[Any], patch_op: PatchOp[Resource[Any]], conditions: Conditions
    ) -> Resource[Any] | None:
        """Apply a PATCH. Raises PayloadTooLargeException for many operations on many values."""
        compared = bounds.compared(current, patch_op)
        if compared > bounds.MOST_COMPARED:
            raise PayloadTooLargeException(detail="These are too many operations on so many values: send fewer")
        documents.spend(compared // _COMPARED_FOR_ONE)
        return super().apply_patch(current, patch_op, conditions)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """The answer to a PATCH, which tells the whole resource only where attributes of it are asked for."""
        asked = response_parameters.attributes or response_parameters.excluded_attributes
        if asked and isinstance(resource, Group) and documents.wants_members(response_parameters):
            documents.fill_members(resource)
        return super().patch_response(base_url, resource, response_parameters)


class GroupAwareHandler(ScimHandler):
    """The library's handler, which need not know everybody in a group to let somebody come or go."""

    storage: DatabaseStorage

    def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: PatchOp[Resource[Any]], conditions: Conditions
    ) -> Resource[Any]:
        """Apply a PATCH; a group may be given back without its members."""
        divided = membership.divide(cast(PatchOp[Group], patch_op)) if resource_type.name == "Group" else None
        if divided is None:
            return super().patch_resource(resource_type, resource_id, patch_op, conditions)
        members, rest = divided
        group = cast(Group, self.storage.get_without_members(resource_type, resource_id))
        changed = self.service.apply_patch(group, rest, conditions) is not None
        return self.storage.amend(resource_type, group, members, changed=changed)

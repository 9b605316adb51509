"""What is served at `/scim/v2`, and how much senders may depart from the letter."""

from typing import Annotated, Any

from pydantic import Field, model_validator
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Extension,
    Filter,
    Mutability,
    Pagination,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

LARGEST_PAGE = 200
MOST_OPERATIONS = 100
LARGEST_BODY = 1024 * 1024
CURSOR_LASTS = 3600  # seconds


class Manager(ComplexAttribute):
    """Whom somebody reports to. The library asks for an address beside the id, which RFC 7643 does not."""

    value: Annotated[str | None, CaseExact.true] = None
    """Id of the manager."""

    ref: Annotated[Reference[User[Any]] | None, Required.false] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """Address of the manager."""

    display_name: Annotated[str | None, Mutability.read_only] = None
    """What the manager is called."""

    @model_validator(mode="before")
    @classmethod
    def _take_id(cls, given: Any) -> Any:
        """Take an id by itself, which is what Entra ID sends."""
        return {"value": given} if isinstance(given, str) else given


class EnterpriseUser(Extension):
    """The extension of RFC 7643, section 4.3."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")

    employee_number: str | None = None
    """What the organization calls the person, by number or otherwise."""

    cost_center: str | None = None
    """Name of a cost center."""

    organization: str | None = None
    """Name of an organization."""

    division: str | None = None
    """Name of a division."""

    department: str | None = None
    """Name of a department."""

    manager: Manager | None = None
    """Whom the person reports to."""


class GroupMember(ComplexAttribute):
    """A user in a group; groups within groups are not served."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    """Id of the user."""

    ref: Annotated[Reference[User[Any]] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """Address of the user."""

    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    """User, always."""


class Group(Resource[Any]):
    """The group of RFC 7643, section 4.2, whose members are users."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    """A name for people."""

    members: list[GroupMember] | None = None
    """Who is in it."""


_CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=MOST_OPERATIONS, max_payload_size=LARGEST_BODY),
    filter=Filter(supported=True, max_results=LARGEST_PAGE),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    pagination=Pagination(
        cursor=True,
        index=True,
        default_pagination_method=Pagination.DefaultPaginationMethod.index,
        default_page_size=LARGEST_PAGE // 2,
        max_page_size=LARGEST_PAGE,
        cursor_timeout=CURSOR_LASTS,
    ),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Provisioning token",
            description="A bearer token that an administrator of the workspace has made for this provider.",
            primary=True,
        )
    ],
)
# What Entra ID and Okta send departs from the letter in these three ways.
_POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(User[EnterpriseUser]), ResourceType.from_resource(Group)],
    config=_CONFIG,
    policy=_POLICY,
)
"""The description that senders are given, and that requests are checked against."""

"""The library's storage over the bound tenant's database, confined to the source that provisions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from flask import g
from scim2_models import (
    MutabilityException,
    NotFoundException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError

from auth import audit
from auth.errors import NotAllowed
from auth.models import User as UserRow
from auth.scim import callers, filters, people, teams
from auth.scim.documents import describe, wants_members
from auth.scim.membership import MemberChanges
from auth.scim.models import ScimResource
from auth.scim.paging import page_of_matches, page_of_rows
from auth.scim.schemas import Group


class DatabaseStorage(ScimStorage):
    """Users and groups that the calling source has provisioned; others do not exist."""

    supports_cursors = True

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Keep of an operation everything or nothing, and record it as the source's."""
        if not g.db.writes:
            yield
            return
        try:
            with g.db.begin_nested(), audit.acting_as(audit.party_of(callers.source())):
                yield
        except NotAllowed as error:
            raise MutabilityException(detail=str(error)) from error
        except IntegrityError as error:  # somebody was quicker by a moment
            raise UniquenessException from error

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """The resource of that id. Raises NotFoundException."""
        row = _find(resource_type, resource_id)
        if g.db.writes:  # to be changed: whoever else changes it comes before, or waits
            people.held_at(row, None)
        return _describe(row, with_members=response_parameters is None or wants_members(response_parameters))

    def get_without_members(self, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """The group of that id, to be changed, whoever is in it. Raises NotFoundException."""
        row = _find(resource_type, resource_id)
        people.held_at(row, None)
        return _describe(row, with_members=False)

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """A page of what is looked for, in the order that is asked for, or else as it was provisioned."""
        kinds = [str(one.name) for one in resource_types]
        narrowed = filters.narrow(search_request.filter, kinds)
        conditions = [*_own(), ScimResource.kind.in_(kinds), narrowed.condition]
        find = page_of_rows if narrowed.exact else page_of_matches
        return find(conditions, kinds, search_request, position, with_members=wants_members(search_request))

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Provision a user or a group. Raises UniquenessException."""
        if resource_type.name == "User":
            return _describe(people.create(callers.source(), cast(people.Person, resource)))
        return _describe(teams.create(callers.source(), cast(Group, resource)))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Change a user or a group. Raises NotFoundException, PreconditionFailedException, UniquenessException."""
        row = _find(resource_type, str(resource.id))
        people.held_at(row, expected_version)
        if row.kind == "User":
            people.change(callers.source(), row, cast(people.Person, resource))
        else:
            teams.change(callers.source(), row, cast(Group, resource))
        return _describe(row)

    def amend(
        self, resource_type: ResourceType, group: Group, members: MemberChanges, *, changed: bool
    ) -> Resource[Any]:
        """Change a group that was read without its members, and some of those.

        `changed` says whether anything else is changed. Raises NotFoundException, UniquenessException, and
        InvalidValueException for a member that is none of the source's.
        """
        row = _find(resource_type, str(group.id))
        teams.amend(callers.source(), row, group if changed else None, members)
        return _describe(row, with_members=False)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Close a user's account, or forget a group. Raises NotFoundException, PreconditionFailedException."""
        row = _find(resource_type, resource_id)
        people.held_at(row, expected_version)
        if row.kind == "User":
            people.delete(callers.source(), row)
        else:
            teams.delete(row)


def _own() -> list[ColumnElement[bool]]:
    return [ScimResource.provider_id == callers.current().provider_id, ScimResource.deleted_at.is_(None)]


def _find(resource_type: ResourceType, text: str) -> ScimResource:
    id = filters.resource_id(text)
    own = select(ScimResource).where(*_own(), ScimResource.kind == resource_type.name, ScimResource.id == id)
    row: ScimResource | None = g.db.scalar(own) if id is not None else None
    if row is None:
        raise NotFoundException(detail=f"No {resource_type.name} has this id")
    return row


def _describe(row: ScimResource, *, with_members: bool = True) -> Resource[Any]:
    account = g.db.find(UserRow, row.user_id) if row.user_id is not None else None
    return describe([(row, account.active if account is not None else None)], with_members=with_members)[0]

"""The library's storage over the bound tenant's database, confined to the source that provisions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from flask import g
from scim2_models import (
    InvalidCursorException,
    MutabilityException,
    NotFoundException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError

from auth import audit
from auth.errors import NotAllowed
from auth.models import User as UserRow
from auth.providers.models import ProviderConfig
from auth.scim import callers, filters, people, teams
from auth.scim.documents import MODELS, ROWS, describe
from auth.scim.models import ScimResource
from auth.scim.schemas import PROVIDER, Group

_LAST_INDEX = 10_000_000


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
            with g.db.begin_nested(), audit.acting_as(callers.current().party):
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
        return _describe(row)

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """A page of what is looked for, in the order in which it was provisioned."""
        kinds = [str(one.name) for one in resource_types]
        wanted = search_request.filter
        narrowed = filters.narrow(wanted, kinds)
        conditions = [*_own(), ScimResource.kind.in_(kinds), narrowed.condition]
        if narrowed.exact:
            return _page_of_rows(conditions, search_request, position, with_members=_wants_members(search_request))
        return _page_of_matches(conditions, cast(ScimFilter[Any], wanted), kinds, search_request, position)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Provision a user or a group. Raises UniquenessException."""
        if resource_type.name == "User":
            return _describe(people.create(_source(), cast(people.Person, resource)))
        return _describe(teams.create(_source(), cast(Group, resource)))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Change a user or a group. Raises NotFoundException, PreconditionFailedException, UniquenessException."""
        row = _find(resource_type, str(resource.id))
        people.held_at(row, expected_version)
        if row.kind == "User":
            people.change(_source(), row, cast(people.Person, resource))
        else:
            teams.change(_source(), row, cast(Group, resource))
        return _describe(row)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Close a user's account, or forget a group. Raises NotFoundException, PreconditionFailedException."""
        row = _find(resource_type, resource_id)
        people.held_at(row, expected_version)
        if row.kind == "User":
            people.delete(_source(), row)
        else:
            teams.delete(row)


def _source() -> ProviderConfig:
    return callers.current().config


def _own() -> list[ColumnElement[bool]]:
    return [ScimResource.provider_id == _source().id, ScimResource.deleted_at.is_(None)]


def _find(resource_type: ResourceType, text: str) -> ScimResource:
    id = filters.resource_id(text)
    own = select(ScimResource).where(*_own(), ScimResource.kind == resource_type.name, ScimResource.id == id)
    row: ScimResource | None = g.db.scalar(own) if id is not None else None
    if row is None:
        raise NotFoundException(detail=f"No {resource_type.name} has this id")
    return row


def _describe(row: ScimResource) -> Resource[Any]:
    account = g.db.find(UserRow, row.user_id) if row.user_id is not None else None
    return describe([(row, account.active if account is not None else None)])[0]


def _wants_members(asked: SearchRequest[Any]) -> bool:
    """Whether the sender has to be told who is in groups: that costs most."""
    without = {str(path).rpartition(":")[2].lower() for path in asked.excluded_attributes or ()}
    only = {str(path).rpartition(":")[2].partition(".")[0].lower() for path in asked.attributes or ()}
    return "members" not in without and (not only or "members" in only)


def _page_of_rows(
    conditions: Sequence[ColumnElement[bool]], asked: SearchRequest[Any], position: Any, *, with_members: bool
) -> SearchPage:
    counted = select(func.count()).select_from(ROWS.with_only_columns(ScimResource.id).where(*conditions).subquery())
    total: int = g.db.scalar(counted) or 0
    count = asked.count or 0
    ordered = ROWS.where(*conditions).order_by(ScimResource.id)
    if asked.cursor is None:
        start = min((asked.start_index or 1) - 1, _LAST_INDEX)
        return SearchPage(total, describe(_rows(ordered.offset(start).limit(count)), with_members=with_members))
    backwards, anchor = _read_position(position)
    if anchor is not None:
        ordered = ordered.where(ScimResource.id < anchor if backwards else ScimResource.id > anchor)
    if backwards:
        ordered = ordered.order_by(None).order_by(ScimResource.id.desc())
    rows = _rows(ordered.limit(count + 1))
    more = len(rows) > count
    shown = list(reversed(rows[:count])) if backwards else rows[:count]
    page = SearchPage(total, describe(shown, with_members=with_members))
    _note_places(page, before=more if backwards else anchor is not None, after=backwards or more)
    return page


def _page_of_matches(
    conditions: Sequence[ColumnElement[bool]],
    wanted: ScimFilter[Any],
    kinds: Sequence[str],
    asked: SearchRequest[Any],
    position: Any,
) -> SearchPage:
    """The page of a filter that only the library understands: it looks at all that the database leaves."""
    rows = _rows(ROWS.where(*conditions).order_by(ScimResource.id).limit(filters.MOST_SCANNED + 1))
    if len(rows) > filters.MOST_SCANNED:
        raise filters.too_many()
    bound = {kind: cast(Any, ScimFilter)[MODELS[kind]](str(wanted)) for kind in kinds}
    with PROVIDER:
        found = [
            resource for (row, _), resource in zip(rows, describe(rows), strict=True) if bound[row.kind].match(resource)
        ]
    count = asked.count or 0
    if asked.cursor is None:
        start = min((asked.start_index or 1) - 1, _LAST_INDEX)
        return SearchPage(len(found), found[start : start + count])
    backwards, anchor = _read_position(position)
    ids = [str(resource.id) for resource in found]
    if backwards:
        stop = sum(id < str(anchor) for id in ids)
        start = max(stop - count, 0)
    else:
        start = sum(id <= str(anchor) for id in ids) if anchor is not None else 0
        stop = start + count
    page = SearchPage(len(found), found[start:stop])
    _note_places(page, before=start > 0, after=stop < len(found))
    return page


def _rows(statement: Any) -> list[tuple[ScimResource, bool | None]]:
    return [(row, active) for row, active in g.db.execute(statement)]


def _read_position(position: Any) -> tuple[bool, Any]:
    """Whether to go back, and from where; the cursor is sealed, so that it is one of ours."""
    if position is None:
        return False, None
    anchor = filters.resource_id(str(position.get("id")))
    if anchor is None:
        raise InvalidCursorException
    return position.get("to") == "previous", anchor


def _note_places(page: SearchPage, *, before: bool, after: bool) -> None:
    if page.resources and after:
        page.next = {"to": "next", "id": str(page.resources[-1].id)}
    if page.resources and before:
        page.previous = {"to": "previous", "id": str(page.resources[0].id)}

"""The catalogue of permissions, and the access that every endpoint declares.

A feature names its permissions in an enum and registers it, saying which built-in roles have which. An endpoint
declares its access with `@requires(...)`, `@signed_in` or `@public`; one that declares none is refused.
"""

import enum
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from flask import Flask, abort, current_app, g, request
from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString
from werkzeug.exceptions import Unauthorized

from auth.errors import SecondFactorNeeded, UnknownPermission

F = TypeVar("F", bound=Callable[..., Any])


class Permission(enum.StrEnum):
    """Base of a feature's permissions. A member is `NAME = "resource:action", _("What it allows.")`."""

    description: LazyString

    def __new__(cls, value: str, description: LazyString) -> Self:
        """Keep the description beside the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class AccessPermission(Permission):
    """Permissions around members and their rights."""

    AUDIT_READ = "audit:read", _("See the audit log: who has done what, and from where.")
    CLIENT_MANAGE = "client:manage", _("Register apps and service accounts, and change them.")
    CLIENT_READ = "client:read", _("See which apps and service accounts there are.")
    MEMBER_MANAGE = "member:manage", _("Add, change and deactivate members.")
    MEMBER_READ = "member:read", _("See who the members are.")
    PROVIDER_MANAGE = "provider:manage", _("Connect directories and other identity providers, and change them.")
    PROVIDER_READ = "provider:read", _("See how people sign in: directories and other identity providers.")
    ROLE_MANAGE = "role:manage", _("Give and take roles.")
    ROLE_READ = "role:read", _("See roles and who holds them.")
    WORKSPACE_MANAGE = "workspace:manage", _("Change the rules of signing in, and the workspace's name and look.")


class BadBearer(Unauthorized):
    """The request shows a bearer token that is none: it is told so, and not served as nobody's, nor as the cookie's."""

    problem = "invalid-token"


@dataclass(frozen=True, slots=True)
class BuiltinRole:
    """A role that every tenant has and nobody edits; with `object_type`, one that is given on such objects only.

    `name` is stored; `label` and `place`, what such an object is called, are for people.
    """

    name: str
    label: LazyString
    description: LazyString
    object_type: str = ""
    place: LazyString | str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """What a feature can permit, in the order in which people are shown it."""

    label: LazyString | str
    permissions: tuple[Permission, ...]


OWNER = BuiltinRole("owner", _("Owner"), _("Everything, including who the owners are."))
ADMIN = BuiltinRole("admin", _("Administrator"), _("Manages members, roles and settings."))
MEMBER = BuiltinRole("member", _("Member"), _("Works with everything that is not administration."))
VIEWER = BuiltinRole("viewer", _("Viewer"), _("Sees, and changes nothing."))


class Catalogue:
    """What can be permitted, as the features have registered it."""

    def __init__(self) -> None:
        self.permissions: dict[str, Permission] = {}
        self.operator_side: set[str] = set()
        self.features: list[Feature] = []
        """What a tenant's role can hold, by feature."""
        self.roles: dict[str, BuiltinRole] = {role.name: role for role in (OWNER, ADMIN, MEMBER, VIEWER)}
        self._given: dict[str, frozenset[str]] = dict.fromkeys(self.roles, frozenset())
        self.register(
            AccessPermission,
            {ADMIN: AccessPermission, MEMBER: [AccessPermission.MEMBER_READ], VIEWER: [AccessPermission.MEMBER_READ]},
            label=_("Administration"),
        )

    def register(
        self,
        permissions: type[Permission],
        roles: Mapping[BuiltinRole, Iterable[Permission]],
        *,
        label: LazyString | str = "",
        operator_side: bool = False,
    ) -> None:
        """Add a feature's permissions; `label` is what people call it.

        `owner` has every permission of the tenant side without being named.

        Raises ValueError for what is registered already, and for operators' permissions in a role of every tenant.
        """
        if operator_side and roles.keys() & {OWNER, ADMIN, MEMBER, VIEWER}:
            raise ValueError("a tenant's role cannot hold a permission of the operators")
        for permission in permissions:
            if permission in self.permissions:
                raise ValueError(f"permission {permission} is registered twice")
            self.permissions[permission] = permission
            if operator_side:
                self.operator_side.add(permission)
            else:
                self._given[OWNER.name] |= {permission.value}
        if not operator_side:
            ordered = tuple(sorted(permissions))
            self.features.append(Feature(label or ordered[0].partition(":")[0].capitalize(), ordered))
        for role, given in roles.items():
            self.roles[role.name] = role
            self._given[role.name] = self._given.get(role.name, frozenset()) | {item.value for item in given}

    def check(self, name: str) -> str:
        """Give back the name of a registered permission; raise UnknownPermission otherwise."""
        if name not in self.permissions:
            raise UnknownPermission(f"no permission '{name}'; there are {', '.join(sorted(self.permissions))}")
        return name

    def of_builtin(self, role: str) -> frozenset[str]:
        """The permissions of a built-in role; none for a name that no release knows (any more)."""
        return self._given.get(role, frozenset())

    def of_custom(self, stored: Iterable[str]) -> frozenset[str]:
        """The permissions of a custom role that exist and that a tenant's role can hold."""
        return frozenset(stored) & (self.permissions.keys() - self.operator_side)


@dataclass(frozen=True, slots=True)
class Access:
    """What an endpoint asks of its caller. `on` names an object type and the view argument that holds its id.

    `sets_up` is for where a missing second factor is set up: they are open to whoever has to have one, and lacks it.
    `provisions` is for who provisions a source by its token (`auth/scim/callers.py`), which nobody else is.
    """

    public: bool = False
    permission: str | None = None
    on: tuple[str, str] | None = None
    anywhere: bool = False
    sets_up: bool = False
    provisions: bool = False
    in_person: bool = False
    """Whether it takes a login session: a personal token, or an app's, does not do."""


def public(view: F) -> F:
    """Declare an endpoint open to everybody, signed in or not."""
    return declare(view, Access(public=True))


def signed_in(view: F) -> F:
    """Declare an endpoint open to everybody who is signed in."""
    return declare(view, Access())


def in_person(view: F) -> F:
    """Declare an endpoint open to everybody who is signed in, but to no personal token, nor an app's.

    Above `@requires(...)` it adds that to what the endpoint asks.
    """
    declared: Access | None = getattr(view, "access", None)
    if declared is None:
        return declare(view, Access(in_person=True))
    view.access = replace(declared, in_person=True)  # type: ignore[attr-defined]  # see `declare`
    return view


def provisions(view: F) -> F:
    """Declare an endpoint open to identity providers that show a provisioning token, and to nobody else."""
    return declare(view, Access(provisions=True))


def requires(permission: Permission, *, on: tuple[str, str] | None = None, anywhere: bool = False) -> Callable[[F], F]:
    """Declare that an endpoint needs `permission`.

    With `on=("project", "project_id")` holding it on that one object is enough; with `anywhere`, on any object: the
    view then has to look at which. Raises TypeError at import for anything but a permission: an empty need is one
    that Flask-Principal would grant to everybody.
    """
    if not isinstance(permission, Permission):
        raise TypeError("requires() takes a member of a Permission enum")
    return lambda view: declare(view, Access(permission=permission.value, on=on, anywhere=anywhere))


def declare(view: F, access: Access) -> F:
    """Stamp `view` with its access; `enforce` reads the stamp."""
    if hasattr(view, "access"):
        raise TypeError(f"{view.__name__} declares its access twice")
    view.access = access  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
    return view


def access_of(app: Flask, endpoint: str) -> Access | None:
    """The declared access of an endpoint, or None when it declares none."""
    return getattr(app.view_functions.get(endpoint), "access", None)


def can(permission: str, object_type: str | None = None, object_id: uuid.UUID | None = None) -> bool:
    """Whether the caller holds `permission` on the tenant, or on the given object."""
    if permission in g.get("permissions", ()):
        return True
    if object_type is None or object_id is None:
        return False
    return permission in g.identity.objects.get((object_type, object_id), ())


def enforce() -> None:
    """Refuse the request unless its endpoint declares an access that the caller has. A before_request hook."""
    if request.endpoint is None or "tenant" not in g:
        return  # nothing to protect: an error page, a static file, or an answer that needs no tenant
    access = access_of(current_app, request.endpoint)
    if access is None:
        abort(403)
    if g.identity.refused:
        raise BadBearer
    if access.public:
        return
    if access.provisions:
        if "provisioner" not in g:
            abort(401)
        return
    if not g.identity.is_authenticated:
        abort(401)
    if g.identity.lacks_second_factor and not access.sets_up:
        raise SecondFactorNeeded
    if access.in_person and g.identity.token is not None:
        abort(403)
    if not permits(access, request.view_args or {}):
        abort(403)


def permits(access: Access, arguments: Mapping[str, Any]) -> bool:
    """Whether the caller holds the permission that an endpoint asks for, if called with these view arguments."""
    if access.permission is None:
        return True
    if access.on is not None:
        object_type, argument = access.on
        return can(access.permission, object_type, arguments.get(argument))
    if access.anywhere and any(access.permission in held for held in g.identity.objects.values()):
        return True
    return can(access.permission)

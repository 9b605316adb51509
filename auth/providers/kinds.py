"""The kinds of identity sources, and what each takes as settings."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from pydantic import ValidationError

from auth import validation
from auth.errors import InvalidProvider
from auth.providers.ldap import LdapConfiguration
from auth.providers.oauth import OAuth2Configuration, OidcConfiguration, PlatformConfiguration
from auth.providers.registry import platform_providers, read_platform
from auth.validation import about

Configuration = LdapConfiguration | OidcConfiguration | OAuth2Configuration | PlatformConfiguration
KINDS: Mapping[str, type[Configuration]] = {
    "ldap": LdapConfiguration,
    "oidc": OidcConfiguration,
    "oauth2": OAuth2Configuration,
    "platform": PlatformConfiguration,
}
"""What each kind of source takes as settings."""


def validate(kind: str, settings: Mapping[str, Any]) -> Configuration:
    """The settings as that kind of source takes them. Raises InvalidProvider that names every faulty one."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InvalidProvider(
            _("There is no kind of provider “%(kind)s”: there are %(known)s.", kind=kind, known=known)
        )
    try:
        configuration = KINDS[kind].model_validate(dict(settings))
        if isinstance(configuration, PlatformConfiguration):
            _check_offered(configuration)
    except ValidationError as error:
        raise InvalidProvider("; ".join(_describe(fault) for fault in error.errors(include_url=False))) from None
    return configuration


def _check_offered(configuration: PlatformConfiguration) -> None:
    if configuration.platform not in platform_providers():
        offered = ", ".join(platform_providers()) or _("nothing")
        said = _("this installation does not offer that: it has %(offered)s", offered=offered)
        raise InvalidProvider(about("platform", said))
    try:
        read_platform(platform_providers()[configuration.platform], configuration)
    except ValidationError:
        raise
    except ValueError as error:
        raise InvalidProvider(str(error)) from None


def _describe(fault: Any) -> str:
    place, message = ".".join(map(str, fault["loc"])), validation.say(fault)
    return about(place, message) if place else message

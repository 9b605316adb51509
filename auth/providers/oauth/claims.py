"""What a provider says of a person → an identity. It maps, and believes no more than it must."""

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from auth.mail import LONGEST_ADDRESS
from auth.providers.base import ExternalIdentity
from auth.providers.models import LONGEST_SUBJECT
from auth.providers.oauth.configuration import OidcConfiguration, WebConfiguration
from auth.providers.oauth.faults import Fault, OAuthFault

MOST_GROUPS = 5000
"""Groups of one person that are looked at."""
LONGEST_GROUP = 1000
_LONGEST_TEXT = 1000
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def at(claims: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as `realm_access.roles`; a claim that is called just so goes first."""
    if path in claims or not path:
        return claims.get(path)
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def identity_of(
    claims: Mapping[str, Any],
    configuration: WebConfiguration,
    *,
    provider: str,
    subject: str,
    vouched: bool,
) -> ExternalIdentity:
    """The identity in the claims; `vouched` says whether the provider has verified the address. Raises OAuthFault."""
    email = _address(at(claims, configuration.email_claim))
    return ExternalIdentity(
        provider=provider,
        subject=subject,
        email=email,
        email_vouched=vouched and email is not None,
        name=_text(at(claims, configuration.name_claim)) or None,
        login=_text(at(claims, configuration.login_claim))[:LONGEST_ADDRESS],
        locale=_text(at(claims, configuration.locale_claim))[:20] or None,
        groups=groups_of(claims, configuration.groups_claim),
    )


def subject_of(issuer: str, claims: Mapping[str, Any], names: Collection[str]) -> str:
    """What names the person for ever: the issuer with the claims that never change. Raises OAuthFault."""
    parts = [issuer]
    for name in names:
        value = at(claims, name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable() or " " in value:
            raise OAuthFault(Fault.NO_SUBJECT, name)
        parts.append(value)
    named = " ".join(parts)
    # Of the few that do not fit, a digest stands for the rest.
    return named if len(named) <= LONGEST_SUBJECT else f"sha256 {hashlib.sha256(named.encode()).hexdigest()}"


def groups_of(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The groups at a path. Raises OAuthFault when the provider says that it has left them out."""
    if not path:
        return frozenset()
    left_out = claims.get("_claim_names")
    # Entra ID, of somebody in more than 200 groups. To take them for none would take their roles away.
    if claims.get("hasgroups") in (True, "true") or (isinstance(left_out, Mapping) and path in left_out):
        raise OAuthFault(Fault.TOO_MANY_GROUPS)
    value = at(claims, path)
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list):
        return frozenset()
    if len(named) > MOST_GROUPS:
        raise OAuthFault(Fault.TOO_MANY_GROUPS)
    return frozenset(one for one in named if isinstance(one, str) and 0 < len(one) <= LONGEST_GROUP and _is_clean(one))


def has_vouched(claims: Mapping[str, Any], configuration: WebConfiguration) -> bool:
    """Whether the provider has verified the address: only a plain `true` says so, and only of the claim `email`."""
    if configuration.preset == "entra":
        # Only of the domain, and only if asked for: what stands in `email` is what an administrator there has typed.
        return claims.get("xms_edov") in (True, 1) and configuration.email_claim == "email"
    if claims.get("email_verified") is not True or configuration.email_claim != "email":
        return False
    if configuration.preset == "google":
        # Other addresses were verified once, and may have changed hands since.
        email = str(claims.get("email") or "").lower()
        return isinstance(claims.get("hd"), str) or email.endswith("@gmail.com")
    return True


def merged(signed: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of the ID token with what the provider says beside it; the signed ones go before."""
    claims = {**asked, **signed}
    # Whether an address is verified is believed of whoever says the address, and of nobody else.
    teller = signed if "email" in signed else asked
    verified = teller.get("email_verified")
    if "email_verified" not in teller and signed.get("email") == asked.get("email"):
        verified = asked.get("email_verified")
    return claims | {"email_verified": verified} if verified is not None else _without(claims, "email_verified")


def check_organisation(claims: Mapping[str, Any], configuration: OidcConfiguration) -> None:
    """Raise OAuthFault for a person of an organisation that is not among the allowed ones, if these are named."""
    if configuration.hosted_domains and claims.get("hd") not in configuration.hosted_domains:
        raise OAuthFault(Fault.OTHER_ORGANISATION, str(claims.get("hd")))
    if configuration.directory_ids and claims.get("tid") not in configuration.directory_ids:
        raise OAuthFault(Fault.OTHER_ORGANISATION, str(claims.get("tid")))


def _without(claims: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


def _address(value: Any) -> str | None:
    """An address as it was said, or none: one that had to be cleaned would be another than the verified one."""
    said = value.strip() if isinstance(value, str) else ""
    return said if 0 < len(said) <= LONGEST_ADDRESS and _is_clean(said) else None


def _is_clean(text: str) -> bool:
    return not _STEERING.search(text) and "\ufffd" not in text and text.encode("utf-8", "ignore").decode() == text


def _text(value: Any) -> str:
    """A text to show, without what would steer a terminal or turn a line around."""
    if not isinstance(value, str):
        return ""
    whole = value[:_LONGEST_TEXT].encode("utf-8", "ignore").decode()  # without halves of surrogate pairs
    return _STEERING.sub("", whole).strip()

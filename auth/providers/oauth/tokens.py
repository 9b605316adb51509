"""ID tokens and logout tokens, verified. Signatures by joserfc, claims by Authlib, and what neither looks at by us.

OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Back-Channel Logout 1.0, section 2.6.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
)
from joserfc.jws import JWSRegistry, extract_compact

from auth.providers.oauth.channel import Channel, whole
from auth.providers.oauth.configuration import TENANT_ID, OidcConfiguration
from auth.providers.oauth.faults import Fault, OAuthFault
from auth.providers.oauth.metadata import Issuer

LEEWAY = 120
"""Seconds by which the clocks of both sides may differ."""
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""What a token may be signed by: by a private key of the provider's. Never none, never a secret that both know."""
LONGEST_SUB = 255
"""Characters that `sub` may have (OpenID Connect Core 1.0, section 2)."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LEEWAY_ANEW = 15
_LONGEST_TOKEN = 256 * 1024
_FAULTS = {"aud": Fault.WRONG_AUDIENCE, "azp": Fault.WRONG_AUDIENCE, "nonce": Fault.WRONG_NONCE, "iss": Fault.MIXED_UP,
           "iat": Fault.NOT_NOW, "exp": Fault.NOT_NOW, "nbf": Fault.NOT_NOW}  # fmt: skip


class _Registry(JWSRegistry):
    """joserfc's, for headers that hold certificates (x5c), which are not looked at, and for many groups."""

    max_header_length = 16 * 1024
    max_payload_length = _LONGEST_TOKEN


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """A session, or all of a person's, that has ended at the provider."""

    issuer: str
    sub: str
    sid: str
    jti: str


def read_id_token(
    token: Any,
    configuration: OidcConfiguration,
    issuer: Issuer,
    channel: Channel,
    *,
    nonce: str,
    access_token: str | None,
    max_age: int | None = None,
    signed_in_since: float | None = None,
) -> dict[str, Any]:
    """The claims of an ID token that this issuer made for this client and this attempt. Raises OAuthFault.

    `max_age`, in seconds, and `signed_in_since`, in seconds since 1970, say when the person must have signed in there.
    """
    if not isinstance(token, str):
        raise OAuthFault(Fault.NO_TOKEN)
    header, claims = _verified(token, issuer, channel)
    checked = CodeIDToken(
        claims,
        header,
        {"iss": {"essential": True, "value": issuer_of(claims, configuration)}},
        {"nonce": nonce, "client_id": configuration.client_id, "access_token": access_token,
         "max_age": max_age},
    )  # fmt: skip
    _validate(checked, configuration)
    if header.get("typ") not in (None, "JWT", "jwt", "id_token+jwt"):
        raise OAuthFault(Fault.BAD_TOKEN, "typ")
    _check_sign_in(claims, configuration, max_age, signed_in_since)
    return claims


def read_logout_token(token: str, configuration: OidcConfiguration, issuer: Issuer, channel: Channel) -> LogoutToken:
    """What a logout token of this issuer for this client says; that it is used once is up to the caller.

    Raises OAuthFault.
    """
    header, claims = _verified(token, issuer, channel)
    if header.get("typ") not in (None, "JWT", "jwt", "logout+jwt"):
        raise OAuthFault(Fault.BAD_TOKEN, "typ")
    claims.setdefault("sub", "")  # optional here, if there is a sid
    checked = CodeIDToken(
        claims, header, {"iss": {"essential": True, "value": issuer_of(claims, configuration)}},
        {"client_id": configuration.client_id},
    )  # fmt: skip
    _validate(checked, configuration, subject=bool(claims["sub"]), party=False)
    events, sid, jti = claims.get("events"), claims.get("sid", ""), claims.get("jti")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
        raise OAuthFault(Fault.BAD_TOKEN, "no token of a sign-out")
    if not isinstance(sid, str) or len(sid) > LONGEST_SUB or not isinstance(jti, str) or not 0 < len(jti) <= 1000:
        raise OAuthFault(Fault.BAD_TOKEN, "sid or jti")
    if not sid and not claims["sub"]:
        raise OAuthFault(Fault.BAD_TOKEN, "neither sid nor sub")
    if time.time() - claims["iat"] > 2 * LEEWAY:
        raise OAuthFault(Fault.NOT_NOW, "iat")
    return LogoutToken(checked["iss"], claims["sub"], sid, jti)


def issuer_of(claims: Mapping[str, Any], configuration: OidcConfiguration) -> str:
    """The issuer that a token has to name: the one configured, in which Entra ID has a place for its directories."""
    if TENANT_ID not in configuration.issuer:
        return configuration.issuer
    directory = claims.get("tid")
    if not isinstance(directory, str) or directory not in configuration.directory_ids:
        raise OAuthFault(Fault.OTHER_ORGANISATION, str(directory))
    return configuration.issuer.replace(TENANT_ID, directory)


def check_sub(sub: Any) -> str:
    """A usable `sub`. Raises OAuthFault."""
    if not isinstance(sub, str) or not 0 < len(sub) <= LONGEST_SUB or not sub.isascii() or not sub.isprintable():
        raise OAuthFault(Fault.NO_SUBJECT, "sub")
    return sub


def _verified(token: str, issuer: Issuer, channel: Channel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that the issuer has signed."""
    offered = issuer.document.get("id_token_signing_alg_values_supported")
    listed = [name for name in offered if isinstance(name, str)] if isinstance(offered, list) else ["RS256"]
    allowed = sorted(ALGORITHMS.intersection(listed))
    if not allowed:  # an empty list would mean the defaults to joserfc
        raise OAuthFault(Fault.BAD_SIGNATURE, "the provider lists no algorithm that is taken")
    if len(token) > _LONGEST_TOKEN:
        raise OAuthFault(Fault.TOO_LONG, "token")
    registry = _Registry(algorithms=allowed, strict_check_header=False)
    try:
        key_id = extract_compact(token.encode(), registry=registry).headers().get("kid")
        decoded = jwt.decode(
            token,
            issuer.keys_for(key_id if isinstance(key_id, str) else None, channel),
            registry=registry,
        )
    except (BadSignatureError, InvalidKeyIdError) as error:
        raise OAuthFault(Fault.BAD_SIGNATURE, str(error)) from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OAuthFault(Fault.BAD_SIGNATURE, f"{type(error).__name__}: {error}") from error
    try:
        return dict(decoded.header), dict(whole(decoded.claims))
    except (ValueError, RecursionError, TypeError) as error:
        raise OAuthFault(Fault.BAD_TOKEN, type(error).__name__) from error


def _validate(
    checked: CodeIDToken, configuration: OidcConfiguration, *, subject: bool = True, party: bool = True
) -> None:
    audience = checked.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    # Authlib is content with an azp of ours, whomever the token was made for.
    if configuration.client_id not in audiences:
        raise OAuthFault(Fault.WRONG_AUDIENCE, str(audience))
    if party and len(audiences) > 1 and checked.get("azp") != configuration.client_id:
        raise OAuthFault(Fault.WRONG_AUDIENCE, "azp")
    for name in ("exp", "iat"):
        if isinstance(checked.get(name), bool) or not isinstance(checked.get(name), int | float):
            raise OAuthFault(Fault.BAD_TOKEN, name)
    if subject:
        check_sub(checked.get("sub"))
    try:
        checked.validate(leeway=LEEWAY)
    except ExpiredTokenError as error:
        raise OAuthFault(Fault.NOT_NOW, "exp") from error
    except InvalidClaimError as error:
        raise OAuthFault(_FAULTS.get(error.claim, Fault.BAD_TOKEN), error.claim) from error
    except (JoseError, ValueError, TypeError, OverflowError) as error:
        raise OAuthFault(Fault.BAD_TOKEN, str(error)) from error


def _check_sign_in(
    claims: Mapping[str, Any], configuration: OidcConfiguration, max_age: int | None, since: float | None
) -> None:
    """When and how the person was signed in there, if that matters."""
    earliest = [time.time() - max_age - LEEWAY] if max_age is not None else []
    # Less leeway: else somebody who has just left their browser would have signed in "anew".
    earliest += [since - _LEEWAY_ANEW] if since is not None else []
    signed_in_at = claims.get("auth_time")
    if earliest:
        if isinstance(signed_in_at, bool) or not isinstance(signed_in_at, int | float):
            raise OAuthFault(Fault.STALE, "auth_time")
        if signed_in_at < max(earliest):
            raise OAuthFault(Fault.STALE, "auth_time")
    if configuration.acr_values and claims.get("acr") not in configuration.acr_values:
        raise OAuthFault(Fault.TOO_WEAK, str(claims.get("acr")))

"""OpenID Connect on top of the code flow: the ID token, and what it and userinfo say of a person (Core 1.0)."""

import time
import uuid
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.core import OpenIDCode, UserInfo
from authlib.oidc.core.util import create_half_hash
from flask import g

from auth import signing_keys
from auth.models import User
from auth.oauth_server.lifetimes import ACCESS_FOR
from auth.oauth_server.metadata import issuer

_LONGEST_NONCE = 255


class IdToken(OpenIDCode):
    """Adds an ID token to the answer that redeems a code with the scope openid."""

    def __call__(self, grant: Any) -> None:
        """Hook into a grant. Authlib would also judge `prompt` here: that is done where the page is shown."""
        grant.register_hook("after_create_token_response", self.process_token)
        grant.register_hook("after_validate_authorization_request_payload", self.validate_nonce)

    def validate_nonce(self, grant: Any, _redirect_uri: str) -> None:
        """Refuse a nonce that could not be kept."""
        if len(grant.request.payload.data.get("nonce") or "") > _LONGEST_NONCE:
            raise InvalidRequestError("The nonce is too long.")

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        """The signed token (section 2)."""
        code, moment = request.authorization_code.row, int(time.time())
        user: User = g.db.get_one(User, (g.tenant.id, code.user_id))
        half = create_half_hash(token["access_token"], signing_keys.ALGORITHM)
        claims = {
            **claims_of(user, token["scope"]),
            "iss": issuer(),
            "aud": request.client.client_id,
            "iat": moment,
            "exp": moment + int(ACCESS_FOR.total_seconds()),
            "auth_time": int(code.signed_in_at.timestamp()),
            "at_hash": half.decode() if half is not None else "",
        }
        if code.nonce:
            claims["nonce"] = code.nonce
        return signing_keys.sign(claims, type_="JWT")


def claims_of(user: User, scope: str) -> dict[str, Any]:
    """What an app with that scope learns of a person (section 5.1); the address counts as verified once it is."""
    known = UserInfo(
        sub=subject_of(user.id),
        name=user.name,
        locale=user.locale,
        zoneinfo=user.timezone,
        email=user.email,
        email_verified=user.confirmed_at is not None,
    )
    return {name: value for name, value in known.filter(scope).items() if value is not None}


def subject_of(user_id: uuid.UUID) -> str:
    """The person's name for programs: never given to anybody else."""
    return str(user_id)

"""What is special about well-known providers, as defaults of their configuration."""

from collections.abc import Mapping
from typing import Any

_SCOPES = ("openid", "profile", "email")

OIDC_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "generic": {"scopes": _SCOPES},
    # `sub` differs from client to client; `tid` and `oid` are the person. `email` is what an administrator typed, so it
    # is never taken for verified. More than 200 groups are left out of the token, with a note that they are.
    # https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    "entra": {
        "scopes": _SCOPES,
        "subject_claims": ("tid", "oid"),
        "groups_claim": "groups",
        "client_auth": "client_secret_post",
    },
    # `hd` is there for accounts of a Workspace only, whose domain Google has verified.
    # https://developers.google.com/identity/openid-connect/openid-connect
    "google": {"issuer": "https://accounts.google.com", "scopes": _SCOPES, "login_claim": "email"},
    # Groups come with a scope of their own, in a claim that an administrator adds.
    "okta": {"scopes": (*_SCOPES, "groups"), "groups_claim": "groups"},
    "keycloak": {"scopes": _SCOPES, "groups_claim": "realm_access.roles"},
    # Claims of one's own have to be named like an address there.
    "auth0": {"scopes": _SCOPES, "login_claim": "nickname", "client_auth": "client_secret_post"},
}
"""Of OpenID Connect, by name."""

OAUTH2_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "generic": {},
    # No OpenID Connect; the number never changes, the login may. The profile's e-mail address is whatever the person
    # likes to show: the primary, verified one is listed elsewhere.
    # https://docs.github.com/en/rest/users/emails
    "github": {
        "authorization_endpoint": "https://github.com/login/oauth/authorize",
        "token_endpoint": "https://github.com/login/oauth/access_token",
        "userinfo_endpoint": "https://api.github.com/user",
        "emails_endpoint": "https://api.github.com/user/emails",
        "scopes": ("read:user", "user:email"),
        "subject_claims": ("id",),
        "login_claim": "login",
        "client_auth": "client_secret_post",
    },
}  # addresses, not secrets
"""Of plain OAuth 2, by name."""

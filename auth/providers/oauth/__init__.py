"""OAuth 2 and OpenID Connect as sources of identity. Only this package imports authlib.

`provider.py` walks the steps of the authorization code flow with PKCE (RFC 6749, 7636; Security BCP RFC 9700),
`openid.py` and `plain.py` say who came back, `tokens.py` verifies, `claims.py` maps, `metadata.py` knows the issuers
and their keys, and `channel.py` carries every request.
"""

from auth.providers.oauth.configuration import OAuth2Configuration, OidcConfiguration, PlatformConfiguration
from auth.providers.oauth.openid import OidcProvider
from auth.providers.oauth.plain import OAuth2Provider
from auth.providers.oauth.provider import Errand, RemoteSession, Visit, WebProvider

__all__ = [
    "Errand",
    "OAuth2Configuration",
    "OAuth2Provider",
    "OidcConfiguration",
    "OidcProvider",
    "PlatformConfiguration",
    "RemoteSession",
    "Visit",
    "WebProvider",
]

"""Plain OAuth 2, as of GitHub: the person is whoever the access token belongs to, asked over TLS."""

import time
from collections.abc import Mapping
from typing import Any

from auth.providers.oauth import claims as said
from auth.providers.oauth.channel import Channel
from auth.providers.oauth.configuration import OAuth2Configuration
from auth.providers.oauth.faults import Fault, OAuthFault
from auth.providers.oauth.metadata import Issuer
from auth.providers.oauth.provider import Errand, Visit, WebProvider, bearer


class OAuth2Provider(WebProvider):
    """A provider of plain OAuth 2."""

    kind = "oauth2"
    configuration: OAuth2Configuration

    def _check_sender(self, answer: Mapping[str, str], issuer: Issuer) -> None:
        """Nothing: what it would be called is not known. It is told from others by the redirect address."""

    def _issuer(self, channel: Channel) -> Issuer:
        return self._recall()

    def _recall(self) -> Issuer:
        return Issuer(self.configuration.issuer, self.configuration.model_dump(), time.monotonic())

    def _visit(self, channel: Channel, issuer: Issuer, token: Mapping[str, Any], errand: Errand) -> Visit:
        configuration = self.configuration
        claims = channel.get_json(configuration.userinfo_endpoint, headers=bearer(token))
        if not isinstance(claims, dict):
            raise OAuthFault(Fault.ODD_ANSWER, "userinfo")
        if configuration.emails_endpoint:
            listed = channel.get_json(configuration.emails_endpoint, headers=bearer(token))
            claims = {**claims, "email": _primary(listed), "email_verified": _primary(listed) is not None}
        return Visit(
            identity=said.identity_of(
                claims,
                configuration,
                provider=self.id,
                subject=said.subject_of(configuration.issuer, claims, configuration.subject_claims),
                vouched=said.has_vouched(claims, configuration),
            ),
            claims=claims,
        )


def _primary(listed: Any) -> str | None:
    """The one primary address of a list like GitHub's, if it is verified."""
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("primary") is True and one.get("verified") is True:
            return one["email"] if isinstance(one.get("email"), str) else None
    return None

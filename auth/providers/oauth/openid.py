"""OpenID Connect: the person is in a signed token (OpenID Connect Core 1.0, section 3.1)."""

import time
from collections.abc import Mapping
from typing import Any

from auth.providers.oauth import claims as said
from auth.providers.oauth.channel import Channel, check_address
from auth.providers.oauth.configuration import TENANT_ID, OidcConfiguration
from auth.providers.oauth.faults import Fault, OAuthFault
from auth.providers.oauth.metadata import Issuer, issuers
from auth.providers.oauth.provider import Errand, RemoteSession, Visit, WebProvider, bearer, with_parameters
from auth.providers.oauth.tokens import LogoutToken, issuer_of, read_id_token, read_logout_token


class OidcProvider(WebProvider):
    """An OpenID Connect issuer."""

    kind = "oidc"
    configuration: OidcConfiguration

    def read_logout(self, token: str) -> LogoutToken:
        """What a logout token says. Raises SourceUnavailable."""
        with self.channel(time.monotonic()) as channel:
            return read_logout_token(token, self.configuration, self._issuer(channel), channel)

    def sign_out_url(self, *, id_token: str, redirect_uri: str, state: str) -> str | None:
        """Where to send a person to sign out there, if that is offered (RP-Initiated Logout 1.0, section 2).

        Raises SourceUnavailable.
        """
        if not self.configuration.sign_out:
            return None
        issuer = self._describe(time.monotonic())
        if not issuer.offers("end_session_endpoint"):
            return None
        address = issuer.address("end_session_endpoint")
        check_address(address, insecure=self.configuration.insecure)
        wanted = {"client_id": self.configuration.client_id, "post_logout_redirect_uri": redirect_uri, "state": state}
        return with_parameters(address, wanted | ({"id_token_hint": id_token} if id_token else {}))

    def _recall(self) -> Issuer | None:
        return issuers.recall(self.configuration)

    def _issuer(self, channel: Channel) -> Issuer:
        return issuers.find(self.configuration.issuer, channel)

    def _request_parameters(self, errand: Errand, login_hint: str) -> dict[str, Any]:
        wanted = super()._request_parameters(errand, login_hint) | {"nonce": errand.nonce}
        if errand.anew_since is not None:
            wanted |= {"prompt": "login", "max_age": 0}
        elif self.configuration.max_age is not None:
            wanted["max_age"] = self.configuration.max_age
        if self.configuration.acr_values:
            wanted["acr_values"] = " ".join(self.configuration.acr_values)
        if self.configuration.hosted_domains:
            # A wish only: that it was fulfilled is seen in the token.
            one = self.configuration.hosted_domains[0]
            wanted["hd"] = one if len(self.configuration.hosted_domains) == 1 else "*"
        return wanted

    def _check_sender(self, answer: Mapping[str, str], issuer: Issuer) -> None:
        if TENANT_ID not in issuer.name:  # which names the directory only in the token
            super()._check_sender(answer, issuer)

    def _visit(self, channel: Channel, issuer: Issuer, token: Mapping[str, Any], errand: Errand) -> Visit:
        configuration = self.configuration
        signed = read_id_token(
            token.get("id_token"),
            configuration,
            issuer,
            channel,
            nonce=errand.nonce,
            access_token=token["access_token"],
            max_age=configuration.max_age,
            signed_in_since=errand.anew_since,
        )
        claims = said.merged(signed, self._ask_further(channel, issuer, token, signed))
        said.check_organisation(signed, configuration)
        sid = signed.get("sid")
        return Visit(
            identity=said.identity_of(
                claims,
                configuration,
                provider=self.id,
                subject=said.subject_of(issuer_of(signed, configuration), signed, configuration.subject_claims),
                vouched=said.has_vouched(claims, configuration),
            ),
            claims=claims,
            session=RemoteSession(
                subject=session_subject(issuer_of(signed, configuration), signed["sub"]),
                sid=sid if isinstance(sid, str) and len(sid) <= 255 and sid.isascii() and sid.isprintable() else "",
                id_token=token["id_token"],
            ),
        )

    def _ask_further(
        self, channel: Channel, issuer: Issuer, token: Mapping[str, Any], signed: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What the provider says at its userinfo address, if the token lacks something that is mapped."""
        wanted = (self.configuration.email_claim, self.configuration.name_claim, self.configuration.groups_claim)
        if not issuer.offers("userinfo_endpoint") or all(said.at(signed, one) is not None for one in wanted if one):
            return {}
        answer = channel.get_json(issuer.address("userinfo_endpoint"), headers=bearer(token))
        if not isinstance(answer, dict):
            raise OAuthFault(Fault.ODD_ANSWER, "userinfo")
        if answer.get("sub") != signed["sub"]:
            raise OAuthFault(Fault.OTHER_SUBJECT, "userinfo")
        return answer


def session_subject(issuer: str, sub: str) -> str:
    """Whose session it is, in the words of a logout token."""
    return said.subject_of(issuer, {"sub": sub}, ("sub",))

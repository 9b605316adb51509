"""What can be wrong with a web source or its configuration, each in words that an admin understands."""

from flask_babel import lazy_gettext as _

from auth.errors import SourceUnavailable
from auth.providers.base import Explained

LONGEST_DETAIL = 500
"""Characters of a provider's own words that are kept."""


class Fault(Explained):
    """A fault's name for programs, and what it means for people."""

    DENIED = "denied", _("The person, or the provider for them, said no.")
    NEEDS_PERSON = "needs-person", _("The provider has to ask the person something, and was told not to.")

    UNKNOWN_HOST = "unknown-host", _("The provider's host name is not known (DNS): look at its address.")
    FORBIDDEN_ADDRESS = (
        "forbidden-address",
        _("The provider's host name leads to an address inside of a private network, which may not be asked."),
    )
    UNREACHABLE = "unreachable", _("The provider cannot be reached: look at its address and port.")
    TIMEOUT = "timeout", _("The provider did not answer in time.")
    BUSY = "busy", _("The provider says that it cannot answer just now.")
    PAUSED = "paused", _("The provider did not answer a moment ago, and is asked again shortly.")

    UNTRUSTED = "untrusted", _("The provider's certificate is not valid, or of an authority that is not known here.")
    INSECURE = "insecure", _("The provider names an address without https, and that is not allowed.")
    REDIRECTED = "redirected", _("The provider answers with a redirect, which is not followed: give the final address.")
    ODD_ANSWER = "odd-answer", _("What answers there is no such provider: the answer is not what OAuth has for this.")
    TOO_LONG = "too-long", _("The provider's answer is longer than any that makes sense.")
    WRONG_ISSUER = (
        "wrong-issuer",
        _("The provider describes itself by another issuer than the one configured: they have to be equal."),
    )
    NO_ENDPOINT = "no-endpoint", _("The provider's description lacks an address that is needed.")

    CLIENT_REFUSED = "client-refused", _("The provider refuses this client: its id or its secret is wrong.")
    CODE_REFUSED = (
        "code-refused",
        _("The provider refuses the code: it was used already or is too old, or the redirect address is not the same."),
    )
    REQUEST_REFUSED = (
        "request-refused",
        _("The provider refuses the request: look at the client's redirect addresses and scopes there."),
    )

    NO_TOKEN = "no-token", _("The provider gives no ID token: the scope openid is missing, or not allowed there.")
    BAD_SIGNATURE = "bad-signature", _("The token's signature is not one of the provider's.")
    WRONG_AUDIENCE = "wrong-audience", _("The token was made for another client.")
    NOT_NOW = "not-now", _("The token is not valid at this time: look at the clocks of both sides.")
    WRONG_NONCE = "wrong-nonce", _("The token belongs to another sign-in.")
    BAD_TOKEN = "bad-token", _("The token lacks something that it must have, or says something that cannot be.")
    STALE = "stale", _("The person's last sign-in at the provider is longer ago than the configuration allows.")
    TOO_WEAK = "too-weak", _("The provider did not sign the person in by a method that the configuration asks for.")
    MIXED_UP = "mixed-up", _("The answer comes from another provider than the one that was asked.")
    NO_SUBJECT = "no-subject", _("The provider does not say by what the person can be known again.")
    OTHER_SUBJECT = "other-subject", _("The provider's answers are about different people.")
    OTHER_ORGANISATION = "other-organisation", _("The person belongs to an organisation that is not allowed here.")
    TOO_MANY_GROUPS = (
        "too-many-groups",
        _(
            "The person is in more groups than the provider puts into a token: have it send only the groups that are"
            " assigned to this application."
        ),
    )

    SECRET_LOST = (
        "secret-lost",
        _("The stored secret cannot be decrypted with the present encryption keys: give it again."),
    )
    BAD_SETTINGS = "bad-settings", _("The configuration is not one that this release takes: save it again.")


OF_THE_WAY = frozenset(
    {
        Fault.UNKNOWN_HOST, Fault.FORBIDDEN_ADDRESS, Fault.UNREACHABLE, Fault.TIMEOUT, Fault.BUSY, Fault.PAUSED,
    }
)  # fmt: skip
"""Faults of the way to the provider, that may be gone in a moment."""


class OAuthFault(SourceUnavailable):
    """A sign-in at a web source that came to nothing; `detail` holds the provider's own words, for admins only."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault
        self.detail = detail[:LONGEST_DETAIL]


class SaidByBrowser(OAuthFault):
    """A refusal that has come in the browser's address: anybody can write such a one, so its words prove nothing."""


class Unreachable(OAuthFault):
    """The provider gave no answer."""

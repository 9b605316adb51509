"""How long what an app is given lasts: by what holds in every workspace, and by the workspace's own rules.

All that comes of one consent is a family, which ends thirty days after the person has answered the page that asks.
Of the workspace's rules (`auth/policy.py`), the length of a login session counts from when the person had proved who
they are, and the longest life of a token from when they allowed the app something. A rule about idle login sessions
is one about refresh tokens that nobody uses, once their access token is over. Rules bind what was given before them.
"""

from datetime import UTC, datetime, timedelta

from auth import policy
from auth.client_models import AuthorizationCode
from auth.token_models import RefreshToken
from tenants.db import now

ACCESS_FOR = timedelta(minutes=10)
CODE_FOR = timedelta(seconds=60)
UNUSED_FOR = timedelta(days=7)
"""How long a refresh token waits to be used."""
FAMILY_FOR = timedelta(days=30)
"""How long one consent gives tokens; then the person is sent here again."""
_NEVER = datetime.max.replace(tzinfo=UTC)


def of_family(signed_in_at: datetime | None, allowed_at: datetime) -> datetime:
    """When all that has come of a consent ends, by the rules as they are."""
    ruled = policy.current().app_ends_at(signed_in_at, allowed_at) or _NEVER
    return min(allowed_at + FAMILY_FOR, ruled)


def of_refresh(row: RefreshToken) -> datetime:
    """When a refresh token ends, by itself, or by the rules as they are."""
    begun = row.allowed_at or row.family_expires_at - FAMILY_FOR  # of those that did not know it yet
    family = min(row.family_expires_at, of_family(row.signed_in_at or begun, begun))
    return min(row.expires_at, family, row.created_at + unused())


def of_code(row: AuthorizationCode) -> datetime:
    """When a code ends: no later than what it could be redeemed for."""
    return min(row.expires_at, of_family(row.signed_in_at, row.created_at))


def unused() -> timedelta:
    """How long a refresh token may wait. Whoever uses its access token has no reason to come earlier."""
    minutes = policy.current().idle_minutes
    return min(UNUSED_FOR, ACCESS_FOR + timedelta(minutes=minutes)) if minutes is not None else UNUSED_FOR


def access_ends_at(family_ends_at: datetime | None) -> datetime:
    """When an access token ends that is given now, perhaps of a family."""
    return min(now() + ACCESS_FOR, family_ends_at or _NEVER)

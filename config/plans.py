"""What a tenant's plan allows."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_PLAN = "standard"
"""Of tenants without another, and of those whose plan is not (any more) among the settings'."""

PerMinute = Annotated[int, Field(ge=1)]


class Plan(BaseModel):
    """Requests a minute, of one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    address: PerMinute = 3_000
    """From one address (IPv6: one /64), whoever asks: an office is one."""
    caller: PerMinute = 1_200
    """By one token, or by one person or service account without a token of its own."""
    tenant: PerMinute = 12_000
    """By all callers together; whoever is nobody does not use it up."""
    sign_in: PerMinute = 60
    """From one address to where somebody signs in or a token is issued."""

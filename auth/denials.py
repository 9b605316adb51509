"""Denied access, recorded for administrators: answers of 403, and what guards refuse and a page shows beside its form.

The refusal outlives what is rolled back with it.
"""

from flask import current_app, g, request

from auth import audit
from auth.audit_bounds import is_worth_recording
from auth.errors import NotAllowed, RoleChanged, UnsuitableName
from auth.permissions import access_of
from tenants.request import SAFE_METHODS


def words_of(error: Exception) -> str:
    """What an error says, for a form that shows it; recorded if a guard has denied something.

    The one way in which a view turns NotAllowed into text: where it lets it pass, the answer of 403 is recorded.
    """
    # Names and races deny nobody anything; and a page that only says what would be refused has refused nothing.
    denies = isinstance(error, NotAllowed) and not isinstance(error, UnsuitableName | RoleChanged)
    if denies and request.method not in SAFE_METHODS:
        note(str(error))
    return str(error)


def note(reason: str = "") -> None:
    """Record that whoever is signed in was refused what this request asks for; not how often they try.

    `reason` is what a guard has said.
    """
    caller = g.get("identity")
    if "tenant" not in g or caller is None or not caller.is_authenticated:
        return
    subject = (g.tenant.id, "access denied", caller.user_id)
    # Whoever has filled the window with harmless ones is told of once for everything else that they try.
    is_first = is_worth_recording(*subject, request.endpoint, most=1)
    if not is_worth_recording(*subject) and not is_first:
        return
    access = access_of(current_app, request.endpoint or "")
    details = {"method": request.method, "endpoint": request.endpoint or request.path}
    if access is not None and access.permission is not None:
        details["permission"] = access.permission
    if reason:
        details["reason"] = reason
    audit.record("access denied", details=details, survives=True)

"""The kinds of problem that the API answers with (RFC 9457): names that stay, though the words may change."""

from collections.abc import Mapping

from werkzeug.exceptions import HTTPException

BY_STATUS: Mapping[int, str] = {
    400: "malformed-request",
    401: "not-signed-in",
    403: "not-permitted",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    412: "changed-meanwhile",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-fields",
    429: "too-many-requests",
    500: "internal-error",
    503: "unavailable",
}

MEANINGS: Mapping[str, str] = {
    "malformed-request": "The request cannot be read: it is no JSON object, say, or has no token of our pages.",
    "not-signed-in": "Nobody has proved who calls, or what they have shown counts no more.",
    "wrong-credentials": "What should prove who calls, a name and a password, say, or a code, does not.",
    "invalid-token": "The token in the Authorization header counts not, or not any more; a new one is needed.",
    "second-factor-needed": "The workspace asks for a second factor: give its code, or set one up at the pages first.",
    "not-permitted": "The caller is known and may not do this.",
    "guarded": "The caller may do this in general, and not in this case; the detail says why.",
    "sign-in-refused": "It is proved who calls, and they may not come in; the detail says why.",
    "suspended": "The workspace is suspended.",
    "not-found": "There is nothing here, or nothing that the caller may know of.",
    "method-not-allowed": "The address does not take this method; Allow names those that it takes.",
    "not-acceptable": "What is asked for can be given only in another form.",
    "conflict": "It cannot be done as things stand; the detail says why.",
    "changed-meanwhile": "If-Match names another state than the present one: read again, then decide.",
    "idempotency-key-reused": "The Idempotency-Key was used for another request, or with other rights.",
    "idempotency-key-in-use": "A request with this Idempotency-Key is under way, or was interrupted.",
    "too-large": "At most 1 MiB can be sent at once.",
    "unsupported-media-type": "The body has to be application/json.",
    "invalid-fields": "Fields of the body or of the query are wrong; errors lists each with its reason.",
    "too-many-requests": "Too much was asked for in a short time; Retry-After says when to go on.",
    "internal-error": "Something went wrong on our side; nothing was changed. Name the instance when you report it.",
    "unavailable": "The service cannot be reached just now; nothing was changed. Retry-After says when to try again.",
}
"""What each kind means, for the page at `PAGE`."""

PAGE = "/api/problems"


def type_of(error: HTTPException) -> str:
    """The `type` of a problem: the address, on this host, of the paragraph that explains it."""
    name = getattr(error, "problem", None) or BY_STATUS.get(error.code or 500, "")
    return f"{PAGE}#{name}" if name else "about:blank"

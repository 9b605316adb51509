"""Where an app may have people sent back to: addresses that are compared as they are, letter by letter.

RFC 9700, section 2.1: exact comparison, but for the port of a program on the person's own machine (RFC 8252, section
7.3), which cannot know before which one it will be given.
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from flask_babel import gettext as _

from auth.errors import InvalidClient

MOST = 20
LONGEST = 1000

# What a URI may be written with (RFC 3986, appendix A), without the fragment; browsers mend the rest in their own ways.
_WRITTEN = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?((?:[/?].*)?)", re.DOTALL)
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def usable(addresses: Collection[str]) -> list[str]:
    """These addresses, if an app may have them. Raises InvalidClient."""
    wanted = list(dict.fromkeys(address.strip() for address in addresses if address.strip()))
    if not wanted or len(wanted) > MOST:
        raise InvalidClient("redirect_uris", _("An app has 1 to %(most)s addresses to return to.", most=MOST))
    for address in wanted:
        if not _is_usable(address):
            said = _(
                "“%(address)s” cannot be returned to: https://, or http:// on this machine (127.0.0.1), and no “#”.",
                address=address[:200],
            )
            raise InvalidClient("redirect_uris", said)
    return wanted


def is_registered(address: str, registered: Collection[str]) -> bool:
    """Whether a request may name that address: it is one of these, or one of these but for its port on loopback."""
    if address in registered:
        return True
    given = _without_port(address)
    return given is not None and any(given == _without_port(known) for known in registered)


def origin_of(address: str) -> str:
    """Scheme, host and port, as a content security policy names them."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(address: str) -> bool:
    """Whether whatever runs on the person's machine may answer there."""
    return address.startswith("http://")


def _is_usable(address: str) -> bool:
    if len(address) > LONGEST or not _WRITTEN.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or parts.netloc != parts.netloc.lower():
        return False
    if parts.scheme == "http":
        return host in _LOOPBACK_HOSTS and address.startswith("http://")
    return parts.scheme == "https" and address.startswith("https://") and bool(_HOST.fullmatch(host))


def _without_port(address: str) -> tuple[str, str] | None:
    found = _LOOPBACK.fullmatch(address)
    if found is None or not _WRITTEN.fullmatch(address) or not 0 < int(found[2] or "80") < 65536:
        return None
    return found[1], found[3]

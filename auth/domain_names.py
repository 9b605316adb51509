"""Which names can be a workspace's domain of e-mail addresses."""

import re
from pathlib import Path

from flask_babel import gettext as _

from auth.errors import InvalidDomain
from auth.mail import normal_domain

LONGEST = 243
"""Characters; with the ten of `_tenantry.` in front it is still a name in the DNS (RFC 1035, 2.3.4)."""

# The last label begins with a letter (RFC 1123, 2.1): so no address of a machine passes for a name.
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LINES = (Path(__file__).parent / "consumer_domains.txt").read_text(encoding="utf-8").split("\n")
_CONSUMER = frozenset(line for line in _LINES if line and not line.startswith("#"))


def check_name(domain: str) -> str:
    """The normal form of a domain that can be a workspace's own. Raises InvalidDomain that says why it cannot."""
    name = name_of(domain)
    if name in _CONSUMER:
        raise InvalidDomain(_("At %(domain)s anybody can have an address: it is no workspace's own.", domain=name))
    return name


def name_of(domain: str) -> str:
    """The normal form of a domain. Raises InvalidDomain for what is none."""
    name = normal_domain(domain.strip().removeprefix("@"))
    if len(name) > LONGEST:
        raise InvalidDomain(_("A domain has %(most)s characters at most.", most=LONGEST))
    if not _NAME.fullmatch(name):
        raise InvalidDomain(_("“%(domain)s” is no domain of e-mail addresses.", domain=printable(domain)))
    return name


def printable(text: str) -> str:
    """What somebody typed, for a message: of control and formatting characters, and of what is long, little stays."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:80])

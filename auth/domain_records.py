"""The TXT record that proves a domain: what it is, whether the DNS has it, and what it comes to when it does not.

Name servers are asked, and believed, as resolvers: they follow aliases and look after DNSSEC. An answer is 64 KiB at
most, that being the most a message can have.
"""

import enum
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from auth.providers.models import MailDomain

LIFETIME = 4.5
"""Seconds for one lookup, all tries together; with the pause after the last one it is five."""
MOST_LOOKUPS = 8
"""At the same time, of the domains that are checked together."""
PATIENCE = timedelta(days=14)
"""Since the record was last found. A domain that is warned about lapses then; for name servers that do not answer it is
the time until the warning, and as much again until the lapse."""

PENDING, PROVED, WARNING, LAPSED = "pending", "proved", "warning", "lapsed"

Server = tuple[str, int]


class Finding(enum.StrEnum):
    """What a check has come to."""

    FOUND = "found"
    ABSENT = "absent"
    DIFFERENT = "different"
    """There are records, and none with the value that is asked for."""
    UNANSWERED = "unanswered"
    """No name server gave an answer, or none that can be used."""
    TAKEN = "taken"
    """It was found, but another workspace has the domain just now."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a tenant has to publish in the DNS."""

    name: str
    value: str


def record_of(row: MailDomain) -> Record:
    """The TXT record that proves the domain."""
    return Record(f"_tenantry.{row.domain}", f"tenantry-domain-verification={row.token}")


def look_up(records: Sequence[Record], servers: Sequence[Server]) -> list[Finding]:
    """Look every record up, several at a time, five seconds each at most.

    `servers` are addresses with ports; without any, the machine's own name servers are asked.
    """
    with ThreadPoolExecutor(max_workers=MOST_LOOKUPS, thread_name_prefix="txt") as threads:
        return list(threads.map(lambda record: _look_up(record, servers), records))


def next_state(state: str, finding: Finding, age: timedelta) -> str:
    """The state of a domain after a check, `age` after its record was last found."""
    if finding is Finding.FOUND:
        return PROVED
    if finding is Finding.TAKEN:
        return state
    silent = finding is Finding.UNANSWERED
    if state == PROVED and (not silent or age > PATIENCE):
        return WARNING
    if state == WARNING and age > (2 * PATIENCE if silent else PATIENCE):
        return LAPSED
    return state


def _look_up(record: Record, servers: Sequence[Server]) -> Finding:
    try:
        answer = _resolver(servers).resolve(dns.name.from_text(record.name), dns.rdatatype.TXT, lifetime=LIFETIME)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Finding.ABSENT
    except (dns.exception.DNSException, OSError):
        return Finding.UNANSWERED
    # A value of more than 255 characters stands there in pieces (RFC 7208, 3.3). Some forms in which records are
    # entered take quotes, as zone files have them, for part of the value.
    values = {b"".join(entry.strings).decode("ascii", "replace").strip(' "') for entry in answer}
    return Finding.FOUND if record.value in values else Finding.DIFFERENT


def _resolver(servers: Sequence[Server]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in servers]
    return resolver

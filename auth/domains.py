"""The domains of e-mail addresses that a tenant has proved to be its own, by a TXT record in the DNS.

    pending ──found──→ proved ──missing──→ warning ──two weeks──→ lapsed
                         ↑                    │                      │
                         └───────found────────┴────────found─────────┘

A domain that is proved, or warned about, has one owner among all tenants. What depends on it ends in steps, and it is
never somebody's account: `warning` stops making users at their first sign-in, for the domain may be somebody else's by
now; `lapsed`, the last, ends the enforcement of a provider and gives the domain free. Nobody is ever locked out.

A record that is not there is one thing, name servers that do not answer are another: the latter change nothing for two
weeks. An operator can vouch for a domain, for closed networks: it is proved and stays so, and the DNS is not asked.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError

from auth import audit, domain_notices, enforcement
from auth.domain_names import check_name, name_of, printable
from auth.domain_records import LAPSED, PROVED, WARNING, Finding, look_up, next_state, record_of
from auth.errors import DomainTaken, InvalidDomain, NotAllowed, UnknownDomain
from auth.identity import Identity
from auth.providers.configs import check_may_change, check_may_manage
from auth.providers.models import MailDomain
from auth.providers.registry import list_configs
from config.settings import socket_address
from tenants.db import now
from tenants.keysets import Orders, Place

MOST_DOMAINS = 50
"""Of one tenant."""
RECHECK_AFTER = timedelta(hours=1)
ORDERS = Orders(MailDomain.id, created=(), name=(MailDomain.domain,))
"""Orders of the list."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A domain that was checked, and the state that it had before."""

    row: MailDomain
    before: str
    finding: Finding

    @property
    def worse(self) -> bool:
        """Whether less depends on the domain than before."""
        return self.row.state != self.before and self.row.state in (WARNING, LAPSED)


def list_domains(
    *, state: str = "", sort: str = "name", limit: int | None = None, after: Place | None = None
) -> Sequence[MailDomain]:
    """The bound tenant's domains, those of a state or all, in one of the orders of ORDERS, behind that place."""
    wanted = select(MailDomain).where(*([MailDomain.state == state] if state else []))
    found: Sequence[MailDomain] = g.db.scalars(ORDERS[sort].page(wanted, limit=limit, after=after)).all()
    return found


def get_domain(name: str) -> MailDomain:
    """The bound tenant's domain of that name, in whichever spelling. Raises UnknownDomain."""
    try:
        row = _find(name_of(name))
    except InvalidDomain:
        row = None
    if row is None:
        raise _unknown(name)
    return row


def creating() -> frozenset[str]:
    """The domains whose people may be made users at their first sign-in: those that are proved."""
    return enforcement.held_domains(PROVED)


def owned() -> frozenset[str]:
    """The domains that are the bound tenant's and nobody else's: proved, or warned about."""
    return enforcement.held_domains()


def add_domain(domain: str, *, actor: Identity | None, vouched: bool = False) -> MailDomain:
    """Take up a domain, pending until its record is found.

    `vouched`, by the command line only, makes it proved without one; it may have been added before. Raises NotAllowed,
    InvalidDomain, and DomainTaken for one that another tenant has proved.
    """
    check_may_manage(actor)
    if vouched and actor is not None:
        raise NotAllowed(_("Only an operator vouches for a domain."))
    name = check_name(domain)
    row = _find(name)
    if row is not None and not vouched:
        raise InvalidDomain(_("This workspace has the domain %(domain)s already.", domain=name))
    with g.db.begin_nested():  # of one that is taken nothing stays, whatever the caller does with the error
        row = row or _insert(name)
        if vouched:
            row.vouched = True
            _own(row, now())
            audit.record("domain vouched", row)
        else:
            audit.record("domain added", row, actor=actor)
    enforcement.publish()
    return row


def remove_domain(row: MailDomain, actor: Identity | None) -> None:
    """Give a domain up; added again, it needs another record. Its people stay users. Raises NotAllowed.

    With it ends what is enforced for it: that takes the rights that enforcing it takes.
    """
    check_may_manage(actor)
    for config in list_configs():
        if config.enforced_at is not None and row.domain in config.domains:
            check_may_change(config, actor=actor)
    g.db.delete(row)
    g.db.flush()
    audit.record("domain removed", row, actor=actor)
    enforcement.publish()


def check(row: MailDomain) -> MailDomain:
    """Look the record up, for five seconds at most, and move the domain's state. A vouched one stays as it is.

    Commits what was done so far. Raises DomainTaken, and UnknownDomain for one that was removed meanwhile.
    """
    if not row.vouched:
        checked = check_each([row])
        if not checked:
            raise _unknown(row.domain)
        if checked[0].finding is Finding.TAKEN:
            raise _taken(row.domain)
    return row


def check_all(progress: Callable[[Checked], None], *, force: bool = False) -> list[Checked]:
    """Check every domain that was not looked up within the last hour, or with `force` all; vouched ones never.

    Commits what was done so far. `progress` is told of each.
    """
    due = select(MailDomain).where(~MailDomain.vouched)
    if not force:
        due = due.where(or_(MailDomain.checked_at.is_(None), MailDomain.checked_at <= now() - RECHECK_AFTER))
    return check_each(g.db.scalars(due).all(), progress)


def check_each(rows: Sequence[MailDomain], progress: Callable[[Checked], None] = lambda _: None) -> list[Checked]:
    """Check these domains, several at a time, and tell the owners of the workspace of those that are worse for it.

    Vouched ones are left out, and those that are removed meanwhile. Commits what was done so far.
    """
    # By name, so that two tenants that prove the same domains do not each wait for the other.
    rows = sorted((row for row in rows if not row.vouched), key=lambda row: row.domain)
    servers = [socket_address(server) for server in current_app.extensions["tenants"].settings.name_servers]
    g.db.release()  # no connection is held while the DNS takes its time
    findings = look_up([record_of(row) for row in rows], servers)
    noted = (_note(row, finding) for row, finding in zip(rows, findings, strict=True))
    result = []
    for checked in filter(None, noted):
        result.append(checked)
        progress(checked)
    if any(checked.row.state != checked.before for checked in result):
        enforcement.publish()
    if worse := [checked.row for checked in result if checked.worse]:
        domain_notices.tell_owners(worse)
    return result


def _note(row: MailDomain, finding: Finding) -> Checked | None:
    locked = select(MailDomain).where(MailDomain.id == row.id).with_for_update()
    if g.db.scalar(locked.execution_options(populate_existing=True)) is None:
        return None
    if row.vouched:  # meanwhile
        return Checked(row, row.state, Finding.FOUND)
    at, before = now(), row.state
    row.checked_at = at
    if finding is Finding.FOUND:
        try:
            _own(row, at)
        except DomainTaken:
            finding = Finding.TAKEN
    else:
        row.state = next_state(before, finding, at - (row.proved_at or at))
        g.db.flush()
    if row.state != before:
        audit.record(f"domain {row.state}", row)
    return Checked(row, before, finding)


def _own(row: MailDomain, at: datetime) -> None:
    try:
        with g.db.begin_nested():
            row.state, row.proved_at = PROVED, at
    except IntegrityError:
        raise _taken(row.domain) from None


def _insert(name: str) -> MailDomain:
    if g.db.scalar(select(func.count(MailDomain.id))) >= MOST_DOMAINS:
        raise InvalidDomain(_("A workspace has at most %(most)s domains.", most=MOST_DOMAINS))
    row = MailDomain(domain=name, token=secrets.token_hex(16))
    try:
        with g.db.begin_nested():
            g.db.add(row)
    except IntegrityError:  # somebody was quicker by a moment
        raise InvalidDomain(_("This workspace has the domain %(domain)s already.", domain=name)) from None
    return row


def _find(name: str) -> MailDomain | None:
    found: MailDomain | None = g.db.scalar(select(MailDomain).where(MailDomain.domain == name))
    return found


def _unknown(domain: str) -> UnknownDomain:
    return UnknownDomain(_("This workspace has no domain “%(domain)s”.", domain=printable(domain)))


def _taken(domain: str) -> DomainTaken:
    return DomainTaken(_("Another workspace has proved that the domain %(domain)s is its own.", domain=domain))

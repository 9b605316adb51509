"""Brings a tenant's users into line with a directory: who is there, who has left, who is in which group.

It works through the directory page by page, each page in a transaction of its own, and adds before it removes: to be
interrupted, or to run a second time, does no harm. It removes at the end, if the whole directory was read; when more
people would be gone than is believable, nothing is removed at all.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from flask import g
from sqlalchemy import ColumnElement, delete, func, or_, select, update

from auth import api_tokens, audit, default_role, groups, roles
from auth.errors import AuthError, NotAllowed, SyncStopped
from auth.models import LoginSession, User
from auth.providers.base import ExternalIdentity
from auth.providers.ldap import LdapProvider
from auth.providers.ldap.names import fold
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.providers.registry import provider_of
from auth.provisioning import create_many, refresh
from tenants.db import now

_CHUNK = 500  # rows a statement


@dataclass(slots=True)
class Report:
    """What a sync has done so far."""

    listed: int = 0
    skipped: int = 0
    """Entries that cannot be known again: they lack the attribute that never changes."""
    created: int = 0
    refreshed: int = 0
    conflicts: list[str] = field(default_factory=list)
    """Addresses of people who have an account of another source, or none that can be used: not created."""
    joined: int = 0
    """Memberships of groups that were added."""
    left: int = 0
    """Memberships of groups that were removed."""
    returned: int = 0
    departed: list[str] = field(default_factory=list)
    """Addresses of the users who were deactivated."""
    kept: list[str] = field(default_factory=list)
    """Addresses of users who are gone and stay active: a workspace keeps its last owner."""
    unknown_groups: list[str] = field(default_factory=list)
    """Mapped groups that the directory does not know."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A user whom the directory vouches for, as they were when the sync began."""

    link_id: uuid.UUID
    user_id: uuid.UUID
    email: str
    name: str
    login: str
    place: str
    active: bool
    departed: bool


class Sync:
    """One run. Commits as it goes: bind the tenant, and nothing else in that session."""

    def __init__(self, config: ProviderConfig, progress: Callable[[Report], None]) -> None:
        self.report = Report()
        self._config = config
        self._provider: LdapProvider = provider_of(config)
        self._progress = progress
        self._lease = timedelta(seconds=60 + 2 * self._provider.access.configuration.sync_timeout)
        self._gone: list[_Known] = []
        self._unwanted: dict[uuid.UUID, set[uuid.UUID]] = {}
        self._owners: set[uuid.UUID] = set()
        self._closed_owners: set[uuid.UUID] = set()
        self._lease_until: datetime | None = None

    def run(self, *, most_departures: int | None = None) -> Report:
        """Do it. `most_departures` is a share in per cent, by default the configured one.

        Raises SyncStopped, when another run is under way or too many people would be gone, and SourceUnavailable.
        """
        self._take_lease()
        with audit.acting_as(audit.party_of(self._config)):
            try:
                self._read_directory()
                self._check_departures(self._config.most_departures if most_departures is None else most_departures)
                self._remove()
                self._look_for_groups()
            except BaseException as error:
                g.db.rollback()
                audit.record("directory not synchronised", self._config, details=self._counts(error))
                self._end(synced_at=self._config.synced_at)
                raise
            audit.record("directory synchronised", self._config, details=self._counts())
            self._end(synced_at=now())
        return self.report

    def _counts(self, error: BaseException | None = None) -> dict[str, object]:
        """What is recorded of the run: how many, and why it stopped."""
        counted = {name: held if isinstance(held, int) else len(held) for name, held in asdict(self.report).items()}
        known = isinstance(error, AuthError)
        return counted | ({"reason": f"{type(error).__name__}{f': {error}' if known else ''}"} if error else {})

    def _read_directory(self) -> None:
        known = self._known_people()
        mapped = groups.mapped_groups(self._config)
        held = groups.memberships_of([group.id for group in mapped])
        g.db.release()
        present: set[str] = set()
        for listing in self._provider.everybody():
            people = [person for person in listing.people if person.subject not in present]
            present |= {person.subject for person in people}
            self.report.listed += len(people)
            self.report.skipped += listing.skipped
            in_use = [person for person in people if not person.disabled]
            known_here = [(person, known[person.subject]) for person in in_use if person.subject in known]
            wanted = {one.user_id: groups.matching(mapped, person.groups) for person, one in known_here}
            self._refresh(known_here)
            made: Sequence[tuple[uuid.UUID, ExternalIdentity]] = ()
            if self._config.creates_users == "sync":
                new = [person for person in in_use if person.subject not in known]
                made, conflicts = create_many(new, self._config)
                self.report.created += len(made)
                self.report.conflicts += conflicts
                wanted |= {user_id: groups.matching(mapped, person.groups) for user_id, person in made}
            missing = {user_id: keep - held.get(user_id, set()) for user_id, keep in wanted.items()}
            self.report.joined += groups.add_memberships(missing)
            default_role.give_where_none([user_id for user_id, _person in made])
            self._unwanted |= {user_id: held.get(user_id, set()) - keep for user_id, keep in wanted.items()}
            self._gone += [known[person.subject] for person in people if person.disabled and person.subject in known]
            self._proceed()
        self._gone += [one for subject, one in known.items() if subject not in present]
        self._unwanted |= {one.user_id: held.get(one.user_id, set()) for one in self._gone}

    def _check_departures(self, share: int) -> None:
        leaving = self._leaving()
        active = self._active_users()
        # One departure is believable in the smallest company, if any is.
        allowed = max(1, active * share // 100) if share else 0
        if leaving and not self.report.listed:
            raise SyncStopped(
                "the directory lists nobody: the base or the user filter is probably wrong; nobody was deactivated"
            )
        if len(leaving) > allowed:
            some = ", ".join(one.email for one in leaving[:10]) + (", ..." if len(leaving) > 10 else "")
            raise SyncStopped(
                f"{len(leaving)} of {active} active users are gone from the directory, and one sync deactivates at most"
                f" {allowed} ({share} %): {some}. Nobody was deactivated and no membership removed. Look at the base,"
                " the filter and the directory, or allow more for once"
            )

    def _remove(self) -> None:
        for user_id, unwanted in self._unwanted.items():
            self.report.left += groups.remove_memberships({user_id: unwanted})
        self._proceed()
        for chunk in _chunks([one for one in self._gone if not one.departed]):
            self._owners = roles.owners()
            self._deactivate(chunk)
            self._proceed()

    def _leaving(self) -> list[_Known]:
        """Who would be deactivated: gone since the last sync, active, and vouched for by nobody else."""
        new = [one for one in self._gone if one.active and not one.departed]
        elsewhere = self._vouched_for_elsewhere(new)
        alone = [one for one in new if one.user_id not in elsewhere]
        try:
            for one in alone if len(alone) == 1 else ():
                roles.keep_an_owner(without=one.user_id)
        except NotAllowed:
            return []  # the last owner alone: they stay, and are reported
        finally:
            g.db.release()
        return alone

    def _deactivate(self, gone: Sequence[_Known]) -> None:
        """Close the accounts of people who are gone, unless another source vouches for them, too."""
        elsewhere = self._vouched_for_elsewhere(gone)
        leaving = [one for one in gone if one.user_id not in elsewhere and not self._is_needed(one)]
        # Only who is active in this moment: whoever closed the other accounts opens them.
        closed = update(User).where(User.id.in_([one.user_id for one in leaving]), User.active).values(active=False)
        ids = self._closed_owners | set(g.db.scalars(closed.returning(User.id)))
        g.db.execute(delete(LoginSession).where(LoginSession.user_id.in_(ids)))
        api_tokens.end_all_of(ids)
        marked = [one.link_id for one in leaving if one.user_id in ids]
        g.db.execute(update(LinkedIdentity).where(LinkedIdentity.id.in_(marked)).values(departed_at=now()))
        departed = [one for one in leaving if one.user_id in ids]
        audit.record_all("account deactivated", [audit.Party("user", one.user_id, one.email) for one in departed])
        self.report.departed += [one.email for one in departed]

    def _vouched_for_elsewhere(self, people: Sequence[_Known]) -> set[uuid.UUID]:
        others = select(LinkedIdentity.user_id).where(
            LinkedIdentity.provider_id != self._config.id, LinkedIdentity.departed_at.is_(None)
        )
        return {
            user_id
            for chunk in _chunks(people)
            for user_id in g.db.scalars(others.where(LinkedIdentity.user_id.in_([one.user_id for one in chunk])))
        }

    def _is_needed(self, one: _Known) -> bool:
        """Whether a person who is gone is the last owner. They keep what they have, and somebody has to look."""
        if one.user_id not in self._owners:
            return False
        try:
            roles.keep_an_owner(without=one.user_id)
        except NotAllowed:
            self.report.kept.append(one.email)
            return True
        # Closed at once: the next owner of this chunk may be the last one.
        closed = update(User).where(User.id == one.user_id, User.active).values(active=False)
        if g.db.execute(closed).rowcount:
            self._closed_owners.add(one.user_id)
        return False

    def _refresh(self, people: Sequence[tuple[ExternalIdentity, _Known]]) -> None:
        changed = [(person, one) for person, one in people if one.departed or _differs(person, one)]
        for person, one in changed:
            user = g.db.find(User, one.user_id)
            link = g.db.find(LinkedIdentity, one.link_id)
            if user is not None and link is not None:
                refresh(user, link, person, self._config)
                self.report.refreshed += 1
                self.report.returned += one.departed
        seen = [one.link_id for _person, one in people]
        g.db.execute(update(LinkedIdentity).where(LinkedIdentity.id.in_(seen)).values(seen_at=now()))

    def _look_for_groups(self) -> None:
        names = [(group.name, group.external_key or "") for group in groups.mapped_groups(self._config)]
        g.db.release()
        for name, key in names:
            try:
                self._provider.find_group(key)
            except LookupError:
                self.report.unknown_groups.append(name)

    def _known_people(self) -> dict[str, _Known]:
        rows = g.db.execute(
            select(
                LinkedIdentity.subject, LinkedIdentity.id, User.id, User.email, User.name, LinkedIdentity.login,
                LinkedIdentity.place, User.active, LinkedIdentity.departed_at.is_not(None),
            )
            .join(User, (User.tenant_id == LinkedIdentity.tenant_id) & (User.id == LinkedIdentity.user_id))
            .where(LinkedIdentity.provider_id == self._config.id)
        )  # fmt: skip
        return {row[0]: _Known(*row[1:]) for row in rows}

    def _active_users(self) -> int:
        linked = select(LinkedIdentity.user_id).where(LinkedIdentity.provider_id == self._config.id)
        count: int = g.db.scalar(select(func.count(User.id)).where(User.active, User.id.in_(linked)))
        return count

    def _take_lease(self) -> None:
        free = or_(ProviderConfig.syncing_until.is_(None), ProviderConfig.syncing_until < now())
        if not self._hold(free, syncing_until=now() + self._lease):
            raise SyncStopped(
                f"a sync of '{self._config.name}' is under way; one that was killed frees it by itself soon"
            )

    def _proceed(self) -> None:
        """Commit what was done, keep the lease, and tell. Raises SyncStopped when another run has the lease by now."""
        if not self._hold(ProviderConfig.syncing_until == self._lease_until, syncing_until=now() + self._lease):
            raise SyncStopped(f"another sync of '{self._config.name}' has begun, for this one took too long")
        self._progress(self.report)

    def _end(self, *, synced_at: datetime | None) -> None:
        self._hold(ProviderConfig.syncing_until == self._lease_until, syncing_until=None, synced_at=synced_at)

    def _hold(self, condition: ColumnElement[bool], **values: datetime | None) -> bool:
        """Commit what was done together with the lease's new values; nothing if the condition does not hold."""
        own = update(ProviderConfig).where(ProviderConfig.id == self._config.id, condition).values(**values)
        held = bool(g.db.execute(own).rowcount)
        if held:
            self._lease_until = values["syncing_until"]
            g.db.commit()
        g.db.expunge_all()  # of thousands of people, only the present page is in memory
        if not held:
            g.db.rollback()
        return held


def _differs(person: ExternalIdentity, one: _Known) -> bool:
    from_source = (person.name or one.name, (person.email or one.email).casefold(), person.place)
    return from_source != (one.name, one.email.casefold(), one.place) or fold(person.login) != one.login


def _chunks(people: Sequence[_Known]) -> Iterator[Sequence[_Known]]:
    for start in range(0, len(people), _CHUNK):
        yield people[start : start + _CHUNK]

"""A sign-in rehearsed: each step with its result and time, and what it would do here. Nothing is written.

A rehearsal is a generator: it gives each step as soon as it has ended, and comes to the result. Closing it before ends
the conversation with the directory, and makes room for the next one.
"""

import threading
import unicodedata
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import g
from flask_babel import gettext as _
from pydantic import SecretStr

from auth import audit, throttle
from auth.errors import Busy, InvalidProvider, Throttled
from auth.providers.kinds import validate
from auth.providers.ldap import LdapConfiguration, LdapProvider
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.ldap.rehearsal import Rehearsal
from auth.providers.ldap.rehearsal import by_step as rehearse_directory
from auth.providers.ldap.steps import Step, finish
from auth.providers.models import ProviderConfig
from auth.providers.registry import make_provider, provider_of
from auth.provisioning import Preview, preview
from auth.validation import about
from tenants.context import bound

MOST_AT_ONCE = 3
"""Rehearsals under way in one process."""

_lock = threading.Lock()
_under_way: set[uuid.UUID] = set()


def _uncounted(_account: str) -> None:
    """For who needs no counting: the command line."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a rehearsal found, and what a sign-in of that person would do; `preview` is None when nobody was found."""

    rehearsal: Rehearsal
    preview: Preview | None

    @property
    def ok(self) -> bool:
        """Whether that person would get in."""
        return self.rehearsal.ok and self.preview is not None and self.preview.happens in ("known", "created")

    def as_dict(self) -> dict[str, Any]:
        """The result for programs."""
        identity = self.rehearsal.identity
        return {
            "ok": self.ok,
            "steps": [_as_dict(step) for step in self.rehearsal.steps],
            "identity": {
                "subject": identity.subject,
                "place": identity.place,
                "login": identity.login,
                "email": identity.email,
                "name": identity.name,
                "disabled": identity.disabled,
            }
            if identity
            else None,
            "attributes": dict(self.rehearsal.attributes),
            "groups": list(self.rehearsal.groups),
            "sign_in": {
                "user": self.preview.user,
                "happens": self.preview.happens,
                "groups": list(self.preview.groups),
                "roles": list(self.preview.roles),
                "default_role": self.preview.default_role,
            }
            if self.preview
            else None,
        }

    def lines(self) -> Iterator[str]:
        """The result for people, in English, line by line; what a directory says may steer no terminal."""
        yield from map(printable, self._lines())

    def _lines(self) -> Iterator[str]:
        for step in self.rehearsal.steps:
            yield f"{'ok  ' if step.ok else 'FAIL'} {step.milliseconds:>6} ms  {step.name}: {step.detail}"
            if step.fault is not None:
                yield f"                {step.fault.explanation}"
        for name, values in sorted(self.rehearsal.attributes.items()):
            yield f"  {name}: {'; '.join(values)}"
        for group in self.rehearsal.groups:
            yield f"  in group {group}"
        if self.preview is not None:
            yield _HAPPENS[self.preview.happens].format(user=self.preview.user)
            yield f"  roles by groups: {', '.join(self.preview.roles) or 'none'}"
            if self.preview.default_role is not None:
                yield f"  role of new members: {self.preview.default_role}"


def printable(text: str) -> str:
    """A text without what would steer a terminal."""
    return "".join(char if unicodedata.category(char)[0] != "C" else "?" for char in text)


_HAPPENS = {
    "known": "would sign in as {user}",
    "created": "would be made a new user, {user}",
    "link-needed": "has the e-mail address of an account here, {user}: would be asked to sign in to it, too",
    "refused": "would not get in: disabled there, deactivated here, or without an account that is made for them",
}


Live = Generator[Step, None, Result]
"""A rehearsal under way."""


def rehearse(config: ProviderConfig, login: str, password: str | None = None) -> Result:
    """Rehearse the sign-in of `login` at a saved source. Raises Busy when others do so just now."""
    return finish(_by_step(config, login, password))


def rehearse_for(config: ProviderConfig, login: str, password: str | None) -> Result:
    """Rehearse a sign-in at a saved source for an administrator, at once; see `follow_for`."""
    return finish(follow_for(config, login, password))


def follow_for(config: ProviderConfig, login: str, password: str | None) -> Live:
    """Rehearse a sign-in at a saved source for an administrator, step by step; recorded, also if it is broken off.

    A person's password that is tried counts like any other attempt. Raises Throttled and Busy.
    """
    details = {"login": login, "password": bool(password)}
    try:
        result = yield from _counted(partial(_by_step, config, login, password), login, password)
    except (Throttled, Busy):
        raise
    except BaseException:  # also when nobody takes the next step: the password may have been tried by then
        actor = g.identity
        with bound(g.tenant):
            audit.record("sign-in rehearsed", config, details=details | {"works": False}, actor=actor)
        raise
    audit.record("sign-in rehearsed", config, details=details | {"works": result.ok})
    return result


def rehearse_unsaved_for(
    kind: str, settings: Mapping[str, Any], secret: str | None, login: str, password: str | None
) -> Result:
    """Rehearse a sign-in with a configuration that is not saved yet; not recorded. Raises InvalidProvider, too."""
    configuration = validate(kind, settings)
    if not isinstance(configuration, LdapConfiguration):
        raise InvalidProvider(about("kind", _("a web source is rehearsed at its test address, by signing in there")))
    # The same servers are the same source, whose accounts are counted together.
    id = uuid.uuid5(g.tenant.id, " ".join(configuration.servers))
    config = ProviderConfig(id=id, name="new", label="new", kind=kind, creates_users="sign-in")
    provider = make_provider(config.id, configuration, SecretStr(secret) if secret else None)
    return finish(_counted(partial(_at, provider, config, login, password), login, password))


def _counted(work: Callable[..., Live], login: str, password: str | None) -> Live:
    """Do a rehearsal; if it tries a password, as a counted attempt. Raises Throttled and Busy."""
    if password is None:
        return (yield from work())
    with throttle.attempt("password", login) as attempt:
        result = yield from work(count=attempt.count)
        attempt.succeeded = any(step.name == "sign-in" and step.ok for step in result.rehearsal.steps)
    return result


def _by_step(
    config: ProviderConfig, login: str, password: str | None, *, count: Callable[[str], None] = _uncounted
) -> Live:
    try:
        provider = provider_of(config)
    except DirectoryFault as error:
        step = Step("configuration", ok=False, milliseconds=0, fault=error.fault, detail=error.detail)
        yield step
        return Result(Rehearsal((step,), None, {}, ()), None)
    return (yield from _at(provider, config, login, password, count=count))


def _at(
    provider: LdapProvider,
    config: ProviderConfig,
    login: str,
    password: str | None,
    *,
    count: Callable[[str], None] = _uncounted,
) -> Live:
    g.db.release()  # no connection is held while a directory takes its time
    with _one_of_few():
        rehearsal = yield from rehearse_directory(provider, login, password, count=count)
    identity = rehearsal.identity
    return Result(rehearsal, preview(identity, config) if identity is not None else None)


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Few in this process, and one of a tenant: they may wait for a server that does not answer."""
    tenant = g.tenant.id
    with _lock:
        if len(_under_way) >= MOST_AT_ONCE or tenant in _under_way:
            raise Busy("another rehearsal is under way")
        _under_way.add(tenant)
    try:
        yield
    finally:
        with _lock:
            _under_way.discard(tenant)


def _as_dict(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "ok": step.ok,
        "milliseconds": step.milliseconds,
        "fault": step.fault.value if step.fault else None,
        "explanation": str(step.fault.explanation) if step.fault else None,
        "detail": step.detail,
    }

"""A sign-in rehearsed: each step with its result and time, and what it would do here. Nothing is written."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat as uuid7
from flask import g
from pydantic import SecretStr

from auth.errors import Busy
from auth.providers import configs
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.ldap.rehearsal import Rehearsal, Step
from auth.providers.ldap.rehearsal import rehearse as rehearse_directory
from auth.providers.models import ProviderConfig
from auth.providers.registry import make_provider, provider_of
from auth.provisioning import Preview, preview

_under_way = threading.BoundedSemaphore(2)  # of a process: they may wait for a server that does not answer


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
            }
            if self.preview
            else None,
        }

    def lines(self) -> Iterator[str]:
        """The result for people, in English, line by line."""
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


_HAPPENS = {
    "known": "would sign in as {user}",
    "created": "would be made a new user, {user}",
    "link-needed": "has the e-mail address of an account here, {user}: would be asked to sign in to it, too",
    "refused": "would not get in: no user is made for them",
}


def rehearse(config: ProviderConfig, login: str, password: str | None = None) -> Result:
    """Rehearse the sign-in of `login` at a saved source. Raises Busy when others do so just now."""
    try:
        provider = provider_of(config)
    except DirectoryFault as error:
        step = Step("configuration", ok=False, milliseconds=0, fault=error.fault, detail=error.detail)
        return Result(Rehearsal((step,), None, {}, ()), None)
    return _rehearse(provider, config, login, password)


def rehearse_unsaved(
    kind: str, settings: Mapping[str, Any], secret: str | None, login: str, password: str | None = None
) -> Result:
    """The same with a configuration that is not saved yet. Raises InvalidProvider and Busy."""
    configuration = configs.validate(kind, settings)
    config = ProviderConfig(id=uuid7.uuid7(), name="new", label="new", kind=kind, creates_users="sign-in")
    provider = make_provider(config.id, configuration, SecretStr(secret) if secret else None)
    return _rehearse(provider, config, login, password)


def _rehearse(provider: Any, config: ProviderConfig, login: str, password: str | None) -> Result:
    g.db.release()  # no connection is held while a directory takes its time
    with _one_of_few():
        rehearsal = rehearse_directory(provider, login, password)
    identity = rehearsal.identity
    return Result(rehearsal, preview(identity, config) if identity is not None else None)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _under_way.acquire(blocking=False):
        raise Busy("other rehearsals are under way")
    try:
        yield
    finally:
        _under_way.release()


def _as_dict(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "ok": step.ok,
        "milliseconds": step.milliseconds,
        "fault": step.fault.value if step.fault else None,
        "explanation": str(step.fault.explanation) if step.fault else None,
        "detail": step.detail,
    }

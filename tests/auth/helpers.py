"""What the tests of identity and permissions share."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, TypeVar

from flask import Flask, g
from werkzeug.test import TestResponse

from auth.models import User
from auth.roles import grant_role
from tenants.context import bound
from tenants.lifecycle import find_tenant
from tests.auth.authenticator import AuthenticatorApp, Passkeys
from tests.factories import Person, Workspace
from tests.visitor import Visitor

T = TypeVar("T")
JSON = {"Accept": "application/json"}
NEW_PASSWORD = "quite another horse battery"


@contextmanager
def inside(app: Flask, workspace: Workspace) -> Iterator[Any]:
    """The workspace bound as it is now; gives its session."""
    with app.app_context(), bound(find_tenant(workspace.slug)) as session:
        yield session


def row_of(person: Person) -> User:
    """The person's row, of the bound workspace."""
    user: User | None = g.db.find(User, person.id)
    assert user is not None
    return user


def change(app: Flask, workspace: Workspace, person: Person, **values: Any) -> None:
    """Change a user behind the application's back."""
    with inside(app, workspace):
        for name, value in values.items():
            setattr(row_of(person), name, value)


def grant(app: Flask, workspace: Workspace, person: Person, role: str, **options: Any) -> None:
    """Give somebody a role, as the command line does."""
    with inside(app, workspace):
        grant_role(row_of(person), role, actor=None, **options)


def mail_to(app: Flask, address: str) -> list[Any]:
    """The messages sent to that address so far."""
    outbox = getattr(app.extensions["mailman"], "outbox", [])  # made with the first message
    return [message for message in outbox if message.to == [address]]


def link_in(message: Any) -> str:
    """The first address in the text of a message."""
    found = re.search(r"https?://\S+", message.body)
    assert found, message.body
    return found.group()


def path_of(link: str) -> str:
    """A link without scheme and host."""
    return "/" + link.split("/", 3)[3]


def payload(response: TestResponse) -> dict[str, Any]:
    """What Flask-Security answers a program."""
    answer: dict[str, Any] = response.get_json()["response"]
    return answer


def post_json(visitor: Visitor, path: str, body: Any, **options: Any) -> TestResponse:
    return visitor.post_json(path, body, headers=JSON | options.pop("headers", {}), **options)


def ask_reset_link(app: Flask, visitor: Visitor, person: Person) -> str:
    """Ask for a new password; gives back the path of the link that was mailed."""
    before = len(mail_to(app, person.email))
    assert visitor.post("/auth/reset", {"email": person.email}).status_code == 200
    messages = mail_to(app, person.email)
    assert len(messages) == before + 1
    return path_of(link_in(messages[-1]))


def set_up_app(app: Flask, visitor: Visitor) -> AuthenticatorApp:
    """Turn the second factor on for whoever is signed in; uses up the code of half a minute ago."""
    started = payload(post_json(visitor, "/auth/tf-setup", {"setup": "authenticator"}))
    authenticator = AuthenticatorApp(app, started["tf_authr_b32key"])
    done = post_json(visitor, f"/auth/tf-setup/{started['tf_state_token']}", {"code": authenticator.code(-1)})
    assert done.status_code == 200, done.text
    return authenticator


def make_recovery_codes(visitor: Visitor) -> list[str]:
    """New recovery codes of whoever is signed in."""
    codes: list[str] = payload(post_json(visitor, "/auth/mf-recovery-codes", {}))["recovery_codes"]
    return codes


def token_on(visitor: Visitor, path: str) -> str:
    """The CSRF token on that page; the sign-in page would forget the first step of a sign-in."""
    found = re.search(r'name="csrf_token"[^>]*?value="([^"]+)"', visitor.get(path).text)
    return found.group(1) if found else ""


def give_code(visitor: Visitor, code: str, path: str = "/auth/tf-validate") -> TestResponse:
    """Take the second step of a sign-in."""
    return visitor.post(path, {"code": code}, csrf=token_on(visitor, path))


def start_passkey(visitor: Visitor, usage: str = "first", name: str = "laptop") -> dict[str, Any]:
    """Begin a registration: the options for the browser and the state token."""
    answer = post_json(visitor, "/auth/wan-register", {"name": name, "usage": usage})
    assert answer.status_code == 200, answer.text
    return payload(answer)


def add_passkey(visitor: Visitor, usage: str = "first", name: str = "laptop", **options: Any) -> Passkeys:
    """Register a passkey for whoever is signed in."""
    device = Passkeys(visitor.base, **options)
    begun = start_passkey(visitor, usage, name)
    credential = device.create(begun["credential_options"])
    done = post_json(visitor, f"/auth/wan-register/{begun['wan_state']}", {"credential": credential})
    assert done.status_code == 200, done.text
    return device


def ask_passkey(visitor: Visitor, step: str = "wan-signin") -> dict[str, Any]:
    """Begin a sign-in or a step-up with a passkey."""
    answer = post_json(visitor, f"/auth/{step}", {})
    assert answer.status_code == 200, answer.text
    return payload(answer)


def use_passkey(visitor: Visitor, device: Passkeys, step: str = "wan-signin") -> TestResponse:
    """Sign in, or step up, with the device's last passkey."""
    begun = ask_passkey(visitor, step)
    credential = device.get(begun["credential_options"])
    return post_json(visitor, f"/auth/{step}/{begun['wan_state']}", {"credential": credential})


def at_once(works: list[Callable[[], T]]) -> list[T]:
    """Run all at the same time, each in a thread of its own; gives back what they return."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))

"""Many requests at once: nobody is served as somebody else."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from flask import Flask

from auth import cookies, sessions
from auth.models import LoginSession, User
from tenants.context import bound
from tests.factories import ROLES, make_project, make_workspace

TENANTS, REQUESTS, THREADS = 20, 200, 16


@dataclass(frozen=True)
class Caller:
    """Somebody signed in, and what they should be told."""

    host: str
    slug: str
    email: str
    role: str
    cookie: str


def callers(app: Flask) -> list[Caller]:
    made = []
    for _ in range(TENANTS):
        workspace = make_workspace(app)
        make_project(app, workspace, f"of {workspace.slug}")
        with app.app_context(), bound(workspace.tenant) as session:
            for role in ROLES:
                person = workspace.people[role]
                token, row = sessions.issue(person.id, "threads")
                session.add(LoginSession(**row))
                user = session.find(User, person.id)
                assert user is not None
                cookie, _csrf = cookies.write(app, workspace.host, user.fs_uniquifier, token)
                made.append(Caller(workspace.host, workspace.slug, person.email, role, cookie))
    return made


def faults(app: Flask, caller: Caller) -> list[str]:
    """What a caller was told that is not theirs."""
    client = app.test_client(use_cookies=False)
    base, headers = f"http://{caller.host}", {"Cookie": caller.cookie}
    found = []
    me = client.get("/api/v1/me", base_url=base, headers=headers).json
    if (me["tenant"]["slug"], me["user"]["email"], me["roles"]) != (caller.slug, caller.email, [caller.role]):
        found.append(f"{caller.email} is told to be {me['user']['email']} of {me['tenant']['slug']}")
    if ("project:create" in me["permissions"]) != (caller.role != "viewer"):
        found.append(f"{caller.email} is told to hold {me['permissions']}")
    listed = client.get("/api/v1/projects", base_url=base, headers=headers).json
    if [project["name"] for project in listed["items"]] != [f"of {caller.slug}"]:
        found.append(f"{caller.email} is shown {listed['items']}")
    page = client.get("/", base_url=base, headers=headers).get_data(as_text=True)
    if f"of {caller.slug}" not in page:
        found.append(f"{caller.email} is given another page")
    return found


def test_no_tenant_user_or_permission_is_mixed_up(app: Flask) -> None:
    everybody = callers(app)
    chosen = random.Random(7).choices(everybody, k=REQUESTS)
    with ThreadPoolExecutor(THREADS) as pool:
        found = [fault for told in pool.map(lambda caller: faults(app, caller), chosen) for fault in told]
    assert found == []
    assert app.extensions["tenants"].engines.shared.pool.checkedout() == 0


def test_writes_at_once_are_each_in_their_own_tenant(app: Flask) -> None:
    writers = [caller for caller in callers(app) if caller.role == "owner"]

    def write(caller: Caller) -> int:
        client = app.test_client()
        name, _, value = caller.cookie.partition("=")
        client.set_cookie(name, value, domain=caller.host)
        base = f"http://{caller.host}"
        page = client.get("/account/", base_url=base).get_data(as_text=True)
        token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        body = {"name": f"by {caller.slug}"}
        return client.post(
            "/api/v1/projects", base_url=base, json=body, headers={"X-CSRFToken": token, "Origin": base}
        ).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(write, writers * 3)) == {201}
    for caller in writers:
        listed = app.test_client(use_cookies=False).get(
            "/api/v1/projects", base_url=f"http://{caller.host}", headers={"Cookie": caller.cookie}
        )
        names = [project["name"] for project in listed.json["items"]]
        assert sorted(names) == [f"by {caller.slug}"] * 3 + [f"of {caller.slug}"]

"""Limits of requests: by address, by caller and by tenant, and what is said of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import limits.storage
import pytest
from flask import Flask
from limits.errors import ConfigurationError
from limits.storage import MemoryStorage
from redis import Redis
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from auth import api_tokens
from auth.bearer import PERSONAL
from config.plans import DEFAULT_PLAN
from saas import create_app
from saas.limits import SIGN_IN
from tenants.lifecycle import suspend_tenant
from tenants.models import TenantRow
from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.scim.conftest import SETTINGS, provider_for
from tests.conftest import Database
from tests.factories import make_workspace
from tests.servers import redis as redis_server
from tests.servers import require
from tests.visitor import Visitor, sign_in

ME = "/api/v1/me"
PLENTY = {"address": 1000, "caller": 1000, "tenant": 1000, "sign_in": 1000}
REDIS = "redis://redis.example"


@pytest.fixture
def made(sqlite_database: Database) -> Iterator[Any]:
    """Makes applications whose plan is as given."""
    apps = []

    def make(*, redis_url: str = "", plans: Any = None, **plan: int) -> Flask:
        settings = sqlite_database.settings(plans=plans or {DEFAULT_PLAN: PLENTY | plan}, redis_url=redis_url)
        apps.append(create_app(settings))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["tenants"].engines.dispose()


class Unreachable(MemoryStorage):
    """Redis that is away for as long as `away`."""

    away = True

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri)
        type(self).options = options

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if self.away:
            raise ConnectionError("Connection refused")
        return super().incr(key, expiry, amount)

    def check(self) -> bool:
        return not self.away


def statuses(visitor: Visitor, times: int, path: str = ME) -> list[int]:
    return [visitor.get(path).status_code for _ in range(times)]


def told(answer: TestResponse) -> tuple[str | None, str | None]:
    return answer.headers.get("RateLimit-Limit"), answer.headers.get("RateLimit-Remaining")


def test_a_caller_is_refused_beyond_the_limit_with_a_problem(made: Any) -> None:
    app = made(caller=2)
    member = sign_in(app, make_workspace(app))  # asks for /me once
    assert member.get(ME).status_code == 200
    answer = member.get(ME)
    assert (answer.status_code, answer.mimetype) == (429, "application/problem+json")
    assert answer.json["status"] == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["X-Request-ID"]


def test_every_limited_answer_tells_what_is_left(made: Any) -> None:
    app = made(caller=10)
    member = sign_in(app, make_workspace(app))
    answer = member.get(ME)
    assert told(answer) == ("10", "8")
    assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
    assert "Retry-After" not in answer.headers


def test_pages_are_not_limited(made: Any) -> None:
    app = made(address=1, caller=1, tenant=1)
    workspace = make_workspace(app)
    member = Visitor(app, workspace.host)
    assert member.sign_in(workspace.people["member"]).status_code == 302
    assert {member.get("/account/").status_code for _ in range(3)} == {200}
    assert told(member.get("/account/")) == (None, None)


def test_another_caller_has_a_limit_of_their_own(made: Any) -> None:
    app = made(caller=2)
    workspace = make_workspace(app)
    assert statuses(sign_in(app, workspace, "member"), 2) == [200, 429]
    assert statuses(sign_in(app, workspace, "viewer"), 1) == [200]


def test_all_callers_together_have_the_tenants(made: Any) -> None:
    app = made(tenant=3)
    workspace = make_workspace(app)
    assert statuses(sign_in(app, workspace, "member"), 1) == [200]
    assert statuses(sign_in(app, workspace, "viewer"), 1) == [429]
    assert statuses(sign_in(app, make_workspace(app), "viewer"), 1) == [200]


def test_who_is_refused_is_counted_by_address(made: Any) -> None:
    app = made(address=2)
    visitor = Visitor(app, make_workspace(app).host)
    assert statuses(visitor, 3) == [401, 401, 429]
    assert statuses(Visitor(app, visitor.host, "192.0.2.7"), 1) == [401]


def test_where_there_is_nothing_is_counted_too(made: Any) -> None:
    app = made(address=2)
    visitor = Visitor(app, make_workspace(app).host)
    assert statuses(visitor, 3, "/api/v1/nothing") == [404, 404, 429]


def test_a_suspended_workspace_is_counted_too(made: Any) -> None:
    app = made(address=2)
    workspace = make_workspace(app)
    with app.app_context():
        suspend_tenant(workspace.slug)
    visitor = Visitor(app, workspace.host)
    assert told(visitor.get(ME)) == ("2", "1")
    assert statuses(visitor, 2) == [403, 429]
    assert statuses(Visitor(app, workspace.host, "192.0.2.7"), 1) == [403]


def test_strangers_do_not_use_up_the_tenants(made: Any) -> None:
    app = made(tenant=2)
    workspace = make_workspace(app)
    assert statuses(Visitor(app, workspace.host), 5) == [401] * 5
    assert statuses(sign_in(app, workspace), 1) == [200]


def test_an_address_has_a_count_for_each_tenant(made: Any) -> None:
    app = made(address=1)
    assert statuses(Visitor(app, make_workspace(app).host), 2) == [401, 429]
    assert statuses(Visitor(app, make_workspace(app).host), 1) == [401]


def test_addresses_of_one_network_of_ipv6_are_one(made: Any) -> None:
    app = made(address=1)
    workspace = make_workspace(app)
    assert statuses(Visitor(app, workspace.host, "2001:db8:0:1::1"), 1) == [401]
    assert statuses(Visitor(app, workspace.host, "2001:db8:0:1:ffff::2"), 1) == [429]
    assert statuses(Visitor(app, workspace.host, "2001:db8:0:2::1"), 1) == [401]


def test_signing_in_has_a_smaller_limit_also_with_the_right_password(made: Any) -> None:
    app = made(sign_in=2)
    workspace = make_workspace(app)
    found = [Visitor(app, workspace.host).sign_in(workspace.people["member"]).status_code for _ in range(3)]
    assert found == [302, 302, 429]
    assert Visitor(app, workspace.host).get("/auth/login").status_code == 200
    elsewhere = Visitor(app, workspace.host, "192.0.2.7")
    assert elsewhere.sign_in(workspace.people["member"]).status_code == 302


def test_whoever_is_refused_at_the_form_gets_a_page(made: Any) -> None:
    app = made(sign_in=1)
    workspace = make_workspace(app)
    visitor = Visitor(app, workspace.host)
    visitor.sign_in(workspace.people["member"])
    answer = Visitor(app, workspace.host).sign_in(workspace.people["member"])
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_rules_of_signing_in_are_rules(app: Flask) -> None:
    assert {rule.rule for rule in app.url_map.iter_rules()} >= SIGN_IN


def test_the_limits_are_those_of_the_tenants_plan(made: Any) -> None:
    app = made(plans={DEFAULT_PLAN: PLENTY, "small": PLENTY | {"caller": 1}})
    small, unknown = make_workspace(app), make_workspace(app)
    for workspace, plan in ((small, "small"), (unknown, "of a former price list")):
        with inside(app, workspace) as session:
            session.get(TenantRow, workspace.tenant.id).plan = plan
            session.get(TenantRow, workspace.tenant.id).version += 1
            session.commit()
    assert Visitor(app, small.host).sign_in(small.people["member"]).status_code == 302
    member = sign_in(app, unknown)
    assert told(member.get(ME))[0] == "1000"


def test_without_settings_a_demonstration_is_not_held_up(lone_app: Flask) -> None:
    limit, _left = told(Visitor(lone_app, make_workspace(lone_app).host).get(ME))
    assert limit is not None
    assert int(limit) >= 1_000_000


def test_a_refused_request_changes_nothing(made: Any) -> None:
    app = made(caller=2)
    workspace = make_workspace(app)
    member = sign_in(app, workspace, "owner")
    assert member.post_json("/api/v1/projects", {"name": "One"}).status_code == 201
    assert member.post_json("/api/v1/projects", {"name": "Two"}).status_code == 429
    assert "Two" not in member.get("/projects/").text


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> type[Unreachable]:
    kind = type("Redis", (Unreachable,), {"STORAGE_SCHEME": None})
    monkeypatch.setitem(limits.storage.SCHEMES, "redis", kind)
    return kind


def test_redis_that_is_away_refuses_nobody_and_is_logged(
    made: Any, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = made(redis_url=REDIS, caller=3)
    workspace = make_workspace(app)
    with capture_logs() as logs:
        member = sign_in(app, workspace)
        answer = member.get(ME)
    assert answer.status_code == 200
    assert told(answer) == ("3", "1")  # counted in this process
    # Once: it is left alone for a while, so that not each request waits for it.
    assert [line["log_level"] for line in logs if "Redis" in line["event"]] == ["warning"]
    assert statuses(member, 2) == [200, 429]


def test_redis_that_is_back_is_used_again(made: Any, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = made(redis_url=REDIS)
    visitor = Visitor(app, make_workspace(app).host)
    statuses(visitor, 1)
    monkeypatch.setattr(redis, "away", False)
    app.extensions["limits"].spare_until = 0.0  # the while is over
    statuses(visitor, 1)
    assert len(app.extensions["limits"].storage.storage) == 1


def test_redis_that_goes_while_a_request_is_answered_spoils_no_answer(
    made: Any, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = made(redis_url=REDIS)
    monkeypatch.setattr(redis, "away", False)
    member = sign_in(app, make_workspace(app))

    def fail(_storage: Any, _key: str) -> int:
        raise ConnectionError

    monkeypatch.setattr(redis, "get_expiry", fail)
    monkeypatch.setattr(redis, "incr", lambda *_values, **_named: 1)
    answer = member.get(ME)
    assert answer.status_code == 200
    assert told(answer) == ("1000", "999")
    assert "RateLimit-Reset" not in answer.headers


def test_all_processes_count_together_in_redis(made: Any, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "away", False)
    one, other = made(redis_url=REDIS, caller=2), made(redis_url=REDIS, caller=2)
    other.extensions["limits"].storage = one.extensions["limits"].storage
    workspace = make_workspace(one)
    assert statuses(sign_in(one, workspace), 1) == [200]
    assert Visitor(other, workspace.host).sign_in(workspace.people["member"]).status_code == 302
    assert all(str(workspace.tenant.id) in key for key in one.extensions["limits"].storage.storage)
    member = Visitor(other, workspace.host)
    member.sign_in(workspace.people["member"])
    assert statuses(member, 1) == [429]


@pytest.fixture(scope="module")
def real_redis() -> Iterator[str]:
    with ExitStack() as stack:
        yield require(lambda: stack.enter_context(redis_server.start()))


def test_processes_count_together_in_a_real_redis_and_windows_end_there(made: Any, real_redis: str) -> None:
    one, other = made(redis_url=real_redis, caller=3), made(redis_url=real_redis, caller=3)
    workspace = make_workspace(one)
    member = sign_in(one, workspace)  # asks for /me once
    elsewhere = Visitor(other, workspace.host)
    elsewhere.take_cookies(member.cookies())
    assert told(member.get(ME)) == ("3", "1")
    answer = elsewhere.get(ME)
    assert told(answer) == ("3", "0")
    assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
    assert statuses(member, 1) == [429]
    with Redis.from_url(real_redis) as client:
        keys = [key for key in client.scan_iter() if str(workspace.tenant.id).encode() in key]
        assert keys
        assert all(0 < client.ttl(key) <= 60 for key in keys)


def test_redis_is_not_waited_for(made: Any, redis: Any) -> None:
    made(redis_url=REDIS)
    assert 0 < redis.options["socket_timeout"] <= 1
    assert 0 < redis.options["socket_connect_timeout"] <= 1


def test_redis_without_its_client_is_said_when_the_application_is_made(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_values: Any, **_options: Any) -> None:
        raise ConfigurationError("'redis' prerequisite not available")

    monkeypatch.setitem(limits.storage.SCHEMES, "redis", missing)
    with pytest.raises(ConfigurationError, match="redis"):
        made(redis_url=REDIS)


def test_a_provisioning_token_is_a_caller(made: Any) -> None:
    app = made(caller=1)
    workspace = make_workspace(app)
    provider = provider_for(app, workspace, sources.add(app, workspace, "work", "oidc", SETTINGS, secret="secret"))
    assert provider.get("/Users").status_code == 200
    answer = provider.get("/Users")
    assert (answer.status_code, answer.mimetype) == (429, "application/scim+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert told(answer) == ("1", "0")


def test_a_personal_token_is_a_caller_of_its_own(made: Any) -> None:
    app = made(caller=2)
    workspace = make_workspace(app)
    member = sign_in(app, workspace)
    with inside(app, workspace) as session:
        _row, secret = api_tokens.issue(
            workspace.people["member"].id, kind=PERSONAL, permissions=["member:read"], expires_at=None, name="script"
        )
        session.commit()
    base, headers = workspace.url, {"Authorization": f"Bearer {secret}"}
    found = [app.test_client().get(ME, base_url=base, headers=headers).status_code for _ in range(3)]
    assert found == [200, 200, 429]
    assert statuses(member, 1) == [200]


def test_guessed_tokens_are_counted_by_address(made: Any) -> None:
    app = made(address=2)
    base = make_workspace(app).url
    found = [
        app.test_client().get(ME, base_url=base, headers={"Authorization": f"Bearer tnt_pat_{n}"}).status_code
        for n in range(3)
    ]
    assert found == [401, 401, 429]


@pytest.mark.parametrize("path", ["/oauth/token", "/api/v1/auth/token"])
def test_programs_that_ask_for_tokens_are_told_so_as_programs(made: Any, path: str) -> None:
    app = made(sign_in=1)
    base = make_workspace(app).url
    for _ in range(2):
        answer = app.test_client().post(path, base_url=base, data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.mimetype) == (429, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1

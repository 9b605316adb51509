"""Every operation of the API, driven by its own description: no 5xx, and no answer that is not described."""

import hashlib
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode

from saas import openapi
from tests.factories import Workspace, make_project, make_workspace
from tests.visitor import Visitor

EXAMPLES = {"owner": 8, "viewer": 3, "nobody": 2}
"""Requests with what is described, and as many with something else, for each operation: fewer of whom it refuses."""

quickly = settings(
    deadline=None,
    derandomize=True,  # the same requests in every run; a wider search is a change of EXAMPLES away
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def described(postgres_app: Flask) -> dict[str, Any]:
    with postgres_app.app_context():
        return openapi.describe(postgres_app)


def bearer(app: Flask, workspace: Workspace, role: str) -> dict[str, str]:
    """The headers of somebody who has signed in by API; none of nobody."""
    if role not in workspace.people:
        return {}
    person = workspace.people[role]
    given = {"grant": "password", "username": person.email, "password": person.password}
    answer = Visitor(app, workspace.host).client.post("/api/v1/auth/token", json=given, base_url=workspace.url)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def drive(operation: Any, headers: dict[str, str], mode: GenerationMode, examples: int) -> None:
    """Send requests to one operation."""

    @settings(quickly, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        # What is left of an answer then is no whole one; tests/saas/test_operations.py looks at it.
        (case.query or {}).pop("fields", None)
        case.call_and_validate(headers=headers)

    send()


def test_the_description_is_openapi(described: dict[str, Any]) -> None:
    validate(described)


def test_every_operation_says_what_it_is_what_it_needs_and_gives_examples(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method, each in methods.items():
            assert each["summary"], (method, path)
            assert each["description"], (method, path)
            assert each["tags"][0], (method, path)
            assert "requestBody" not in each or "example" in each["requestBody"]["content"]["application/json"]
            assert len([status for status in each["responses"] if status < "300"]) >= 1
            assert not each["security"] or {"401", "403"} <= set(each["responses"])


def test_no_two_operations_have_one_name(described: dict[str, Any]) -> None:
    names = [each["operationId"] for methods in described["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.postgres
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("role", ["owner", "viewer", "nobody"])
def test_no_answer_is_undescribed(postgres_app: Flask, described: dict[str, Any], role: str, part: int) -> None:
    schema = schemathesis.openapi.from_dict(described)
    schema.app = postgres_app
    schema.config.update(base_url="http://localhost")
    # A schema cannot say all: that a name is free, a time in the future, or what an If-Match has to name.
    schema.config.checks.negative_data_rejection.expected_statuses += ["413"]  # too long is too large
    schema.config.checks.positive_data_acceptance.expected_statuses += ["400", "412", "422"]
    failures: list[str] = []
    driven = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if hashlib.sha256(operation.label.encode()).digest()[0] % 4 != part:
            continue
        driven += 1
        workspace = make_workspace(postgres_app)  # its own: what an operation does disturbs no other
        make_project(postgres_app, workspace)
        headers = {"Host": workspace.host, **bearer(postgres_app, workspace, role)}
        for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):  # what is right may end the session
            try:
                drive(operation, headers, mode, EXAMPLES[role])
            except (Exception, BaseExceptionGroup) as error:
                failures.append(f"{operation.label} ({mode.value}): {_told(error)}")
    assert driven
    assert not failures, "\n\n".join(failures)


def _told(error: BaseException) -> str:
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
    return "\n".join(f"{part!s:.2000}" for part in parts)

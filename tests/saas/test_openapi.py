"""The description itself: what its examples are worth, and that everything in it is named and told."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from saas import openapi
from saas.problems import BY_STATUS, MEANINGS, PAGE
from tests.factories import Workspace
from tests.program import Program

HERE = "urn:description"
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@pytest.fixture(scope="module")
def described(lone_app: Flask) -> dict[str, Any]:
    with lone_app.app_context():
        return openapi.describe(lone_app)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, each in methods.items():
            yield f"{method.upper()} {path}", each


def contents(described: dict[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where examples stand: of bodies, of answers, and of refusals."""
    for name, each in operations(described):
        found = {"body": each.get("requestBody", {}), **each["responses"], **described["components"]["responses"]}
        for what, held in found.items():
            for content in held.get("content", {}).values():
                yield f"{name} {what}", content


def elsewhere(value: Any) -> Any:
    """A part of the description whose references lead into it from outside."""
    if isinstance(value, dict):
        return {
            name: f"{HERE}{part}" if name == "$ref" and isinstance(part, str) else elsewhere(part)
            for name, part in value.items()
        }
    return [elsewhere(part) for part in value] if isinstance(value, list) else value


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from names_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from names_in(part)


def test_every_example_fits_its_schema(described: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(HERE, Resource(described, DRAFT202012))
    wrong = [
        f"{where}: {fault.json_path}: {fault.message}"
        for where, content in contents(described)
        for fault in Draft202012Validator(
            elsewhere(content["schema"]), registry=registry, format_checker=FormatChecker()
        ).iter_errors(content["example"])
    ]
    assert not wrong, "\n".join(wrong)


def test_every_parameter_says_what_it_is(described: dict[str, Any]) -> None:
    bare = [
        f"{name} {one['name']}"
        for name, each in operations(described)
        for one in each["parameters"]
        if not one.get("description")
    ]
    assert not bare, "\n".join(bare)


def test_every_list_gives_the_fields_of_its_items(described: dict[str, Any]) -> None:
    for name, each in operations(described):
        for one in each["parameters"]:
            if one["name"] == "fields":
                assert not re.fullmatch(one["schema"]["pattern"], "items"), name


def test_names_are_in_snake_case(described: dict[str, Any]) -> None:
    fields = {field for _where, content in contents(described) for field in names_in(content["example"])}
    parameters = {
        one["name"] for _n, each in operations(described) for one in each["parameters"] if one["in"] != "header"
    }
    assert not [name for name in fields | parameters if not SNAKE.fullmatch(name)]


def test_every_problem_is_explained_where_its_type_leads(app: Flask, acme: Workspace) -> None:
    page = Program(app, acme.host).get(PAGE)
    assert page.status_code == 200
    assert set(BY_STATUS.values()) <= MEANINGS.keys()
    assert not [kind for kind in MEANINGS if f'id="{kind}"' not in page.text]


def test_a_header_is_told_of_only_where_it_means_something(described: dict[str, Any]) -> None:
    told = {name: [one["name"] for one in each["parameters"]] for name, each in operations(described)}
    assert "Idempotency-Key" in told["POST /api/v1/projects"]
    assert "Idempotency-Key" not in told["POST /api/v1/auth/token"]  # nobody is known whose key it could be
    assert "If-Match" in told["PATCH /api/v1/projects/{project_id}"]
    assert "If-Match" not in told["POST /api/v1/projects"]  # what is made was not seen before

"""Whoever is no administrator is refused every page and every address of the administration, whatever there will be."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.routing import Rule

from auth.permissions import AccessPermission, access_of
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

OF_EVERYBODY = {AccessPermission.MEMBER_READ}
"""Permissions around members that every role has."""


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


def administration(app: Flask) -> Iterator[Rule]:
    """The addresses that take a permission to administer."""
    for rule in app.url_map.iter_rules():
        access = access_of(app, rule.endpoint)
        if access is not None and access.permission in set(AccessPermission) - OF_EVERYBODY:
            yield rule


def address(rule: Rule) -> str:
    """An address of that rule, with ids that nobody has."""
    values = {
        name: uuid.uuid4() if type(converter).__name__ == "UUIDConverter" else "x"
        for name, converter in rule._converters.items()
    }
    built = rule.build(values)
    assert built is not None
    return built[1]


def test_there_are_many(app: Flask) -> None:
    rules = [str(rule) for rule in administration(app)]
    assert len(rules) > 80
    assert all(rule.startswith(("/admin/", "/api/v1/", "/projects/", "/sso/")) for rule in rules)
    assert {str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith("/admin/")} <= set(rules)


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_neither_a_member_nor_a_viewer_gets_in_by_any(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert refused(visitor, app, 403) == []


def test_nor_does_somebody_who_is_not_signed_in(app: Flask, acme: Workspace) -> None:
    assert refused(Visitor(app, acme.host), app, 302, 401) == []


def refused(visitor: Visitor, app: Flask, *expected: int) -> list[tuple[str, str, int]]:
    """The addresses that answer otherwise."""
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    found = []
    for rule in administration(app):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = address(rule)
            answer = visitor.client.open(path, method=method, base_url=visitor.base, headers=headers)
            if answer.status_code not in expected:
                found.append((method, path, answer.status_code))
    return found

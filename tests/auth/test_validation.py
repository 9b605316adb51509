"""What pydantic finds wrong is said in words of ours, in the language of the page."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

import pytest
from flask import Flask
from flask_babel import force_locale
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, create_model

from auth import validation
from auth.providers.kinds import KINDS

WRONG: list[Any] = [
    {"a": 1}, [], ["x"] * 100, "", "a b", "x" * 100_000, "\ud800", -1, 1.5, "nan", float("inf"), 10**30, "many", None,
]  # fmt: skip
"""Values that some setting cannot have."""
VALID: dict[str, dict[str, Any]] = {
    "ldap": {"servers": ["ldaps://ldap.example.com"], "base_dn": "dc=example,dc=com"},
    "oidc": {"issuer": "https://login.example.com", "client_id": "x"},
    "oauth2": {
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "userinfo_endpoint": "https://login.example.com/me",
        "client_id": "x",
    },
    "platform": {"platform": "google"},
}
NOON = "2030-12-31T12:00:00Z"
SETTINGS = [(kind, name) for kind, model in KINDS.items() for name in model.model_fields]


def faults_of(model: type[BaseModel], values: dict[str, Any]) -> Iterator[Any]:
    """What is wrong with those values."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        yield from error.errors()


def said_of(annotation: Any, value: Any) -> str:
    """What is said of a value of that type."""
    [fault] = faults_of(create_model("Model", value=(annotation, ...)), {"value": value})
    return validation.say(fault)


@pytest.mark.parametrize(("kind", "name"), SETTINGS)
def test_every_fault_of_a_setting_has_words_of_ours(kind: str, name: str) -> None:
    types = {
        fault["type"] for value in WRONG for fault in faults_of(KINDS[kind], VALID[kind] | {name: value})
    }  # fmt: skip
    assert types
    assert types <= validation.TEXTS.keys() | {"value_error"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_or_surplus_has_words_of_ours(app: Flask, kind: str) -> None:
    with app.app_context():
        said = {validation.say(fault) for fault in faults_of(KINDS[kind], {"surprise": 1})}
    assert said <= {"must be given", "there is no such field"}


@pytest.mark.parametrize(
    ("annotation", "value", "english", "spanish"),
    [
        (Annotated[int, Field(le=31_536_000)], 10**9, "must be 31,536,000 or less", "debe ser 31.536.000 o menos"),
        (Annotated[float, Field(ge=0.1)], 0, "must be 0.1 or more", "debe ser 0,1 o más"),
        (
            Annotated[str, Field(max_length=3)],
            "long",
            "must not be longer than 3 characters",
            "no puede tener más de 3",
        ),
        (
            Annotated[str, Field(min_length=3)],
            "x",
            "must not be shorter than 3 characters",
            "no puede tener menos de 3",
        ),
        (Annotated[list[int], Field(min_length=2)], [], "must have 2 entries at least", "debe tener al menos 2"),
        (Annotated[str, Field(min_length=1)], "", "must not be empty", "no puede estar vacío"),
        (
            AwareDatetime,
            "tomorrow",
            f"must be a date and time with its zone, such as {NOON}",
            "debe ser una fecha y hora",
        ),
        (AwareDatetime, "2030-12-31T12:00:00", f"must be a date and time with its zone, such as {NOON}", "debe ser"),
        (date, "soon", "must be a date, such as 2030-12-31", "debe ser una fecha"),
        (bool, "perhaps", "must be true or false", "debe ser verdadero o falso"),
        (bytes, 7, "is not a value that can be used here", "no es un valor que se pueda usar aquí"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(
    app: Flask, annotation: Any, value: Any, english: str, spanish: str
) -> None:
    with app.test_request_context(), force_locale("en"):
        assert said_of(annotation, value) == english
    with app.test_request_context(), force_locale("es_ES"):
        assert said_of(annotation, value).startswith(spanish)


def test_choices_are_listed_without_an_english_word(app: Flask) -> None:
    with app.app_context():
        fault = next(faults_of(KINDS["oidc"], VALID["oidc"] | {"prompt": "none"}))
        assert validation.say(fault) == "must be one of '', 'login', 'consent', 'select_account'"

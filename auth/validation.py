"""What pydantic finds wrong with a value, in the language of whoever has given it: a text for each of its error types.

The types and what each holds in its context: https://docs.pydantic.dev/latest/errors/validation_errors/
"""

from collections.abc import Mapping
from typing import Any

from flask_babel import format_decimal, lazy_gettext
from flask_babel.speaklater import LazyString

_NUMBER = lazy_gettext("must be a number")
_WHOLE = lazy_gettext("must be a whole number")
_BOOL = lazy_gettext("must be true or false")
_TEXT = lazy_gettext("must be text")
_LIST = lazy_gettext("must be a list")
_OBJECT = lazy_gettext("must be an object")
_DATE = lazy_gettext("must be a date, such as 2030-12-31")
_MOMENT = lazy_gettext("must be a date and time with its zone, such as 2030-12-31T12:00:00Z")
_EMPTY = lazy_gettext("must not be empty")
_ONE_OF = lazy_gettext("must be one of %(expected)s")

TEXTS: Mapping[str, LazyString] = {
    "bool_parsing": _BOOL,
    "bool_type": _BOOL,
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_parsing": _DATE,
    "date_type": _DATE,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_type": _MOMENT,
    "dict_type": _OBJECT,
    "enum": _ONE_OF,
    "extra_forbidden": lazy_gettext("there is no such field"),
    "finite_number": _NUMBER,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": lazy_gettext("must be greater than %(gt)s"),
    "greater_than_equal": lazy_gettext("must be %(ge)s or more"),
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "less_than": lazy_gettext("must be less than %(lt)s"),
    "less_than_equal": lazy_gettext("must be %(le)s or less"),
    "list_type": _LIST,
    "literal_error": _ONE_OF,
    "missing": lazy_gettext("must be given"),
    "model_type": _OBJECT,
    "string_pattern_mismatch": lazy_gettext("holds a character that is not allowed here"),
    "string_sub_type": _TEXT,
    "string_too_long": lazy_gettext("must not be longer than %(max_length)s characters"),
    "string_too_short": lazy_gettext("must not be shorter than %(min_length)s characters"),
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "timezone_aware": _MOMENT,
    "too_long": lazy_gettext("must have %(max_length)s entries at most"),
    "too_short": lazy_gettext("must have %(min_length)s entries at least"),
    "tuple_type": _LIST,
    "uuid_parsing": lazy_gettext("must be an id"),
    "uuid_type": lazy_gettext("must be an id"),
}
"""By error type; a type that is not here is said in general words."""

_OTHERWISE = lazy_gettext("is not a value that can be used here")


def say(fault: Mapping[str, Any]) -> str:
    """What is wrong, of one of a ValidationError's `errors()`; a ValueError of our own says it itself."""
    context = fault.get("ctx") or {}
    if isinstance(own := context.get("error"), ValueError):
        return str(own)
    text = _EMPTY if context.get("min_length") == 1 else TEXTS.get(fault["type"], _OTHERWISE)
    return str(text) % {name: _as_text(value) for name, value in context.items()}


def about(setting: str, said: str) -> str:
    """What is wrong with a setting, as the errors of this package hold it; several are joined by semicolons."""
    return f"{setting}: {said.replace('; ', ', ')}"


def _as_text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number: str = format_decimal(value)
        return number
    return str(value).replace("' or '", "', '")  # of choices: the word is English

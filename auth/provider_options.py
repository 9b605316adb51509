"""The options of `flask --app saas providers add` and `change`: one for each setting of each kind of source."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, get_origin

import click
from pydantic.fields import FieldInfo

from auth.errors import InvalidProvider
from auth.providers import configs
from auth.providers.kinds import KINDS
from tenants.cli import read_password


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each setting of every kind of source, collected in the argument `settings`."""
    fields = dict(_fields())

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in fields}
        settings = {name: value for name, value in given.items() if value not in (None, ())}
        return command(*args, settings=settings, **kwargs)

    decorated: Callable[..., Any] = wrapped
    for name, (field, kinds) in reversed(fields.items()):
        decorated = _option(name, field, kinds)(decorated)
    return decorated


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that every kind of source has."""
    for option in (
        click.option("--label", help="Its name for people. Default: the name."),
        click.option("--domain", "domains", multiple=True, help="E-mail domain of its people. May be repeated."),
        click.option("--creates-users", type=click.Choice(configs.CREATES_USERS), help="When users are made."),
        click.option("--most-departures", type=click.IntRange(0, 100), help="Per cent that one sync may deactivate."),
        click.option("--secret-stdin", is_flag=True, help="Read the password or secret from standard input."),
        click.option("--secret-file", type=click.File("r"), help="Read it from a file: its first line, or a PEM key."),
    ):
        command = option(command)
    return command


def read_secret(from_stdin: bool, file: Any) -> str | None:
    """The secret that was given, if one was."""
    if file is not None:
        text = str(file.read())
        return text if text.startswith("-----BEGIN") else text.partition("\n")[0].rstrip("\r")
    return read_password() if from_stdin else None


def check_kind(kind: str, settings: Mapping[str, Any]) -> None:
    """Raise InvalidProvider for a setting that sources of that kind do not have."""
    others = sorted(settings.keys() - KINDS[kind].model_fields.keys())
    if others:
        raise InvalidProvider(f"no setting of a source of the kind {kind}: {', '.join(others)}")


def _fields() -> Iterator[tuple[str, tuple[FieldInfo, str]]]:
    names: dict[str, tuple[FieldInfo, list[str]]] = {}
    for kind, model in KINDS.items():
        for name, field in model.model_fields.items():
            names.setdefault(name, (field, []))[1].append(kind)
    for name, (field, kinds) in names.items():
        yield name, (field, ", ".join(kinds))


def _option(name: str, field: FieldInfo, kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    help_text = f"{field.description or ''} [{kinds}]"
    if field.annotation is bool:
        flag = name.replace("_", "-")
        return click.option(f"--{flag}/--no-{flag}", name, default=None, help=help_text)
    if name == "ca_bundle":
        return click.option("--ca-bundle", name, type=click.File("r"), callback=_read_file, help=help_text)
    many = get_origin(field.annotation) is tuple
    flag = f"--{name.replace('_', '-').removesuffix('s' if many else '')}"
    return click.option(flag, name, multiple=many, help=help_text + (" May be repeated." if many else ""))


def _read_file(_context: click.Context, _parameter: click.Parameter, value: Any) -> str | None:
    return value.read() if value is not None else None

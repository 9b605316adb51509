"""`flask --app saas policy ...`: a tenant's rules of signing in, also for when they have shut everybody out."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, get_args, get_origin

import click
from flask.cli import AppGroup
from pydantic.fields import FieldInfo

from auth.cli import in_tenant
from auth.policy import DEFAULT, Policy, current
from auth.policy_changes import change_policy
from tenants.cli import as_json

policy = AppGroup("policy", help="Show and set a tenant's rules of signing in, and take them back.")
"""The command group."""

TAKEN_BACK = "default"
"""The value of an option that takes its rule back."""


def _of_tenant(command: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command in the tenant that it names, as its argument or by --tenant."""
    inner = in_tenant(command)

    @click.argument("named", metavar="[TENANT]", required=False)
    @wraps(inner)
    def wrapped(*args: Any, named: str | None, slug: str | None, **kwargs: Any) -> Any:
        if named and slug:
            raise click.UsageError("name the tenant once")
        return inner(*args, slug=slug or named, **kwargs)

    return wrapped


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    many = get_origin(field.annotation) is tuple
    flag = f"--{name.removesuffix('s' if many else '').replace('_', '-')}"
    inner = get_args(field.annotation)[0] if many else field.annotation
    offered = get_args(inner) if get_origin(inner) is Literal else ()
    help_text = f"{field.description} {'May be repeated.' if many else ''}".strip()
    kind = click.Choice([*offered, TAKEN_BACK]) if offered else str
    return click.option(flag, name, type=kind, multiple=many, help=help_text)


def _meant(name: str, value: Any) -> Any:
    """The rule that is meant by what was typed: as `Policy` takes it, which says what is wrong with it."""
    return getattr(DEFAULT, name) if value in (TAKEN_BACK, (TAKEN_BACK,)) else value


def rule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each rule, collected in the argument `rules`."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in Policy.model_fields}
        rules = {name: _meant(name, value) for name, value in given.items() if value not in (None, ())}
        return command(*args, rules=rules, **kwargs)

    decorated: Callable[..., Any] = wrapped
    for name, field in reversed(Policy.model_fields.items()):
        decorated = _option(name, field)(decorated)
    return decorated


@policy.command("show")
@as_json
@_of_tenant
def show(as_json: bool) -> None:
    """Show the rules."""
    rules = current().model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(rules, indent=2))
        return
    for name, value in rules.items():
        said = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<22}{'as the installation has it' if said in (None, '') else said}")


@policy.command("set")
@rule_options
@_of_tenant
def set_(rules: dict[str, Any]) -> None:
    """Set the rules that are given; the others stay. The value "default" takes one back.

    Refused are rules by which no owner could sign in.
    """
    if not rules:
        raise click.UsageError("give a rule; `policy set --help` lists them")
    change_policy(rules, actor=None)
    click.echo(f"set: {', '.join(sorted(rules))}")


@policy.command("reset")
@_of_tenant
def reset() -> None:
    """Take all rules back: everything is as the installation has it."""
    change_policy(DEFAULT.model_dump(), actor=None)
    click.echo("reset")

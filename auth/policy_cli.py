"""`flask --app saas policy ...`: a tenant's rules of signing in, for when they have shut everybody out."""

import json

import click
from flask.cli import AppGroup

from auth.cli import in_tenant
from auth.policy import Policy, current
from auth.policy_changes import change_policy
from tenants.cli import as_json

policy = AppGroup("policy", help="Show a tenant's rules of signing in, and take them back.")
"""The command group."""


@policy.command("show")
@as_json
@in_tenant
def show(as_json: bool) -> None:
    """Show the rules."""
    rules = current().model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(rules, indent=2))
        return
    for name, value in rules.items():
        said = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<22}{'as the installation has it' if said in (None, '') else said}")


@policy.command("reset")
@in_tenant
def reset() -> None:
    """Take all rules back: everything is as the installation has it."""
    change_policy(Policy().model_dump(), actor=None)
    click.echo("reset")

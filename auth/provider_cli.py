"""`flask --app saas providers ...`: the identity sources of a tenant, named by --tenant."""

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask.cli import AppGroup

from auth import descriptions, groups, journeys, linking, provisional, rehearsals
from auth import users as users_service
from auth.cli import in_tenant
from auth.errors import SourceUnavailable, WrongCredentials
from auth.provider_options import check_kind, policy_options, read_secret, settings_options
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.providers.kinds import KINDS
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs, provider_of
from auth.sync import Report, Sync
from tenants.cli import as_json, read_password

providers = AppGroup(
    "providers", help="Connect a tenant's directories and web sources: add, test, enable, map groups, enforce, sync."
)
"""The command group."""


def say_faults(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a directory's fault into one line, in its own words, and exit code 1."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SourceUnavailable as error:
            explanation = getattr(getattr(error, "fault", None), "explanation", "The source cannot be asked.")
            raise click.ClickException(f"{explanation} ({error})") from error

    return wrapped


@providers.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), default="ldap", show_default=True)
@policy_options
@settings_options
@in_tenant
def add(name: str, kind: str, settings: dict[str, Any], secret_stdin: bool, secret_file: Any, **policy: Any) -> None:
    """Configure a source, switched off until `providers enable`."""
    secret = read_secret(secret_stdin, secret_file)
    check_kind(kind, settings)
    given = {key: value for key, value in policy.items() if value not in (None, ())}
    config = configs.add_provider(name, kind, settings, actor=None, secret=secret, **given)
    if not config.is_web:
        click.echo(f"{config.name}: added, switched off. Next: providers test {config.name} SOMEBODY, providers enable")
        return
    click.echo(f"{config.name}: added, switched off and provisional")
    _say_addresses(config)


@providers.command("change")
@click.argument("name")
@policy_options
@settings_options
@in_tenant
def change(name: str, settings: dict[str, Any], secret_stdin: bool, secret_file: Any, **policy: Any) -> None:
    """Change what is given; the rest stays."""
    config = configs.get_config(name)
    check_kind(config.kind, settings)
    changes = {key: value for key, value in policy.items() if value not in (None, ())}
    if settings:
        preset = settings.get("preset", config.settings.get("preset"))
        kept = config.settings if preset == config.settings.get("preset") else {}
        changes["settings"] = {**kept, **settings}
    if (secret := read_secret(secret_stdin, secret_file)) is not None:
        changes["secret"] = secret
    configs.change_provider(config, actor=None, **changes)
    provisional.end(config)  # operators know what they do
    click.echo(f"{config.name}: changed")


@providers.command("show")
@click.argument("name")
@in_tenant
def show(name: str) -> None:
    """Show a source as JSON, and what has to be registered at a web source."""
    config = configs.get_config(name)
    click.echo(json.dumps(descriptions.as_dict(config), indent=2))
    if config.is_web:
        _say_addresses(config)


@providers.command("list")
@as_json
@in_tenant
def list_(as_json: bool) -> None:
    """List the sources in the order in which they are asked or shown."""
    found = descriptions.as_dicts(list_configs())
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        state = one["state"]
        click.echo(f"{one['name']:<24}{one['kind']:<10}{state:<18}{', '.join(one['domains']) or '-':<30}{one['label']}")
        for mapping in one["mappings"]:
            click.echo(f"  group {mapping['group']} → role {mapping['role']}")


@providers.command("test")
@click.argument("name")
@click.argument("login")
@click.option("--password-stdin", is_flag=True, help="Try the person's password, too, read from standard input.")
@as_json
@in_tenant
@say_faults
def test(name: str, login: str, password_stdin: bool, as_json: bool) -> None:
    """Rehearse the sign-in of LOGIN step by step; nothing is written."""
    password = read_password() if password_stdin else None
    config = configs.get_config(name)
    if config.is_web:
        raise click.ClickException(
            f"it is rehearsed by signing in there: {descriptions.addresses_of(config)['to_rehearse_it']}"
        )
    result = rehearsals.rehearse(config, login, password)
    click.echo(json.dumps(result.as_dict(), indent=2) if as_json else "\n".join(result.lines()))
    if not result.ok:
        sys.exit(1)


@providers.command("enable")
@click.argument("name")
@click.option("--untried", is_flag=True, help="Although nobody has rehearsed a sign-in at that web source yet.")
@in_tenant
def enable(name: str, untried: bool) -> None:
    """Ask the source, from the next sign-in on."""
    configs.enable_provider(configs.get_config(name), actor=None, untried=untried)
    click.echo(f"{name}: on")


@providers.command("disable")
@click.argument("name")
@click.option("--end-sessions", is_flag=True, help="Sign out everybody whom it has vouched for.")
@in_tenant
def disable(name: str, end_sessions: bool) -> None:
    """Ask the source no more: its people do not get in by it until it is enabled again."""
    config = configs.get_config(name)
    ended = configs.disable_provider(config, actor=None, end_sessions=end_sessions)
    provisional.end(config)
    click.echo(f"{name}: off" + (f", {ended} login sessions ended" if end_sessions else ""))


@providers.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_tenant
def remove(name: str, yes: bool) -> None:
    """Forget a source with its groups, their roles and its login sessions; its users stay."""
    config = configs.get_config(name)
    if not yes:
        click.confirm(f"Remove '{name}', its groups and the roles that they give?", abort=True)
    linked = configs.remove_provider(config, actor=None)
    click.echo(f"{name}: removed; {linked} users stay, and get in again by asking for a new password")


@providers.command("enforce")
@click.argument("name")
@click.option("--break-glass", required=True, help="E-mail address of the owner who gets in by their own way, too.")
@in_tenant
def enforce(name: str, break_glass: str) -> None:
    """Have the people of a web source's proved domains sign in through it alone, from their next request on."""
    owner = users_service.get_by_email(break_glass)
    configs.enforce_provider(configs.get_config(name), owner, actor=None)
    click.echo(f"{name}: enforced; {break_glass} gets in all the same, which the owners are told of each time")


@providers.command("relax")
@click.argument("name")
@in_tenant
def relax(name: str) -> None:
    """Let the people of a web source's domains sign in by other ways, too."""
    configs.relax_provider(configs.get_config(name), actor=None)
    click.echo(f"{name}: no longer enforced")


@providers.command("map")
@click.argument("name")
@click.argument("group")
@click.argument("role")
@in_tenant
@say_faults
def map_(name: str, group: str, role: str) -> None:
    """Give the members of a GROUP (of a directory its DN or name; of a web source the word in its claim) a ROLE."""
    config = configs.get_config(name)
    key, short = (group, group) if config.is_web else provider_of(config).find_group(group)
    groups.map_group(config, key, short, role, actor=None)
    click.echo(f"{key} → {role}: from the next sign-in or sync on")


@providers.command("unmap")
@click.argument("name")
@click.argument("group")
@click.argument("role")
@in_tenant
def unmap(name: str, group: str, role: str) -> None:
    """Take a role from the members of a source's GROUP again, from their next request on."""
    config = configs.get_config(name)
    if not groups.unmap_group(config, group, role, actor=None):
        raise click.ClickException(f"group '{group}' of {name} gives no role {role}")
    click.echo(f"{group}: no longer {role}")


@providers.command("link")
@click.argument("name")
@click.argument("login")
@click.argument("email")
@in_tenant
@say_faults
def link(name: str, login: str, email: str) -> None:
    """Join the person whom the source knows as LOGIN with the account EMAIL: you answer that they are one.

    At a web source LOGIN is what never changes of them there, as a rehearsal shows it, without the issuer.
    """
    config = configs.get_config(name)
    user = users_service.get_by_email(email)
    if config.is_web:
        identity = ExternalIdentity(provider=str(config.id), subject=journeys.subject_of(config, login))
        linking.connect_for(user, identity, config, actor=None)
        click.echo(f"{email}: is {identity.subject} from now on, and may sign in there")
        return
    try:
        identity = provider_of(config).find(login)
    except WrongCredentials:
        raise click.ClickException(f"{name} does not know exactly one person '{login}'") from None
    linking.connect_for(user, identity, config, actor=None)
    click.echo(f"{email}: is {identity.place} from now on, and signs in with the password there")


@providers.command("sync")
@click.argument("name")
@click.option("--most-departures", type=click.IntRange(0, 100), help="Per cent that this sync may deactivate.")
@as_json
@in_tenant
@say_faults
def sync(name: str, most_departures: int | None, as_json: bool) -> None:
    """Bring users, groups and roles into line with the directory, and sign out those who have left."""

    def show(report: Report) -> None:
        click.echo(f"\r{report.listed} people read, {len(report.departed)} departed ", nl=False, err=True)

    report = Sync(_directory(name), show).run(most_departures=most_departures)
    click.echo(err=True)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report), indent=2))
        return
    click.echo(
        f"{name}: {report.listed} people in the directory; {report.created} users made, {report.refreshed} refreshed,"
        f" {report.returned} returned, {len(report.departed)} deactivated; memberships: {report.joined} added,"
        f" {report.left} removed"
    )
    for words, names in (
        ("deactivated, for they have left or are disabled there", report.departed),
        ("NOT deactivated, for a workspace keeps its last owner", report.kept),
        ("not made, for an account has their address or they have none", report.conflicts),
        ("mapped groups that the directory does not know", report.unknown_groups),
    ):
        if names:
            click.echo(f"  {words}: {rehearsals.printable(', '.join(names[:20]))}{' ...' if len(names) > 20 else ''}")
    if report.skipped:
        click.echo(f"  {report.skipped} entries lack the attribute by which people are known again")


def _directory(name: str) -> ProviderConfig:
    config = configs.get_config(name)
    if config.is_web:
        raise click.ClickException(f"{name} is a web source: it lists nobody, and its people connect themselves")
    return config


def _say_addresses(config: ProviderConfig) -> None:
    for what, address in descriptions.addresses_of(config).items():
        click.echo(f"  {what.replace('_', ' '):<20}{address}")

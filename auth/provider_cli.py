"""`flask --app saas providers ...`: the directories of a tenant, named by --tenant."""

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask.cli import AppGroup

from auth import groups, linking, rehearsals
from auth import users as users_service
from auth.cli import in_tenant
from auth.errors import SourceUnavailable, WrongCredentials
from auth.providers import configs
from auth.providers.ldap import LdapConfiguration
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs, provider_of
from auth.sync import Report, Sync
from tenants.cli import as_json, read_password

providers = AppGroup("providers", help="Connect a tenant's directories: add, test, enable, map groups, sync.")
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


_HAS_LIST = ("servers", "login_attributes", "email_attributes", "name_attributes", "locale_attributes")


def _read_file(_context: click.Context, _parameter: click.Parameter, value: Any) -> str | None:
    return value.read() if value is not None else None


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each setting of a directory, collected in the argument `settings`."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in LdapConfiguration.model_fields}
        settings = {name: value for name, value in given.items() if value not in (None, ())}
        return command(*args, settings=settings, **kwargs)

    decorated: Callable[..., Any] = wrapped
    for name, field in reversed(LdapConfiguration.model_fields.items()):
        help_text = field.description or ""
        if field.annotation is bool:
            flag = f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}"
            option = click.option(flag, name, default=None, help=help_text)
        elif name == "ca_bundle":
            option = click.option("--ca-bundle", name, type=click.File("r"), callback=_read_file, help=help_text)
        else:
            many = name in _HAS_LIST
            flags = "--server" if name == "servers" else f"--{name.replace('_', '-').removesuffix('s' if many else '')}"
            option = click.option(flags, name, multiple=many, help=help_text + (" May be repeated." if many else ""))
        decorated = option(decorated)
    return decorated


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that every kind of source has."""
    for option in (
        click.option("--label", help="Its name for people. Default: the name."),
        click.option("--domain", "domains", multiple=True, help="E-mail domain of its people. May be repeated."),
        click.option("--creates-users", type=click.Choice(configs.CREATES_USERS), help="When users are made."),
        click.option("--most-departures", type=click.IntRange(0, 100), help="Per cent that one sync may deactivate."),
        click.option("--secret-stdin", is_flag=True, help="Read the service account's password from standard input."),
        click.option("--secret-file", type=click.File("r"), help="Read it from the first line of a file."),
    ):
        command = option(command)
    return command


@providers.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(configs.KINDS)), default="ldap", show_default=True)
@policy_options
@settings_options
@in_tenant
def add(name: str, kind: str, settings: dict[str, Any], secret_stdin: bool, secret_file: Any, **policy: Any) -> None:
    """Configure a directory, switched off until `providers enable`."""
    secret = _secret(secret_stdin, secret_file)
    given = {key: value for key, value in policy.items() if value not in (None, ())}
    config = configs.add_provider(name, kind, settings, actor=None, secret=secret, **given)
    click.echo(f"{config.name}: added, switched off. Next: providers test {config.name} SOMEBODY, providers enable")


@providers.command("change")
@click.argument("name")
@policy_options
@settings_options
@in_tenant
def change(name: str, settings: dict[str, Any], secret_stdin: bool, secret_file: Any, **policy: Any) -> None:
    """Change what is given; the rest stays."""
    config = configs.get_config(name)
    changes = {key: value for key, value in policy.items() if value not in (None, ())}
    if settings:
        preset = settings.get("preset", config.settings["preset"])
        kept = config.settings if preset == config.settings["preset"] else {}
        changes["settings"] = {**kept, **settings}
    if (secret := _secret(secret_stdin, secret_file)) is not None:
        changes["secret"] = secret
    configs.change_provider(config, actor=None, **changes)
    click.echo(f"{config.name}: changed")


@providers.command("list")
@as_json
@in_tenant
def list_(as_json: bool) -> None:
    """List the directories in the order in which they are asked."""
    found = [_as_dict(config) for config in list_configs()]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        state = "on" if one["enabled"] else "off"
        click.echo(f"{one['name']:<24}{one['kind']:<8}{state:<6}{', '.join(one['domains']) or '-':<30}{one['label']}")
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
    result = rehearsals.rehearse(configs.get_config(name), login, password)
    click.echo(json.dumps(result.as_dict(), indent=2) if as_json else "\n".join(result.lines()))
    if not result.ok:
        sys.exit(1)


@providers.command("enable")
@click.argument("name")
@in_tenant
def enable(name: str) -> None:
    """Ask the directory, from the next sign-in on."""
    configs.enable_provider(configs.get_config(name), actor=None)
    click.echo(f"{name}: on")


@providers.command("disable")
@click.argument("name")
@click.option("--end-sessions", is_flag=True, help="Sign out everybody whom it has vouched for.")
@in_tenant
def disable(name: str, end_sessions: bool) -> None:
    """Ask the directory no more: its people do not get in until it is enabled again."""
    ended = configs.disable_provider(configs.get_config(name), actor=None, end_sessions=end_sessions)
    click.echo(f"{name}: off" + (f", {ended} login sessions ended" if end_sessions else ""))


@providers.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_tenant
def remove(name: str, yes: bool) -> None:
    """Forget a directory with its groups, their roles and its login sessions; its users stay."""
    config = configs.get_config(name)
    if not yes:
        click.confirm(f"Remove '{name}', its groups and the roles that they give?", abort=True)
    linked = configs.remove_provider(config, actor=None)
    click.echo(f"{name}: removed; {linked} users stay, and get in again by asking for a new password")


@providers.command("map")
@click.argument("name")
@click.argument("group")
@click.argument("role")
@in_tenant
@say_faults
def map_(name: str, group: str, role: str) -> None:
    """Give the members of a directory's GROUP (its DN, or its name) a ROLE."""
    config = configs.get_config(name)
    key, short = provider_of(config).find_group(group)
    groups.map_group(config, key, short, role, actor=None)
    click.echo(f"{key} → {role}: from the next sign-in or sync on")


@providers.command("unmap")
@click.argument("name")
@click.argument("group")
@click.argument("role")
@in_tenant
def unmap(name: str, group: str, role: str) -> None:
    """Take a role from the members of a directory's GROUP again, from their next request on."""
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
    """Join the person whom the directory knows as LOGIN with the account EMAIL: you answer that they are one."""
    config = configs.get_config(name)
    user = users_service.get_by_email(email)
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

    report = Sync(configs.get_config(name), show).run(most_departures=most_departures)
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


def _secret(from_stdin: bool, file: Any) -> str | None:
    if file is not None:
        return str(file.readline()).rstrip("\r\n")
    return read_password() if from_stdin else None


def _as_dict(config: ProviderConfig) -> dict[str, Any]:
    return {
        "id": str(config.id),
        "name": config.name,
        "label": config.label,
        "kind": config.kind,
        "enabled": config.enabled,
        "domains": config.domains,
        "creates_users": config.creates_users,
        "most_departures": config.most_departures,
        "synced_at": config.synced_at.isoformat() if config.synced_at else None,
        "settings": config.settings,
        "has_secret": config.secret is not None,
        "mappings": [
            {"group": group.name, "key": group.external_key, "role": role} for group, role in groups.mappings_of(config)
        ],
    }

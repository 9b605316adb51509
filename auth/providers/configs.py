"""The configurations of a tenant's identity sources: added, changed, ordered, switched on and off, removed."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.fernet import InvalidToken
from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, func, or_, select

from auth import audit, default_role, enforcement, groups, guards, roles
from auth.errors import InvalidProvider, NotAllowed, UnknownProvider
from auth.identity import Identity
from auth.mail import normal_domain
from auth.models import LoginSession, User
from auth.permissions import AccessPermission
from auth.providers.kinds import validate
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.providers.registry import list_configs, open_secret, seal_secret
from auth.scim.models import ScimResource
from auth.validation import about
from tenants.db import now

CREATES_USERS = ("sign-in", "sync", "never")
"""When a source may make users: at their first sign-in, then and by sync, or never."""

MOST_PROVIDERS = 20
"""Of one tenant."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]+(?:\.[a-z0-9-]+)+")


def get_config(name: str) -> ProviderConfig:
    """The bound tenant's source of that name. Raises UnknownProvider."""
    config: ProviderConfig | None = g.db.scalar(select(ProviderConfig).where(ProviderConfig.name == name))
    if config is None:
        known = ", ".join(each.name for each in list_configs()) or "none"
        raise UnknownProvider(f"no identity provider '{name}'; there are: {known}")
    return config


def add_provider(
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    *,
    actor: Identity | None,
    secret: str | None = None,
    label: str = "",
    domains: Collection[str] = (),
    creates_users: str = "sign-in",
    most_departures: int = 20,
) -> ProviderConfig:
    """Configure a source, last in order and switched off. Raises NotAllowed, InvalidProvider."""
    check_may_manage(actor)
    if not _NAME.fullmatch(name) or name == "database":
        raise InvalidProvider(about("name", _("1 to 40 lower-case letters, digits and inner hyphens")))
    if g.db.scalar(select(ProviderConfig.id).where(ProviderConfig.name == name)):
        raise InvalidProvider(about("name", _("there is a provider “%(name)s” already", name=name)))
    if len(list_configs()) >= MOST_PROVIDERS:
        raise InvalidProvider(_("A workspace has at most %(most)s providers.", most=MOST_PROVIDERS))
    validate(kind, settings)  # before there is a row
    last = g.db.scalar(select(func.max(ProviderConfig.position)))
    config = ProviderConfig(name=name, label=name, kind=kind, position=0 if last is None else last + 1)
    with g.db.begin_nested():  # of a faulty one nothing stays, whatever the caller does with the error
        g.db.add(config)
        check_may_change(config, actor=actor)
        _change(
            config, settings=settings, secret=secret, label=label or name, domains=domains,
            creates_users=creates_users, most_departures=most_departures,
        )  # fmt: skip
        audit.record("provider added", config, details=config.all_but_secret(), actor=actor)
    return config


def change_provider(config: ProviderConfig, *, actor: Identity | None, **changes: Any) -> None:
    """Change what is given of settings, secret, label, domains, creates_users, most_departures and position.

    The secret has to be given again with what decides whom it is shown to. Raises NotAllowed, also for an actor who
    would decide about people with more rights, and InvalidProvider.
    """
    check_may_change(config, actor=actor)
    before, secret = config.all_but_secret(), config.secret
    _change(config, **changes)
    if config.enforced_at is not None and changes.get("domains") is not None:
        roles.check_holds_all_of(actor, enforcement.people_at(config.domains))
    changed: dict[str, Any] = audit.changes(before, config.all_but_secret())
    if config.secret != secret:  # what it is, or was, is nobody's business
        changed["secret"] = "changed" if config.secret else "removed"
    if changed:
        audit.record("provider changed", config, details=changed, actor=actor)


def _change(config: ProviderConfig, **changes: Any) -> None:
    _change_settings(config, changes.pop("settings", None), changes.pop("secret", None))
    if (domains := changes.pop("domains", None)) is not None:
        config.domains = _checked_domains(config, domains)
    if changes.get("creates_users", "never") not in CREATES_USERS:
        said = _("must be one of %(expected)s", expected=", ".join(CREATES_USERS))
        raise InvalidProvider(about("creates_users", said))
    if not 0 <= changes.get("most_departures", 0) <= 100:
        raise InvalidProvider(about("most_departures", _("a share in per cent, 0 to 100")))
    if not 1 <= len(changes.get("label", "x").strip()) <= 100:
        raise InvalidProvider(about("label", _("1 to 100 characters")))
    for name, value in changes.items():
        setattr(config, name, value)
    g.db.flush()
    enforcement.publish()


def enable_provider(config: ProviderConfig, *, actor: Identity | None, untried: bool = False) -> None:
    """Ask the source from the next sign-in on. Raises NotAllowed, and InvalidProvider for an untried web source."""
    check_may_change(config, actor=actor)
    if config.is_web and config.rehearsed_at is None and not untried:
        said = _("“%(source)s” is provisional: rehearse a sign-in first, at its test address.", source=config.label)
        raise InvalidProvider(said)
    config.enabled = True
    audit.record("provider enabled", config, details={"untried": True} if untried else {}, actor=actor)


def disable_provider(config: ProviderConfig, *, actor: Identity | None, end_sessions: bool = False) -> int:
    """Ask the source no more; whom it vouches for does not get in. Gives back how many login sessions were ended.

    Whoever is signed in stays so unless `end_sessions`. Raises NotAllowed.
    """
    check_may_change(config, actor=actor)
    _check_not_enforced(config)
    config.enabled = False
    ended = _end_sessions(config) if end_sessions else 0
    audit.record("provider disabled", config, details={"sessions": ended}, actor=actor)
    return ended


def remove_provider(config: ProviderConfig, *, actor: Identity | None) -> int:
    """Forget the source and take back all that it caused: links, groups, grants, login sessions.

    Its users stay; they get in by a passkey, or by asking for a new password by mail. Gives back how many there are.
    Raises NotAllowed.
    """
    check_may_change(config, actor=actor)
    _check_not_enforced(config)
    ended = _end_sessions(config)
    groups.drop_origin(config.origin)
    linked: int = g.db.execute(delete(LinkedIdentity).where(LinkedIdentity.provider_id == config.id)).rowcount
    audit.record("provider removed", config, details={"people": linked, "sessions": ended}, actor=actor)
    g.db.execute(delete(ProviderConfig).where(ProviderConfig.id == config.id))
    return linked


def enforce_provider(config: ProviderConfig, break_glass: User, *, actor: Identity | None) -> None:
    """Have the people of the source's proved domains sign in through it alone, from their next request on.

    `break_glass` is the owner who gets in by their own password or passkey all the same, should the source be down.
    Raises NotAllowed, and InvalidProvider while that would lock people out.
    """
    check_may_change(config, actor=actor)
    # Listed domains that are not proved yet, too: once they are, it is enforced for them without being asked for again.
    roles.check_holds_all_of(actor, enforcement.people_at(config.domains))
    held = set(config.domains) & enforcement.held_domains()
    for missing, said in (
        (not config.is_web, _("only a web source can be enforced: a directory is for its people already")),
        (not config.enabled, _("it is switched off")),
        (config.rehearsed_at is None, _("it is provisional: rehearse a sign-in first, at its test address")),
        (config.admin_seen_at is None, _("no administrator has signed in through it with its present settings")),
        (not held, _("none of its domains is proved to be yours: add one, and its TXT record")),
        (
            not roles.is_owner(break_glass.id) or not break_glass.active or break_glass.confirmed_at is None,
            _("%(email)s is no active owner with a confirmed address", email=break_glass.email),
        ),
        (
            not break_glass.password and not any(key.usage == "first" for key in break_glass.webauthn),
            _("%(email)s has neither a password nor a passkey of their own to get in with", email=break_glass.email),
        ),
    ):
        if missing:
            raise InvalidProvider(_("“%(source)s” cannot be enforced: %(reason)s.", source=config.label, reason=said))
    config.enforced_at = now()
    g.db.flush()
    enforcement.publish(break_glass=break_glass.id)
    details = {"domains": sorted(held), "named": break_glass.email}
    audit.record("sign-in enforced", config, details=details, actor=actor)


def relax_provider(config: ProviderConfig, *, actor: Identity | None) -> None:
    """Let the people of the source's domains sign in by other ways, too. Raises NotAllowed."""
    check_may_change(config, actor=actor)
    config.enforced_at = None
    g.db.flush()
    enforcement.publish()
    audit.record("sign-in no longer enforced", config, actor=actor)


def check_may_manage(actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may connect identity sources."""
    needed = AccessPermission.PROVIDER_MANAGE
    if actor is not None and needed not in actor.permissions:
        raise NotAllowed(_("Identity providers are managed with the permission “%(name)s”.", name=needed))


def check_may_change(config: ProviderConfig, *, actor: Identity | None) -> None:
    """Raise NotAllowed unless the actor may change that source.

    Whoever can point it at a server of their own is whomever it vouches for, and in whichever group they like: so they
    need all of these rights, and those of new members.
    """
    check_may_manage(actor)
    linked = select(LinkedIdentity.user_id).where(LinkedIdentity.provider_id == config.id)
    provisioned = select(ScimResource.user_id).where(ScimResource.provider_id == config.id)
    people = select(User.id).where(or_(User.id.in_(linked), User.id.in_(provisioned)))
    roles.check_holds_all_of(actor, people)
    roles.check_holds_all_given(actor, {group.id for group in groups.mapped_groups(config)})
    # Whom it brings gets that role: they could be whoever points it somewhere.
    if (given := default_role.current()) is not None:
        guards.check_holds(actor, guards.permissions_of(given))


def _end_sessions(config: ProviderConfig) -> int:
    ended: int = g.db.execute(delete(LoginSession).where(LoginSession.provider == str(config.id))).rowcount
    return ended


def _check_not_enforced(config: ProviderConfig) -> None:
    if config.enforced_at is not None:
        said = _(
            "“%(source)s” is enforced: its people could not sign in any more. Relax it first.", source=config.label
        )
        raise InvalidProvider(said)


def _change_settings(config: ProviderConfig, settings: Mapping[str, Any] | None, secret: str | None) -> None:
    if settings is None and secret is None:
        return
    configuration = validate(config.kind, config.settings if settings is None else settings)
    wanted = configuration.model_dump(mode="json")
    if config.secret is not None and secret is None:
        if any(config.settings.get(name) != wanted[name] for name in configuration.secret_goes_by):
            raise InvalidProvider(
                about("secret", _("give it again, for it would be shown to another server from now on"))
            )
        given: str | None = _opened(config)
    else:
        given = secret
    try:
        configuration.check_secret(given)
    except ValueError as error:
        raise InvalidProvider(str(error)) from None
    config.admin_seen_at = None
    if config.is_web:  # provisional again
        config.rehearsed_at = None
    config.settings = wanted
    if secret is not None:
        g.db.flush()  # it is encrypted for the row's id
        config.secret = seal_secret(config, secret) if secret else None


def _opened(config: ProviderConfig) -> str:
    try:
        secret = open_secret(config)
    except InvalidToken:
        raise InvalidProvider(about("secret", _("the stored one cannot be read any more: give it again"))) from None
    return secret.get_secret_value() if secret else ""


def _checked_domains(config: ProviderConfig, domains: Collection[str]) -> list[str]:
    wanted = sorted({normal_domain(domain.strip().removeprefix("@")) for domain in domains})
    for domain in wanted:
        if not _DOMAIN.fullmatch(domain):
            said = _("“%(domain)s” is no domain of e-mail addresses", domain=domain)
            raise InvalidProvider(about("domains", said))
    for other in list_configs():
        if other.id != config.id and (both := set(wanted) & set(other.domains)):
            said = _("“%(source)s” has %(domains)s already", source=other.label, domains=", ".join(sorted(both)))
            raise InvalidProvider(about("domains", said))
    return wanted

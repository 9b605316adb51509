"""Pages of sources: connected, shown, changed, rehearsed, and what their groups give."""

import uuid
from collections.abc import Callable

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from auth import denials, descriptions, groups, provider_changes, provisional
from auth.errors import InvalidProvider, NotAllowed, NoWayIn, UnknownRole
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.models import ProviderConfig
from auth.providers.registry import platform_providers
from saas.admin import provider_choices as choices
from saas.admin import provider_rehearsals
from saas.admin import provider_words as words
from saas.admin.provider_forms import (
    PRESETS,
    MappingForm,
    ProviderForm,
    RehearsalForm,
    change_form,
    new_form,
)

bp = Blueprint("providers", __name__, url_prefix="/sources")


@bp.get("/new")
@requires(AccessPermission.PROVIDER_MANAGE)
def choose() -> ResponseReturnValue:
    """Choose what to connect."""
    offered = {name: str(offer.get("label") or name) for name, offer in platform_providers().items()}
    kinds = [(kind, words.KINDS[kind], presets) for kind, presets in (words.PRESETS | {"platform": offered}).items()]
    return render_template("admin/provider_new.html", kinds=[each for each in kinds if each[2]])


@bp.route("/new/<kind>/<preset>", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def create(kind: str, preset: str) -> ResponseReturnValue:
    """Connect a source; it is switched off at first."""
    if preset not in (platform_providers() if kind == "platform" else PRESETS.get(kind, {})):
        abort(404)
    form = new_form(kind, preset)

    def add() -> ProviderConfig:
        name = (form.name.data or "").strip()
        return configs.add_provider(
            name, kind, form.settings(), actor=g.identity, secret=form.given_secret(), **form.policy()
        )

    if form.validate_on_submit() and (config := _try(form, add)) is not None:
        flash(_("“%(source)s” is added. It is switched off: rehearse a sign-in first.", source=config.label), "success")
        return redirect(url_for("sign_in.providers.show", config_id=config.id))
    title = str(words.PRESETS.get(kind, {}).get(preset) or form.label.data)
    return _form_page(form, None, title)


@bp.get("/<uuid:config_id>")
@requires(AccessPermission.PROVIDER_READ)
def show(config_id: uuid.UUID) -> ResponseReturnValue:
    """One source: how it stands, and what can be done with it."""
    return _show(choices.find_source(config_id), MappingForm(choices.givable_roles()))


@bp.route("/<uuid:config_id>/edit", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def edit(config_id: uuid.UUID) -> ResponseReturnValue:
    """Change a source."""
    config = choices.find_source(config_id)
    configs.check_may_change(config, actor=g.identity)
    form = change_form(config)

    def change() -> ProviderConfig:
        provider_changes.change_provider(
            config, actor=g.identity, settings=form.settings(), secret=form.given_secret(), **form.policy()
        )
        return config

    if form.validate_on_submit() and _try(form, change) is not None:
        flash(_("The source is saved."), "success")
        return redirect(url_for("sign_in.providers.show", config_id=config.id))
    return _form_page(form, config, config.label)


@bp.route("/<uuid:config_id>/rehearse", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse(config_id: uuid.UUID) -> ResponseReturnValue:
    """Rehearse a sign-in at a directory, step by step; nobody is signed in."""
    config = choices.find_source(config_id)
    if config.is_web:
        return redirect(url_for("sso.rehearse", config_id=config.id))
    form = RehearsalForm()
    is_asked = form.validate_on_submit()
    page = render_template("admin/provider_rehearse.html", source=config, form=form, is_asked=is_asked)
    if not is_asked:
        return page, 422 if form.is_submitted() else 200
    return provider_rehearsals.follow(page, config, (form.login.data or "").strip(), form.password.data or None)


@bp.post("/<uuid:config_id>/mappings")
@requires(AccessPermission.PROVIDER_MANAGE)
def add_mapping(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have a group of the source give a role."""
    config, form = choices.find_source(config_id), MappingForm(choices.givable_roles())
    if form.validate_on_submit():
        try:
            choices.map_group(config, (form.group.data or "").strip(), form.role.data)
        except (LookupError, NotAllowed) as error:
            form.group.errors = [denials.words_of(error)]
        except DirectoryFault as error:
            form.group.errors = [f"{error.fault.explanation} {error.detail}".strip()]
        else:
            flash(_("The group gives the role from the next sign-in or synchronisation on."), "success")
            return redirect(url_for("sign_in.providers.show", config_id=config.id, _anchor="mappings"))
    return _show(config, form), 422


@bp.post("/<uuid:config_id>/mappings/remove")
@requires(AccessPermission.PROVIDER_MANAGE)
def remove_mapping(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have a group give a role no more."""
    config = choices.find_source(config_id)
    try:
        group, role = request.form.get("group", ""), request.form.get("role", "")
        if not groups.unmap_group(config, group, role, actor=g.identity):
            abort(404)
    except UnknownRole:
        abort(404)
    flash(_("The group gives that role no more."), "success")
    return redirect(url_for("sign_in.providers.show", config_id=config.id, _anchor="mappings"))


def _try(form: ProviderForm, work: Callable[[], ProviderConfig]) -> ProviderConfig | None:
    """Do what the form asks for; None when it cannot be, which the form then says."""
    try:
        return work()
    except InvalidProvider as error:
        form.show(str(error))
    except NoWayIn as error:
        form.form_errors = [denials.words_of(error)]
    return None


def _form_page(form: ProviderForm, config: ProviderConfig | None, title: str) -> ResponseReturnValue:
    page = render_template("admin/provider_form.html", form=form, source=config, title=title)
    return page, 422 if form.is_submitted() else 200


def _show(config: ProviderConfig, form: MappingForm) -> str:
    return render_template(
        "admin/provider.html",
        source=config,
        state=descriptions.state_of(config),
        addresses=descriptions.addresses_of(config),
        people=descriptions.people_by_source().get(config.id, 0),
        until=provisional.until(config),
        kind=words.KINDS[config.kind],
        creates_users=words.CREATES_USERS[config.creates_users],
        mappings=descriptions.list_mappings(config),
        labels=choices.role_labels(),
        form=form,
    )

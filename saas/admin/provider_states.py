"""What is done with a source by one button: switched on and off, ordered, enforced, set back, removed."""

import uuid
from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from auth import denials, descriptions, groups, provider_changes
from auth.errors import InvalidProvider, NoWayIn
from auth.permissions import AccessPermission, requires
from auth.providers import configs
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs
from saas.admin import provider_choices as choices
from saas.admin.provider_forms import EnforceForm

bp = Blueprint("provider_states", __name__, url_prefix="/sources")

T = TypeVar("T")


@bp.post("/<uuid:config_id>/go-back")
@requires(AccessPermission.PROVIDER_MANAGE)
def go_back(config_id: uuid.UUID) -> ResponseReturnValue:
    """Go back from provisional settings now."""
    config = choices.find_source(config_id)
    if provider_changes.undo_change(config, actor=g.identity):
        flash(_("The source is set as it was before."), "success")
    return redirect(url_for("sign_in.providers.show", config_id=config.id))


@bp.post("/<uuid:config_id>/enable")
@requires(AccessPermission.PROVIDER_MANAGE)
def enable(config_id: uuid.UUID) -> ResponseReturnValue:
    """Ask the source from the next sign-in on."""
    config = choices.find_source(config_id)
    return _act(
        config,
        lambda: configs.enable_provider(config, actor=g.identity),
        lambda _done: _("“%(source)s” is switched on.", source=config.label),
    )


@bp.route("/<uuid:config_id>/disable", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def disable(config_id: uuid.UUID) -> ResponseReturnValue:
    """Say what will happen, then switch a source off."""
    config = choices.find_source(config_id)
    if request.method == "GET":
        return _confirm("disable", config)
    end = bool(request.form.get("end_sessions"))

    def say(ended: int) -> str:
        off: str = _("“%(source)s” is switched off.", source=config.label)
        return off + (" " + ngettext("%(num)s session ended.", "%(num)s sessions ended.", ended) if end else "")

    return _act(config, lambda: provider_changes.disable_provider(config, actor=g.identity, end_sessions=end), say)


@bp.route("/<uuid:config_id>/remove", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def remove(config_id: uuid.UUID) -> ResponseReturnValue:
    """Say what will happen, then forget a source."""
    config = choices.find_source(config_id)
    if request.method == "GET":
        return _confirm("remove", config)
    label = config.label
    return _act(
        config,
        lambda: provider_changes.remove_provider(config, actor=g.identity),
        lambda _people: _("“%(source)s” is removed.", source=label),
        overview=True,
    )


@bp.route("/<uuid:config_id>/enforce", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def enforce(config_id: uuid.UUID) -> ResponseReturnValue:
    """Say what will happen, then have people sign in by the source alone."""
    config = choices.find_source(config_id)
    configs.check_may_change(config, actor=g.identity)
    owners = choices.owners_for_emergencies()
    form = EnforceForm(owners)
    if form.validate_on_submit():
        chosen = next(owner for owner in owners if str(owner.id) == form.owner.data)
        try:
            provider_changes.enforce_provider(config, chosen, actor=g.identity)
        except (InvalidProvider, NoWayIn) as error:
            form.form_errors = [denials.words_of(error)]
        else:
            flash(_("People of its domains sign in with “%(source)s” alone now.", source=config.label), "success")
            return redirect(url_for("sign_in.providers.show", config_id=config.id))
    conditions = choices.conditions_of_enforcing(config)
    page = render_template(
        "admin/provider_enforce.html", source=config, form=form, conditions=conditions, owners=owners
    )
    return page, 422 if form.is_submitted() else 200


@bp.post("/<uuid:config_id>/relax")
@requires(AccessPermission.PROVIDER_MANAGE)
def relax(config_id: uuid.UUID) -> ResponseReturnValue:
    """Let people sign in by other ways, too."""
    config = choices.find_source(config_id)
    return _act(
        config,
        lambda: configs.relax_provider(config, actor=g.identity),
        lambda _done: _("“%(source)s” is no longer enforced.", source=config.label),
    )


@bp.post("/<uuid:config_id>/move")
@requires(AccessPermission.PROVIDER_MANAGE)
def move(config_id: uuid.UUID) -> ResponseReturnValue:
    """Have a source asked before the one above it, or after the one below it."""
    config = choices.find_source(config_id)
    ids = [each.id for each in list_configs()]
    place = ids.index(config.id)
    other = place + (1 if request.form.get("to") == "down" else -1)
    if 0 <= other < len(ids):
        ids[place], ids[other] = ids[other], ids[place]
    return _act(
        config,
        lambda: provider_changes.order_providers(ids, actor=g.identity),
        lambda _done: _("The order is saved."),
        overview=True,
    )


def _confirm(what: str, config: ProviderConfig) -> str:
    configs.check_may_change(config, actor=g.identity)
    return render_template(
        f"admin/provider_{what}.html",
        source=config,
        people=descriptions.people_by_source().get(config.id, 0),
        sessions=descriptions.count_sessions(config),
        mappings=groups.mappings_of(config),
    )


def _act(
    config: ProviderConfig, work: Callable[[], T], say: Callable[[T], str], *, overview: bool = False
) -> ResponseReturnValue:
    """Do it, say so, and go where it shows; or say why not."""
    page = url_for("sign_in.providers.show", config_id=config.id)
    done_page = url_for("sign_in.overview") if overview else page
    try:
        with g.db.begin_nested():  # of what is refused half-way nothing stays
            done = work()
    except (InvalidProvider, NoWayIn) as error:
        flash(denials.words_of(error), "error")
        return redirect(page)
    flash(say(done), "success")
    return redirect(done_page)

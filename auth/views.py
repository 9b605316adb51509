"""My account: profile, language, login sessions. Password, second factor and passkeys are Flask-Security's views."""

import uuid
import zoneinfo
from datetime import timedelta

from flask import Blueprint, abort, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, refresh
from flask_security import auth_required
from wtforms import SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth import audit, denials, gate, linking, links, sessions
from auth.errors import AuthError, NotAllowed
from auth.forms import ConnectForm, PageForm
from auth.holdings import Held, find_holder
from auth.identity import current_user
from auth.permissions import signed_in
from auth.providers.models import ProviderConfig
from auth.providers.registry import DATABASE, list_configs
from auth.redirects import back_to
from auth.refusals import explain_failure
from auth.users import LONGEST_NAME

ZONES = sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")

# Whoever connects an account gives it a new way in: that takes a recent proof, like a passkey does.
_fresh = auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"], grace=lambda: timedelta())

bp = Blueprint("account", __name__, url_prefix="/account", template_folder="templates")


class ProfileForm(PageForm):
    """What a person may change about themselves without proving anything."""

    name = StringField(lazy_gettext("Name"), validators=[DataRequired(), Length(max=LONGEST_NAME)])
    locale = SelectField(lazy_gettext("Language"))
    timezone = SelectField(lazy_gettext("Time zone"))
    submit = SubmitField(lazy_gettext("Save"))

    def __init__(self) -> None:
        super().__init__(obj=current_user())
        settings = current_app.extensions["tenants"].settings
        languages = current_app.extensions["languages"]
        self.locale.choices = [
            ("", _("As the browser says")),
            *((code, languages[code]) for code in settings.languages),
        ]
        self.timezone.choices = [("", "UTC"), *((zone, zone.replace("_", " ")) for zone in ZONES if zone != "UTC")]


@bp.get("/")
@signed_in
def overview() -> ResponseReturnValue:
    """The account at a glance."""
    return _overview(ProfileForm())


@bp.post("/profile")
@signed_in
def profile() -> ResponseReturnValue:
    """Change name, language and time zone."""
    form = ProfileForm()
    if not form.validate_on_submit():
        return _overview(form), 422
    user = current_user()
    if not links.directory_of(user.id):  # a directory would write its own over it
        name = (form.name.data or "").strip()
        if changed := audit.changes({"name": user.name}, {"name": name}):
            audit.record("account changed", user, details=changed)
        user.name = name
    user.locale = form.locale.data or None
    user.timezone = form.timezone.data or None
    session.pop("locale", None)
    refresh()
    flash(_("Your profile is saved."), "success")
    return redirect(url_for("account.overview"))


@bp.post("/language")
@signed_in
def language() -> ResponseReturnValue:
    """Change the language only."""
    chosen = request.form.get("locale", "")
    if chosen not in current_app.extensions["tenants"].settings.languages:
        abort(422)
    current_user().locale = chosen
    return redirect(back_to(request.form.get("next"), url_for("account.overview")))


@bp.route("/connect/<uuid:config_id>", methods=["GET", "POST"])
@signed_in
@_fresh
def connect(config_id: uuid.UUID) -> ResponseReturnValue:
    """Prove that one is the person of that name at a directory, too; the two are one account then."""
    config = g.db.find(ProviderConfig, config_id)
    if config is None or not config.enabled:
        abort(404)
    if config.is_web:
        return redirect(url_for("sso.connect", config_id=config.id))
    form = ConnectForm()
    if form.validate_on_submit():
        try:
            identity = gate.prove_other(form.login.data or "", form.password.data or "", config)
            linking.connect(current_user(), identity, config)
        except NotAllowed as error:
            form.form_errors = [denials.words_of(error)]
        except AuthError as error:
            form.form_errors = [explain_failure(error)]
        else:
            sessions.renew(provider=str(config.id))
            linking.tell(config)
            return redirect(url_for("account.overview"))
    return render_template("account/connect.html", form=form, provider=config)


@bp.post("/disconnect/<uuid:config_id>")
@signed_in
@_fresh
def disconnect(config_id: uuid.UUID) -> ResponseReturnValue:
    """Sign in by that source no more."""
    config = g.db.find(ProviderConfig, config_id)
    if config is None or not config.is_web:
        abort(404)
    try:
        linking.disconnect(current_user(), config)
    except NotAllowed as error:
        flash(denials.words_of(error), "error")
    else:
        flash(_("Your account is no longer connected with %(source)s.", source=config.label), "success")
    return redirect(url_for("account.overview"))


@bp.get("/sessions")
@signed_in
def list_sessions() -> ResponseReturnValue:
    """Where the person is signed in."""
    rows = sessions.list_of(g.identity.user_id)
    shown = [sessions.describe(row, g.identity.login.id) for row in rows]
    elsewhere = any(one["provider"] != DATABASE.id for one in shown)
    labels = {str(config.id): config.label for config in list_configs()} if elsewhere else {}
    return render_template(
        "account/sessions.html", sessions=[one | {"provider": labels.get(one["provider"], "")} for one in shown]
    )


@bp.post("/sessions/<uuid:session_id>/end")
@signed_in
def end_session(session_id: uuid.UUID) -> ResponseReturnValue:
    """Sign out one browser."""
    if not sessions.end(session_id, user_id=g.identity.user_id):
        abort(404)
    audit.record("sessions ended", audit.party_of(g.identity), details={"sessions": 1})
    flash(_("That browser is signed out."), "success")
    return redirect(url_for("account.list_sessions"))


@bp.post("/sessions/end")
@signed_in
def end_all_sessions() -> ResponseReturnValue:
    """Sign out everywhere, here too."""
    ended = sessions.end_all(g.identity.user_id)
    audit.record("sessions ended", audit.party_of(g.identity), details={"sessions": ended})
    session.clear()
    flash(_("You are signed out everywhere."), "success")
    return redirect(url_for("security.login"))


def _overview(form: ProfileForm) -> str:
    user = current_user()
    sources = links.sources_of(user.id)
    linked = [
        {"label": config.label, "place": link.place}
        for config, link in sources
        if link is not None and not config.is_web
    ]
    return render_template(
        "account/overview.html",
        profile_form=form,
        linked=linked,
        identities=[(config, link) for config, link in sources if link is not None and config.is_web],
        connectable=[
            config for config, link in sources if config.enabled and link is None and (config.is_web or not linked)
        ],
        has_password=user.password is not None,
        second_factor=bool(user.tf_primary_method),
        recovery_codes_left=len(user.mf_recovery_codes or ()),
        passkeys=user.webauthn,
        roles=_held_roles(),
        catalogue=current_app.extensions["auth"].catalogue.permissions,
    )


def _held_roles() -> list[dict[str, str]]:
    """The roles that reach the caller, each with where it comes from."""
    holder = find_holder(g.identity.user_id)
    return [
        {"name": _name(item), "reason": _reason(item), "place": _place(item)}
        for item in (holder.held if holder else ())
    ]


def _name(held: Held) -> str:
    builtin = current_app.extensions["auth"].catalogue.roles.get(held.role)
    return str(builtin.label) if builtin else held.role


def _reason(held: Held) -> str:
    if held.group:
        said = _("through the group “%(group)s”", group=held.group)
    elif held.origin == "default":  # what it was given for is a note of ours, not for the person
        said = _("given from the start")
    else:
        said = _("given to you: %(reason)s", reason=held.reason) if held.reason else _("given to you")
    return str(said)


def _place(held: Held) -> str:
    if held.object_id is None:
        return ""
    builtin = current_app.extensions["auth"].catalogue.roles.get(held.role)
    kind = builtin.place if builtin else held.object_type
    return f"{kind} ({held.object_id})"

"""Signing in at a web source: there and back, on the tenant's host.

Links lead away, not forms: the policy form-action 'self' lets no form end elsewhere, by a redirect neither.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, abort, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_security import auth_required
from sqlalchemy.exc import InvalidRequestError
from structlog import get_logger

from auth import attempts, audit, journeys, links, provider_sessions, throttle
from auth.arrivals import arrive
from auth.csrf import from_machines
from auth.errors import SourceUnavailable, Throttled
from auth.identity import current_user
from auth.mail import LONGEST_ADDRESS, normal_domain
from auth.permissions import AccessPermission, access_of, can, declare, public, requires, signed_in
from auth.providers import configs
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth import OidcProvider, Visit
from auth.providers.oauth.faults import OF_THE_WAY, Fault, OAuthFault, SaidByBrowser
from auth.providers.oauth.openid import session_subject
from auth.providers.registry import list_configs, web_provider_of
from auth.redirects import back_to
from auth.refusals import RETRY_AFTER
from tenants.request import writes_on_get

_fresh = auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"], grace=lambda: timedelta())

bp = Blueprint("sso", __name__, url_prefix="/sso", template_folder="templates")

log = get_logger()

MOST_STARTS = 1000
"""Sign-ins begun from one address, say a company's, within a window of `auth/throttle.py`."""
MOST_FAILURES = 100
"""Failures from one address within a window that are shown to administrators."""


@bp.get("/<uuid:config_id>/start")
@public
@writes_on_get
def start(config_id: uuid.UUID) -> ResponseReturnValue:
    """Send a person to the source to sign in."""
    config = _source(config_id)
    if not throttle.allows("single sign-on", MOST_STARTS):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    hint = session.pop("login_hint", "")
    next_path = back_to(request.args.get("next"), "")[:2000]
    return _depart(config, "sign-in", next_path=next_path, login_hint=hint if isinstance(hint, str) else "")


# A link to it, put before somebody, must not connect them with whoever their browser is signed in as elsewhere, nor
# have an administrator rehearse: both take a form of ours, which leads to a page that leads away.
@bp.route("/<uuid:config_id>/connect", methods=["GET", "POST"])
@signed_in
@_fresh
def connect(config_id: uuid.UUID) -> ResponseReturnValue:
    """Send somebody who is signed in to a source, to sign in by it as well from then on."""
    config = _source(config_id)
    if request.method == "GET":
        return render_template("sso/ask.html", provider=config, purpose="connect")
    return _depart(config, "connect", user_id=g.identity.user_id)


@bp.get("/<uuid:config_id>/verify")
@signed_in
@writes_on_get
def verify(config_id: uuid.UUID) -> ResponseReturnValue:
    """Send somebody who is signed in to their source, to prove once more that it is them."""
    config = _source(config_id)
    if config.id not in {known.id for known in links.verifiers_of(current_user())}:
        return redirect(url_for("security.verify"))
    next_path = back_to(request.args.get("next"), "")[:2000]
    return _depart(config, "verify", next_path=next_path, user_id=g.identity.user_id)


@bp.route("/<uuid:config_id>/rehearse", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def rehearse(config_id: uuid.UUID) -> ResponseReturnValue:
    """Send an administrator to the source, to see what a sign-in would come to."""
    config = _source(config_id, enabled_only=False)
    configs.check_may_change(config, actor=g.identity)
    if request.method == "GET":
        return render_template("sso/ask.html", provider=config, purpose="rehearse")
    return _depart(config, "rehearse", user_id=g.identity.user_id)


@bp.get("/<uuid:config_id>/callback")
@public
@writes_on_get
def callback(config_id: uuid.UUID) -> ResponseReturnValue:
    """Receive somebody whom the source sends back."""
    config = _source(config_id, enabled_only=False)
    attempt = attempts.find(request.args.get("state", ""))
    # Another tenant's is not found; another browser's, source's or the broker's stays for whom it belongs to.
    if attempt is None or attempt.brokered or attempt.provider_id != config.id or not attempts.is_ours(attempt):
        return _lost()
    if not attempts.use(attempt):
        return _lost()
    try:
        visit = journeys.receive(config, attempt, request.args.to_dict())
    except SourceUnavailable as error:
        return fail(config, journeys.fault_of(error), attempt.purpose)
    return _arrive(attempt, config, visit)


@bp.get("/<uuid:config_id>/finish")
@public
@writes_on_get
def finish(config_id: uuid.UUID) -> ResponseReturnValue:
    """Receive somebody whom the broker hands over."""
    config = _source(config_id, enabled_only=False)
    found = attempts.fetch(request.args.get("code", ""), config.id)
    if found is None:
        return _lost()
    attempt, visit, fault = found
    if visit is None:
        name, _space, detail = fault.partition(" ")
        known = {one.value: one for one in Fault}
        return fail(config, OAuthFault(known[name], detail), attempt.purpose)
    return _arrive(attempt, config, visit)


@bp.post("/find")
@public
def find() -> ResponseReturnValue:
    """Find out by the address where a person signs in: at a source, or by their password here."""
    email = request.form.get("email", "").strip()[:LONGEST_ADDRESS]
    session["login_hint"] = email
    next_path = back_to(request.form.get("next"), "") or None
    domain = normal_domain(email.rpartition("@")[2]) if "@" in email else ""
    for config in list_configs(enabled_only=True):
        if config.is_web and domain in config.domains:
            return render_template(
                "sso/go.html",
                provider=config,
                url=url_for("sso.start", config_id=config.id, next=next_path),
                purpose="sign-in",
            )
    return redirect(url_for("security.login", step="password", next=next_path))


@bp.post("/<uuid:config_id>/backchannel-logout")
@public
@from_machines
def backchannel_logout(config_id: uuid.UUID) -> ResponseReturnValue:
    """End login sessions that have ended at the source (OpenID Connect Back-Channel Logout 1.0, section 2.5)."""
    config = _source(config_id, enabled_only=False)
    token = request.form.get("logout_token", "")
    try:
        provider = web_provider_of(config)
        g.db.release()
        if not isinstance(provider, OidcProvider):
            abort(404)
        logout = provider.read_logout(token)
    except SourceUnavailable as error:
        log.info("logout token refused", provider=config.name, reason=str(error))
        return {"error": "invalid_request", "error_description": journeys.fault_of(error).fault.value}, 400
    if not throttle.first_use(f"logout token:{config.id}:{logout.jti}"):
        return {"error": "invalid_request", "error_description": "used already"}, 400
    subject = session_subject(logout.issuer, logout.sub) if logout.sub else ""
    ended = provider_sessions.end(config, subject=subject, sid=logout.sid)
    audit.record("signed out by the source", config, details={"sessions": ended}, actor=audit.party_of(config))
    return "", 200


@bp.get("/<uuid:config_id>/signed-out")
@public
def signed_out(config_id: uuid.UUID) -> ResponseReturnValue:
    """Receive somebody who has signed out at the source, too."""
    flash(_("You are signed out, here and at %(source)s.", source=_source(config_id).label), "success")
    return redirect(url_for("security.login"))


def sign_out_there(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the view that signs out here, so that it goes on to signing out at the source where that is offered."""

    def logout(**arguments: Any) -> Any:
        login = g.identity.login if g.identity.is_authenticated and request.method == "POST" else None
        source = provider_sessions.of_login(login.id) if login is not None else None
        answer = current_app.make_response(view(**arguments))
        if source is None or g.identity.is_authenticated or answer.status_code != 302:  # a program is led nowhere
            return answer
        config, id_token = source
        url = _sign_out_url(config, id_token)
        return render_template("sso/go.html", provider=config, url=url, purpose="sign-out") if url else answer

    return logout


def init_app(app: Flask) -> None:
    """Have signing out here sign out there, too; after Flask-Security, whose view it wraps."""
    view = app.view_functions["security.logout"]
    access = access_of(app, "security.logout")
    assert access is not None, "security.py declares it"  # noqa: S101 - for the type checker
    app.view_functions["security.logout"] = declare(sign_out_there(view), access)


def _source(config_id: uuid.UUID, *, enabled_only: bool = True) -> ProviderConfig:
    config: ProviderConfig | None = g.db.find(ProviderConfig, config_id)
    if config is None or not config.is_web or (enabled_only and not config.enabled):
        abort(404)
    return config


def _arrive(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    # While the source was asked the connection was given back, and somebody may have changed or removed it.
    try:
        g.db.refresh(config, with_for_update=attempt.purpose == "rehearse")
    except InvalidRequestError:
        abort(404)
    return arrive(attempt, config, visit) if visit.asked == journeys.digest_of(config) else _lost()


def _depart(config: ProviderConfig, purpose: str, **options: Any) -> ResponseReturnValue:
    try:
        address = journeys.depart(config, purpose, **options)
    except SourceUnavailable as error:
        return fail(config, journeys.fault_of(error), purpose)
    if request.method == "POST":
        return render_template("sso/go.html", provider=config, url=address, purpose=purpose)
    return redirect(address)


def _lost() -> ResponseReturnValue:
    """The answer to an answer that belongs to no attempt of this browser's."""
    log.info("no such attempt", address=request.remote_addr)
    return render_template("sso/lost.html"), 400


def fail(config: ProviderConfig, error: OAuthFault, purpose: str) -> ResponseReturnValue:
    """The answer to somebody whose way to a source has failed, by the kind of fault; it is recorded."""
    # What has come in the browser's address is anybody's text, and administrators read this.
    rehearsal = purpose == "rehearse" and can(AccessPermission.PROVIDER_MANAGE)
    detail = error.fault.value if isinstance(error, SaidByBrowser) and not rehearsal else str(error)
    if throttle.allows("single sign-on failure", MOST_FAILURES):
        audit.record("single sign-on failed", config, details={"reason": detail}, survives=True)
    told = "denied" if error.fault is Fault.DENIED else "unreachable" if error.fault in OF_THE_WAY else "misconfigured"
    page = render_template(
        "sso/failed.html", provider=config, told=told, purpose=purpose, rehearsal=rehearsal, error=error
    )
    if told == "unreachable":
        return page, 503, {"Retry-After": str(RETRY_AFTER)}
    return page, 403 if told == "denied" else 502


def _sign_out_url(config: ProviderConfig, id_token: str) -> str | None:
    try:
        provider = web_provider_of(config)
        g.db.release()
        if not isinstance(provider, OidcProvider) or config.kind == "platform":
            return None
        back = url_for("sso.signed_out", config_id=config.id, _external=True)
        return provider.sign_out_url(id_token=id_token, redirect_uri=back, state=uuid.uuid4().hex)
    except SourceUnavailable as error:
        log.info("not signed out at the source", provider=config.name, reason=str(error))
        return None

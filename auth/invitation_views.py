"""The page behind a mailed invitation. To open it changes nothing: mail programs open links, too."""

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_security import login_user, logout_user

from auth import (
    acceptance,
    first_factor,
    gate,
    invitation_links,
    journeys,
    passwords,
    policy,
    sso,
    throttle,
    users,
)
from auth.arrivals import come_in
from auth.errors import (
    AuthError,
    InvitationVoid,
    LinkNeeded,
    SourceUnavailable,
    Throttled,
    UnsuitablePassword,
)
from auth.identity import current_user
from auth.invitation_forms import AcceptForm, DirectoryForm
from auth.models import Invitation
from auth.permissions import public, signed_in
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from auth.providers.oauth import Visit
from auth.refusals import explain_failure
from auth.role_holders import label_of

bp = Blueprint("invitation", __name__, url_prefix="/invitation", template_folder="templates")

MOST_DEPARTURES = 100
"""Of people who set out for a source to accept, from one address within a window of `auth/throttle.py`."""


@bp.get("/<token>")
@public
def show(token: str) -> ResponseReturnValue:
    """What the invitation is to, and the ways to accept it."""
    invitation = invitation_links.find(token)
    if invitation is None and g.identity.is_authenticated:
        mine = invitation_links.address_in(token).casefold() == g.identity.email.casefold()
        if mine:  # used, by whoever is signed in: perhaps a moment ago, at a source
            return redirect("/")
    return _page(token, invitation)


@bp.post("/<token>")
@public
def accept(token: str) -> ResponseReturnValue:
    """Become a user with a password."""
    invitation, form = invitation_links.find(token), AcceptForm()
    if invitation is None or not _is_new(invitation) or not form.validate_on_submit():
        return _page(token, invitation, accept_form=form, status=422)
    try:
        user = acceptance.accept_with_password(token, form.name.data or "", form.password.data or "")
    except UnsuitablePassword as error:
        form.password.errors = [str(error)]
        return _page(token, invitation, accept_form=form, status=422)
    except InvitationVoid as error:
        return _refused(error)
    first_factor.note(user, DatabaseProvider.id)
    login_user(user, authn_via=["password"])
    flash(_("Welcome to %(workspace)s.", workspace=g.tenant.name), "success")
    return redirect("/")


@bp.post("/<token>/directory")
@public
def accept_at_directory(token: str) -> ResponseReturnValue:
    """Become a user by proving oneself to a directory of the tenant."""
    invitation, form = invitation_links.find(token), DirectoryForm()
    if invitation is None or not _is_new(invitation):
        return _page(token, invitation)
    config = _source(invitation, web=False)
    if not form.validate_on_submit():
        return _page(token, invitation, directory_form=form, status=422)
    try:
        identity = gate.prove_other(form.login.data or "", form.password.data or "", config)
        user = gate.arrive(Visit(identity), config, method="password", invitation=token)
    except LinkNeeded as error:
        flash(explain_failure(error), "info")
        return redirect(url_for("security.login", step="password", next=invitation_links.path_of(token)))
    except AuthError as error:
        form.form_errors = [explain_failure(error)]
        return _page(token, invitation_links.find(token), directory_form=form, status=422)
    return come_in(user, "password", invitation_links.path_of(token))


@bp.post("/<token>/source")
@public
def depart(token: str) -> ResponseReturnValue:
    """Set out for a web source of the tenant; `auth/arrivals.py` receives whoever comes back."""
    invitation = invitation_links.find(token)
    if invitation is None or not _is_new(invitation):
        return _page(token, invitation)
    config = _source(invitation, web=True)
    if not throttle.allows("invitation departure", MOST_DEPARTURES):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    path = invitation_links.path_of(token)
    try:
        address = journeys.depart(config, "invitation", next_path=path, login_hint=invitation.email)
    except SourceUnavailable as error:
        return sso.fail(config, journeys.fault_of(error), "invitation")
    return render_template("sso/go.html", provider=config, url=address, purpose="invitation")


@bp.post("/<token>/accept")
@signed_in
def accept_signed_in(token: str) -> ResponseReturnValue:
    """Take the role with the account that one is signed in to."""
    try:
        acceptance.accept_signed_in(token, current_user())
    except InvitationVoid as error:
        return _refused(error)
    flash(_("The invitation is accepted."), "success")
    return redirect("/")


@bp.post("/<token>/sign-out")
@public
def sign_out(token: str) -> ResponseReturnValue:
    """Sign out, for the person who was meant."""
    if g.identity.is_authenticated:
        logout_user()
    return redirect(invitation_links.path_of(token))


def _is_new(invitation: Invitation) -> bool:
    """Whether nobody is signed in, nor has an account with that address."""
    return not g.identity.is_authenticated and users.find_by_email(invitation.email) is None


def _source(invitation: Invitation, *, web: bool) -> ProviderConfig:
    config = acceptance.ways_in(invitation).find(request.form.get("source", ""))
    if config is None or config.is_web != web:
        abort(404)
    return config


def _page(
    token: str,
    invitation: Invitation | None,
    *,
    accept_form: AcceptForm | None = None,
    directory_form: DirectoryForm | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    if invitation is None:
        return _refused(acceptance.void())
    try:
        acceptance.giver_of(invitation)
    except InvitationVoid as error:
        return _refused(error)
    told = {
        "token": token,
        "invitation": invitation,
        "role": label_of(invitation.role),
        "inviter": users.name_of(invitation.invited_by),
    }
    if g.identity.is_authenticated:
        own = g.identity.email.casefold() == invitation.email.casefold()
        return render_template("invitation/signed_in.html", own=own, **told)
    if not _is_new(invitation):
        return render_template("invitation/known.html", **told)
    ways = acceptance.ways_in(invitation)
    page = render_template(
        "invitation/new.html",
        ways=ways,
        shortest_password=max(passwords.SHORTEST, policy.current().shortest_password),
        accept_form=accept_form or AcceptForm(formdata=None),
        directory_form=directory_form,
        blank_form=DirectoryForm(formdata=None) if ways.directories else None,
        **told,
    )
    return page, status


def _refused(error: InvitationVoid) -> ResponseReturnValue:
    """The one answer to a link that counts no more, or never did: it tells nobody which it is."""
    return render_template("invitation/refused.html", message=str(error)), 404

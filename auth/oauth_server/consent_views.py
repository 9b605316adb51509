"""Where an app sends people: whether they are signed in, and what they allow it (RFC 6749, section 3.1).

What the page leads to lies elsewhere, which form-action forbids to forms and to the redirects that answer them: the
page names the app's origin, and a way that began with another form of ours goes on by a page of its own (`resume`).
"""

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from auth import consents, redirect_uris, throttle
from auth.errors import SecondFactorNeeded, Throttled
from auth.identity import SESSION, Identity
from auth.oauth_server import prompts, scopes, standing
from auth.oauth_server.grants import Code
from auth.oauth_server.issuing import Subject
from auth.oauth_server.scopes import Scope
from auth.oauth_server.server import SERVER
from auth.permissions import public
from tenants.request import writes_on_get

MOST = 1000
"""Requests from one address, say a company's, within a window of `auth/throttle.py`."""


@public
@writes_on_get
def authorize() -> ResponseReturnValue:
    """Ask whoever is signed in what an app may do for them, and send them back to it with a code."""
    if not throttle.allows("authorization", MOST):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    person = _person()
    if request.method == "POST" and person is None:
        abort(401)
    try:
        return _go_on(SERVER.examine(person), person)
    except OAuth2Error as error:
        return _refused(error)


@public
def resume() -> ResponseReturnValue:
    """Lead on to the page that asks, once somebody has signed in: by a page, where no form is to blame any more."""
    return render_template("oauth/resume.html", url=_back("oauth.authorize"))


def _go_on(grant: Code, person: Identity | None) -> ResponseReturnValue:
    """The next step: a proof, the page, or the way back."""
    wanted = prompts.read(grant)
    if person is None:
        wanted.check_may_show("login_required")
        return redirect(url_for("security.login", next=_back("oauth.resume")))
    if person.lacks_second_factor:
        wanted.check_may_show("interaction_required")
        raise SecondFactorNeeded
    if wanted.needs_proof(person):
        wanted.check_may_show("login_required")
        wanted.note_proof()
        return redirect(url_for("security.verify", next=_back("oauth.resume")))
    asked, given = _asked(grant), _given(grant, person)
    if request.method == "POST":
        # Who holds more by now than they were shown has not allowed that.
        is_what_was_shown = request.form.get("given", str(given)) == str(given)
        return _decided(grant, person, given) if is_what_was_shown else _page(grant, person, asked, given)
    if wanted.asks_again or not _is_remembered(grant, person, given):
        wanted.check_may_show("consent_required")
        return _page(grant, person, asked, given)
    return _answer(grant, person, given)


def _decided(grant: Code, person: Identity, given: Scope) -> ResponseReturnValue:
    if request.form.get("decision") != "allow" or not given:
        return _answer(grant, None, given)
    if not _is_kept(grant, person):
        abort(401)
    consents.give(person, grant.request.client.row, given)
    return _answer(grant, person, given)


def _answer(grant: Code, person: Identity | None, given: Scope) -> ResponseReturnValue:
    """The way back, with a code or, from nobody, with a refusal."""
    prompts.forget()
    if person is not None and person.user_id is not None and person.login is not None:
        grant.subject = Subject(person.user_id, given, person.login.provider)
        grant.signed_in_at = prompts.proved_at(person)
    return SERVER.see_off(grant, person)


def _refused(error: OAuth2Error) -> ResponseReturnValue:
    """What is wrong: told to the app where it may be told so, else to the person."""
    if error.redirect_uri:
        error.state = request.args.get("state")
        return SERVER.send_back(error)
    return render_template("oauth/refused.html", error=error.error, said=error.get_error_description()), 400


def _page(grant: Code, person: Identity, asked: Scope, given: Scope) -> ResponseReturnValue:
    address: str = grant.redirect_uri or ""
    # A policy cannot name an IPv6 address (CSP 3, section 2.3.1).
    g.form_target = "http:" if "[" in address else redirect_uris.origin_of(address)
    return render_template(
        "oauth/consent.html",
        app=grant.request.client.row,
        person=person,
        returns_to=redirect_uris.origin_of(address),
        is_local=redirect_uris.is_loopback(address),
        given=given,
        learned=[words for name, words in scopes.IDENTITY.items() if name in given.identity],
        permissions=scopes.described(given.permissions),
        not_held=scopes.described(asked.permissions - given.permissions),
        here=request.full_path,
    )


def _is_remembered(grant: Code, person: Identity, given: Scope) -> bool:
    """Whether the person need not be asked: never for what anybody's program could pretend to be (RFC 8252, 8.6)."""
    row = grant.request.client.row
    if row.auth_method == "none" and redirect_uris.is_loopback(grant.redirect_uri or ""):
        return False
    if not given or person.user_id is None or not _is_kept(grant, person):
        return False
    return consents.covers(person.user_id, row, given)


def _is_kept(grant: Code, person: Identity) -> bool:
    """Whether the person is active still, and stays so, as the app stays what it is, until they are sent back."""
    return person.user_id is not None and standing.hold(grant.request.client.row, person.user_id)


def _asked(grant: Code) -> Scope:
    return scopes.parse(grant.request.scope)


def _given(grant: Code, person: Identity) -> Scope:
    """What the app asks for and the person holds: nobody gives what they have not."""
    asked = _asked(grant)
    held = scopes.held_by(person.user_id) or frozenset()
    return Scope(asked.permissions & held, asked.identity)


def _person() -> Identity | None:
    """Who is signed in at this browser; a token, whosever it is, consents to nothing."""
    identity: Identity = g.identity
    return identity if identity.is_authenticated and identity.means == SESSION else None


def _back(endpoint: str) -> str:
    """That page, with the request that the app has made."""
    return f"{url_for(endpoint)}?{request.query_string.decode('ascii', 'replace')}"

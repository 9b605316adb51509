"""What becomes of somebody who has come back from a web source, by the purpose for which they were sent."""

import json
import time
from collections.abc import Callable, Mapping

from flask import abort, current_app, flash, g, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_security import login_user, logout_user

from auth import audit, denials, gate, groups, linking, links, provisioning, sessions
from auth.errors import LinkNeeded, NotAllowed, SignInRefused, WrongCredentials
from auth.identity import current_user
from auth.models import User
from auth.providers import configs
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth import Visit
from auth.redirects import back_to
from auth.refusals import explain_failure
from tenants.db import now

_MOST_SHOWN = 100
_LONGEST_SHOWN = 500


def arrive(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    """Answer the browser that has come back."""
    if attempt.purpose in ("sign-in", "invitation"):
        return _sign_in(attempt, config, visit)
    # The others are for whoever is signed in; by now that may be somebody else, or nobody.
    if not g.identity.is_authenticated or g.identity.user_id != attempt.user_id:
        abort(403)
    return _OF_THE_SIGNED_IN[attempt.purpose](attempt, config, visit)


def _sign_in(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    if not config.enabled:
        abort(404)
    invitation = attempt.next_path.rpartition("/")[2] if attempt.purpose == "invitation" else ""
    try:
        user = gate.arrive(visit, config, invitation=invitation)
    except LinkNeeded as error:
        flash(explain_failure(error), "info")
        return redirect(url_for("security.login", step="password", next=attempt.next_path or None))
    except (SignInRefused, WrongCredentials) as error:
        audit.record("single sign-on refused", config, details={"subject": visit.identity.subject}, survives=True)
        flash(explain_failure(error), "error")
        return redirect(attempt.next_path if invitation else url_for("security.login", step="password"))
    return come_in(user, "single sign-on", attempt.next_path)


def come_in(user: User, method: str, next_path: str) -> ResponseReturnValue:
    """Sign in a user whose first factor was proved just now, and go on to that path."""
    if g.identity.is_authenticated:
        logout_user()  # whoever it was: the second step is for nobody who is signed in
    # A second factor that the person has set up here is asked for, whoever vouches for the first.
    second_step: ResponseReturnValue | None = current_app.extensions["security"].two_factor_plugins.tf_enter(
        user, False, method, next_loc=next_path or None
    )
    if second_step is not None:
        return second_step
    login_user(user, authn_via=[method])
    return redirect(back_to(next_path, "/"))


def _connect(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    try:
        linking.connect(current_user(), visit.identity, config)
    except NotAllowed as error:
        flash(denials.words_of(error), "error")
    else:
        flash(_("Your account is connected with %(source)s. You can sign in with it.", source=config.label), "success")
    return redirect(url_for("account.overview"))


def _verify(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    link = links.find_link(visit.identity.provider, visit.identity.subject)
    may_vouch = config.id in {known.id for known in links.verifiers_of(current_user())}
    if link is None or link.user_id != g.identity.user_id or not may_vouch:
        flash(_("That was another person than the one who is signed in here."), "error")
        return redirect(url_for("security.verify", next=attempt.next_path or None))
    sessions.renew()
    session["fs_paa"] = time.time()  # when Flask-Security takes the person to have proved who they are
    return redirect(back_to(attempt.next_path, url_for("account.overview")))


def _rehearse(attempt: SignInAttempt, config: ProviderConfig, visit: Visit) -> ResponseReturnValue:
    configs.check_may_change(config, actor=g.identity)
    config.rehearsed_at = now()
    g.db.flush()  # what would happen depends on it
    audit.record("sign-in rehearsed", config)
    return render_template(
        "sso/rehearsed.html",
        provider=config,
        person=visit.identity,
        claims=shown(visit.claims),
        preview=provisioning.preview(visit.identity, config),
        known_groups={group.external_key for group in groups.mapped_groups(config)},
    )


def shown(claims: Mapping[str, object]) -> list[tuple[str, str]]:
    """Claims for people: not too many, and none too long."""
    named = [
        (str(name)[:200], value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for name, value in sorted(claims.items(), key=lambda item: str(item[0]))
    ]
    return [
        (name, value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + " …")
        for name, value in named[:_MOST_SHOWN]
    ]


_OF_THE_SIGNED_IN: Mapping[str, Callable[[SignInAttempt, ProviderConfig, Visit], ResponseReturnValue]] = {
    "connect": _connect,
    "verify": _verify,
    "rehearse": _rehearse,
}

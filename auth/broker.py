"""The broker: the one address of this installation to which sources may send people back, whatever their tenant.

It redeems the code for the tenant that the attempt belongs to, and hands over to that tenant's host by a one-use code.
There the attempt's browser is known, and the session begins; the broker itself has no cookie, and signs nobody in.
"""

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from structlog import get_logger

from auth import attempts, journeys
from auth.errors import SourceUnavailable
from auth.permissions import public
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth import Visit
from auth.providers.oauth.faults import SaidByBrowser
from tenants.context import Tenant, bound
from tenants.db import TenantSession
from tenants.errors import UnknownTenant
from tenants.lifecycle import find_tenant
from tenants.models import TenantStatus
from tenants.request import without_tenant
from tenants.resolver import host_of, normalize_host

bp = Blueprint("broker", __name__, url_prefix="/broker", template_folder="templates")

log = get_logger()


@bp.get("/<key>/callback")
@public
@without_tenant
def callback(key: str) -> ResponseReturnValue:
    """Find out who came back, and send them on to the host where they began."""
    host = host_of(request)
    resolver = current_app.extensions["tenants"].resolver
    if host is None or resolver.label_of(host) != journeys.BROKER:
        abort(404)
    slug, _dot, _secret = request.args.get("state", "").partition(".")
    tenant = _tenant(slug)
    if tenant is not None:
        with bound(tenant) as session:
            if (address := _hand_over(tenant, session, key)) is not None:
                return redirect(address)
    log.info("no attempt at the broker", key=key[:100])
    return render_template("sso/lost.html"), 400


def _hand_over(tenant: Tenant, session: TenantSession, key: str) -> str | None:
    attempt = attempts.find(request.args.get("state", ""))
    if attempt is None or not attempt.brokered:
        return None
    config = session.find(ProviderConfig, attempt.provider_id)
    # Another source's address: the answer is not of the one that was asked (mix-up).
    if config is None or journeys.broker_key(config) != key or not _is_host_of(tenant, session, attempt):
        return None
    if not attempts.use(attempt):
        return None
    visit: Visit | None = None
    fault = ""
    try:
        visit = journeys.receive(config, attempt, request.args.to_dict())
    except SourceUnavailable as error:
        found = journeys.fault_of(error)
        # Words of the browser's address go no further than to an administrator who rehearses.
        told = attempt.purpose == "rehearse" or not isinstance(found, SaidByBrowser)
        fault = f"{found.fault.value} {found.detail if told else ''}"
    code = attempts.hand_over(attempt, visit, fault)
    return f"{attempt.return_to}/sso/{config.id}/finish?code={code}"


def _tenant(slug: str) -> Tenant | None:
    try:
        tenant = find_tenant(slug)
    except UnknownTenant:
        return None
    return tenant if tenant.status == TenantStatus.ACTIVE else None


def _is_host_of(tenant: Tenant, session: TenantSession, attempt: SignInAttempt) -> bool:
    """Whether the host where the person began is the tenant's still: nothing is handed to whoever has it now."""
    host = normalize_host(attempt.return_to.partition("://")[2])
    found = current_app.extensions["tenants"].resolver.look_up(host, session.connection()) if host else None
    return found is not None and found.id == tenant.id

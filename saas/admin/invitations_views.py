"""Pages of invitations: who is asked in, and asking more people in."""

import uuid

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from auth import denials, invitations
from auth.errors import InvalidAddresses, NotAllowed, Throttled
from auth.permissions import AccessPermission, can, requires
from auth.refusals import too_many
from auth.role_holders import label_of
from saas import page_number
from saas.admin.invitation_forms import InvitationForm
from saas.lookup import found
from saas.navigation import Entry
from tenants.db import now

bp = Blueprint("invitations", __name__, url_prefix="/admin/invitations", template_folder="templates")

ENTRY = Entry(
    "invitations.list_invitations",
    lazy_gettext("Invitations"),
    "mail",
    visible=lambda: can(AccessPermission.MEMBER_MANAGE),
)


@bp.get("/")
@requires(AccessPermission.MEMBER_MANAGE)
def list_invitations() -> ResponseReturnValue:
    """Search, sort and page through what waits for an answer."""
    sort, page = request.args.get("sort", "-sent"), page_number.asked()
    search = request.args.get("search", "").strip()[:200]
    if sort not in invitations.ORDERS:
        abort(404)
    pending = invitations.list_pending(invitations.Filter(search), sort=sort, limit=page.size, offset=page.offset)
    return render_template(
        "admin/invitations.html",
        rows=[(row, label_of(role), inviter) for row, role, inviter in pending.rows],
        total=pending.total,
        paging=page,
        sort=sort,
        search=search,
        now=now(),
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(AccessPermission.MEMBER_MANAGE)
def create() -> ResponseReturnValue:
    """Invite one or many."""
    roles = invitations.givable_roles(g.identity)
    form = InvitationForm(roles)
    if form.validate_on_submit():
        try:
            made = invitations.invite(
                form.addresses(), form.role.data or "", actor=g.identity, ends_at=form.ends_on.end()
            )
        except InvalidAddresses as error:
            form.emails.errors = [f"{typed}: {fault}" for typed, fault in error.faults.items()]
        except NotAllowed as error:
            form.form_errors = [denials.words_of(error)]
        except Throttled as error:
            form.form_errors = [too_many(error)]
        else:
            flash(ngettext("The invitation is sent.", "%(num)s invitations are sent.", len(made)), "success")
            return redirect(url_for("invitations.list_invitations"))
    page = render_template("admin/invitation_form.html", form=form, roles=roles, most=invitations.MOST_AT_ONCE)
    return page, 422 if form.is_submitted() else 200


@bp.post("/<uuid:invitation_id>/resend")
@requires(AccessPermission.MEMBER_MANAGE)
def resend(invitation_id: uuid.UUID) -> ResponseReturnValue:
    """Send a new link; the former ones do not count any more."""
    invitation = found(invitations.find_invitation(invitation_id))
    try:
        if not invitations.resend(invitation, actor=g.identity):
            abort(404)
    except InvalidAddresses as error:
        flash(str(error), "error")
    else:
        flash(_("A new link is sent to %(email)s. The former one does not count any more.", email=invitation.email),
              "success")  # fmt: skip
    return redirect(url_for("invitations.list_invitations"))


@bp.post("/<uuid:invitation_id>/revoke")
@requires(AccessPermission.MEMBER_MANAGE)
def revoke(invitation_id: uuid.UUID) -> ResponseReturnValue:
    """Take an invitation back."""
    invitation = found(invitations.find_invitation(invitation_id))
    if not invitations.revoke(invitation, actor=g.identity):
        abort(404)
    flash(_("The invitation of %(email)s is revoked.", email=invitation.email), "success")
    return redirect(url_for("invitations.list_invitations"))

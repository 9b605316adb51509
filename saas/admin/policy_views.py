"""The page of the rules of signing in."""

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth import policy, roles
from auth.errors import InvalidPolicy
from auth.permissions import AccessPermission, can, requires
from auth.policy_changes import change_policy
from saas.admin.policy_forms import PolicyForm
from saas.navigation import Entry

bp = Blueprint("policy", __name__, url_prefix="/admin/policy", template_folder="templates")

ENTRY = Entry(
    "policy.edit", lazy_gettext("Rules"), "shield-check", visible=lambda: can(AccessPermission.WORKSPACE_MANAGE)
)


@bp.route("/", methods=["GET", "POST"])
@requires(AccessPermission.WORKSPACE_MANAGE)
def edit() -> ResponseReturnValue:
    """Show the rules, and change them."""
    on_objects = {name for name, role in roles.catalogue().roles.items() if role.object_type}
    names = [role.name for role in roles.list_roles() if role.name not in on_objects]
    form = PolicyForm(policy.current(), names)
    if form.validate_on_submit():
        try:
            change_policy(form.values(), actor=g.identity)
        except InvalidPolicy as error:
            for fault in str(error).split("; "):
                form.show(fault)
        else:
            flash(_("The rules are saved. They hold from everybody's next click on."), "success")
            return redirect(url_for("policy.edit"))
    return render_template("admin/policy.html", form=form, address=request.remote_addr), (
        422 if form.is_submitted() else 200
    )

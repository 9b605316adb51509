"""JSON of rehearsals: a sign-in at a directory, step by step, that changes nothing."""

import uuid
from typing import Annotated, Any, Literal

from flask import Blueprint, abort
from pydantic import StringConstraints

from auth import rehearsals
from auth.errors import InvalidProvider
from auth.permissions import AccessPermission, requires
from auth.providers.kinds import validate
from saas.admin.provider_answers import RehearsalJson
from saas.admin.provider_choices import find_source
from saas.admin.providers_api import as_fields
from saas.operations import Answerable, operation
from saas.shapes import Given

bp = Blueprint("provider_rehearsals_api", __name__, url_prefix="/api/v1/providers")

_Password = Annotated[str, StringConstraints(max_length=1024)]


class Rehearsal(Given):
    """The body that rehearses a sign-in at a saved provider."""

    login: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]
    password: _Password | None = None


class DraftRehearsal(Rehearsal):
    """The body that rehearses a sign-in with a configuration that is not saved."""

    kind: Literal["ldap"] = "ldap"
    settings: dict[str, Any]
    secret: _Password | None = None


@bp.post("/<uuid:config_id>/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Rehearse a sign-in", body=Rehearsal, returns=RehearsalJson, tag="Providers")
def rehearse(config_id: uuid.UUID, body: Rehearsal) -> Answerable:
    """Rehearse a sign-in at a saved directory; no account is changed."""
    config = find_source(config_id)
    if config.is_web:  # which is rehearsed in a browser
        abort(404)
    return rehearsals.rehearse_for(config, body.login, body.password).as_dict()


@bp.post("/rehearsal")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Rehearse a sign-in with a draft", body=DraftRehearsal, returns=RehearsalJson, tag="Providers")
def rehearse_draft(body: DraftRehearsal) -> Answerable:
    """Rehearse a sign-in with a configuration that is not saved; it brings its own secret."""
    try:
        validate(body.kind, body.settings)
    except InvalidProvider as error:
        raise as_fields(error) from None
    found = rehearsals.rehearse_unsaved_for(body.kind, body.settings, body.secret, body.login, body.password)
    return found.as_dict()

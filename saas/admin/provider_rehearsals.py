"""A directory's rehearsal on its page: every step is sent as soon as it has ended, as plain HTML.

The page around it is made before, by the view. What follows runs when the request's transaction has ended, so it is
bound to the tenant anew, and holds no connection while the directory takes its time. When the browser leaves, the
server closes the generator, which closes the conversation with the directory.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import structlog
from flask import Response, current_app, g, stream_with_context
from flask_babel import gettext as _

from auth import groups, rehearsals
from auth.arrivals import shown
from auth.errors import Busy, Throttled
from auth.providers.models import ProviderConfig
from auth.refusals import too_many
from saas.admin import provider_choices as choices
from saas.admin import provider_words as words
from tenants.context import Tenant, bound

STEPS, RESULT = "<!-- steps -->", "<!-- result -->"
"""Stand in the page where the steps and the result will be. What people typed is escaped: it cannot look like these."""

log = structlog.get_logger()


def follow(page: str, config: ProviderConfig, login: str, password: str | None) -> Response:
    """The page, into which a rehearsal is written while it is under way."""
    # Read now: the request's teardown comes before the first part is asked for, and leaves nothing bound.
    as_caller = partial(_bound_as, g.tenant, g.identity, g.permissions, structlog.contextvars.get_contextvars())
    parts = stream_with_context(_parts(page, config, login, password, as_caller))
    response = Response(parts, content_type="text/html; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"  # nginx would wait for the end
    return response


def _parts(
    page: str, config: ProviderConfig, login: str, password: str | None, as_caller: partial[Any]
) -> Iterator[str]:
    before, _steps, rest = page.partition(STEPS)
    between, _result, after = rest.partition(RESULT)
    pieces: Any = current_app.jinja_env.get_template("admin/provider_rehearsal.html").module
    found = ""
    yield f"{before}{pieces.waiting()}"
    try:
        with as_caller(), closing(rehearsals.follow_for(config, login, password)) as steps:
            result = yield from _rows(steps, pieces)
            found = _result_of(result, config, pieces)
        yield pieces.outcome(result)
    except Throttled as error:
        yield pieces.broken(too_many(error))
    except Busy:
        yield pieces.broken(_("Another rehearsal is under way. Wait until it has ended."))
    except Exception as error:  # the answer has begun: no error page can take its place
        log.exception("a rehearsal broke off", provider=config.name)
        if isinstance(error.__context__, GeneratorExit):  # the browser has left, and what follows from that failed
            return
        yield pieces.broken(_("Something went wrong on our side, and the rehearsal ends here. It has been noted."))
    yield f"{between}{found}{after}"


@contextmanager
def _bound_as(tenant: Tenant, identity: Any, permissions: Any, noted: Mapping[str, Any]) -> Iterator[None]:
    """Bind the tenant once more, with a session of its own; the caller stays who they are, also in the log."""
    structlog.contextvars.bind_contextvars(**noted)
    with bound(tenant):
        g.identity, g.permissions = identity, permissions
        yield


def _rows(steps: rehearsals.Live, pieces: Any) -> Generator[str, None, rehearsals.Result]:
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: rehearsals.Result = end.value
            return result
        yield f"{pieces.row(step, words.STEPS)}{pieces.waiting()}"


def _result_of(result: rehearsals.Result, config: ProviderConfig, pieces: Any) -> str:
    found: str = pieces.result(
        result,
        happens=words.HAPPENS,
        known_groups={group.name for group in groups.mapped_groups(config)},
        labels=choices.role_labels(),
        attributes=shown({name: "; ".join(values) for name, values in result.rehearsal.attributes.items()}),
    )
    return found

"""`Idempotency-Key`: a POST that is sent again, because its answer was lost, is answered again and not done again.

After draft-ietf-httpapi-idempotency-key-header: the key belongs to its tenant and caller and is kept for a day. A user
is one caller, at our pages and with access tokens of ours; each of their personal tokens is another, and each app. What
is kept is given to the same rights only, and to the same bytes: the same in another order is another request.
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import uuid_utils.compat as uuid7
from cryptography.fernet import MultiFernet
from flask import Response, after_this_request, current_app, g, request
from sqlalchemy import Index, LargeBinary, String, UniqueConstraint, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import BadRequest, Conflict, UnprocessableEntity

from auth.keys import box_of
from tenants.context import afterwards
from tenants.db import Base, TenantScoped, now, within_tenant


class IdempotencyKey(TenantScoped, Base):
    """An answer that was given, to be given again."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[uuid.UUID]
    key: Mapped[str] = mapped_column(String(255))
    """Hash of the caller's token or app, if they show one, and of what they have sent as the key."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Hash of the caller's rights, the method, the address and the body: the same key with others is a mistake."""
    status: Mapped[int]
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "user_id", "key"),
        Index("ix_idempotency_keys_tenant_created", "tenant_id", "created_at"),
    )


LONGEST_KEY = 255
KEPT_FOR = timedelta(hours=24)
_SWEPT_EVERY = 16
_MOST_SWEPT = 100
_WRITTEN = ("id", "fingerprint", "status", "headers", "body", "created_at")
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")


class OtherRequest(UnprocessableEntity):
    """The key was used before, with another request."""

    problem = "idempotency-key-reused"
    description = "This Idempotency-Key was used for another request, or with other rights; each request needs its own."


class UnderWay(Conflict):
    """A request with the key has not come to its end, or was interrupted."""

    problem = "idempotency-key-in-use"
    description = (
        "A request with this Idempotency-Key is under way, or was interrupted: look what it did, then use another key."
    )


def once(work: Callable[[], Response]) -> Response:
    """Do the work of the request, unless the same caller has had it done under the same key: then answer the same.

    Only what succeeded is kept, in the transaction of the work. Raises BadRequest, OtherRequest, UnderWay.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST" or not g.identity.is_authenticated:
        return work()
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadRequest(f"An Idempotency-Key has 1 to {LONGEST_KEY} printable characters.")
    name = _name(key)
    row_id = _take(name)
    if row_id is None:  # done before, or by a twin of this request that has come to its end by now
        return _again(_find(name))
    after_this_request(partial(_let_go, row_id))
    response = work()
    kept = {
        "status": response.status_code,
        "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        "body": _box(row_id).encrypt(response.get_data()),
    }
    g.db.execute(_one(row_id, update(IdempotencyKey)).values(kept))
    return response


def _name(key: str) -> str:
    token = g.identity.token
    caller = str(token.client_id or token.id) if token is not None else ""
    return hashlib.sha256(f"{caller} {key}".encode()).hexdigest()


def _find(name: str) -> IdempotencyKey | None:
    wanted = select(IdempotencyKey).where(IdempotencyKey.user_id == g.identity.user_id, IdempotencyKey.key == name)
    row: IdempotencyKey | None = g.db.scalar(wanted)
    return row


def _take(name: str) -> uuid.UUID | None:
    """Take the key, in place of what was kept under it for long enough. Waits while a twin is under way."""
    row_id, over = uuid7.uuid7(), IdempotencyKey.created_at <= now() - KEPT_FOR
    insert: Any = (postgresql if g.db.get_bind().dialect.name == "postgresql" else sqlite).insert
    new = insert(IdempotencyKey).values(
        id=row_id, user_id=g.identity.user_id, key=name, fingerprint=_fingerprint(), status=0, headers={}, body=b"",
        created_at=now(),
    )  # fmt: skip
    put = new.on_conflict_do_update(
        index_elements=["tenant_id", "user_id", "key"],
        set_={column: new.excluded[column] for column in _WRITTEN},
        where=over,
    )
    try:
        taken: uuid.UUID | None = g.db.scalar(put.returning(IdempotencyKey.id))
    except IntegrityError:  # the caller's account was removed in this moment
        raise UnderWay from None
    if taken is not None and taken.int % _SWEPT_EVERY == 0:  # by chance rather than by count
        some = select(IdempotencyKey.id).where(over).limit(_MOST_SWEPT).with_for_update(skip_locked=True)
        swept = delete(IdempotencyKey).where(IdempotencyKey.id.in_(some))
        g.db.execute(swept.execution_options(synchronize_session=False))
    return taken


def _one(row_id: uuid.UUID, statement: Any) -> Any:
    return statement.where(IdempotencyKey.id == row_id).execution_options(synchronize_session=False)


def _let_go(row_id: uuid.UUID, response: Response) -> Response:
    """Let what was refused, or could not be done just now, be tried again.

    Also where the row was committed ahead of slow work.
    """

    def forget() -> None:
        g.db.execute(_one(row_id, delete(IdempotencyKey)).where(IdempotencyKey.status == 0))

    if 400 <= response.status_code < 500 or response.status_code == 503:
        afterwards(forget)
    return response


def _again(known: IdempotencyKey | None) -> Response:
    if known is None:
        raise UnderWay
    if known.fingerprint != _fingerprint():
        raise OtherRequest
    if not known.status:
        raise UnderWay
    # Encrypted, for an answer can hold what is shown once.
    return Response(_box(known.id).decrypt(known.body), known.status, known.headers)


def _fingerprint() -> str:
    # Not those on single objects: whoever makes one may be given some on it.
    rights = " ".join([*sorted(g.identity.permissions), "", *sorted(g.identity.roles)])
    said = (rights.encode(), request.method.encode(), request.full_path.encode(), request.get_data())
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in said)).hexdigest()


def _box(row_id: uuid.UUID) -> MultiFernet:
    settings = current_app.extensions["tenants"].settings
    return box_of(settings.encryption_keys, g.tenant.id, row_id)

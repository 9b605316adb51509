"""A workspace's name and look, on every page of its host, signed in or not.

The colour is a style sheet of its own and the logo a picture of its own: the policy of the pages lets no style stand in
them. Both addresses change with what they show, so that browsers keep it.
"""

import hashlib
import re

from flask import Blueprint, Response, abort, g, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from auth import audit, tenant_settings
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.permissions import AccessPermission, public
from saas import pictures
from tenants.db import Base, TenantScoped

KEY = "branding"
LONGEST_NAME = 80
LARGEST_LOGO = 100_000
"""Bytes."""
MOST_PIXELS = 2000
"""Of a logo, in either direction."""
LEAST_CONTRAST = 4.5
"""Of white text on the colour (WCAG 2.2, 1.4.3)."""
_COLOUR = re.compile(r"#[0-9a-f]{6}")

bp = Blueprint("branding", __name__, url_prefix="/branding")


class Logo(TenantScoped, Base):
    """A workspace's logo; one at most."""

    __tablename__ = "logos"

    content_type: Mapped[str] = mapped_column(String(40))
    data: Mapped[bytes] = mapped_column(LargeBinary)


class InvalidBranding(ValueError):
    """A name, colour or logo that cannot be; `field` says which."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@bp.get("/style.css")
@public
def style() -> ResponseReturnValue:
    """The workspace's colour."""
    if not (accent := look().get("accent")):
        abort(404)
    rgb = ", ".join(str(part) for part in _parts(accent))
    answer = Response(render_template("branding.css", accent=accent, rgb=rgb), content_type="text/css; charset=utf-8")
    return _keepable(answer)


@bp.get("/logo")
@public
def logo() -> ResponseReturnValue:
    """The workspace's logo."""
    found: Logo | None = g.db.scalar(select(Logo))
    if found is None:
        abort(404)
    answer = _keepable(Response(found.data, content_type=found.content_type))
    # Opened by itself, and whatever else its bytes may be, it is a picture that does nothing.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
    return answer


def look() -> dict[str, str]:
    """What the bound tenant has set of accent (#rrggbb) and logo (a digest of it)."""
    found: dict[str, str] = g.tenant.settings.get(KEY, {})
    return found


def change_branding(
    *, name: str, accent: str = "", logo: bytes | None = None, drop_logo: bool = False, actor: Identity | None
) -> None:
    """Set the workspace's name and look; without a logo the present one stays, unless it is dropped.

    Raises NotAllowed and InvalidBranding.
    """
    if actor is not None and AccessPermission.WORKSPACE_MANAGE not in actor.permissions:
        raise NotAllowed(
            _("Its name and look are changed with the permission “%(name)s”.", name=AccessPermission.WORKSPACE_MANAGE)
        )
    name, accent = " ".join(name.split()), accent.strip().lower()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidBranding("name", _("A name has 1 to %(most)s characters.", most=LONGEST_NAME))
    if not name.isprintable():  # what turns the direction of a text, say, would make one workspace look like another
        raise InvalidBranding("name", _("A name has letters, digits, signs and spaces only."))
    _check_accent(accent)
    content_type = _type_of(logo) if logo is not None else ""
    row = tenant_settings.lock()
    before = {"name": row.name, **row.settings.get(KEY, {})}
    digest = before.get("logo", "")
    if logo is not None or drop_logo:
        g.db.execute(delete(Logo))
        digest = ""
    if logo is not None:
        g.db.add(Logo(content_type=content_type, data=logo))
        digest = hashlib.sha256(logo).hexdigest()[:16]
    kept = {key: value for key, value in (("accent", accent), ("logo", digest)) if value}
    changed = audit.changes(before, {"name": name, **kept})
    if changed:
        row.name = name
        tenant_settings.keep(row, KEY, kept)
        audit.record("branding changed", details=changed, actor=actor)


def contrast_with_white(accent: str) -> float:
    """The contrast of white text on a colour, 1 to 21 (WCAG 2.2, relative luminance)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in _parts(accent))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def _check_accent(accent: str) -> None:
    if not accent:
        return
    if not _COLOUR.fullmatch(accent):
        raise InvalidBranding("accent", _("A colour is written as #1a2b3c."))
    if (contrast := contrast_with_white(accent)) < LEAST_CONTRAST:
        found = f"{contrast:.1f}"
        said = _("White text on it could not be read (contrast %(found)s of %(least)s): choose a darker one.",
                 found=found, least=LEAST_CONTRAST)  # fmt: skip
        raise InvalidBranding("accent", said)


def _type_of(logo: bytes) -> str:
    if len(logo) > LARGEST_LOGO:
        raise InvalidBranding("logo", _("A logo has %(most)s kB at most.", most=LARGEST_LOGO // 1000))
    picture = pictures.read(logo)
    if picture is None:
        raise InvalidBranding("logo", _("A logo is a picture as PNG, JPEG or WebP."))
    if max(picture.width, picture.height) > MOST_PIXELS:
        raise InvalidBranding("logo", _("A logo has %(most)s × %(most)s pixels at most.", most=MOST_PIXELS))
    return picture.content_type


def _parts(accent: str) -> tuple[int, ...]:
    return tuple(int(accent[place : place + 2], 16) for place in (1, 3, 5))


def _keepable(response: Response) -> Response:
    response.cache_control.private = True
    response.cache_control.immutable = True
    response.cache_control.max_age = 31_536_000
    return response

"""Security headers of every answer."""

from flask import Flask, Response, g, request

from config.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
)


_FIXED = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_OWN = "'self'"
_POLICY = CONTENT_SECURITY_POLICY.format(form_action=_OWN)


def init_app(app: Flask, settings: Settings) -> None:
    """Have the headers set on every answer of `app`."""
    fixed = [*_FIXED]
    if settings.scheme == "https":
        fixed.append(("Strict-Transport-Security", "max-age=63072000"))

    @app.after_request
    def set_headers(response: Response) -> Response:
        # Browsers hold the redirect that answers a form to form-action, too: a page may name one origin more.
        target = g.get("form_target")
        policy = CONTENT_SECURITY_POLICY.format(form_action=f"{_OWN} {target}") if target else _POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.extend(fixed)
        if "tenant" in g and request.endpoint != "static" and not response.cache_control.immutable:
            # What a proxy keeps of one person it would give to another.
            response.headers["Cache-Control"] = "private, no-store"
            response.headers.add("Vary", "Cookie")
        return response

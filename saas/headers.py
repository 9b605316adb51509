"""Security headers of every answer."""

from flask import Flask, Response, g, request

from config.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
)


def init_app(app: Flask, settings: Settings) -> None:
    """Have the headers set on every answer of `app`."""

    @app.after_request
    def set_headers(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY.format(form_action="'self'"))
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = (
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-get=(self)"
        )
        if settings.scheme == "https":
            headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
        if "tenant" in g and request.endpoint != "static":
            # What a proxy keeps of one person it would give to another.
            headers["Cache-Control"] = "private, no-store"
            response.vary.add("Cookie")
        return response

"""Languages and time zones: the person's choice, else the browser's, else the first of SAAS_LANGUAGES."""

from datetime import date, datetime

from babel import Locale
from flask import Flask, g, has_request_context, request, session
from flask_babel import Babel, format_date, format_decimal, format_time

from config.settings import Settings

# Flask-Security's own messages are translated for es_ES; a catalogue for "es" serves both.
LOCALES = {"en": "en", "es": "es_ES"}
"""Language code → the locale in which its pages are written."""


def init_app(app: Flask, settings: Settings) -> None:
    """Set up Flask-Babel and what templates need of it."""
    app.extensions["languages"] = {
        code: (Locale.parse(code).display_name or code).capitalize() for code in settings.languages
    }
    app.config["BABEL_DEFAULT_LOCALE"] = LOCALES.get(settings.languages[0], settings.languages[0])

    def select_locale() -> str:
        code = language(settings)
        return LOCALES.get(code, code)

    Babel(app, locale_selector=select_locale, timezone_selector=_select_timezone)
    app.jinja_env.filters["date"] = _format_date
    app.jinja_env.filters["datetime"] = _format_datetime
    app.jinja_env.filters["number"] = format_decimal

    @app.context_processor
    def offer() -> dict[str, object]:
        return {"locale": language(settings), "languages": app.extensions["languages"]}


def language(settings: Settings) -> str:
    """The code of the language in which to answer."""
    offered = settings.languages
    identity = g.get("identity")
    chosen = getattr(identity, "locale", None)
    if not chosen and has_request_context():
        chosen = session.get("locale") or _accepted(offered)
    return chosen if chosen in offered else offered[0]


def _accepted(offered: tuple[str, ...]) -> str | None:
    # Werkzeug's best_match takes a later "es" for a better match of "en, es" than a first "en-GB".
    for tag, quality in request.accept_languages:
        for code in (tag, tag.partition("-")[0]):
            if quality > 0 and code.lower() in offered:
                return code.lower()
    return None


def _select_timezone() -> str | None:
    return getattr(g.get("identity"), "timezone", None)


def _format_date(value: date | str | None) -> str:
    if isinstance(value, str):  # as JSON writes it
        value = datetime.fromisoformat(value)
    text: str = format_date(value, "medium") if value else ""
    return text


def _format_datetime(value: datetime | None) -> str:
    return f"{format_date(value, 'medium')}, {format_time(value, 'short')}" if value else ""

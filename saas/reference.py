"""The API's description for programs, and the same for people: /api/openapi.json, /api/docs and /api/problems."""

from typing import Any

from flask import Blueprint, current_app, jsonify, render_template
from flask.typing import ResponseReturnValue
from flask_babel import force_locale

from auth.permissions import public
from saas import openapi
from saas.problems import MEANINGS, PAGE

bp = Blueprint("reference", __name__)


def description() -> dict[str, Any]:
    """The OpenAPI document of the application; made once."""
    kept = current_app.extensions
    if "openapi" not in kept:
        with force_locale("en"):  # kept for everybody, it must not be in the language of whoever asks first
            kept["openapi"] = openapi.describe(current_app._get_current_object())  # type: ignore[attr-defined]  # a proxy
    told: dict[str, Any] = kept["openapi"]
    return told


@bp.get("/api/openapi.json")
@public
def document() -> ResponseReturnValue:
    """The description for programs (OpenAPI 3.1)."""
    return jsonify(description())


@bp.get("/api/docs")
@public
def show() -> ResponseReturnValue:
    """The description for people; in English, as its names are."""
    told = description()
    by_tag: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in told["tags"]}
    for path, methods in told["paths"].items():
        for method, each in methods.items():
            by_tag[each["tags"][0]].append({"path": path, "method": method.upper(), **each})
    return render_template("reference/docs.html", told=told, by_tag=by_tag)


@bp.get(PAGE)
@public
def problems() -> ResponseReturnValue:
    """What each kind of problem means."""
    return render_template("reference/problems.html", meanings=MEANINGS)

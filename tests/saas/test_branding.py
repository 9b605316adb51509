"""A workspace's name and look: on all of its pages, and on nobody else's."""

import io
from typing import Any

import pytest
from flask import Flask, g

from saas import branding
from saas.branding import LARGEST_LOGO, contrast_with_white
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PAGE, API = "/admin/workspace/", "/api/v1/workspace"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (64).to_bytes(4) + (32).to_bytes(4) + bytes(100)
BLUE = "#0b5cad"


def send(visitor: Visitor, *, logo: bytes | None = None, **values: Any) -> Any:
    data = {"name": "Acme & Sons", "accent": ""} | values
    if logo is not None:
        data["logo"] = (io.BytesIO(logo), "logo.png")
    return visitor.post(PAGE, data, content_type="multipart/form-data")


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def test_the_name_stands_on_every_page_signed_in_or_not(acme: Workspace, admin: Visitor, visitor: Visitor) -> None:
    assert send(admin).status_code == 302
    for page in (admin.get("/projects/").text, visitor.get("/auth/login").text):
        assert "Acme &amp; Sons" in page


def test_the_colour_is_a_style_sheet_of_every_page(admin: Visitor, visitor: Visitor) -> None:
    send(admin, accent=BLUE)
    address = "/branding/style.css?v=0b5cad"
    for page in (admin.get("/").text, visitor.get("/auth/login").text):
        assert address in page
    answer = visitor.get(address)
    assert (answer.status_code, answer.mimetype) == (200, "text/css")
    assert f"--tblr-primary: {BLUE};" in answer.text
    assert "11, 92, 173" in answer.text


def test_the_logo_is_shown_as_the_picture_that_it_is(admin: Visitor, visitor: Visitor) -> None:
    send(admin, logo=PNG)
    assert "/branding/logo?v=" in visitor.get("/auth/login").text
    answer = visitor.get("/branding/logo")
    assert (answer.data, answer.mimetype) == (PNG, "image/png")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_browsers_keep_both_and_nothing_else(admin: Visitor) -> None:
    send(admin, logo=PNG, accent=BLUE)
    for path in ("/branding/logo", "/branding/style.css"):
        assert "immutable" in admin.get(path).headers["Cache-Control"]
        assert "public" not in admin.get(path).headers["Cache-Control"]
    assert "no-store" in admin.get("/").headers["Cache-Control"]


def test_without_a_logo_the_present_one_stays_until_it_is_removed(admin: Visitor) -> None:
    send(admin, logo=PNG)
    send(admin, name="Another")
    assert admin.get("/branding/logo").status_code == 200
    send(admin, drop_logo="y")
    assert admin.get("/branding/logo").status_code == 404
    assert "/branding/logo" not in admin.get("/").text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": " "}, "1 to 80 characters"),
        ({"name": "x" * 81}, "1 to 80 characters"),
        ({"accent": "blue"}, "written as"),
        ({"accent": "#12345"}, "written as"),
        ({"accent": "#123456;}"}, "written as"),
        ({"accent": "#ffff00"}, "could not be read"),
        ({"logo": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "PNG, JPEG or WebP"),
        ({"logo": b"RIFF1234AVI "}, "PNG, JPEG or WebP"),
        ({"logo": PNG + bytes(LARGEST_LOGO)}, "100 kB at most"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    app: Flask, acme: Workspace, admin: Visitor, values: dict[str, Any], said: str
) -> None:
    answer = send(admin, **values)
    assert answer.status_code == 422
    assert said in answer.text
    with inside(app, acme):
        assert g.tenant.name == acme.tenant.name
        assert branding.look() == {}


@pytest.mark.parametrize(("colour", "contrast"), [("#ffffff", 1.0), ("#000000", 21.0), ("#767676", 4.54)])
def test_the_contrast_is_that_of_the_guidelines(colour: str, contrast: float) -> None:
    assert contrast_with_white(colour) == pytest.approx(contrast, abs=0.01)


def test_another_workspace_is_not_concerned(app: Flask, admin: Visitor, globex: Workspace) -> None:
    send(admin, logo=PNG, accent=BLUE)
    visitor = Visitor(app, globex.host)
    assert "/branding/" not in visitor.get("/auth/login").text
    assert visitor.get("/branding/logo").status_code == 404
    assert visitor.get("/branding/style.css").status_code == 404


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert visitor.get(PAGE).status_code == 403
    assert send(visitor).status_code == 403
    assert visitor.get(API).status_code == 403


def test_the_api_shows_and_changes_name_and_colour(app: Flask, acme: Workspace, admin: Visitor) -> None:
    headers = {"Origin": admin.base, "X-CSRFToken": admin.csrf_token()}
    answer = admin.client.patch(API, base_url=admin.base, json={"accent": BLUE}, headers=headers)
    assert answer.get_json() == admin.get(API).get_json()
    assert answer.get_json() == {"name": acme.tenant.name, "slug": acme.slug, "accent": BLUE}
    for body in ({"slug": "x"}, {"name": 1}, {"accent": "#ffffff"}):
        assert admin.client.patch(API, base_url=admin.base, json=body, headers=headers).status_code == 422
    assert sources.events_of(app, acme, "branding changed") == [str([None, BLUE])]

"""The import of members, on its pages and by the API."""

import html
import io
import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import member_files, members, roles, users
from tests.auth.helpers import inside, mail_to
from tests.factories import Workspace, add_person
from tests.visitor import Visitor, sign_in

PAGE, API = "/admin/members/import", "/api/v1/members/import"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return html.unescape(found.group(1))


def confirm(visitor: Visitor, page: str) -> TestResponse:
    """Press the button of the preview."""
    return visitor.post(PAGE, {name: hidden(page, name) for name in ("text", "seen")})


def is_known(app: Flask, workspace: Workspace, email: str) -> bool:
    with inside(app, workspace):
        return users.find_by_email(email) is not None


class TestPages:
    """A file is given, looked at, and imported."""

    def test_the_way_there_is_on_the_list(self, admin: Visitor) -> None:
        assert f'href="{PAGE}"' in admin.get("/admin/members/").text
        assert "email,name,role" in admin.get(PAGE).text

    def test_a_file_is_previewed_and_then_imported(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        new, member = f"new@{acme.slug}.example", acme.people["member"]
        text = f'email,name,role\r\n{new},"Nora <New>, ""N""",viewer\r\n{member.email},Milo,\r\n'
        shown = admin.post(PAGE, {"file": (io.BytesIO(text.encode()), "members.csv")})
        assert shown.status_code == 200
        assert "Nora &lt;New&gt;" in shown.text
        assert "Member → Milo" in shown.text
        assert not is_known(app, acme, new)
        answer = confirm(admin, shown.text)
        assert answer.headers["Location"] == "/admin/members/"
        assert "The import is done: 1 new, 1 changed." in admin.get("/admin/members/").text
        with inside(app, acme):
            found = members.describe(users.get_by_email(new))
            assert (found.user.name, found.roles) == ('Nora <New>, "N"', ["viewer"])
        assert len(mail_to(app, new)) == 1

    def test_wrong_lines_come_first_and_there_is_no_button(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        shown = admin.post(PAGE, {"text": f"email,role\nnew@{acme.slug}.example,viewer\nnonsense,\n"}).text
        assert shown.index("is no e-mail address") < shown.index(">New<", shown.index("<tbody"))
        assert 'name="seen"' not in shown
        assert "nonsense" in shown[shown.index("<textarea") :]

    def test_what_has_changed_since_is_shown_again(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        new = f"new@{acme.slug}.example"
        shown = admin.post(PAGE, {"text": f"email,name\n{new},Nora\n"}).text
        with inside(app, acme):
            users.create_user(new, "Somebody else")
        answer = confirm(admin, shown)
        assert answer.status_code == 422
        assert "Somebody else → Nora" in answer.text
        with inside(app, acme):
            assert users.get_by_email(new).name == "Somebody else"

    def test_a_forged_confirmation_passes_the_guards(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        text = f"email,role\nnew@{acme.slug}.example,owner\n"
        assert admin.post(PAGE, {"text": text, "seen": "0" * 64}).status_code == 422
        assert not is_known(app, acme, f"new@{acme.slug}.example")

    @pytest.mark.parametrize(
        ("content", "said"),
        [("email\nvéra@x.example".encode("latin-1"), "UTF-8"), (b"x" * (member_files.LARGEST + 1), "too large"),
         (b"phone\n1\n", "The first line names")],
    )  # fmt: skip
    def test_a_file_that_cannot_be_used_is_told(self, admin: Visitor, content: bytes, said: str) -> None:
        answer = admin.post(PAGE, {"file": (io.BytesIO(content), "members.csv")})
        assert answer.status_code == 422
        assert said in answer.text

    def test_nothing_given_is_told(self, admin: Visitor) -> None:
        assert admin.post(PAGE, {"text": ""}).status_code == 422

    def test_what_is_so_already_needs_no_button(self, acme: Workspace, admin: Visitor) -> None:
        shown = admin.post(PAGE, {"text": f"email\n{acme.people['member'].email}\n"}).text
        assert "All of this is so already." in shown
        assert 'name="seen"' not in shown


class TestApi:
    """The same for programs."""

    def test_a_preview_names_each_line_and_writes_nothing(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        new = f"new@{acme.slug}.example"
        answer = admin.post_json(f"{API}/preview", {"csv": f"email,role\n{new},viewer\nnonsense,\n"}).get_json()
        assert answer["counts"] == {"new": 1, "changed": 0, "same": 0, "wrong": 1}
        assert answer["rows"][0] == {
            "line": 2, "email": new, "outcome": "new", "reason": None, "name": None, "role": "viewer",
        }  # fmt: skip
        assert not answer["applied"]
        assert not is_known(app, acme, new)

    def test_what_was_seen_is_done(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        body = {"csv": f"email\nnew@{acme.slug}.example\n"}
        seen = admin.post_json(f"{API}/preview", body).get_json()["seen"]
        answer = admin.post_json(API, body | {"seen": seen})
        assert (answer.status_code, answer.get_json()["applied"]) == (200, True)
        assert is_known(app, acme, f"new@{acme.slug}.example")
        again = admin.post_json(API, body | {"seen": seen})
        assert (again.status_code, again.get_json()["errors"][0]["field"]) == (422, "seen")

    def test_wrong_lines_are_named_and_nothing_is_done(self, app: Flask, acme: Workspace, admin: Visitor) -> None:
        new = f"new@{acme.slug}.example"
        answer = admin.post_json(API, {"csv": f"email,role\n{new},viewer\nnonsense,\n{new},owner\n"})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.get_json()["errors"]] == ["csv.3", "csv.4"]
        assert not is_known(app, acme, new)

    @pytest.mark.parametrize("body", [{}, {"csv": 1}, {"csv": "phone\n1"}, {"csv": "email\n", "more": 1}])
    def test_what_is_no_import_is_told(self, admin: Visitor, body: dict[str, object]) -> None:
        for path in (API, f"{API}/preview"):
            answer = admin.post_json(path, body)
            assert (answer.status_code, answer.content_type) == (422, "application/problem+json")


class TestWho:
    """Whose business it is."""

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_it_is_for_administrators(self, app: Flask, acme: Workspace, role: str) -> None:
        visitor = sign_in(app, acme, role)
        body = {"csv": f"email\nnew@{acme.slug}.example\n"}
        assert visitor.get(PAGE).status_code == 403
        assert visitor.post(PAGE, {"text": body["csv"], "seen": "x"}).status_code == 403
        assert visitor.post_json(f"{API}/preview", body).status_code == 403
        assert visitor.post_json(API, body).status_code == 403
        assert not is_known(app, acme, f"new@{acme.slug}.example")

    def test_an_account_is_not_made_to_have_what_one_has_not(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            roles.create_role("hiring", ["member:manage", "role:manage"], actor=None)
        person = add_person(app, acme, role="hiring")
        visitor = Visitor(app, acme.host)
        visitor.sign_in(person)
        answer = visitor.post_json(API, {"csv": f"email,role\nmine@{acme.slug}.example,admin\n"})
        assert answer.status_code == 422
        assert not is_known(app, acme, f"mine@{acme.slug}.example")

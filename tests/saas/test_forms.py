"""What our own page forms take: the text that a form sends, and nothing else."""

import io

import pytest
from flask import Flask

from tests.factories import Workspace, add_person, make_project
from tests.visitor import Visitor, sign_in

PATHS = ["/projects/new", "/projects/{project}/edit", "/projects/{project}/updates", "/projects/{project}/editors",
         "/account/profile"]  # fmt: skip
BODIES = [
    b"[1,2]",
    b"5",
    b'"abc"',
    b'{"name": 5}',
    b'{"name": ["x"]}',
    b'{"name": "a\\u0000b"}',
    b'"\\ud800"',
    b"[" * 5000,
]


@pytest.mark.parametrize("path", PATHS)
def test_json_is_no_form(app: Flask, acme: Workspace, path: str) -> None:
    owner = sign_in(app, acme, "owner")
    path, token = path.format(project=make_project(app, acme)), owner.csrf_token()
    headers = {"Content-Type": "application/json", "X-CSRFToken": token}
    for body in BODIES:
        answer = owner.client.post(path, base_url=owner.base, data=body, headers=headers)
        assert answer.status_code == 415, body


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_no_text(app: Flask, acme: Workspace, path: str) -> None:
    owner, project = sign_in(app, acme, "owner"), make_project(app, acme, "Apollo")
    files = {name: (io.BytesIO(b"x"), "x.txt") for name in ("name", "description", "body", "email", "locale")}
    answer = owner.post(path.format(project=project), files, content_type="multipart/form-data")
    assert answer.status_code in (302, 422)  # what a form does not send stays as it is
    assert [item["name"] for item in owner.get("/api/v1/projects").json["items"]] == ["Apollo"]


def test_who_may_not_see_members_is_offered_none(app: Flask, acme: Workspace) -> None:
    project, person = make_project(app, acme), add_person(app, acme, role=None)
    sign_in(app, acme, "admin").post(f"/projects/{project}/editors", {"email": person.email})
    editor = Visitor(app, acme.host)
    editor.sign_in(person)
    for path in ("/projects/", f"/projects/{project}/edit"):
        page = editor.get(path).get_data(as_text=True)
        assert str(acme.people["owner"].id) not in page
        assert str(acme.people["viewer"].id) not in page
    assert str(acme.people["member"].id) in page  # the present owner, who can be kept

"""Pages of projects."""

import re
import uuid
from datetime import date, timedelta

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth.models import Grant
from saas.projects import service
from saas.projects.models import Project, ProjectStatus, ProjectUpdate
from tenants.context import bound
from tests.factories import Workspace, add_person, make_project
from tests.visitor import Visitor, sign_in


def listed(visitor: Visitor, query: str = "") -> list[str]:
    """Names in the list, in order."""
    page = visitor.get(f"/projects/{query}").get_data(as_text=True)
    return re.findall(r'href="/projects/[0-9a-f-]{36}"[^>]*>\s*([^<]+?)\s*<', page)


def stored(app: Flask, workspace: Workspace, project_id: uuid.UUID) -> Project | None:
    with app.app_context(), bound(workspace.tenant) as session:
        return session.find(Project, project_id)


def fields(**changes: str) -> dict[str, str]:
    return {"name": "Apollo", "description": "", "status": "active", "owner_id": "", "due_on": "", **changes}


def test_a_new_project_is_shown(app: Flask, acme: Workspace, member: Visitor) -> None:
    answer = member.post("/projects/new", fields(name="Apollo <b>", description="To the\nmoon", due_on="2030-01-31"))
    assert answer.status_code == 302
    page = member.get(answer.location).get_data(as_text=True)
    assert "Apollo &lt;b&gt;" in page
    assert "Jan 31, 2030" in page
    with app.app_context(), bound(acme.tenant) as session:
        assert session.scalars(select(Project)).one().owner_id == acme.people["member"].id


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"description": "x" * 20_001},
        {"status": "secret"},
        {"owner_id": "nobody"},
        {"owner_id": str(uuid.uuid4())},
        {"due_on": "tomorrow"},
    ],
)
def test_a_wrong_field_is_told_and_nothing_typed_is_lost(member: Visitor, wrong: dict[str, str]) -> None:
    answer = member.post("/projects/new", fields(**{"description": "Kept words", "name": "Kept name"} | wrong))
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert "is-invalid" in page or "invalid-feedback" in page
    if "description" not in wrong:
        assert "Kept words" in page
    if "name" not in wrong:
        assert "Kept name" in page


def test_a_project_is_edited(app: Flask, acme: Workspace, member: Visitor) -> None:
    project = make_project(app, acme)
    owner = acme.people["owner"]
    assert (
        member.post(
            f"/projects/{project}/edit", fields(name="Gemini", status="done", owner_id=str(owner.id))
        ).status_code
        == 302
    )
    changed = stored(app, acme, project)
    assert changed is not None
    assert (changed.name, changed.status, changed.owner_id) == ("Gemini", "done", owner.id)


def test_a_project_is_archived_and_restored(app: Flask, acme: Workspace, member: Visitor) -> None:
    project = make_project(app, acme)
    member.post(f"/projects/{project}/archive")
    assert listed(member) == []
    assert listed(member, "?status=archived") == ["Apollo"]
    member.post(f"/projects/{project}/restore")
    assert listed(member) == ["Apollo"]


def test_a_project_is_deleted_after_a_question_with_all_that_belongs_to_it(app: Flask, acme: Workspace) -> None:
    admin, project = sign_in(app, acme, "admin"), make_project(app, acme)
    person = add_person(app, acme, role="viewer")
    admin.post(f"/projects/{project}/updates", {"body": "Going well"})
    admin.post(f"/projects/{project}/editors", {"email": person.email})
    assert "Apollo" in admin.get(f"/projects/{project}/delete").get_data(as_text=True)
    assert stored(app, acme, project) is not None
    assert admin.post(f"/projects/{project}/delete").status_code == 302
    with app.app_context(), bound(acme.tenant) as session:
        assert session.find(Project, project) is None
        assert session.scalars(select(ProjectUpdate)).all() == []
        assert session.scalars(select(Grant).where(Grant.object_type == "project")).all() == []


def test_an_update_is_shown_with_its_author(app: Flask, acme: Workspace, member: Visitor) -> None:
    project = make_project(app, acme)
    assert member.post(f"/projects/{project}/updates", {"body": "Going <i>well</i>"}).status_code == 302
    page = member.get(f"/projects/{project}").get_data(as_text=True)
    assert "Going &lt;i&gt;well&lt;/i&gt;" in page
    assert "Member" in page


def test_an_empty_update_is_refused_at_its_field(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert member.post(f"/projects/{make_project(app, acme)}/updates", {"body": "  "}).status_code == 422


def test_the_list_is_searched_filtered_and_sorted(app: Flask, acme: Workspace, member: Visitor) -> None:
    make_project(app, acme, "Beta", due_on=date(2030, 1, 1))
    make_project(app, acme, "Alpha", status=ProjectStatus.DONE)
    make_project(app, acme, "Gamma", due_on=date(2029, 1, 1))
    assert listed(member, "?sort=name") == ["Alpha", "Beta", "Gamma"]
    assert listed(member, "?sort=-name") == ["Gamma", "Beta", "Alpha"]
    assert listed(member, "?sort=due") == ["Gamma", "Beta", "Alpha"]
    assert listed(member, "?status=done") == ["Alpha"]
    assert listed(member, "?search=amm") == ["Gamma"]
    assert listed(member, f"?owner={acme.people['owner'].id}") == []
    assert listed(member, f"?owner={acme.people['member'].id}&sort=name") == ["Alpha", "Beta", "Gamma"]


def test_the_list_is_paged(app: Flask, acme: Workspace, member: Visitor) -> None:
    for number in range(23):
        make_project(app, acme, f"Project {number:02}")
    assert listed(member, "?sort=name")[0] == "Project 00"
    assert listed(member, "?sort=name&page=2") == ["Project 20", "Project 21", "Project 22"]
    assert listed(member, "?sort=name&page=3") == []


@pytest.mark.parametrize("query", ["?sort=secret", "?page=0", "?page=-1", "?page=999999999"])
def test_a_list_that_cannot_be_is_not_found(member: Visitor, query: str) -> None:
    assert member.get(f"/projects/{query}").status_code == 404


def test_a_project_past_its_date_is_marked(app: Flask, acme: Workspace, member: Visitor) -> None:
    project = make_project(app, acme, due_on=date.today() - timedelta(days=2))
    assert "Overdue" in member.get(f"/projects/{project}").get_data(as_text=True)
    member.post(f"/projects/{project}/archive")
    assert "Overdue" not in member.get(f"/projects/{project}").get_data(as_text=True)


def test_a_viewer_sees_no_control_that_would_be_refused(app: Flask, acme: Workspace) -> None:
    viewer, project = sign_in(app, acme, "viewer"), make_project(app, acme)
    page = viewer.get(f"/projects/{project}").get_data(as_text=True)
    assert all(
        f"/projects/{project}/{action}" not in page for action in ("edit", "archive", "delete", "updates", "editors")
    )
    assert "/projects/new" not in viewer.get("/projects/").get_data(as_text=True)


def test_an_editor_of_one_project_edits_that_one_only(app: Flask, acme: Workspace) -> None:
    mine, other = make_project(app, acme, "Mine"), make_project(app, acme, "Other")
    person = add_person(app, acme, role=None)
    admin = sign_in(app, acme, "admin")
    assert admin.post(f"/projects/{mine}/editors", {"email": person.email}).status_code == 302
    editor = Visitor(app, acme.host)
    editor.sign_in(person)
    assert editor.post(f"/projects/{mine}/edit", fields(name="Mine, edited")).status_code == 302
    assert editor.get(f"/projects/{other}").status_code == 403
    assert editor.post(f"/projects/{other}/edit", fields()).status_code == 403
    assert editor.get(f"/projects/{mine}/delete").status_code == 403
    assert listed(editor) == ["Mine, edited"]


def test_an_editor_loses_the_right_with_the_next_request(app: Flask, acme: Workspace) -> None:
    project, person, admin = make_project(app, acme), add_person(app, acme, role=None), sign_in(app, acme, "admin")
    admin.post(f"/projects/{project}/editors", {"email": person.email})
    editor = Visitor(app, acme.host)
    editor.sign_in(person)
    assert editor.get(f"/projects/{project}").status_code == 200
    assert admin.post(f"/projects/{project}/editors/{person.id}/remove").status_code == 302
    assert editor.get(f"/projects/{project}").status_code == 403


def test_a_member_names_no_editors(app: Flask, acme: Workspace, member: Visitor) -> None:
    project = make_project(app, acme)
    answer = member.post(f"/projects/{project}/editors", {"email": acme.people["viewer"].email})
    assert answer.status_code == 403


def test_an_editor_who_is_not_of_the_workspace_is_refused_at_the_field(
    app: Flask, acme: Workspace, globex: Workspace
) -> None:
    admin, project = sign_in(app, acme, "admin"), make_project(app, acme)
    foreign = globex.people["member"].email
    answer = admin.post(f"/projects/{project}/editors", {"email": foreign})
    assert answer.status_code == 422
    assert foreign in answer.get_data(as_text=True)


def test_a_failed_view_leaves_nothing_half_written(app: Flask, acme: Workspace, member: Visitor, monkeypatch) -> None:
    project = make_project(app, acme)

    def write_and_fail(*_: object) -> None:
        g.db.add(ProjectUpdate(project_id=project, author_id=acme.people["member"].id, body="half"))
        g.db.flush()
        raise RuntimeError("in the middle")

    monkeypatch.setattr(service, "write_update", write_and_fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    assert member.post(f"/projects/{project}/updates", {"body": "x"}).status_code == 500
    with app.app_context(), bound(acme.tenant) as session:
        assert session.scalars(select(ProjectUpdate)).all() == []


def test_the_dashboard_shows_what_changed_last(app: Flask, acme: Workspace, globex: Workspace, member: Visitor) -> None:
    project = make_project(app, acme, "Visible")
    make_project(app, globex, "Invisible")
    member.post(f"/projects/{project}/updates", {"body": "News of the day"})
    page = member.get("/").get_data(as_text=True)
    assert "Visible" in page
    assert "News of the day" in page
    assert "Invisible" not in page

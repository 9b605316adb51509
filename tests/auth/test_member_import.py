"""Members by a file: what a line may be, what becomes of it, and what nobody gets by one."""

from datetime import timedelta

import pytest
from flask import Flask, g
from sqlalchemy import event, select

from auth import default_role, member_files, member_import, members, roles, users
from auth.audit_models import AuditEvent
from auth.errors import InvalidImport, NotAllowed, Throttled
from auth.identity import Identity, snapshot_of
from auth.member_import import Outcome, Preview
from auth.models import User
from tenants.db import now
from tests.auth.helpers import grant, inside, link_in, mail_to, row_of
from tests.factories import Person, Workspace, add_person
from tests.visitor import Visitor


def actor(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def outcomes(found: Preview) -> list[tuple[str, str]]:
    return [(row.line.email, row.outcome.value) for row in found.rows]


def reasons(found: Preview) -> list[str]:
    return [row.reason for row in found.rows]


def address(workspace: Workspace, name: str) -> str:
    return f"{name}@{workspace.slug}.example"


def limited(app: Flask, workspace: Workspace, *permissions: str) -> Person:
    """Somebody with a role of their own, of these permissions."""
    with inside(app, workspace):
        roles.create_role("limited", permissions, actor=None)
    return add_person(app, workspace, role="limited")


class TestFiles:
    """What is read from a file."""

    @pytest.mark.parametrize(
        "text",
        [
            "email,name,role\nvera@x.example,Vera,viewer\n",
            "\ufeffEmail;Name;Role\r\nvera@x.example;Vera;viewer\r\n",
            "role\tname\temail\nviewer\tVera\tvera@x.example",
            '\n email , name , role \n "vera@x.example"," Vera ",viewer \n\n , , \n',
        ],
    )
    def test_spreadsheets_write_it_in_many_ways(self, lone_app: Flask, text: str) -> None:
        with lone_app.test_request_context():
            (line,) = member_files.read(member_files.decode(text.encode()))
        assert (line.email, line.name, line.role, line.fault) == ("vera@x.example", "Vera", "viewer", "")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("email\nvéra@x.example".encode("latin-1"), "UTF-8"),
            ("email\nvera@x.example".encode("utf-16"), "UTF-8"),
            (b"email\n\0@x.example", "no text file"),
            (b"", "first line"),
            (b"vera@x.example\n", "first line"),
            (b"email,phone\n", "first line"),
            (b"email,email\n", "first line"),
            (b"email\n\n", "nobody"),
            (b'email,name\nvera@x.example,"Vera\n', "quotation mark"),
            (b"email\n" + b"a@x.example\n" * 1001, "1000"),
            (b"email\n" + b"x" * member_files.LARGEST, "too large"),
        ],
    )
    def test_what_is_no_list_of_members_is_refused_as_a_whole(self, lone_app: Flask, content: bytes, said: str) -> None:
        with lone_app.test_request_context(), pytest.raises(InvalidImport, match=said):
            member_files.read(member_files.decode(content))

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("nonsense,,", "no e-mail"),
            (",Vera,", "no e-mail"),
            ("x" * 400 + "@x.example,,", "no e-mail"),
            ("vera@x.example,=cmd(),", "formula"),
            ("vera@x.example,+1,", "formula"),
            ("@SUM@x.example,,", "formula"),
            ("vera@x.example,,-x", "formula"),
            ("vera@x.example,Ve\u202era,", "cannot be shown"),
            ("vera@x.example," + "x" * 201 + ",", "too long"),
            ("vera@x.example,Vera", "as many cells"),
            ("vera@x.example,Vera,viewer,more", "as many cells"),
        ],
    )
    def test_a_wrong_line_is_told_with_its_number(self, lone_app: Flask, line: str, fault: str) -> None:
        with lone_app.test_request_context():
            good, wrong = member_files.read(f"email,name,role\ngood@x.example,Good,\n{line}\n")
        assert good.fault == ""
        assert wrong.number == 3
        assert fault in wrong.fault

    def test_somebody_twice_is_wrong_in_any_case(self, lone_app: Flask) -> None:
        with lone_app.test_request_context():
            first, second = member_files.read("email\nVera@x.example\nvera@X.example\n")
        assert (first.fault, second.fault) == ("", "is in line 2 already")


class TestPreview:
    """What a file would do."""

    def test_each_line_is_new_changed_as_it_is_or_wrong(self, app: Flask, acme: Workspace) -> None:
        member, viewer = acme.people["member"].email, acme.people["viewer"].email
        gone = add_person(app, acme)
        with inside(app, acme):
            users.deactivate_user(row_of(gone), actor=None)
            text = (
                f"email,name,role\nnew@x.example,New,member\n{member.upper()},Milo,\n{viewer},Viewer,Viewer\n"
                f"{viewer.replace('viewer', 'other')},,nobody\n{gone.email},,\n"
            )
            found = member_import.preview(text, actor=actor(acme.people["admin"]))
        assert [row.outcome.value for row in found.rows] == ["new", "changed", "same", "wrong", "wrong"]
        assert "there is no role “nobody”" in found.rows[3].reason
        assert "deactivated" in found.rows[4].reason

    def test_nothing_is_written(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme) as session:
            member_import.preview("email\nnew@x.example\n", actor=None)
            assert not session.new
            assert not session.dirty
            assert users.find_by_email("new@x.example") is None

    def test_it_costs_no_more_statements_with_many_lines(self, app: Flask, acme: Workspace) -> None:
        sent: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            sent.append(statement)

        def cost(number: int) -> int:
            lines = "".join(f"p{each}@x.example,P,member\n" for each in range(number))
            with inside(app, acme):
                sent.clear()
                member_import.preview(f"email,name,role\n{lines}", actor=None)
                return len(sent)

        engine = app.extensions["tenants"].engines.shared
        event.listen(engine, "before_cursor_execute", note)
        try:
            assert cost(300) == cost(2)
        finally:
            event.remove(engine, "before_cursor_execute", note)


class TestApplying:
    """What a file does."""

    def test_new_members_have_name_role_and_a_mail(self, app: Flask, acme: Workspace) -> None:
        new, nameless = address(acme, "new"), address(acme, "nameless")
        with inside(app, acme):
            text = f"email,name,role\n{new},Nora New,viewer\n{nameless},,\n"
            assert member_import.apply(text, actor=actor(acme.people["admin"])).applied
        with inside(app, acme):
            person = users.get_by_email(new)
            assert (person.name, person.password, person.active) == ("Nora New", None, True)
            assert members.describe(person).roles == ["viewer"]
            assert users.get_by_email(nameless).name == "nameless"
        (mail,) = mail_to(app, new)
        assert "/auth/reset" in link_in(mail)

    def test_members_are_renamed_and_keep_what_they_have(self, app: Flask, acme: Workspace) -> None:
        member = acme.people["member"]
        with inside(app, acme):
            assert member_import.apply(f"email,name,role\n{member.email},Milo,viewer\n", actor=None).applied
        with inside(app, acme):
            found = members.describe(row_of(member))
            assert (found.user.name, found.roles) == ("Milo", ["member", "viewer"])
        assert mail_to(app, member.email) == []

    def test_a_role_for_a_time_becomes_one_for_good(self, app: Flask, acme: Workspace) -> None:
        viewer = acme.people["viewer"]
        grant(app, acme, viewer, "member", expires_at=now() + timedelta(days=1))
        with inside(app, acme):
            found = member_import.apply(f"email,role\n{viewer.email},member\n", actor=None)
            assert outcomes(found) == [(viewer.email, "changed")]
        with inside(app, acme):
            again = member_import.preview(f"email,role\n{viewer.email},member\n", actor=None)
            assert outcomes(again) == [(viewer.email, "same")]

    def test_one_wrong_line_leaves_all_undone(self, app: Flask, acme: Workspace) -> None:
        new, member = address(acme, "new"), acme.people["member"]
        with inside(app, acme):
            found = member_import.apply(f"email,name\n{new},New\n{member.email},Milo\nnonsense,x\n", actor=None)
            assert not found.applied
        with inside(app, acme):
            assert users.find_by_email(new) is None
            assert row_of(member).name == "Member"
        assert mail_to(app, new) == []

    def test_what_is_confirmed_is_what_was_seen(self, app: Flask, acme: Workspace) -> None:
        text = f"email,name\n{address(acme, 'new')},New\n"
        with inside(app, acme):
            seen = member_import.preview(text, actor=None).seen
            users.create_user(address(acme, "new"), "Somebody")
        with inside(app, acme):
            assert not member_import.apply(text, actor=None, seen=seen).applied
            seen = member_import.preview(text, actor=None).seen
            assert member_import.apply(text, actor=None, seen=seen).applied

    def test_somebody_quicker_is_told(self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = acme.people["member"].email
        monkeypatch.setattr(member_import, "_known", lambda _emails: {})
        with inside(app, acme), pytest.raises(InvalidImport, match="in this moment"):
            member_import.apply(f"email\n{taken}\n", actor=None)

    def test_it_is_recorded(self, app: Flask, acme: Workspace) -> None:
        new, member = address(acme, "new"), acme.people["member"]
        with inside(app, acme):
            member_import.apply(f"email,name,role\n{new},N,viewer\n{member.email},Milo,\n", actor=None)
        with inside(app, acme) as session:
            told = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(4)).all()
        assert [(event.kind, event.target) for event in reversed(told)] == [
            ("account created", new), ("account changed", member.email), ("role given", new), ("members imported", ""),
        ]  # fmt: skip
        assert told[0].details == {"new": 1, "changed": 1}

    def test_nobody_imports_without_end(self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(member_import, "MOST_IN_WINDOW", 3)
        text = f"email\n{acme.people['member'].email}\n{acme.people['viewer'].email}\n"
        with inside(app, acme):
            admin = actor(acme.people["admin"])
            assert member_import.apply(text, actor=admin).applied
            with pytest.raises(Throttled):
                member_import.apply(text, actor=admin)


class TestGuards:
    """Nobody gets by a file what they could not give."""

    def test_an_owner_is_made_by_owners_alone(self, app: Flask, acme: Workspace) -> None:
        text = f"email,role\n{address(acme, 'new')},owner\n{acme.people['viewer'].email},Owner\n"
        with inside(app, acme):
            refused = member_import.preview(text, actor=actor(acme.people["admin"]))
            assert all("Only owners" in reason for reason in reasons(refused))
            assert member_import.apply(text, actor=actor(acme.people["owner"])).applied

    def test_a_role_that_one_does_not_hold_is_refused(self, app: Flask, acme: Workspace) -> None:
        person = limited(app, acme, "member:manage", "role:manage")
        with inside(app, acme):
            found = member_import.apply(f"email,role\n{address(acme, 'new')},member\n", actor=actor(person))
            assert not found.applied
            assert "do not hold" in found.rows[0].reason

    def test_a_role_needs_the_right_to_give_roles(self, app: Flask, acme: Workspace) -> None:
        person = limited(app, acme, "member:manage", "member:read")
        with inside(app, acme):
            roles.create_role("nothing", [], actor=None)
            found = member_import.preview(f"email,role\n{address(acme, 'new')},nothing\n", actor=actor(person))
            assert "role:manage" in found.rows[0].reason

    def test_a_role_on_one_object_is_not_given_on_all(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            found = member_import.preview("email,role\nnew@x.example,project-editor\n", actor=None)
        assert "one project" in found.rows[0].reason

    def test_the_default_role_is_not_had_by_making_somebody(self, app: Flask, acme: Workspace) -> None:
        person = limited(app, acme, "member:manage")
        with inside(app, acme):
            default_role.set_default_role(roles.get_role("member"), actor=None)
        with inside(app, acme):
            found = member_import.apply(f"email\n{address(acme, 'mine')}\n", actor=actor(person))
            assert not found.applied
            assert "do not hold" in found.rows[0].reason
            assert member_import.apply(f"email\n{address(acme, 'mine')}\n", actor=actor(acme.people["admin"])).applied
        with inside(app, acme):
            assert members.describe(users.get_by_email(address(acme, "mine"))).roles == ["member"]

    def test_whoever_holds_more_is_not_renamed_and_the_others_would_be(self, app: Flask, acme: Workspace) -> None:
        lines = "".join(f"{acme.people[role].email},Other\n" for role in ("member", "owner", "viewer"))
        with inside(app, acme):
            found = member_import.preview(f"email,name\n{lines}", actor=actor(acme.people["admin"]))
        assert [row.outcome for row in found.rows] == [Outcome.CHANGED, Outcome.WRONG, Outcome.CHANGED]
        assert "Only owners" in found.rows[1].reason

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_members_are_managed_by_whoever_may(self, app: Flask, acme: Workspace, role: str) -> None:
        with inside(app, acme):
            for act in (member_import.preview, member_import.apply):
                with pytest.raises(NotAllowed):
                    act("email\nnew@x.example\n", actor=actor(acme.people[role]))

    def test_another_workspaces_members_are_as_good_as_unknown(
        self, app: Flask, acme: Workspace, globex: Workspace
    ) -> None:
        other = globex.people["member"]
        with inside(app, acme):
            assert member_import.apply(f"email,name\n{other.email},Taken\n", actor=None).applied
        with inside(app, globex):
            assert row_of(other).name == "Member"
            assert len(g.db.scalars(select(User)).all()) == len(globex.people)


class TestCommand:
    """`flask users import` and `users remove`."""

    def test_a_file_is_tried_and_imported(self, app: Flask, acme: Workspace) -> None:
        new = address(acme, "new")
        command, text = ["users", "import", "-", "--tenant", acme.slug], f"email,role\n{new},viewer\n"
        run = app.test_cli_runner()
        tried = run.invoke(args=[*command, "--dry-run"], input=text)
        assert f"new      {new}" in tried.output
        with inside(app, acme):
            assert users.find_by_email(new) is None
        assert run.invoke(args=command, input=text).exit_code == 0
        with inside(app, acme):
            assert users.find_by_email(new) is not None

    def test_a_wrong_line_imports_nobody(self, app: Flask, acme: Workspace) -> None:
        new = address(acme, "new")
        done = app.test_cli_runner().invoke(
            args=["users", "import", "-", "--tenant", acme.slug], input=f"email\n{new}\nnonsense\n"
        )
        assert done.exit_code == 1
        assert "nobody was imported" in done.output
        with inside(app, acme):
            assert users.find_by_email(new) is None

    def test_somebody_is_removed(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        member = acme.people["member"]
        done = app.test_cli_runner().invoke(args=["users", "remove", member.email, "--tenant", acme.slug])
        assert done.exit_code == 0
        visitor.sign_in(member)
        assert not visitor.is_signed_in()

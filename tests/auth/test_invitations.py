"""Asking people in by mail, and what has to be so when they accept."""

import html
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import delete, func, select

from auth import acceptance, audit, invitation_links, invitations, roles, users
from auth.errors import InvalidAddresses, InvitationVoid, NotAllowed, Throttled
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Invitation, Role, User
from auth.policy_changes import change_policy
from auth.providers import configs
from auth.providers.models import ProviderConfig
from tenants.db import now
from tests.auth import directories, sources
from tests.auth.conftest import Clock
from tests.auth.helpers import add_passkey, at_once, inside, link_in, mail_to, path_of, row_of
from tests.factories import PASSWORD, Person, Workspace, add_person
from tests.servers import oidc, openldap, require
from tests.servers.oidc import OidcServer
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor, sign_in

VOID = "This invitation does not count"
CHOSEN = {"name": "Vera Vance", "password": PASSWORD, "password_confirm": PASSWORD}


def actor(person: Person) -> Identity:
    """The person as a caller, in the bound workspace."""
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def invite(
    app: Flask, workspace: Workspace, email: str, role: str = "member", *, by: str | None = "owner", **options: Any
) -> str:
    """Invite somebody as the person of that role, or by the command line; gives back the path that was mailed."""
    with inside(app, workspace):
        invitations.invite([email], role, actor=actor(workspace.people[by]) if by else None, **options)
    return mailed(app, email)


def mailed(app: Flask, email: str) -> str:
    """The path of the last link that was mailed there."""
    return path_of(link_in(mail_to(app, email)[-1]))


def pending(app: Flask, workspace: Workspace) -> list[str]:
    with inside(app, workspace):
        return [row.email for row, _role, _inviter in invitations.list_pending(sort="email").rows]


def roles_in(visitor: Visitor) -> list[str]:
    found: list[str] = visitor.get("/api/v1/me").get_json()["roles"]
    return found


def custom_inviter(app: Flask, workspace: Workspace, *permissions: str) -> Person:
    """Somebody with a role of exactly these permissions."""
    with inside(app, workspace):
        roles.create_role("inviting", permissions, actor=None)
    return add_person(app, workspace, role="inviting")


@pytest.fixture
def email(acme: Workspace) -> str:
    return f"vera@{acme.slug}.example"


def revoke_when_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody be quicker than whoever accepts: the invitation is gone between being read and being used."""
    look = acceptance.giver_of

    def gone(invitation: Invitation) -> Identity | None:
        found = look(invitation)
        g.db.execute(delete(Invitation).where(Invitation.id == invitation.id))
        return found

    monkeypatch.setattr(acceptance, "giver_of", gone)


class TestInviting:
    """What inviting does, and to whom."""

    def test_a_link_is_mailed_that_names_workspace_role_and_inviter(
        self, app: Flask, acme: Workspace, email: str
    ) -> None:
        invite(app, acme, email)
        message = mail_to(app, email)[-1]
        assert message.subject == f"Invitation to {acme.slug.title()}"
        for shown in ("Owner invites you", acme.slug.title(), "“Member”", f"{acme.url}/invitation/", "7 days"):
            assert shown in message.body
        assert "Look at the invitation" in message.alternatives[0][0]
        with inside(app, acme):
            assert users.find_by_email(email) is None

    def test_several_are_invited_all_or_none(self, app: Flask, acme: Workspace, email: str) -> None:
        member = acme.people["member"].email
        typed = [email, "no address", member, "two@acme.example", "TWO@acme.example"]
        with inside(app, acme), pytest.raises(InvalidAddresses) as refused:
            invitations.invite(typed, "member", actor=actor(acme.people["owner"]))
        assert refused.value.faults == {
            "no address": "is no e-mail address",
            member: "is a member already",
            "TWO@acme.example": "is there more than once",
        }
        assert pending(app, acme) == []
        assert mail_to(app, email) == []

    @pytest.mark.parametrize("typed", ["", "@", "a@b@c", "x" * 400 + "@acme.example", "a\n@b.example", "vera@"])
    def test_what_is_no_address_is_said_to_be_none(self, app: Flask, acme: Workspace, typed: str) -> None:
        with inside(app, acme), pytest.raises(InvalidAddresses, match="is no e-mail address"):
            invitations.invite([typed], "member", actor=None)

    def test_nobody_at_all_is_an_error(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(InvalidAddresses):
            invitations.invite([], "member", actor=None)

    def test_too_many_at_once_are_refused(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(NotAllowed, match="At most 100"):
            invitations.invite([f"p{number}@x.example" for number in range(101)], "member", actor=None)

    def test_who_is_invited_already_is_said(self, app: Flask, acme: Workspace, email: str) -> None:
        invite(app, acme, email)
        with inside(app, acme), pytest.raises(InvalidAddresses, match="invited already"):
            invitations.invite([email.upper()], "viewer", actor=actor(acme.people["owner"]))

    def test_a_deactivated_member_is_said_to_be_one(self, app: Flask, acme: Workspace) -> None:
        member = acme.people["member"]
        with inside(app, acme):
            users.deactivate_user(row_of(member), actor=None)
            with pytest.raises(InvalidAddresses, match="reactivated"):
                invitations.invite([member.email], "member", actor=None)

    def test_an_expired_invitation_does_not_stand_in_the_way_of_another(
        self, app: Flask, acme: Workspace, email: str, clock: Clock
    ) -> None:
        invite(app, acme, email)
        clock.advance(days=8)
        invite(app, acme, email, "viewer")
        assert pending(app, acme) == [email]

    def test_two_who_invite_the_same_at_once_send_one_invitation(self, app: Flask, acme: Workspace, email: str) -> None:
        def work(role: str) -> bool:
            try:
                invite(app, acme, email, by=role)
            except InvalidAddresses:
                return False
            return True

        assert sorted(at_once([partial(work, "owner"), partial(work, "admin")])) == [False, True]
        assert pending(app, acme) == [email]

    def test_inviting_accepting_and_revoking_are_in_the_log(self, app: Flask, acme: Workspace, email: str) -> None:
        path = invite(app, acme, email)
        Visitor(app, acme.host).post(path, CHOSEN)
        invite(app, acme, "other@acme.example", by="admin")
        with inside(app, acme) as session:
            row = session.scalars(select(Invitation)).one()
            invitations.revoke(row, actor=actor(acme.people["admin"]))
            told = [
                (event.kind, event.actor, event.target)
                for event in reversed(audit.search(limit=50))
                if event.kind.startswith(("invitation", "account"))
            ]
        owner, admin = acme.people["owner"].email, acme.people["admin"].email
        assert [one for one in told if one[0] != "account created"] == [
            ("invitation sent", owner, email),
            ("invitation accepted", email, email),
            ("invitation sent", admin, "other@acme.example"),
            ("invitation revoked", admin, "other@acme.example"),
        ]
        assert [target for kind, _by, target in told if kind == "account created" and target == email] == [email]

    def test_the_command_line_invites_without_anybody_who_answers_for_it(
        self, app: Flask, acme: Workspace, email: str, visitor: Visitor
    ) -> None:
        answer = app.test_cli_runner().invoke(args=["users", "invite", email, "--role", "owner", "--tenant", acme.slug])
        assert answer.exit_code == 0, answer.output
        assert visitor.post(mailed(app, email), CHOSEN).status_code == 302
        assert roles_in(visitor) == ["owner"]
        again = app.test_cli_runner().invoke(args=["users", "invite", email, "nobody", "--tenant", acme.slug])
        assert again.exit_code == 1
        assert "is a member already" in again.output


class TestGuards:
    """Nobody invites to more than they hold."""

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_who_does_not_manage_members_invites_nobody(
        self, app: Flask, acme: Workspace, email: str, role: str
    ) -> None:
        with pytest.raises(NotAllowed):
            invite(app, acme, email, "viewer", by=role)

    def test_only_owners_invite_owners(self, app: Flask, acme: Workspace, email: str) -> None:
        with pytest.raises(NotAllowed, match="Only owners"):
            invite(app, acme, email, "owner", by="admin")

    def test_a_role_with_more_than_one_holds_cannot_be_given(self, app: Flask, acme: Workspace, email: str) -> None:
        person = custom_inviter(app, acme, "member:manage", "role:manage")
        with inside(app, acme), pytest.raises(NotAllowed, match="do not hold"):
            invitations.invite([email], "admin", actor=actor(person))
        with inside(app, acme):
            assert [role.name for role in invitations.givable_roles(actor(person))] == ["inviting"]

    def test_who_gives_no_roles_invites_nobody(self, app: Flask, acme: Workspace, email: str) -> None:
        person = custom_inviter(app, acme, "member:manage")
        with inside(app, acme), pytest.raises(NotAllowed):
            invitations.invite([email], "inviting", actor=actor(person))

    def test_who_gives_roles_but_does_not_manage_members_changes_no_invitation(
        self, app: Flask, acme: Workspace, email: str
    ) -> None:
        person = custom_inviter(app, acme, "role:manage")
        with inside(app, acme), pytest.raises(NotAllowed, match="member:manage"):
            invitations.invite([email], "inviting", actor=actor(person))
        invite(app, acme, email, "inviting", by=None)
        for change in (invitations.resend, invitations.revoke):
            with inside(app, acme) as session:
                row = session.scalars(select(Invitation)).one()
                with pytest.raises(NotAllowed, match="member:manage"):
                    change(row, actor=actor(person))

    def test_a_role_on_objects_cannot_be_given(self, app: Flask, acme: Workspace, email: str) -> None:
        with inside(app, acme):
            name = next(role.name for role in roles.catalogue().roles.values() if role.object_type)
        with pytest.raises(NotAllowed):
            invite(app, acme, email, name)

    def test_an_owner_is_not_invited_for_a_time(self, app: Flask, acme: Workspace, email: str) -> None:
        with pytest.raises(NotAllowed, match="for a time"):
            invite(app, acme, email, "owner", ends_at=now() + timedelta(days=30))

    def test_a_role_that_has_ended_cannot_be_given(self, app: Flask, acme: Workspace, email: str) -> None:
        with pytest.raises(NotAllowed, match="future"):
            invite(app, acme, email, ends_at=now() - timedelta(minutes=1))

    @pytest.mark.parametrize("change", [invitations.resend, invitations.revoke])
    def test_an_admin_changes_no_invitation_of_an_owner(
        self, app: Flask, acme: Workspace, email: str, change: Callable[..., bool]
    ) -> None:
        invite(app, acme, email, "owner")
        with inside(app, acme) as session:
            row = session.scalars(select(Invitation)).one()
            with pytest.raises(NotAllowed):
                change(row, actor=actor(acme.people["admin"]))

    def test_a_mailbox_is_not_flooded(self, app: Flask, acme: Workspace, email: str) -> None:
        invite(app, acme, email)
        with inside(app, acme) as session:
            row, owner = session.scalars(select(Invitation)).one(), actor(acme.people["owner"])
            for _ in range(invitations.MOST_TO_ONE - 1):
                invitations.resend(row, actor=owner)
            with pytest.raises(InvalidAddresses, match="wait a while"):
                invitations.resend(row, actor=owner)
        assert len(mail_to(app, email)) == invitations.MOST_TO_ONE

    def test_revoking_and_inviting_again_is_no_way_around_that(self, app: Flask, acme: Workspace, email: str) -> None:
        with inside(app, acme):
            owner = actor(acme.people["owner"])
            for _ in range(invitations.MOST_TO_ONE):
                (row,) = invitations.invite([email], "member", actor=owner)
                invitations.revoke(row, actor=owner)
            with pytest.raises(InvalidAddresses, match="wait a while"):
                invitations.invite([email], "member", actor=owner)

    def test_one_person_sends_so_many_and_no_more(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invitations, "MOST_MAILS", 3)
        with inside(app, acme):
            owner = actor(acme.people["owner"])
            invitations.invite(["a@x.example", "b@x.example"], "member", actor=owner)
            with pytest.raises(Throttled):
                invitations.invite(["c@x.example", "d@x.example"], "member", actor=owner)
            invitations.invite(["c@x.example"], "member", actor=actor(acme.people["admin"]))


class TestTheLink:
    """When a link counts; otherwise it says nothing, but what to do."""

    def refused(self, visitor: Visitor, path: str) -> bool:
        """Whether neither opening nor sending it does anything."""
        answers = [visitor.get(path), visitor.post(path, CHOSEN)]
        return all(answer.status_code == 404 and VOID in answer.text for answer in answers)

    def test_opening_it_changes_nothing(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        path = invite(app, acme, email)
        for _ in range(2):
            page = visitor.get(path)
            assert page.status_code == 200
            for shown in (acme.slug.title(), "Member", "Owner", email):
                assert shown in page.text
        assert pending(app, acme) == [email]
        assert sources.user_at(app, acme, email) is None

    def test_it_counts_once(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        path = invite(app, acme, email)
        assert visitor.post(path, CHOSEN).status_code == 302
        assert self.refused(Visitor(app, acme.host), path)
        assert pending(app, acme) == []

    def test_whoever_has_used_it_is_led_on_when_they_open_it_again(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        path = invite(app, acme, email)
        visitor.post(path, CHOSEN)
        assert visitor.get(path).headers["Location"] == "/"
        assert self.refused(sign_in(app, acme, "member"), path)

    def test_it_counts_for_a_week(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, clock: Clock
    ) -> None:
        path = invite(app, acme, email)
        clock.advance(days=6, hours=23)
        assert visitor.get(path).status_code == 200
        clock.advance(hours=2)
        assert self.refused(visitor, path)

    def test_a_new_one_voids_the_former_and_counts_for_another_week(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, clock: Clock
    ) -> None:
        former = invite(app, acme, email)
        clock.advance(days=8)
        with inside(app, acme) as session:
            row = session.scalars(select(Invitation)).one()
            assert invitations.resend(row, actor=actor(acme.people["admin"]))
        assert self.refused(visitor, former)
        assert visitor.post(mailed(app, email), CHOSEN).status_code == 302
        with inside(app, acme) as session:
            given = session.scalars(select(Grant.granted_by).where(Grant.origin == "invitation")).one()
            assert given == acme.people["admin"].id  # who answers for it now

    def test_a_revoked_one_counts_no_more(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        path = invite(app, acme, email)
        with inside(app, acme) as session:
            row = session.scalars(select(Invitation)).one()
            assert invitations.revoke(row, actor=actor(acme.people["owner"]))
            assert not invitations.revoke(row, actor=None)
            assert not invitations.resend(row, actor=None)
        assert self.refused(visitor, path)

    @pytest.mark.parametrize("change", ["role", "email", "nonce"])
    def test_one_whose_row_says_something_else_counts_no_more(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, change: str
    ) -> None:
        path = invite(app, acme, email)
        with inside(app, acme) as session:
            row = session.scalars(select(Invitation)).one()
            match change:
                case "role":
                    row.role_id = roles.get_role("viewer").id
                case "email":
                    row.email = "other@acme.example"
                case _:
                    row.nonce = "another"
        assert self.refused(visitor, path)

    def test_it_is_gone_with_its_role(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        with inside(app, acme):
            roles.create_role("guest", ["member:read"], actor=None)
        path = invite(app, acme, email, "guest")
        with inside(app, acme) as session:
            session.delete(roles.get_role("guest"))
        assert self.refused(visitor, path)

    def test_one_whose_role_has_ended_meanwhile_counts_no_more(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, clock: Clock
    ) -> None:
        path = invite(app, acme, email, ends_at=now() + timedelta(days=1))
        clock.advance(days=2)
        assert self.refused(visitor, path)

    def test_another_tenants_counts_for_nothing(
        self, app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor, email: str
    ) -> None:
        assert self.refused(visitor, invite(app, globex, email))
        assert pending(app, globex) == [email]

    @pytest.mark.parametrize("token", ["x", "x.y.z", "..", "WzFd.a.b", "%E2%82%AC", "a" * 3000])
    def test_a_made_up_one_counts_for_nothing(self, visitor: Visitor, token: str) -> None:
        assert self.refused(visitor, f"/invitation/{token}")

    def test_a_changed_one_counts_for_nothing(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        path = invite(app, acme, email)
        for place in (len("/invitation/") + 5, len(path) - 3):
            other = "A" if path[place] != "A" else "B"
            assert self.refused(visitor, path[:place] + other + path[place + 1 :])

    def test_another_signed_link_of_this_tenant_is_none(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        member = acme.people["member"]
        visitor.post("/auth/reset", {"email": member.email})
        token = mailed(app, member.email).rpartition("/")[2]
        assert self.refused(visitor, f"/invitation/{token}")

    @pytest.mark.parametrize("step", ["accept", "source", "directory", "sign-out"])
    def test_no_step_takes_a_made_up_one(self, app: Flask, acme: Workspace, step: str) -> None:
        member = sign_in(app, acme, "member")
        answer = member.post(f"/invitation/made-up/{step}", {"source": str(uuid.uuid4())})
        assert answer.status_code == (302 if step == "sign-out" else 404)


class TestWithAPassword:
    """Becoming a user by a mailed link and a password."""

    def test_whoever_accepts_is_signed_in_with_the_role(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        ends = now() + timedelta(days=90)
        path = invite(app, acme, email, "viewer", ends_at=ends)
        assert visitor.post(path, CHOSEN).headers["Location"] == "/"
        assert "Welcome to" in visitor.get("/").text
        assert roles_in(visitor) == ["viewer"]
        with inside(app, acme) as session:
            user = users.get_by_email(email)
            assert (user.name, user.confirmed_at is not None) == ("Vera Vance", True)
            grant = session.scalars(select(Grant).where(Grant.user_id == user.id)).one()
            assert (grant.origin, grant.granted_by) == ("invitation", acme.people["owner"].id)
            assert grant.expires_at == ends
        assert Visitor(app, acme.host).sign_in(Person(user.id, email)).status_code == 302

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": " "},
            {"name": "x" * 201},
            {"password": "short", "password_confirm": "short"},
            {"password": "password123", "password_confirm": "password123"},
            {"password_confirm": "another one"},
            {"password": "", "password_confirm": ""},
            {"password": "x1" * 600, "password_confirm": "x1" * 600},
        ],
    )
    def test_what_is_wrong_is_said_and_the_invitation_waits(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, wrong: dict[str, str]
    ) -> None:
        path = invite(app, acme, email)
        answer = visitor.post(path, CHOSEN | wrong)
        assert answer.status_code == 422
        assert "is-invalid" in answer.text or "invalid-feedback" in answer.text
        assert ("Vera Vance" in answer.text) == ("name" not in wrong)
        assert pending(app, acme) == [email]
        assert sources.user_at(app, acme, email) is None

    def test_two_at_once_make_one_user(self, app: Flask, acme: Workspace, email: str) -> None:
        path = invite(app, acme, email)
        browsers = [Visitor(app, acme.host) for _ in range(4)]
        tokens = [browser.csrf_token() for browser in browsers]
        answers = at_once(
            [
                lambda one=one, token=token: one.post(path, CHOSEN, csrf=token).status_code
                for one, token in zip(browsers, tokens, strict=True)
            ]
        )
        assert sorted(answers)[0] == 302
        assert set(sorted(answers)[1:]) <= {200, 404}
        with inside(app, acme) as session:
            assert session.scalar(select(func.count(User.id)).where(User.email == email)) == 1
            assert session.scalar(select(func.count(Grant.id)).where(Grant.origin == "invitation")) == 1

    def test_one_that_is_revoked_in_this_very_moment_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = invite(app, acme, email)
        revoke_when_looked_at(monkeypatch)
        assert visitor.post(path, CHOSEN).status_code == 404
        assert sources.user_at(app, acme, email) is None

    def test_where_passwords_are_none_none_is_offered_and_none_taken(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        path = invite(app, acme, email)
        add_passkey(sign_in(app, acme, "owner"))  # the owner's way in
        with inside(app, acme):
            change_policy({"methods": ["passkey"]}, actor=None)
        assert 'name="password"' not in visitor.get(path).text
        assert visitor.post(path, CHOSEN).status_code == 404
        assert sources.user_at(app, acme, email) is None

    def test_longer_passwords_are_asked_for_where_the_workspace_wants_them(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        with inside(app, acme):
            change_policy({"shortest_password": 40}, actor=None)
        path = invite(app, acme, email)
        assert "At least 40 characters" in visitor.get(path).text
        assert visitor.post(path, CHOSEN).status_code == 422

    def test_a_second_factor_is_asked_for_where_the_workspace_wants_one(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        with inside(app, acme):
            change_policy({"second_factor": "all"}, actor=None)
        assert visitor.post(invite(app, acme, email), CHOSEN).status_code == 302
        assert visitor.get("/").headers["Location"] == "/auth/tf-setup"

    def test_from_elsewhere_than_the_workspaces_networks_nobody_becomes_a_user(
        self, app: Flask, acme: Workspace, stranger: Visitor, email: str
    ) -> None:
        path = invite(app, acme, email)
        with inside(app, acme):
            change_policy({"networks": ["127.0.0.0/8"]}, actor=None)
        assert stranger.post(path, CHOSEN).headers["Location"] == "/auth/login"
        assert sources.user_at(app, acme, email) is None
        assert pending(app, acme) == [email]

    def test_a_form_of_another_page_is_refused(self, app: Flask, acme: Workspace, visitor: Visitor, email: str) -> None:
        path = invite(app, acme, email)
        assert visitor.post(path, CHOSEN, headers={"Origin": "http://evil.example"}).status_code == 400
        assert visitor.post(path, CHOSEN, csrf="made up").status_code == 400


class TestWhoInvited:
    """What they give they have to hold when it is accepted, too."""

    def lose(self, app: Flask, workspace: Workspace, how: str) -> None:
        admin = workspace.people["admin"]
        with inside(app, workspace) as session:
            match how:
                case "rights":
                    roles.revoke_role(row_of(admin), "admin", actor=None)
                case "deactivated":
                    users.deactivate_user(row_of(admin), actor=None)
                case _:
                    session.delete(row_of(admin))

    @pytest.mark.parametrize("how", ["rights", "deactivated", "removed"])
    def test_an_invitation_of_somebody_who_may_not_any_more_is_refused(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str, how: str
    ) -> None:
        path = invite(app, acme, email, by="admin")
        self.lose(app, acme, how)
        for answer in (visitor.get(path), visitor.post(path, CHOSEN)):
            assert answer.status_code == 404
            assert "may not give that role any more" in answer.text
        assert sources.user_at(app, acme, email) is None

    def test_the_services_refuse_it_too(self, app: Flask, acme: Workspace, email: str) -> None:
        token = invite(app, acme, email, by="admin").rpartition("/")[2]
        self.lose(app, acme, "rights")
        with inside(app, acme), pytest.raises(InvitationVoid, match="not give that role"):
            acceptance.accept_with_password(token, "Vera", PASSWORD)

    def test_a_role_that_has_grown_beyond_them_is_refused(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        person = custom_inviter(app, acme, "member:manage", "role:manage")
        with inside(app, acme):
            roles.create_role("guest", ["member:manage"], actor=None)
            invitations.invite([email], "guest", actor=actor(person))
        with inside(app, acme) as session:
            role = session.scalars(select(Role).where(Role.name == "guest")).one()
            role.stored_permissions = ["member:manage", "provider:manage"]
        assert visitor.post(mailed(app, email), CHOSEN).status_code == 404

    def test_an_owner_who_is_none_any_more_makes_no_owner(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        second = add_person(app, acme, role="owner")
        with inside(app, acme):
            invitations.invite([email], "owner", actor=actor(second))
            roles.revoke_role(row_of(second), "owner", actor=None)
            roles.grant_role(row_of(second), "admin", actor=None)
        assert visitor.post(mailed(app, email), CHOSEN).status_code == 404


class TestSignedIn:
    """Opening an invitation as somebody who is here already."""

    def test_somebody_else_is_told_so_and_can_sign_out(self, app: Flask, acme: Workspace, email: str) -> None:
        path, member = invite(app, acme, email), sign_in(app, acme, "member")
        page = member.get(path).text
        assert "for somebody else" in page
        assert acme.people["member"].email in page
        assert email in page
        assert member.post(f"{path}/accept").status_code == 404
        assert member.post(path, CHOSEN).status_code == 200  # the same page
        assert sources.user_at(app, acme, email) is None
        assert roles_in(member) == ["member"]
        assert member.post(f"{path}/sign-out").headers["Location"] == path
        assert not member.is_signed_in()
        assert "Your name" in member.get(path).text

    @pytest.fixture
    def known(self, app: Flask, acme: Workspace, email: str) -> tuple[Person, str]:
        """Somebody with an account that was made after they were invited, and the link."""
        path = invite(app, acme, email)
        return add_person(app, acme, role=None, email=email), path

    def test_who_has_an_account_is_asked_to_sign_in_and_then_accepts(
        self, app: Flask, acme: Workspace, visitor: Visitor, known: tuple[Person, str]
    ) -> None:
        person, path = known
        page = visitor.get(path).text
        assert "already" in page
        assert f"/auth/login?next={path}" in page
        assert visitor.post(path, CHOSEN).status_code == 200  # no second password for an account that there is
        visitor.sign_in(person)
        assert roles_in(visitor) == []
        assert "You have an account here already" in visitor.get(path).text
        assert pending(app, acme) == [person.email]
        assert visitor.post(f"{path}/accept").headers["Location"] == "/"
        assert roles_in(visitor) == ["member"]
        assert pending(app, acme) == []
        assert visitor.post(f"{path}/accept").status_code == 404

    def test_it_is_not_taken_twice_nor_after_it_was_revoked(
        self, app: Flask, acme: Workspace, visitor: Visitor, known: tuple[Person, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, path = known
        visitor.sign_in(person)
        revoke_when_looked_at(monkeypatch)
        assert visitor.post(f"{path}/accept").status_code == 404
        assert roles_in(visitor) == []

    def test_who_invited_has_to_be_able_to_here_too(
        self, app: Flask, acme: Workspace, visitor: Visitor, email: str
    ) -> None:
        path = invite(app, acme, email, by="admin")
        visitor.sign_in(add_person(app, acme, role=None, email=email))
        with inside(app, acme):
            roles.revoke_role(row_of(acme.people["admin"]), "admin", actor=None)
        assert "may not give that role any more" in visitor.get(path).text
        assert visitor.post(f"{path}/accept").status_code == 404
        assert roles_in(visitor) == []

    def test_an_invitation_for_somebody_else_is_not_taken_by_the_service(
        self, app: Flask, acme: Workspace, email: str
    ) -> None:
        token = invite(app, acme, email).rpartition("/")[2]
        with inside(app, acme), pytest.raises(InvitationVoid, match="is for"):
            acceptance.accept_signed_in(token, row_of(acme.people["member"]))

    def test_nobody_accepts_without_signing_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, known: tuple[Person, str]
    ) -> None:
        assert visitor.post(f"{known[1]}/accept").status_code == 302  # to the sign-in page
        assert pending(app, acme) == [known[0].email]


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


class TestAtAWebSource:
    """Becoming a user by an identity provider of the tenant."""

    @pytest.fixture
    def work(self, app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
        """A source that brings nobody by itself."""
        return sources.connect(app, acme, server, label="Acme ID", creates_users="never")

    def go(self, visitor: Visitor, server: OidcServer, path: str, config_id: uuid.UUID, sub: str) -> Any:
        """Continue with the source from the invitation's page, and come back."""
        address = self.depart(visitor, path, config_id)
        return sources.follow(visitor, oidc.Browser(server).sign_in(address, sub))

    def depart(self, visitor: Visitor, path: str, config_id: uuid.UUID) -> str:
        """Choose the source on the invitation's page; gives back where the browser is sent."""
        page = visitor.post(f"{path}/source", {"source": str(config_id)})
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
        assert found, page.text
        return html.unescape(found.group(1))

    def test_whoever_has_the_invited_address_there_becomes_a_user(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        path, sub = invite(app, acme, email), sources.add_person(server, email.upper(), name="Vera V.")
        assert "Continue with Acme ID" in visitor.get(path).text
        answer = self.go(visitor, server, path, work, sub)
        assert (answer.status_code, answer.headers["Location"]) == (302, path)
        assert visitor.get(path).headers["Location"] == "/"
        assert roles_in(visitor) == ["member"]
        user = sources.user_at(app, acme, email)
        assert user is not None
        assert (user.password, user.confirmed_at is not None) == (None, True)
        assert pending(app, acme) == []
        again = Visitor(app, acme.host)
        sources.sign_in(again, server, work, sub)
        assert again.is_signed_in()

    def test_by_the_broker_it_is_the_same(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, email: str
    ) -> None:
        work = sources.connect(app, acme, server, creates_users="never", broker=True)
        path, sub = invite(app, acme, email), sources.add_person(server, email)
        handed_over = self.go(visitor, server, path, work, sub).headers["Location"]
        assert "/finish?" in handed_over
        assert sources.follow(visitor, handed_over).headers["Location"] == path
        assert roles_in(visitor) == ["member"]

    def test_without_the_link_the_source_brings_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        invite(app, acme, email)
        sources.sign_in(visitor, server, work, sources.add_person(server, email))
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, email) is None

    @pytest.mark.parametrize(
        ("there", "said"),
        [
            ({"email": "mallory@acme.example"}, "another address"),
            ({"email_verified": False}, "does not confirm"),
            ({"email": None}, "another address"),
        ],
    )
    def test_whoever_has_it_not_is_told_and_becomes_nobody(
        self,
        app: Flask,
        acme: Workspace,
        visitor: Visitor,
        server: OidcServer,
        work: uuid.UUID,
        email: str,
        there: dict[str, Any],
        said: str,
    ) -> None:
        claims = {"email": email} | there
        path, sub = invite(app, acme, email), sources.add_person(server, claims.pop("email"), **claims)
        answer = self.go(visitor, server, path, work, sub)
        assert answer.headers["Location"] == path
        assert said in visitor.get(path).text
        assert not visitor.is_signed_in()
        assert pending(app, acme) == [email]
        assert sources.user_at(app, acme, email) is None
        assert sources.user_at(app, acme, "mallory@acme.example") is None

    def test_a_source_that_makes_users_makes_nobody_else_by_an_invitation(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, email: str
    ) -> None:
        domain = sources.own(app, acme, f"{acme.slug}.example")
        open_to_all = sources.connect(app, acme, server, domains=[domain])
        path, sub = invite(app, acme, email), sources.add_person(server, f"other@{domain}")
        self.go(visitor, server, path, open_to_all, sub)
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, f"other@{domain}") is None

    def test_an_account_with_that_address_is_not_joined(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        path, sub = invite(app, acme, email), sources.add_person(server, email)
        address = self.depart(visitor, path, work)
        person = add_person(app, acme, role=None, email=email)  # meanwhile
        answer = sources.follow(visitor, oidc.Browser(server).sign_in(address, sub))
        assert answer.headers["Location"].startswith("/auth/login")
        assert not visitor.is_signed_in()
        assert sources.subjects_of(app, acme, email) == []
        assert pending(app, acme) == [person.email]

    def test_somebody_whom_the_source_knows_is_who_they_are(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        member = acme.people["member"]
        sub = sources.join(Visitor(app, acme.host), server, work, member)
        path = invite(app, acme, email)
        assert self.go(visitor, server, path, work, sub).headers["Location"] == path
        assert "for somebody else" in visitor.get(path).text
        assert pending(app, acme) == [email]

    def test_two_answers_at_once_make_one_user(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        path, sub = invite(app, acme, email), sources.add_person(server, email)
        browsers = [Visitor(app, acme.host) for _ in range(3)]
        backs = []
        for browser in browsers:
            backs.append(oidc.Browser(server).sign_in(self.depart(browser, path, work), sub))
        at_once([partial(sources.follow, browser, back) for browser, back in zip(browsers, backs, strict=True)])
        with inside(app, acme) as session:
            assert session.scalar(select(func.count(User.id)).where(User.email == email)) == 1
            assert session.scalar(select(func.count(Grant.id)).where(Grant.origin == "invitation")) == 1

    def test_revoked_while_somebody_was_there_it_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        path, sub = invite(app, acme, email), sources.add_person(server, email)
        address = self.depart(visitor, path, work)
        with inside(app, acme) as session:
            invitations.revoke(session.scalars(select(Invitation)).one(), actor=None)
        sources.follow(visitor, oidc.Browser(server).sign_in(address, sub))
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, email) is None

    def test_who_invited_has_to_be_able_to_when_the_answer_comes(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        path, sub = invite(app, acme, email, by="admin"), sources.add_person(server, email)
        address = self.depart(visitor, path, work)
        with inside(app, acme):
            users.deactivate_user(row_of(acme.people["admin"]), actor=None)
        sources.follow(visitor, oidc.Browser(server).sign_in(address, sub))
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, email) is None

    @pytest.mark.parametrize("change", ["provisional", "off"])
    def test_a_source_that_is_no_way_when_the_answer_comes_makes_nobody(
        self,
        app: Flask,
        acme: Workspace,
        visitor: Visitor,
        server: OidcServer,
        work: uuid.UUID,
        email: str,
        change: str,
    ) -> None:
        path, sub = invite(app, acme, email), sources.add_person(server, email)
        address = self.depart(visitor, path, work)
        with inside(app, acme) as session:
            config = session.find(ProviderConfig, work)
            assert config is not None
            config.rehearsed_at, config.enabled = None, change != "off"
        sources.follow(visitor, oidc.Browser(server).sign_in(address, sub))
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, email) is None

    @pytest.mark.parametrize("state", ["off", "provisional"])
    def test_a_source_that_is_off_or_provisional_is_no_way(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, email: str, state: str
    ) -> None:
        config = sources.connect(
            app, acme, server, label="Acme ID", enabled=state != "off", rehearsed=state != "provisional"
        )
        path = invite(app, acme, email)
        assert "Acme ID" not in visitor.get(path).text
        for source in (config, uuid.uuid4(), "none"):
            assert visitor.post(f"{path}/source", {"source": str(source)}).status_code == 404

    def test_where_a_source_is_enforced_there_is_no_other_way(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, email: str
    ) -> None:
        domain = sources.own(app, acme, f"{acme.slug}.example")
        work = sources.connect(app, acme, server, label="Acme ID", domains=[domain])
        other = sources.connect(app, acme, server, "other", label="Other ID")
        sources.enforce(app, acme, work)
        path = invite(app, acme, email)
        page = visitor.get(path).text
        assert "Continue with Acme ID" in page
        assert "Other ID" not in page
        assert 'type="password"' not in page
        assert visitor.post(path, CHOSEN).status_code == 404
        assert visitor.post(f"{path}/source", {"source": str(other)}).status_code == 404
        self.go(visitor, server, path, work, sources.add_person(server, email))
        assert roles_in(visitor) == ["member"]


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


class TestAtADirectory:
    """Becoming a user by a directory of the tenant."""

    @pytest.fixture
    def uid(self, directory: OpenLdapServer) -> str:
        name = directories.unique("vera")
        directory.add_person(name, password="the password at work", name="Vera Vance")
        return name

    def form(self, app: Flask, workspace: Workspace, uid: str, **changes: str) -> dict[str, str]:
        with inside(app, workspace):
            config_id = configs.get_config("office").id
        return {"source": str(config_id), "login": uid, "password": "the password at work"} | changes

    @pytest.fixture(autouse=True)
    def office(self, app: Flask, acme: Workspace, directory: OpenLdapServer) -> None:
        directories.connect(app, acme, directory, label="Acme Directory", creates_users="never")

    def test_somebody_of_the_directory_with_that_address_becomes_a_user(
        self, app: Flask, acme: Workspace, visitor: Visitor, uid: str
    ) -> None:
        path = invite(app, acme, f"{uid}@acme.example")
        assert "With your account at Acme Directory" in visitor.get(path).text
        answer = visitor.post(f"{path}/directory", self.form(app, acme, uid))
        assert answer.status_code == 302, answer.text
        assert roles_in(visitor) == ["member"]
        assert pending(app, acme) == []
        user = sources.user_at(app, acme, f"{uid}@acme.example")
        assert user is not None
        assert user.password is None

    def test_somebody_else_of_the_directory_does_not(
        self, app: Flask, acme: Workspace, visitor: Visitor, uid: str, email: str
    ) -> None:
        path = invite(app, acme, email)
        answer = visitor.post(f"{path}/directory", self.form(app, acme, uid))
        assert answer.status_code == 422
        assert "another address" in answer.text
        assert not visitor.is_signed_in()
        assert sources.user_at(app, acme, f"{uid}@acme.example") is None
        assert pending(app, acme) == [email]

    def test_a_wrong_password_is_said_and_nothing_typed_is_lost(
        self, app: Flask, acme: Workspace, visitor: Visitor, uid: str
    ) -> None:
        path = invite(app, acme, f"{uid}@acme.example")
        answer = visitor.post(f"{path}/directory", self.form(app, acme, uid, password="wrong"))
        assert answer.status_code == 422
        assert "is wrong" in answer.text
        assert f'value="{uid}"' in answer.text
        assert pending(app, acme) == [f"{uid}@acme.example"]

    def test_a_directory_is_no_web_source_nor_the_other_way_round(
        self, app: Flask, acme: Workspace, visitor: Visitor, uid: str
    ) -> None:
        path = invite(app, acme, f"{uid}@acme.example")
        work = sources.add(
            app, acme, "work", "oidc", {"issuer": "https://login.example.com", "client_id": "x"}, secret="s"
        )
        assert visitor.post(f"{path}/source", self.form(app, acme, uid)).status_code == 404
        assert visitor.post(f"{path}/directory", self.form(app, acme, uid, source=str(work))).status_code == 404

    def test_guessing_there_is_counted_as_at_the_sign_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, uid: str
    ) -> None:
        path = invite(app, acme, f"{uid}@acme.example")
        answers = [
            visitor.post(f"{path}/directory", self.form(app, acme, uid, password="wrong")).status_code
            for _ in range(11)
        ]
        assert answers[-1] == 429


def test_a_link_is_signed_for_one_tenant(app: Flask, acme: Workspace, globex: Workspace, email: str) -> None:
    token = invite(app, acme, email).rpartition("/")[2]
    with inside(app, acme):
        assert invitation_links.find(token) is not None
        assert invitation_links.address_in(token) == email
        assert g.tenant.id == acme.tenant.id
    with inside(app, globex):
        assert invitation_links.find(token) is None
        assert invitation_links.address_in(token) == ""


def test_how_many_wait_is_counted(app: Flask, acme: Workspace, email: str, clock: Clock) -> None:
    invite(app, acme, email)
    with inside(app, acme):
        assert invitations.count_pending() == 1
    clock.advance(days=8)
    with inside(app, acme):
        assert invitations.count_pending() == 0

"""Provisioned users: made, changed, closed and opened again, and whom a source cannot touch."""

import uuid

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import links, roles, users
from auth.audit_models import AuditEvent
from auth.models import LoginSession, User
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.scim.models import ScimResource
from tests.auth import sources
from tests.auth.helpers import at_once, change, grant, inside
from tests.auth.scim.conftest import SETTINGS, USER, Provider, provider_for
from tests.factories import Person, Workspace, add_person
from tests.visitor import Visitor

CLOSE = {"op": "replace", "path": "active", "value": False}
OPEN = {"op": "replace", "path": "active", "value": True}


@pytest.fixture
def email(acme: Workspace) -> str:
    """An address of acme's domain that no user has."""
    return f"alice@{acme.slug}.example"


def account_of(provider_resource: dict[str, object]) -> User:
    """The account of a provisioned user, of the bound workspace."""
    row = g.db.find(ScimResource, uuid.UUID(str(provider_resource["id"])))
    assert row is not None
    user: User = g.db.find(User, row.user_id)
    return user


def sign_in_at(config_id: uuid.UUID, email: str, subject: str = "https://id.example s-1") -> User:
    """Have somebody be known to the source, as after a sign-in there."""
    config = g.db.find(ProviderConfig, config_id)
    user = users.find_by_email(email) or users.create_user(email, "Known")
    links.link(user, ExternalIdentity(provider=str(config_id), subject=subject, email=email), config)
    g.db.flush()
    return user


class TestCreation:
    """Somebody whom the source tells of for the first time."""

    def test_a_user_of_a_proved_domain_has_an_account_with_the_address_and_no_password(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, name={"givenName": "Alice", "familyName": "Adams"}, preferredLanguage="es-MX")
        with inside(app, acme):
            user = account_of(made)
            assert (user.email, user.name, user.locale) == (email, "Alice Adams", "es")
            assert user.active
            assert user.confirmed_at is not None
            assert user.password is None

    def test_what_was_sent_comes_back(self, provider: Provider, email: str) -> None:
        sent = {
            "externalId": "00u1",
            "displayName": "Alice",
            "title": "Engineer",
            "emails": [{"value": email, "type": "work", "primary": True}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D"},
        }
        made = provider.add_user("alice", **sent)
        read = provider.get(f"/Users/{made['id']}").get_json()
        assert read == made
        assert {name: read[name] for name in sent} == sent

    def test_an_address_that_may_not_be_believed_is_not_the_accounts(
        self, app: Flask, acme: Workspace, provider: Provider
    ) -> None:
        made = provider.add_user("ceo@elsewhere.example")
        with inside(app, acme):
            user = account_of(made)
            assert user.email.endswith("@provisioned.invalid")
            assert users.find_by_email("ceo@elsewhere.example") is None

    def test_it_follows_once_the_domain_is_proved(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
    ) -> None:
        made = provider.add_user(f"bob@new-{acme.slug}.example")
        sources.own(app, acme, f"new-{acme.slug}.example")
        with inside(app, acme):
            config = g.db.find(ProviderConfig, work)
            config.domains = [*config.domains, f"new-{acme.slug}.example"]
        assert provider.patch("Users", made, {"op": "add", "path": "title", "value": "Dr"}).status_code == 204
        with inside(app, acme):
            assert account_of(made).email == f"bob@new-{acme.slug}.example"

    @pytest.mark.parametrize("role", ["owner", "member"])
    def test_an_address_that_an_account_has_is_a_conflict(
        self, app: Flask, acme: Workspace, provider: Provider, role: str
    ) -> None:
        taken = acme.people[role].email
        for body in ({"userName": taken.upper()}, {"userName": "x", "emails": [{"value": taken}]}):
            answer = provider.send("POST", "/Users", {"schemas": [USER]} | body)
            assert answer.status_code == 409
            assert answer.get_json()["scimType"] == "uniqueness"
        with inside(app, acme):
            assert links.links_of(acme.people[role].id) == []

    def test_an_account_that_the_source_alone_vouches_for_is_the_users(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
    ) -> None:
        with inside(app, acme):
            known = sign_in_at(work, email).id
        made = provider.add_user(email)
        with inside(app, acme):
            assert account_of(made).id == known

    def test_a_subject_leads_to_its_account_whatever_the_address(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
    ) -> None:
        with inside(app, acme):
            known = sign_in_at(work, email, "https://id.example 00u1").id
        made = provider.add_user(f"other-{email}", externalId="00u1")
        with inside(app, acme):
            assert account_of(made).id == known

    def test_an_account_with_a_password_stays_its_owners_although_it_is_connected(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID
    ) -> None:
        person = acme.people["member"]
        with inside(app, acme):
            sign_in_at(work, person.email)
        answer = provider.send("POST", "/Users", {"schemas": [USER], "userName": person.email})
        assert answer.status_code == 409

    def test_an_external_id_is_never_taken_for_an_id_of_ours(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        owner = acme.people["owner"].id
        made = provider.add_user(email, externalId=str(owner))
        assert provider.get(f"/Users/{owner}").status_code == 404
        assert provider.send("DELETE", f"/Users/{owner}").status_code == 404
        assert provider.patch("Users", made, CLOSE).status_code == 204
        with inside(app, acme):
            assert account_of(made).id != owner
            assert g.db.find(User, owner).active

    def test_names_and_external_ids_are_unique(self, provider: Provider, email: str) -> None:
        provider.add_user(email, externalId="1")
        for user_name, external_id in ((email.upper(), "2"), (f"x{email}", "1")):
            body = {"schemas": [USER], "userName": user_name, "externalId": external_id}
            assert provider.send("POST", "/Users", body).status_code == 409

    def test_a_source_that_makes_no_accounts_makes_none(
        self, app: Flask, acme: Workspace, provider: Provider, work: uuid.UUID, email: str
    ) -> None:
        with inside(app, acme):
            g.db.find(ProviderConfig, work).creates_users = "never"
        assert provider.send("POST", "/Users", {"schemas": [USER], "userName": email}).status_code == 403

    def test_the_same_person_at_the_same_moment_is_one(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        body = {"schemas": [USER], "userName": email, "externalId": "1"}

        def send() -> int:
            return Provider(app, acme.host, provider.token).send("POST", "/Users", body).status_code

        assert sorted(at_once([send] * 3)) == [201, 409, 409]
        assert provider.get("/Users").get_json()["totalResults"] == 1

    def test_a_password_is_neither_kept_nor_told(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, password="open sesame 1234")
        assert "password" not in made
        with inside(app, acme):
            assert account_of(made).password is None
            assert "sesame" not in str(g.db.find(ScimResource, uuid.UUID(made["id"])).attributes)


class TestClosing:
    """Whoever the source says is not active, or is gone."""

    def test_deactivation_ends_a_session_at_once_and_keeps_the_account(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email)
        person = _with_password(app, acme, made)
        visitor = Visitor(app, acme.host)
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        assert provider.patch("Users", made, CLOSE).status_code == 204
        assert not visitor.is_signed_in()
        assert provider.get(f"/Users/{made['id']}").get_json()["active"] is False
        with inside(app, acme) as session:
            assert not account_of(made).active
            assert session.scalar(select(LoginSession).where(LoginSession.user_id == account_of(made).id)) is None

    def test_reactivation_opens_it_again(self, app: Flask, acme: Workspace, provider: Provider, email: str) -> None:
        made = provider.add_user(email)
        for operation, active in ((CLOSE, False), (OPEN, True)):
            assert provider.patch("Users", made, operation).status_code == 204
            with inside(app, acme):
                assert account_of(made).active is active

    def test_entra_writes_truth_as_text(self, app: Flask, acme: Workspace, provider: Provider, email: str) -> None:
        made = provider.add_user(email)
        assert provider.patch("Users", made, {"op": "Replace", "path": "active", "value": "False"}).status_code == 204
        with inside(app, acme):
            assert not account_of(made).active

    def test_what_an_administrator_has_closed_stays_closed(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, active=True)
        with inside(app, acme):
            users.deactivate_user(account_of(made), actor=None)
        assert provider.get(f"/Users/{made['id']}").get_json()["active"] is False
        answer = provider.send("PUT", f"/Users/{made['id']}", {"schemas": [USER], "userName": email, "active": True})
        assert answer.get_json()["active"] is False
        with inside(app, acme):
            assert not account_of(made).active

    def test_a_put_that_does_not_mention_it_opens_nothing(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, active=True)
        provider.patch("Users", made, CLOSE)
        answer = provider.send("PUT", f"/Users/{made['id']}", {"schemas": [USER], "userName": email})
        assert answer.status_code == 200
        with inside(app, acme):
            assert not account_of(made).active

    def test_deletion_closes_the_account_and_the_same_person_comes_back_to_it(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, externalId="7")
        with inside(app, acme):
            user_id = account_of(made).id
        assert provider.send("DELETE", f"/Users/{made['id']}").status_code == 204
        assert provider.get(f"/Users/{made['id']}").status_code == 404
        assert provider.send("DELETE", f"/Users/{made['id']}").status_code == 404
        assert provider.find("Users", f'userName eq "{email}"') == []
        with inside(app, acme):
            assert not g.db.find(User, user_id).active
        again = provider.add_user(email, externalId="7")
        with inside(app, acme):
            assert account_of(again).id == user_id
            assert account_of(again).active

    def test_somebody_else_with_a_user_name_of_old_does_not(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, externalId="7")
        provider.send("DELETE", f"/Users/{made['id']}")
        answer = provider.send("POST", "/Users", {"schemas": [USER], "userName": email, "externalId": "8"})
        assert answer.status_code == 409

    def test_the_last_owner_cannot_be_closed(self, app: Flask, acme: Workspace, provider: Provider, email: str) -> None:
        made = provider.add_user(email)
        with inside(app, acme):
            roles.grant_role(account_of(made), "owner", actor=None)
        change(app, acme, acme.people["owner"], active=False)
        for answer in (provider.patch("Users", made, CLOSE), provider.send("DELETE", f"/Users/{made['id']}")):
            assert answer.status_code == 400
            assert answer.get_json()["scimType"] == "mutability"
        with inside(app, acme):
            assert account_of(made).active
        assert provider.get(f"/Users/{made['id']}").status_code == 200

    def test_a_change_of_address_does_not_stand_in_the_way_of_closing(
        self, app: Flask, acme: Workspace, provider: Provider
    ) -> None:
        made = provider.add_user("bob@elsewhere.example")
        add_person(app, acme, email="bob@elsewhere.example")
        assert provider.patch("Users", made, CLOSE).status_code == 204


class TestOthers:
    """Accounts of another origin do not exist to a source."""

    def test_a_member_is_found_by_nothing(self, app: Flask, acme: Workspace, provider: Provider) -> None:
        person = acme.people["member"]
        assert provider.find("Users", f'userName eq "{person.email}"') == []
        assert provider.find("Users", f'emails.value eq "{person.email}"') == []
        assert provider.get("/Users").get_json()["totalResults"] == 0
        for method in ("GET", "DELETE"):
            assert provider.send(method, f"/Users/{person.id}").status_code == 404

    def test_roles_that_are_sent_give_none(self, app: Flask, acme: Workspace, provider: Provider, email: str) -> None:
        made = provider.add_user(email, roles=[{"value": "owner"}], entitlements=[{"value": "admin"}])
        with inside(app, acme):
            assert not roles.is_owner(account_of(made).id)

    def test_a_name_is_changed_only_where_the_account_lives_at_the_source(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, displayName="Alice")
        rename = {"op": "replace", "value": {"displayName": "Alicia", "userName": f"new-{email}"}}
        _with_password(app, acme, made)
        assert provider.patch("Users", made, rename).status_code == 204
        with inside(app, acme):
            assert (account_of(made).name, account_of(made).email) == ("Alice", email)

    def test_a_changed_address_signs_out_and_voids_mailed_links(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, displayName="Alice")
        with inside(app, acme):
            handle = account_of(made).fs_uniquifier
        assert (
            provider.patch("Users", made, {"op": "replace", "path": "userName", "value": f"b{email}"}).status_code
            == 204
        )
        with inside(app, acme):
            assert account_of(made).email == f"b{email}"
            assert account_of(made).fs_uniquifier != handle

    def test_an_address_outside_of_proved_domains_is_not_taken_over(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email)
        operation = {"op": "replace", "path": "userName", "value": "thief@elsewhere.example"}
        assert provider.patch("Users", made, operation).status_code == 204
        with inside(app, acme):
            assert account_of(made).email == email

    def test_the_address_of_an_owner_is_not_the_sources_to_change(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email)
        grant(app, acme, _with_password(app, acme, made), "owner")
        with inside(app, acme):
            account_of(made).password = None
        operation = {"op": "replace", "path": "userName", "value": f"b{email}"}
        assert provider.patch("Users", made, operation).status_code == 204
        with inside(app, acme):
            assert account_of(made).email == email

    def test_two_sources_do_not_see_each_others_users(
        self, app: Flask, acme: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, externalId="1")
        other = provider_for(app, acme, sources.add(app, acme, "other", "oidc", SETTINGS, secret="secret"))
        _sees_nothing_of(other, made, email)

    def test_two_workspaces_do_not_see_each_others_users(
        self, app: Flask, acme: Workspace, globex: Workspace, provider: Provider, email: str
    ) -> None:
        made = provider.add_user(email, externalId="1")
        other = provider_for(app, globex, sources.add(app, globex, "work", "oidc", SETTINGS, secret="secret"))
        _sees_nothing_of(other, made, email)
        assert other.add_user(email, externalId="1")["id"] != made["id"]


class TestRecords:
    """What administrators see later."""

    def test_every_change_is_the_sources(self, app: Flask, acme: Workspace, provider: Provider, email: str) -> None:
        made = provider.add_user(email, displayName="Alice")
        provider.patch("Users", made, {"op": "replace", "path": "displayName", "value": "Alicia"})
        provider.patch("Users", made, CLOSE)
        provider.patch("Users", made, OPEN)
        with inside(app, acme) as session:
            wanted = select(AuditEvent).where(AuditEvent.target_id == account_of(made).id).order_by(AuditEvent.id)
            events = session.scalars(wanted).all()
            assert [event.kind for event in events] == [
                "account created", "account changed", "account deactivated", "account reactivated",
            ]  # fmt: skip
            assert {(event.actor_kind, event.actor) for event in events} == {("provider", "work")}


class TestVersions:
    """ETag and If-Match (RFC 7644, section 3.14)."""

    def test_a_change_of_what_is_not_any_more_is_refused(self, provider: Provider, email: str) -> None:
        made = provider.add_user(email)
        first = made["meta"]["version"]
        operation = {"op": "replace", "path": "title", "value": "Dr"}
        assert provider.patch("Users", made, operation, headers={"If-Match": first}).status_code == 204
        assert provider.patch("Users", made, CLOSE, headers={"If-Match": first}).status_code == 412
        assert provider.send("DELETE", f"/Users/{made['id']}", headers={"If-Match": first}).status_code == 412

    def test_a_read_of_what_is_known_is_not_answered_again(self, provider: Provider, email: str) -> None:
        made = provider.add_user(email)
        answer = provider.get(f"/Users/{made['id']}")
        again = provider.get(f"/Users/{made['id']}", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304

    def test_a_change_that_changes_nothing_keeps_the_version(self, provider: Provider, email: str) -> None:
        made = provider.add_user(email, title="Dr")
        provider.patch("Users", made, {"op": "replace", "path": "title", "value": "Dr"})
        assert provider.get(f"/Users/{made['id']}").get_json()["meta"] == made["meta"]


def _sees_nothing_of(other: Provider, made: dict[str, object], email: str) -> None:
    assert other.get(f"/Users/{made['id']}").status_code == 404
    assert other.patch("Users", made, CLOSE).status_code == 404
    assert other.send("DELETE", f"/Users/{made['id']}").status_code == 404
    body = {"schemas": [USER], "userName": email}
    assert other.send("PUT", f"/Users/{made['id']}", body).status_code == 404
    for asked in (
        f'userName eq "{email}"',
        'externalId eq "1"',
        f'id eq "{made["id"]}"',
        "userName pr",
        'title ne "x"',
    ):
        assert other.find("Users", asked) == []
    member = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "x",
              "members": [{"value": made["id"]}]}  # fmt: skip
    assert other.send("POST", "/Groups", member).status_code == 400


def _with_password(app: Flask, workspace: Workspace, made: dict[str, object]) -> Person:
    """Give a provisioned user the password of the tests' people, as by a mailed link."""
    with inside(app, workspace):
        from_member = g.db.find(User, workspace.people["member"].id).password
        user = account_of(made)
        user.password = from_member
        return Person(user.id, user.email)

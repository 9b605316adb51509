"""A sign-in at a web source rehearsed: everything is shown, and nothing happens."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import func, select

from auth.audit_models import AuditEvent
from auth.errors import InvalidProvider
from auth.providers import configs
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth.faults import Fault
from tests.auth import sources
from tests.auth.helpers import change, inside
from tests.factories import Workspace
from tests.rows import MODELS
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor, sign_in


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    return sources.own(app, acme, f"{acme.slug}.example")


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer, domain: str) -> uuid.UUID:
    """acme's source as it is after it was added: switched off, and provisional."""
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain], enabled=False, rehearsed=False)


@pytest.fixture
def alice(server: OidcServer, domain: str) -> str:
    """Somebody at the provider whom the workspace does not know."""
    return sources.add_person(server, f"alice@{domain}", name="Alice Adams", groups=["leads", "unmapped"])


def rows_of(app: Flask, workspace: Workspace) -> dict[str, int]:
    """How many rows there are in each table of the workspace."""
    with inside(app, workspace) as session:
        return {model.__name__: session.scalar(select(func.count()).select_from(model)) for model in MODELS}


def values_of(app: Flask, workspace: Workspace, config_id: uuid.UUID) -> dict[str, Any]:
    """What the source's row holds."""
    config = sources.config_of(app, workspace, config_id)
    return {column.name: getattr(config, column.name) for column in ProviderConfig.__table__.columns}


def config_in(session: Any, config_id: uuid.UUID) -> ProviderConfig:
    found: ProviderConfig = session.get_one(ProviderConfig, (g.tenant.id, config_id))
    return found


class TestWho:
    """Who may rehearse."""

    def test_it_takes_the_permission_to_manage_providers(self, member: Visitor, work: uuid.UUID) -> None:
        assert member.get(f"/sso/{work}/rehearse").status_code == 403
        assert member.post(f"/sso/{work}/rehearse").status_code == 403

    def test_nobody_does_it_without_signing_in(self, visitor: Visitor, work: uuid.UUID) -> None:
        assert "/auth/login" in visitor.get(f"/sso/{work}/rehearse").headers["Location"]

    def test_it_takes_rights_over_the_people_of_the_source(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        admin = sign_in(app, acme, "admin")
        back = oidc.sign_in(server, sources.depart(admin, work, "rehearse"), alice)
        owner_there = sources.add_person(server, acme.people["owner"].email)
        with inside(app, acme) as session:
            configs.enable_provider(config_in(session, work), actor=None, untried=True)
        sources.sign_in(sign_in(app, acme, "owner"), server, work, owner_there, "connect")
        assert admin.get(f"/sso/{work}/rehearse").status_code == 403
        assert admin.post(f"/sso/{work}/rehearse").status_code == 403
        assert sources.follow(admin, back).status_code == 403  # also for who has set out before
        assert sources.config_of(app, acme, work).rehearsed_at is None

    def test_a_link_to_it_asks_first_and_begins_nothing(
        self, app: Flask, acme: Workspace, owner: Visitor, work: uuid.UUID
    ) -> None:
        page = owner.get(f"/sso/{work}/rehearse")
        assert page.status_code == 200
        assert 'http-equiv="refresh"' not in page.text
        assert owner.post(f"/sso/{work}/rehearse", csrf="").status_code == 400
        with inside(app, acme) as session:
            assert session.scalars(select(SignInAttempt)).all() == []

    def test_another_browser_does_not_finish_it(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(owner, work, "rehearse"), alice)
        another = sign_in(app, acme, "owner")
        sources.depart(another, work, "rehearse")
        assert sources.follow(another, back).status_code == 400
        assert sources.config_of(app, acme, work).rehearsed_at is None

    def test_another_administrator_in_the_same_browser_does_not_finish_it(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(owner, work, "rehearse"), alice)
        owner.post("/auth/logout")
        owner.sign_in(acme.people["admin"])
        assert sources.follow(owner, back).status_code in (400, 403)
        assert sources.config_of(app, acme, work).rehearsed_at is None

    def test_a_directory_is_rehearsed_elsewhere(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        settings = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
        office = sources.add(app, acme, "office", "ldap", settings)
        assert owner.get(f"/sso/{office}/rehearse").status_code == 404


class TestShown:
    """What an administrator sees, and what stays as it was."""

    def test_claims_groups_and_roles_are_shown_while_the_source_is_off(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str, domain: str
    ) -> None:
        sources.map_group(app, acme, "leads", "admin")
        page = sources.sign_in(owner, server, work, alice, "rehearse")
        assert page.status_code == 200
        wanted = ["Alice Adams", f"alice@{domain} · verified", f"{server.issuer} {alice}", "unmapped", "email_verified"]
        assert [one for one in wanted if one not in page.text] == []
        assert page.text.count("gives a role") == 1
        assert "admin" in page.text.partition("Roles by groups")[2][:200]

    def test_an_unverified_address_is_shown_as_one(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        sub = sources.add_person(server, f"bob@{domain}", email_verified=False)
        assert f"bob@{domain} · not verified" in sources.sign_in(owner, server, work, sub, "rehearse").text

    def test_somebody_new_would_be_made(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str, domain: str
    ) -> None:
        page = sources.sign_in(owner, server, work, alice, "rehearse")
        assert f"Would be made a new user, alice@{domain}." in page.text
        assert sources.user_at(app, acme, f"alice@{domain}") is None

    def test_somebody_with_the_address_of_an_account_would_be_asked_for_it(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        member = acme.people["member"].email
        page = sources.sign_in(owner, server, work, sources.add_person(server, member), "rehearse")
        assert f"There is an account with that address, {member}" in page.text
        assert sources.subjects_of(app, acme, member) == []

    def test_somebody_who_is_known_would_be_signed_in(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, domain: str
    ) -> None:
        known = sources.connect(app, acme, server, domains=[domain])
        member = acme.people["member"]
        sub = sources.join(Visitor(app, acme.host), server, known, member)
        page = sources.sign_in(owner, server, known, sub, "rehearse")
        assert f"Would sign in as {member.email}." in page.text

    def test_who_is_deactivated_would_not_get_in(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, domain: str
    ) -> None:
        known = sources.connect(app, acme, server, domains=[domain])
        sub = sources.join(Visitor(app, acme.host), server, known, acme.people["member"])
        change(app, acme, acme.people["member"], active=False)
        assert "Would not get in" in sources.sign_in(owner, server, known, sub, "rehearse").text

    def test_who_would_not_be_made_would_not_get_in(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        for said in ({"email_verified": False}, {"email": "bob@elsewhere.example"}, {"email": None}):
            sub = sources.add_person(server, **{"email": f"bob@{domain}"} | said)
            assert "Would not get in" in sources.sign_in(owner, server, work, sub, "rehearse").text

    def test_the_preview_is_what_a_sign_in_comes_to(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        member = acme.people["member"].email
        people = {
            "Would be made": sources.add_person(server, f"new@{domain}"),
            "There is an account": sources.add_person(server, member),
            "Would not get in": sources.add_person(server, "who@elsewhere.example"),
        }
        for said, sub in people.items():
            assert said in sources.sign_in(owner, server, work, sub, "rehearse").text
        with inside(app, acme) as session:
            configs.enable_provider(config_in(session, work), actor=None)
        found = {}
        for said, sub in people.items():
            visitor = Visitor(app, acme.host)
            sources.sign_in(visitor, server, work, sub)
            told = "" if visitor.is_signed_in() else visitor.get("/auth/login?step=password").text
            found[said] = "asked" if "there is an account" in told else "refused" if told else "in"
        assert found == {"Would be made": "in", "There is an account": "asked", "Would not get in": "refused"}

    def test_what_a_provider_says_is_text(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        nasty = "<script>alert(1)</script>"
        sub = sources.add_person(server, f"eve@{domain}", name=nasty, groups=[nasty], nickname=nasty)
        page = sources.sign_in(owner, server, work, sub, "rehearse").text
        assert nasty not in page
        assert "&lt;script&gt;" in page

    def test_long_and_many_claims_are_cut(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        sub = sources.add_person(server, f"eve@{domain}", nickname="y" * 2000, groups=[f"g{n:04}" for n in range(300)])
        page = sources.sign_in(owner, server, work, sub, "rehearse").text
        assert "y" * 500 + " …" in page
        assert "y" * 501 not in page
        assert "g0099" in page
        assert "g0250" not in page

    def test_it_is_the_same_by_the_broker(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, domain: str, alice: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], broker=True, enabled=False, rehearsed=False)
        page = sources.sign_in(owner, server, work, alice, "rehearse")
        assert "Would be made a new user" in page.text
        assert sources.config_of(app, acme, work).rehearsed_at is not None

    @pytest.mark.parametrize("who", ["new", "account", "known"])
    def test_nothing_changes_but_when_it_was_rehearsed(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, domain: str, who: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], rehearsed=True)
        member = acme.people["member"]
        sources.map_group(app, acme, "leads", "admin")
        if who == "known":
            sub = sources.join(Visitor(app, acme.host), server, work, member)
        else:
            sub = sources.add_person(server, member.email if who == "account" else f"alice@{domain}")
        server.add_person(sub, email=member.email, email_verified=True, name="Another", groups=["leads"])
        rows, values, user = (
            rows_of(app, acme), values_of(app, acme, work), sources.user_at(app, acme, member.email)
        )  # fmt: skip
        assert sources.sign_in(owner, server, work, sub, "rehearse").status_code == 200
        after = values_of(app, acme, work)
        assert rows_of(app, acme) == rows | {AuditEvent.__name__: rows[AuditEvent.__name__] + 1}
        assert {name for name, value in after.items() if value != values[name]} == {"rehearsed_at"}
        again = sources.user_at(app, acme, member.email)
        assert user is not None
        assert again is not None
        assert (again.name, again.email) == (user.name, user.email)

    def test_the_administrator_stays_who_they_are(
        self, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(owner, server, work, alice, "rehearse")
        assert owner.get("/api/v1/me").get_json()["user"]["email"] == acme.people["owner"].email

    def test_it_is_noted_with_who_has_done_it(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(owner, server, work, alice, "rehearse")
        with inside(app, acme) as session:
            event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "sign-in rehearsed")).one()
        assert (event.actor_id, event.target_id) == (acme.people["owner"].id, work)
        assert "Sign-in rehearsed" in owner.get("/admin/sign-in/").text


class TestFaults:
    """What does not work is explained, to the administrator alone."""

    @pytest.fixture
    def wrong(self, app: Flask, acme: Workspace, work: uuid.UUID) -> uuid.UUID:
        """The source, with a secret that is not the client's."""
        with inside(app, acme) as session:
            configs.change_provider(config_in(session, work), actor=None, secret="not the secret")
            configs.enable_provider(config_in(session, work), actor=None, untried=True)
        return work

    @pytest.mark.parametrize("broker", [False, True])
    def test_a_wrong_secret_is_explained(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, domain: str, alice: str, broker: bool
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], broker=broker, enabled=False, rehearsed=False)
        with inside(app, acme) as session:
            configs.change_provider(config_in(session, work), actor=None, secret="not the secret")
        page = sources.sign_in(owner, server, work, alice, "rehearse")
        assert page.status_code == 502
        assert str(Fault.CLIENT_REFUSED.explanation) in page.text
        assert "client-refused: invalid_client" in page.text
        assert "not the secret" not in page.text
        assert sources.config_of(app, acme, work).rehearsed_at is None
        assert sources.events_of(app, acme, "single sign-on failed")[0].startswith("client-refused")

    def test_people_who_sign_in_are_told_less(
        self, visitor: Visitor, server: OidcServer, wrong: uuid.UUID, alice: str
    ) -> None:
        page = sources.sign_in(visitor, server, wrong, alice)
        assert page.status_code == 502
        assert "tell an administrator" in page.text
        assert "invalid_client" not in page.text
        assert str(Fault.CLIENT_REFUSED.explanation) not in page.text

    def test_a_refusal_there_is_explained(self, owner: Visitor, server: OidcServer, work: uuid.UUID) -> None:
        page = sources.follow(owner, oidc.Browser(server).cancel(sources.depart(owner, work, "rehearse")))
        assert page.status_code == 403
        assert str(Fault.DENIED.explanation) in page.text
        assert "the person has cancelled the sign-in" in page.text

    def test_another_issuer_is_explained_before_anybody_is_sent_there(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        with inside(app, acme) as session:
            config = config_in(session, work)
            settings = config.settings | {"issuer": f"http://127.0.0.1:{server.port}"}
            configs.change_provider(config, actor=None, settings=settings, secret="x")
        page = owner.post(f"/sso/{work}/rehearse")
        assert page.status_code == 502
        assert "describes itself by another issuer" in page.text
        assert f"wrong-issuer: {server.issuer}" in page.text

    def test_a_provider_that_does_not_answer_is_explained(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(owner, work, "rehearse"), alice)
        server.stop()
        try:
            page = sources.follow(owner, back)
        finally:
            server.start()
        assert page.status_code == 503
        assert str(Fault.UNREACHABLE.explanation) in page.text

    def test_a_fault_takes_no_former_rehearsal_back(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(owner, server, work, alice, "rehearse")
        before = sources.config_of(app, acme, work).rehearsed_at
        sources.follow(owner, oidc.Browser(server).cancel(sources.depart(owner, work, "rehearse")))
        assert sources.config_of(app, acme, work).rehearsed_at == before is not None


class TestProvisional:
    """A source is provisional until it was rehearsed, and again when it is set to something else."""

    def test_only_a_rehearsed_source_is_switched_on(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        with inside(app, acme) as session, pytest.raises(InvalidProvider, match="rehearse a sign-in first"):
            configs.enable_provider(config_in(session, work), actor=None)
        assert "Off, provisional" in owner.get("/admin/sign-in/").text
        sources.sign_in(owner, server, work, alice, "rehearse")
        with inside(app, acme) as session:
            configs.enable_provider(config_in(session, work), actor=None)
        assert "provisional" not in owner.get("/admin/sign-in/").text

    def test_a_rehearsed_source_makes_users(
        self, app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, server: OidcServer, work: uuid.UUID,
        alice: str,
    ) -> None:  # fmt: skip
        sources.sign_in(owner, server, work, alice, "rehearse")
        with inside(app, acme) as session:
            configs.enable_provider(config_in(session, work), actor=None)
        sources.sign_in(visitor, server, work, alice)
        assert visitor.is_signed_in()

    @pytest.mark.parametrize(
        ("changes", "provisional"),
        [
            ({"settings": {"name_claim": "nickname"}}, True),
            ({"secret": "another secret"}, True),
            ({"label": "Another name", "domains": [], "creates_users": "never", "position": 7}, False),
        ],
        ids=["settings", "secret", "policy"],
    )
    def test_what_is_asked_and_how_has_to_be_tried_again(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str,
        changes: dict[str, Any], provisional: bool,
    ) -> None:  # fmt: skip
        sources.sign_in(owner, server, work, alice, "rehearse")
        with inside(app, acme) as session:
            config = config_in(session, work)
            given = {k: config.settings | v if k == "settings" else v for k, v in changes.items()}
            configs.change_provider(config, actor=None, **given)
        assert (sources.config_of(app, acme, work).rehearsed_at is None) is provisional

    def test_a_refused_change_leaves_it_rehearsed(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(owner, server, work, alice, "rehearse")
        with inside(app, acme) as session:
            config = config_in(session, work)
            settings = config.settings | {"issuer": "https://evil.example"}
            with pytest.raises(InvalidProvider, match="give it again"):
                configs.change_provider(config, actor=None, settings=settings)
        config = sources.config_of(app, acme, work)
        assert config.rehearsed_at is not None
        assert config.settings["issuer"] == server.issuer

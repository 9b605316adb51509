"""Pages on which administrators connect sources, change, rehearse, order, map, enforce and remove them."""

import html
import re
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from auth import audit, provisional, roles, users
from auth.models import User
from auth.providers import configs
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.providers.registry import list_configs, open_secret
from saas import create_app
from tests.auth import directories, sources
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Person, Workspace, add_person, make_workspace
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor, sign_in

PAGE = "/admin/sign-in/"
SOURCES = f"{PAGE}sources/"
OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}
LDAP = {"servers": ["ldaps://ldap.example.com"], "base_dn": "dc=example,dc=com"}
SECRET = "s3cret-of-the-client"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def work(app: Flask, acme: Workspace) -> uuid.UUID:
    """A web source that is on."""
    return sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET, label="Acme ID")


def typed(visitor: Visitor, path: str, **changes: str) -> dict[str, str]:
    """What the form on that page holds, as a browser would send it back, with changes."""
    form = visitor.get(path).get_data(as_text=True)
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name, kind = re.search(r'name="(\w+)"', tag), re.search(r'type="(\w+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and (kind is None or kind[1] not in ("checkbox", "submit") or "checked" in tag):
            found[name[1]] = value[1] if value else ""
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        found[name] = text.strip()
    for name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        if chosen := re.search(r'<option selected value="([^"]*)"', options):
            found[name] = chosen[1]
    found.pop("csrf_token", None)
    found.pop("locale", None)
    found.pop("next", None)
    return {name: html.unescape(value) for name, value in found.items()} | changes


def config_of(app: Flask, workspace: Workspace, config_id: uuid.UUID) -> ProviderConfig | None:
    with inside(app, workspace) as session:
        found: ProviderConfig | None = session.find(ProviderConfig, config_id)
        return found


def link(app: Flask, workspace: Workspace, person: Person, config_id: uuid.UUID) -> None:
    """Have the source vouch for somebody."""
    with inside(app, workspace) as session:
        session.add(LinkedIdentity(user_id=person.id, provider_id=config_id, subject=f"s {person.id}"))


def forget_passwords(app: Flask, workspace: Workspace, *roles: str) -> None:
    """Leave the people of these roles without a password."""
    with inside(app, workspace) as session:
        for role in roles:
            session.get_one(User, (workspace.tenant.id, workspace.people[role].id)).password = None


def kinds_of(app: Flask, workspace: Workspace) -> list[str]:
    with inside(app, workspace):
        return [event.kind for event in audit.search(limit=50)]


def follow(visitor: Visitor, answer: TestResponse) -> str:
    assert answer.status_code == 302, answer.text
    return visitor.get(answer.headers["Location"]).text


def test_a_directory_is_connected_with_what_its_kind_usually_has(app: Flask, acme: Workspace, admin: Visitor) -> None:
    assert "Active Directory" in admin.get(f"{SOURCES}new").text
    path = f"{SOURCES}new/ldap/active-directory"
    values = typed(admin, path, label="Office", servers="ldaps://dc1.example.com\r\nldaps://dc2.example.com",
                   base_dn="dc=example,dc=com", secret="bind password", domains="example.com, example.org")  # fmt: skip
    assert values["subject_attribute"] == "objectGUID"
    page = follow(admin, admin.post(path, values))
    assert "Office" in page
    assert "switched off" in page
    assert "bind password" not in page
    with inside(app, acme):
        config = configs.get_config("active-directory")
        assert config.settings["servers"] == ["ldaps://dc1.example.com", "ldaps://dc2.example.com"]
        assert config.settings["group_strategy"] == "ad-nested"
        assert (config.domains, config.enabled) == (["example.com", "example.org"], False)
        secret = open_secret(config)
        assert secret is not None
        assert secret.get_secret_value() == "bind password"
    assert "provider added" in kinds_of(app, acme)


@pytest.mark.parametrize("preset", ["openldap", "freeipa", "389ds"])
def test_every_directory_has_a_form(admin: Visitor, preset: str) -> None:
    assert admin.get(f"{SOURCES}new/ldap/{preset}").status_code == 200


@pytest.mark.parametrize("path", ["oidc/entra", "oidc/google", "oidc/generic", "oauth2/github", "oauth2/generic"])
def test_every_web_source_has_a_form(admin: Visitor, path: str) -> None:
    assert "Client ID" in admin.get(f"{SOURCES}new/{path}").text


@pytest.mark.parametrize("path", ["oidc/made-up", "made-up/generic", "platform/made-up"])
def test_there_is_no_form_of_what_there_is_not(admin: Visitor, path: str) -> None:
    assert admin.get(f"{SOURCES}new/{path}").status_code == 404
    assert admin.post(f"{SOURCES}new/{path}", {"label": "x"}).status_code == 404


def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    path = f"{SOURCES}new/ldap/openldap"
    values = typed(admin, path, label="Office", servers="gopher://x", base_dn="dc=example,dc=com",
                   user_filter="(uid=", secret="bind password")  # fmt: skip
    answer = admin.post(path, values)
    assert answer.status_code == 422
    assert re.search(r'id="user_filter-error"[^<]*<div>[^<]*must be an LDAP filter', answer.text)
    assert re.search(r'id="servers-error"', answer.text)
    assert "gopher://x" in answer.text
    assert '<details class="mb-3" open>' in answer.text
    assert "bind password" not in answer.text
    with inside(app, acme):
        assert not list_configs()


def test_a_source_of_the_web_is_connected_and_shows_what_to_register(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    path = f"{SOURCES}new/oidc/entra"
    values = typed(admin, path, label="Entra", issuer="https://login.example.com", client_id="abc", secret=SECRET)
    page = follow(admin, admin.post(path, values))
    assert f"{acme.url}/sso/" in page
    assert "/callback" in page
    assert SECRET not in page
    with inside(app, acme):
        assert configs.get_config("entra").settings["subject_claims"] == ["tid", "oid"]


def test_a_stored_secret_is_never_shown_and_kept_when_nothing_is_typed(
    app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    path = f"{SOURCES}{work}/edit"
    page = admin.get(path).text
    assert "One is stored" in page
    assert SECRET not in page
    before = config_of(app, acme, work)
    follow(admin, admin.post(path, typed(admin, path, label="Renamed")))
    after = config_of(app, acme, work)
    assert before is not None
    assert after is not None
    assert (after.label, after.secret, after.settings) == ("Renamed", before.secret, before.settings)
    assert after.rehearsed_at is not None  # a name is no setting that has to be rehearsed again


def test_a_stored_secret_can_be_forgotten(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = sources.add(app, acme, "office", "ldap", LDAP, secret=SECRET)
    path = f"{SOURCES}{config_id}/edit"
    follow(admin, admin.post(path, typed(admin, path, drop_secret="y")))
    config = config_of(app, acme, config_id)
    assert config is not None
    assert config.secret is None


def test_a_private_key_is_taken_in_place_of_a_secret_and_never_shown(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    pem = ECKey.generate_key("P-256").as_pem(private=True).decode().strip()
    path = f"{SOURCES}new/oidc/generic"
    values = typed(admin, path, label="Key", issuer="https://login.example.com", client_id="abc",
                   client_auth="private_key_jwt", secret_key=pem.replace("\n", "\r\n"))  # fmt: skip
    refused = admin.post(path, values | {"client_id": "with space"})
    assert refused.status_code == 422
    assert pem[40:60] not in refused.text
    follow(admin, admin.post(path, values))
    with inside(app, acme):
        secret = open_secret(configs.get_config("oidc"))
        assert secret is not None
        assert secret.get_secret_value() == pem


def test_what_the_installation_offers_is_connected_without_a_secret(database: Database) -> None:
    offer = {"label": "Community", "issuer": "https://id.example.com", "client_id": "x", "client_secret": SECRET}
    app = create_app(database.settings(platform_providers={"community": offer}))
    admin = sign_in(app, make_workspace(app), "admin")
    assert "Community" in admin.get(f"{SOURCES}new").text
    path = f"{SOURCES}new/platform/community"
    page = admin.get(path).text
    assert 'name="secret"' not in page
    assert SECRET not in page
    assert "Community" in follow(admin, admin.post(path, typed(admin, path)))
    app.extensions["tenants"].engines.dispose()


def test_a_secret_is_asked_for_again_when_another_server_would_see_it(admin: Visitor, work: uuid.UUID) -> None:
    path = f"{SOURCES}{work}/edit"
    answer = admin.post(path, typed(admin, path, issuer="https://elsewhere.example.com"))
    assert answer.status_code == 422
    assert re.search(r'id="secret-error"[^<]*<div>give it again', answer.text)
    assert "https://elsewhere.example.com" in answer.text


def test_new_settings_of_a_source_in_use_are_provisional_and_can_be_gone_back_from(
    app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    path = f"{SOURCES}{work}/edit"
    page = follow(admin, admin.post(path, typed(admin, path, client_id="another")))
    assert "The new settings are provisional." in page
    assert "Provisional settings" in admin.get(PAGE).text
    follow(admin, admin.post(f"{SOURCES}{work}/go-back"))
    config = config_of(app, acme, work)
    assert config is not None
    assert config.settings["client_id"] == "tenantry"
    assert config.rehearsed_at is not None
    assert "provisional" not in admin.get(f"{SOURCES}{work}").text


def test_new_settings_of_a_source_that_is_off_are_there_to_stay(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET, enabled=False)
    path = f"{SOURCES}{config_id}/edit"
    follow(admin, admin.post(path, typed(admin, path, client_id="another")))
    with inside(app, acme):
        assert not provisional.pending()


def test_a_change_that_leaves_the_administrators_no_way_in_is_refused(
    app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    link(app, acme, acme.people["admin"], work)
    forget_passwords(app, acme, "owner", "admin")
    path = f"{SOURCES}{work}/edit"
    answer = admin.post(path, typed(admin, path, client_id="another"))
    assert answer.status_code == 422
    assert "No administrator could sign in any more" in answer.text
    for step in ("disable", "remove"):
        assert "No administrator could sign in any more" in follow(admin, admin.post(f"{SOURCES}{work}/{step}"))
    config = config_of(app, acme, work)
    assert config is not None
    assert (config.enabled, config.settings["client_id"]) == (True, "tenantry")


def test_a_source_is_switched_on_and_off(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET, enabled=False)
    link(app, acme, acme.people["member"], config_id)
    assert "switched on" in follow(admin, admin.post(f"{SOURCES}{config_id}/enable"))
    assert "1 person whom it vouches for does not get in by it" in admin.get(f"{SOURCES}{config_id}/disable").text
    assert "switched off" in follow(admin, admin.post(f"{SOURCES}{config_id}/disable"))
    assert {"provider enabled", "provider disabled"} <= set(kinds_of(app, acme))


def test_a_source_that_nobody_has_rehearsed_is_not_switched_on(app: Flask, acme: Workspace, admin: Visitor) -> None:
    config_id = sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET, enabled=False, rehearsed=False)
    assert f"{config_id}/enable" not in admin.get(f"{SOURCES}{config_id}").text
    assert "rehearse a sign-in first" in follow(admin, admin.post(f"{SOURCES}{config_id}/enable"))
    config = config_of(app, acme, config_id)
    assert config is not None
    assert not config.enabled


def test_sources_are_moved_up_and_down(app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID) -> None:
    second = sources.add(app, acme, "second", "oidc", OIDC, secret=SECRET)
    follow(admin, admin.post(f"{SOURCES}{second}/move", {"to": "up"}))
    with inside(app, acme):
        assert [config.id for config in list_configs()] == [second, work]
    follow(admin, admin.post(f"{SOURCES}{second}/move", {"to": "up"}))  # it is the first already
    follow(admin, admin.post(f"{SOURCES}{second}/move", {"to": "down"}))
    with inside(app, acme):
        assert [config.id for config in list_configs()] == [work, second]
    assert "provider changed" in kinds_of(app, acme)


def test_removing_says_what_will_happen_and_asks_once(
    app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    link(app, acme, acme.people["member"], work)
    sources.map_group(app, acme, "staff", "member")
    page = admin.get(f"{SOURCES}{work}/remove").text
    assert "1 person whom it vouches for stays a member" in page
    assert "A role that one of its groups gives ends." in page
    assert "is removed" in follow(admin, admin.post(f"{SOURCES}{work}/remove"))
    assert config_of(app, acme, work) is None
    assert "provider removed" in kinds_of(app, acme)


def test_a_group_is_mapped_and_unmapped(app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID) -> None:
    page = follow(admin, admin.post(f"{SOURCES}{work}/mappings", {"group": "staff", "role": "member"}))
    assert "Nobody seen so far" in page
    assert 'value="owner"' not in page
    page = follow(admin, admin.post(f"{SOURCES}{work}/mappings/remove", {"group": "staff", "role": "member"}))
    assert "No group gives a role yet" in page
    assert {"group mapped", "group unmapped"} <= set(kinds_of(app, acme))
    assert admin.post(f"{SOURCES}{work}/mappings/remove", {"group": "staff", "role": "member"}).status_code == 404
    assert admin.post(f"{SOURCES}{work}/mappings/remove", {"group": "staff", "role": "made-up"}).status_code == 404


@pytest.mark.parametrize("role", ["owner", "made-up", "project-editor"])
def test_a_group_gives_no_role_that_is_not_offered(admin: Visitor, work: uuid.UUID, role: str) -> None:
    assert admin.post(f"{SOURCES}{work}/mappings", {"group": "staff", "role": role}).status_code == 422


def test_a_group_of_a_directory_is_looked_for_there(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer
) -> None:
    directories.connect(app, acme, directory)
    with inside(app, acme):
        config_id = configs.get_config("office").id
    name = directories.unique("staff")
    answer = admin.post(f"{SOURCES}{config_id}/mappings", {"group": name, "role": "member"})
    assert answer.status_code == 422
    assert "the directory knows no group" in answer.text
    assert name in answer.text


def test_a_sign_in_is_rehearsed_step_by_step(
    app: Flask, acme: Workspace, admin: Visitor, directory: OpenLdapServer
) -> None:
    directories.connect(app, acme, directory)
    with inside(app, acme):
        config_id = configs.get_config("office").id
    path, uid = f"{SOURCES}{config_id}/rehearse", directories.unique("alice")
    directory.add_person(uid, password="at work")
    page = admin.post(path, {"login": uid, "password": "at work"}).text
    for shown in ("Would get in", "Went well", "Would be made a new member", uid):
        assert shown in page
    assert "at work" not in page
    assert "Fault" in admin.post(path, {"login": uid, "password": "a guess"}).text
    page = admin.post(path, {"login": "nobody at all"}).text
    assert "Nobody is found by that name" in page
    assert admin.post(path, {"login": ""}).status_code == 422
    assert kinds_of(app, acme).count("sign-in rehearsed") == 3


def test_a_web_source_is_rehearsed_in_the_browser(admin: Visitor, work: uuid.UUID) -> None:
    assert admin.get(f"{SOURCES}{work}/rehearse").headers["Location"].endswith(f"/sso/{work}/rehearse")


def test_a_source_is_enforced_once_it_has_all_that_it_takes(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    owner, path = sign_in(app, acme, "owner"), f"{SOURCES}{work}/enforce"
    assert "Not yet" in owner.get(path).text
    chosen = {"owner": str(acme.people["owner"].id)}
    assert owner.post(path, chosen).status_code == 422
    domain = sources.own(app, acme, f"{acme.slug}.example")
    with inside(app, acme) as session:
        config = session.find(ProviderConfig, work)
        config.domains, config.admin_seen_at = [domain], config.rehearsed_at
    assert "This is what will happen" in owner.get(path).text
    assert owner.post(path, {"owner": str(acme.people["member"].id)}).status_code == 422
    assert "No longer enforce" in follow(owner, owner.post(path, chosen))
    assert "Relax it first" in follow(owner, owner.post(f"{SOURCES}{work}/remove"))
    follow(owner, owner.post(f"{SOURCES}{work}/relax"))
    assert {"sign-in enforced", "sign-in no longer enforced"} <= set(kinds_of(app, acme))


def test_nobody_changes_a_source_of_people_with_more_rights(
    app: Flask, acme: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    link(app, acme, acme.people["owner"], work)
    for step in ("edit", "disable", "remove", "enforce"):
        assert admin.get(f"{SOURCES}{work}/{step}").status_code == 403, step
    for step in ("edit", "disable", "remove", "enforce", "enable", "relax", "go-back"):
        assert admin.post(f"{SOURCES}{work}/{step}", {"label": "mine"}).status_code == 403, step
    config = config_of(app, acme, work)
    assert config is not None
    assert (config.label, config.enabled) == ("Acme ID", True)


def every_address(config_id: uuid.UUID) -> list[tuple[str, str]]:
    named = [("GET", ""), ("GET", "/edit"), ("GET", "/rehearse"), ("GET", "/disable"), ("GET", "/remove"),
             ("GET", "/enforce")]  # fmt: skip
    steps = ("edit", "rehearse", "disable", "remove", "enforce", "enable", "relax", "move", "go-back", "mappings",
             "mappings/remove")  # fmt: skip
    return [(method, f"{SOURCES}{config_id}{end}") for method, end in named] + [
        ("POST", f"{SOURCES}{config_id}/{step}") for step in steps
    ]


def ask(visitor: Visitor, method: str, path: str) -> int:
    return (visitor.get(path) if method == "GET" else visitor.post(path)).status_code


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_are_refused_everything(app: Flask, acme: Workspace, work: uuid.UUID, role: str) -> None:
    visitor = sign_in(app, acme, role)
    new = [("GET", f"{SOURCES}new"), ("GET", f"{SOURCES}new/ldap/openldap"), ("POST", f"{SOURCES}new/ldap/openldap")]
    for method, path in [*every_address(work), *new]:
        assert ask(visitor, method, path) == 403, path


def test_whoever_only_reads_is_shown_no_button(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    person = add_person(app, acme, role=None)
    with inside(app, acme):
        from_roles(person)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(person)
    for path in (PAGE, f"{SOURCES}{work}"):
        page = visitor.get(path)
        assert page.status_code == 200
        main = page.text.partition("<main")[2].partition("</main>")[0]
        assert "<form" not in main
        assert "/edit" not in main
    for method, path in every_address(work)[1:]:
        assert ask(visitor, method, path) == 403, path


def from_roles(person: Person) -> None:
    """Give somebody a role with which sources are seen, and no more."""
    roles.create_role("Auditor", ["provider:read"], actor=None)
    roles.grant_role(users.get_by_email(person.email), "Auditor", actor=None)


def test_another_workspaces_source_is_not_there(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor, work: uuid.UUID
) -> None:
    stranger = sign_in(app, globex, "owner")
    for method, path in every_address(work):
        assert ask(stranger, method, path) == 404, path
    assert config_of(app, acme, work) is not None

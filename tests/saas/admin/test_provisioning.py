"""The page and the API of how a source is provisioned."""

import uuid

import pytest
from flask import Flask, g

from auth.providers.models import ProviderConfig
from auth.scim import tokens
from tests.auth import sources
from tests.auth.helpers import inside, path_of
from tests.auth.scim.conftest import SETTINGS, Provider, provider_for
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in


@pytest.fixture
def work(app: Flask, acme: Workspace) -> uuid.UUID:
    """acme's source."""
    domain = sources.own(app, acme, f"{acme.slug}.example")
    return sources.add(app, acme, "work", "oidc", SETTINGS, secret="secret", domains=[domain])


@pytest.fixture
def owner(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "owner")


def page_of(config_id: uuid.UUID) -> str:
    return f"/admin/sign-in/sources/{config_id}/provisioning"


def api_of(config_id: uuid.UUID) -> str:
    return f"/api/v1/providers/{config_id}/provisioning"


def delete(visitor: Visitor, path: str) -> int:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    return visitor.client.delete(path, base_url=visitor.base, headers=headers).status_code


def test_a_token_is_made_shown_once_used_and_revoked_on_the_page(
    app: Flask, acme: Workspace, work: uuid.UUID, owner: Visitor
) -> None:
    assert page_of(work) in owner.get(f"/admin/sign-in/sources/{work}").text
    made = owner.post(f"{page_of(work)}/tokens", {"days": "90"})
    assert made.status_code == 200
    secret = made.text.partition("tnt_scim_")
    token = "tnt_scim_" + secret[2].partition("<")[0]
    provider = Provider(app, acme.host, token)
    assert provider.get("/Users").status_code == 200
    page = owner.get(page_of(work)).text
    assert token not in page
    assert f"{acme.host}/scim/v2" in page
    with inside(app, acme):
        (row,) = tokens.list_of(g.db.find(ProviderConfig, work))
    assert owner.post(f"{page_of(work)}/tokens/{row.id}/revoke").status_code == 302
    assert provider.get("/Users").status_code == 401
    assert owner.post(f"{page_of(work)}/tokens/{row.id}/revoke").status_code == 404


def test_the_page_shows_who_came_by_it_and_which_groups_give_roles(
    app: Flask, acme: Workspace, work: uuid.UUID, owner: Visitor
) -> None:
    provider = provider_for(app, acme, work)
    sources.map_group(app, acme, "staff", "viewer")
    alice = provider.add_user(f"alice@{acme.slug}.example", displayName="Alice Adams")
    provider.add_user("<bob>", displayName="<Bob>")
    provider.add_group("staff", alice)
    provider.add_group("others")
    page = owner.get(page_of(work)).text
    assert "Alice Adams" in page
    assert "&lt;Bob&gt;" in page
    assert "no address that may be taken over" in page
    assert "provisioned.invalid" not in page
    assert page.count("Gives no role") == 1
    assert "This page is empty" in owner.get(f"{page_of(work)}?page=9").text


def test_a_directory_is_not_offered_it(app: Flask, acme: Workspace, work: uuid.UUID, owner: Visitor) -> None:
    with inside(app, acme):
        g.db.find(ProviderConfig, work).kind = "ldap"
    assert "it is synchronised" in owner.get(page_of(work)).text
    assert owner.post(f"{page_of(work)}/tokens", {"days": "90"}).status_code == 422


def test_the_api_does_the_same(app: Flask, acme: Workspace, work: uuid.UUID, owner: Visitor) -> None:
    made = owner.post_json(f"{api_of(work)}/tokens", {"expires_at": None})
    assert made.status_code == 201, made.text
    provider = Provider(app, acme.host, made.get_json()["token"])
    alice = provider.add_user(f"alice@{acme.slug}.example", externalId="1")
    provider.add_user("bob")
    provider.add_group("staff", alice)
    told = owner.get(api_of(work)).get_json()
    assert (told["users"], told["groups"], path_of(told["address"])) == (2, 1, "/scim/v2")
    first = owner.get(f"{api_of(work)}/users?limit=1").get_json()
    assert [(one["user_name"], one["external_id"]) for one in first["items"]] == [(alice["userName"], "1")]
    rest = owner.get(f"{api_of(work)}/users?limit=1&cursor={first['next_cursor']}").get_json()
    assert ([one["user_name"] for one in rest["items"]], rest["next_cursor"]) == (["bob"], None)
    (group,) = owner.get(f"{api_of(work)}/groups").get_json()["items"]
    assert (group["name"], group["members"], group["roles"]) == ("staff", 1, [])
    (token,) = owner.get(f"{api_of(work)}/tokens").get_json()["items"]
    assert "token" not in token
    assert delete(owner, f"{api_of(work)}/tokens/{token['id']}") == 204
    assert delete(owner, f"{api_of(work)}/tokens/{token['id']}") == 404
    assert provider.get("/Users").status_code == 401


def test_an_end_that_is_past_is_refused(owner: Visitor, work: uuid.UUID) -> None:
    assert owner.post_json(f"{api_of(work)}/tokens", {"expires_at": "2020-01-01T00:00:00Z"}).status_code == 422


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, work: uuid.UUID, role: str) -> None:
    visitor = sign_in(app, acme, role)
    assert visitor.get(page_of(work)).status_code == 403
    assert visitor.post(f"{page_of(work)}/tokens", {"days": "90"}).status_code == 403
    assert visitor.get(api_of(work)).status_code == 403
    assert visitor.post_json(f"{api_of(work)}/tokens", {}).status_code == 403

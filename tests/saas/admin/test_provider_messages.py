"""What is wrong with a source's settings is said in the language of the page, beside each setting."""

import html
import re
from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask

from auth.providers.kinds import KINDS
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

API = "/api/v1/providers"
NEW = "/admin/sign-in/sources/new"
FORMS = {"ldap": "ldap/openldap", "oidc": "oidc/generic", "oauth2": "oauth2/generic"}
SPANISH, ENGLISH = {"Accept-Language": "es"}, {"Accept-Language": "en"}
VALID: Mapping[str, Mapping[str, Any]] = {
    "ldap": {"servers": ["ldaps://ldap.example.com"], "base_dn": "dc=example,dc=com"},
    "oidc": {"issuer": "https://login.example.com", "client_id": "x"},
    "oauth2": {
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "userinfo_endpoint": "https://login.example.com/me",
        "client_id": "x",
    },
}
LONG = "x" * 5000
TYPED = {
    "acr_values": "a b", "authorization_endpoint": "ftp://x", "base_dn": "here", "bind_dn": "service",
    "ca_bundle": "no certificate", "client_id": "a b", "connect_timeout": "soon", "directory_ids": "everybody",
    "email_attributes": "a b", "email_claim": LONG, "emails_endpoint": "ftp://x", "group_base": "here",
    "group_filter": "(cn=", "group_member_attribute": "a b", "groups_claim": LONG, "hosted_domains": "a b",
    "issuer": "http://login.example.com", "key_id": "a b", "locale_attributes": "a b", "locale_claim": LONG,
    "login_attributes": "1", "login_claim": LONG, "max_age": "-1", "name_attributes": "1", "name_claim": LONG,
    "page_size": "1001", "scopes": "a b", "servers": "gopher://x", "subject_attribute": "1", "subject_claims": LONG,
    "sync_timeout": "0", "timeout": "60", "token_endpoint": "https://x?y", "user_dn_template": "uid=",
    "user_filter": "uid", "userinfo_endpoint": "x", "username_attribute": "1",
}  # fmt: skip
"""What somebody types wrongly into each setting that is not chosen from a list."""
CHOSEN = {"preset", "client_auth", "prompt", "group_strategy"}


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def new(kind: str, **changes: Any) -> dict[str, Any]:
    """A body that connects a source."""
    settings = {**VALID[kind], **changes.pop("settings", {})}
    return {"name": "work", "kind": kind, "settings": settings, "secret": "s3cret", **changes}


def said(visitor: Visitor, body: object, headers: Mapping[str, str]) -> dict[str, str]:
    """What the API answers of each field."""
    answer = visitor.post_json(API, body, headers=dict(headers))
    assert answer.status_code == 422, answer.text
    return {fault["field"]: fault["message"] for fault in answer.get_json()["errors"]}


def shown(visitor: Visitor, kind: str, typed: Mapping[str, str]) -> dict[str, str]:
    """What the form says beside each field, in Spanish."""
    given = {name: "\n".join(value) if isinstance(value, list) else value for name, value in VALID[kind].items()}
    form = {"name": "work", "label": "Work", "most_departures": "20", "creates_users": "sign-in", "secret": "s3cret"}
    answer = visitor.post(f"{NEW}/{FORMS[kind]}", {**form, **given, **typed}, headers=dict(SPANISH))
    assert answer.status_code == 422, answer.text
    assert '<html lang="es">' in answer.text
    found = re.findall(r'id="(\w+)-error"><div>(.*?)</div>', answer.text)
    return {name: html.unescape(message) for name, message in found}


@pytest.mark.parametrize("kind", FORMS)
def test_a_wrong_value_of_every_setting_is_said_in_spanish_on_the_page(admin: Visitor, kind: str) -> None:
    fields = KINDS[kind].model_fields
    for name in (name for name, field in fields.items() if name not in CHOSEN and field.annotation is not bool):
        found = shown(admin, kind, {name: TYPED[name]})
        english = said(admin, new(kind, settings={name: as_settings(kind, name)}), ENGLISH)
        assert name in found, (name, found)
        said_of_it = [text for field, text in english.items() if field.split(".")[1] == name]
        assert said_of_it
        assert found[name] not in said_of_it, name
        assert "must" not in found[name], name


def as_settings(kind: str, name: str) -> Any:
    """What is typed into the form, as a program would give it."""
    many = str(KINDS[kind].model_fields[name].annotation).startswith("tuple")
    return [TYPED[name]] if many else TYPED[name]


@pytest.mark.parametrize("kind", FORMS)
def test_a_wrong_type_of_every_setting_is_said_in_spanish_to_programs(admin: Visitor, kind: str) -> None:
    wrong = {name: {"an": "object"} for name in KINDS[kind].model_fields if name != "preset"} | {"surprise": 1}
    english, spanish = (said(admin, new(kind, settings=wrong), language) for language in (ENGLISH, SPANISH))
    assert set(spanish) == {f"settings.{name}" for name in wrong}
    for field, message in spanish.items():
        assert message != english[field], field


ELSE: dict[str, dict[str, Any]] = {
    "unknown preset": new("oidc", settings={"preset": "facebook"}),
    "unknown kind of directory": new("ldap", settings={"preset": "facebook"}),
    "no openid": new("oidc", settings={"scopes": ["profile"]}),
    "everybody's directory": new("oidc", settings={"preset": "entra", "issuer": "https://x.example/{tenantid}"}),
    "openid without issuer": new("oauth2", settings={"scopes": ["openid"]}),
    "no private key": new("oidc", settings={"client_auth": "private_key_jwt"}),
    "no secret": new("oidc", secret=None),
    "long secret": new("oidc", secret="x" * 2000),
    "name": new("oidc", name="Work"),
    "departures": new("oidc", most_departures=101),
    "domain": new("oidc", domains=["no domain"]),
    "label": new("oidc", label=""),
    "users": new("oidc", creates_users="always"),
    "surplus": new("oidc", surprise=1),
    "unknown kind": new("oidc") | {"kind": "saml"},
    "no offer": new("oidc") | {"kind": "platform", "settings": {"platform": "made-up"}},
    "connects longer than signs in": new("ldap", settings={"connect_timeout": 9, "timeout": 2}),
    "template without a name": new("ldap", settings={"user_dn_template": "uid=x"}),
    "name as a type": new("ldap", settings={"user_dn_template": "{login}=x"}),
    "path of a server": new("ldap", settings={"servers": ["ldap://host/path"]}),
    "no server": new("ldap", settings={"servers": []}),
    "long certificate": new("ldap", settings={"ca_bundle": "x" * 300_000}),
    "long filter": new("ldap", settings={"user_filter": "x" * 3000}),
    "nothing": {},
}


@pytest.mark.parametrize("wrong", ELSE)
def test_whatever_else_is_wrong_is_said_in_spanish(admin: Visitor, wrong: str) -> None:
    english, spanish = (said(admin, ELSE[wrong], language) for language in (ENGLISH, SPANISH))
    assert english.keys() == spanish.keys()
    for field, message in spanish.items():
        assert message != english[field], field


def test_what_a_value_holds_is_taken_for_no_fault_of_another_setting(admin: Visitor) -> None:
    assert set(said(admin, new("ldap", domains=["x; label: y"]), ENGLISH)) == {"domains"}

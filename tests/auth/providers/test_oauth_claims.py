"""What a provider says of a person is mapped, and believed no further than it must be."""

from typing import Any

import pytest

from auth.mail import LONGEST_ADDRESS
from auth.providers.base import ExternalIdentity
from auth.providers.oauth import OAuth2Configuration, OidcConfiguration
from auth.providers.oauth.claims import (
    LONGEST_GROUP,
    MOST_GROUPS,
    at,
    check_organisation,
    groups_of,
    has_vouched,
    identity_of,
    merged,
    subject_of,
)
from auth.providers.oauth.faults import Fault, OAuthFault

ISSUER = "https://login.example.com"


def oidc(preset: str = "generic", **settings: Any) -> OidcConfiguration:
    return OidcConfiguration(issuer=ISSUER, client_id="one", preset=preset, **settings)


def github(**settings: Any) -> OAuth2Configuration:
    return OAuth2Configuration(client_id="one", preset="github", **settings)


def identity(claims: dict[str, Any], *, vouched: bool = True, **settings: Any) -> ExternalIdentity:
    return identity_of(claims, oidc(**settings), provider="p", subject="s", vouched=vouched)


def assert_fault(fault: Fault, *arguments: Any, of: Any) -> None:
    with pytest.raises(OAuthFault) as caught:
        of(*arguments)
    assert caught.value.fault is fault


class TestPaths:
    @pytest.mark.parametrize(
        ("claims", "path", "found"),
        [
            ({"email": "a"}, "email", "a"),
            ({"realm_access": {"roles": ["r"]}}, "realm_access.roles", ["r"]),
            ({"https://acme.example/groups": ["g"]}, "https://acme.example/groups", ["g"]),
            ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
            ({"a": {"b": {"c": 3}}}, "a.b.c", 3),
            ({"a": ["b"]}, "a.b", None),
            ({"a": {"b": 1}}, "a.b.c", None),
            ({"a": None}, "a.b", None),
            ({"a": "text"}, "a.upper", None),
            ({"": 1}, "", 1),
            ({}, "", None),
            ({"a": {"": 1}}, "a.", 1),
            ({"a": 1}, "__class__", None),
            ({"a": 1}, "a.__class__.__name__", None),
        ],
    )
    def test_a_path_leads_to_a_value_or_to_none(self, claims: dict[str, Any], path: str, found: object) -> None:
        assert at(claims, path) == found


class TestIdentity:
    def test_every_claim_can_be_elsewhere(self) -> None:
        claims = {"mail": {"work": "a@acme.example"}, "who": {"full": "Alice", "short": "al"}, "speaks": "es"}
        found = identity(
            claims,
            email_claim="mail.work",
            name_claim="who.full",
            login_claim="who.short",
            locale_claim="speaks",
        )
        assert (found.email, found.name, found.login, found.locale) == ("a@acme.example", "Alice", "al", "es")

    @pytest.mark.parametrize("value", [None, "", 1, True, ["a@acme.example"], {"a": 1}, "\x00", " \u202e "])
    def test_what_is_no_text_is_left_out(self, value: object) -> None:
        claims = dict.fromkeys(("email", "name", "preferred_username", "locale"), value)
        found = identity(claims)
        assert (found.email, found.name, found.login, found.locale) == (None, None, "", None)

    def test_no_address_is_not_a_verified_one(self) -> None:
        assert not identity({"email": None}).email_vouched

    @pytest.mark.parametrize("control", ["\x00", "\x1b", "\x9b", "\r\n", "\u2028", "\u202e", "\u2066", "\x7f"])
    def test_a_name_steers_nothing(self, control: str) -> None:
        assert identity({"name": f"Eve{control} Evans"}).name == "Eve Evans"

    @pytest.mark.parametrize("control", ["\x00", "\u202e", "\x7f", "\u2066", "\ud83d"])
    def test_an_address_that_has_to_be_cleaned_is_not_the_verified_one(self, control: str) -> None:
        found = identity({"email": f"own{control}er@acme.example"})
        assert found.email != "owner@acme.example" or not found.email_vouched

    def test_texts_without_end_are_cut(self) -> None:
        endless = "a" * 100_000
        found = identity(dict.fromkeys(("email", "name", "preferred_username", "locale"), endless))
        assert found.email is None
        assert len(found.name or "") <= 1000
        assert len(found.login) <= LONGEST_ADDRESS
        assert len(found.locale or "") <= 20

    @pytest.mark.parametrize("name", ["email", "name", "preferred_username", "groups"])
    def test_half_a_character_is_kept_nowhere(self, name: str) -> None:
        claims: dict[str, Any] = {name: "a\ud83d@acme.example"}
        found = identity(claims, groups_claim="groups")
        kept = (found.email or "", found.name or "", found.login, *found.groups)
        assert not [text for text in kept if "\ud83d" in text]  # which neither databases nor pages take


class TestSubject:
    def test_it_names_the_issuer(self) -> None:
        assert subject_of(ISSUER, {"sub": "a"}, ("sub",)) != subject_of("https://other.example", {"sub": "a"}, ("sub",))

    def test_of_entra_it_is_the_directory_and_the_person(self) -> None:
        claims = {"sub": "differs", "tid": "t", "oid": "o"}
        assert subject_of(ISSUER, claims, oidc("entra").subject_claims) == f"{ISSUER} t o"

    def test_of_github_it_is_the_number(self) -> None:
        claims = {"id": 4711, "login": "renamed"}
        assert subject_of("https://api.github.com", claims, github().subject_claims) == "https://api.github.com 4711"

    @pytest.mark.parametrize(
        "value", [None, "", " ", "a b", "a\n", "\x00", "a\u202e", "\ud83d", True, False, 1.5, ["a"], {}, "x" * 256]
    )
    def test_what_names_nobody_for_ever_is_refused(self, value: object) -> None:
        assert_fault(Fault.NO_SUBJECT, ISSUER, {"sub": value}, ("sub",), of=subject_of)

    @pytest.mark.parametrize("left_out", ["tid", "oid"])
    def test_every_part_is_needed(self, left_out: str) -> None:
        claims = {name: "x" for name in ("tid", "oid") if name != left_out}
        assert_fault(Fault.NO_SUBJECT, ISSUER, claims, ("tid", "oid"), of=subject_of)

    def test_parts_do_not_run_into_each_other(self) -> None:
        assert subject_of(ISSUER, {"a": "x", "b": "yz"}, ("a", "b")) != subject_of(
            ISSUER, {"a": "xy", "b": "z"}, ("a", "b")
        )

    def test_a_long_one_keeps_its_difference(self) -> None:
        first, second = (subject_of(ISSUER, {"sub": "x" * 254 + end}, ("sub",)) for end in "ab")
        assert first != second
        assert len(first) <= 255


class TestGroups:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (["a", "b", "a"], {"a", "b"}),
            ("alone", {"alone"}),
            (None, set()),
            ({"a": 1}, set()),
            (7, set()),
            (["a", 1, None, ["b"], "", "x" * (LONGEST_GROUP + 1)], {"a"}),
        ],
    )
    def test_only_texts_are_groups(self, value: object, found: set[str]) -> None:
        assert groups_of({"groups": value}, "groups") == found

    def test_nested_ones_are_found(self) -> None:
        assert groups_of({"realm_access": {"roles": ["a"]}}, "realm_access.roles") == {"a"}

    def test_nobody_asks_without_a_claim(self) -> None:
        assert groups_of({"groups": ["a"], "hasgroups": True}, "") == frozenset()

    def test_as_many_as_make_sense_are_looked_at(self) -> None:
        many = [str(number) for number in range(MOST_GROUPS)]
        assert len(groups_of({"groups": many}, "groups")) == MOST_GROUPS
        assert_fault(Fault.TOO_MANY_GROUPS, {"groups": [*many, "one more"]}, "groups", of=groups_of)

    @pytest.mark.parametrize(
        "note",
        [
            {"hasgroups": True},
            {"hasgroups": "true"},
            {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}},
        ],
    )
    def test_left_out_ones_are_not_taken_for_none(self, note: dict[str, Any]) -> None:
        assert_fault(Fault.TOO_MANY_GROUPS, note, "groups", of=groups_of)

    def test_other_claims_may_be_left_out(self) -> None:
        assert groups_of({"groups": ["a"], "_claim_names": {"address": "src1"}}, "groups") == {"a"}


class TestVerifiedAddresses:
    @pytest.mark.parametrize("said", [None, False, "true", "True", "yes", 1, 1.0, [True], {"verified": True}])
    def test_only_a_plain_true_says_so(self, said: object) -> None:
        for configuration in (oidc(), oidc("okta"), oidc("keycloak"), oidc("auth0"), github()):
            assert has_vouched({"email": "a@acme.example", "email_verified": True}, configuration)
            assert not has_vouched({"email": "a@acme.example", "email_verified": said}, configuration)

    def test_it_is_said_of_the_claim_email_only(self) -> None:
        claims = {"email": "a@acme.example", "upn": "b@acme.example", "email_verified": True, "xms_edov": True}
        for preset in ("generic", "entra", "google"):
            assert not has_vouched(claims, oidc(preset, email_claim="upn"))

    @pytest.mark.parametrize(
        ("claims", "vouched"),
        [
            ({"email": "a@gmail.com"}, True),
            ({"email": "A@GMAIL.com"}, True),
            ({"email": "a@acme.example"}, False),
            ({"email": "a@acme.example", "hd": "acme.example"}, True),
            ({"email": "a@acme.example", "hd": True}, False),
            ({"email": "a@evilgmail.com"}, False),
            ({"email": "a@gmail.com.evil.example"}, False),
            ({"email": "a@gmail.com", "email_verified": False}, False),
            ({"email": "a@gmail.com", "email_verified": "true"}, False),
            ({"email": ["a@gmail.com"]}, False),
        ],
    )
    def test_of_google(self, claims: dict[str, Any], vouched: bool) -> None:
        assert has_vouched({"email_verified": True} | claims, oidc("google")) is vouched

    @pytest.mark.parametrize(
        ("claims", "vouched"),
        [
            ({"email_verified": True}, False),
            ({}, False),
            ({"xms_edov": True}, True),
            ({"xms_edov": 1}, True),
            ({"xms_edov": "1"}, False),
            ({"xms_edov": False}, False),
            ({"xms_edov": 0}, False),
            ({"xms_edov": "true"}, False),
        ],
    )
    def test_of_entra(self, claims: dict[str, Any], vouched: bool) -> None:
        assert has_vouched({"email": "a@acme.example"} | claims, oidc("entra")) is vouched


class TestBothAnswers:
    """ID token and userinfo together."""

    def test_the_signed_one_goes_before(self) -> None:
        claims = merged({"sub": "a", "name": "Signed"}, {"sub": "a", "name": "Asked", "locale": "es"})
        assert claims == {"sub": "a", "name": "Signed", "locale": "es"}

    def test_each_may_say_the_whole_of_an_address(self) -> None:
        said = {"email": "a@acme.example", "email_verified": True}
        assert merged({"sub": "a"}, said)["email_verified"] is True
        assert merged(said, {"sub": "a"})["email_verified"] is True

    def test_another_address_of_userinfo_verifies_none(self) -> None:
        claims = merged(
            {"sub": "a", "email": "victim@acme.example"}, {"email": "own@evil.example", "email_verified": True}
        )
        assert claims["email"] == "victim@acme.example"
        assert "email_verified" not in claims

    def test_the_same_address_may_be_verified_by_userinfo(self) -> None:
        claims = merged({"email": "a@acme.example"}, {"email": "a@acme.example", "email_verified": True})
        assert claims["email_verified"] is True

    def test_an_unverified_address_of_userinfo_is_not_verified_by_a_token_without_it(self) -> None:
        claims = merged({"sub": "a", "email_verified": True}, {"email": "victim@acme.example", "email_verified": False})
        assert not has_vouched(claims, oidc())

    def test_a_signed_no_is_a_no(self) -> None:
        said = {"email": "a@acme.example", "email_verified": True}
        assert merged({"email": "a@acme.example", "email_verified": False}, said)["email_verified"] is False


class TestOrganisations:
    @pytest.mark.parametrize("hd", [None, "other.example", "", ["acme.example"], "acme.example.evil", "ACME.example"])
    def test_people_of_other_workspaces_stay_out(self, hd: object) -> None:
        configuration = oidc("google", hosted_domains=["acme.example"])
        check_organisation({"hd": "acme.example"}, configuration)
        assert_fault(Fault.OTHER_ORGANISATION, {"hd": hd}, configuration, of=check_organisation)

    @pytest.mark.parametrize("tid", [None, "", "9122040d-6c67-4c5b-b112-36a304b66dae", True, []])
    def test_people_of_other_directories_stay_out(self, tid: object) -> None:
        ours = "9122040d-6c67-4c5b-b112-36a304b66dad"
        configuration = oidc("entra", directory_ids=[ours])
        check_organisation({"tid": ours}, configuration)
        assert_fault(Fault.OTHER_ORGANISATION, {"tid": tid}, configuration, of=check_organisation)

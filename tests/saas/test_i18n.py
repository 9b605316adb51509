"""Pages, messages and mails in English and in Spanish: who decides which, and that the catalogue is complete."""

import html
import re
from collections.abc import Iterator
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import Flask
from werkzeug.test import TestResponse

from saas import create_app
from tests.auth.helpers import change, mail_to
from tests.conftest import Database
from tests.factories import PASSWORD, Workspace, make_project
from tests.visitor import Visitor, sign_in

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted((ROOT / "saas" / "translations").glob("*/LC_MESSAGES/messages.po"))
PACKAGES = ("tenants", "auth", "saas")
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]")

# Words that are in no Spanish text. Names of people and permissions (Owner, member:read) stay out of it.
ENGLISH = re.compile(
    r"\b(sign|signed|in|out|password|passkeys?|account|workspace|e-mail|address|projects?|dashboard|updates?|save|cancel"
    r"|continue|delete|edit|search|find|status|name|language|the|and|you|your|is|are|of|to|with|this|not|nothing|please)\b",
    re.IGNORECASE,
)
OF_A_WORKSPACE = (
    "/",
    "/projects/",
    "/projects/?search=nowhere",
    "/projects/?status=archived",
    "/projects/new",
    "/projects/{project}",
    "/projects/{project}/edit",
    "/projects/{project}/delete",
    "/account/",
    "/account/sessions",
    "/auth/change",
    "/auth/change-email",
    "/auth/tf-setup",
    "/auth/mf-recovery-codes",
    "/auth/wan-register",
    "/auth/wan-verify",
    "/auth/verify",
    "/nowhere",
    "/auth/logout",
)
OF_A_STRANGER = ("/auth/login", "/auth/reset", "/auth/confirm", "/auth/wan-signin", "/nowhere")


# The catalogue


@pytest.fixture(scope="module", params=CATALOGUES, ids=lambda path: path.parts[-3])
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What the code asks for now, collected as `make translations` does."""
    file = tmp_path_factory.mktemp("extracted") / "messages.pot"
    options = ["--mapping", str(ROOT / "pyproject.toml"), "--keywords", "lazy_gettext", "--output", str(file)]
    CommandLineInterface().run(["pybabel", "-q", "extract", *options, *(str(ROOT / name) for name in PACKAGES)])
    with file.open("rb") as extracted:
        return read_po(extracted)


def entries(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)


def forms(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Singular and plural, or the one form that there is."""
    return (text,) if isinstance(text, str) else tuple(text)


def test_there_is_a_catalogue_of_every_language_but_the_first(app: Flask) -> None:
    offered = app.extensions["tenants"].settings.languages
    assert [path.parts[-3] for path in CATALOGUES] == sorted(offered[1:])


def test_the_catalogue_is_complete(catalogue: Catalog) -> None:
    untranslated = [message.id for message in entries(catalogue) if not all(forms(message.string))]
    assert untranslated == []
    assert [message.id for message in entries(catalogue) if message.fuzzy] == []


def test_the_catalogue_has_every_plural_form(catalogue: Catalog) -> None:
    plurals = [message for message in entries(catalogue) if message.pluralizable]
    assert plurals
    assert {len(message.string) for message in plurals} == {catalogue.num_plurals}


def test_placeholders_are_those_of_the_original(catalogue: Catalog) -> None:
    wrong = [
        message.id
        for message in entries(catalogue)
        if [set(PLACEHOLDER.findall(text)) for text in forms(message.string)]
        != [set(PLACEHOLDER.findall(text)) for text in forms(message.id)]
    ]
    assert wrong == []


def test_the_catalogue_is_up_to_date(catalogue: Catalog, template: Catalog) -> None:
    asked_for = {message.id for message in entries(template)}
    kept = {message.id for message in entries(catalogue)}
    assert len(asked_for) > 300
    assert asked_for == kept, "run `make translations` and translate what is new"


def test_what_is_compiled_is_what_is_written(path: Path, catalogue: Catalog) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        compiled = {forms(message.id): forms(message.string) for message in entries(read_mo(file))}
    assert compiled == {forms(message.id): forms(message.string) for message in entries(catalogue)}


# Who decides


def language_of(answer: TestResponse) -> str:
    found = re.search(r'<html lang="([^"]*)"', answer.text)
    assert found is not None
    return found.group(1)


def speaking(visitor: Visitor, languages: str) -> Visitor:
    visitor.environ["HTTP_ACCEPT_LANGUAGE"] = languages
    return visitor


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("es", "es"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("de,es;q=0.5", "es"),
        ("en-GB,es;q=0.5", "en"),
        ("de", "en"),
        ("", "en"),
        ("*", "en"),
        ("es;q=0, en;q=0.1", "en"),
        ("ES", "es"),
        ("%%%;q=x", "en"),
    ],
)
def test_the_browser_decides_when_nobody_has_chosen(visitor: Visitor, accepted: str, expected: str) -> None:
    assert language_of(speaking(visitor, accepted).get("/auth/login")) == expected


def test_a_visitor_decides_over_the_browser(visitor: Visitor) -> None:
    speaking(visitor, "en")
    answer = visitor.post("/language", {"locale": "es", "next": "/auth/reset"})
    assert answer.status_code == 302
    assert answer.location.endswith("/auth/reset")
    assert language_of(visitor.get("/auth/login")) == "es"


def test_the_person_decides_over_visitor_and_browser(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    speaking(visitor, "en")
    visitor.post("/language", {"locale": "en"})
    change(app, acme, acme.people["member"], locale="es")
    visitor.sign_in(acme.people["member"])
    assert language_of(visitor.get("/account/")) == "es"


def test_without_a_choice_of_the_person_the_visitors_one_stays(acme: Workspace, visitor: Visitor) -> None:
    speaking(visitor, "en")
    visitor.post("/language", {"locale": "es"})
    visitor.sign_in(acme.people["member"])
    assert language_of(visitor.get("/account/")) == "es"


def test_the_choice_in_the_footer_is_the_persons(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert member.post("/account/language", {"locale": "es"}).status_code == 302
    assert language_of(member.get("/")) == "es"
    elsewhere = speaking(sign_in(app, acme, "member"), "en")
    assert language_of(elsewhere.get("/")) == "es"


@pytest.mark.parametrize("chosen", ["de", "", "es_ES", "../es"])
@pytest.mark.parametrize("address", ["/language", "/account/language"])
def test_a_language_that_is_not_offered_cannot_be_chosen(member: Visitor, address: str, chosen: str) -> None:
    assert member.post(address, {"locale": chosen}).status_code == 422
    assert language_of(member.get("/account/")) == "en"


def test_a_language_that_is_no_longer_offered_falls_back_to_the_first(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    change(app, acme, acme.people["member"], locale="fr")
    assert language_of(speaking(member, "es").get("/account/")) == "en"


def test_the_first_language_of_the_settings_is_the_last_resort(sqlite_database: Database) -> None:
    app = create_app(sqlite_database.settings(languages=("es", "en")))
    apex = Visitor(app, "localhost")
    assert language_of(speaking(apex, "de").get("/")) == "es"
    assert language_of(speaking(apex, "en").get("/")) == "en"
    app.extensions["tenants"].engines.dispose()


# What is said


@pytest.fixture
def spaniard(app: Flask, acme: Workspace) -> Visitor:
    """A browser in Spanish in which acme's owner is signed in."""
    return speaking(sign_in(app, acme, "owner"), "es")


def said(answer: TestResponse) -> str:
    return html.unescape(answer.text)


def test_a_form_error_is_in_spanish(spaniard: Visitor) -> None:
    page = said(spaniard.post("/projects/new", {"name": "", "status": "later", "due_on": "soon"}))
    for message in ("Revisa los campos marcados", "Este campo es obligatorio.", "Opción inválida.", "fecha válida"):
        assert message in page


def test_flask_security_speaks_spanish(visitor: Visitor) -> None:
    speaking(visitor, "es")
    assert "Código de restablecimiento" in said(visitor.get("/auth/reset/forged", follow_redirects=True))


def test_a_failed_sign_in_is_told_in_spanish(visitor: Visitor) -> None:
    speaking(visitor, "es")
    wrong = visitor.post("/auth/login", {"email": "nobody@acme.example", "password": "wrong"})
    assert "El correo electrónico o la contraseña no son correctos." in said(wrong)


def test_our_words_for_flask_security_are_in_both_languages(spaniard: Visitor) -> None:
    def turn_off() -> str:
        return said(spaniard.post("/auth/tf-setup", {"setup": "disable"}, follow_redirects=True))

    def name_too_long() -> str:
        return said(spaniard.post("/auth/wan-register", {"name": "a" * 65, "usage": "first"}))

    assert "El segundo factor está desactivado." in turn_off()
    assert "Se admiten 64 caracteres como máximo." in name_too_long()
    speaking(spaniard, "en")
    assert "The second factor is off." in turn_off()
    assert "At most 64 characters are possible." in name_too_long()


def test_the_message_of_a_guard_is_in_spanish(app: Flask, acme: Workspace, spaniard: Visitor) -> None:
    project = make_project(app, acme)
    answer = spaniard.post(f"/projects/{project}/editors/{acme.people['viewer'].id}/remove")
    assert answer.status_code == 403
    assert "Esta persona no es editora de este proyecto." in said(answer)


def test_roles_have_names_for_people(spaniard: Visitor) -> None:
    assert "<strong>Propietario</strong>" in said(spaniard.get("/account/"))
    assert "<strong>Owner</strong>" in said(speaking(spaniard, "en").get("/account/"))


def test_whoever_tries_too_often_is_told_in_spanish(visitor: Visitor) -> None:
    speaking(visitor, "es")
    answers = [visitor.post("/auth/login", {"email": "often@acme.example", "password": "wrong"}) for _ in range(11)]
    assert answers[-1].status_code == 429
    assert "Vuelve a intentarlo dentro de 15 minutos." in said(answers[-1])


def test_a_mail_is_in_the_language_of_the_page_that_asked_for_it(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    person = acme.people["member"]
    speaking(visitor, "es").post("/auth/reset", {"email": person.email})
    message = mail_to(app, person.email)[-1]
    assert message.subject == "Instrucciones de recuperación de contraseña"
    assert message.body.startswith("Hola, Member:")
    assert "caduca en 1 día" in message.body
    written = message.alternatives[0][0]
    assert '<html lang="es">' in written
    assert "Elige una contraseña nueva" in written


def test_a_notice_by_mail_is_in_the_language_of_the_person(app: Flask, acme: Workspace, spaniard: Visitor) -> None:
    new = "quite another horse battery"
    spaniard.post("/auth/change", {"password": PASSWORD, "new_password": new, "new_password_confirm": new})
    message = mail_to(app, acme.people["owner"].email)[-1]
    assert message.subject == "Tu contraseña ha sido cambiada"
    assert f"Se ha cambiado la contraseña de tu cuenta de {acme.tenant.name}." in message.body


def test_dates_are_written_as_the_language_does(app: Flask, acme: Workspace, spaniard: Visitor) -> None:
    made = datetime.fromisoformat("2026-01-31T23:30:00+00:00")
    address = f"/projects/{make_project(app, acme, due_on=date(2027, 4, 5), created_at=made)}"
    spanish, english = said(spaniard.get(address)), said(speaking(spaniard, "en").get(address))
    assert ">5 abr 2027</time>" in spanish
    assert ">Apr 5, 2027</time>" in english


def test_a_day_is_that_of_the_reader(app: Flask, acme: Workspace, spaniard: Visitor) -> None:
    made = datetime.fromisoformat("2026-01-31T23:30:00+00:00")
    address = f"/projects/{make_project(app, acme, created_at=made, due_on=date(2027, 4, 5))}"
    assert ">31 ene 2026</time>" in said(spaniard.get(address))
    change(app, acme, acme.people["owner"], timezone="Europe/Madrid")
    page = said(spaniard.get(address))
    assert ">1 feb 2026</time>" in page
    assert ">5 abr 2027</time>" in page  # a day without a time is the same day everywhere


class Words(HTMLParser):
    """What a page shows or has read out; not its scripts, its addresses, or what is in a language of its own."""

    ATTRIBUTES = ("aria-label", "alt", "title", "placeholder", "value")
    SILENT = ("script", "style", "code", "time")
    VOID = ("meta", "link", "input", "img", "br", "use")

    def __init__(self, page: str, language: str = "es") -> None:
        super().__init__()
        self._language = language
        self.said: list[str] = []
        self._open: list[bool] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        own = dict(attributes)
        foreign = own.get("lang", self._language) != self._language or own.get("id") == "timezone"
        spoken = [value for name, value in attributes if name in self.ATTRIBUTES and value]
        if (tag == "input" and own.get("type") in ("hidden", "radio", "checkbox")) or tag in ("option", "button"):
            spoken = [own[name] or "" for name in self.ATTRIBUTES[:-1] if name in own]
        spoken += [value for name, value in attributes if name.startswith(("data-message", "data-confirm")) and value]
        if not foreign and not any(self._open):
            self.said += spoken
        if tag not in self.VOID:
            self._open.append(foreign or tag in self.SILENT)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self._open:
            self._open.pop()

    def handle_data(self, text: str) -> None:
        if text.strip() and not any(self._open):
            self.said.append(text.strip())


def english_in(answer: TestResponse) -> list[str]:
    assert language_of(answer) == "es"
    words = Words(answer.text).said
    assert len(words) > 3
    return [text for text in words if ENGLISH.search(text)]


@pytest.mark.parametrize("address", OF_A_WORKSPACE)
def test_pages_are_in_spanish_throughout(app: Flask, acme: Workspace, spaniard: Visitor, address: str) -> None:
    project = make_project(app, acme, "Apolo", due_on=date(2027, 4, 5))
    answer = spaniard.get(address.format(project=project))
    assert answer.status_code in (200, 404, 405)
    assert english_in(answer) == []


@pytest.mark.parametrize("address", OF_A_STRANGER)
def test_pages_before_signing_in_are_in_spanish_throughout(visitor: Visitor, address: str) -> None:
    assert english_in(speaking(visitor, "es").get(address)) == []


@pytest.mark.parametrize("address", ["/", "/?workspace=!", "/nowhere"])
def test_the_apex_is_in_spanish_throughout(app: Flask, address: str) -> None:
    assert english_in(speaking(Visitor(app, "localhost"), "es").get(address)) == []


def test_the_look_for_english_finds_some(spaniard: Visitor) -> None:
    page = speaking(spaniard, "en").get("/projects/")
    assert {"Projects", "Status"} <= {text for text in Words(page.text, "en").said if ENGLISH.search(text)}

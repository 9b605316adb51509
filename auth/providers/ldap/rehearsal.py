"""A directory's configuration tried step by step, as an admin needs it before saving: nothing is written.

Unlike a sign-in it tells all that it finds out, whether or not the directory is left alone just now, and goes on after
what is only suspicious. Whoever takes the steps one by one has each as soon as it has ended; whoever stops taking them
ends the conversation.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from auth.providers.base import ExternalIdentity, WrongCredentials
from auth.providers.ldap.answers import Answer
from auth.providers.ldap.channel import Deadline
from auth.providers.ldap.configuration import GroupStrategy, LdapConfiguration
from auth.providers.ldap.conversation import Conversation, Entry, any_of, equals
from auth.providers.ldap.entries import identity_of, subject
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.groups import Groups, by_key
from auth.providers.ldap.names import is_login, subject_of
from auth.providers.ldap.provider import LdapProvider
from auth.providers.ldap.steps import Note, Step, Steps, Stop, finish

_IS_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # MS-ADTS 3.1.1.3.4.3.1, LDAP_CAP_ACTIVE_DIRECTORY_OID
_NEEDS_ACTIVE_DIRECTORY = (GroupStrategy.AD_NESTED, GroupStrategy.TOKEN_GROUPS)
_LOOKED_AT = 25  # groups: by memberOf each of them is a question of its own

_ANSWERS = {
    Answer.RIGHT: lazy_gettext("right"),
    Answer.WRONG: lazy_gettext("wrong"),
    Answer.UNKNOWN: lazy_gettext("unknown"),
    Answer.LOCKED: lazy_gettext("locked"),
    Answer.DISABLED: lazy_gettext("disabled"),
    Answer.ACCOUNT_EXPIRED: lazy_gettext("account expired"),
    Answer.PASSWORD_EXPIRED: lazy_gettext("password expired"),
    Answer.MUST_CHANGE: lazy_gettext("must change password"),
    Answer.OUTSIDE_HOURS: lazy_gettext("outside hours"),
    Answer.NOT_FROM_HERE: lazy_gettext("not from here"),
}

T = TypeVar("T")
_Walk = Generator[None, None, T]
"""Work that pauses wherever a step may have ended."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the steps have shown of the directory and of one person in it."""

    steps: tuple[Step, ...]
    identity: ExternalIdentity | None
    attributes: Mapping[str, list[str]]
    groups: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every step went well."""
        return all(step.ok for step in self.steps)


@dataclass
class _Rehearsing:
    """A rehearsal under way."""

    provider: LdapProvider
    steps: Steps
    count: Callable[[str], None]
    identity: ExternalIdentity | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    @property
    def configuration(self) -> LdapConfiguration:
        return self.provider.access.configuration

    def run(self, login: str, password: str | None) -> Iterator[Step]:
        """Go through all steps, or as far as they lead; each is given as soon as it has ended."""
        with closing(self._walk(login, password)) as walk, suppress(Stop):
            for _pause in walk:
                yield from self.steps.fresh()
        yield from self.steps.fresh()

    def _walk(self, login: str, password: str | None) -> _Walk[None]:
        alone = self.configuration.user_dn_template and not self.configuration.bind_dn
        with closing((yield from self._connect())) as conversation:
            if alone:
                entry = yield from self._find_oneself(conversation, login, password)
            else:
                self._bind(conversation)
                yield
                self._look_at_base(conversation)
                yield
                entry = self._find(conversation, login)
            yield
            self._read(entry)
            yield
            self._look_at_groups(conversation, entry)
            yield
            if password is not None and not alone:
                self._try_password(conversation, login, password, entry)

    def _try_password(self, conversation: Conversation, login: str, password: str, entry: Entry) -> None:
        with self.steps.step("sign-in") as note, conversation.another() as personal:
            personal.connect()
            personal.secure()
            if self._sign_in(note, personal, login, password, entry) is None:
                raise DirectoryFault(Fault.FINDS_NONE, _("the password is right, and the template leads to no entry"))

    def _connect(self) -> _Walk[Conversation]:
        """A secured conversation with the first server that gives one; each server is a step or two."""
        servers = self.configuration.parsed_servers
        deadline = Deadline(self.configuration.timeout)
        for place, (url, server) in enumerate(zip(self.configuration.servers, servers, strict=True)):
            conversation = Conversation(self.provider.access, server, deadline)
            try:
                with self.steps.step(f"connect {url}"):
                    conversation.hurry(deadline.share(len(servers) - place))
                    conversation.connect()
                yield
                with self.steps.step("tls") as note:
                    conversation.secure()
                    plain = self.configuration.insecure and not server.tls
                    note.detail = _("none: what is sent can be read on the way") if plain else _("verified certificate")
                yield
                return conversation
            except Stop:
                conversation.close()
            except GeneratorExit:
                conversation.close()
                raise
            yield
        raise Stop

    def _bind(self, conversation: Conversation) -> None:
        with self.steps.step("bind") as note:
            note.detail = self.configuration.bind_dn or _("no service account: as nobody")
            conversation.bind_service()

    def _look_at_base(self, conversation: Conversation) -> None:
        with self.steps.step("base") as note:
            note.detail = self.configuration.base_dn
            if conversation.read(self.configuration.base_dn, ["1.1"]) is None:
                raise DirectoryFault(Fault.NO_BASE, self.configuration.base_dn)

    def _find(self, conversation: Conversation, login: str) -> Entry:
        with self.steps.step("user") as note:
            found = self.provider.search(conversation, login) if is_login(login) else []
            if not found:
                raise DirectoryFault(Fault.FINDS_NONE, login)
            if len(found) > 1:
                raise DirectoryFault(Fault.FINDS_MANY, "; ".join(entry.dn for entry in found))
            note.detail = found[0].dn
        return found[0]

    def _find_oneself(self, conversation: Conversation, login: str, password: str | None) -> _Walk[Entry]:
        with self.steps.step("sign-in") as note:
            if not password:
                raise DirectoryFault(Fault.BIND_NEEDED, _("without a service account, a rehearsal needs a password"))
            entry = self._sign_in(note, conversation, login, password)
        yield
        with self.steps.step("user") as note:
            if entry is None:
                raise DirectoryFault(Fault.FINDS_NONE, login)
            note.detail = entry.dn
        return entry

    def _sign_in(
        self, note: Note, conversation: Conversation, login: str, password: str, entry: Entry | None = None
    ) -> Entry | None:
        """Bind as the person in the way of a sign-in: as their entry, or by the template, which goes before."""
        if entry is None or self.configuration.user_dn_template:
            try:
                if not is_login(login):
                    raise WrongCredentials
                self.count(self.provider.name_of_direct(login))
                answer, entry = self.provider.bind_directly(conversation, login, password)
            except WrongCredentials:
                raise DirectoryFault(Fault.FINDS_NONE, _("nobody can be called so")) from None
        else:
            self.count(self.provider.name_of(entry))
            answer = conversation.bind_person(entry.dn, password)
        note.detail = str(_ANSWERS[answer])
        if answer is not Answer.RIGHT:
            raise DirectoryFault(Fault.PERSON_REFUSED)
        return entry

    def _read(self, entry: Entry) -> None:
        self.attributes = {
            name: [_as_text(name, value) for value in values] for name, values in entry.attributes.items() if values
        }
        with self.steps.step("attributes") as note:
            note.detail = f"{self.configuration.subject_attribute} {subject(entry, self.configuration)}"
            person = identity_of(entry, self.configuration, provider=self.provider.id, groups=())
            if not person.email:
                raise DirectoryFault(Fault.NO_EMAIL, ", ".join(self.configuration.email_attributes))
            if person.disabled:
                note.detail = "; ".join((note.detail, _("disabled there")))

    def _look_at_groups(self, conversation: Conversation, entry: Entry) -> None:
        with self.steps.step("groups") as note:
            self._check_strategy(conversation)
            finder = Groups(conversation, self.configuration)
            keys = finder.of(entry)
            self.groups = tuple(sorted(keys))
            self.identity = identity_of(entry, self.configuration, provider=self.provider.id, groups=keys)
            note.detail = _("%(number)s found", number=len(keys))
            with suppress(DirectoryFault):  # what cannot be looked at is suspicious to nobody
                note.warning = self._suspicion(conversation, finder, entry)

    def _check_strategy(self, conversation: Conversation) -> None:
        if self.configuration.group_strategy in _NEEDS_ACTIVE_DIRECTORY:
            root = conversation.read("", ["supportedCapabilities"])
            if root is None or _IS_ACTIVE_DIRECTORY.encode() not in root.values("supportedCapabilities"):
                raise DirectoryFault(Fault.NESTING_UNKNOWN)
        base = self.configuration.group_base if self.configuration.group_strategy is not GroupStrategy.NONE else ""
        if base and conversation.read(base, ["1.1"]) is None:
            raise DirectoryFault(Fault.NO_GROUP_BASE, base)

    def _suspicion(self, conversation: Conversation, finder: Groups, entry: Entry) -> DirectoryFault | None:
        """What does not keep anybody out, and is probably not meant so."""
        strategy = self.configuration.group_strategy
        if strategy is GroupStrategy.MEMBER_OF and not self.groups:
            names = any_of([equals(attribute, entry.dn) for attribute in ("member", "uniqueMember")])
            found = conversation.search(self.configuration.base_of_groups, names, ["1.1"], most=1)
            return DirectoryFault(Fault.NO_MEMBER_OF) if found else None
        if not self.configuration.nested_groups and strategy is not GroupStrategy.TOKEN_GROUPS:  # which has them anyway
            above = by_key(finder.above({key: key for key in self.groups[:_LOOKED_AT]}))
            if missed := above.keys() - set(self.groups):
                return DirectoryFault(Fault.NESTED_GROUPS, "; ".join(sorted(missed)[:10]))
        return None


def by_step(
    provider: LdapProvider,
    login: str,
    password: str | None = None,
    *,
    count: Callable[[str], None] = lambda account: None,
) -> Generator[Step, None, Rehearsal]:
    """Try the provider's configuration with one person, and the person's password if it is given; gives each step.

    `count` is called with the account before its password is tried, as in a sign-in, and what it raises is raised.
    """
    secret = provider.access.secret
    steps = Steps((password or "", secret.get_secret_value() if secret else ""))
    rehearsing = _Rehearsing(provider, steps, count)
    yield from rehearsing.run(login.strip(), password)
    return Rehearsal(tuple(steps.ended), rehearsing.identity, rehearsing.attributes, rehearsing.groups)


def rehearse(
    provider: LdapProvider,
    login: str,
    password: str | None = None,
    *,
    count: Callable[[str], None] = lambda account: None,
) -> Rehearsal:
    """The same at once: the steps when they all have ended."""
    return finish(by_step(provider, login, password, count=count))


def _as_text(attribute: str, value: bytes) -> str:
    if attribute == "objectguid":
        return subject_of(attribute, value)
    with suppress(UnicodeDecodeError):
        return value.decode()
    return value.hex()

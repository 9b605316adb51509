"""A directory's configuration tried step by step, as an admin needs it before saving: nothing is written.

Unlike a sign-in it tells all that it finds out, whether or not the directory is left alone just now, and goes on after
what is only suspicious.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from flask_babel.speaklater import LazyString

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

_IS_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # MS-ADTS 3.1.1.3.4.3.1, LDAP_CAP_ACTIVE_DIRECTORY_OID
_NEEDS_ACTIVE_DIRECTORY = (GroupStrategy.AD_NESTED, GroupStrategy.TOKEN_GROUPS)
_NO_SUCH_ACCOUNT = "AcceptSecurityContext error, data 525"  # Active Directory's; others do not tell
_LONGEST_DETAIL = 500
_LOOKED_AT = 25  # groups: by memberOf each of them is a question of its own


@dataclass(frozen=True, slots=True)
class Step:
    """One step with its result and the time it took; `detail` holds what was found, or the server's own words."""

    name: str
    ok: bool
    milliseconds: int
    fault: Fault | None
    detail: str

    @property
    def explanation(self) -> LazyString | str:
        """What is wrong, in an admin's words; empty when nothing is."""
        return self.fault.explanation if self.fault is not None else ""


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


class _Stop(Exception):
    """A step has failed, and the following ones need what it should have given."""


@dataclass
class _Note:
    """What a step says of itself."""

    detail: str = ""
    warning: DirectoryFault | None = None


@dataclass
class _Rehearsing:
    """A rehearsal under way."""

    provider: LdapProvider
    passwords: tuple[str, ...] = field(repr=False)
    count: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    identity: ExternalIdentity | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    @property
    def configuration(self) -> LdapConfiguration:
        return self.provider.access.configuration

    @contextmanager
    def step(self, name: str) -> Iterator[_Note]:
        """Time a step, and write its result down. Raises _Stop after a fault."""
        began, note = time.monotonic(), _Note()

        def write(fault: DirectoryFault | None) -> None:
            milliseconds = round((time.monotonic() - began) * 1000)
            detail = self._told(fault.detail) if fault is not None and fault.detail else note.detail
            self.steps.append(Step(name, fault is None, milliseconds, fault.fault if fault else None, detail))

        try:
            yield note
        except (DirectoryFault, TimeoutError) as error:
            write(error if isinstance(error, DirectoryFault) else DirectoryFault(Fault.TIMEOUT, str(error)))
            raise _Stop from error
        write(note.warning)

    def _told(self, words: str) -> str:
        """The server's own words, short, and without a password that it repeats."""
        for password in filter(None, self.passwords):
            words = words.replace(password, "***")
        return ("there is no such account: " if _NO_SUCH_ACCOUNT in words else "") + words[:_LONGEST_DETAIL]

    def run(self, login: str, password: str | None) -> None:
        """Go through all steps, or as far as they lead."""
        alone = self.configuration.user_dn_template and not self.configuration.bind_dn
        with closing(self._connect()) as conversation:
            if alone:
                entry = self._find_oneself(conversation, login, password)
            else:
                self._bind(conversation)
                self._look_at_base(conversation)
                entry = self._find(conversation, login)
            self._read(entry)
            self._look_at_groups(conversation, entry)
            if password is not None and not alone:
                with self.step("sign-in") as note, conversation.another() as personal:
                    personal.connect()
                    personal.secure()
                    if self._sign_in(note, personal, login, password, entry) is None:
                        raise DirectoryFault(
                            Fault.FINDS_NONE, "the password is right, and the template leads to no entry"
                        )

    def _connect(self) -> Conversation:
        """A secured conversation with the first server that gives one; each server is a step or two."""
        servers = self.configuration.parsed_servers
        deadline = Deadline(self.configuration.timeout)
        for place, (url, server) in enumerate(zip(self.configuration.servers, servers, strict=True)):
            conversation = Conversation(self.provider.access, server, deadline)
            try:
                with self.step(f"connect {url}"):
                    conversation.hurry(deadline.share(len(servers) - place))
                    conversation.connect()
                with self.step("tls") as note:
                    conversation.secure()
                    plain = self.configuration.insecure and not server.tls
                    note.detail = "none: what is sent can be read on the way" if plain else "verified"
                return conversation
            except _Stop:
                conversation.close()
        raise _Stop

    def _bind(self, conversation: Conversation) -> None:
        with self.step("bind") as note:
            note.detail = self.configuration.bind_dn or "no service account: as nobody"
            conversation.bind_service()

    def _look_at_base(self, conversation: Conversation) -> None:
        with self.step("base") as note:
            note.detail = self.configuration.base_dn
            if conversation.read(self.configuration.base_dn, ["1.1"]) is None:
                raise DirectoryFault(Fault.NO_BASE, self.configuration.base_dn)

    def _find(self, conversation: Conversation, login: str) -> Entry:
        with self.step("user") as note:
            found = self.provider.search(conversation, login) if is_login(login) else []
            if not found:
                raise DirectoryFault(Fault.FINDS_NONE, login)
            if len(found) > 1:
                raise DirectoryFault(Fault.FINDS_MANY, "; ".join(entry.dn for entry in found))
            note.detail = found[0].dn
        return found[0]

    def _find_oneself(self, conversation: Conversation, login: str, password: str | None) -> Entry:
        with self.step("sign-in") as note:
            if not password:
                raise DirectoryFault(Fault.BIND_NEEDED, "without a service account, a rehearsal needs a password")
            entry = self._sign_in(note, conversation, login, password)
        with self.step("user") as note:
            if entry is None:
                raise DirectoryFault(Fault.FINDS_NONE, login)
            note.detail = entry.dn
        return entry

    def _sign_in(
        self, note: _Note, conversation: Conversation, login: str, password: str, entry: Entry | None = None
    ) -> Entry | None:
        """Bind as the person in the way of a sign-in: as their entry, or by the template, which goes before."""
        if entry is None or self.configuration.user_dn_template:
            try:
                if not is_login(login):
                    raise WrongCredentials
                self.count(self.provider.name_of_direct(login))
                answer, entry = self.provider.bind_directly(conversation, login, password)
            except WrongCredentials:
                raise DirectoryFault(Fault.FINDS_NONE, "nobody can be called so") from None
        else:
            self.count(self.provider.name_of(entry))
            answer = conversation.bind_person(entry.dn, password)
        note.detail = answer.value.replace("-", " ")
        if answer is not Answer.RIGHT:
            raise DirectoryFault(Fault.PERSON_REFUSED)
        return entry

    def _read(self, entry: Entry) -> None:
        self.attributes = {
            name: [_as_text(name, value) for value in values] for name, values in entry.attributes.items() if values
        }
        with self.step("attributes") as note:
            note.detail = f"{self.configuration.subject_attribute} {subject(entry, self.configuration)}"
            person = identity_of(entry, self.configuration, provider=self.provider.id, groups=())
            if not person.email:
                raise DirectoryFault(Fault.NO_EMAIL, ", ".join(self.configuration.email_attributes))
            if person.disabled:
                note.detail += "; disabled there"

    def _look_at_groups(self, conversation: Conversation, entry: Entry) -> None:
        with self.step("groups") as note:
            self._check_strategy(conversation)
            finder = Groups(conversation, self.configuration)
            keys = finder.of(entry)
            self.groups = tuple(sorted(keys))
            self.identity = identity_of(entry, self.configuration, provider=self.provider.id, groups=keys)
            note.detail = f"{len(keys)} found"
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


def rehearse(
    provider: LdapProvider,
    login: str,
    password: str | None = None,
    *,
    count: Callable[[str], None] = lambda account: None,
) -> Rehearsal:
    """Try the provider's configuration with one person, and the person's password if it is given.

    `count` is called with the account before its password is tried, as in a sign-in, and what it raises is raised.
    """
    secret = provider.access.secret
    rehearsing = _Rehearsing(provider, (password or "", secret.get_secret_value() if secret else ""), count)
    with suppress(_Stop):
        rehearsing.run(login.strip(), password)
    return Rehearsal(tuple(rehearsing.steps), rehearsing.identity, rehearsing.attributes, rehearsing.groups)


def _as_text(attribute: str, value: bytes) -> str:
    if attribute == "objectguid":
        return subject_of(attribute, value)
    with suppress(UnicodeDecodeError):
        return value.decode()
    return value.hex()

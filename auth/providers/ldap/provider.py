"""A tenant's directory as the rest of `auth` sees it: who is this, who is there, and which groups have they?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog
from ldap3.utils.dn import escape_rdn

from auth.breakers import Paused, breakers
from auth.errors import SignInRefused
from auth.providers.base import ExternalIdentity, PasswordProvider, WrongCredentials
from auth.providers.ldap.answers import Answer
from auth.providers.ldap.channel import Deadline
from auth.providers.ldap.conversation import Access, Conversation, Entry, any_of, equals, open_conversation
from auth.providers.ldap.entries import attributes_of, identity_of, subject
from auth.providers.ldap.faults import OF_THE_SERVER, DirectoryFault, Fault, Unanswered
from auth.providers.ldap.groups import Groups, groups_for_everybody, of_group_base
from auth.providers.ldap.names import dn_key, first_value, fold, is_dn, is_login, is_text, subject_value

LONGEST_PASSWORD = 1024

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a directory's people: those who can be known again, and how many entries cannot."""

    people: list[ExternalIdentity]
    skipped: int


@dataclass(frozen=True)
class LdapProvider(PasswordProvider):
    """One directory. Immutable: an attempt's connections, names and passwords are the attempt's own."""

    kind = "ldap"

    id: str
    access: Access

    def authenticate(self, login: str, password: str, *, count: Callable[[str], None]) -> ExternalIdentity:
        """Prove who `login` is, by binding as their entry with the password.

        Raises WrongCredentials, SignInRefused, Unanswered and DirectoryFault, and what `count` raises.
        """
        login = login.strip()
        # An empty password is refused before any network: LDAP answers "success" to it, to nobody (RFC 4513, 5.1.2).
        if not is_text(password) or len(password) > LONGEST_PASSWORD or "\0" in password or not is_login(login):
            raise WrongCredentials
        counted: set[str] = set()

        def count_once(account: str) -> None:
            if account not in counted:  # a second server that has to be asked is no second attempt
                count(account)
                counted.add(account)

        return self.ask(lambda conversation: self._authenticate(conversation, login, password, count_once))

    def authenticate_again(
        self, subject_: str, login: str, password: str, *, count: Callable[[str], None]
    ) -> ExternalIdentity:
        """Prove somebody who is known already, by what never changes of them: a name may have changed hands.

        Raises what `authenticate` raises.
        """
        if not password or len(password) > LONGEST_PASSWORD or not is_text(password.replace("\0", "\ud800")):
            raise WrongCredentials
        template, attribute = self.access.configuration.user_dn_template, self.access.configuration.subject_attribute

        def work(conversation: Conversation) -> ExternalIdentity:
            if template:
                identity = self._sign_in_directly(conversation, login, password, count)
                if identity.subject != subject_:
                    raise WrongCredentials
                return identity
            conversation.bind_service()
            by_subject = (
                f"(&{self.access.configuration.user_filter}{equals(attribute, subject_value(attribute, subject_))})"
            )
            wanted = attributes_of(self.access.configuration)
            found = conversation.search(self.access.configuration.base_dn, by_subject, wanted, most=1)
            if len(found) != 1:
                raise WrongCredentials
            return self._sign_in_as(conversation, found[0], login, password, count)

        return self.ask(work)

    def find(self, login: str) -> ExternalIdentity:
        """The person whom the directory knows by that login name, with their groups. Raises WrongCredentials."""
        login = login.strip()
        if not is_login(login):
            raise WrongCredentials

        def work(conversation: Conversation) -> ExternalIdentity:
            conversation.bind_service()
            return self._identity(conversation, self._entry(conversation, login))

        return self.ask(work)

    def find_group(self, name: str) -> tuple[str, str]:
        """A group by its DN or its name, compared by the directory: its key, and its name for people.

        Raises LookupError when the directory knows none, or several by that name.
        """
        name = name.strip()
        entries = self.ask(lambda conversation: self._groups_called(conversation, name)) if is_text(name) else []
        if not entries:
            raise LookupError(f"the directory knows no group '{name}'")
        if len(entries) > 1:
            names = "; ".join(entry.dn for entry in entries)
            raise LookupError(f"'{name}' is the name of several groups; give the DN of one: {names}")
        return dn_key(entries[0].dn), first_value(entries[0].dn)

    def everybody(self) -> Iterator[Listing]:
        """Everybody whom the directory lists, a page at a time. Raises DirectoryFault rather than leave anybody out."""
        configuration = self.access.configuration
        with self.open_for_long() as conversation:
            groups = groups_for_everybody(conversation, configuration)
            wanted = attributes_of(configuration)
            for page in conversation.pages(configuration.base_dn, configuration.user_filter, wanted):
                people: list[ExternalIdentity] = []
                for entry in page:
                    try:
                        people.append(self._person(entry, groups))
                    except DirectoryFault as error:
                        if error.fault is not Fault.NO_SUBJECT:
                            raise
                yield Listing(people, len(page) - len(people))

    def ask(self, work: Callable[[Conversation], T]) -> T:
        """What `work` finds out on a conversation with the first server that answers, within the configured time.

        The conversation is connected and bound as nobody yet. Raises Unanswered and DirectoryFault.
        """
        try:
            with breakers.of((self.id, self.access.configuration)).attempt(Unanswered):
                return self._ask_servers(work)
        except Paused:
            raise Unanswered(Fault.PAUSED) from None

    def open_for_long(self) -> Conversation:
        """A conversation as the service account for work of any length, with a deadline for each question."""
        configuration = self.access.configuration
        failure: DirectoryFault | None = None
        for server in configuration.parsed_servers:
            conversation = Conversation(self.access, server, Deadline(configuration.timeout))
            try:
                conversation.connect()
                conversation.secure()
                conversation.bind_service()
            except DirectoryFault as error:
                conversation.close()
                if error.fault not in OF_THE_SERVER:
                    raise
                failure = failure or error
                continue
            conversation.take_steps(configuration.sync_timeout)
            return conversation
        raise failure or DirectoryFault(Fault.UNREACHABLE)

    def _ask_servers(self, work: Callable[[Conversation], T]) -> T:
        servers = self.access.configuration.parsed_servers
        deadline = Deadline(self.access.configuration.timeout)
        failure = DirectoryFault(Fault.TIMEOUT)
        for place, server in enumerate(servers):
            try:
                with open_conversation(self.access, server, deadline.share(len(servers) - place)) as conversation:
                    return work(conversation)
            except TimeoutError:
                break
            except DirectoryFault as error:
                log.warning("directory fault", provider=self.id, server=server.host, fault=error.fault.value,
                            detail=error.detail)  # fmt: skip
                if error.fault not in OF_THE_SERVER:
                    raise
                failure = error
        raise Unanswered(failure.fault, failure.detail) from failure

    def _authenticate(
        self, conversation: Conversation, login: str, password: str, count: Callable[[str], None]
    ) -> ExternalIdentity:
        if self.access.configuration.user_dn_template:
            return self._sign_in_directly(conversation, login, password, count)
        conversation.bind_service()
        return self._sign_in_as(conversation, self._entry(conversation, login), login, password, count)

    def _sign_in_as(
        self, conversation: Conversation, entry: Entry, login: str, password: str, count: Callable[[str], None]
    ) -> ExternalIdentity:
        count(self.name_of(entry))
        with conversation.another() as personal:
            personal.connect()
            personal.secure()
            self._judge(personal.bind_person(entry.dn, password), login)
        return self._admitted(self._identity(conversation, entry))

    def _sign_in_directly(
        self, conversation: Conversation, login: str, password: str, count: Callable[[str], None]
    ) -> ExternalIdentity:
        count(self.name_of_direct(login))
        answer, entry = self.bind_directly(conversation, login, password)
        self._judge(answer, login)
        if entry is None:
            raise WrongCredentials
        return self._admitted(self._identity(conversation, entry))

    def bind_directly(self, conversation: Conversation, login: str, password: str) -> tuple[Answer, Entry | None]:
        """Bind as the person by the configured template, and read their entry as themselves.

        Raises WrongCredentials for what nobody can be called in the form of the template.
        """
        configuration, name = self.access.configuration, self._bind_name(login)
        answer = conversation.bind_person(name, password)
        if answer is not Answer.RIGHT:
            return answer, None
        wanted, filter_ = attributes_of(configuration), configuration.user_filter
        if "=" in configuration.user_dn_template:
            return answer, conversation.read(name, wanted, filter_)
        # By nothing but what was bound as: what is one's principal name may be another's account name.
        bound = equals("sAMAccountName", login) if "\\" in name else equals("userPrincipalName", name)
        by_name = f"(&{filter_}{bound})"
        found = conversation.search(configuration.base_dn, by_name, wanted, most=1)
        return answer, found[0] if len(found) == 1 else None

    def name_of(self, entry: Entry) -> str:
        """What an account is counted by, whichever of its names was typed."""
        return f"{self.id} {subject(entry, self.access.configuration)}"

    def name_of_direct(self, login: str) -> str:
        """The same of a name that is tried without a search. Raises WrongCredentials."""
        return f"{self.id} {fold(self._bind_name(login))}"

    def _bind_name(self, login: str) -> str:
        template = self.access.configuration.user_dn_template
        if "=" in template:
            return template.replace("{login}", escape_rdn(login))
        if set(login) & set('@\\/"'):  # would end up in another domain
            raise WrongCredentials
        return template.replace("{login}", login)

    def _entry(self, conversation: Conversation, login: str) -> Entry:
        """The one entry of that login name. Raises WrongCredentials for none and for several."""
        found = self.search(conversation, login)
        if len(found) != 1:
            log.info("directory sign-in", provider=self.id, found=len(found))
            raise WrongCredentials
        return found[0]

    def search(self, conversation: Conversation, login: str) -> list[Entry]:
        """The entries of that login name: one, or two if there are more."""
        configuration = self.access.configuration
        names = [equals(attribute, login) for attribute in configuration.login_attributes]
        wanted = f"(&{configuration.user_filter}{any_of(names)})"
        return conversation.search(configuration.base_dn, wanted, attributes_of(configuration), most=1)

    def _groups_called(self, conversation: Conversation, name: str) -> list[Entry]:
        configuration = self.access.configuration
        conversation.bind_service()
        filter_ = configuration.group_filter or "(objectClass=*)"
        if is_dn(name):
            try:
                found = conversation.read(name, ["1.1"], filter_)
            except DirectoryFault as error:
                if error.fault is not Fault.BASE_SYNTAX:
                    raise
                found = None  # a name such as team=red only looks like one
            if found:
                return [found]
        wanted = f"(&{filter_}{equals('cn', name)})"
        try:
            return conversation.search(configuration.base_of_groups, wanted, ["1.1"], most=5)
        except DirectoryFault as error:
            raise of_group_base(error) from error

    def _identity(self, conversation: Conversation, entry: Entry) -> ExternalIdentity:
        return self._person(entry, Groups(conversation, self.access.configuration))

    def _person(self, entry: Entry, groups: Groups) -> ExternalIdentity:
        subject(entry, self.access.configuration)  # nobody who cannot be known again has groups looked up
        return identity_of(entry, self.access.configuration, provider=self.id, groups=groups.of(entry))

    def _judge(self, answer: Answer, login: str) -> None:
        if answer is Answer.RIGHT:
            return
        log.info("directory sign-in refused", provider=self.id, login=login, answer=answer.value)
        if answer.message:
            raise SignInRefused(str(answer.message))
        raise WrongCredentials

    def _admitted(self, identity: ExternalIdentity) -> ExternalIdentity:
        if identity.disabled:
            raise SignInRefused(str(Answer.DISABLED.message))
        return identity

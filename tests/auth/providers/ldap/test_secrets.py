"""No password is to be read anywhere."""

import logging
from collections.abc import Callable, Iterator

import ldap3
import pytest
import structlog
from ldap3.utils.log import EXTENDED, set_library_log_activation_level, set_library_log_detail_level

from auth.providers.ldap import LdapProvider
from auth.providers.ldap.conversation import Conversation
from auth.providers.ldap.faults import DirectoryFault
from tests.auth.providers.ldap.asking import (
    a_server,
    connected_to,
    quick,
    sign_in,
)
from tests.servers import hostile_ldap
from tests.servers.openldap import OpenLdapServer


class TestSecrets:
    SECRETS = ("service-secret-5d1f", "person-secret-77aa")

    @pytest.fixture
    def recorded(self, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
        """Everything that is logged, ldap3's own words included."""
        caplog.set_level(logging.DEBUG)
        set_library_log_activation_level(logging.DEBUG)
        set_library_log_detail_level(EXTENDED)
        with structlog.testing.capture_logs() as events:
            yield lambda: caplog.text + repr(events)
        set_library_log_detail_level(0)
        set_library_log_activation_level(logging.ERROR)

    def said(self, provider: LdapProvider, password: str) -> str:
        """What an attempt ends with, and all that led there."""
        try:
            return repr(sign_in(provider, "someone", password))
        except Exception as error:
            said, cause = "", error
            while cause is not None:
                said += f"{cause!r} {cause} {getattr(cause, 'detail', '')}"
                cause = cause.__cause__ or cause.__context__
            return said

    def test_no_password_is_in_a_log_or_an_error(
        self,
        recorded: Callable[[], str],
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        service, person = self.SECRETS
        with a_server() as server:
            server.add_person("someone", password=person)
            server.modify(server.service_dn, userPassword=service)
            caplog.clear()  # of what was just written there
            good = connected_to(server, secret=service)
            providers = [good, connected_to(server, secret=f"{service}x"), connected_to(server, ca_bundle=None)]
            said = [self.said(provider, password) for provider in providers for password in (person, f"{person}x")]
        for make in (hostile_ldap.Garbage, hostile_ldap.Resetting, hostile_ldap.Silent, hostile_ldap.StrippingStartTls):
            with make() as hostile:
                for insecure in (False, True):
                    provider = quick(hostile, bind_dn="cn=s,dc=a", secret=service, insecure=insecure)
                    said.append(self.said(provider, person))
        written = capfd.readouterr()
        everything = recorded() + "".join(said) + written.out + written.err
        assert "directory fault" in everything
        assert not [secret for secret in self.SECRETS if secret in everything]

    def test_no_password_is_in_a_repr(self, directory: OpenLdapServer) -> None:
        service, person = self.SECRETS
        provider = connected_to(directory, secret=service)
        [server] = provider.access.configuration.parsed_servers
        shown: list[object] = [provider, provider.access, provider.access.configuration, server]

        def look(session: Conversation) -> None:
            shown.extend([session, session._ldap, vars(session), vars(session._ldap)])

        with pytest.raises(DirectoryFault):
            sign_in(provider, "someone", person)
        provider.ask(look)
        assert isinstance(shown[-3], ldap3.Connection)
        assert not [secret for secret in self.SECRETS if secret in repr(shown) + str(shown)]

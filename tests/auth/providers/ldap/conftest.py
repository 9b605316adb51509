"""A directory for the tests of the adapter: real, and one for each worker."""

from collections.abc import Iterator

import pytest

from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer


@pytest.fixture(scope="session")
def directory() -> Iterator[OpenLdapServer]:
    """An OpenLDAP server with TLS."""
    with require(openldap.start) as server:
        yield server

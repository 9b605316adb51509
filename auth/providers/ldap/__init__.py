"""The company's directory: LDAP and Active Directory. Nothing outside of this package knows ldap3.

`provider.py` is what the rest of `auth` sees. Below it, in order: `configuration.py` (what an admin sets, with
`presets.py`), `conversation.py` (one conversation with one server, ldap3's errors translated) on `channel.py` (a socket
that neither waits nor reads without end), `entries.py` and `groups.py` (what an entry says of a person), `names.py`
(how names compare) and `answers.py` (what a refused bind means). `rehearsal.py` tries a configuration step by step.
"""

from auth.providers.ldap.configuration import LdapConfiguration
from auth.providers.ldap.provider import LdapProvider

__all__ = ["LdapConfiguration", "LdapProvider"]

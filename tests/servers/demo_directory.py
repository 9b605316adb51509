"""`make directory`: a company's directory to try things with, until it is told to end.

alice and bob are in the web team, which is in engineering; carol is in sales.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from ldap3.core.exceptions import LDAPExceptionError

from tests.servers import ServerMissingError, openldap
from tests.servers.openldap import PASSWORD, OpenLdapServer

FOLDER = Path("var/directory")
COMMANDS = """\
The directory answers. With `make run` under way elsewhere, connect the workspace acme with it:

  .venv/bin/flask --app saas providers add office --tenant acme --label 'Acme staff' \\
      --server {url} --ca-bundle {folder}/ca.pem \\
      --bind-dn {service} --secret-file {folder}/secret \\
      --base-dn {people} --group-base {groups}
  .venv/bin/flask --app saas providers map office engineering member --tenant acme
  .venv/bin/flask --app saas providers enable office --tenant acme

Then sign in at http://acme.localhost:8000 as alice (bob, carol) with: {password}

Here you may say: leave web-team alice · join web-team alice · disable alice · enable alice · end
and then: .venv/bin/flask --app saas providers sync office --tenant acme
"""


def populate(server: OpenLdapServer) -> None:
    """Give the company its people and groups."""
    alice, bob, carol = (
        server.add_person(uid, name=name)
        for uid, name in (("alice", "Alice Adams"), ("bob", "Bob Brown"), ("carol", "Carol Clark"))
    )
    server.add_group("engineering", [server.add_group("web-team", [alice, bob])])
    server.add_group("sales", [carol])


def obey(server: OpenLdapServer, words: list[str]) -> None:
    """Do what somebody says of a person."""
    person = f"uid={words[-1]},{server.people}"
    orders: dict[tuple[str, int], Callable[[], None]] = {
        ("leave", 3): lambda: server.remove_member(f"cn={words[1]},{server.groups}", person),
        ("join", 3): lambda: server.add_member(f"cn={words[1]},{server.groups}", person),
        ("disable", 2): lambda: server.disable(person),
        ("enable", 2): lambda: server.modify(person, pwdAccountLockedTime=None),
    }
    order = orders.get((words[0], len(words)))
    if order is None:
        print("leave GROUP PERSON, join GROUP PERSON, disable PERSON, enable PERSON, end")
        return
    try:
        order()
    except LDAPExceptionError as error:
        print(f"the directory says: {error}")
    else:
        print("done")


def main() -> None:
    """Start it, say how to use it, and obey until the end."""
    try:
        server = openldap.start()
    except ServerMissingError as error:
        sys.exit(str(error))
    with server:
        populate(server)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "ca.pem").write_text(server.ca)
        (FOLDER / "secret").write_text(server.service_password + "\n")
        (FOLDER / "secret").chmod(0o600)
        values = {"url": server.tls_url, "folder": FOLDER, "service": server.service_dn, "people": server.people}
        print(COMMANDS.format(**values, groups=server.groups, password=PASSWORD), flush=True)
        for line in sys.stdin:
            words = shlex.split(line)
            if words == ["end"]:
                break
            if words:
                obey(server, words)


if __name__ == "__main__":
    main()

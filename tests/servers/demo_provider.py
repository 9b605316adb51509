"""`make provider`: a company's identity provider to try things with, until Ctrl-C.

alice and bob are in engineering, alice is also in admins; carol is in sales.
"""

import contextlib
import os
import secrets
import sys
from pathlib import Path

from tests.servers import oidc
from tests.servers.oidc import PASSWORD, OidcServer

PORT = int(os.environ.get("PORT_PROVIDER") or 9400)
FOLDER = Path("var/provider")
CLIENT = "tenantry"
PEOPLE = {
    "alice": ("Alice Adams", ["engineering", "admins"]),
    "bob": ("Bob Brown", ["engineering"]),
    "carol": ("Carol Clark", ["sales"]),
}
# A connection's id is part of its addresses, and known only when it is made.
REDIRECTS = r"^http://([a-z0-9-]+\.)+localhost(:[0-9]+)?/(sso|broker)/[^/?#]+/(callback|signed-out)$"
COMMANDS = """\
The identity provider answers. With `make run` under way elsewhere, connect the workspace acme with it:

  .venv/bin/flask --app saas providers add workid --tenant acme --kind oidc --label 'Acme ID' \\
      --issuer {issuer} --insecure --client-id {client} --secret-file {secret} \\
      --groups-claim teams --domain acme.example
  .venv/bin/flask --app saas providers map workid engineering member --tenant acme
  .venv/bin/flask --app saas domains vouch acme.example --tenant acme

Sign in at http://acme.localhost:8000 as owner@acme.example and rehearse it under "Signing in", as alice. Then

  .venv/bin/flask --app saas providers enable workid --tenant acme

and alice, bob and carol sign in, all with: {password}

By the one address of the installation, the broker, instead of the workspace's own:

  .venv/bin/flask --app saas providers change workid --tenant acme --broker

Ctrl-C ends it.
"""


def keep_secret() -> Path:
    """Return the file of the client's secret, which stays the same so that a connected workspace stays connected."""
    path = FOLDER / "secret"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n")
    return path


def populate(server: OidcServer, secret: str) -> None:
    """Give the company its people, and Tenantry its client."""
    for sub, (name, groups) in PEOPLE.items():
        given, family = name.split()
        server.add_person(
            sub,
            email=f"{sub}@acme.example",
            email_verified=True,
            name=name,
            given_name=given,
            family_name=family,
            preferred_username=sub,
            teams=groups,
        )
    server.add_client(client_id=CLIENT, secret=secret, redirect_uris=["http://auth.localhost:8000/broker/any/callback"])


def main() -> None:
    """Start it, say how to use it, and wait for the end."""
    try:
        server = oidc.start(port=PORT, redirects=REDIRECTS)
    except RuntimeError as error:  # also where it cannot be installed
        sys.exit(str(error))
    with server, contextlib.suppress(KeyboardInterrupt):
        secret = keep_secret()
        populate(server, secret.read_text().strip())
        print(COMMANDS.format(issuer=server.issuer, client=CLIENT, secret=secret, password=PASSWORD), flush=True)
        server.wait()


if __name__ == "__main__":
    main()

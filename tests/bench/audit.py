"""`python -m tests.bench.audit`: how long it takes to seal and to verify an audit log, on PostgreSQL."""

import argparse
import time
import uuid
from collections.abc import Callable

from auth import audit, audit_chain
from auth.audit_verification import verify
from tenants.context import bound
from tenants.lifecycle import create_tenant
from tests.bench.sync import make_app, peak_mib
from tests.servers import postgres

_AT_ONCE = 1000


def fill(events: int) -> None:
    """Record so many events of the bound tenant, as a sync would."""
    for start in range(0, events, _AT_ONCE):
        people = [
            audit.Party("user", uuid.uuid4(), f"person{number}@acme.example")
            for number in range(start, min(start + _AT_ONCE, events))
        ]
        audit.record_all("account changed", people, details={"name": ["Vera Vance", "Vera Vance-Miller"]})


def show(label: str, work: Callable[[], object]) -> None:
    """Do it and print a line of the result."""
    began, used = time.monotonic(), time.process_time()
    result = work()
    took = f"{time.monotonic() - began:7.2f} s, of which {time.process_time() - used:.2f} s of this process's own work"
    print(f"{label:<12}{took}   {result or ''}; peak {peak_mib()} MiB", flush=True)


def main() -> None:
    """Measure recording, sealing and verifying."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    with postgres.start() as server:
        app = make_app(server, log_level="ERROR")
        with app.app_context():
            tenant = create_tenant("acme", "Acme", {"email": "owner@acme.example", "password": "a long enough secret"})
            for label, work in (
                ("to record", lambda: fill(options.events)),
                ("to seal", audit_chain.seal_all),
                ("to verify", verify),
            ):
                with bound(tenant):
                    show(label, work)
        app.extensions["tenants"].engines.dispose()


if __name__ == "__main__":
    main()

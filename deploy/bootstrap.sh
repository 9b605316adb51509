#!/bin/sh
# Makes .venv hold exactly what the lock says. usage: deploy/bootstrap.sh [run|test]
set -eu
cd "$(dirname "$0")/.."

mode=${1:-run}
case $mode in
    run) lock=requirements.lock ;;
    test) lock=tests/requirements.lock ;;
    *) echo "usage: $0 [run|test]" >&2; exit 2 ;;
esac

say() { echo "bootstrap: $*"; }
die() { echo "bootstrap: $*" >&2; exit 1; }

# A stamp is the lock that was installed and where: a virtual environment breaks when it is moved.
stamp() { pwd; cat "$1"; }
holds() { stamp "$2" | cmp -s - ".venv/installed-$1" && .venv/bin/python -c '' 2>/dev/null; }

holds "$mode" "$lock" && exit 0

# One at a time: `make run` and `make test` may be started side by side. What an interrupted run left behind ends first.
if command -v flock >/dev/null; then
    exec 9<deploy/bootstrap.sh
    flock -n 9 || { say "waiting for another one"; flock 9; }
    holds "$mode" "$lock" && exit 0
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed; found: $(python3 --version 2>/dev/null || echo none). Set PYTHON=/path/to/python3."
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# Debian ships Python without ensurepip, and then `python3 -m venv` fails.
can_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

install_venv() {
    command -v apt-get >/dev/null && as_root true || return 1
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "installing Debian's package python$version-venv"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null && can_venv
}

# Into a folder of our own: this neither needs rights nor touches the user's packages.
virtualenv() {
    "$python" -m pip --version >/dev/null 2>&1 || return 1
    say "no ensurepip here: making .venv with virtualenv"
    tools=$(mktemp -d)
    "$python" -m pip install --quiet --target "$tools" virtualenv &&
        PYTHONPATH=$tools "$python" -m virtualenv --quiet .venv && made=yes || made=no
    rm -rf "$tools"
    [ "$made" = yes ]
}

# The test lock contains the runtime lock, so a current runtime environment can grow. Anything else is rebuilt:
# an interrupted installation leaves no stamp and cannot be trusted.
if ! holds run requirements.lock; then
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    if can_venv || install_venv; then
        "$python" -m venv .venv
    else
        virtualenv || die "cannot make a virtual environment: install python3-venv (or pip) and try again."
    fi
fi
rm -f .venv/installed-*

say "installing $(grep -c == "$lock") packages from $lock (about a minute)"
# Nothing but the lock: the pip of Python 3.11 does not see that "coverage[toml]", which another package asks for, is
# pinned there as "coverage", and refuses as soon as there is a newer one.
.venv/bin/python -m pip install --quiet --use-pep517 --no-deps --require-hashes -r "$lock" ||
    die "the installation failed; run it again, a half-made .venv is replaced."

if [ "$mode" = test ]; then stamp requirements.lock >.venv/installed-run; fi
stamp "$lock" >.venv/installed-new
mv .venv/installed-new ".venv/installed-$mode"
say "ready"

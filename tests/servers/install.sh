#!/bin/sh
# Installs the servers that the tests start themselves, where they are missing and we may.
# Never fails: the fixtures decide what a missing server means.
set -u

has_postgres() { command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
has_slapd() { command -v slapd || [ -x /usr/sbin/slapd ]; } >/dev/null
has_redis() { command -v redis-server; } >/dev/null
has_curl() { command -v curl; } >/dev/null
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
# Playwright's driver is linked against it, and a minimal Debian lacks it.
has_libatomic() { ! command -v dpkg || ls /usr/lib/*/libatomic.so.1 || ls /usr/lib/libatomic.so.1; } >/dev/null 2>&1

# The identity provider needs nothing of Debian's: Node comes with .venv, and what runs on it is npm's.
(cd "$(dirname "$0")/../.." && [ -x .venv/bin/python ] && .venv/bin/python -m tests.servers.node)

missing=
has_postgres || missing="$missing postgresql"
has_slapd || missing="$missing slapd"
has_redis || missing="$missing redis-server"
has_curl || missing="$missing curl"
has_chromium || missing="$missing chromium"
has_libatomic || missing="$missing libatomic1"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo -n"
else sudo=none
fi
if [ "$sudo" = none ] || ! command -v apt-get >/dev/null; then
    echo "servers: missing:$missing. Install them for the tests that need them (here we may not)."
    exit 0
fi

# Debian starts a service when it installs it; the tests want only the programs.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
    trap '$sudo rm -f $policy' EXIT
    trap 'exit 130' INT TERM
fi

log=$(mktemp)
echo "servers: installing Debian's packages:$missing"
$sudo apt-get update -qq || echo "servers: apt-get update failed, going on with the lists that are here"
for package in $missing; do
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >"$log" 2>&1 ||
        { echo "servers: could not install $package:"; tail -n 5 "$log"; }
done
rm -f "$log"
exit 0

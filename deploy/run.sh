#!/bin/sh
# The product on this machine, with an embedded database and demo data. usage: deploy/run.sh [serve|dev]
set -eu
cd "$(dirname "$0")/.."

export SAAS_ENV="${SAAS_ENV:-development}"
export PORT="${PORT:-8000}"
# In mailed links.
export SAAS_PUBLIC_PORT="${SAAS_PUBLIC_PORT:-$PORT}"
if [ -z "${SAAS_DATABASE_URL:-}" ]; then
    mkdir -p var
    export SAAS_DATABASE_URL="sqlite:///$PWD/var/tenantry.db"
fi

# Asked before the database is touched: gunicorn would retry for seconds and then say less.
.venv/bin/python - "$PORT" <<'PYTHON' || exit 1
import socket, sys
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", int(sys.argv[1])))
    except (OSError, OverflowError, ValueError) as error:
        sys.exit(f"Cannot listen on port {sys.argv[1]}: {error}. Choose another one: make run PORT=8080")
PYTHON

.venv/bin/flask --app saas db upgrade
.venv/bin/flask --app saas demo seed

cat <<TEXT

  http://acme.localhost:$PORT     http://globex.localhost:$PORT

  sign in as  owner@acme.example  admin@acme.example  member@acme.example  viewer@acme.example
              (the same four at globex.example)
  password    correct horse battery staple

TEXT

if [ "${1:-serve}" = dev ]; then
    exec .venv/bin/flask --app saas run --debug --host 127.0.0.1 --port "$PORT"
fi
exec .venv/bin/gunicorn -c deploy/gunicorn.conf.py saas.wsgi:app

#!/usr/bin/env bash
# Writes constraints.txt (to run the service and its examples), constraints-dev.txt (to work on it as well) and
# benchmarks/rivals.txt (what its benchmark on Redis is compared with, in an environment of its own).
# Nothing of this machine's pip configuration may end up in them: no address, no path. `make lock` calls this.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
# The oldest supported version: what it needs includes what newer ones need.
"$python" -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Lock with Python 3.11: make lock PYTHON=python3.11")'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pip-tools>=7.6'

compile_of() {
    CUSTOM_COMPILE_COMMAND='make lock' "$work/venv/bin/pip-compile" --quiet --generate-hashes --strip-extras \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options "$@"
}
compile() {
    compile_of --build-deps-for wheel "$@" pyproject.toml
}
compile --extra examples --output-file constraints.txt "$@"
# pip-compile reads pins from a constraint, and would take its hashes for the only allowed ones: hand over pins alone.
grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' constraints.txt >"$work/pins.txt"
compile --extra bench --constraint "$work/pins.txt" --no-annotate --output-file constraints-dev.txt "$@"
compile_of --no-annotate --output-file benchmarks/rivals.txt "$@" benchmarks/rivals.in

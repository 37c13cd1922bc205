#!/bin/bash
# bench.sh BENCH_NN [ARGUMENT...]
#
# Measures BENCH_NN and its peers (tests/bench/run.py, which gets the arguments)
# and leaves the figures in tests/bench/results.  The peers live in a virtual
# environment: VENV, if given, else one that is made below build/.

set -euo pipefail
cd "$(dirname "$0")/.."

program=$PWD/$1
shift
venv=${VENV:-build/bench-venv}
if [[ ! -x $venv/bin/python3 ]]; then
    echo "making a virtual environment with the peers in $venv"
    if ! python3 -m venv "$venv"; then
        echo "python3 cannot make virtual environments: install python3-venv, or give VENV" >&2
        exit 1
    fi
    "$venv/bin/pip" install --quiet -r tests/bench/requirements.txt
fi
exec "$venv/bin/python3" tests/bench/run.py --bench-nn "$program" "$@"

#!/bin/bash
# check-networks.sh [TEST...]
#
# `make check-networks`: networks that other programs make, imported into a
# private server and compared with those programs, by tests/networks/check_*.py
# (TESTS="keras": only that one).  A test prints a table, a line a network, and
# fails where a network is not taken or has other scores.  Takes an hour.
#
#   VENV=folder          a virtual environment with the other programs
#                        (tests/networks/requirements.txt), made below build/ if
#                        not given
#   PNEUMO_DATA=folder   the first eight JPEG files below it are the images, else
#                        phantoms

source "$(dirname "$0")/common.sh"
cd "$ROOT"

venv=${VENV:-$BUILD/networks-venv}
tests=("$@")
failed=0
if ((${#tests[@]} == 0)); then
    for file in tests/networks/check_*.py; do
        name=$(basename "$file" .py)
        tests+=("${name#check_}")
    done
fi
if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv" || die "no virtual environment (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" -q install -r tests/networks/requirements.txt || die "pip failed"
fi
venv=$(cd "$venv" && pwd)

build_private_server networks
if [[ -n ${PNEUMO_DATA:-} ]]; then
    mkdir "$WORK/images"
    find "$PNEUMO_DATA" -iname '*.jp*g' | sort | awk 'NR <= 8' | while IFS= read -r file; do
        cp "$file" "$WORK/images/"
    done
    chmod -R a+rX "$WORK/images"
    export IMAGES="SELECT row_number() OVER (ORDER BY n) AS i, pg_read_binary_file('$WORK/images/' || n) AS image
        FROM pg_ls_dir('$WORK/images') n"
fi
start_private_server

# The tests run a program; private_psql is a function.
export -f private_psql as_server
export WORK SERVER_BIN SERVER_USER
printf '#!/bin/bash\nprivate_psql "$@"\n' > "$WORK/psql"
chmod +x "$WORK/psql"
export PSQL=$WORK/psql
mkdir -m 755 "$WORK/shared"
export PNEUMO_SHARED_FOLDER=$WORK/shared
for name in "${tests[@]}"; do
    echo "== $name"
    "$venv/bin/python" "$ROOT/tests/networks/check_$name.py" 2> "$WORK/$name.err" || {
        ((++failed))
        tail -n 5 "$WORK/$name.err"
    }
done
((failed == 0))

#!/bin/bash
# check-pgspot.sh
#
# `make check-pgspot`: pgspot reads the install script as CREATE EXTENSION runs
# it and finds names and operators that a search_path could change.  It comes
# from PyPI, into a virtual environment below build/.

source "$(dirname "$0")/common.sh"
cd "$ROOT"

venv=$BUILD/pgspot
if [[ ! -x $venv/bin/pgspot ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" -q install 'pgspot==0.9.4' || die "pgspot could not be installed"
fi
cat $(make -s print-INSTALL_SQL) > "$BUILD/pgspot.sql"
"$venv/bin/pgspot" "$BUILD/pgspot.sql" | tee "$BUILD/pgspot.log"
grep -q 'Errors: 0 Warnings: 0 ' "$BUILD/pgspot.log"

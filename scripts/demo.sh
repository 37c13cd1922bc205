#!/bin/bash
# demo.sh
#
# `make demo`: installs what is missing, builds, starts a private PostgreSQL in
# a temporary folder, loads X-rays, trains a network on them, predicts, and
# removes everything again but the build.
#
#   make demo                      600 phantom radiographs, drawn by the extension
#   make demo DATA=folder          X-rays in train|val|test/NORMAL|PNEUMONIA
#   make demo CONFIG='{"epochs": 3}'   keys to change in the training's config
#   make demo IMAGES=2000          number of phantoms

source "$(dirname "$0")/common.sh"
cd "$ROOT"

DATA=${DATA:-}
IMAGES=${IMAGES:-600}
CONFIG=${CONFIG:-}
[[ -n $CONFIG ]] || CONFIG='{}'
started=$SECONDS
# DATA is also a variable of PGXS.
export -n DATA

if [[ -n $DATA ]]; then
    [[ -d $DATA ]] || die "DATA=$DATA is not a folder"
    DATA=$(cd "$DATA" && pwd)
fi
[[ $IMAGES =~ ^[0-9]+$ ]] || die "IMAGES=$IMAGES is not a number"

"$ROOT/scripts/dependencies.sh"
build_private_server demo
cp -r demo/*.sql "$WORK/"

source_folder=$DATA
if [[ -n $DATA && -n $SERVER_USER ]] && ! as_server test -r "$DATA" -a -x "$DATA"; then
    say "copying $DATA to where the server can read it"
    cp -r "$DATA" "$WORK/xrays"
    chmod -R a+rX "$WORK/xrays"
    source_folder=$WORK/xrays
fi

start_private_server
private_psql -v data="$source_folder" -v images="$IMAGES" -v config="$CONFIG" -f "$WORK/demo.sql"

if [[ -s $WORK/report.html ]]; then
    cp "$WORK/report.html" "$ROOT/demo/report.html"
    say "wrote demo/report.html"
fi
say "done in $((SECONDS - started)) seconds; the server is stopped and its folder removed"

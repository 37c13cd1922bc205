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
PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found"
export PG_CONFIG
choose_server_user

say "building pneumo"
mkdir -p "$ROOT/build"
sync_tree "$ROOT/build/gcc"
make -s -j "$(jobs)" -C "$ROOT/build/gcc" all > "$ROOT/build/demo-build.log" 2>&1 ||
    { tail -n 30 "$ROOT/build/demo-build.log"; die "the build failed"; }

WORK=$(mktemp -d "${TMPDIR:-/tmp}/pneumo-demo.XXXXXX")
stop()
{
    local status=$?

    trap - EXIT INT TERM
    if [[ -f $WORK/data/postmaster.pid ]]; then
        as_server "$SERVER_BIN/pg_ctl" -D "$WORK/data" -m fast stop > /dev/null 2>&1 || true
    fi
    if ((status != 0)) && [[ -f $WORK/server.log ]]; then
        echo "the end of the server's log:"
        tail -n 20 "$WORK/server.log"
    fi
    rm -rf "$WORK"
    exit "$status"
}
trap stop EXIT INT TERM
[[ -z $SERVER_USER ]] || chown "$SERVER_USER" "$WORK"
copy_server "$PG_CONFIG" "$WORK/server"
make -s -C "$ROOT/build/gcc" PG_CONFIG="$SERVER_CONFIG" install > "$ROOT/build/demo-build.log" 2>&1 ||
    { tail -n 30 "$ROOT/build/demo-build.log"; die "make install failed"; }
cp -r demo/*.sql "$WORK/"

source_folder=$DATA
if [[ -n $DATA && -n $SERVER_USER ]] && ! as_server test -r "$DATA" -a -x "$DATA"; then
    say "copying $DATA to where the server can read it"
    cp -r "$DATA" "$WORK/xrays"
    chmod -R a+rX "$WORK/xrays"
    source_folder=$WORK/xrays
fi

say "starting a private server"
cd "$WORK"
as_server "$SERVER_BIN/initdb" -D "$WORK/data" -U pneumo -A trust -E UTF8 --no-locale -N > "$WORK/initdb.log" 2>&1 ||
    { cat "$WORK/initdb.log"; die "initdb failed"; }
cat >> "$WORK/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$WORK'
fsync = off
jit = off
max_parallel_workers_per_gather = $(jobs)
CONF
as_server "$SERVER_BIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w start > /dev/null ||
    die "the server does not start"

as_server env -u PGSERVICE -u PGHOSTADDR HOME="$WORK" PGOPTIONS= "$SERVER_BIN/psql" -X -q -h "$WORK" -p 5432 -U pneumo \
    -d postgres -v ON_ERROR_STOP=1 -v data="$source_folder" -v images="$IMAGES" -v config="$CONFIG" \
    -f "$WORK/demo.sql"

if [[ -s $WORK/report.html ]]; then
    cp "$WORK/report.html" "$ROOT/demo/report.html"
    say "wrote demo/report.html"
fi
say "done in $((SECONDS - started)) seconds; the server is stopped and its folder removed"

#!/bin/bash
# check-explain.sh
#
# `make check-explain`: trains a network on phantoms in a private server and
# measures whether its maps are about its score (tests/explain/explain.sql).
# Takes some minutes; needs what `make check` installs.
#
#   IMAGES=900 EPOCHS=6 TESTED=200     phantoms to train with, epochs, phantoms
#                                      that the maps are tested on

source "$(dirname "$0")/common.sh"
cd "$ROOT"

IMAGES=${IMAGES:-900}
EPOCHS=${EPOCHS:-6}
TESTED=${TESTED:-200}

PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found"
export PG_CONFIG
choose_server_user

say "building pneumo"
mkdir -p "$ROOT/build/explain"
sync_tree "$ROOT/build/gcc"
make -s -j "$(jobs)" -C "$ROOT/build/gcc" all > "$ROOT/build/explain/build.log" 2>&1 ||
    { tail -n 30 "$ROOT/build/explain/build.log"; die "the build failed"; }
cc -std=c11 -O2 -Wall -Wextra -Werror -Isrc -o "$ROOT/build/explain/occlude" tests/explain/occlude.c \
    src/image/jpeg.c src/image/preprocess.c src/image/resize.c src/image/status.c -ljpeg -lm

WORK=$(mktemp -d "${TMPDIR:-/tmp}/pneumo-explain.XXXXXX")
stop()
{
    local status=$?

    trap - EXIT INT TERM
    if [[ -f $WORK/data/postmaster.pid ]]; then
        as_server "$SERVER_BIN/pg_ctl" -D "$WORK/data" -m fast stop > /dev/null 2>&1 || true
    fi
    rm -rf "$WORK"
    exit "$status"
}
trap stop EXIT INT TERM
[[ -z $SERVER_USER ]] || chown "$SERVER_USER" "$WORK"
copy_server "$PG_CONFIG" "$WORK/server"
make -s -C "$ROOT/build/gcc" PG_CONFIG="$SERVER_CONFIG" install > "$ROOT/build/explain/build.log" 2>&1 ||
    { tail -n 30 "$ROOT/build/explain/build.log"; die "make install failed"; }
cp tests/explain/explain.sql "$ROOT/build/explain/occlude" "$WORK/"

cd "$WORK"
as_server "$SERVER_BIN/initdb" -D "$WORK/data" -U pneumo -A trust -E UTF8 --no-locale -N > "$WORK/initdb.log" 2>&1 ||
    { cat "$WORK/initdb.log"; die "initdb failed"; }
cat >> "$WORK/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$WORK'
fsync = off
jit = off
CONF
as_server "$SERVER_BIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w start > /dev/null ||
    die "the server does not start"
say "training on $IMAGES phantoms, $EPOCHS epochs; testing on $TESTED"
as_server env -u PGSERVICE -u PGHOSTADDR HOME="$WORK" PGOPTIONS= "$SERVER_BIN/psql" -X -q -h "$WORK" -p 5432 -U pneumo \
    -d postgres -v ON_ERROR_STOP=1 -v images="$IMAGES" -v tested="$TESTED" -v epochs="$EPOCHS" -f "$WORK/explain.sql"

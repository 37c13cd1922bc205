# common.sh
#
# What the scripts share: finding the server, a private copy of it, and running
# as a user that a server accepts.  To be sourced; ROOT is set to the sources.

set -euo pipefail
export LC_ALL=C
umask 022
# The makes that the scripts run are on their own: variables of the command
# line come by the environment.
unset MAKEFLAGS MFLAGS MAKELEVEL

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What is made along the way; a folder of its own for each server version that
# is tried (check-versions.sh).
BUILD=${BUILD:-$ROOT/build}

say()
{
    printf '== %s\n' "$*"
}

die()
{
    printf 'pneumo: %s\n' "$*" >&2
    exit 1
}

# The pg_config of a server that extensions can be built for: PG_CONFIG if set,
# else the newest of the distribution's, else the one in the path.  Empty output
# and status 1 if there is none.
find_pg_config()
{
    local candidate

    if [[ -n ${PG_CONFIG:-} ]]; then
        command -v "$PG_CONFIG" && return 0
        return 1
    fi
    for candidate in $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -t/ -k5 -rn) \
        $(command -v pg_config || true); do
        if [[ -x $candidate && -f $("$candidate" --pgxs) && -f $("$candidate" --includedir-server)/postgres.h &&
            -x $("$candidate" --bindir)/postgres ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# Some clang, the newest if there is none without a number; status 1 if there is none.
find_clang()
{
    local name

    for name in clang $(ls /usr/bin/clang-[0-9]* 2> /dev/null | sort -t- -k2 -rn); do
        command -v "$name" && return 0
    done
    return 1
}

# A server refuses to run as root: then it runs as SERVER_USER, through
# as_server; otherwise as whoever calls.
SERVER_USER=
choose_server_user()
{
    local user

    if [[ $(id -u) -ne 0 ]]; then
        return 0
    fi
    for user in postgres nobody; do
        if id "$user" > /dev/null 2>&1; then
            SERVER_USER=$user
            return 0
        fi
    done
    die "running as root, and neither user postgres nor user nobody exists to run a server as"
}

as_server()
{
    if [[ -n $SERVER_USER ]]; then
        runuser -u "$SERVER_USER" -- "$@"
    else
        "$@"
    fi
}

# Sets WORK to an empty folder that the server's user owns: build/NAME, or, if
# that user cannot get there (a checkout below /root), a temporary one.
WORK=
WORK_IS_TEMPORARY=
make_work_folder()
{
    local name=$1

    WORK=$BUILD/$name
    if ! rm -rf "$WORK" 2>/dev/null || ! mkdir -p "$WORK" 2>/dev/null; then
        die "cannot write $BUILD: remove it as the user who made it"
    fi
    if [[ -n $SERVER_USER ]]; then
        chown "$SERVER_USER" "$WORK"
        if ! runuser -u "$SERVER_USER" -- test -w "$WORK"; then
            rmdir "$WORK"
            WORK=$(mktemp -d "${TMPDIR:-/tmp}/pneumo-$name.XXXXXX")
            chown "$SERVER_USER" "$WORK"
            WORK_IS_TEMPORARY=1
        fi
    fi
}

# sync_tree DIR: the sources that a build needs, with what a build made there
# before kept, and without files that are gone from the sources.
sync_tree()
{
    local tree=$1
    local file

    mkdir -p "$tree/client"
    if [[ -d $tree/src ]]; then
        (cd "$tree" && find src client -type f \( -name '*.[ch]' -o -name '*.sql' \)) |
            while read -r file; do
                [[ -e $ROOT/$file ]] || rm -f "$tree/$file"
            done
    fi
    (cd "$ROOT" && find src client doc -type f \
        \( -name '*.[ch]' -o -name '*.sql' -o -name '*.mk' -o -name '*.1' \) -print0 |
        xargs -0 cp -pu --parents -t "$tree")
    cp -pru "$ROOT/scripts" "$tree/"
    cp -pu "$ROOT/Makefile" "$ROOT/objects.mk" "$ROOT/pneumo.control" "$tree/"
}

jobs()
{
    nproc 2> /dev/null || echo 1
}

SERVER_CONFIG=
SERVER_BIN=

# common_prefix PG_CONFIG: the folder that programs, libraries and files of a
# server are below.
common_prefix()
{
    local prefix pkglibdir sharedir

    prefix=$("$1" --bindir)
    pkglibdir=$("$1" --pkglibdir)
    sharedir=$("$1" --sharedir)
    while [[ $pkglibdir/ != "$prefix"/* || $sharedir/ != "$prefix"/* ]]; do
        prefix=$(dirname "$prefix")
    done
    echo "$prefix"
}

# server_of FROM_PG_CONFIG DIR: sets SERVER_BIN and SERVER_CONFIG to what
# copy_server makes, which may run in another shell.
server_of()
{
    local bindir

    bindir=$("$1" --bindir)
    SERVER_BIN=$2${bindir#"$(common_prefix "$1")"}
    SERVER_CONFIG=$SERVER_BIN/pg_config
}

# copy_server FROM_PG_CONFIG DIR: a server finds its files relative to its own
# program, so a copy of its folders, side by side, is an installation of its
# own.  Sets SERVER_CONFIG to the pg_config of the copy and SERVER_BIN.
copy_server()
{
    local from=$1
    local to=$2
    local bindir pkglibdir sharedir prefix folder

    server_of "$from" "$to"
    bindir=$("$from" --bindir)
    pkglibdir=$("$from" --pkglibdir)
    sharedir=$("$from" --sharedir)
    prefix=$(common_prefix "$from")
    for folder in "$bindir" "$pkglibdir" "$sharedir"; do
        mkdir -p "$to/${folder#"$prefix"}"
        cp -a "$folder/." "$to/${folder#"$prefix"}/"
    done
    # A version of pneumo that the machine's own server may have.
    rm -rf "$to${sharedir#"$prefix"}"/extension/pneumo* "$to${pkglibdir#"$prefix"}"/pneumo.so \
        "$to${pkglibdir#"$prefix"}"/bitcode/pneumo*
}

# ------------------------------------------------------- a private server
# Of `make check-explain` and `make check-readme`: built from the checkout, in a
# temporary folder, gone when the script ends; `make demo` uses the parts.

# build_private_server NAME: builds pneumo and installs it into a copy of the
# server in the new temporary folder WORK.
build_private_server()
{
    local name=$1
    local log=$ROOT/build/$1-build.log

    PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found"
    export PG_CONFIG
    choose_server_user
    say "building pneumo"
    mkdir -p "$ROOT/build"
    sync_tree "$ROOT/build/gcc"
    make -s -j "$(jobs)" -C "$ROOT/build/gcc" with_llvm=no all > "$log" 2>&1 ||
        { tail -n 30 "$log"; die "the build failed"; }
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/pneumo-$name.XXXXXX")
    trap remove_private_server EXIT INT TERM
    [[ -z $SERVER_USER ]] || chown "$SERVER_USER" "$WORK"
    copy_server "$PG_CONFIG" "$WORK/server"
    make -s -C "$ROOT/build/gcc" PG_CONFIG="$SERVER_CONFIG" with_llvm=no install > "$log" 2>&1 ||
        { tail -n 30 "$log"; die "make install failed"; }
}

remove_private_server()
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

# Starts it, on a Unix socket in WORK, where the script then is.
start_private_server()
{
    say "starting a private server"
    cd "$WORK"
    as_server "$SERVER_BIN/initdb" -D "$WORK/data" -U postgres -A trust -E UTF8 --no-locale -N \
        > "$WORK/initdb.log" 2>&1 ||
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
}

# private_psql ARGUMENTS...
private_psql()
{
    as_server env -u PGSERVICE -u PGHOSTADDR HOME="$WORK" PGOPTIONS= "$SERVER_BIN/psql" -X -q -h "$WORK" -p 5432 \
        -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"
}

#!/bin/bash
# demo.sh [stop]
#
# `make demo`: installs what is missing, builds, starts a private PostgreSQL in
# a temporary folder, loads X-rays, trains a network on them, predicts, and
# leaves the server to be played with.  `make demo-stop` stops it and removes
# its folder.
#
#   make demo                      600 phantom radiographs, drawn by the extension
#   make demo DATA=folder          X-rays in train|val|test/NORMAL|PNEUMONIA, or in
#                                  class folders only
#   make demo CONFIG='{"epochs": 3}'   keys to change in the training's config
#   make demo IMAGES=2000          number of phantoms
#   make demo KEEP=0               stop the server at the end

source "$(dirname "$0")/common.sh"
cd "$ROOT"

DATA=${DATA:-}
IMAGES=${IMAGES:-600}
CONFIG=${CONFIG:-}
[[ -n $CONFIG ]] || CONFIG='{}'
KEEP=${KEEP:-1}
LOGS=$BUILD/demo
started=$SECONDS
# DATA is also a variable of PGXS.
export -n DATA

# Stops the server that an earlier demo left, if there is one, and removes its folder.
stop_demo()
{
    local folder

    [[ -f $LOGS/server ]] || return 1
    folder=$(< "$LOGS/server")
    if [[ $folder == */pneumo-demo.* && -d $folder ]]; then
        choose_server_user
        if [[ -f $folder/data/postmaster.pid ]]; then
            as_server "$(< "$LOGS/bin")/pg_ctl" -D "$folder/data" -m fast stop > /dev/null 2>&1 || true
        fi
        rm -rf "$folder"
    fi
    rm -f "$LOGS/server" "$LOGS/psql"
}

if [[ ${1:-} == stop ]]; then
    if stop_demo; then
        say "the demo's server is stopped and its folder removed"
    else
        say "no demo is running"
    fi
    exit 0
fi

# step NUMBER TEXT COMMAND...: one line with the seconds that it took; what the
# command prints goes into a log, which is shown if it fails.
step()
{
    local text="[$1/4] $2"
    local log=$LOGS/$1.log
    local t=$SECONDS
    shift 2

    printf '%s ...\n' "$text"
    if ! "$@" > "$log" 2>&1; then
        tail -n 30 "$log"
        die "this step failed; all that it printed is in ${log#"$ROOT"/}"
    fi
    if ((SECONDS - t > 1)); then
        printf '%s    %d s\n' "${text//?/ }" $((SECONDS - t))
    fi
}

build_demo()
{
    sync_tree "$BUILD/gcc"
    make -s -j "$(jobs)" -C "$BUILD/gcc" with_llvm=no all
}

install_demo()
{
    copy_server "$PG_CONFIG" "$WORK/server"
    make -s -C "$BUILD/gcc" PG_CONFIG="$SERVER_CONFIG" with_llvm=no install
}

if [[ -n $DATA ]]; then
    [[ -d $DATA ]] || die "DATA=$DATA is not a folder"
    DATA=$(cd "$DATA" && pwd)
fi
[[ $IMAGES =~ ^[0-9]+$ ]] || die "IMAGES=$IMAGES is not a number"

mkdir -p "$LOGS" || die "cannot write $BUILD"
stop_demo || true
echo "pneumo's demo: about two minutes on two cores, five the first time (packages, build); 600 MB of disk"
step 1 "installing the packages that are missing" "$ROOT/scripts/dependencies.sh"
PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found"
export PG_CONFIG
choose_server_user
step 2 "building pneumo for $("$PG_CONFIG" --version)" build_demo
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pneumo-demo.XXXXXX")
trap remove_private_server EXIT INT TERM
[[ -z $SERVER_USER ]] || chown "$SERVER_USER" "$WORK"
server_of "$PG_CONFIG" "$WORK/server"
step 3 "making a private server in $WORK" install_demo
cp -r demo/*.sql "$WORK/"

source_folder=$DATA
if [[ -n $DATA && -n $SERVER_USER ]] && ! as_server test -r "$DATA" -a -x "$DATA"; then
    say "copying $DATA to where the server can read it"
    cp -r "$DATA" "$WORK/xrays"
    chmod -R a+rX "$WORK/xrays"
    source_folder=$WORK/xrays
fi

start_private_server > "$LOGS/start.log"
echo "[4/4] a first session"
private_psql -v data="$source_folder" -v images="$IMAGES" -v config="$CONFIG" -f "$WORK/demo.sql"

if [[ -s $WORK/report.html ]]; then
    cp "$WORK/report.html" "$ROOT/demo/report.html"
fi
echo
echo "done in $((SECONDS - started)) seconds. The report about the network, for a browser:"
echo
echo "    file://$ROOT/demo/report.html"
if [[ $KEEP == 0 ]]; then
    exit 0
fi

trap - EXIT INT TERM
echo "$WORK" > "$LOGS/server"
echo "$SERVER_BIN" > "$LOGS/bin"
cat > "$LOGS/psql" << WRAPPER
#!/bin/sh
# psql in the demo's server
exec ${SERVER_USER:+runuser -u $SERVER_USER -- }env HOME="$WORK" \\
    "$SERVER_BIN/psql" -X -h "$WORK" -U postgres -d postgres "\$@"
WRAPPER
chmod +x "$LOGS/psql"
cat << NEXT

The server is still there. Go on in it:

    build/demo/psql

    SELECT id, label, pneumo_predict(image, 'demo') FROM xrays ORDER BY 3 DESC LIMIT 5;
    SELECT * FROM pneumo_failures('xrays', 'demo');
    SELECT pneumo_train('xrays', '{"name": "mine", "group_column": "patient", "epochs": 5}');

make demo-stop stops it and removes its folder.
NEXT

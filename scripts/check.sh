#!/bin/bash
# check.sh
#
# `make check`: installs what is missing, builds with gcc and clang, and runs
# every suite on a copy of the server below build/ (or in a temporary folder
# when the server's user cannot reach the checkout).  Nothing else on the
# machine changes, and no port is opened: servers listen on Unix sockets.
#
#   SUITES="unit regress"        only these; all: compile style unit regress
#                                isolation tap
#   TESTS="config rights"        only these of regress, isolation or tap; of
#                                unit if that is the only suite
#   TAP_FOLDER=deep              the server tests of tests/deep (make check-deep)
#                                instead of tests/t; SECONDS_EACH and the like reach them
#   KEEP=1                       keep the work folder
#   EXTRA_CONF="jit = on"        settings for the servers of regress and
#                                isolation, a line each
#   SANITIZE=1                   with the address and undefined-behaviour
#                                sanitizers (make check-sanitize)
#   VALGRIND=1                   every server program under valgrind's memcheck
#                                (make check-valgrind); it knows the server's
#                                memory contexts if the server was built with
#                                USE_VALGRIND

source "$(dirname "$0")/common.sh"
cd "$ROOT"

SUITES=${SUITES:-compile style unit regress isolation tap}
TESTS=${TESTS:-}
SANITIZE=${SANITIZE:-}
VALGRIND=${VALGRIND:-}
SANITIZERS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
passed=0
failed=0
started=$SECONDS

wanted()
{
    [[ " $SUITES " == *" $1 "* ]]
}

# count PASSED FAILED
count()
{
    ((passed += $1, failed += $2)) || true
}

# run_counted NAME COMMAND...: a command whose last line ends in
# "N passed, N failed"; anything else is one failure.
run_counted()
{
    local name=$1
    local log=$BUILD/$1.check.log
    shift

    "$@" 2>&1 | tee "$log" || true
    if [[ $(tail -n 1 "$log") =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    else
        echo "$name: did not finish"
        count 0 1
    fi
}

finish()
{
    local status=$?

    trap - EXIT
    if [[ -n $WORK_IS_TEMPORARY && -z ${KEEP:-} ]]; then
        rm -rf "$WORK"
    fi
    if ((status != 0)); then
        count 0 1
    fi
    echo "pneumo was checked in $((SECONDS - started)) seconds"
    echo "$passed passed, $failed failed"
    ((failed == 0)) || exit 1
    exit "$status"
}

"$ROOT/scripts/dependencies.sh"
PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found"
export PG_CONFIG
choose_server_user
mkdir -p "$BUILD" || die "cannot write $BUILD"
exec 9> "$BUILD/check.lock"
flock -n 9 || { echo "waiting for another check of this checkout"; flock 9; }
trap finish EXIT
trap 'exit 130' INT TERM

if wanted compile; then
    run_counted compile scripts/compile-check.sh
fi
if wanted style; then
    say "style"
    run_counted style scripts/check-style.sh
fi
if wanted unit; then
    say "unit tests"
    unit_tests=
    [[ $SUITES != unit ]] || unit_tests=$TESTS
    make -s -j "$(jobs)" unit-build TESTS="$unit_tests" || count 0 1
    run_counted unit make -s unit TESTS="$unit_tests"
fi

if ! wanted regress && ! wanted isolation && ! wanted tap; then
    exit 0
fi

# ------------------------------------------------- the private installation

say "installing into a copy of $("$PG_CONFIG" --version)"
tree=$BUILD/gcc
options=()
if [[ -n $SANITIZE ]]; then
    tree=$BUILD/sanitize
    options=(with_llvm=no "SANITIZERS=$SANITIZERS")
fi
if ! wanted compile || [[ -n $SANITIZE ]]; then
    sync_tree "$tree"
    make -s -j "$(jobs)" -C "$tree" "${options[@]}" all
fi
make_work_folder check
copy_server "$PG_CONFIG" "$WORK/server"
make -s -C "$tree" PG_CONFIG="$SERVER_CONFIG" "${options[@]}" install > "$BUILD/install.log" 2>&1 ||
    { cat "$BUILD/install.log"; die "make install failed"; }
if [[ -n $VALGRIND ]]; then
    mkdir -p "$WORK/valgrind"
    chmod a+rwx "$WORK/valgrind"
    mv "$SERVER_BIN/postgres" "$SERVER_BIN/postgres.real"
    cat > "$SERVER_BIN/postgres" << WRAPPER
#!/bin/sh
[ "\$1" = -V ] && exec "$SERVER_BIN/postgres.real" -V
exec valgrind -q --trace-children=yes --num-callers=25 --log-file="$WORK/valgrind/%p.log" \\
    "$SERVER_BIN/postgres.real" "\$@"
WRAPPER
    chmod a+rx "$SERVER_BIN/postgres"
fi
mkdir -p "$WORK/sources" "$WORK/home"
cp -r sql expected tests "$WORK/sources/"
if [[ -n $SERVER_USER ]]; then
    chown -R "$SERVER_USER" "$WORK/sources" "$WORK/home"
fi
PGXS_TEST=$(dirname "$("$SERVER_CONFIG" --pgxs)")/../test
# The server's test modules; an installation without them can use another's,
# which start older and newer servers alike.
TEST_PERL=$PGXS_TEST/perl
for folder in $(ls -d /usr/lib/postgresql/*/lib/pgxs/src/test/perl 2> /dev/null | sort -t/ -k5 -rn); do
    [[ -d $TEST_PERL ]] || TEST_PERL=$folder
done
CONFIG=$WORK/sources/tests/regress.conf
if [[ -n ${EXTRA_CONF:-} ]]; then
    printf '%s\n' "$EXTRA_CONF" >> "$CONFIG"
fi

# The environment of whoever runs the servers; nothing of the caller's PG*.
# The server itself is not built with the sanitizers, so their libraries come
# first; leaks are the memory contexts' business.
environment=(HOME="$WORK/home" PATH="$SERVER_BIN:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    LC_ALL=C TMPDIR=/tmp USER="${SERVER_USER:-$(id -un)}")
if [[ -n $SANITIZE ]]; then
    environment+=(LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
        ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:verify_asan_link_order=0
        UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1)
fi
server_env()
{
    as_server env -i "${environment[@]}" "$@" 9>&-
}

# count_regress LOG STATUS: the closing line of pg_regress.
count_regress()
{
    local all bad

    if all=$(grep -oE 'All [0-9]+ tests passed' "$1" | grep -oE '[0-9]+'); then
        count "$all" 0
    elif [[ $(grep -oE '[0-9]+ of [0-9]+ tests failed' "$1") =~ ([0-9]+)\ of\ ([0-9]+) ]]; then
        bad=${BASH_REMATCH[1]}
        count $((BASH_REMATCH[2] - bad)) "$bad"
    else
        count 0 1
    fi
}

# show_failure FOLDER LOG
show_failure()
{
    if [[ -s $1/regression.diffs ]]; then
        cp "$1/regression.diffs" "$BUILD/" 2> /dev/null || true
        head -n 200 "$1/regression.diffs"
    else
        cat "$2"
        tail -n 30 "$1"/log/*.log 2> /dev/null || true
    fi
}

run_regress()
{
    local name=$1
    local program=$2
    local input=$3
    local out=$WORK/$1
    shift 3

    as_server mkdir -p "$out/results"
    (cd "$out" && server_env "$program" --inputdir="$input" --outputdir="$out" --bindir="$SERVER_BIN" \
        --temp-instance="$out/instance" --temp-config="$CONFIG" --no-locale --encoding=UTF8 \
        --dbname="pneumo_$name" "$@") > "$BUILD/$name.log" 2>&1 || true
    grep -E '(\.\.\. (ok|FAILED|failed))|^(not )?ok ' "$BUILD/$name.log" || true
    if ! grep -qE 'All [0-9]+ tests passed' "$BUILD/$name.log"; then
        show_failure "$out" "$BUILD/$name.log"
    fi
    count_regress "$BUILD/$name.log"
}

if wanted regress; then
    list=${TESTS:-$(make -s print-REGRESS)}
    if [[ -n ${list// /} ]]; then
        say "regression tests"
        run_regress regress "$PGXS_TEST/regress/pg_regress" "$WORK/sources" $list
    fi
fi
if wanted isolation; then
    list=${TESTS:-$(make -s print-ISOLATION)}
    if [[ ! -x $PGXS_TEST/isolation/pg_isolation_regress ]]; then
        echo "isolation: not tried, this server comes without pg_isolation_regress"
    elif [[ -n ${list// /} ]]; then
        say "isolation tests"
        run_regress isolation "$PGXS_TEST/isolation/pg_isolation_regress" "$WORK/sources/tests/isolation" \
            --load-extension=pneumo $list
    fi
fi

# -------------------------------------------------------------------- TAP

TAP_FOLDER=${TAP_FOLDER:-t}
TAP_SECONDS=600
[[ $TAP_FOLDER == t ]] || TAP_SECONDS=14400

run_tap()
{
    local name=$1
    local log=$WORK/tap/$name.log
    local status=0
    local t=$SECONDS
    local p f

    as_server mkdir -p "$WORK/tap/$name"
    (cd "$WORK/tap/$name" && server_env TESTDIR="$WORK/tap/$name" TESTDATADIR="$WORK/tap/$name/tmp_check" \
        PG_TEST_PORT_DIR="$WORK/tap/ports" PG_REGRESS="$PGXS_TEST/regress/pg_regress" \
        PNEUMO_SOURCES="$WORK/sources" PG_TEST_TIMEOUT_DEFAULT=120 \
        DAMAGED="${DAMAGED:-100000}" CONFIGS="${CONFIGS:-20000}" SMITH_SECONDS="${SMITH_SECONDS:-7200}" \
        FAULTS="${FAULTS:-104}" timeout "$TAP_SECONDS" perl -I "$TEST_PERL" -I "$WORK/sources/tests/t" \
        "$WORK/sources/tests/$TAP_FOLDER/$name.pl") > "$log" 2>&1 || status=$?
    p=$(grep -c '^ok ' "$log" || true)
    f=$(grep -c '^not ok ' "$log" || true)
    if ((status != 0 && f == 0)); then
        f=1
    fi
    count "$p" "$f"
    [[ $TAP_FOLDER == t ]] || grep -h '^# counted' "$log" || true
    printf '%-32s %d passed, %d failed%s (%d s)\n' "$name" "$p" "$f" \
        "$(grep -q '^1\.\.0 # SKIP\|# skip' "$log" && echo ', some skipped')" $((SECONDS - t))
    if ((f > 0)); then
        grep -A 12 '^not ok' "$log" | head -n 60 || true
        grep -vhE '^(#|ok )' "$WORK/tap/$name"/tmp_check/log/regress_log_* | tail -n 15 || true
        mkdir -p "$BUILD/tap"
        cp -r "$WORK/tap/$name/tmp_check/log" "$BUILD/tap/$name" 2> /dev/null || true
        cp "$log" "$BUILD/tap/" 2> /dev/null || true
    fi
    # Data folders of a test that is done.
    [[ -n ${KEEP:-} ]] || rm -rf "$WORK/tap/$name/tmp_check"/t_*
}

if wanted tap; then
    list=$TESTS
    if [[ -z $list ]]; then
        list=$(cd tests/t && ls *.pl 2> /dev/null | sed 's/\.pl$//' || true)
    fi
    if [[ -n $list ]]; then
        say "server tests"
        mkdir -p "$WORK/tap/ports"
        [[ -z $SERVER_USER ]] || chown -R "$SERVER_USER" "$WORK/tap"
        for test in $list; do
            run_tap "$test"
        done
    fi
fi

# --------------------------------------------------------------- valgrind
# What memcheck says of the server alone is not ours, nor that the server writes
# padding into its log and its cache file (its own valgrind.supp holds the same).

if [[ -n $VALGRIND ]]; then
    cat "$WORK"/valgrind/*.log > "$BUILD/valgrind.log" 2> /dev/null || true
    found=$(awk 'BEGIN { RS = "==[0-9]+== *\n" }
        /pneumo/ && !/XLogWrite|write_relcache_init_file/ { n++; print > "/dev/stderr" }
        END { print n + 0 }' "$BUILD/valgrind.log")
    echo "valgrind: $(ls "$WORK"/valgrind | wc -l) processes, $found errors that name pneumo"
    count $((found == 0)) "$found"
fi

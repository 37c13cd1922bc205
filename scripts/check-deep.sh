#!/bin/bash
# check-deep.sh [PART...]
#
# `make check-deep`: what a nightly job runs, about two hours.  Parts:
#
#   settings   every regression file under settings that change how queries run:
#              rows scored one by one, forced parallel plans, compiled
#              expressions, generic plans, little memory, other extensions
#              watching; the expected output is the same
#   sanitize   unit, regression and isolation tests with the address and
#              undefined-behaviour sanitizers
#   valgrind   regression tests under memcheck
#   fuzz       the targets of tests/fuzz, SECONDS_EACH (600) seconds each
#   images     damaged images, DAMAGED (100000) of them, through every function
#   configs    configs and networks of random JSON, CONFIGS (20000) of them
#   smith      random queries by sqlsmith, SMITH_SECONDS (7200) seconds
#   faults     processes killed, servers stopped, tables dropped at random moments,
#              FAULTS (104) times
#
# Without PART all of them, in this order.  The last lines are a count a part.

source "$(dirname "$0")/common.sh"
cd "$ROOT"

parts=("$@")
((${#parts[@]} > 0)) || parts=(settings sanitize valgrind fuzz images configs smith faults)
results=()
bad=0

# report PART STATUS TEXT
report()
{
    results+=("$1: $3")
    if [[ $2 != 0 ]]; then
        ((++bad))
    fi
    echo "${results[-1]}"
}

# run_part NAME COMMAND...: the command's last line is its result.
run_part()
{
    local name=$1
    local log=$BUILD/deep/$1.log
    local status=0
    shift

    say "$name"
    "$@" > "$log" 2>&1 || status=$?
    if ((status != 0)); then
        tail -n 40 "$log"
    fi
    report "$name" "$status" "$(tail -n 1 "$log")$(sed -n 's/^# counted:/;/p' "$log")"
}

# A setting a line; each is a run of its own.  The files whose output shows the
# query plan itself, or which session has a version mapped, are left out where
# the setting changes that.
run_settings()
{
    local pg_config version parallel free watching name text without tests

    pg_config=$(find_pg_config)
    version=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
    parallel=force_parallel_mode
    ((version < 16)) || parallel=debug_parallel_query
    free="parallel_setup_cost = 0; parallel_tuple_cost = 0; min_parallel_table_scan_size = 0"
    watching="shared_preload_libraries = 'pg_stat_statements,auto_explain,pneumo'"
    watching+="; auto_explain.log_min_duration = 0; auto_explain.log_analyze = on"
    watching+="; auto_explain.log_nested_statements = on"
    watching+="; pg_stat_statements.track = all; compute_query_id = on"
    while IFS='|' read -r name without text; do
        tests=$(make -s print-REGRESS)
        for file in $without; do
            tests=$(tr ' ' '\n' <<< "$tests" | grep -vx "$file" | tr '\n' ' ')
        done
        run_part "settings: $name" env "EXTRA_CONF=${text//; /$'\n'}" SUITES=regress "TESTS=$tests" scripts/check.sh
    done << LIST
one by one|groups predict|pneumo.score_groups = off
parallel|groups predict cache precision|$parallel = regress; $free
compiled||jit = on; jit_above_cost = 0; jit_inline_above_cost = 0; jit_optimize_above_cost = 0
generic plans||plan_cache_mode = force_generic_plan
little memory||work_mem = 64kB; maintenance_work_mem = 1MB; temp_buffers = 800kB
watched|groups|$watching
LIST
}

mkdir -p "$BUILD/deep"
for part in "${parts[@]}"; do
    case $part in
        settings) run_settings ;;
        sanitize) run_part sanitize env SANITIZE=1 SUITES="unit regress isolation" scripts/check.sh ;;
        valgrind) run_part valgrind env VALGRIND=1 SUITES=regress scripts/check.sh ;;
        fuzz) run_part fuzz scripts/fuzz.sh ;;
        images | configs | smith | faults)
            run_part "$part" env TAP_FOLDER=deep SUITES=tap TESTS="$part" scripts/check.sh
            ;;
        *) die "there is no part $part" ;;
    esac
done

say "all parts"
printf '%s\n' "${results[@]}"
echo "check-deep: $((${#results[@]} - bad)) passed, $bad failed"
((bad == 0))

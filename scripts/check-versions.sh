#!/bin/bash
# check-versions.sh
#
# `make check-versions PG_CONFIGS="/a/bin/pg_config /b/bin/pg_config"`: builds
# with gcc and clang against each of these servers, warnings being errors, and
# runs the regression, isolation and server tests on a copy of each, against
# the same expected files.  Without PG_CONFIGS: all of the distribution's.  A
# server without PostgreSQL's Perl modules is tested with another's.
#
#   SUITES="compile regress"     only these of check.sh; all by default but unit
#                                and style, which are the same for all servers
#   TESTS="config rights"        as for check.sh

source "$(dirname "$0")/common.sh"

SUITES=${SUITES:-compile regress isolation tap}
PG_CONFIGS=${PG_CONFIGS:-$(ls -d /usr/lib/postgresql/*/bin/pg_config 2> /dev/null || true)}
results=()
bad=0
seed=

[[ -n ${PG_CONFIGS// /} ]] || die "no server: set PG_CONFIGS to the pg_config programs of those to check"
for config in $PG_CONFIGS; do
    command -v "$config" > /dev/null || die "$config: no such program"
    [[ -f $("$config" --pgxs) && -d $("$config" --includedir-server) ]] ||
        die "$config: this server comes without the files for building extensions"
done

for config in $PG_CONFIGS; do
    version=$("$config" --version | sed -E 's/^PostgreSQL ([^ ]+).*/\1/')
    folder=$BUILD/versions/$version
    mkdir -p "$folder"
    # What knows no server is compiled once.
    for compiler in gcc clang; do
        if [[ -n $seed && ! -d $folder/$compiler && -d $seed/$compiler ]]; then
            cp -a "$seed/$compiler" "$folder/"
            find "$folder/$compiler/src/pg" -name "*.[od]" -delete -o -name "*.bc" -delete
            rm -f "$folder/$compiler/pneumo.so"
        fi
    done
    seed=${seed:-$folder}

    say "PostgreSQL $version"
    if ! BUILD=$folder PG_CONFIG=$config SUITES=$SUITES "$ROOT/scripts/check.sh" > "$folder/check.log" 2>&1; then
        ((++bad))
        cat "$folder/check.log"
    fi
    results+=("PostgreSQL $version: $(tail -n 1 "$folder/check.log")")
    echo "${results[-1]}"
done

say "all"
printf '%s\n' "${results[@]}"
((bad == 0))

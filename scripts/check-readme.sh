#!/bin/bash
# check-readme.sh [PAGE...]
#
# `make check-readme`: runs the examples of README.md and of the pages in docs/
# and looks whether they print what the pages show (see page-examples.pl).  The
# README has a database of its own, in which nothing is made before it; the
# pages of docs/ share another one and follow each other in the order below.
# With PAGE only these pages run, and what they need from earlier ones must be
# among them.  Takes a few minutes.  The bash blocks of docs/ run after their page,
# except those of docs/recipes.md, which need files: scripts/check-bare.sh has them.
#
#   INSTALLED=1   not a private server but the one that psql reaches, with the
#                 extension installed: README in the user's database, the pages
#                 in a new one, docs (scripts/check-bare.sh)

source "$(dirname "$0")/common.sh"
cd "$ROOT"

# A page may use the tables and models of the pages above it.
pages=(README.md docs/exploring.md docs/loading.md docs/images.md docs/training.md docs/metrics.md docs/findings.md docs/explaining.md
    docs/prediction.md docs/interchange.md docs/recipes.md docs/administration.md docs/keras.md docs/troubleshooting.md
    docs/performance.md docs/glossary.md)
for page in docs/*.md; do
    [[ " docs/architecture.md docs/index.md ${pages[*]} " == *" $page "* ]] || die "$page is not in the list of pages"
done
(($# == 0)) || pages=("$@")

readme=readme
if [[ -n ${INSTALLED:-} ]]; then
    WORK=$(mktemp -d)
    readme=$USER
    private_psql() { PGOPTIONS='' psql -X -q -v ON_ERROR_STOP=1 -d "$USER" "$@"; }
    cp tests/readme/settings.sql "$WORK/"
    cd "$WORK"
    private_psql -c "CREATE DATABASE docs"
else
    build_private_server readme
    cp tests/readme/settings.sql "$WORK/"
    start_private_server
    private_psql -c "CREATE DATABASE readme" -c "CREATE DATABASE docs"
fi
private_psql -d docs -c "CREATE EXTENSION pneumo"
mkdir -p "$ROOT/build/readme"

# Runs the bash blocks of a page in a folder of their own, where psql means the private server.
run_shell()
{
    local page=$1
    local script=$WORK/$2.sh

    {
        "$ROOT/scripts/page-examples.pl" shell "$ROOT/$page" "" before
        "$ROOT/scripts/page-examples.pl" shell "$ROOT/$page" "" after
    } > "$script"
    [[ -s $script ]] || return 0
    as_server env -u PGSERVICE -u PGHOSTADDR PATH="$SERVER_BIN:$PATH" PGHOST="$WORK" PGPORT=5432 PGUSER=postgres \
        PGDATABASE=docs PGOPTIONS= bash -c 'cd "$1" && timeout 300 bash -euo pipefail "$2"' bash "$WORK" "$script" ||
        {
            echo "$page: a bash block failed"
            return 1
        }
}

failed=0
settled=
for page in "${pages[@]}"; do
    name=$(basename "$page" .md)
    database=docs
    if [[ $page == README.md ]]; then
        # It shows nothing that the kernels could change.
        database=$readme
    elif [[ -z $settled ]]; then
        private_psql -f "$WORK/settings.sql" > /dev/null
        settled=1
    fi
    made=$ROOT/build/readme/$name
    (cd "$ROOT" && scripts/page-examples.pl extract "$page" "$made.sql")
    cp "$made.sql" "$WORK/"
    private_psql -d "$database" -v ON_ERROR_STOP=0 -v VERBOSITY=terse -P null= -f "$WORK/$name.sql" \
        > "$made.out" 2> "$made.err" || true
    (cd "$ROOT" && scripts/page-examples.pl compare "$page" "$made.sql" "$made.out" "$made.err") || failed=1
    [[ -n ${INSTALLED:-} || $page == README.md || $page == docs/recipes.md ]] || run_shell "$page" "$name" || failed=1
done
exit "$failed"

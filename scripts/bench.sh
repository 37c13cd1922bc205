#!/bin/bash
# bench.sh BENCH_NN [ARGUMENT...]
#
# `make bench`: measures BENCH_NN and a private server with pneumo against the
# peers (tests/bench/run.py, which gets the arguments) and leaves the figures in
# tests/bench/results.
#
#   PNEUMO_DATA=folder   real X-rays for the rows that start at the table: its
#                        folders xrays (small) and originals (full size), each
#                        with NORMAL and PNEUMONIA; without it phantoms
#   VENV=folder          a virtual environment with the peers; else one is made
#                        below build/
#   SERVER=              no server: without the rows that need one
#   BENCH="--only train" arguments instead of those for everything

source "$(dirname "$0")/common.sh"
cd "$ROOT"

program=$PWD/$1
shift
SERVER=${SERVER-1}
PNEUMO_DATA=${PNEUMO_DATA:-}
venv=${VENV:-$ROOT/build/bench-venv}
if [[ ! -x $venv/bin/python3 ]]; then
    say "making a virtual environment with the peers in $venv"
    python3 -m venv "$venv" || die "python3 cannot make virtual environments: install python3-venv, or give VENV"
    "$venv/bin/pip" install --quiet -r tests/bench/requirements.txt
fi
python=$venv/bin/python3

if [[ -z $SERVER ]]; then
    exec "$python" tests/bench/run.py --bench-nn "$program" "$@"
fi

# Two tables in a fixed mix of the classes, of about 1000 rows: small X-rays, and
# full-size ones, each several times; parts of the first; and models of each preset and precision,
# trained as they are: how many activations are zero decides how many weights a score reads.
build_private_server bench
start_private_server
dsn="host=$WORK port=5432 user=pneumo dbname=postgres"
say "loading X-rays"
private_psql -c 'CREATE EXTENSION pneumo'
if [[ -n $PNEUMO_DATA ]]; then
    for table in xrays originals; do
        "$python" "$ROOT/tests/bench/xrays.py" --dsn "$dsn" --images "$PNEUMO_DATA/$table" --table "$table" \
            --sample 1000 load
    done
else
    for words in "xrays 500 224" "originals 60 1600"; do
        read -r table count size <<< "$words"
        private_psql -c "CREATE TABLE $table (id integer PRIMARY KEY, label text, image bytea)" \
            -c "ALTER TABLE $table ALTER image SET STORAGE EXTERNAL" \
            -c "INSERT INTO $table SELECT i, label, pneumo_phantom(i, label, $size)
                FROM generate_series(1, $count) i,
                    LATERAL (SELECT CASE i % 4 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) x (label)" \
            -c "SELECT pneumo_prepare_table('$table')" > /dev/null
    done
fi
for images in 100 200 400; do
    private_psql -c "CREATE TABLE xrays_$images (LIKE xrays INCLUDING ALL)" \
        -c "INSERT INTO xrays_$images SELECT * FROM xrays ORDER BY hashint4(id) LIMIT $images" \
        -c "SELECT pneumo_prepare_table('xrays_$images')" > /dev/null
done
private_psql -c "SELECT pneumo_train('xrays', jsonb_build_object('name', preset || suffix, 'model', preset,
        'precision', precision))
    FROM unnest(ARRAY['baseline', 'deep']) preset,
        (VALUES ('', 'float32'), ('_int16', 'int16')) x (suffix, precision)" > "$WORK/train.log" 2>&1 ||
    { cat "$WORK/train.log"; exit 1; }
"$python" "$ROOT/tests/bench/run.py" --bench-nn "$program" --dsn "$dsn" --out "$ROOT/tests/bench/results" "$@"

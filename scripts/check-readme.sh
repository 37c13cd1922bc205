#!/bin/bash
# check-readme.sh
#
# `make check-readme`: runs the README's examples (tests/readme/examples.sql) in
# a private server and looks whether every table that the README shows, from
# "Exploring the images" to "The report", is what they print.  A line of the
# README that ends in an ellipsis is compared up to it.  Takes a minute or two.

source "$(dirname "$0")/common.sh"
cd "$ROOT"

build_private_server readme
cp tests/readme/examples.sql "$WORK/"
start_private_server
say "running the examples"
private_psql -f "$WORK/examples.sql" > "$WORK/examples.out"
mkdir -p "$ROOT/build/readme"
cp "$WORK/examples.out" "$ROOT/build/readme/"

# Lines of a table: indented, columns parted by bars or a rule of dashes.
awk -v printed="$WORK/examples.out" '
function trim(s) { sub(/^ +/, "", s); sub(/ +$/, "", s); gsub(/ +/, " ", s); return s }
BEGIN {
    while ((getline line < printed) > 0)
        have[++n] = trim(line)
}
/^## / { inside = /Exploring the images|Figures with intervals|Calibration and operating|Comparing two|More than two|Explaining a score|Investigating failures/ }
# what make check-explain prints
/^    == / { other = 1 }
/^[^ ]/ { other = 0 }
inside && !other && /^    / && / \| / {
    want = trim($0)
    part = want
    cut = sub(/ *….*$/, "", part)
    found = 0
    for (i = 1; i <= n && !found; i++)
        found = cut ? substr(have[i], 1, length(part)) == part : have[i] == want
    lines++
    if (!found) {
        missing++
        print "README.md:" FNR ": not printed by the examples: " want
    }
}
END {
    printf "%d lines of the README, %d not printed\n", lines, missing
    exit missing > 0 || lines < 30
}' "$ROOT/README.md"

#!/bin/bash
# run-unit.sh PROGRAM...
#
# Runs the unit tests.  Each program's last line is "N passed, N failed" and
# its exit status agrees; one that dies before its last line counts as a
# failure.  Prints what failed, one line per program and the sum.

set -uo pipefail

passed=0
failed=0
for program in "$@"; do
    log=$program.log
    status=0
    "$program" > "$log" 2>&1 || status=$?
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        p=${BASH_REMATCH[1]}
        f=${BASH_REMATCH[2]}
        if ((status != 0 && f == 0)); then
            f=1
        fi
    else
        p=$(grep -c '^ok ' "$log" || true)
        f=$(($(grep -c '^not ok ' "$log" || true) + 1))
    fi
    ((passed += p, failed += f))
    printf '%-28s %d passed, %d failed\n' "$(basename "$program")" "$p" "$f"
    if ((f > 0)); then
        grep -A 3 '^not ok ' "$log" | head -n 60
        [[ $status -gt 1 || ! $last =~ passed ]] && { echo "exit status $status; the last lines:"; tail -n 15 "$log"; }
    fi
done
echo "unit: $passed passed, $failed failed"
((failed == 0 && passed > 0))

#!/bin/bash
# compile-check.sh
#
# Builds everything with gcc, and the bitcode with clang, and reads everything
# with clang, warnings as errors, in trees of their own below build/ (build/gcc
# is what `make check` installs).  clang comes with the server's headers on
# Debian; without it only gcc is tried.

source "$(dirname "$0")/common.sh"

PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server headers found (make dependencies installs it)"
export PG_CONFIG
passed=0
failed=0

build()
{
    local name=$1
    shift

    sync_tree "$BUILD/$name"
    say "building with $name"
    if make -s -j "$(jobs)" -C "$BUILD/$name" "$@" all > "$BUILD/$name.log" 2>&1; then
        ((passed += 1))
    else
        ((failed += 1))
        grep -vE '^In file' "$BUILD/$name.log" | head -n 60 || true
    fi
}

if command -v gcc > /dev/null; then
    build gcc CC=gcc COPT=-Werror
fi
if clang=$(find_clang); then
    # Only the warnings: clang's code is made by the bitcode of the build
    # above.  The server's flags are gcc's, and clang does not know them all.
    of_gcc="-Wno-unknown-warning-option -Wno-ignored-optimization-argument"
    of_gcc+=" -Wno-ignored-attributes -Wno-unused-command-line-argument"
    sync_tree "$BUILD/clang"
    say "checking with clang"
    if make -s -j "$(jobs)" -C "$BUILD/clang" CC="$clang" with_llvm=no \
        COPT="-fsyntax-only -Werror $of_gcc" \
        objects-only > "$BUILD/clang.log" 2>&1; then
        ((passed += 1))
    else
        ((failed += 1))
        grep -vE '^In file' "$BUILD/clang.log" | head -n 60 || true
    fi
else
    echo "no clang: not tried"
fi
echo "compile: $passed passed, $failed failed"
((failed == 0))

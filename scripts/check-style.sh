#!/bin/bash
# check-style.sh [LIBRARY]
#
# The rules of the sources that a compiler does not enforce.  LIBRARY is the
# built pneumo.so, build/gcc/pneumo.so if there is one; without it the checks of
# the symbols are left out.

source "$(dirname "$0")/common.sh"
cd "$ROOT"
# A check is a pipe into report; an empty one is not an error.
set +e +o pipefail
shopt -s lastpipe

library=${1:-build/gcc/pneumo.so}
passed=0
failed=0

# report NAME: fails if there is anything on standard input, and shows it.
report()
{
    local found

    found=$(cat)
    if [[ -z $found ]]; then
        ((passed += 1))
    else
        ((failed += 1))
        echo "not ok - $1"
        echo "$found" | head -n 20 | sed 's/^/    /'
    fi
}

plain_folders=$(for folder in hash random nn image stats report exchange tree; do
    [[ -d src/$folder ]] && echo "src/$folder"
done)
c_files=$(find src client tests -name '*.[ch]' -not -path '*/golden/*' -not -name '*_golden.h' \
    -not -name '*.pb-c.[ch]' | sort)
text_files=$(find . \( -path ./.git -o -path ./build -o -path ./tests/golden \) -prune -o -type f \
    \( -name '*.[ch]' -o -name '*.sql' -o -name '*.sh' -o -name '*.mk' -o -name '*.pl' -o -name '*.pm' -o -name '*.py' \
    -o -name '*.md' -o -name '*.spec' -o -name '*.conf' -o -name '*.out' -o -name Makefile -o -name run \
    -o -name '*.control' \) ! -name 'pneumo--0.1.0.sql' -print | sort)

# ---------------------------------------------------------------- layers

# Headers of C11 and of what POSIX adds that the core may use.
allowed='assert|complex|ctype|errno|fenv|float|inttypes|limits|math|pthread|setjmp|signal|stdalign|stdarg|stdatomic'
allowed+='|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|time'
of_files='dirent|fcntl|sys/stat|unistd'  # src/tree lists folders
allowed+='|cpuid|dlfcn|emmintrin|immintrin|charls/charls|jerror|jpeglib|openjpeg|png|xmmintrin|zlib'
allowed+='|protobuf-c/protobuf-c'
for folder in $plain_folders; do
    name=${folder#src/}
    # src/random and src/hash stand below the other folders, and their headers are independent of each other.
    own="($name/)?[a-z0-9_]+(/[a-z0-9_]+)?\.h|\.\./(\.\./)?(kernels/)?[a-z0-9_]+\.h|(random|hash)/[a-z0-9_]+\.h"
    [[ $name == random || $name == hash ]] && own='none'
    [[ $name == exchange ]] && own+='|nn/nn\.h|onnx\.pb-c\.h'
    headers=$allowed
    [[ $name == tree ]] && headers+="|$of_files"
    grep -nE '^[[:space:]]*#[[:space:]]*include' -r "$folder" --include='*.[ch]' |
        grep -vE "include[[:space:]]*<($headers)\.h>" |
        grep -vE "include[[:space:]]*\"($own)\"" |
        report "$folder includes only C11, src/random, src/hash and its own headers"
    grep -nE "include[[:space:]]*\"(nn|image|stats|report|exchange|tree|pg)/" -r "$folder" --include='*.[ch]' |
        grep -vE "include[[:space:]]*\"$name/" | grep -vE '^src/exchange/.*"nn/nn\.h"' |
        report "$folder includes no other folder"
done

for header in jpeglib png zlib openjpeg charls/charls; do
    for folder in $plain_folders; do
        grep -lE "<$header\.h>" -r "$folder" --include='*.[ch]' | tail -n +2 | sed "s|^|$header.h: |"
    done
done | report "the header of a library of a format is included in one file of a folder"

for file in $(find src/pg -name '*.c'); do
    [[ $(grep -m 1 -oE '^#include.*' "$file") == '#include "postgres.h"' ]] || echo "$file"
done | report "postgres.h comes first in each file of src/pg"
grep -nE 'include "postgres(_fe)?\.h"' -r src --include='*.h' |
    report "no header includes postgres.h"
grep -nE 'include "(nn|image|stats|report|exchange|tree)/' -r src/pg --include='*.[ch]' |
    grep -vE '"(nn/nn|image/image|stats/stats|report/report|tree/tree|exchange/(hdf5|onnx|zipfile))\.h"' |
    report "src/pg uses the other folders through their public headers"
# The rooms of src/pg: one uses only those before it in the list of objects.mk, and
# sees of another the headers that are not internal.
rooms=$(make -s print-ROOMS)
before=
for room in $rooms; do
    [[ -d src/pg/$room ]] || echo "src/pg/$room: there is no such folder"
    before=${before:+$before|}$room
    grep -nE '#include "pg/' -r "src/pg/$room" --include='*.[ch]' |
        grep -vE "#include \"pg/(pneumo\.h|($before)/[a-z0-9_]+\.h)\""
    grep -nE '#include "pg/[a-z]+/[a-z0-9_]+_internal\.h"' -r "src/pg/$room" --include='*.[ch]' |
        grep -v "#include \"pg/$room/"
done | report "a room of src/pg uses only rooms before it"
for folder in src/pg/*/; do
    grep -qw "$(basename "$folder")" <<< "$rooms" || echo "$folder"
done | report "each folder of src/pg is in the list of rooms"
grep -nE 'include "pg/' src/pg/pneumo.h | grep -v '"pg/base/' | report "src/pg/pneumo.h includes no room but base"
grep -nE '\b(PG_VERSION_NUM|CATALOG_VERSION_NO)\b' -r src/pg --include='*.[ch]' | grep -v '^src/pg/base/compat\.h' |
    report "PG_VERSION_NUM only in compat.h"

# ------------------------------------------------------- plain C, no side effects

code_of()
{
    # The text of a file without comments and strings, lines kept.
    perl -0pe 's{(/\*.*?\*/)|("(?:[^"\\]|\\.)*")|(//[^\n]*)}{my $x = $&; $x =~ s/[^\n]//g; $x}gse' "$1"
}

# calls FILE FUNCTIONS: the lines of FILE that call one of FUNCTIONS, which are parted by bars.
calls()
{
    code_of "$1" | grep -nE "\\b($2)[[:space:]]*\\(" | sed "s|^|$1:|"
}

effects='printf|fprintf|puts|putchar|perror|exit|_exit|abort|assert|rand|srand|random|time|getenv|setenv'
for folder in $plain_folders; do
    for file in $(find "$folder" -name '*.[ch]' -not -name '*.pb-c.[ch]'); do
        calls "$file" "$effects"
    done
done | report "the plain-C folders do not print, exit, abort or ask the environment"
for file in $(find src/nn -name '*.[ch]'); do
    calls "$file" 'malloc|calloc|realloc|free|aligned_alloc|posix_memalign|alloca'
done | report "src/nn gets its memory from the caller"
for file in $(find src -name '*.c'); do
    code_of "$file" | grep -nE '^	+static [^(]*(=|;)' | grep -vE 'static const|static _Atomic' | sed "s|^|$file:|"
done | grep -v '^src/pg/' | report "no static variables inside functions of the plain-C folders"

# ----------------------------------------------------------------- build

lists=$(make -s print-OBJS print-OBJS_WITHOUT_DICOM)
for file in $(find src -name '*.c' | sort); do
    n=$(printf '%s\n' $lists | grep -cx "${file%.c}.o" || true)
    [[ $n -eq 1 ]] || echo "$file: $n times in the lists of the Makefile"
done | report "each source is once in the Makefile's lists"
for object in $lists; do
    [[ -f ${object%.o}.c ]] || echo "${object%.o}.c"
done | report "each object of the lists has a source"
for test in $(make -s print-REGRESS); do
    [[ -f sql/$test.sql && -f expected/$test.out ]] || echo "$test"
done | report "each regression test has its input and its output"
for file in $(find sql -maxdepth 1 -name '*.sql' ! -name 'pneumo--*'); do
    test=$(basename "$file" .sql)
    make -s print-REGRESS | tr ' ' '\n' | grep -qx "$test" || echo "$file"
done | report "each regression test is in the Makefile's list"
for file in $(find tests/isolation/specs -name '*.spec' 2> /dev/null); do
    test=$(basename "$file" .spec)
    make -s print-ISOLATION | tr ' ' '\n' | grep -qx "$test" || echo "$file"
done | report "each isolation test is in the Makefile's list"

version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" pneumo.control)
sed -n 's/^#define PNEUMO_VERSION "\(.*\)".*/\1/p' src/pg/pneumo.h | grep -vx "$version" |
    report "pneumo.h and pneumo.control agree on the version"
grep -nE -e '-O(fast)|-ffast-math|-lopenblas|-lblas' Makefile scripts/goals.mk |
    report "no -Ofast, no -ffast-math, no link to a BLAS"

if [[ -f $library ]]; then
    nm -D --defined-only "$library" | awk '{print $3}' |
        grep -vE '^(nn_|img_|stats_|report_|tree_|hdf5_|onnx_|zipfile_|exchange_|pneumo_|pg_finfo_pneumo_)' |
        grep -vE '^(_PG_init|Pg_magic_func|_init|_fini)$' |
        report "exported symbols have the project's prefixes"
    nm -D --defined-only "$library" | awk '$2 == "u" || $2 == "B" || $2 == "D" {print $3}' |
        grep -vE '^(nn_|img_|stats_|report_|tree_|hdf5_|onnx_|zipfile_|exchange_|pneumo_)' |
        report "exported variables have the project's prefixes"
    readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -iE 'blas|gomp|crtfastmath' |
        report "the library needs no BLAS and no OpenMP"
fi

# ------------------------------------------------------------------ text

grep -nE '(^|[^A-Za-z0-9_.-])/(work|home|root|Users)/[A-Za-z0-9_]' $text_files | grep -v '^./scripts/check-style.sh' |
    report "no paths of one machine"
grep -nE '\b(TODO|FIXME|XXX|HACK)\b' $text_files | grep -v '^./scripts/check-style.sh' |
    report "nothing left to do in comments"
grep -nE '[[:blank:]]+$' $c_files Makefile scripts/* src/sql/*.sql 2> /dev/null |
    report "no blanks at the end of lines"
for file in $c_files; do
    n=$(wc -l < "$file")
    ((n <= 920)) || echo "$file: $n lines"
done | report "no file above 920 lines"
for file in $(find src client -name '*.[ch]' -not -name '*.pb-c.[ch]'); do
    expand -t 4 "$file" | awk -v f="$file" 'length($0) > 120 && !/"/ {print f ":" NR ": " length($0) " columns"}'
done | report "no line of C above 120 columns but for messages"
for file in src/sql/*.sql scripts/* .ci/run tests/isolation/specs/*.spec Makefile objects.mk; do
    expand -t 4 "$file" | awk -v f="$file" 'length($0) > 120 {print f ":" NR ": " length($0) " columns"}'
done | report "no line of SQL, scripts and specs above 120 columns"
# The formatter's version decides, so no other one is asked.
if command -v clang-format-19 > /dev/null; then
    clang-format-19 --dry-run $c_files 2>&1 | grep -E 'warning:' |
        report "the C files are as make format leaves them"
fi
scripts/check-links.pl *.md docs/*.md $(find src -name README.md) 2>&1 |
    report "each relative link and its heading exist"
for page in docs/*.md; do
    name=${page#docs/}
    [[ $name == index.md ]] || grep -qF "($page)" README.md || echo "$page is not in the README's table"
    [[ $name == index.md ]] || grep -qF "($name)" docs/index.md || echo "$page is not in docs/index.md"
    grep -qF ": $name" mkdocs.yml || echo "$page is not in mkdocs.yml"
done | report "each page is in the lists of pages"
awk 'END {if (NR > 250) print "README.md: " NR " lines"}' README.md |
    report "the README has at most 250 lines"
for script in scripts/*.sh .ci/run; do
    [[ -x $script || $script == scripts/common.sh ]] || echo "$script is not executable"
    bash -n "$script" 2>&1
done | report "the scripts can be run"

echo "style: $passed passed, $failed failed"
((failed == 0))

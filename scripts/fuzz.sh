#!/bin/bash
# fuzz.sh [TARGET...]
#
# `make fuzz`: builds tests/fuzz/fuzz_*.c with libFuzzer and the address and
# undefined-behaviour sanitizers, and runs each target for SECONDS_EACH (600)
# seconds, from the seeds that make_seeds.c writes and what earlier runs found
# (build/fuzz/TARGET/corpus).  Prints a line a target; what a target fails on is
# kept in build/fuzz/TARGET.  Needs clang and its runtime (Debian:
# libclang-rt-14-dev).

source "$(dirname "$0")/common.sh"
cd "$ROOT"

SECONDS_EACH=${SECONDS_EACH:-600}
folder=$BUILD/fuzz
passed=0
failed=0

clang=$(find_clang) || die "no clang found"
mkdir -p "$folder"

# The kernels alone take minutes with the sanitizers; make knows what is new.
make -s -j "$(jobs)" fuzz-build CC_FUZZ="$clang" || die "the fuzz targets do not build"

targets=("$@")
if ((${#targets[@]} == 0)); then
    for source in tests/fuzz/fuzz_*.c; do
        targets+=("$(basename "$source" .c)")
    done
fi
mkdir -p "$folder"/seeds/fuzz_{jpeg,png,dicom,model,graph,keras,onnx}
cp tests/onnx/*.onnx "$folder/seeds/fuzz_onnx/"
"$folder/make_seeds" "$folder/seeds"
for file in tests/keras/files/*.gz; do
    [[ $file == *.json.gz ]] || gunzip -c "$file" > "$folder/seeds/fuzz_keras/$(basename "$file" .gz)"
done
for target in "${targets[@]}"; do
    mkdir -p "$folder/$target/corpus"
    seeds=("$folder/seeds/$target")
    log=$folder/$target/log
    if "$folder/$target.run" "$folder/$target/corpus" "${seeds[@]}" -max_total_time="$SECONDS_EACH" \
        -artifact_prefix="$folder/$target/" -timeout=20 -rss_limit_mb=2048 -max_len=65536 > "$log" 2>&1; then
        ((++passed))
    else
        ((++failed))
        grep -E 'ERROR|SUMMARY|Test unit' "$log" | head -n 5
    fi
    echo "$target: $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$log" | tail -n 1)s," \
        "$(find "$folder/$target/corpus" -type f | wc -l) inputs kept"
done
echo "fuzz: $passed passed, $failed failed"
((failed == 0))

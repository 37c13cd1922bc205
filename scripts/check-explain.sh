#!/bin/bash
# check-explain.sh
#
# `make check-explain`: trains a network on phantoms in a private server and
# measures whether its maps are about its score (tests/explain/explain.sql).
# Takes some minutes; needs what `make check` installs.
#
#   IMAGES=900 EPOCHS=6 TESTED=200     phantoms to train with, epochs, phantoms
#                                      that the maps are tested on

source "$(dirname "$0")/common.sh"
cd "$ROOT"

IMAGES=${IMAGES:-900}
EPOCHS=${EPOCHS:-6}
TESTED=${TESTED:-200}

build_private_server explain
mkdir -p "$ROOT/build/explain"
cc -std=c11 -O2 -Wall -Wextra -Werror -Isrc -o "$ROOT/build/explain/occlude" tests/explain/occlude.c \
    src/image/jpeg.c src/image/preprocess.c src/image/resize.c src/image/status.c -ljpeg -lm
cp tests/explain/explain.sql "$ROOT/build/explain/occlude" "$WORK/"

start_private_server
say "training on $IMAGES phantoms, $EPOCHS epochs; testing on $TESTED"
private_psql -v images="$IMAGES" -v tested="$TESTED" -v epochs="$EPOCHS" -f "$WORK/explain.sql"

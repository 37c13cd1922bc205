#!/bin/bash
# check-explain.sh
#
# `make check-explain`: trains a network on phantoms in a private server and
# measures whether its maps are about its score (tests/explain/explain.sql).
# Takes some minutes; needs what `make check` installs.
#
#   IMAGES=1800 EPOCHS=12 TESTED=400   phantoms to train with, epochs, phantoms
#                                      that the maps are tested on
#   SEED=0                             another number: other phantoms

source "$(dirname "$0")/common.sh"
cd "$ROOT"

IMAGES=${IMAGES:-1800}
EPOCHS=${EPOCHS:-12}
TESTED=${TESTED:-400}
SEED=${SEED:-0}

build_private_server explain
mkdir -p "$ROOT/build/explain"
cc -std=c11 -O2 -Wall -Wextra -Werror -Isrc -o "$ROOT/build/explain/occlude" tests/explain/occlude.c \
    $(make -s print-OBJS_IMAGE | sed 's/\.o\b/.c/g') $(make -s print-IMAGE_CPPFLAGS print-IMAGE_LIBS) -lm
cp tests/explain/explain.sql "$ROOT/build/explain/occlude" "$WORK/"

start_private_server
say "training on $IMAGES phantoms, $EPOCHS epochs; testing on $TESTED"
private_psql -v images="$IMAGES" -v tested="$TESTED" -v epochs="$EPOCHS" -v seed="$SEED" -f "$WORK/explain.sql"

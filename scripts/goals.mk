# The goals that need no server headers.

CC_UNIT ?= cc
UNIT_DIR ?= build/unit
# SANITIZE=1 builds the unit tests with the address and undefined-behaviour
# sanitizers, into a folder of their own.
SANITIZE ?=
ifneq (,$(SANITIZE))
UNIT_DIR = build/unit-sanitize
UNIT_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif

UNIT_WARNINGS = -Wall -Wextra -Wvla -Wmissing-prototypes -Werror
UNIT_CFLAGS = -std=c11 -O2 -g $(UNIT_WARNINGS) $(UNIT_SANITIZE)
UNIT_CPPFLAGS = -Isrc -Itests/unit -MMD -MP
UNIT_LIBS = -ljpeg -lpthread -lm
UNIT_TESTS = $(sort $(wildcard tests/unit/test_*.c))
UNIT_PROGRAMS = $(UNIT_TESTS:tests/unit/%.c=$(UNIT_DIR)/%)
UNIT_OBJS = $(OBJS_PLAIN:%.o=$(UNIT_DIR)/%.o)

.PHONY: check check-avx512 check-coverage check-explain check-readme check-report check-sanitize check-style check-valgrind check-versions compile-check demo dependencies unit unit-build

# Whatever else was asked for beside them is the server build's.
OTHER_GOALS = $(filter-out $(OWN_GOALS),$(MAKECMDGOALS))
ifneq (,$(OTHER_GOALS))
.PHONY: $(OTHER_GOALS)
$(OTHER_GOALS):
	$(MAKE) $@
endif

check:
	@scripts/check.sh

# TESTS: some of tests/unit.
check-avx512:
	@scripts/check-avx512.sh $(TESTS)

check-coverage: $(UNIT_DIR)/test_coverage
	$< 1000

check-deep:
	@scripts/check-deep.sh $(PARTS)

check-explain:
	@scripts/check-explain.sh

check-readme:
	@scripts/check-readme.sh

check-report:
	@SUITES=tap TESTS=011_report scripts/check.sh

check-sanitize:
	@SANITIZE=1 SUITES="$${SUITES:-unit regress isolation}" scripts/check.sh

# PG_CONFIG: best of a server built with -DUSE_VALGRIND.
check-valgrind:
	@VALGRIND=1 PG_CONFIG="$(PG_CONFIG)" SUITES="$${SUITES:-regress}" scripts/check.sh

check-versions:
	@PG_CONFIGS="$(PG_CONFIGS)" scripts/check-versions.sh

demo:
	@scripts/demo.sh

demo-stop:
	@scripts/demo.sh stop

dependencies:
	@scripts/dependencies.sh

check-style:
	@scripts/check-style.sh

compile-check:
	@scripts/compile-check.sh

print-%:
	@echo $($*)

unit: unit-build
	@scripts/run-unit.sh $(UNIT_PROGRAMS)

unit-build: $(UNIT_PROGRAMS)

$(UNIT_OBJS): $(UNIT_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_UNIT) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -c -o $@ $<

$(UNIT_DIR)/libpneumo.a: $(UNIT_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(UNIT_DIR)/%: tests/unit/%.c $(UNIT_DIR)/libpneumo.a
	@mkdir -p $(@D)
	$(CC_UNIT) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -o $@ $< $(UNIT_DIR)/libpneumo.a $(UNIT_LIBS)

-include $(wildcard $(UNIT_OBJS:.o=.d) $(UNIT_PROGRAMS:%=%.d))

# -------------------------------------------------------------------- bench
# VENV: a virtual environment with the peers (tests/bench/requirements.txt), made
# below build/ if not given.  BENCH: arguments of tests/bench/run.py.
BENCH ?= --reduced --sizes 128 256 384 --thread-counts 1 2 --images 100 200 400 --connections 1 2 10 50

BENCH_DIR ?= build/bench
BENCH_CFLAGS = -std=gnu11 -O3 -g $(UNIT_WARNINGS)
BENCH_PROGRAMS = $(BENCH_DIR)/bench_kernels $(BENCH_DIR)/bench_nn
BENCH_OBJS = $(OBJS_NN:%.o=$(BENCH_DIR)/%.o) $(OBJS_IMAGE:%.o=$(BENCH_DIR)/%.o)

bench: bench-build
	@VENV="$(VENV)" PNEUMO_DATA="$(PNEUMO_DATA)" scripts/bench.sh $(BENCH_DIR)/bench_nn $(BENCH)

bench-build: $(BENCH_PROGRAMS)

# Needs perf.
bench-profile: bench-build
	@python3 tests/bench/kernel_profile.py --bench-nn $(BENCH_DIR)/bench_nn --bench-kernels $(BENCH_DIR)/bench_kernels

$(BENCH_OBJS): $(BENCH_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_UNIT) $(BENCH_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(BENCH_PROGRAMS): $(BENCH_DIR)/%: tests/bench/%.c $(BENCH_OBJS)
	$(CC_UNIT) $(BENCH_CFLAGS) -Isrc -o $@ $^ -ljpeg -lpthread -lm

-include $(wildcard $(BENCH_OBJS:.o=.d))

# --------------------------------------------------------------------- fuzz
# scripts/fuzz.sh runs what is built here.
CC_FUZZ ?= clang
FUZZ_DIR ?= build/fuzz
FUZZ_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_PROGRAMS = $(patsubst tests/fuzz/%.c,$(FUZZ_DIR)/%.run,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJS = $(OBJS_NN:%.o=$(FUZZ_DIR)/%.o) $(OBJS_IMAGE:%.o=$(FUZZ_DIR)/%.o)

fuzz:
	@scripts/fuzz.sh $(TESTS)

fuzz-build: $(FUZZ_PROGRAMS) $(FUZZ_DIR)/make_seeds

$(FUZZ_OBJS): $(FUZZ_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_FUZZ) $(FUZZ_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(FUZZ_PROGRAMS): $(FUZZ_DIR)/%.run: tests/fuzz/%.c $(FUZZ_OBJS)
	$(CC_FUZZ) $(FUZZ_CFLAGS) -fsanitize=fuzzer -Isrc -o $@ $^ -ljpeg -lpthread -lm

$(FUZZ_DIR)/make_seeds: tests/fuzz/make_seeds.c $(FUZZ_OBJS)
	$(CC_FUZZ) $(FUZZ_CFLAGS) -Isrc -o $@ $^ -ljpeg -lpthread -lm

-include $(wildcard $(FUZZ_OBJS:.o=.d))

# ------------------------------------------------------------------- pgspot
# The install script, read by pgspot (PyPI), in a virtual environment of its own.
check-pgspot:
	@scripts/check-pgspot.sh

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
UNIT_CPPFLAGS = -Isrc -Itests/unit $(IMAGE_CPPFLAGS) -MMD -MP
UNIT_LIBS = $(IMAGE_TEST_LIBS) $(IMAGE_LIBS) $(EXCHANGE_LIBS) -lpthread -lm
UNIT_LEFT_OUT = $(if $(filter 0,$(WITH_DICOM)),dicom dicom_jpeg_2000)
UNIT_ALL = $(filter-out $(UNIT_LEFT_OUT),$(patsubst tests/unit/test_%.c,%,$(sort $(wildcard tests/unit/test_*.c))))
UNIT_WANTED = $(if $(TESTS),$(patsubst test_%,%,$(TESTS)),$(UNIT_ALL))
UNIT_TESTS = $(UNIT_WANTED:%=tests/unit/test_%.c)
UNIT_PROGRAMS = $(UNIT_TESTS:tests/unit/%.c=$(UNIT_DIR)/%)
UNIT_OBJS = $(OBJS_PLAIN:%.o=$(UNIT_DIR)/%.o)

ifneq (,$(filter unit unit-build,$(MAKECMDGOALS)))
ifneq (,$(filter-out $(UNIT_ALL),$(UNIT_WANTED)))
$(error no unit test $(filter-out $(UNIT_ALL),$(UNIT_WANTED)); there are: $(UNIT_ALL))
endif
endif

.PHONY: $(filter-out print-% build/%,$(OWN_GOALS))

# Other goals that are asked for at the same time belong to the server's build.
OTHER_GOALS = $(filter-out $(OWN_GOALS),$(MAKECMDGOALS))
ifneq (,$(OTHER_GOALS))
.PHONY: $(OTHER_GOALS)
$(OTHER_GOALS):
	$(MAKE) $@
endif

check: ## every suite, or SUITES= or TESTS=, on a private copy of the server
	@scripts/check.sh

unit: unit-build ## tests that need no server; TESTS="stats image": only these; SANITIZE=1
	@scripts/run-unit.sh $(UNIT_PROGRAMS)

unit-build: $(UNIT_PROGRAMS)

check-style: ## layers, rooms, names, lists, length of lines, format
	@scripts/check-style.sh

compile-check: ## gcc and clang, warnings are errors
	@scripts/compile-check.sh

check-readme: ## the examples of the manual print what it shows
	@scripts/check-readme.sh

check-report: ## the report in a browser
	@SUITES=tap TESTS=011_report scripts/check.sh

check-pgspot: ## the install script against the search path, by pgspot in a virtual environment
	@scripts/check-pgspot.sh

##@ Test at length
check-bare: ## the pages' commands as printed, on bare Debian systems, by root and a user (an hour)
	@scripts/check-bare.sh $(SUITE)

check-versions: ## the suites on several servers: PG_CONFIGS="/a/pg_config /b/pg_config"
	@PG_CONFIGS="$(PG_CONFIGS)" scripts/check-versions.sh

check-sanitize: ## unit, regress and isolation tests with the address and undefined-behaviour sanitizers
	@SANITIZE=1 SUITES="$${SUITES:-unit regress isolation}" scripts/check.sh

check-valgrind: ## regress tests under memcheck, best with a PG_CONFIG built with USE_VALGRIND
	@VALGRIND=1 PG_CONFIG="$(PG_CONFIG)" SUITES="$${SUITES:-regress}" scripts/check.sh

check-coverage: $(UNIT_DIR)/test_coverage ## how often intervals hold the true value (minutes)
	$< 1000

check-explain: ## whether the maps are about the score (minutes)
	@scripts/check-explain.sh

check-images: ## how images are read against pydicom and Pillow, in a virtual environment; VENV=, IMAGES=
	@VENV="$(VENV)" IMAGES="$(IMAGES)" scripts/check-images.sh

check-networks: ## networks of other programs against those programs (an hour); VENV=, TESTS= of tests/networks
	@VENV="$(VENV)" PNEUMO_DATA="$(PNEUMO_DATA)" scripts/check-networks.sh $(TESTS)

check-avx512: ## the kernels on an emulated processor with AVX-512 (half an hour); TESTS= of tests/unit
	@scripts/check-avx512.sh $(TESTS)

check-deep: ## what a nightly job runs: settings, sanitizers, fuzzing, faults (hours); PARTS=
	@scripts/check-deep.sh $(PARTS)

##@ Other
# A goal's line in `make help` stands after ##, the heading of a section after ##@.
help: ## print this list
	@awk -F ': .*## ' '/^##@/ { print substr($$0, 5) } \
		/^[a-z][a-z0-9-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' \
		Makefile scripts/goals.mk

demo: ## train and predict in a private server
	@scripts/demo.sh

demo-stop: ## stop the server of make demo
	@scripts/demo.sh stop

dependencies: ## install the packages that a build and the tests need
	@scripts/dependencies.sh

CLANG_FORMAT ?= clang-format-19
format: ## format the C sources
	$(CLANG_FORMAT) -i $(shell find src client tests -name '*.[ch]' -not -path '*/golden/*' -not -name '*.pb-c.[ch]')

print-%:
	@echo $($*)

$(UNIT_OBJS): $(UNIT_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_UNIT) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -c -o $@ $<

$(UNIT_DIR)/libpneumo.a: $(UNIT_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(UNIT_DIR)/%: tests/unit/%.c $(UNIT_DIR)/libpneumo.a
	@mkdir -p $(@D)
	$(CC_UNIT) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -o $@ $< $(UNIT_DIR)/libpneumo.a $(UNIT_LIBS)

$(UNIT_DIR)/decode_image $(UNIT_DIR)/deidentify_image: $(UNIT_DIR)/%: tests/images/%.c $(UNIT_DIR)/libpneumo.a
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

bench: bench-build ## measure against the peers
	@VENV="$(VENV)" PNEUMO_DATA="$(PNEUMO_DATA)" scripts/bench.sh $(BENCH_DIR)/bench_nn $(BENCH)

bench-build: $(BENCH_PROGRAMS)

bench-profile: bench-build ## where the time goes, and each kernel's share of its limit (needs perf)
	@python3 tests/bench/kernel_profile.py --bench-nn $(BENCH_DIR)/bench_nn --bench-kernels $(BENCH_DIR)/bench_kernels

$(BENCH_OBJS): $(BENCH_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_UNIT) $(BENCH_CFLAGS) $(IMAGE_CPPFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(BENCH_PROGRAMS): $(BENCH_DIR)/%: tests/bench/%.c $(BENCH_OBJS)
	$(CC_UNIT) $(BENCH_CFLAGS) $(IMAGE_CPPFLAGS) -Isrc -o $@ $^ $(IMAGE_LIBS) -lpthread -lm

-include $(wildcard $(BENCH_OBJS:.o=.d))

# --------------------------------------------------------------------- fuzz
# scripts/fuzz.sh runs what is built here.
CC_FUZZ ?= clang
FUZZ_DIR ?= build/fuzz
FUZZ_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -Werror \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_PROGRAMS = $(patsubst tests/fuzz/%.c,$(FUZZ_DIR)/%.run,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJS = $(OBJS_NN:%.o=$(FUZZ_DIR)/%.o) $(OBJS_IMAGE:%.o=$(FUZZ_DIR)/%.o) $(OBJS_EXCHANGE:%.o=$(FUZZ_DIR)/%.o)

fuzz: ## fuzz images, model bytes and graphs; TESTS= of tests/fuzz, SECONDS_EACH=
	@scripts/fuzz.sh $(TESTS)

fuzz-build: $(FUZZ_PROGRAMS) $(FUZZ_DIR)/make_seeds

$(FUZZ_OBJS): $(FUZZ_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC_FUZZ) $(FUZZ_CFLAGS) $(IMAGE_CPPFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(FUZZ_PROGRAMS): $(FUZZ_DIR)/%.run: tests/fuzz/%.c $(FUZZ_OBJS)
	$(CC_FUZZ) $(FUZZ_CFLAGS) -fsanitize=fuzzer -Isrc -o $@ $^ $(IMAGE_LIBS) $(EXCHANGE_LIBS) -lpthread -lm

$(FUZZ_DIR)/make_seeds: tests/fuzz/make_seeds.c $(FUZZ_OBJS)
	$(CC_FUZZ) $(FUZZ_CFLAGS) -Isrc -o $@ $^ $(IMAGE_LIBS) $(EXCHANGE_LIBS) -lpthread -lm

-include $(wildcard $(FUZZ_OBJS:.o=.d))


# pneumo: train convolutional networks on chest X-rays and score them from SQL
#
#   make                    build against the server of PG_CONFIG
#   make install            install into it
#   make check              everything, on a private copy of the server
#   make check-versions     the same on several servers: PG_CONFIGS="/a/pg_config /b/pg_config"
#   make demo               train and predict in a private server
#   make bench              measure against the peers
#   make bench-profile      where the time goes, and each kernel's share of its limit
#   make unit               the tests that need no server
#   make check-coverage     how often intervals hold the true value (minutes)
#   make check-pgspot       the install script against search_path (pgspot)
#   make check-readme       the examples of the README and of docs/ print what the pages show
#   make check-report       the report in a browser
#   make check-avx512       the kernels on an emulated processor with AVX-512 (half an hour)
#   make check-deep         what a nightly job runs: settings, sanitizers, fuzzing, faults (hours)
#   make check-explain      whether the maps are about the score (minutes)
#   make check-style        layers, names, lists
#   make compile-check      gcc and clang, warnings are errors

EXTENSION = pneumo
MODULE_big = pneumo
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(srcdir)/pneumo.control)

# The parts of the install script, in their order.
INSTALL_SQL = \
	src/sql/header.sql \
	src/sql/catalog.sql \
	src/sql/models.sql \
	src/sql/predict.sql \
	src/sql/train.sql \
	src/sql/figures.sql \
	src/sql/evaluate.sql \
	src/sql/images.sql \
	src/sql/explore.sql \
	src/sql/explain.sql \
	src/sql/failures.sql \
	src/sql/plots.sql \
	src/sql/report.sql \
	$(end)

# ------------------------------------------------------------------ tests

REGRESS = \
	install \
	cache \
	classes \
	compare \
	config \
	contexts \
	evaluate \
	explain \
	failures \
	explore \
	figures \
	fit \
	groups \
	images \
	layers \
	lineage \
	models \
	plots \
	precision \
	predict \
	rights \
	runs \
	source \
	split \
	train \
	$(end)

ISOLATION = \
	changed_table \
	deploy_predict \
	group_update \
	same_name \
	train_rollback \
	two_trainings \
	$(end)

# ------------------------------------------------------------------ goals
# These need no server headers: make can be run before anything is installed.

OWN_GOALS = fuzz fuzz-build bench bench-build bench-profile check check-avx512 check-coverage check-deep check-explain check-pgspot check-readme check-report check-sanitize check-style check-valgrind check-versions compile-check demo demo-stop dependencies print-% unit unit-build

ifneq (,$(filter $(OWN_GOALS),$(MAKECMDGOALS)))

srcdir = .
include objects.mk
include scripts/goals.mk

else

# ------------------------------------------------------------------ build

PG_CONFIG ?= pg_config
ifeq (,$(shell command -v $(PG_CONFIG)))
$(error $(PG_CONFIG) not found: install the server's development files (Debian: postgresql-server-dev-15) or set PG_CONFIG)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)

include $(dir $(firstword $(MAKEFILE_LIST)))objects.mk
PG_CPPFLAGS = -I$(srcdir)/src
SHLIB_LINK = -ljpeg -lpthread -lm
DATA = $(sort $(subst $(srcdir)/,,$(wildcard $(srcdir)/src/sql/pneumo--*--*.sql)))
DATA_built = pneumo--$(EXTVERSION).sql
EXTRA_CLEAN = build $(OBJS:.o=.d)
include $(PGXS)

# PGXS does not track headers; the bitcode has the same ones as the object.
%.o: override CFLAGS += -MMD -MP -MF $(@:.o=.d) -MT $@ -MT $(@:.o=.bc)
-include $(wildcard $(OBJS:.o=.d))

# The server's headers are not written for all of -Wextra.
$(OBJS): override CFLAGS += -Wextra -Wvla
$(OBJS_PG): override CFLAGS += -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
$(OBJS_PLAIN): override CFLAGS += -Wno-declaration-after-statement
$(OBJS_NN): override CFLAGS += -O3
$(OBJS_IMAGE): override CFLAGS += -O3

# make check-sanitize; the kernels, which take minutes to compile with the
# sanitizers, are checked by the unit tests (make unit SANITIZE=1).
ifneq (,$(SANITIZERS))
$(filter-out src/nn/kernels/%,$(OBJS)): override CFLAGS += $(SANITIZERS)
SHLIB_LINK += $(SANITIZERS)
endif

.PHONY: objects-only
objects-only: $(OBJS)

pneumo--$(EXTVERSION).sql: $(INSTALL_SQL:%=$(srcdir)/%) $(srcdir)/pneumo.control
	cat $(INSTALL_SQL:%=$(srcdir)/%) > $@

endif

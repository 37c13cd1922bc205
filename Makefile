# pneumo: train convolutional networks on chest X-rays and score them from SQL
#
# `make help` lists the goals; the line of each stands at its rule, after two #.

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
	dicom \
	evaluate \
	explain \
	failures \
	explore \
	figures \
	findings \
	fit \
	groups \
	images \
	keras \
	layers \
	leaderboard \
	lineage \
	messages \
	models \
	onnx \
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

OWN_GOALS = \
	bench \
	bench-build \
	bench-profile \
	build/% \
	check \
	check-avx512 \
	check-coverage \
	check-deep \
	check-explain \
	check-images \
	check-networks \
	check-pgspot \
	check-readme \
	check-report \
	check-sanitize \
	check-style \
	check-valgrind \
	check-bare \
	check-versions \
	compile-check \
	demo \
	demo-stop \
	dependencies \
	format \
	fuzz \
	fuzz-build \
	help \
	print-% \
	unit \
	unit-build \
	$(end)

ifneq (,$(filter $(OWN_GOALS),$(MAKECMDGOALS)))

srcdir = .
include objects.mk
include scripts/goals.mk

else

# ------------------------------------------------------------------ build
# The rules of these goals come with PGXS.

##@ Build
all: ## build against the server of PG_CONFIG
install: ## install into that server
clean: ## remove what was built
##@ Test
installcheck: ## regress and isolation tests on a running server that pneumo is installed in (TESTS=)

PG_CONFIG ?= pg_config
ifeq (,$(shell command -v $(PG_CONFIG)))
$(error $(PG_CONFIG) not found: install the server's development files (Debian: postgresql-server-dev-15), \
	or set PG_CONFIG)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)

include $(dir $(firstword $(MAKEFILE_LIST)))objects.mk
PG_CPPFLAGS = -I$(srcdir)/src $(IMAGE_CPPFLAGS)
SHLIB_LINK = $(IMAGE_LIBS) $(EXCHANGE_LIBS) -lpthread -lm
DATA = $(sort $(subst $(srcdir)/,,$(wildcard $(srcdir)/src/sql/pneumo--*--*.sql)))
DATA_built = pneumo--$(EXTVERSION).sql
EXTRA_CLEAN = build $(OBJS:.o=.d)

ifneq (,$(filter installcheck,$(MAKECMDGOALS)))
# Databases as those of the private servers of make check.
NO_LOCALE = 1
ENCODING = UTF8
ISOLATION_OPTS = --inputdir=$(srcdir)/tests/isolation --load-extension=pneumo
ifneq (,$(TESTS))
ifneq (,$(filter-out $(REGRESS) $(ISOLATION),$(TESTS)))
$(error no test $(filter-out $(REGRESS) $(ISOLATION),$(TESTS)); there are: $(REGRESS) $(ISOLATION))
endif
override REGRESS := $(filter $(TESTS),$(REGRESS))
override ISOLATION := $(filter $(TESTS),$(ISOLATION))
endif
# An installation need not have the program.
ifeq (,$(wildcard $(dir $(PGXS))../test/isolation/pg_isolation_regress))
override ISOLATION :=
endif
# The settings of a session in tests/regress.conf, as -c NAME=VALUE.
export PGOPTIONS := $(PGOPTIONS) $(shell \
	sed -n "/^. Of a session/,/^$$/s/^\([a-z_.]*\) *= *'*\([^']*\)'*$$/-c \1=\2/p" tests/regress.conf)
endif

include $(PGXS)
include $(srcdir)/client/client.mk

# PGXS does not track headers; the bitcode has the same ones as the object.
%.o: override CFLAGS += -MMD -MP -MF $(@:.o=.d) -MT $@ -MT $(@:.o=.bc)
-include $(wildcard $(OBJS:.o=.d))

# The server's headers are not written for all of -Wextra.
$(OBJS): override CFLAGS += -Wextra -Wvla
$(OBJS_PG): override CFLAGS += -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
$(OBJS_PLAIN): override CFLAGS += -Wno-declaration-after-statement
$(OBJS_NN): override CFLAGS += -O3
$(OBJS_IMAGE): override CFLAGS += -O3
# What protoc-c writes has assertions, which would end the server.
src/exchange/onnx.pb-c.o: override CFLAGS += -DNDEBUG

# make check-sanitize; the kernels, which take minutes to compile with the
# sanitizers, are checked by the unit tests (make unit SANITIZE=1).
ifneq (,$(SANITIZERS))
$(filter-out src/nn/kernels/%,$(OBJS)): override CFLAGS += $(SANITIZERS)
SHLIB_LINK += $(SANITIZERS)
endif

.PHONY: objects-only
objects-only: $(OBJS) $(CLIENT_OBJS)

pneumo--$(EXTVERSION).sql: $(INSTALL_SQL:%=$(srcdir)/%) $(srcdir)/pneumo.control
	cat $(INSTALL_SQL:%=$(srcdir)/%) > $@

endif

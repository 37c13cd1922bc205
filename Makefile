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
#   make check-readme       the examples of the README print what it shows
#   make check-report       the report in a browser
#   make check-avx512       the kernels on an emulated processor with AVX-512 (half an hour)
#   make check-explain      whether the maps are about the score (minutes)
#   make check-style        layers, names, lists
#   make compile-check      gcc and clang, warnings are errors

EXTENSION = pneumo
MODULE_big = pneumo
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(srcdir)/pneumo.control)

# ---------------------------------------------------------------- objects
# One a line, in the order of the alphabet.

OBJS_NN = \
	src/nn/kernels/conv3_ref.o \
	src/nn/kernels/cpu.o \
	src/nn/kernels/dense_int16.o \
	src/nn/kernels/dense_ref.o \
	src/nn/kernels/kernels_avx2.o \
	src/nn/kernels/kernels_avx512.o \
	src/nn/kernels/kernels_portable.o \
	src/nn/kernels/kernels_ref.o \
	src/nn/kernels/sgemm.o \
	src/nn/activations.o \
	src/nn/callbacks.o \
	src/nn/conv2d_general.o \
	src/nn/engine.o \
	src/nn/error.o \
	src/nn/explain.o \
	src/nn/fpenv.o \
	src/nn/graph.o \
	src/nn/initializers.o \
	src/nn/losses.o \
	src/nn/model_bytes.o \
	src/nn/op_activation.o \
	src/nn/op_batch_normalization.o \
	src/nn/op_common.o \
	src/nn/op_conv2d.o \
	src/nn/op_dense.o \
	src/nn/op_depthwise_conv2d.o \
	src/nn/op_dropout.o \
	src/nn/op_flatten.o \
	src/nn/op_global_pooling.o \
	src/nn/op_merge.o \
	src/nn/op_pooling.o \
	src/nn/op_rescaling.o \
	src/nn/ops.o \
	src/nn/optimizers.o \
	src/nn/plan.o \
	src/nn/pool.o \
	src/nn/random.o \
	src/nn/schedules.o \
	src/nn/state.o \
	src/nn/train_loop.o \
	src/nn/train_step.o \
	src/nn/trainer.o \
	$(end)

OBJS_IMAGE = \
	src/image/affine.o \
	src/image/augment.o \
	src/image/film.o \
	src/image/jpeg.o \
	src/image/overlay.o \
	src/image/phantom.o \
	src/image/phantom_body.o \
	src/image/philox.o \
	src/image/preprocess.o \
	src/image/resize.o \
	src/image/status.o \
	$(end)

OBJS_STATS = \
	src/stats/auc.o \
	src/stats/bootstrap.o \
	src/stats/calibration.o \
	src/stats/compare.o \
	src/stats/distribution.o \
	src/stats/eigen.o \
	src/stats/evaluate.o \
	src/stats/intervals.o \
	src/stats/logistic.o \
	src/stats/metrics.o \
	src/stats/multiclass.o \
	src/stats/multiclass_auc.o \
	src/stats/multiclass_compare.o \
	src/stats/multiclass_evaluate.o \
	src/stats/paired.o \
	src/stats/roc.o \
	src/stats/rows.o \
	src/stats/scaling.o \
	src/stats/shortcut.o \
	src/stats/threshold.o \
	$(end)

OBJS_REPORT = \
	src/report/axes.o \
	src/report/buffer.o \
	src/report/calibration.o \
	src/report/confusion.o \
	src/report/history.o \
	src/report/page.o \
	src/report/roc.o \
	$(end)

OBJS_PG = \
	src/pg/attempts.o \
	src/pg/blas.o \
	src/pg/cache.o \
	src/pg/cache_slots.o \
	src/pg/cache_sql.o \
	src/pg/catalog.o \
	src/pg/check_duplicates.o \
	src/pg/check_shortcut.o \
	src/pg/check_source.o \
	src/pg/check_tables.o \
	src/pg/checkpoint.o \
	src/pg/claim.o \
	src/pg/compare.o \
	src/pg/config.o \
	src/pg/config_callbacks.o \
	src/pg/config_classes.o \
	src/pg/config_fit.o \
	src/pg/config_keys.o \
	src/pg/config_network.o \
	src/pg/config_optimizer.o \
	src/pg/config_result.o \
	src/pg/dataset.o \
	src/pg/eigenimages.o \
	src/pg/engine_load.o \
	src/pg/errors.o \
	src/pg/evaluate.o \
	src/pg/evaluation.o \
	src/pg/explain.o \
	src/pg/failures.o \
	src/pg/figure_results.o \
	src/pg/figure_stats.o \
	src/pg/figures.o \
	src/pg/fit.o \
	src/pg/grants.o \
	src/pg/group_node.o \
	src/pg/group_plan.o \
	src/pg/group_scan.o \
	src/pg/history.o \
	src/pg/if_better.o \
	src/pg/image_aggregates.o \
	src/pg/images_sql.o \
	src/pg/json_read.o \
	src/pg/layer_list.o \
	src/pg/layer_params.o \
	src/pg/layers.o \
	src/pg/load.o \
	src/pg/model_meta.o \
	src/pg/models.o \
	src/pg/pixels.o \
	src/pg/plan.o \
	src/pg/plot_evaluation.o \
	src/pg/plots.o \
	src/pg/pneumo.o \
	src/pg/predict.o \
	src/pg/prepare.o \
	src/pg/prepare_table.o \
	src/pg/presets.o \
	src/pg/progress.o \
	src/pg/report_build.o \
	src/pg/report_data.o \
	src/pg/report_figures.o \
	src/pg/report_page.o \
	src/pg/report_sections.o \
	src/pg/rights.o \
	src/pg/run_slots.o \
	src/pg/runs.o \
	src/pg/score_table.o \
	src/pg/scorer.o \
	src/pg/scores.o \
	src/pg/settings.o \
	src/pg/shmem.o \
	src/pg/side.o \
	src/pg/source.o \
	src/pg/source_rows.o \
	src/pg/split.o \
	src/pg/split_rules.o \
	src/pg/store.o \
	src/pg/summary.o \
	src/pg/train.o \
	src/pg/transfer.o \
	src/pg/version.o \
	src/pg/views.o \
	src/pg/worker.o \
	src/pg/worker_store.o \
	src/pg/worker_train.o \
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
	models \
	plots \
	precision \
	predict \
	rights \
	runs \
	split \
	train \
	$(end)

ISOLATION = \
	deploy_predict \
	group_update \
	same_name \
	train_rollback \
	two_trainings \
	$(end)

OBJS_PLAIN = $(OBJS_NN) $(OBJS_IMAGE) $(OBJS_STATS) $(OBJS_REPORT)
OBJS = $(OBJS_PLAIN) $(OBJS_PG)

# ------------------------------------------------------------------ goals
# These need no server headers: make can be run before anything is installed.

OWN_GOALS = bench bench-build bench-profile check check-avx512 check-coverage check-explain check-readme check-report check-sanitize check-style check-valgrind check-versions compile-check demo dependencies print-% unit unit-build

ifneq (,$(filter $(OWN_GOALS),$(MAKECMDGOALS)))

srcdir = .
include scripts/goals.mk

else

# ------------------------------------------------------------------ build

PG_CPPFLAGS = -I$(srcdir)/src
SHLIB_LINK = -ljpeg -lpthread -lm
INSTALL_PARTS = $(sort $(wildcard $(srcdir)/sql/install/*.sql))
DATA = $(sort $(subst $(srcdir)/,,$(wildcard $(srcdir)/sql/pneumo--*--*.sql)))
DATA_built = sql/pneumo--$(EXTVERSION).sql
EXTRA_CLEAN = build $(OBJS:.o=.d)

PG_CONFIG ?= pg_config
ifeq (,$(shell command -v $(PG_CONFIG)))
$(error $(PG_CONFIG) not found: install the server's development files (Debian: postgresql-server-dev-15) or set PG_CONFIG)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)
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

sql/pneumo--$(EXTVERSION).sql: $(INSTALL_PARTS) $(srcdir)/pneumo.control
	@mkdir -p sql
	cat $(INSTALL_PARTS) > $@

endif

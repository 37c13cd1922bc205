# The objects of pneumo.so: a section a folder, one a line, in the order of the
# alphabet.  scripts/check-style.sh compares them with the sources.

# ------------------------------------------------------ plain C, no server

OBJS_NN_CORE = \
	src/nn/activations.o \
	src/nn/batch.o \
	src/nn/callbacks.o \
	src/nn/engine.o \
	src/nn/error.o \
	src/nn/explain.o \
	src/nn/fpenv.o \
	src/nn/graph.o \
	src/nn/initializers.o \
	src/nn/losses.o \
	src/nn/model_bytes.o \
	src/nn/optimizers.o \
	src/nn/penalties.o \
	src/nn/plan.o \
	src/nn/pool.o \
	src/nn/random.o \
	src/nn/schedules.o \
	src/nn/state.o \
	src/nn/stop.o \
	src/nn/train_loop.o \
	src/nn/train_step.o \
	src/nn/trainer.o \
	$(end)

OBJS_NN_OPS = \
	src/nn/ops/conv2d_general.o \
	src/nn/ops/op_activation.o \
	src/nn/ops/op_batch_normalization.o \
	src/nn/ops/op_border.o \
	src/nn/ops/op_common.o \
	src/nn/ops/op_conv2d.o \
	src/nn/ops/op_dense.o \
	src/nn/ops/op_depthwise_conv2d.o \
	src/nn/ops/op_dropout.o \
	src/nn/ops/op_flatten.o \
	src/nn/ops/op_global_pooling.o \
	src/nn/ops/op_input.o \
	src/nn/ops/op_layer_normalization.o \
	src/nn/ops/op_merge.o \
	src/nn/ops/op_pooling.o \
	src/nn/ops/op_prelu.o \
	src/nn/ops/op_rescaling.o \
	src/nn/ops/op_select_channels.o \
	src/nn/ops/op_up_sampling.o \
	src/nn/ops/ops.o \
	$(end)

OBJS_NN_KERNELS = \
	src/nn/kernels/conv3_ref.o \
	src/nn/kernels/cpu.o \
	src/nn/kernels/dense_int16.o \
	src/nn/kernels/dense_ref.o \
	src/nn/kernels/kernels_avx2.o \
	src/nn/kernels/kernels_avx512.o \
	src/nn/kernels/kernels_portable.o \
	src/nn/kernels/kernels_ref.o \
	src/nn/kernels/maps_avx2.o \
	src/nn/kernels/maps_avx512.o \
	src/nn/kernels/maps_portable.o \
	src/nn/kernels/maps_ref.o \
	src/nn/kernels/sgemm.o \
	$(end)

OBJS_IMAGE = \
	src/image/affine.o \
	src/image/augment.o \
	src/image/film.o \
	src/image/foreign.o \
	src/image/formats.o \
	src/image/jpeg.o \
	src/image/overlay.o \
	src/image/phantom.o \
	src/image/phantom_body.o \
	src/image/png.o \
	src/image/preprocess.o \
	src/image/recognise.o \
	src/image/resize.o \
	src/image/status.o \
	$(end)

OBJS_DICOM = \
	src/image/dicom.o \
	src/image/dicom_data.o \
	src/image/dicom_deidentify.o \
	src/image/dicom_dictionary.o \
	src/image/dicom_frame.o \
	src/image/dicom_jpeg.o \
	src/image/dicom_jpeg_2000.o \
	src/image/dicom_jpeg_ls.o \
	src/image/dicom_pixels.o \
	$(end)

OBJS_WITHOUT_DICOM = \
	src/image/dicom_absent.o \
	$(end)

# WITH_DICOM=0 builds without DICOM and without the libraries that only it needs.
WITH_DICOM ?= 1
IMAGE_LIBS = -ljpeg -lpng
ifeq ($(WITH_DICOM),0)
OBJS_IMAGE += $(OBJS_WITHOUT_DICOM)
else
OBJS_IMAGE += $(OBJS_DICOM)
IMAGE_LIBS += -lz -lopenjp2 -ldl
# src/image loads CharLS when it needs it; the tests encode with it.
IMAGE_TEST_LIBS = -lcharls
# The folder of OpenJPEG's header has its version in its name.
IMAGE_CPPFLAGS := $(or $(shell pkg-config --cflags libopenjp2 2> /dev/null), \
	$(patsubst %,-I%,$(lastword $(sort $(wildcard /usr/include/openjpeg-* /usr/local/include/openjpeg-*)))))
endif

OBJS_STATS = \
	src/stats/auc.o \
	src/stats/calibration.o \
	src/stats/compare.o \
	src/stats/distribution.o \
	src/stats/eigen.o \
	src/stats/evaluate.o \
	src/stats/findings.o \
	src/stats/intervals.o \
	src/stats/logistic.o \
	src/stats/means.o \
	src/stats/metrics.o \
	src/stats/multiclass.o \
	src/stats/multiclass_auc.o \
	src/stats/multiclass_compare.o \
	src/stats/multiclass_evaluate.o \
	src/stats/multiclass_sums.o \
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
	src/report/forest.o \
	src/report/history.o \
	src/report/lines.o \
	src/report/page.o \
	src/report/roc.o \
	src/report/scores.o \
	$(end)

OBJS_EXCHANGE = \
	src/exchange/hdf5_data.o \
	src/exchange/hdf5_file.o \
	src/exchange/hdf5_object.o \
	src/exchange/hdf5_write.o \
	src/exchange/inflate.o \
	src/exchange/onnx.pb-c.o \
	src/exchange/onnx_element.o \
	src/exchange/onnx_export.o \
	src/exchange/onnx_fold.o \
	src/exchange/onnx_layout.o \
	src/exchange/onnx_linear.o \
	src/exchange/onnx_match.o \
	src/exchange/onnx_memory.o \
	src/exchange/onnx_network.o \
	src/exchange/onnx_read.o \
	src/exchange/onnx_view.o \
	src/exchange/onnx_weights.o \
	src/exchange/onnx_window.o \
	src/exchange/onnx_write.o \
	src/exchange/zipfile.o \
	$(end)
EXCHANGE_LIBS = -lz -lprotobuf-c

OBJS_TREE = \
	src/tree/names.o \
	src/tree/understand.o \
	src/tree/walk.o \
	$(end)

OBJS_NN = $(OBJS_NN_KERNELS) $(OBJS_NN_OPS) $(OBJS_NN_CORE)
OBJS_PLAIN = $(OBJS_NN) $(OBJS_IMAGE) $(OBJS_STATS) $(OBJS_REPORT) $(OBJS_EXCHANGE) $(OBJS_TREE)

# ------------------------------------------ the server: a section a room

OBJS_PG_TOP = src/pg/pneumo.o

OBJS_PG_BASE = \
	src/pg/base/arguments.o \
	src/pg/base/attempts.o \
	src/pg/base/background.o \
	src/pg/base/blas.o \
	src/pg/base/build.o \
	src/pg/base/errors.o \
	src/pg/base/json_read.o \
	src/pg/base/json_write.o \
	src/pg/base/names.o \
	src/pg/base/pixels.o \
	src/pg/base/settings.o \
	src/pg/base/sha256.o \
	src/pg/base/shmem.o \
	src/pg/base/stats_env.o \
	$(end)

OBJS_PG_CATALOG = \
	src/pg/catalog/catalog.o \
	src/pg/catalog/chunks.o \
	src/pg/catalog/claim.o \
	src/pg/catalog/deployments.o \
	src/pg/catalog/look_worker.o \
	src/pg/catalog/looks.o \
	src/pg/catalog/manifests.o \
	src/pg/catalog/model_meta.o \
	src/pg/catalog/rights.o \
	src/pg/catalog/roles.o \
	src/pg/catalog/run_rows.o \
	src/pg/catalog/version_store.o \
	src/pg/catalog/versions.o \
	$(end)

OBJS_PG_CONFIG = \
	src/pg/config/config.o \
	src/pg/config/config_augment.o \
	src/pg/config/config_callbacks.o \
	src/pg/config/config_classes.o \
	src/pg/config/config_data.o \
	src/pg/config/config_fit.o \
	src/pg/config/config_keys.o \
	src/pg/config/config_loss.o \
	src/pg/config/config_network.o \
	src/pg/config/config_optimizer.o \
	src/pg/config/config_result.o \
	src/pg/config/config_synonyms.o \
	src/pg/config/keras_defaults.o \
	src/pg/config/layer_calls.o \
	src/pg/config/layer_kinds.o \
	src/pg/config/layer_list.o \
	src/pg/config/layer_params.o \
	src/pg/config/layer_problems.o \
	src/pg/config/layers.o \
	src/pg/config/presets.o \
	$(end)

OBJS_PG_SOURCE = \
	src/pg/source/dataset.o \
	src/pg/source/file_names.o \
	src/pg/source/load.o \
	src/pg/source/prepare_table.o \
	src/pg/source/read.o \
	src/pg/source/similar.o \
	src/pg/source/source.o \
	src/pg/source/split.o \
	src/pg/source/split_rules.o \
	$(end)

OBJS_PG_ENGINE = \
	src/pg/engine/cache.o \
	src/pg/engine/cache_slots.o \
	src/pg/engine/cache_sql.o \
	src/pg/engine/engine_load.o \
	$(end)

OBJS_PG_FIGURES = \
	src/pg/figures/figure_results.o \
	src/pg/figures/figures.o \
	src/pg/figures/plot_history.o \
	src/pg/figures/plots.o \
	$(end)

OBJS_PG_MODELS = \
	src/pg/models/foreign.o \
	src/pg/models/grants.o \
	src/pg/models/keras_export.o \
	src/pg/models/keras_import.o \
	src/pg/models/keras_weights.o \
	src/pg/models/layer_config.o \
	src/pg/models/models.o \
	src/pg/models/onnx_export.o \
	src/pg/models/onnx_import.o \
	src/pg/models/summary.o \
	src/pg/models/transfer.o \
	$(end)

OBJS_PG_PREDICT = \
	src/pg/predict/group_node.o \
	src/pg/predict/group_plan.o \
	src/pg/predict/group_scan.o \
	src/pg/predict/predict.o \
	src/pg/predict/read_ahead.o \
	src/pg/predict/score_table.o \
	src/pg/predict/scorer.o \
	src/pg/predict/scores.o \
	$(end)

OBJS_PG_TRAIN = \
	src/pg/train/checkpoint.o \
	src/pg/train/disk.o \
	src/pg/train/dry_run.o \
	src/pg/train/fit.o \
	src/pg/train/fit_findings.o \
	src/pg/train/if_better.o \
	src/pg/train/initial_model.o \
	src/pg/train/prepare.o \
	src/pg/train/progress.o \
	src/pg/train/run_slots.o \
	src/pg/train/runs.o \
	src/pg/train/store.o \
	src/pg/train/sweep.o \
	src/pg/train/train.o \
	src/pg/train/views.o \
	src/pg/train/watch_text.o \
	src/pg/train/worker.o \
	src/pg/train/worker_findings.o \
	src/pg/train/worker_queue.o \
	src/pg/train/worker_session.o \
	src/pg/train/worker_store.o \
	src/pg/train/worker_train.o \
	$(end)

OBJS_PG_EXPLORE = \
	src/pg/explore/check_dicom.o \
	src/pg/explore/check_duplicates.o \
	src/pg/explore/check_shortcut.o \
	src/pg/explore/check_source.o \
	src/pg/explore/check_tables.o \
	src/pg/explore/deidentify.o \
	src/pg/explore/dicom_tags.o \
	src/pg/explore/eigenimages.o \
	src/pg/explore/image_aggregates.o \
	src/pg/explore/images.o \
	$(end)

OBJS_PG_EVALUATE = \
	src/pg/evaluate/compare.o \
	src/pg/evaluate/evaluate.o \
	src/pg/evaluate/evaluation.o \
	src/pg/evaluate/explain.o \
	src/pg/evaluate/failures.o \
	src/pg/evaluate/judged.o \
	src/pg/evaluate/plot_evaluation.o \
	src/pg/evaluate/rivals.o \
	$(end)

OBJS_PG_REPORT = \
	src/pg/report/report_build.o \
	src/pg/report/report_compare.o \
	src/pg/report/report_compare_figures.o \
	src/pg/report/report_compare_sections.o \
	src/pg/report/report_compute.o \
	src/pg/report/report_curves.o \
	src/pg/report/report_data.o \
	src/pg/report/report_figures.o \
	src/pg/report/report_images.o \
	src/pg/report/report_page.o \
	src/pg/report/report_sections.o \
	src/pg/report/report_subgroup_figures.o \
	src/pg/report/report_subgroups.o \
	src/pg/report/report_summary.o \
	$(end)

# From the ground up: a room uses only rooms before it.
ROOMS = base catalog config source engine figures models predict train explore evaluate report

OBJS_PG = $(OBJS_PG_TOP) \
	$(OBJS_PG_BASE) \
	$(OBJS_PG_CATALOG) \
	$(OBJS_PG_CONFIG) \
	$(OBJS_PG_SOURCE) \
	$(OBJS_PG_ENGINE) \
	$(OBJS_PG_FIGURES) \
	$(OBJS_PG_MODELS) \
	$(OBJS_PG_PREDICT) \
	$(OBJS_PG_TRAIN) \
	$(OBJS_PG_EXPLORE) \
	$(OBJS_PG_EVALUATE) \
	$(OBJS_PG_REPORT) \
	$(end)

OBJS = $(OBJS_PLAIN) $(OBJS_PG)

/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings pneumo.*.
 *
 * What a user may choose for a session is PGC_USERSET; what bounds the use of
 * the machine, or decides about code that gets loaded, is for superusers or
 * for the configuration file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"

#define SIMD_AUTO (-1)

/* Defaults; the server wants the initial values of the variables to be the same. */
#define DEFAULT_TRAIN_MEMORY (2 * 1024 * 1024) /* kB, as the others */
#define DEFAULT_FIGURES_MEMORY (1024 * 1024)
#define DEFAULT_PREDICT_MEMORY (1024 * 1024)
#define DEFAULT_SHARED_CACHE_SIZE (1024 * 1024)
#define DEFAULT_LOCAL_CACHE_SIZE (512 * 1024)
#define DEFAULT_MAX_IMAGE_PIXELS (50 * 1000 * 1000)
#define DEFAULT_MAX_TRAINING_RUNS 1
#define DEFAULT_MAX_QUEUED_RUNS 4
#define DEFAULT_DISK_RESERVE 1024 /* MB */

char *pneumo_default_model = NULL;
int pneumo_on_bad_image = PNEUMO_BAD_IMAGE_ERROR;
bool pneumo_score_groups = true;
int pneumo_train_threads = 0;
int pneumo_train_memory = DEFAULT_TRAIN_MEMORY;
int pneumo_max_image_pixels = DEFAULT_MAX_IMAGE_PIXELS;
int pneumo_figures_memory = DEFAULT_FIGURES_MEMORY;
int pneumo_predict_memory = DEFAULT_PREDICT_MEMORY;
int pneumo_simd = SIMD_AUTO;
char *pneumo_blas_library = NULL;
int pneumo_max_training_runs = DEFAULT_MAX_TRAINING_RUNS;
int pneumo_max_queued_runs = DEFAULT_MAX_QUEUED_RUNS;
int pneumo_disk_reserve = DEFAULT_DISK_RESERVE;
int pneumo_shared_cache_size = DEFAULT_SHARED_CACHE_SIZE;
int pneumo_local_cache_size = DEFAULT_LOCAL_CACHE_SIZE;

static const struct config_enum_entry on_bad_image_options[] = {
	{"error", PNEUMO_BAD_IMAGE_ERROR, false},
	{"null", PNEUMO_BAD_IMAGE_NULL, false},
	{NULL, 0, false},
};

static const struct config_enum_entry simd_options[] = {
	{"auto", SIMD_AUTO, false},
	{"avx512", NN_PATH_AVX512, false},
	{"avx2", NN_PATH_AVX2, false},
	{"portable", NN_PATH_PORTABLE, false},
	{"reference", NN_PATH_REFERENCE, false},
	{NULL, 0, false},
};

/* Defines the settings of prediction, explanation, figures and the cache. */
static void
define_prediction_settings(void)
{
	DefineCustomStringVariable("pneumo.default_model", "Model that pneumo_predict(image) and its family use.",
							   NULL, &pneumo_default_model, "default", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pneumo.on_bad_image", "What predicting from an unreadable image does.",
							 "error raises 22P03 or 22023 with the reason, null returns NULL.",
							 &pneumo_on_bad_image, PNEUMO_BAD_IMAGE_ERROR, on_bad_image_options, PGC_USERSET,
							 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pneumo.score_groups", "Whether queries score rows in batches.",
							 "A batch shares one reading of the weights; the scores are the same to the bit.",
							 &pneumo_score_groups, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.max_image_pixels", "Largest image (width times height) that is decoded.",
							NULL, &pneumo_max_image_pixels, DEFAULT_MAX_IMAGE_PIXELS, 1, INT_MAX, PGC_SUSET,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.predict_memory",
							"Memory that one model may take in a query, in addition to its weights.",
							"What the layers give on the way from an image to a score, or back for a map.",
							&pneumo_predict_memory, DEFAULT_PREDICT_MEMORY, 64, INT_MAX, PGC_SUSET,
							GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("pneumo.simd", "Best CPU path that training and prediction may use.",
							 "auto takes the best that the machine has; "
							 "a path that it lacks means the next lower one.",
							 &pneumo_simd, SIMD_AUTO, simd_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"pneumo.figures_memory", "Memory that the figures of one group of rows may take.",
		"An exact AUC needs the scores: 16 bytes a row while they are collected, some 200 a row at the end.",
		&pneumo_figures_memory, DEFAULT_FIGURES_MEMORY, 1024, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL,
		NULL);
	DefineCustomIntVariable("pneumo.shared_cache_size",
							"Shared memory that ready model versions may take, for the whole server.",
							"The least recently used versions leave first.", &pneumo_shared_cache_size,
							DEFAULT_SHARED_CACHE_SIZE, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.local_cache_size",
							"Memory for copies of model versions in one session, "
							"used where shared memory cannot hold them.",
							NULL, &pneumo_local_cache_size, DEFAULT_LOCAL_CACHE_SIZE, 0, INT_MAX, PGC_SIGHUP,
							GUC_UNIT_KB, NULL, NULL, NULL);
}

static void
define_training_settings(void)
{
	DefineCustomIntVariable("pneumo.train_threads", "Threads of one training run; 0 means all cores.", NULL,
							&pneumo_train_threads, 0, 0, 1024, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.train_memory",
							"Memory that one training run may take; larger runs are refused.", NULL,
							&pneumo_train_memory, DEFAULT_TRAIN_MEMORY, 1024, INT_MAX, PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.max_training_runs", "Training runs at a time, for the whole server.",
							NULL, &pneumo_max_training_runs, DEFAULT_MAX_TRAINING_RUNS, 0,
							PNEUMO_MOST_TRAINING, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.max_queued_runs",
							"Training runs that may wait until fewer train, for the whole server.",
							"Each takes a background worker; 0 refuses a training that cannot begin at once.",
							&pneumo_max_queued_runs, DEFAULT_MAX_QUEUED_RUNS, 0, PNEUMO_MOST_QUEUED,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pneumo.disk_reserve",
							"Disk space that checkpoints and versions of a training leave free.",
							"What does not fit is not begun; 0 turns the check off.", &pneumo_disk_reserve,
							DEFAULT_DISK_RESERVE, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomStringVariable("pneumo.blas_library",
							   "OpenBLAS library for large matrix products in training.",
							   "A name that the dynamic loader finds, or a path; none uses the "
							   "built-in kernels. A process loads it once.",
							   &pneumo_blas_library, "libopenblas.so.0", PGC_SUSET, 0, NULL, NULL, NULL);
}

void
pneumo_settings_define(void)
{
	define_prediction_settings();
	define_training_settings();
	MarkGUCPrefixReserved("pneumo");
}

NnPath
pneumo_path_best(void)
{
	static int best = -1; /* CPUID is slow in a virtual machine */

	if (best < 0)
		best = (int) nn_path_best();
	return (NnPath) best;
}

NnPath
pneumo_path(void)
{
	NnPath best = pneumo_path_best();

	if (pneumo_simd == SIMD_AUTO || pneumo_simd > (int) best)
		return best;
	return (NnPath) pneumo_simd;
}

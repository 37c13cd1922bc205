/*-------------------------------------------------------------------------
 *
 * check_shortcut.c
 *	  Can the classes be told without radiology?
 *
 * A logistic model on the size of the image, the size of the file and its
 * brightness, cross-validated with all images of a group in one fold.  If it
 * tells the classes, a network can, too, and a figure from rows of the same table
 * is optimistic: the classes come from different sources.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/stats_env.h"
#include "pg/explore/explore.h"

#define N_FEATURES 7
#define CONFIDENCE 0.95
#define SEED 0

static const char *const feature_names[N_FEATURES] = {
	"width", "height", "aspect ratio", "bytes", "components", "mean of brightness", "spread of brightness",
};

/* Labelled items as src/stats wants them. */
typedef struct Rows
{
	size_t n;
	double *feature; /* [n][N_FEATURES] */
	double *single;  /* [n] one of them */
	uint8 *label;
	uint64 *cluster;
	const PneumoCheckItem **item;
} Rows;

/* Collects the items of which a class is known, all that have a label where an image has one class. */
static void
collect(Rows *rows, const PneumoCheck *check, int class)
{
	Size n = (Size) Max(1, check->n);
	int64 i;

	if (rows->feature == NULL)
	{
		rows->feature = MemoryContextAllocHuge(check->cxt, n * N_FEATURES * sizeof(double));
		rows->single = MemoryContextAllocHuge(check->cxt, n * sizeof(double));
		rows->label = MemoryContextAllocHuge(check->cxt, n);
		rows->cluster = MemoryContextAllocHuge(check->cxt, n * sizeof(uint64));
		rows->item = MemoryContextAllocHuge(check->cxt, n * sizeof(PneumoCheckItem *));
	}
	rows->n = 0;
	for (i = 0; i < check->n; i++)
	{
		const PneumoCheckItem *item = &check->items[i];
		double *feature = rows->feature + rows->n * N_FEATURES;

		if (pneumo_check_target(check, item, class) == NN_UNKNOWN)
			continue;
		feature[0] = item->width;
		feature[1] = item->height;
		feature[2] = (double) item->width / item->height;
		feature[3] = (double) item->bytes;
		feature[4] = item->components;
		feature[5] = item->mean;
		feature[6] = item->spread;
		rows->cluster[rows->n] = item->cluster;
		rows->item[rows->n++] = item;
	}
}

const char *
pneumo_check_shortcut_severity(double auc)
{
	return auc > STATS_SHORTCUT_WARNING ? "warning" : "ok";
}

/* Puts what each feature tells alone. */
static void
put_features(PneumoCheck *check, Rows *rows, const StatsShortcut *whole, const StatsEnv *env)
{
	int f;
	size_t i;

	for (f = 0; f < N_FEATURES; f++)
	{
		StatsShortcut result;

		if (whole->model.deviation[f] == 0)
			continue; /* the same for all images */
		for (i = 0; i < rows->n; i++)
			rows->single[i] = rows->feature[i * N_FEATURES + f];
		if (stats_shortcut(&result, NULL, rows->single, 1, rows->label, rows->cluster, rows->n,
						   STATS_SHORTCUT_FOLDS, SEED, CONFIDENCE, env) != STATS_OK)
			continue;
		pneumo_check_put(check, "shortcut", pneumo_check_shortcut_severity(result.auc.auc.value),
						 feature_names[f], (int64) rows->n,
						 psprintf("alone: AUC %.2f (%.2f to %.2f), weight %+.1f", result.auc.auc.value,
								  result.auc.auc.low, result.auc.auc.high, whole->model.weight[f]));
	}
}

/* Computes the shortcut of one class against the others. */
static void
check_class(PneumoCheck *check, Rows *rows, int class)
{
	PneumoStats stats;
	StatsShortcut result;
	StatsStatus status;
	char *against = check->multi_label     ? psprintf("%s: ", check->classes[class])
					: check->n_classes > 2 ? psprintf("%s against the others: ", check->classes[class])
										   : "";
	size_t i;

	pneumo_stats_begin(&stats);
	for (i = 0; i < rows->n; i++)
		rows->label[i] = pneumo_check_target(check, rows->item[i], class) == 1;
	status = stats_shortcut(&result, NULL, rows->feature, N_FEATURES, rows->label, rows->cluster, rows->n,
							STATS_SHORTCUT_FOLDS, SEED, CONFIDENCE, &stats.env);
	if (status != STATS_OK)
	{
		pneumo_check_put(check, "shortcut", "note", NULL, (int64) rows->n,
						 psprintf("%scannot be computed: %s", against, stats_status_text(status)));
		pneumo_stats_end(&stats);
		return;
	}
	pneumo_check_put(
		check, "shortcut", pneumo_check_shortcut_severity(result.auc.auc.value), NULL, (int64) rows->n,
		psprintf(
			"%sAUC %.2f (%.2f to %.2f) from width, height, aspect ratio, bytes, components and brightness alone, %u folds by %s",
			against, result.auc.auc.value, result.auc.auc.low, result.auc.auc.high, result.n_folds,
			check->source->col_group > 0 ? "group" : "image"));
	put_features(check, rows, &result, &stats.env);
	pneumo_stats_end(&stats);
}

int
pneumo_check_positive_class(const PneumoCheck *check)
{
	int positive = 1;
	int c;

	for (c = 0; c < 2; c++)
		if (check->config->positive_class != NULL
				? strcmp(check->classes[c], check->config->positive_class) == 0
				: strcmp(check->classes[c], check->classes[1 - c]) > 0)
			positive = c;
	return positive;
}

void
pneumo_check_shortcut(PneumoCheck *check)
{
	Rows rows;
	int c;

	if (!pneumo_source_labelled(check->source))
		return;
	if (check->n_classes < 2 && !check->multi_label)
	{
		pneumo_check_put(check, "shortcut", "note", NULL, 0, "needs at least two classes");
		return;
	}
	memset(&rows, 0, sizeof(rows));
	if (check->multi_label)
	{
		for (c = 0; c < check->n_classes; c++)
		{
			collect(&rows, check, c);
			check_class(check, &rows, c);
		}
		return;
	}
	collect(&rows, check, 0);
	if (check->n_classes > 2)
	{
		for (c = 0; c < check->n_classes; c++)
			check_class(check, &rows, c);
		return;
	}
	/* which one is positive only turns the signs of the weights */
	check_class(check, &rows, pneumo_check_positive_class(check));
}

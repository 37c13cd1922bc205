/*-------------------------------------------------------------------------
 *
 * fit_findings.c
 *	  Calibration and threshold of each finding of a version, fitted at the end of
 *	  its training on the rows of the validation split of which it is known.
 *
 * What holds of two classes (fit.c) holds of a finding and its absence.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/train/train.h"

void
pneumo_finding_rows(PneumoFindingRows *rows, const PneumoFitRows *in, const double *probability, int finding)
{
	double *score = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, in->n) * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, in->n));
	uint64_t *group = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, in->n) * sizeof(uint64_t));
	size_t n = 0;
	size_t i;

	memset(rows, 0, sizeof(*rows));
	rows->logit = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, in->n) * sizeof(double));
	for (i = 0; i < in->n; i++)
	{
		size_t at = i * in->units + finding;

		if (in->target[at] == NN_UNKNOWN)
			continue;
		score[n] = probability[at];
		rows->logit[n] = in->logit != NULL ? in->logit[at] : 0;
		label[n] = in->target[at];
		group[n++] = in->group[i];
		rows->n_positive += in->target[at];
	}
	rows->rows.score = score;
	rows->rows.label = label;
	rows->rows.cluster = group;
	rows->rows.n = n;
}

void
pneumo_finding_rows_free(PneumoFindingRows *rows)
{
	pfree(unconstify(double *, rows->rows.score));
	pfree(unconstify(uint8_t *, rows->rows.label));
	pfree(unconstify(uint64_t *, rows->rows.cluster));
	pfree(rows->logit);
}

bool
pneumo_finding_is_mixed(const PneumoFindingRows *rows)
{
	return rows->n_positive > 0 && rows->n_positive < rows->rows.n;
}

/* Adds log loss and calibration error of rows under names that end in suffix. */
static void
add_quality(PneumoJson *achieved, const PneumoFindingRows *rows, const char *suffix, double threshold,
			const StatsEnv *env)
{
	StatsFigures figures;
	StatsCalibration calibration;
	StatsCalibrationBin bins[PNEUMO_DEFAULT_BINS];

	pneumo_stats_check(stats_figures(&figures, &rows->rows, threshold, env), "calibration", &rows->rows);
	pneumo_stats_check(stats_calibration(&calibration, bins, PNEUMO_DEFAULT_BINS, STATS_BINS_EQUAL_WIDTH,
										 &rows->rows, PNEUMO_CONFIDENCE, env),
					   "calibration", &rows->rows);
	pneumo_json_add_number(achieved, psprintf("log_loss%s", suffix), figures.log_loss, 9);
	pneumo_json_add_number(achieved, psprintf("ece%s", suffix), calibration.ece.value, 9);
}

/* Fits the calibration of one finding and adds object "calibration". */
static void
fit_calibration(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in, const double *raw,
				int finding, PneumoJson *achieved)
{
	PneumoFinding *own = &meta->findings[finding];
	PneumoFindingRows rows;
	StatsPlatt platt;
	int32_t *label;
	double *calibrated;
	PneumoStats stats;
	size_t i;

	pneumo_finding_rows(&rows, in, raw, finding);
	pneumo_json_open_object(achieved, "calibration");
	pneumo_stats_begin(&stats);
	add_quality(achieved, &rows, "_before", own->threshold, &stats.env);
	own->calibrated = true;
	if (config->calibration == PNEUMO_CALIBRATION_PLATT)
	{
		pneumo_stats_check(stats_fit_platt(&platt, rows.logit, rows.rows.label, rows.rows.n, &stats.env),
						   "calibration", NULL);
		own->a = platt.slope;
		own->b = platt.intercept;
		pneumo_json_add_number(achieved, "slope", platt.slope, 9);
		pneumo_json_add_number(achieved, "intercept", platt.intercept, 9);
		pneumo_json_add_bool(achieved, "bounded", platt.bounded);
	}
	else
	{
		label = MemoryContextAllocHuge(CurrentMemoryContext, rows.rows.n * sizeof(int32_t));
		for (i = 0; i < rows.rows.n; i++)
			label[i] = rows.rows.label[i];
		pneumo_stats_check(stats_fit_temperature(&own->a, rows.logit, label, rows.rows.n, 1, &stats.env),
						   "calibration", NULL);
		pfree(label);
		pneumo_json_add_number(achieved, "temperature", own->a, 9);
	}
	pneumo_finding_rows_free(&rows);
	calibrated = pneumo_fit_probabilities(meta, in);
	pneumo_finding_rows(&rows, in, calibrated, finding);
	add_quality(achieved, &rows, "", own->threshold, &stats.env);
	pneumo_stats_end(&stats);
	pneumo_json_close(achieved);
	pneumo_finding_rows_free(&rows);
	pfree(calibrated);
}

/* Fits the threshold of one finding and adds object "operating_point"; false if none can show what is asked for. */
static bool
fit_threshold(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in, int finding,
			  PneumoJson *achieved)
{
	double *probability = pneumo_fit_probabilities(meta, in);
	PneumoFindingRows rows;
	StatsOperatingPoint point;
	PneumoStats stats;
	StatsStatus status;

	pneumo_finding_rows(&rows, in, probability, finding);
	pneumo_stats_begin(&stats);
	status = stats_operating_point(&point, &config->operating_point, &rows.rows, &stats.env);
	pneumo_stats_end(&stats);
	if (status != STATS_UNREACHABLE)
	{
		pneumo_stats_check(status, "operating_point", &rows.rows);
		meta->findings[finding].threshold = point.threshold;
		pneumo_json_open_object(achieved, "operating_point");
		pneumo_fit_add_point(achieved, &point, &config->operating_point);
		pneumo_json_close(achieved);
	}
	pneumo_finding_rows_free(&rows);
	pfree(probability);
	return status != STATS_UNREACHABLE;
}

double *
pneumo_fit_findings(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in,
					PneumoJson *achieved, List **not_fitted)
{
	bool calibrate = config->calibration != PNEUMO_CALIBRATION_NONE;
	bool choose = config->operating_point.rule != STATS_THRESHOLD_FIXED;
	double *raw;
	int f;

	pneumo_fit_none(meta, config);
	*not_fitted = NIL;
	if (!calibrate && !choose)
		return pneumo_fit_probabilities(meta, in);
	raw = pneumo_fit_probabilities(meta, in);
	meta->calibration = (PneumoCalibrationKind) config->calibration;
	meta->operating_point = pneumo_fit_rule(&config->operating_point);
	pneumo_json_open_object(achieved, "fitted");
	for (f = 0; f < meta->n_classes; f++)
	{
		PneumoFindingRows rows;
		bool mixed;

		pneumo_finding_rows(&rows, in, raw, f);
		mixed = pneumo_finding_is_mixed(&rows);
		pneumo_finding_rows_free(&rows);
		if (!mixed)
		{
			*not_fitted = lappend(*not_fitted, meta->classes[f]);
			continue;
		}
		pneumo_json_open_object(achieved, meta->classes[f]);
		if (calibrate)
			fit_calibration(meta, config, in, raw, f, achieved);
		if (choose && !fit_threshold(meta, config, in, f, achieved))
			*not_fitted = lappend(*not_fitted, meta->classes[f]);
		pneumo_json_close(achieved);
	}
	pneumo_json_close(achieved);
	pfree(raw);
	return pneumo_fit_probabilities(meta, in);
}

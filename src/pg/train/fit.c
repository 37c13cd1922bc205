/*-------------------------------------------------------------------------
 *
 * fit.c
 *	  Calibration and operating point of a version, fitted at the end of its
 *	  training on the validation split, with the scores of the weights that are
 *	  stored, computed by the kernels that predict.
 *
 * The operating point is on the calibrated scale.  What both achieved on the
 * rows they were fitted on goes into the version's metrics, marked as such.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"

/* ------------------------------------------------------------------ checks */

void
pneumo_fit_check_classes(const PneumoConfig *config, int n_classes)
{
	if (n_classes == 2 || config->multi_label)
		return;
	if (config->calibration == PNEUMO_CALIBRATION_PLATT)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("config key \"calibration\" is \"platt\", which is for two classes, the labels have %d",
					n_classes),
			 errhint("Use \"temperature\".")));
	if (config->operating_point.rule != STATS_THRESHOLD_FIXED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"operating_point\" is for two classes, the labels have %d", n_classes)));
}

static uint64
group_number(const PneumoSample *sample)
{
	uint64 number;

	memcpy(&number, sample->group, sizeof(number));
	return number;
}

/*
 * Tries the threshold that calls every row positive, which is the most that any
 * threshold can do.
 */
void
pneumo_fit_check_groups(const PneumoConfig *config, const PneumoDataset *dataset)
{
	size_t n = (size_t) dataset->split_rows[PNEUMO_VALIDATION];
	PneumoStats stats;
	StatsOperatingPoint point;
	StatsStatus status;
	double *score;
	uint8_t *label;
	uint64_t *group;
	StatsRows rows;
	int64 i;
	size_t k = 0;

	if (config->operating_point.rule != STATS_THRESHOLD_SENSITIVITY_LIMIT || n == 0 ||
		dataset->n_classes != 2 || dataset->multi_label)
		return;
	score = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(double));
	label = MemoryContextAllocHuge(CurrentMemoryContext, n);
	group = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(uint64_t));
	for (i = 0; i < dataset->n && k < n; i++)
	{
		if (dataset->samples[i].split != PNEUMO_VALIDATION)
			continue;
		score[k] = 0.5;
		label[k] = dataset->samples[i].label == 1;
		group[k] = group_number(&dataset->samples[i]);
		k++;
	}
	rows.score = score;
	rows.label = label;
	rows.cluster = group;
	rows.n = k;
	pneumo_stats_begin(&stats);
	status = stats_operating_point(&point, &config->operating_point, &rows, &stats.env);
	pneumo_stats_end(&stats);
	pfree(score);
	pfree(label);
	pfree(group);
	if (status == STATS_UNREACHABLE)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg(
				 "config key \"operating_point\" demands a sensitivity of %g at confidence %g, which no threshold can show on the validation split",
				 config->operating_point.sensitivity, config->operating_point.confidence),
			 errdetail("It has %lld groups of the positive class.",
					   (long long) dataset->groups[PNEUMO_VALIDATION][1]),
			 errhint("Raise \"validation_split\", or demand less.")));
	pneumo_stats_check(status, "operating_point", &rows);
}

/* ------------------------------------------------------------------ fitting */

/* Returns the shortest text that is read back as the same number, whatever extra_float_digits says. */
static char *
shortest(double number)
{
	char *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

	double_to_shortest_decimal_buf(number, text);
	return text;
}

/* Figures by which a calibration is judged. */
typedef struct Quality
{
	double log_loss;
	double ece; /* NaN for more than two classes */
} Quality;

double *
pneumo_fit_probabilities(const PneumoModelMeta *meta, const PneumoFitRows *in)
{
	double *dst = MemoryContextAllocHuge(CurrentMemoryContext, in->n * meta->n_classes * sizeof(double));
	size_t i;

	for (i = 0; i < in->n; i++)
		pneumo_meta_probabilities(dst + i * meta->n_classes, meta, in->units, in->probability + i * in->units,
								  in->logit + i * in->units);
	return dst;
}

/* Returns the rows of two classes, to be freed with free_rows(). */
static StatsRows
binary_rows(const double *probability, const PneumoFitRows *in)
{
	double *score = MemoryContextAllocHuge(CurrentMemoryContext, in->n * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, in->n);
	StatsRows rows = {score, label, in->group, in->n};
	size_t i;

	for (i = 0; i < in->n; i++)
	{
		score[i] = probability[2 * i + 1];
		label[i] = in->label[i] == 1;
	}
	return rows;
}

static void
free_rows(StatsRows *rows)
{
	pfree(unconstify(double *, rows->score));
	pfree(unconstify(uint8_t *, rows->label));
}

/* Returns the quality of the probabilities that meta makes of the scores; an error if it is not defined. */
static Quality
judge(const PneumoModelMeta *meta, const PneumoFitRows *in)
{
	double *probability = pneumo_fit_probabilities(meta, in);
	PneumoStats stats;
	Quality quality = {NAN, NAN};

	pneumo_stats_begin(&stats);
	if (meta->n_classes == 2)
	{
		StatsRows rows = binary_rows(probability, in);
		StatsFigures figures;
		StatsCalibration calibration;
		StatsCalibrationBin bins[PNEUMO_DEFAULT_BINS];

		pneumo_stats_check(stats_figures(&figures, &rows, meta->threshold, &stats.env), "calibration", &rows);
		pneumo_stats_check(stats_calibration(&calibration, bins, PNEUMO_DEFAULT_BINS, STATS_BINS_EQUAL_WIDTH,
											 &rows, PNEUMO_CONFIDENCE, &stats.env),
						   "calibration", &rows);
		quality.log_loss = figures.log_loss;
		quality.ece = calibration.ece.value;
		free_rows(&rows);
	}
	else
	{
		StatsClassRows rows = {probability, in->label, NULL, in->n, meta->n_classes};
		StatsClassFigures figures;

		pneumo_stats_check(stats_class_figures(&figures, NULL, NULL, NULL, &rows, &stats.env), "calibration",
						   NULL);
		quality.log_loss = figures.log_loss;
	}
	pneumo_stats_end(&stats);
	pfree(probability);
	return quality;
}

static void
fit_platt(PneumoModelMeta *meta, const double *logit, const PneumoFitRows *in, PneumoJson *achieved,
		  const StatsEnv *env)
{
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, in->n);
	StatsPlatt platt;
	size_t i;

	for (i = 0; i < in->n; i++)
		label[i] = in->label[i] == 1;
	pneumo_stats_check(stats_fit_platt(&platt, logit, label, in->n, env), "calibration", NULL);
	pfree(label);
	meta->calibration = PNEUMO_CALIBRATION_PLATT;
	meta->calibration_a = platt.slope;
	meta->calibration_b = platt.intercept;
	pneumo_json_add_string(achieved, "method", "platt");
	pneumo_json_add_number(achieved, "slope", platt.slope, 9);
	pneumo_json_add_number(achieved, "intercept", platt.intercept, 9);
	pneumo_json_add_bool(achieved, "bounded", platt.bounded);
}

static void
fit_temperature(PneumoModelMeta *meta, const double *logit, int n_logits, const PneumoFitRows *in,
				PneumoJson *achieved, const StatsEnv *env)
{
	double temperature;

	pneumo_stats_check(stats_fit_temperature(&temperature, logit, in->label, in->n, n_logits, env),
					   "calibration", NULL);
	meta->calibration = PNEUMO_CALIBRATION_TEMPERATURE;
	meta->calibration_a = temperature;
	pneumo_json_add_string(achieved, "method", "temperature");
	pneumo_json_add_number(achieved, "temperature", temperature, 9);
}

/* Fits the calibration of meta and adds object "calibration", with the figures before and after. */
static void
fit_calibration(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in,
				PneumoJson *achieved)
{
	int n_logits = meta->n_classes == 2 ? 1 : meta->n_classes;
	double *logit = MemoryContextAllocHuge(CurrentMemoryContext, in->n * n_logits * sizeof(double));
	Quality before = judge(meta, in);
	Quality after;
	PneumoStats stats;
	size_t i;

	if (n_logits > 1 || in->units == 1)
	{
		for (i = 0; i < in->n * n_logits; i++)
			logit[i] = in->logit[i];
	}
	else
	{
		for (i = 0; i < in->n; i++)
			logit[i] = (double) in->logit[2 * i + 1] - (double) in->logit[2 * i];
	}
	pneumo_json_open_object(achieved, "calibration");
	pneumo_stats_begin(&stats);
	if (config->calibration == PNEUMO_CALIBRATION_PLATT)
		fit_platt(meta, logit, in, achieved, &stats.env);
	else
		fit_temperature(meta, logit, n_logits, in, achieved, &stats.env);
	pneumo_stats_end(&stats);
	pfree(logit);
	after = judge(meta, in);
	pneumo_json_add_number(achieved, "log_loss_before", before.log_loss, 9);
	pneumo_json_add_number(achieved, "log_loss", after.log_loss, 9);
	pneumo_json_add_number(achieved, "ece_before", before.ece, 9);
	pneumo_json_add_number(achieved, "ece", after.ece, 9);
	pneumo_json_close(achieved);
}

const char *
pneumo_fit_rule(const StatsThresholdDemand *demand)
{
	switch (demand->rule)
	{
		case STATS_THRESHOLD_FIXED:
			return psprintf("{\"threshold\": %s}", shortest(demand->threshold));
		case STATS_THRESHOLD_YOUDEN:
			return "\"youden\"";
		case STATS_THRESHOLD_SENSITIVITY:
			return psprintf("{\"sensitivity\": %s}", shortest(demand->sensitivity));
		default:
			return psprintf("{\"sensitivity\": %s, \"confidence\": %s}", shortest(demand->sensitivity),
							shortest(demand->confidence));
	}
}

static void
add_figure(PneumoJson *json, const char *name, const StatsInterval *figure)
{
	pneumo_json_open_object(json, name);
	pneumo_json_add_number(json, "value", figure->value, 9);
	pneumo_json_add_number(json, "low", figure->low, 9);
	pneumo_json_add_number(json, "high", figure->high, 9);
	pneumo_json_close(json);
}

void
pneumo_fit_add_point(PneumoJson *achieved, const StatsOperatingPoint *point,
					 const StatsThresholdDemand *demand)
{
	pneumo_json_add_number(achieved, "threshold", point->threshold, 9);
	pneumo_json_add_number(achieved, "confidence", demand->confidence, 9);
	add_figure(achieved, "sensitivity", &point->sensitivity);
	add_figure(achieved, "specificity", &point->specificity);
	if (demand->rule == STATS_THRESHOLD_SENSITIVITY_LIMIT)
		pneumo_json_add_number(achieved, "sensitivity_limit", point->sensitivity_limit, 9);
	pneumo_json_add_int(achieved, "true_positive", (int64) point->counts.tp);
	pneumo_json_add_int(achieved, "false_positive", (int64) point->counts.fp);
	pneumo_json_add_int(achieved, "true_negative", (int64) point->counts.tn);
	pneumo_json_add_int(achieved, "false_negative", (int64) point->counts.fn);
}

/*
 * Fits the threshold of meta and adds object "operating_point", with what the
 * threshold achieves.  The text of meta->operating_point is part of the
 * version's bytes, so its spaces and digits must never change.
 */
static void
fit_operating_point(PneumoModelMeta *meta, const PneumoConfig *config, const double *probability,
					const PneumoFitRows *in, PneumoJson *achieved)
{
	const StatsThresholdDemand *demand = &config->operating_point;
	StatsRows rows = binary_rows(probability, in);
	StatsOperatingPoint point;
	PneumoStats stats;

	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_operating_point(&point, demand, &rows, &stats.env), "operating_point", &rows);
	pneumo_stats_end(&stats);
	free_rows(&rows);
	meta->threshold = point.threshold;
	meta->operating_point = pneumo_fit_rule(demand);
	pneumo_json_open_object(achieved, "operating_point");
	pneumo_fit_add_point(achieved, &point, demand);
	pneumo_json_close(achieved);
}

void
pneumo_fit_none(PneumoModelMeta *meta, const PneumoConfig *config)
{
	int i;

	meta->calibration = PNEUMO_CALIBRATION_NONE;
	meta->calibration_a = 1;
	meta->calibration_b = 0;
	meta->threshold = config->threshold;
	meta->operating_point = psprintf("{\"threshold\": %s}", shortest(config->threshold));
	for (i = 0; i < meta->n_classes && meta->multi_label; i++)
	{
		meta->findings[i].calibrated = false;
		meta->findings[i].a = 1;
		meta->findings[i].b = 0;
		meta->findings[i].threshold = config->threshold;
	}
}

double *
pneumo_fit(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in, PneumoJson *achieved)
{
	double *probability;

	pneumo_fit_none(meta, config);
	if (config->calibration != PNEUMO_CALIBRATION_NONE)
		fit_calibration(meta, config, in, achieved);
	probability = pneumo_fit_probabilities(meta, in);
	if (config->operating_point.rule != STATS_THRESHOLD_FIXED)
		fit_operating_point(meta, config, probability, in, achieved);
	return probability;
}

/*-------------------------------------------------------------------------
 *
 * logistic.c
 *		Logistic regression on a few standardised features.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_NEWTON 100
#define PENALTY 1.0                           /* of the squared weights, halved */
#define N_PARAMETERS (STATS_MAX_FEATURES + 1) /* the intercept comes last */

typedef struct Fit
{
	const double *feature;
	const uint8_t *label;
	const uint8_t *use;
	size_t n;
	const StatsEnv *env;
} Fit;

/* Objective, gradient and Hessian at one point. */
typedef struct Slope
{
	double loss;
	double gradient[N_PARAMETERS];
	double hessian[N_PARAMETERS][N_PARAMETERS]; /* lower triangle */
} Slope;

static void
standardise(double *x, const StatsLogistic *model, const double *feature)
{
	for (size_t j = 0; j < model->n_features; j++)
		x[j] = model->deviation[j] > 0.0 ? (feature[j] - model->mean[j]) / model->deviation[j] : 0.0;
	x[model->n_features] = 1.0;
}

/* Fills means and deviations in two passes, so that a mean far from zero costs no digits. */
static void
measure_features(StatsLogistic *model, const Fit *fit)
{
	size_t d = model->n_features;
	double count = 0.0;
	double largest[STATS_MAX_FEATURES] = {0};

	memset(model->mean, 0, sizeof(model->mean));
	memset(model->deviation, 0, sizeof(model->deviation));
	for (size_t i = 0; i < fit->n; i++)
	{
		if (fit->use != NULL && !fit->use[i])
			continue;
		count += 1.0;
		for (size_t j = 0; j < d; j++)
			model->mean[j] += (fit->feature[i * d + j] - model->mean[j]) / count;
	}
	for (size_t i = 0; i < fit->n; i++)
	{
		if (fit->use != NULL && !fit->use[i])
			continue;
		for (size_t j = 0; j < d; j++)
		{
			double away = fit->feature[i * d + j] - model->mean[j];

			model->deviation[j] += away * away / count;
			largest[j] = fmax(largest[j], fabs(fit->feature[i * d + j]));
		}
	}
	for (size_t j = 0; j < d; j++)
	{
		model->deviation[j] = sqrt(model->deviation[j]);
		if (model->deviation[j] <= 1e-12 * largest[j])
			model->deviation[j] = 0.0;
	}
}

/* Computes objective, gradient and Hessian at the weights w; the last one is the intercept. */
static StatsStatus
slope_at(Slope *at, const StatsLogistic *model, const double *w, const Fit *fit)
{
	size_t d = model->n_features;

	memset(at, 0, sizeof(*at));
	for (size_t j = 0; j < d; j++)
	{
		at->loss += 0.5 * PENALTY * w[j] * w[j];
		at->gradient[j] = PENALTY * w[j];
		at->hessian[j][j] = PENALTY;
	}
	for (size_t i = 0; i < fit->n; i++)
	{
		double x[N_PARAMETERS];
		double z = 0.0;
		double p;

		if (stats_stopped(fit->env, (i + 1) * 64))
			return STATS_INTERRUPTED;
		if (fit->use != NULL && !fit->use[i])
			continue;
		standardise(x, model, fit->feature + i * d);
		for (size_t j = 0; j <= d; j++)
			z += w[j] * x[j];
		p = stats_sigmoid(z);
		at->loss += stats_soft_plus(fit->label[i] ? -z : z);
		for (size_t j = 0; j <= d; j++)
		{
			at->gradient[j] += (p - fit->label[i]) * x[j];
			for (size_t k = 0; k <= j; k++)
				at->hessian[j][k] += p * (1.0 - p) * x[j] * x[k];
		}
	}
	return STATS_OK;
}

/* Solves hessian * step = gradient by Cholesky, in place; false if singular. */
static bool
solve(double *step, Slope *at, size_t n)
{
	for (size_t j = 0; j < n; j++)
	{
		for (size_t k = 0; k <= j; k++)
		{
			double sum = at->hessian[j][k];

			for (size_t m = 0; m < k; m++)
				sum -= at->hessian[j][m] * at->hessian[k][m];
			if (j != k)
				at->hessian[j][k] = sum / at->hessian[k][k];
			else if (sum > 0.0)
				at->hessian[j][j] = sqrt(sum);
			else
				return false;
		}
		step[j] = at->gradient[j];
		for (size_t m = 0; m < j; m++)
			step[j] -= at->hessian[j][m] * step[m];
		step[j] /= at->hessian[j][j];
	}
	for (size_t j = n; j-- > 0;)
	{
		for (size_t m = j + 1; m < n; m++)
			step[j] -= at->hessian[m][j] * step[m];
		step[j] /= at->hessian[j][j];
	}
	return true;
}

/* Minimises the objective by Newton's method with step halving; w holds start and result. */
static StatsStatus
newton(double *w, const StatsLogistic *model, const Fit *fit)
{
	size_t n = model->n_features + 1;
	Slope now;
	Slope next;
	StatsStatus status = slope_at(&now, model, w, fit);

	for (int iteration = 0; status == STATS_OK && iteration < MAX_NEWTON; iteration++)
	{
		double step[N_PARAMETERS];
		double trial[N_PARAMETERS];
		double most = now.loss * (1.0 + STATS_NEWTON_NOISE);
		double scale = 1.0;
		double decrement = 0.0;

		if (!solve(step, &now, n))
			return STATS_NO_CONVERGENCE;
		for (size_t j = 0; j < n; j++)
			decrement += now.gradient[j] * step[j];
		if (decrement <= STATS_NEWTON_DECREMENT)
			break;
		for (int half = 0; half < 50; half++, scale *= 0.5)
		{
			for (size_t j = 0; j < n; j++)
				trial[j] = w[j] - scale * step[j];
			status = slope_at(&next, model, trial, fit);
			if (status != STATS_OK || next.loss <= most)
				break;
		}
		if (status != STATS_OK || !(next.loss <= most))
			break;
		memcpy(w, trial, n * sizeof(double));
		now = next;
	}
	return status;
}

StatsStatus
stats_fit_logistic(StatsLogistic *model, const double *feature, size_t n_features, const uint8_t *label,
				   const uint8_t *use, size_t n, const StatsEnv *env)
{
	Fit fit = {feature, label, use, n, env};
	double w[N_PARAMETERS] = {0};
	size_t count[2] = {0, 0};
	StatsStatus status;

	if (n == 0)
		return STATS_NO_ROWS;
	if (n_features < 1 || n_features > STATS_MAX_FEATURES)
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < n; i++)
	{
		if (label[i] > 1)
			return STATS_BAD_LABEL;
		if (use == NULL || use[i])
			count[label[i]]++;
		for (size_t j = 0; j < n_features; j++)
			if (!isfinite(feature[i * n_features + j]))
				return STATS_BAD_ARGUMENT;
	}
	if (count[0] == 0 || count[1] == 0)
		return STATS_ONE_CLASS;
	memset(model, 0, sizeof(*model));
	model->n_features = n_features;
	measure_features(model, &fit);
	status = newton(w, model, &fit);
	memcpy(model->weight, w, n_features * sizeof(double));
	model->intercept = w[n_features];
	return status;
}

double
stats_logistic_score(const StatsLogistic *model, const double *feature)
{
	double x[N_PARAMETERS];
	double z = model->intercept;

	standardise(x, model, feature);
	for (size_t j = 0; j < model->n_features; j++)
		z += model->weight[j] * x[j];
	return stats_sigmoid(z);
}

/*-------------------------------------------------------------------------
 *
 * scaling.c
 *		Calibration maps fitted on validation data: Platt's sigmoid and a
 *		temperature.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_NEWTON 200
#define MAX_BISECTION 200

double
stats_sigmoid(double x)
{
	double e;

	if (x >= 0.0)
		return 1.0 / (1.0 + exp(-x));
	e = exp(x);
	return e / (1.0 + e);
}

double
stats_logit(double p)
{
	p = stats_clip_probability(p);
	return log(p) - log1p(-p);
}

double
stats_soft_plus(double x)
{
	return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

typedef struct PlattFit
{
	const double *logit;
	const uint8_t *label;
	size_t n;
	double target[2]; /* smoothed */
	const StatsEnv *env;
} PlattFit;

/* Cross-entropy to the smoothed targets, its gradient and Hessian. */
typedef struct PlattSlope
{
	double loss;
	double da;
	double db;
	double daa;
	double dab;
	double dbb;
} PlattSlope;

static StatsStatus
platt_slope(PlattSlope *at, const PlattFit *fit, double a, double b)
{
	memset(at, 0, sizeof(*at));
	for (size_t i = 0; i < fit->n; i++)
	{
		double z = fit->logit[i];
		double x = a * z + b;
		double p = stats_sigmoid(x);
		double t = fit->target[fit->label[i]];
		double w = p * (1.0 - p);

		at->loss += stats_soft_plus(x) - t * x;
		at->da += (p - t) * z;
		at->db += p - t;
		at->daa += w * z * z;
		at->dab += w * z;
		at->dbb += w;
		if (stats_stopped(fit->env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Minimises the loss, which is convex, by Newton's method with step halving.
 * With the slope fixed only the intercept moves.
 */
static StatsStatus
fit_platt(double *a, double *b, const PlattFit *fit, bool fixed_slope)
{
	PlattSlope now;
	StatsStatus status = platt_slope(&now, fit, *a, *b);

	for (int step = 0; status == STATS_OK && step < MAX_NEWTON; step++)
	{
		/* a ridge at rounding level keeps a flat direction solvable */
		double daa = now.daa * (1.0 + 1e-12) + 1e-300;
		double dbb = now.dbb * (1.0 + 1e-12) + 1e-300;
		double det = daa * dbb - now.dab * now.dab;
		double step_a = 0.0;
		double step_b = -now.db / dbb;
		double scale = 1.0;
		double most = now.loss * (1.0 + STATS_NEWTON_NOISE);
		PlattSlope next = now;

		if (!fixed_slope)
		{
			step_a = -(dbb * now.da - now.dab * now.db) / det;
			step_b = -(daa * now.db - now.dab * now.da) / det;
		}
		if (!isfinite(step_a) || !isfinite(step_b))
			return STATS_NO_CONVERGENCE;
		if (-(now.da * step_a + now.db * step_b) <= STATS_NEWTON_DECREMENT)
			break;
		for (int half = 0; half < 60; half++, scale *= 0.5)
		{
			status = platt_slope(&next, fit, *a + scale * step_a, *b + scale * step_b);
			if (status != STATS_OK || next.loss <= most)
				break;
		}
		if (status != STATS_OK || !(next.loss <= most))
			break;
		*a += scale * step_a;
		*b += scale * step_b;
		now = next;
	}
	return status;
}

StatsStatus
stats_fit_platt(StatsPlatt *platt, const double *logit, const uint8_t *label, size_t n, const StatsEnv *env)
{
	PlattFit fit = {logit, label, n, {0.0, 0.0}, env};
	double count[2] = {0.0, 0.0};
	double a = 0.0; /* where the Hessian is largest */
	double b = 0.0;
	double bound;
	StatsStatus status;

	if (n == 0)
		return STATS_NO_ROWS;
	for (size_t i = 0; i < n; i++)
	{
		if (!isfinite(logit[i]))
			return STATS_BAD_ARGUMENT;
		if (label[i] > 1)
			return STATS_BAD_LABEL;
		count[label[i]] += 1.0;
	}
	if (count[0] == 0.0 || count[1] == 0.0)
		return STATS_ONE_CLASS;
	fit.target[0] = 1.0 / (count[0] + 2.0);
	fit.target[1] = (count[1] + 1.0) / (count[1] + 2.0);
	status = fit_platt(&a, &b, &fit, false);
	platt->bounded = false;
	bound = fmin(STATS_PLATT_MAX_SLOPE, fmax(STATS_PLATT_MIN_SLOPE, a));
	if (status == STATS_NO_CONVERGENCE || (status == STATS_OK && (bound < a || bound > a)))
	{
		platt->bounded = true;
		a = isnan(bound) ? 1.0 : bound;
		b = 0.0;
		status = fit_platt(&a, &b, &fit, true);
	}
	platt->slope = a;
	platt->intercept = b;
	return status;
}

/*
 * Computes the derivative of the summed loss by 1 / temperature: the mean logit
 * under the model minus the logit of the true class.  It rises with
 * 1 / temperature.
 */
static StatsStatus
temperature_slope(double *slope, double beta, const double *logit, const int32_t *label, size_t n, int32_t k,
				  const StatsEnv *env)
{
	*slope = 0.0;
	for (size_t i = 0; i < n; i++)
	{
		const double *z = logit + i * (size_t) k;

		if (k == 1)
			*slope += label[i] ? -stats_sigmoid(-beta * z[0]) * z[0] : stats_sigmoid(beta * z[0]) * z[0];
		else
		{
			double most = z[0];
			double sum = 0.0;
			double mean = 0.0;

			for (int32_t c = 1; c < k; c++)
				most = fmax(most, z[c]);
			for (int32_t c = 0; c < k; c++)
			{
				double e = exp(beta * (z[c] - most));

				sum += e;
				mean += e * (z[c] - most);
			}
			*slope += mean / sum - (z[label[i]] - most);
		}
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

StatsStatus
stats_fit_temperature(double *temperature, const double *logit, const int32_t *label, size_t n,
					  int32_t n_logits, const StatsEnv *env)
{
	double low = 1.0 / STATS_MAX_TEMPERATURE;
	double high = 1.0 / STATS_MIN_TEMPERATURE;
	int32_t n_classes = n_logits == 1 ? 2 : n_logits;

	if (n == 0)
		return STATS_NO_ROWS;
	if (n_logits < 1 || n > SIZE_MAX / (size_t) n_logits)
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < n * (size_t) n_logits; i++)
		if (!isfinite(logit[i]))
			return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < n; i++)
		if (label[i] < 0 || label[i] >= n_classes)
			return STATS_BAD_LABEL;
	for (int step = 0; step < MAX_BISECTION; step++)
	{
		double middle = 0.5 * (low + high);
		double slope;
		StatsStatus status;

		if (middle <= low || middle >= high)
			break;
		status = temperature_slope(&slope, middle, logit, label, n, n_logits, env);
		if (status != STATS_OK)
			return status;
		/* flat to the last bit: towards temperature 1 */
		if (slope < 0.0 || (slope <= 0.0 && middle < 1.0))
			low = middle;
		else
			high = middle;
	}
	*temperature = fmin(STATS_MAX_TEMPERATURE, fmax(STATS_MIN_TEMPERATURE, 2.0 / (low + high)));
	return STATS_OK;
}

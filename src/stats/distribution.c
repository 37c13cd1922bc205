/*-------------------------------------------------------------------------
 *
 * distribution.c
 *		Normal, Student and beta distributions: tails and quantiles.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define SQRT_HALF 0.70710678118654752440
#define MAX_STEPS 300    /* of a bisection; doubles are exhausted before */
#define MANY_DEGREES 1e6 /* Student's t is normal to 6 digits */

double
stats_normal_cdf(double x)
{
	return 0.5 * erfc(-x * SQRT_HALF);
}

double
stats_normal_quantile(double p)
{
	double low = -40.0;
	double high = 0.0;

	if (!(p > 0.0 && p < 1.0))
		return p == 0.0 ? -INFINITY : p == 1.0 ? INFINITY : NAN;
	/* the lower tail keeps its digits */
	if (p > 0.5)
		return -stats_normal_quantile(1.0 - p);
	for (int step = 0; step < MAX_STEPS; step++)
	{
		double middle = 0.5 * (low + high);

		if (middle == low || middle == high)
			break;
		if (stats_normal_cdf(middle) < p)
			low = middle;
		else
			high = middle;
	}
	return 0.5 * (low + high);
}

double
stats_two_sided_z(double confidence)
{
	return -stats_normal_quantile(0.5 * (1.0 - confidence));
}

double
stats_two_sided_normal_p(double z)
{
	return erfc(fabs(z) * SQRT_HALF);
}

/*
 * Returns ln Gamma(x) for x > 0: Stirling's series above 10, the recurrence
 * below.  The library's lgamma writes a global sign, which threads would share.
 */
static double
log_gamma(double x)
{
	double shift = 0.0;
	double r;

	while (x < 10.0)
	{
		shift -= log(x);
		x += 1.0;
	}
	r = 1.0 / (x * x);
	return shift + (x - 0.5) * log(x) - x + 0.91893853320467274178 +
		   (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / x;
}

/*
 * Computes the continued fraction of the incomplete beta function (Abramowitz
 * and Stegun 26.5.8), evaluated from the front (Lentz); converges for x <
 * (a+1)/(a+b+2).
 */
static double
beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double c = 1.0;
	double d = 1.0 - (a + b) * x / (a + 1.0);
	double f;

	d = 1.0 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m < 10000; m++)
	{
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double delta;

		d = 1.0 + even * d;
		c = 1.0 + even / c;
		d = 1.0 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		f *= d * c;
		d = 1.0 + odd * d;
		c = 1.0 + odd / c;
		d = 1.0 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		delta = d * c;
		f *= delta;
		if (fabs(delta - 1.0) < 1e-16)
			break;
	}
	return f;
}

double
stats_beta_cdf(double x, double a, double b)
{
	double front;

	if (x <= 0.0)
		return 0.0;
	if (x >= 1.0)
		return 1.0;
	front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1.0) / (a + b + 2.0))
		return front * beta_fraction(x, a, b) / a;
	return 1.0 - front * beta_fraction(1.0 - x, b, a) / b;
}

double
stats_exact_lower(double x, double n, double confidence)
{
	double low = 0.0;
	double high = 1.0;

	if (x <= 0.0)
		return 0.0;
	for (int step = 0; step < MAX_STEPS; step++)
	{
		double middle = 0.5 * (low + high);

		if (middle <= low || middle >= high)
			break;
		if (stats_beta_cdf(middle, x, n - x + 1.0) < 1.0 - confidence)
			low = middle;
		else
			high = middle;
	}
	return low;
}

bool
stats_exact_reaches(double x, double n, double target, double confidence)
{
	double p = x / n;
	double divergence;

	/* the limit is below the proportion itself */
	if (p <= target)
		return false;
	/* far above, Chernoff's bound of the tail decides without the beta function */
	divergence = p * log(p / target) + (p < 1.0 ? (1.0 - p) * log((1.0 - p) / (1.0 - target)) : 0.0);
	if (exp(-n * divergence) < 1e-3 * (1.0 - confidence))
		return true;
	return stats_beta_cdf(target, x, n - x + 1.0) <= 1.0 - confidence;
}

double
stats_two_sided_t_p(double t, double df)
{
	if (df < 1.0)
		df = 1.0;
	if (df > MANY_DEGREES)
		return stats_two_sided_normal_p(t);
	return stats_beta_cdf(df / (df + t * t), 0.5 * df, 0.5);
}

double
stats_two_sided_t(double confidence, double df)
{
	double alpha = 1.0 - confidence;
	double low;
	double high;

	if (df < 1.0)
		df = 1.0;
	if (df > MANY_DEGREES)
		return stats_two_sided_z(confidence);
	low = 0.0;
	high = 1e12;
	for (int step = 0; step < MAX_STEPS; step++)
	{
		/* geometric above 1, so that a wide range costs few steps */
		double middle = low > 1.0 ? sqrt(low * high) : 0.5 * (low + high);
		double tail;

		if (low == 0.0 && high > 4.0)
			middle = high > 1e6 ? 1e6 : high > 1e3 ? 1e3 : 2.0;
		if (middle <= low || middle >= high)
			break;
		tail = stats_two_sided_t_p(middle, df);
		if (tail > alpha)
			low = middle;
		else
			high = middle;
	}
	return 0.5 * (low + high);
}

/*-------------------------------------------------------------------------
 *
 * eigen.c
 *		Eigenvalues and eigenvectors of a symmetric matrix: LAPACK if the
 *		caller has one, else Jacobi rotations.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_SWEEPS 100

/*
 * Rotates rows p and q of both matrices and columns p and q of a, so that
 * a[p][q] becomes 0 (Golub and Van Loan, section 8.5).  a is kept whole.
 */
static void
rotate(double *a, double *v, size_t n, size_t p, size_t q)
{
	double apq = a[p * n + q];
	double tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
	double t = copysign(1.0, tau) / (fabs(tau) + hypot(1.0, tau));
	double c = 1.0 / hypot(1.0, t);
	double s = t * c;

	for (size_t k = 0; k < n; k++)
	{
		double x = a[p * n + k];
		double y = a[q * n + k];

		a[p * n + k] = c * x - s * y;
		a[q * n + k] = s * x + c * y;
		x = v[p * n + k];
		y = v[q * n + k];
		v[p * n + k] = c * x - s * y;
		v[q * n + k] = s * x + c * y;
	}
	for (size_t k = 0; k < n; k++)
	{
		double x = a[k * n + p];
		double y = a[k * n + q];

		a[k * n + p] = c * x - s * y;
		a[k * n + q] = s * x + c * y;
	}
	a[p * n + q] = a[q * n + p] = 0.0;
}

/* Rotates until a is diagonal; rows of v become eigenvectors, the diagonal of a the eigenvalues. */
static StatsStatus
jacobi(double *a, double *v, size_t n, const StatsEnv *env)
{
	size_t work = 0;
	double norm = 0.0;

	memset(v, 0, n * n * sizeof(double));
	for (size_t i = 0; i < n; i++)
	{
		v[i * n + i] = 1.0;
		for (size_t j = 0; j < n; j++)
			norm = hypot(norm, a[i * n + j]);
	}
	for (int sweep = 0; sweep < MAX_SWEEPS; sweep++)
	{
		double off = 0.0;

		for (size_t p = 0; p < n; p++)
			for (size_t q = p + 1; q < n; q++)
			{
				if (fabs(a[p * n + q]) <= 1e-17 * norm)
					continue;
				off = hypot(off, a[p * n + q]);
				rotate(a, v, n, p, q);
				/* a rotation is 6 n steps; ask every few milliseconds */
				work += n;
				if (work >= STATS_POLL_ROWS)
				{
					work = 0;
					if (stats_stopped(env, 0))
						return STATS_INTERRUPTED;
				}
			}
		if (off <= 1e-15 * norm)
			return STATS_OK;
	}
	return STATS_NO_CONVERGENCE;
}

/* Sorts by falling eigenvalue, by selection: n^2 comparisons and n swaps of rows. */
static void
sort_falling(double *v, double *value, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
	{
		size_t best = i;
		double swap;

		for (size_t j = i + 1; j < n; j++)
			if (value[j] > value[best])
				best = j;
		if (best == i)
			continue;
		swap = value[i];
		value[i] = value[best];
		value[best] = swap;
		for (size_t k = 0; k < n; k++)
		{
			swap = v[i * n + k];
			v[i * n + k] = v[best * n + k];
			v[best * n + k] = swap;
		}
	}
}

/*
 * Makes the largest component of each eigenvector positive.  The sign is free,
 * and this choice makes results comparable.  Sizes that differ by rounding only
 * count as equal.
 */
static void
fix_signs(double *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		double *row = v + i * n;
		size_t best = 0;

		for (size_t k = 1; k < n; k++)
			if (fabs(row[k]) > fabs(row[best]) * (1.0 + 1e-9))
				best = k;
		if (row[best] < 0.0)
			for (size_t k = 0; k < n; k++)
				row[k] = -row[k];
	}
}

/*
 * Computes eigenvectors and eigenvalues with LAPACK: one call for the size of
 * the scratch, one for the work.
 */
static StatsStatus
call_lapack(double *matrix, double *value, size_t n, StatsDsyev dsyev, const StatsEnv *env)
{
	int32_t order = (int32_t) n;
	int32_t lwork = -1;
	int32_t info = 0;
	double best = 0.0;
	double *work;

	/* column-major lower is row-major upper: make both triangles equal */
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			matrix[i * n + j] = matrix[j * n + i];
	dsyev("V", "L", &order, matrix, &order, value, &best, &lwork, &info, 1, 1);
	if (info != 0 || !(best >= 1.0 && best < INT32_MAX))
		return STATS_BAD_ARGUMENT;
	lwork = (int32_t) best;
	work = stats_array(env, (size_t) lwork, sizeof(double));
	if (work == NULL)
		return STATS_NO_MEMORY;
	if (env->stop != NULL && env->stop(env->arg))
	{
		stats_free(env, work);
		return STATS_INTERRUPTED;
	}
	dsyev("V", "L", &order, matrix, &order, value, work, &lwork, &info, 1, 1);
	stats_free(env, work);
	return info == 0 ? STATS_OK : STATS_NO_CONVERGENCE;
}

StatsStatus
stats_eigen_symmetric(double *matrix, double *value, size_t n, StatsDsyev dsyev, const StatsEnv *env)
{
	StatsStatus status;

	if (n < 1 || n > INT32_MAX || n > SIZE_MAX / n / sizeof(double))
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j <= i; j++)
			if (!isfinite(matrix[i * n + j]))
				return STATS_BAD_ARGUMENT;
	if (dsyev != NULL)
		/* columns of the Fortran matrix are rows here */
		status = call_lapack(matrix, value, n, dsyev, env);
	else
	{
		double *v = stats_array(env, n, n * sizeof(double));

		if (v == NULL)
			return STATS_NO_MEMORY;
		for (size_t i = 0; i < n; i++)
			for (size_t j = i + 1; j < n; j++)
				matrix[i * n + j] = matrix[j * n + i];
		status = jacobi(matrix, v, n, env);
		for (size_t i = 0; i < n; i++)
			value[i] = matrix[i * n + i];
		memcpy(matrix, v, n * n * sizeof(double));
		stats_free(env, v);
	}
	if (status == STATS_OK)
	{
		sort_falling(matrix, value, n);
		fix_signs(matrix, n);
	}
	return status;
}

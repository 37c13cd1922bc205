/*-------------------------------------------------------------------------
 *
 * initializers.c
 *	  Initial weights: Keras's named initialisers.
 *
 * The variance-scaling family (Glorot, He, LeCun) differs in scale, in what
 * counts as fan, and in the distribution; a truncated normal is drawn with
 * stddev / 0.8796 so that its standard deviation after cutting at two is the
 * wanted one.  Every number is keyed by (seed, variable, element).
 *
 * An orthogonal matrix is Q of the decomposition QR of a normal draw with the
 * diagonal of R positive (Saxe, McClelland and Ganguli, "Exact solutions to the
 * nonlinear dynamics of learning in deep linear neural networks", 2013; as
 * Keras draws it).  With that sign Q is unique, and the Gram-Schmidt process
 * gives it in place; a second pass makes up for the rounding of the first
 * (Giraud, Langou and Rozloznik, "The loss of orthogonality in the
 * Gram-Schmidt orthogonalization process", 2005).
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"
#include "graph.h"
#include "initializers.h"
#include "nn.h"
#include "random.h"
#include "stop.h"

#include "random/philox.h"

#include <math.h>
#include <string.h>

/* Standard deviation of the normal distribution cut at two. */
#define TRUNCATED_STDDEV 0.87962566103423978
#define TWO_PI 6.283185307179586476925

/* Most multiplications of one orthogonal draw. */
#define MAX_ORTHOGONAL_WORK 4e9
#define STRIP 64 /* columns treated together */

#define DRAW_WORK 32 /* of nn_stop_due(), for one number */

typedef struct NamedInitializer
{
	const char *name;
	const char *class_name;
	NnValue value;
} NamedInitializer;

static const NamedInitializer named[] = {
	{"zeros", "Zeros", {{NN_INIT_CONSTANT, 0}}},
	{"ones", "Ones", {{NN_INIT_CONSTANT, 1}}},
	{"constant", "Constant", {{NN_INIT_CONSTANT, 0}}},
	{"random_uniform", "RandomUniform", {{NN_INIT_UNIFORM, -0.05, 0.05}}},
	{"uniform", "uniform", {{NN_INIT_UNIFORM, -0.05, 0.05}}},
	{"random_normal", "RandomNormal", {{NN_INIT_NORMAL, 0, 0.05}}},
	{"normal", "normal", {{NN_INIT_NORMAL, 0, 0.05}}},
	{"truncated_normal", "TruncatedNormal", {{NN_INIT_TRUNCATED, 0, 0.05}}},
	{"variance_scaling", "VarianceScaling", {{NN_INIT_VARIANCE, 1, NN_FAN_IN, NN_DRAW_TRUNCATED}}},
	{"glorot_uniform", "GlorotUniform", {{NN_INIT_VARIANCE, 1, NN_FAN_AVG, NN_DRAW_UNIFORM}}},
	{"glorot_normal", "GlorotNormal", {{NN_INIT_VARIANCE, 1, NN_FAN_AVG, NN_DRAW_TRUNCATED}}},
	{"he_uniform", "HeUniform", {{NN_INIT_VARIANCE, 2, NN_FAN_IN, NN_DRAW_UNIFORM}}},
	{"he_normal", "HeNormal", {{NN_INIT_VARIANCE, 2, NN_FAN_IN, NN_DRAW_TRUNCATED}}},
	{"lecun_uniform", "LecunUniform", {{NN_INIT_VARIANCE, 1, NN_FAN_IN, NN_DRAW_UNIFORM}}},
	{"lecun_normal", "LecunNormal", {{NN_INIT_VARIANCE, 1, NN_FAN_IN, NN_DRAW_TRUNCATED}}},
	{"orthogonal", "Orthogonal", {{NN_INIT_ORTHOGONAL, 1}}},
	{"orthogonal", "OrthogonalInitializer", {{NN_INIT_ORTHOGONAL, 1}}},
	{"identity", "Identity", {{NN_INIT_IDENTITY, 1}}},
	{"identity", "IdentityInitializer", {{NN_INIT_IDENTITY, 1}}},
};

int
nn_initializer_find(NnValue *value, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strcmp(name, named[i].name) == 0 || strcmp(name, named[i].class_name) == 0)
		{
			*value = named[i].value;
			return 0;
		}
	return -1;
}

static int
set_mode(NnValue *value, const char *text)
{
	static const char *const names[] = {"fan_in", "fan_out", "fan_avg"};
	int i;

	for (i = 0; text != NULL && i < 3; i++)
		if (strcmp(text, names[i]) == 0)
		{
			value->v[2] = i;
			return 0;
		}
	return -1;
}

static int
set_distribution(NnValue *value, const char *text)
{
	if (text == NULL)
		return -1;
	if (strcmp(text, "truncated_normal") == 0 || strcmp(text, "normal") == 0)
		value->v[3] = NN_DRAW_TRUNCATED;
	else if (strcmp(text, "untruncated_normal") == 0)
		value->v[3] = NN_DRAW_NORMAL;
	else if (strcmp(text, "uniform") == 0)
		value->v[3] = NN_DRAW_UNIFORM;
	else
		return -1;
	return 0;
}

int
nn_initializer_set(NnValue *value, const char *key, double number, const char *text)
{
	NnInitializer kind = (NnInitializer) (int) value->v[0];

	/* weights are drawn from the run's seed, whatever the layer says */
	if (strcmp(key, "seed") == 0)
		return 0;
	if (kind == NN_INIT_VARIANCE && strcmp(key, "mode") == 0)
		return set_mode(value, text);
	if (kind == NN_INIT_VARIANCE && strcmp(key, "distribution") == 0)
		return set_distribution(value, text);
	if ((kind == NN_INIT_CONSTANT && strcmp(key, "value") == 0) ||
		(kind == NN_INIT_UNIFORM && strcmp(key, "minval") == 0) ||
		((kind == NN_INIT_NORMAL || kind == NN_INIT_TRUNCATED) && strcmp(key, "mean") == 0) ||
		(kind == NN_INIT_VARIANCE && strcmp(key, "scale") == 0) ||
		((kind == NN_INIT_ORTHOGONAL || kind == NN_INIT_IDENTITY) && strcmp(key, "gain") == 0))
		value->v[1] = number;
	else if ((kind == NN_INIT_UNIFORM && strcmp(key, "maxval") == 0) ||
			 ((kind == NN_INIT_NORMAL || kind == NN_INIT_TRUNCATED) && strcmp(key, "stddev") == 0))
		value->v[2] = number;
	else
		return -1;
	return isfinite(number) ? 0 : -1;
}

int
nn_initializer_valid(const NnValue *value)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!isfinite(value->v[i]) || fabs(value->v[i]) > 1e30)
			return 0;
	if (value->v[0] < 0 || value->v[0] >= NN_INIT_COUNT || value->v[0] != floor(value->v[0]))
		return 0;
	if (value->v[0] == NN_INIT_VARIANCE)
		return value->v[1] > 0 &&
			   (value->v[2] == NN_FAN_IN || value->v[2] == NN_FAN_OUT || value->v[2] == NN_FAN_AVG) &&
			   (value->v[3] == NN_DRAW_TRUNCATED || value->v[3] == NN_DRAW_NORMAL ||
				value->v[3] == NN_DRAW_UNIFORM);
	return 1;
}

/* Returns a variable as a matrix: all dimensions but the last, and the last. */
static void
matrix_shape(size_t *rows, size_t *cols, const NnNodeVariable *variable)
{
	*cols = (size_t) variable->dims[variable->rank - 1];
	*rows = *cols > 0 ? variable->count / *cols : 0;
}

NnStatus
nn_initializers_check(const NnNode *node, NnError *error)
{
	int i;

	for (i = 0; i < node->n_vars; i++)
	{
		const NnNodeVariable *variable = &node->vars[i];
		NnInitializer kind = (NnInitializer) (int) variable->initializer.v[0];
		size_t rows, cols;

		if (kind != NN_INIT_ORTHOGONAL && kind != NN_INIT_IDENTITY)
			continue;
		if (kind == NN_INIT_IDENTITY ? variable->rank != 2 : variable->rank < 2)
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "Use another initializer.",
						   "layer \"%s\": the initializer \"%s\" is for %s, and %s has %d dimension%s",
						   node->spec.name, kind == NN_INIT_IDENTITY ? "identity" : "orthogonal",
						   kind == NN_INIT_IDENTITY ? "two dimensions" : "two dimensions or more",
						   variable->name, variable->rank, variable->rank == 1 ? "" : "s");
		matrix_shape(&rows, &cols, variable);
		if (kind == NN_INIT_ORTHOGONAL &&
			(double) rows * (double) cols * (double) (rows < cols ? rows : cols) > MAX_ORTHOGONAL_WORK)
			return nn_fail(error, NN_TOO_LARGE, -1, "Use \"glorot_uniform\", or fewer units.",
						   "layer \"%s\": %zu x %zu weights are too many for the initializer \"orthogonal\"",
						   node->spec.name, rows, cols);
	}
	return NN_OK;
}

/* Returns the fan as Keras's compute_fans() does: (in, out) times the size of the receptive field. */
static double
fan_of(const NnNodeVariable *variable, NnFan fan)
{
	double field = 1.0;
	double in, out;
	int i;

	if (variable->rank == 1)
		return variable->dims[0];
	for (i = 0; i < variable->rank - 2; i++)
		field *= variable->dims[i];
	in = field * variable->dims[variable->rank - 2];
	out = field * variable->dims[variable->rank - 1];
	return fan == NN_FAN_IN ? in : fan == NN_FAN_OUT ? out : (in + out) / 2.0;
}

static double
draw_uniform(uint64_t seed, uint32_t number, uint64_t element)
{
	Philox x = philox(seed, (uint32_t) element, (uint32_t) (element >> 32), number, NN_RANDOM_INIT);

	return philox_open_double(x.v[0], x.v[1]);
}

/* Draws a normal number by Box and Muller; a truncated one is drawn again until it is within two. */
static double
draw_normal(uint64_t seed, uint32_t number, uint64_t element, int truncated)
{
	uint32_t attempt;
	double z = 0.0;

	for (attempt = 0; attempt < 64; attempt++)
	{
		Philox x = philox(seed, (uint32_t) element, (uint32_t) (element >> 32) | attempt << 16, number,
						  NN_RANDOM_INIT);
		double u = philox_open_double(x.v[0], x.v[1]);
		double angle = TWO_PI * philox_open_double(x.v[2], x.v[3]);

		z = sqrt(-2.0 * log(u)) * cos(angle);
		if (!truncated || fabs(z) <= 2.0)
			return z;
	}
	return 0.0; /* has a probability of 1e-86 */
}

/* Divides x by its length; n numbers, stride apart. */
static void
normalize(float *x, size_t n, size_t stride)
{
	double square = 0.0;
	double scale;
	size_t i;

	for (i = 0; i < n; i++)
		square += (double) x[i * stride] * x[i * stride];
	if (square <= 0.0)
		return;
	scale = 1.0 / sqrt(square);
	for (i = 0; i < n; i++)
		x[i * stride] = (float) (x[i * stride] * scale);
}

/* Takes column k out of the columns after it. */
static void
project_columns(float *w, size_t rows, size_t cols, size_t k)
{
	size_t work = 0;
	size_t from, n, i, j;

	for (from = k + 1; from < cols; from += n)
	{
		double product[STRIP] = {0};

		n = cols - from < STRIP ? cols - from : STRIP;
		for (i = 0; i < rows && !nn_stop_due(&work, 2 * n); i++)
			for (j = 0; j < n; j++)
				product[j] += (double) w[i * cols + k] * w[i * cols + from + j];
		for (i = 0; i < rows && !nn_stop_due(&work, 2 * n); i++)
			for (j = 0; j < n; j++)
				w[i * cols + from + j] = (float) (w[i * cols + from + j] - product[j] * w[i * cols + k]);
	}
}

/* Takes row k out of the rows after it. */
static void
project_rows(float *w, size_t rows, size_t cols, size_t k)
{
	const float *q = w + k * cols;
	size_t work = 0;
	size_t i, j;

	for (i = k + 1; i < rows && !nn_stop_due(&work, 4 * cols); i++)
	{
		float *x = w + i * cols;
		double product = 0.0;

		for (j = 0; j < cols; j++)
			product += (double) q[j] * x[j];
		for (j = 0; j < cols; j++)
			x[j] = (float) (x[j] - product * q[j]);
	}
}

/* Makes the columns orthonormal, or the rows where they are fewer, and multiplies by gain. */
static void
orthogonalize(float *w, size_t rows, size_t cols, double gain)
{
	size_t work = 0;
	int pass;
	size_t k, i;

	for (pass = 0; pass < 2; pass++)
	{
		for (k = 0; k < (rows < cols ? rows : cols) && !nn_stopped(); k++)
		{
			if (rows >= cols)
			{
				normalize(w + k, rows, cols);
				project_columns(w, rows, cols, k);
			}
			else
			{
				normalize(w + k * cols, cols, 1);
				project_rows(w, rows, cols, k);
			}
		}
	}
	for (i = 0; i < rows * cols && !nn_stop_due(&work, 1); i++)
		w[i] = (float) (w[i] * gain);
}

void
nn_initialize(float *weights, const NnNodeVariable *variable, uint64_t seed, uint32_t number)
{
	const double *v = variable->initializer.v;
	NnInitializer kind = (NnInitializer) (int) v[0];
	double a = v[1], b = v[2];
	int truncated = (kind == NN_INIT_TRUNCATED);
	int uniform = (kind == NN_INIT_UNIFORM);
	size_t work = 0;
	size_t i;

	if (kind == NN_INIT_CONSTANT)
	{
		for (i = 0; i < variable->count && !nn_stop_due(&work, 1); i++)
			weights[i] = (float) a;
		return;
	}
	if (kind == NN_INIT_IDENTITY)
	{
		nn_stop_zero(weights, variable->count * sizeof(float));
		for (i = 0; i < (size_t) variable->dims[0] && i < (size_t) variable->dims[1]; i++)
			weights[i * (size_t) variable->dims[1] + i] = (float) a;
		return;
	}
	if (kind == NN_INIT_ORTHOGONAL)
	{
		size_t rows, cols;

		for (i = 0; i < variable->count && !nn_stop_due(&work, DRAW_WORK); i++)
			weights[i] = (float) draw_normal(seed, number, i, 0);
		matrix_shape(&rows, &cols, variable);
		orthogonalize(weights, rows, cols, a);
		return;
	}
	if (kind == NN_INIT_VARIANCE)
	{
		double fan = fan_of(variable, (NnFan) (int) v[2]);
		double variance = v[1] / (fan > 1.0 ? fan : 1.0);

		uniform = (v[3] == NN_DRAW_UNIFORM);
		truncated = (v[3] == NN_DRAW_TRUNCATED);
		b = sqrt(uniform ? 3.0 * variance : variance);
		a = uniform ? -b : 0.0;
		if (truncated)
			b /= TRUNCATED_STDDEV;
	}
	for (i = 0; i < variable->count && !nn_stop_due(&work, DRAW_WORK); i++)
		weights[i] = (float) (uniform ? a + (b - a) * draw_uniform(seed, number, i)
									  : a + b * draw_normal(seed, number, i, truncated));
}

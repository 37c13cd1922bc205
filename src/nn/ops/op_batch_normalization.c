/*-------------------------------------------------------------------------
 *
 * op_batch_normalization.c
 *	  BatchNormalization over the channels.
 *
 * In training, mean and biased variance are those of the batch (sums and sums
 * of squares of each sample in double, added in order), and the moving
 * statistics move by 1 - momentum when the step is committed.  Otherwise the
 * moving statistics are used.  Both ways dst = src * a + b per channel, with
 * a = gamma / sqrt(variance + epsilon) and b = beta - mean * a.
 *
 * With fixed statistics training uses the moving ones, too, and leaves them as
 * they are: in a layer that is not trainable, as in Keras, and in one that
 * Keras 2 called with training=False.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../batch.h"
#include "../error.h"
#include "../graph.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../pool.h"
#include "../sizes.h"
#include "../stop.h"
#include "../trainer.h"
#include "op_common.h"
#include "ops.h"

#include <math.h>
#include <string.h>

enum
{
	P_AXIS,
	P_MOMENTUM,
	P_EPSILON,
	P_CENTER,
	P_SCALE,
	P_BETA_INITIALIZER,
	P_GAMMA_INITIALIZER,
	P_MEAN_INITIALIZER,
	P_VARIANCE_INITIALIZER,
	P_TRAINABLE,
	P_TRAINING
};

static const NnParam params[] = {
	{"axis", NN_PARAM_INT, 0, -1, 3, {{-1}}, NULL},
	{"momentum", NN_PARAM_FLOAT, 0, 0, 1, {{0.99}}, NULL},
	{"epsilon", NN_PARAM_FLOAT, 0, 0, 1e6, {{1e-3}}, NULL},
	NN_PARAM_ROW_BOOL("center", 1),
	NN_PARAM_ROW_BOOL("scale", 1),
	NN_PARAM_ROW_ZEROS("beta_initializer"),
	NN_PARAM_ROW_ONES("gamma_initializer"),
	NN_PARAM_ROW_ZEROS("moving_mean_initializer"),
	NN_PARAM_ROW_ONES("moving_variance_initializer"),
	NN_PARAM_ROW_TRAINABLE,
	{"training", NN_PARAM_BOOL, NN_LATER, 0, 1, {{1}}, NULL},
	NN_PARAM_ROW_REGULARIZER("beta"),
	NN_PARAM_ROW_CONSTRAINT("beta"),
	NN_PARAM_ROW_REGULARIZER("gamma"),
	NN_PARAM_ROW_CONSTRAINT("gamma"),
	{0},
};

static const NnRefused refused[] = {
	{"synchronized", "false"},
	{"renorm", "false"},
	{"virtual_batch_size", "null"},
	{0},
};

static NnStatus
norm_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int c = inputs[0].c;
	NnStatus status = nn_norm_shape(node, &inputs[0], (int) p[P_AXIS].v[0],
									p[P_SCALE].v[0] != 0 ? &p[P_GAMMA_INITIALIZER] : NULL,
									p[P_CENTER].v[0] != 0 ? &p[P_BETA_INITIALIZER] : NULL, error);

	if (status != NN_OK)
		return status;
	nn_add_variable(node, "moving_mean", 0, &p[P_MEAN_INITIALIZER], 1, c, 0, 0, 0);
	nn_add_variable(node, "moving_variance", 0, &p[P_VARIANCE_INITIALIZER], 1, c, 0, 0, 0);
	return NN_OK;
}

/* Offsets of the variables in the node's weights; -1 where there is none. */
typedef struct Parts
{
	ptrdiff_t gamma, beta, mean, variance;
} Parts;

static Parts
parts_of(const NnNode *node)
{
	const NnValue *p = node->spec.params;
	ptrdiff_t c = node->in.c;
	Parts parts = {-1, -1, 0, 0};
	ptrdiff_t at = 0;

	if (p[P_SCALE].v[0] != 0)
	{
		parts.gamma = at;
		at += c;
	}
	if (p[P_CENTER].v[0] != 0)
	{
		parts.beta = at;
		at += c;
	}
	parts.mean = at;
	parts.variance = at + c;
	return parts;
}

static int
has_fixed_statistics(const NnNode *node)
{
	return node->spec.params[P_TRAINABLE].v[0] == 0 || node->spec.params[P_TRAINING].v[0] == 0;
}

static float
epsilon_of(const NnNode *node)
{
	return (float) node->spec.params[P_EPSILON].v[0];
}

static size_t
pixels_of(const NnNode *node)
{
	return (size_t) node->in.h * (size_t) node->in.w;
}

/* ------------------------------------------------- with moving statistics */

/* Computes a and b of each channel from its mean and variance. */
static void
make_affine(float *a, float *b, const NnNode *node, const float *weights, const float *mean,
			const float *variance)
{
	Parts parts = parts_of(node);
	size_t c = (size_t) node->in.c;
	size_t k;

	for (k = 0; k < c; k++)
	{
		a[k] = 1.0f / sqrtf(variance[k] + epsilon_of(node));
		if (parts.gamma >= 0)
			a[k] *= weights[(size_t) parts.gamma + k];
		b[k] = -mean[k] * a[k];
		if (parts.beta >= 0)
			b[k] += weights[(size_t) parts.beta + k];
	}
}

static size_t
norm_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	(void) step;
	(void) path;
	(void) precision;
	return mode == NN_TRAINING ? 0 : 2 * (size_t) node->in.c * sizeof(float);
}

/* Computes dst = src * a + b, then the step's activation. */
static void
apply_affine(float *dst, const float *src, const float *a, const float *b, const NnNode *node,
			 const NnStep *step, NnPath path)
{
	size_t c = (size_t) node->in.c;
	size_t rows = pixels_of(node);
	size_t most = nn_stop_items(c);
	NnClip clip;
	int clipped = nn_step_clip(&clip, step);
	size_t i;

	for (i = 0; i < rows && !nn_stopped(); i += most)
		nn_map_kernels(path)->channel_affine(dst + i * c, src + i * c, a, b,
											 rows - i < most ? rows - i : most, node->in.c, clip);
	if (!clipped)
		nn_activation_forward(dst, rows, c, step->activation, step->slope);
}

static void
norm_affine(float *a, float *b, const NnNode *node, const float *weights)
{
	Parts parts = parts_of(node);

	make_affine(a, b, node, weights, weights + parts.mean, weights + parts.variance);
}

static void
norm_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	float *a = call->scratch;
	float *b = a + node->in.c;

	norm_affine(a, b, node, call->weights);
	apply_affine(call->dst, call->src[0], a, b, node, call->step, call->path);
}

static void
norm_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	size_t c = (size_t) node->in.c;
	size_t pixels = pixels_of(node);
	float *a = call->scratch;
	float *b = a + c;
	size_t work = 0;
	size_t i, k;

	nn_activation_backward(call->ddst, call->dst, pixels, c, call->step->activation, call->step->slope);
	if (call->dsrc[0] == NULL)
		return;
	norm_affine(a, b, node, call->weights);
	for (i = 0; i < pixels && !nn_stop_due(&work, c); i++)
		for (k = 0; k < c; k++)
			call->dsrc[0][i * c + k] = call->ddst[i * c + k] * a[k];
}

/* ----------------------------------------------------- with the batch's own */

/*
 * What is kept from the forward pass to the update: statistics, a, b; and the
 * three factors of the data gradient (see make_gradients).
 */
enum
{
	KEEP_MEAN,
	KEEP_VARIANCE,
	KEEP_A,
	KEEP_B,
	KEEP_BY_DDST,
	KEEP_BY_SRC,
	KEEP_CONSTANT,
	KEEP_COUNT
};

/* Returns the bytes of a part of what is kept. */
static size_t
part_bytes(const NnNode *node)
{
	return nn_align_size((size_t) node->in.c * sizeof(float));
}

/* Makes room for two sums of the gradient per channel and chunk, too, in double. */
static size_t
norm_keep_bytes(const NnNode *node)
{
	return (size_t) KEEP_COUNT * part_bytes(node) +
		   2 * (size_t) NN_CHUNKS * (size_t) node->in.c * sizeof(double);
}

/* Makes room for two sums per channel and sample, in double. */
static size_t
norm_shared_bytes(const NnNode *node, int batch)
{
	return 2 * (size_t) batch * (size_t) node->in.c * sizeof(double);
}

static char *
kept_bytes(const NnTrainer *trainer, const NnStep *step)
{
	return trainer->keep + trainer->keep_offset[nn_step_index(trainer, step)];
}

static float *
kept(const NnTrainer *trainer, const NnStep *step, int part)
{
	return (float *) (kept_bytes(trainer, step) + (size_t) part * part_bytes(nn_batch_node(trainer, step)));
}

/* Returns the sums of a sample's source. */
static double *
sample_sums(const NnTrainer *trainer, const NnStep *step, size_t sample)
{
	return (double *) trainer->shared + 2 * sample * (size_t) nn_batch_node(trainer, step)->in.c;
}

/* Returns the sums of a chunk's gradient; other steps run between their making and their use. */
static double *
gradient_sums(const NnTrainer *trainer, const NnStep *step, size_t chunk)
{
	const NnNode *node = nn_batch_node(trainer, step);

	return (double *) (kept_bytes(trainer, step) + (size_t) KEEP_COUNT * part_bytes(node)) +
		   2 * chunk * (size_t) node->in.c;
}

/* Returns the sum over n pairs of sums of part (0 or 1) of channel k. */
static double
total(const double *sums, size_t n, size_t c, int part, size_t k)
{
	double sum = 0.0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += sums[(2 * i + (size_t) part) * c + k];
	return sum;
}

static size_t
statistics_items(const NnTrainer *trainer, const NnStep *step)
{
	return has_fixed_statistics(nn_batch_node(trainer, step)) ? 0 : nn_sample_items(trainer, step);
}

/* Sums a sample's source and its squares. */
static void
observe_src(NnTrainer *trainer, const NnStep *step, size_t sample)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t c = (size_t) node->in.c;
	size_t rows = pixels_of(node);
	const float *src = nn_batch_tensor(trainer, step->src[0]) + sample * rows * c;
	double *sum = sample_sums(trainer, step, sample);
	size_t most = nn_stop_items(c);
	size_t i;

	if (has_fixed_statistics(node))
		return;
	memset(sum, 0, 2 * c * sizeof(double));
	for (i = 0; i < rows && !nn_stopped(); i += most)
		nn_map_kernels(trainer->path)
			->channel_sums(sum, sum + c, src + i * c, rows - i < most ? rows - i : most, (int) c);
}

static void
sum_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	(void) worker;
	observe_src(trainer, step, item);
}

static double
batch_rows(const NnTrainer *trainer, const NnStep *step)
{
	return (double) trainer->n * (double) pixels_of(nn_batch_node(trainer, step));
}

static void
make_statistics(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t c = (size_t) node->in.c;
	const double *sums = sample_sums(trainer, step, 0);
	size_t n = (size_t) trainer->n;
	double rows = batch_rows(trainer, step);
	size_t work = 0;
	size_t k;

	(void) item;
	(void) worker;
	if (has_fixed_statistics(node))
	{
		const float *weights = trainer->weights + node->weights;
		Parts parts = parts_of(node);

		memcpy(kept(trainer, step, KEEP_MEAN), weights + parts.mean, c * sizeof(float));
		memcpy(kept(trainer, step, KEEP_VARIANCE), weights + parts.variance, c * sizeof(float));
	}
	else
		for (k = 0; k < c && !nn_stop_due(&work, 16 * n); k++)
		{
			double mean = total(sums, n, c, 0, k) / rows;
			double variance = total(sums, n, c, 1, k) / rows - mean * mean;

			kept(trainer, step, KEEP_MEAN)[k] = (float) mean;
			kept(trainer, step, KEEP_VARIANCE)[k] = (float) (variance > 0.0 ? variance : 0.0);
		}
	make_affine(kept(trainer, step, KEEP_A), kept(trainer, step, KEEP_B), node,
				trainer->weights + node->weights, kept(trainer, step, KEEP_MEAN),
				kept(trainer, step, KEEP_VARIANCE));
}

static void
normalize_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t first = item * nn_shape_floats(&node->in);

	(void) worker;
	apply_affine(nn_batch_tensor(trainer, step->dst) + first, nn_batch_tensor(trainer, step->src[0]) + first,
				 kept(trainer, step, KEEP_A), kept(trainer, step, KEEP_B), node, step, trainer->path);
}

/*
 * Fills what of the activation the backward passes do while they read the
 * gradient; any other has been applied to it by backward_chunk().
 */
static NnClip
gradient_clip(const NnStep *step)
{
	NnClip clip;

	if (!nn_step_clip(&clip, step))
		clip.on = 0;
	return clip;
}

/* Sums a sample's gradient before the activation, and that times src. */
static void
observe_ddst(NnTrainer *trainer, const NnStep *step, size_t sample)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t c = (size_t) node->in.c;
	size_t rows = pixels_of(node);
	size_t first = sample * rows * c;
	const float *src = nn_batch_tensor(trainer, step->src[0]) + first;
	float *ddst = nn_batch_gradient(trainer, step->dst) + first;
	size_t chunk = nn_chunk_of(trainer->n, (int) sample);
	double *sum = gradient_sums(trainer, step, chunk);
	NnClip clip = gradient_clip(step);
	size_t most = nn_stop_items(c);
	size_t i;

	if (!clip.on)
		nn_activation_backward(ddst, nn_batch_tensor(trainer, step->dst) + first, rows, c, step->activation,
							   step->slope);
	if ((int) sample == nn_chunk_start(trainer->n, chunk))
		memset(sum, 0, 2 * c * sizeof(double));
	for (i = 0; i < rows && !nn_stopped(); i += most)
		nn_map_kernels(trainer->path)
			->channel_gradient_sums(sum, sum + c, ddst + i * c, src + i * c, kept(trainer, step, KEEP_A),
									kept(trainer, step, KEEP_B), rows - i < most ? rows - i : most, (int) c,
									clip);
}

static void
backward_chunk(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	int end = nn_chunk_start(trainer->n, item + 1);
	int i;

	(void) worker;
	for (i = nn_chunk_start(trainer->n, item); i < end && !nn_stopped(); i++)
		observe_ddst(trainer, step, (size_t) i);
}

/*
 * Makes the gradients of gamma and beta, and the factors of the data gradient.
 * With x = (src - mean) f the normalised source and f = 1 / sqrt(variance +
 * epsilon) they are dgamma = sum ddst x, dbeta = sum ddst, and
 *		dsrc = a (ddst - mean(ddst) - x mean(ddst x))
 * which is ddst, src and a constant, each times a factor of the channel.  With
 * fixed statistics it is a ddst.
 */
static void
make_gradients(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	Parts parts = parts_of(node);
	float *dweights = trainer->gradients + node->weights;
	int fixed = has_fixed_statistics(node);
	const double *sums = gradient_sums(trainer, step, 0);
	size_t n = (size_t) nn_chunk_count(trainer->n);
	double rows = batch_rows(trainer, step);
	size_t c = (size_t) node->in.c;
	size_t work = 0;
	size_t k;

	(void) item;
	(void) worker;
	for (k = 0; k < c && !nn_stop_due(&work, 16 * NN_CHUNKS); k++)
	{
		double mean = kept(trainer, step, KEEP_MEAN)[k];
		double f = 1.0 / sqrt((double) kept(trainer, step, KEEP_VARIANCE)[k] + epsilon_of(node));
		double a = kept(trainer, step, KEEP_A)[k];
		double sum = total(sums, n, c, 0, k);
		double sum_x = (total(sums, n, c, 1, k) - mean * sum) * f;

		if (parts.beta >= 0 && node->n_trainable > 0)
			dweights[(size_t) parts.beta + k] = (float) sum;
		if (parts.gamma >= 0 && node->n_trainable > 0)
			dweights[(size_t) parts.gamma + k] = (float) sum_x;
		kept(trainer, step, KEEP_BY_DDST)[k] = (float) a;
		kept(trainer, step, KEEP_BY_SRC)[k] = fixed ? 0.0f : (float) (-a * f * sum_x / rows);
		kept(trainer, step, KEEP_CONSTANT)[k] = fixed ? 0.0f : (float) (a * (mean * f * sum_x - sum) / rows);
	}
}

static size_t
data_items(const NnTrainer *trainer, const NnStep *step)
{
	return step->dsrc[0] < 0 ? 0 : (size_t) trainer->n;
}

static void
data_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t c = (size_t) node->in.c;
	size_t pixels = pixels_of(node);
	size_t first = item * pixels * c;
	const float *src = nn_batch_tensor(trainer, step->src[0]) + first;
	const float *ddst = nn_batch_gradient(trainer, step->dst) + first;
	float *dsrc = nn_batch_buffer(trainer, step->dsrc[0]) + first;
	size_t most = nn_stop_items(c);
	size_t i;

	(void) worker;
	for (i = 0; i < pixels && !nn_stopped(); i += most)
		nn_map_kernels(trainer->path)
			->channel_gradient(dsrc + i * c, ddst + i * c, src + i * c, kept(trainer, step, KEEP_A),
							   kept(trainer, step, KEEP_B), kept(trainer, step, KEEP_BY_DDST),
							   kept(trainer, step, KEEP_BY_SRC), kept(trainer, step, KEEP_CONSTANT),
							   pixels - i < most ? pixels - i : most, (int) c, gradient_clip(step));
}

static void
norm_commit(NnTrainer *trainer, const NnStep *step)
{
	const NnNode *node = nn_batch_node(trainer, step);
	Parts parts = parts_of(node);
	float *w = trainer->weights + node->weights;
	float momentum = (float) node->spec.params[P_MOMENTUM].v[0];
	size_t c = (size_t) node->in.c;
	size_t k;

	if (has_fixed_statistics(node))
		return;
	for (k = 0; k < c; k++)
	{
		float *mean = &w[(size_t) parts.mean + k];
		float *variance = &w[(size_t) parts.variance + k];

		*mean = *mean * momentum + kept(trainer, step, KEEP_MEAN)[k] * (1.0f - momentum);
		*variance = *variance * momentum + kept(trainer, step, KEEP_VARIANCE)[k] * (1.0f - momentum);
	}
}

static const NnOpPhase train_forward[] = {
	{statistics_items, sum_sample},
	{nn_one_item, make_statistics},
	{nn_sample_items, normalize_sample},
	{NULL, NULL},
};

static const NnOpPhase train_backward[] = {
	{nn_chunk_items, backward_chunk},
	{nn_one_item, make_gradients},
	{data_items, data_sample},
	{NULL, NULL},
};

const NnOp nn_op_batch_normalization = {
	.info = {"BatchNormalization", 1, 1, params, nn_no_ignored, refused,
			 "Normalises each channel; moving statistics outside training."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = norm_shape,
	.scratch_bytes = norm_scratch_bytes,
	.affine = norm_affine,
	.forward = norm_forward,
	.backward = norm_backward,
	.train_forward = train_forward,
	.train_backward = train_backward,
	.observe_src = observe_src,
	.observe_ddst = observe_ddst,
	.keep_bytes = norm_keep_bytes,
	.shared_bytes = norm_shared_bytes,
	.commit = norm_commit,
};

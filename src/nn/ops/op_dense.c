/*-------------------------------------------------------------------------
 *
 * op_dense.c
 *	  Dense: dst = activation(src weight + bias), weight [in][out].
 *
 * In training the work is divided by weights, never by samples: the forward
 * product into blocks of inputs whose sums are added in order, which gives the
 * bits of a prediction, the gradients into rows of the weight.  The weight's
 * gradient comes last, after the whole backward pass; where no norm of it is
 * needed, each block of rows is applied to the weights as soon as it is made,
 * and never stored.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../batch.h"
#include "../graph.h"
#include "../kernels/kernels.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../pool.h"
#include "../sizes.h"
#include "../stop.h"
#include "../trainer.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

enum
{
	P_UNITS,
	P_ACTIVATION,
	P_USE_BIAS,
	P_KERNEL_INITIALIZER,
	P_BIAS_INITIALIZER,
	P_TRAINABLE
};

#define BACKWARD_ROWS 512 /* inputs of a backward item */
#define INT16_OUTPUTS 9   /* fewer outputs stay float32 in prediction */

static const NnParam params[] = {
	{"units", NN_PARAM_INT, 1, 1, 1048576, {{0}}, NULL},
	NN_PARAM_ROW_ACTIVATION,
	NN_PARAM_ROW_BOOL("use_bias", 1),
	NN_PARAM_ROW_GLOROT("kernel_initializer"),
	NN_PARAM_ROW_ZEROS("bias_initializer"),
	NN_PARAM_ROW_TRAINABLE,
	NN_PARAM_ROW_REGULARIZER("kernel"),
	NN_PARAM_ROW_CONSTRAINT("kernel"),
	NN_PARAM_ROW_REGULARIZER("bias"),
	NN_PARAM_ROW_CONSTRAINT("bias"),
	{0},
};

static const NnRefused refused[] = {
	{"activity_regularizer", "null"},
	{"lora_rank", "null"},
	{"lora_alpha", "null"},
	{0},
};

static NnStatus
dense_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int units = (int) p[P_UNITS].v[0];
	NnStatus status = nn_need_rank(node, &inputs[0], 1, error);

	if (status == NN_OK)
		status = nn_set_shape(node, 1, 1, 1, (size_t) units, error);
	if (status != NN_OK)
		return status;
	nn_add_variable(node, "kernel", 1, &p[P_KERNEL_INITIALIZER], 2, node->in.c, units, 0, 0);
	if (p[P_USE_BIAS].v[0] != 0)
		nn_add_variable(node, "bias", 1, &p[P_BIAS_INITIALIZER], 1, units, 0, 0, 0);
	node->multiply_adds = (uint64_t) node->in.c * (uint64_t) units;
	return NN_OK;
}

static NnActivation
dense_activation(const NnNode *node, float *slope)
{
	return nn_value_activation(&node->spec.params[P_ACTIVATION], slope);
}

/* ---------------------------------------------------------------- samples */

/*
 * Tells whether the weights are packed as int16.  Few outputs (the network's
 * last layer, as a rule) stay float32: padded they would be no smaller, and
 * they are what the score is made of.
 */
static int
is_int16(const NnNode *node, NnPrecision precision)
{
	return precision == NN_PRECISION_INT16 && node->shape.c >= INT16_OUTPUTS;
}

static size_t
dense_packed_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	(void) step;
	(void) mode;
	(void) path;
	return is_int16(node, precision) ? nn_dense_int16_bytes(node->in.c, node->shape.c) : 0;
}

static void
dense_pack(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
		   NnPath path, NnPrecision precision)
{
	(void) step;
	(void) mode;
	(void) path;
	(void) precision;
	nn_dense_int16_pack(packed, weights, nn_bias(node, weights), node->in.c, node->shape.c);
}

static void
dense_forward_rows(const NnCall *call, int n)
{
	const NnKernels *kernels = nn_kernels(call->path);
	const NnNode *node = call->node;
	int in = node->in.c;
	int out = node->shape.c;
	int relu = call->step->activation == NN_RELU;

	if (call->packed != NULL)
		kernels->dense_int16_forward(call->dst, call->src[0], call->packed, n, in, out, relu, call->scratch);
	else
		kernels->dense_forward(call->dst, call->src[0], call->weights, nn_bias(node, call->weights), n, in,
							   out, relu, call->scratch);
	nn_activation_forward(call->dst, (size_t) n, (size_t) out, call->step->activation, call->step->slope);
}

static void
dense_forward(const NnCall *call)
{
	dense_forward_rows(call, 1);
}

static size_t
dense_rows_scratch_bytes(const NnNode *node, int n, NnPrecision precision)
{
	return is_int16(node, precision) ? nn_dense_int16_scratch_bytes(n, node->shape.c)
									 : nn_dense_scratch_bytes(n, node->shape.c);
}

static void
dense_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	int in = node->in.c;
	int out = node->shape.c;

	nn_activation_backward(call->ddst, call->dst, 1, (size_t) out, call->step->activation, call->step->slope);
	if (call->dsrc[0] != NULL)
		call->sgemm(0, 1, 1, in, out, 1.0f, call->ddst, out, call->weights, out, 0.0f, call->dsrc[0], in);
}

/* -------------------------------------------------------------- the batch */

static size_t
blocks(int n, int size)
{
	return ((size_t) n + (size_t) size - 1) / (size_t) size;
}

static int
block_size(int n, size_t block, int size)
{
	size_t left = (size_t) n - block * (size_t) size;

	return left < (size_t) size ? (int) left : size;
}

/* Makes room for the sums of the forward pass: [blocks of inputs][batch][out]. */
static size_t
dense_shared_bytes(const NnNode *node, int batch)
{
	return nn_mul_size(nn_mul_size(blocks(node->in.c, NN_DENSE_BLOCK), (size_t) batch),
					   (size_t) node->shape.c * sizeof(float));
}

static size_t
forward_items(const NnTrainer *trainer, const NnStep *step)
{
	const NnNode *node = nn_batch_node(trainer, step);

	return blocks(node->in.c, NN_DENSE_BLOCK);
}

static void
forward_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t size = (size_t) trainer->n * (size_t) node->shape.c;

	(void) worker;
	nn_kernels(trainer->path)
		->dense_partial((float *) trainer->shared + item * size, nn_batch_tensor(trainer, step->src[0]),
						trainer->weights + node->weights, trainer->n, node->in.c, node->shape.c, (int) item);
}

static void
forward_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	const float *bias = nn_bias(node, trainer->weights + node->weights);
	size_t out = (size_t) node->shape.c;
	size_t row_blocks = blocks(node->in.c, NN_DENSE_BLOCK);
	float *dst = nn_batch_tensor(trainer, step->dst) + item * out;
	size_t work = 0;
	size_t b, c;

	(void) worker;
	for (b = 0; b < row_blocks && !nn_stop_due(&work, out); b++)
	{
		const float *partial = (const float *) trainer->shared + (b * (size_t) trainer->n + item) * out;

		for (c = 0; c < out; c++)
			dst[c] = b == 0 ? partial[c] : dst[c] + partial[c];
	}
	if (bias != NULL)
		for (c = 0; c < out; c++)
			dst[c] += bias[c];
	nn_activation_forward(dst, 1, out, step->activation, step->slope);
}

static void
backward_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	size_t out = (size_t) step->out.c;

	(void) worker;
	nn_activation_backward(nn_batch_gradient(trainer, step->dst) + item * out,
						   nn_batch_tensor(trainer, step->dst) + item * out, 1, out, step->activation,
						   step->slope);
}

static size_t
activation_items(const NnTrainer *trainer, const NnStep *step)
{
	return step->activation == NN_LINEAR ? 0 : (size_t) trainer->n;
}

static size_t
data_items(const NnTrainer *trainer, const NnStep *step)
{
	return step->dsrc[0] < 0 ? 0 : blocks(nn_batch_node(trainer, step)->in.c, BACKWARD_ROWS);
}

static void
data_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	int row = (int) item * BACKWARD_ROWS;

	nn_kernels(trainer->path)
		->dense_backward(nn_batch_buffer(trainer, step->dsrc[0]), NULL, trainer->weights + node->weights,
						 NULL, NULL, nn_batch_gradient(trainer, step->dst), trainer->n, node->in.c,
						 node->shape.c, row, row + block_size(node->in.c, item, BACKWARD_ROWS), NULL,
						 worker->scratch);
}

/* Counts the blocks of rows of the weight, and one for the bias. */
static size_t
weight_items(const NnTrainer *trainer, const NnStep *step)
{
	const NnNode *node = nn_batch_node(trainer, step);

	return blocks(node->in.c, BACKWARD_ROWS) + (node->n_vars > 1);
}

static void
bias_gradient(float *dbias, const float *ddst, int n, size_t out)
{
	size_t work = 0;
	int i;
	size_t c;

	memset(dbias, 0, out * sizeof(float));
	for (i = 0; i < n && !nn_stop_due(&work, out); i++)
		for (c = 0; c < out; c++)
			dbias[c] += ddst[(size_t) i * out + c];
}

static void
bias_item(NnTrainer *trainer, const NnStep *step, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	size_t out = (size_t) node->shape.c;
	size_t offset = node->weights + node->vars[1].offset;
	float *gradient = trainer->keep_gradients ? trainer->gradients + offset : worker->scratch;

	bias_gradient(gradient, nn_batch_gradient(trainer, step->dst), trainer->n, out);
	if (!trainer->keep_gradients)
		nn_batch_update(trainer, offset, gradient, out, 1.0f);
}

/* Makes gradient and update in one pass over the weights, or the gradient alone. */
static void
weight_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(trainer, step);
	int row = (int) item * BACKWARD_ROWS;
	float *gradients = NULL;
	NnSlots slots;

	if (item == blocks(node->in.c, BACKWARD_ROWS))
	{
		bias_item(trainer, step, worker);
		return;
	}
	if (trainer->keep_gradients)
		gradients = trainer->gradients + node->weights;
	nn_batch_slots(&slots, trainer, node->weights);
	nn_kernels(trainer->path)
		->dense_backward(NULL, gradients, trainer->weights + node->weights, &slots,
						 nn_batch_tensor(trainer, step->src[0]), nn_batch_gradient(trainer, step->dst),
						 trainer->n, node->in.c, node->shape.c, row,
						 row + block_size(node->in.c, item, BACKWARD_ROWS),
						 trainer->keep_gradients ? NULL : &trainer->update, worker->scratch);
}

static size_t
dense_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	(void) step;
	(void) path;
	return mode == NN_TRAINING ? nn_dense_backward_scratch_bytes(node->shape.c)
							   : dense_rows_scratch_bytes(node, 1, precision);
}

static const NnOpPhase train_forward[] = {
	{forward_items, forward_block},
	{nn_sample_items, forward_sample},
	{NULL, NULL},
};

static const NnOpPhase train_backward[] = {
	{activation_items, backward_sample},
	{data_items, data_block},
	{NULL, NULL},
};

static const NnOpPhase train_weights[] = {
	{weight_items, weight_block},
	{NULL, NULL},
};

const NnOp nn_op_dense = {
	.info = {"Dense", 1, 1, params, nn_no_ignored, refused, "Fully connected layer."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = dense_shape,
	.activation = dense_activation,
	.scratch_bytes = dense_scratch_bytes,
	.packed_bytes = dense_packed_bytes,
	.pack = dense_pack,
	.forward = dense_forward,
	.backward = dense_backward,
	.forward_rows = dense_forward_rows,
	.rows_scratch_bytes = dense_rows_scratch_bytes,
	.train_forward = train_forward,
	.train_backward = train_backward,
	.train_weights = train_weights,
	.shared_bytes = dense_shared_bytes,
};

/*-------------------------------------------------------------------------
 *
 * op_dense.c
 *	  Dense: dst = activation(src weight + bias), weight [in][out].
 *
 * In training the work is divided by weights, never by samples: the forward
 * product into blocks of inputs and outputs whose sums are added in order, the
 * gradients into rows of the weight.  The weight's gradient comes last, after
 * the whole backward pass; where no norm of it is needed, each block of rows
 * is applied to the weights as soon as it is made, and never stored.
 *
 *-------------------------------------------------------------------------
 */
#include "nn_internal.h"

#include <string.h>

enum
{
	P_UNITS, P_ACTIVATION, P_USE_BIAS, P_KERNEL_INITIALIZER, P_BIAS_INITIALIZER
};

#define FORWARD_ROWS 2048		/* inputs and outputs of a forward item */
#define FORWARD_COLUMNS 256
#define BACKWARD_ROWS 512		/* inputs of a backward item */

static const NnParam params[] = {
	{"units", NN_PARAM_INT, 1, 1, 1048576, {{0}}, NULL},
	NN_PARAM_ROW_ACTIVATION,
	NN_PARAM_ROW_BOOL("use_bias", 1),
	NN_PARAM_ROW_GLOROT("kernel_initializer"),
	NN_PARAM_ROW_ZEROS("bias_initializer"),
	{0}
};

static const char *const ignored[] = {NULL};

static const NnRefused refused[] = {
	{"kernel_regularizer", "null"},
	{"bias_regularizer", "null"},
	{"activity_regularizer", "null"},
	{"kernel_constraint", "null"},
	{"bias_constraint", "null"},
	{"lora_rank", "null"},
	{"lora_alpha", "null"},
	{0}
};

static NnStatus
dense_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int			units = (int) p[P_UNITS].v[0];
	NnStatus	status = nn_need_rank(node, &inputs[0], 1, error);

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

static const float *
bias_of(const NnNode *node, const float *weights)
{
	return node->n_vars > 1 ? weights + node->vars[1].offset : NULL;
}

/* ------------------------------------------------------------- one sample */

static void
dense_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	const float *bias = bias_of(node, call->weights);
	int			in = node->in.c;
	int			out = node->shape.c;
	int			c;

	call->sgemm(0, 0, 1, out, in, 1.0f, call->src[0], in, call->weights, out, 0.0f,
				call->dst, out);
	if (bias != NULL)
		for (c = 0; c < out; c++)
			call->dst[c] += bias[c];
	nn_activation_forward(call->dst, 1, (size_t) out, call->step->activation, call->step->slope);
}

static void
dense_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	int			in = node->in.c;
	int			out = node->shape.c;

	nn_activation_backward(call->ddst, call->dst, 1, (size_t) out, call->step->activation,
						   call->step->slope);
	if (call->dsrc[0] != NULL)
		call->sgemm(0, 1, 1, in, out, 1.0f, call->ddst, out, call->weights, out, 0.0f,
					call->dsrc[0], in);
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
	size_t		left = (size_t) n - block * (size_t) size;

	return left < (size_t) size ? (int) left : size;
}

static const NnNode *
node_of(const NnTrainer *trainer, const NnStep *step)
{
	return &trainer->graph->nodes[step->node];
}

/* Partial products of the forward pass: [row blocks][batch][out]. */
static size_t
dense_shared_bytes(const NnNode *node, int batch)
{
	return nn_mul_size(nn_mul_size(blocks(node->in.c, FORWARD_ROWS), (size_t) batch),
					   (size_t) node->shape.c * sizeof(float));
}

static size_t
forward_items(const NnTrainer *trainer, const NnStep *step)
{
	const NnNode *node = node_of(trainer, step);

	return blocks(node->in.c, FORWARD_ROWS) * blocks(node->shape.c, FORWARD_COLUMNS);
}

static void
forward_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = node_of(trainer, step);
	size_t		row_blocks = blocks(node->in.c, FORWARD_ROWS);
	size_t		rb = item % row_blocks;
	size_t		cb = item / row_blocks;
	int			out = node->shape.c;
	size_t		row = rb * FORWARD_ROWS;
	size_t		column = cb * FORWARD_COLUMNS;
	float	   *partial = (float *) trainer->shared +
		rb * (size_t) trainer->n * (size_t) out + column;

	(void) worker;
	trainer->sgemm(0, 0, trainer->n, block_size(out, cb, FORWARD_COLUMNS),
				   block_size(node->in.c, rb, FORWARD_ROWS), 1.0f,
				   nn_batch_tensor(trainer, step->src[0]) + row, node->in.c,
				   trainer->weights + node->weights + row * (size_t) out + column, out,
				   0.0f, partial, out);
}

static size_t
sample_items(const NnTrainer *trainer, const NnStep *step)
{
	(void) step;
	return (size_t) trainer->n;
}

static void
forward_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = node_of(trainer, step);
	const float *bias = bias_of(node, trainer->weights + node->weights);
	size_t		out = (size_t) node->shape.c;
	size_t		row_blocks = blocks(node->in.c, FORWARD_ROWS);
	float	   *dst = nn_batch_tensor(trainer, step->dst) + item * out;
	size_t		b,
				c;

	(void) worker;
	for (b = 0; b < row_blocks; b++)
	{
		const float *partial = (const float *) trainer->shared +
			(b * (size_t) trainer->n + item) * out;

		for (c = 0; c < out; c++)
			dst[c] = b == 0 ? partial[c] : dst[c] + partial[c];
	}
	if (bias != NULL)
		for (c = 0; c < out; c++)
			dst[c] += bias[c];
	nn_activation_forward(dst, 1, out, step->activation, step->slope);
}

static float *
gradient_of(const NnTrainer *trainer, int tensor)
{
	return nn_batch_buffer(trainer, nn_plan_tensors(trainer->plan)[tensor].gradient);
}

static void
backward_sample(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	size_t		out = (size_t) step->out.c;

	(void) worker;
	nn_activation_backward(gradient_of(trainer, step->dst) + item * out,
						   nn_batch_tensor(trainer, step->dst) + item * out, 1, out,
						   step->activation, step->slope);
}

static size_t
activation_items(const NnTrainer *trainer, const NnStep *step)
{
	return step->activation == NN_LINEAR ? 0 : (size_t) trainer->n;
}

static size_t
data_items(const NnTrainer *trainer, const NnStep *step)
{
	return step->dsrc[0] < 0 ? 0 : blocks(node_of(trainer, step)->in.c, BACKWARD_ROWS);
}

static void
data_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = node_of(trainer, step);
	size_t		row = item * BACKWARD_ROWS;
	int			out = node->shape.c;

	(void) worker;
	trainer->sgemm(0, 1, trainer->n, block_size(node->in.c, item, BACKWARD_ROWS), out, 1.0f,
				   gradient_of(trainer, step->dst), out,
				   trainer->weights + node->weights + row * (size_t) out, out, 0.0f,
				   nn_batch_buffer(trainer, step->dsrc[0]) + row, node->in.c);
}

/* Blocks of rows of the weight, then the bias. */
static size_t
weight_items(const NnTrainer *trainer, const NnStep *step)
{
	const NnNode *node = node_of(trainer, step);

	return blocks(node->in.c, BACKWARD_ROWS) + (node->n_vars > 1);
}

static void
bias_gradient(float *dbias, const float *ddst, int n, size_t out)
{
	int			i;
	size_t		c;

	memset(dbias, 0, out * sizeof(float));
	for (i = 0; i < n; i++)
		for (c = 0; c < out; c++)
			dbias[c] += ddst[(size_t) i * out + c];
}

static void
weight_block(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = node_of(trainer, step);
	const float *ddst = gradient_of(trainer, step->dst);
	int			out = node->shape.c;
	size_t		row = item * BACKWARD_ROWS;
	size_t		offset = node->weights + row * (size_t) out;
	size_t		count = (size_t) out;
	float	   *gradient;

	if (item == blocks(node->in.c, BACKWARD_ROWS))
		offset = node->weights + node->vars[1].offset;
	else
		count *= (size_t) block_size(node->in.c, item, BACKWARD_ROWS);
	gradient = trainer->need_norms ? trainer->gradients + offset : worker->scratch;

	if (item == blocks(node->in.c, BACKWARD_ROWS))
		bias_gradient(gradient, ddst, trainer->n, count);
	else
		trainer->sgemm(1, 0, block_size(node->in.c, item, BACKWARD_ROWS), out, trainer->n, 1.0f,
					   nn_batch_tensor(trainer, step->src[0]) + row, node->in.c, ddst, out,
					   0.0f, gradient, out);
	if (!trainer->need_norms)
		nn_trainer_update(trainer, offset, gradient, count);
}

/* A block of the weight's gradient. */
static size_t
dense_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path)
{
	size_t		rows = node->in.c < BACKWARD_ROWS ? (size_t) node->in.c : BACKWARD_ROWS;

	(void) step;
	(void) path;
	return mode == NN_TRAINING ? nn_mul_size(rows, (size_t) node->shape.c * sizeof(float)) : 0;
}

static const NnOpPhase train_forward[] = {
	{forward_items, forward_block},
	{sample_items, forward_sample},
	{NULL, NULL}
};

static const NnOpPhase train_backward[] = {
	{activation_items, backward_sample},
	{data_items, data_block},
	{NULL, NULL}
};

static const NnOpPhase train_weights[] = {
	{weight_items, weight_block},
	{NULL, NULL}
};

const NnOp nn_op_dense = {
	.info = {"Dense", 1, 1, params, ignored, refused, "Fully connected layer."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = dense_shape,
	.activation = dense_activation,
	.scratch_bytes = dense_scratch_bytes,
	.forward = dense_forward,
	.backward = dense_backward,
	.train_forward = train_forward,
	.train_backward = train_backward,
	.train_weights = train_weights,
	.shared_bytes = dense_shared_bytes,
};

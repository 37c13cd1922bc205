/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  Prediction: a graph, its weights, and their packed form.
 *
 * A sample runs through the plan's steps with the built-in kernels of the
 * engine's path only, so that its score depends on nothing else: not on the
 * batch, not on threads, not on whether a BLAS is there.
 *
 * Most of a network's weights are those of one dense layer, more than a cache
 * holds.  So samples go in batches of rows: alone up to that layer (the cut),
 * together through it (its kernel gives a row the same bits whatever else is in
 * the batch), alone again from there on.
 *
 * Packed form: PackedHeader, then one offset per step (SIZE_MAX where a step
 * packs nothing), then the steps' packed weights.  No pointers.  With int16
 * the float32 weights of the steps that pack nothing follow them, so that a
 * prediction needs no others; their offset has RAW_WEIGHTS set.
 *
 * Where a normalisation is folded into a convolution (NN_FUSE_AFFINE), the
 * kernel is multiplied by its factors before it is packed.  At the end of the
 * packed form there is room for the largest such kernel.
 *
 *-------------------------------------------------------------------------
 */
#include "engine.h"
#include "error.h"
#include "fpenv.h"
#include "graph.h"
#include "kernels/kernels.h"
#include "losses.h"
#include "nn.h"
#include "op.h"
#include "plan.h"
#include "sizes.h"
#include "stop.h"

#include <string.h>

#define PACKED_MAGIC UINT64_C(0x314b4341504e4e50)

typedef struct PackedHeader
{
	uint64_t magic;
	uint64_t bytes;
	int32_t path;
	int32_t precision;
	int32_t n_steps;
	int32_t pad;
} PackedHeader;

#define RAW_WEIGHTS 1 /* in an offset, which is a multiple of NN_ALIGN */

const char *
nn_precision_name(NnPrecision precision)
{
	return precision == NN_PRECISION_INT16 ? "int16" : "float32";
}

/* ------------------------------------------------------------------ packed */

static size_t
step_packed_bytes(const NnStep *step, const NnNode *node, NnMode mode, NnPath path, NnPrecision precision)
{
	const NnOp *op = nn_node_op(node);

	return op->packed_bytes != NULL ? op->packed_bytes(node, step, mode, path, precision) : 0;
}

size_t
nn_packed_layout(size_t *offsets, const NnPlan *plan, const NnGraph *graph, NnMode mode, NnPath path,
				 NnPrecision precision)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t bytes = 0;
	int s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];
		size_t own = step_packed_bytes(&steps[s], node, mode, path, precision);
		size_t raw = 0;

		if (precision != NN_PRECISION_FLOAT32 && own == 0 && node->n_weights > 0)
		{
			own = nn_mul_size(node->n_weights, sizeof(float));
			raw = RAW_WEIGHTS;
		}
		if (offsets != NULL)
			offsets[s] = own > 0 ? bytes | raw : SIZE_MAX;
		bytes = nn_grow(bytes, own);
	}
	return bytes;
}

/* Returns the bytes in which the folded weights of a step are made, before they are packed; 0 where nothing is. */
static size_t
folded_bytes(const NnPlan *plan, const NnGraph *graph)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t most = 0;
	int s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];
		size_t floats = steps[s].affine < 0 ? 0 : node->vars[0].count + 3 * (size_t) node->shape.c;

		if (floats > most)
			most = floats;
	}
	return nn_align_size(nn_mul_size(most, sizeof(float)));
}

/*
 * Fills the weights of a convolution with the normalisation behind it: the
 * kernel, whose last dimension is that of the output's channels, times their
 * factors, and a bias behind it.
 */
static void
fold(float *folded, const NnStep *step, const NnGraph *graph, const float *weights)
{
	const NnNode *node = &graph->nodes[step->node];
	const NnNode *affine = &graph->nodes[step->affine];
	const float *from = weights + node->weights;
	size_t count = node->vars[0].count;
	size_t c = (size_t) node->shape.c;
	float *bias = folded + count;
	float *a = bias + c;
	float *b = a + c;
	size_t work = 0;
	size_t i, k;

	nn_node_op(affine)->affine(a, b, affine, weights + affine->weights);
	for (i = 0; i < count && !nn_stop_due(&work, c); i += c)
		for (k = 0; k < c; k++)
			folded[i + k] = from[i + k] * a[k];
	for (k = 0; k < c; k++)
		bias[k] = b[k] + (node->n_vars > 1 ? from[node->vars[1].offset + k] * a[k] : 0.0f);
}

static size_t
packed_head_bytes(const NnPlan *plan)
{
	return nn_align_size(sizeof(PackedHeader)) + nn_align_size((size_t) plan->n_steps * sizeof(size_t));
}

static const size_t *
packed_offsets(const void *packed)
{
	return (const size_t *) ((const char *) packed + nn_align_size(sizeof(PackedHeader)));
}

size_t
nn_engine_packed_bytes(const NnGraph *graph, NnPath path, NnPrecision precision)
{
	const NnPlan *plan = nn_graph_plan(graph);
	size_t bytes =
		nn_grow(packed_head_bytes(plan), nn_packed_layout(NULL, plan, graph, NN_INFER, path, precision));

	bytes = nn_grow(bytes, folded_bytes(plan, graph));
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

NnStatus
nn_engine_pack(void *packed, const NnGraph *graph, const float *weights, NnPath path, NnPrecision precision,
			   volatile sig_atomic_t *stop, NnError *error)
{
	const NnPlan *plan = nn_graph_plan(graph);
	const NnStep *steps = nn_plan_steps(plan);
	PackedHeader *header = packed;
	size_t *offsets = (size_t *) packed_offsets(packed);
	char *base = (char *) packed + packed_head_bytes(plan);
	volatile sig_atomic_t *before;
	unsigned int saved;
	float *folded;
	int s, stopped;

	if (precision < NN_PRECISION_FLOAT32 || precision > NN_PRECISION_INT16 || path < NN_PATH_REFERENCE ||
		path > NN_PATH_AVX512)
		return nn_fail(error, NN_UNSUPPORTED, -1, "", "unknown precision %d or path %d", (int) precision,
					   (int) path);
	memset(packed, 0, packed_head_bytes(plan));
	header->magic = PACKED_MAGIC;
	header->bytes = nn_engine_packed_bytes(graph, path, precision);
	header->path = path;
	header->precision = precision;
	header->n_steps = plan->n_steps;
	folded = (float *) (base + nn_packed_layout(offsets, plan, graph, NN_INFER, path, precision));
	before = nn_stop_watch(stop);
	saved = nn_fpenv_set();
	for (s = 0; s < plan->n_steps && !nn_stopped(); s++)
		if (offsets[s] != SIZE_MAX)
		{
			const NnNode *node = &graph->nodes[steps[s].node];

			if (steps[s].affine >= 0)
				fold(folded, &steps[s], graph, weights);
			if (offsets[s] & RAW_WEIGHTS)
				nn_stop_copy((float *) (base + offsets[s] - RAW_WEIGHTS), weights + node->weights,
							 node->n_weights);
			else
				nn_node_op(node)->pack(base + offsets[s], node, &steps[s],
									   steps[s].affine >= 0 ? folded : weights + node->weights, NN_INFER,
									   path, precision);
		}
	nn_fpenv_restore(saved);
	stopped = nn_stopped();
	nn_stop_watch(before);
	return stopped ? nn_fail(error, NN_INTERRUPTED, -1, "", "packing the weights was interrupted") : NN_OK;
}

/* --------------------------------------------------------- batches of rows */

#define ROWS_BYTES ((size_t) 80 << 20) /* kept for a batch; 2 MB a sample in the preset baseline */
#define CUT_WEIGHTS 1024               /* fewer are not worth it */

/*
 * Tells whether nothing but the step's source is handed over from before it to
 * after it.  A buffer lives until the last step that reads it.
 */
static int
is_cut(const NnPlan *plan, int cut)
{
	const NnStep *steps = nn_plan_steps(plan);
	const NnTensor *tensors = nn_plan_tensors(plan);
	int source = tensors[steps[cut].src[0]].buffer;
	int before;

	for (before = 0; before < cut; before++)
	{
		int buffer = tensors[steps[before].dst].buffer;

		if (buffer != source && nn_plan_buffers(plan)[buffer].last >= cut)
			return 0;
	}
	return source < 0 || source != tensors[plan->output].buffer;
}

/* Returns the step that a batch of rows goes through together, -1 where there is none. */
static int
find_cut(const NnPlan *plan, const NnGraph *graph)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t most = CUT_WEIGHTS - 1;
	int cut = -1;
	int s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];

		if (nn_node_op(node)->forward_rows != NULL && node->n_weights > most && is_cut(plan, s))
		{
			cut = s;
			most = node->n_weights;
		}
	}
	return cut;
}

/* Returns the bytes of one sample's source and output of the step, which are kept for every row. */
static size_t
row_bytes(const NnPlan *plan, const NnStep *step)
{
	const NnTensor *tensors = nn_plan_tensors(plan);
	const NnTensor *src = &tensors[step->src[0]];
	size_t floats = tensors[step->dst].floats;

	if (src->buffer >= 0)
		floats = nn_add_size(floats, src->floats);
	return nn_mul_size(floats, sizeof(float));
}

/* Returns the rows of a batch for n samples: at most n, and as many as fit. */
static int
batch_rows(const NnPlan *plan, int cut, int n)
{
	size_t fit = cut < 0 ? 1 : ROWS_BYTES / (row_bytes(plan, &nn_plan_steps(plan)[cut]) + 1);

	if (n > NN_GROUP_ROWS)
		n = NN_GROUP_ROWS;
	if ((size_t) n > fit)
		n = (int) fit;
	return n > 1 ? n : 1;
}

/* ----------------------------------------------------------------- scratch */

size_t
nn_plan_scratch_bytes(const NnPlan *plan, const NnGraph *graph, NnPath path, NnPrecision precision)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t most = 0;
	int s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];
		const NnOp *op = nn_node_op(node);
		size_t bytes =
			op->scratch_bytes != NULL ? op->scratch_bytes(node, &steps[s], plan->mode, path, precision) : 0;

		if (bytes > most)
			most = bytes;
	}
	return nn_align_size(most);
}

/* Returns where the rows begin in the scratch: behind the arena of one sample and a step's scratch. */
static size_t
rows_offset(const NnEngine *engine, const NnPlan *plan, int cut, int rows)
{
	size_t scratch = nn_plan_scratch_bytes(plan, engine->graph, engine->path, engine->precision);

	if (cut >= 0 && rows > 1)
	{
		const NnNode *node = &engine->graph->nodes[nn_plan_steps(plan)[cut].node];
		size_t own = nn_node_op(node)->rows_scratch_bytes(node, rows, engine->precision);

		own = nn_align_size(own);
		if (own > scratch)
			scratch = own;
	}
	return nn_add_size(plan->arena_bytes, scratch);
}

size_t
nn_engine_scratch_bytes(const NnEngine *engine, int max_batch)
{
	const NnPlan *plan = nn_graph_plan(engine->graph);
	int cut = find_cut(plan, engine->graph);
	int rows = batch_rows(plan, cut, max_batch);
	size_t bytes = rows_offset(engine, plan, cut, rows);

	if (rows > 1)
		bytes = nn_add_size(nn_grow(bytes, NN_ALIGN),
							nn_mul_size((size_t) rows, row_bytes(plan, &nn_plan_steps(plan)[cut])));
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

/* ----------------------------------------------------------------- scoring */

typedef struct RowBatch
{
	const NnEngine *engine;
	const NnPlan *plan;
	char *scratch;
	int cut;        /* step of all rows together; -1 none */
	int src_buffer, /* its buffers, -1 where they are in the arena */
		dst_buffer;
	float *rows_src, /* their rows */
		*rows_dst;
	size_t src_floats, dst_floats;
	int embedding_tensor;
	size_t embedding_floats;

	/* of the batch's first sample */
	const float *src;
	float *embedding;
} RowBatch;

/* Prepares a batch of rows; a batch of one has all its tensors in the arena. */
static void
batch_init(RowBatch *batch, const NnEngine *engine, void *scratch, int cut, int rows)
{
	const NnPlan *plan = nn_graph_plan(engine->graph);
	const NnTensor *tensors = nn_plan_tensors(plan);

	memset(batch, 0, sizeof(*batch));
	batch->engine = engine;
	batch->plan = plan;
	batch->scratch = scratch;
	batch->cut = rows > 1 ? cut : -1;
	batch->src_buffer = batch->dst_buffer = -1;
	batch->embedding_tensor = nn_plan_node_tensor(plan)[nn_graph_embedding_node(engine->graph)];
	batch->embedding_floats = tensors[batch->embedding_tensor].floats;
	if (batch->cut >= 0)
	{
		const NnStep *step = &nn_plan_steps(plan)[cut];

		batch->src_buffer = tensors[step->src[0]].buffer;
		batch->dst_buffer = tensors[step->dst].buffer;
		batch->src_floats = tensors[step->src[0]].floats;
		batch->dst_floats = tensors[step->dst].floats;
		batch->rows_src = (float *) ((char *) scratch + rows_offset(engine, plan, cut, rows));
		batch->rows_dst = batch->rows_src + (batch->src_buffer >= 0 ? (size_t) rows * batch->src_floats : 0);
	}
}

/* Returns where a tensor of the batch's sample i lies. */
static float *
tensor_at(const RowBatch *batch, int tensor, size_t i)
{
	const NnTensor *t = &nn_plan_tensors(batch->plan)[tensor];

	if (t->buffer < 0)
		return (float *) batch->src + i * t->floats;
	if (t->buffer == batch->src_buffer)
		return batch->rows_src + i * batch->src_floats;
	if (t->buffer == batch->dst_buffer)
		return batch->rows_dst + i * batch->dst_floats;
	return (float *) (batch->scratch + nn_plan_buffers(batch->plan)[t->buffer].offset);
}

/* Fills the call of a step for the batch's sample i: its weights, packed or not, and its tensors. */
static void
fill_call(NnCall *call, const RowBatch *batch, const NnStep *step, size_t i)
{
	const NnEngine *engine = batch->engine;
	const NnPlan *plan = batch->plan;
	int s = (int) (step - nn_plan_steps(plan));
	size_t packed = packed_offsets(engine->packed)[s];
	const char *base = (const char *) engine->packed + packed_head_bytes(plan);
	int j;

	memset(call, 0, sizeof(*call));
	call->step = step;
	call->node = &engine->graph->nodes[step->node];
	call->mode = NN_INFER;
	call->path = engine->path;
	call->precision = engine->precision;
	call->sgemm = nn_sgemm_for(engine->path);
	if (engine->precision == NN_PRECISION_FLOAT32)
		call->weights = engine->weights + call->node->weights;
	if (packed != SIZE_MAX && (packed & RAW_WEIGHTS))
		call->weights = (const float *) (base + packed - RAW_WEIGHTS);
	else if (packed != SIZE_MAX)
		call->packed = base + packed;
	call->scratch = batch->scratch + plan->arena_bytes;
	call->dst = tensor_at(batch, step->dst, i);
	for (j = 0; j < step->n_src; j++)
	{
		call->src[j] = tensor_at(batch, step->src[j], i);
		call->src_floats[j] = nn_plan_tensors(plan)[step->src[j]].floats;
	}
}

static void
keep_embedding(const RowBatch *batch, int tensor, size_t i)
{
	if (batch->embedding != NULL && tensor == batch->embedding_tensor)
		memcpy(batch->embedding + i * batch->embedding_floats, tensor_at(batch, tensor, i),
			   batch->embedding_floats * sizeof(float));
}

/* Runs the steps [first, end) for the batch's sample i. */
static NnStatus
run_steps(const RowBatch *batch, int first, int end, size_t i)
{
	const NnStep *steps = nn_plan_steps(batch->plan);
	int s;

	for (s = first; s < end; s++)
	{
		NnCall call;

		fill_call(&call, batch, &steps[s], i);
		nn_node_op(call.node)->forward(&call);
		if (nn_stopped())
			return NN_INTERRUPTED;
		keep_embedding(batch, steps[s].dst, i);
	}
	return NN_OK;
}

/* Runs the steps before the cut for each of n samples, then the cut for all of them. */
static NnStatus
run_rows(const RowBatch *batch, int n)
{
	const NnStep *step = &nn_plan_steps(batch->plan)[batch->cut];
	NnStatus status = NN_OK;
	NnCall call;
	int i;

	for (i = 0; i < n && status == NN_OK; i++)
		status = run_steps(batch, 0, batch->cut, (size_t) i);
	if (status != NN_OK)
		return status;
	fill_call(&call, batch, step, 0);
	nn_node_op(call.node)->forward_rows(&call, n);
	if (nn_stopped())
		return NN_INTERRUPTED;
	for (i = 0; i < n; i++)
		keep_embedding(batch, step->dst, (size_t) i);
	return NN_OK;
}

NnStatus
nn_engine_samples(float *probabilities, float *logits, float *embedding, const float *src, int n,
				  const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop)
{
	const NnGraph *graph = engine->graph;
	const NnPlan *plan = nn_graph_plan(graph);
	size_t units = (size_t) graph->units;
	size_t in = nn_shape_floats(&graph->nodes[0].shape);
	int cut = find_cut(plan, graph);
	int rows = batch_rows(plan, cut, n);
	volatile sig_atomic_t *before = nn_stop_watch(stop);
	NnStatus status = nn_stopped() ? NN_INTERRUPTED : NN_OK;
	RowBatch batch;
	int first, i;

	batch_init(&batch, engine, scratch, cut, rows);
	for (first = 0; first < n && status == NN_OK; first += rows)
	{
		int count = n - first < rows ? n - first : rows;

		batch.src = src + (size_t) first * in;
		batch.embedding = embedding != NULL ? embedding + (size_t) first * batch.embedding_floats : NULL;
		for (i = 0; i < count; i++)
			keep_embedding(&batch, 0, (size_t) i);
		if (batch.cut >= 0)
			status = run_rows(&batch, count);
		for (i = 0; i < count && status == NN_OK; i++)
		{
			const float *result;
			size_t at = (size_t) (first + i) * units;

			status = run_steps(&batch, batch.cut + 1, plan->n_steps, (size_t) i);
			if (status != NN_OK)
				break;
			result = tensor_at(&batch, plan->output, (size_t) i);
			if (logits != NULL)
				memcpy(logits + at, result, units * sizeof(float));
			nn_probabilities(probabilities + at, result, graph->units, graph->output_activation);
		}
	}
	nn_stop_watch(before);
	return status;
}

NnStatus
nn_engine_step(const NnEngine *engine, const float *src, int step, void *scratch)
{
	RowBatch batch;
	unsigned int saved = nn_fpenv_set();
	NnStatus status;

	batch_init(&batch, engine, scratch, -1, 1);
	batch.src = src;
	status = run_steps(&batch, step, step + 1, 0);
	nn_fpenv_restore(saved);
	return status;
}

NnStatus
nn_engine_run(float *probabilities, float *logits, float *embedding, const float *src, int n,
			  const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop)
{
	const PackedHeader *header = engine->packed;
	unsigned int saved;
	NnStatus status;

	if (header->magic != PACKED_MAGIC || header->path != (int32_t) engine->path ||
		header->precision != (int32_t) engine->precision ||
		header->n_steps != nn_graph_plan(engine->graph)->n_steps)
		return NN_CORRUPT;
	saved = nn_fpenv_set();
	status = nn_engine_samples(probabilities, logits, embedding, src, n, engine, scratch, stop);
	nn_fpenv_restore(saved);
	return status;
}

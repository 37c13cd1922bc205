/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  Prediction: a graph, its weights, and their packed form.
 *
 * A sample runs alone through the plan's steps, with the built-in kernels of
 * the engine's path only, so that its score depends on nothing else: not on
 * the batch, not on threads, not on whether a BLAS is there.
 *
 * Packed form: PackedHeader, then one offset per step (SIZE_MAX where a step
 * packs nothing), then the steps' packed weights.  No pointers.
 *
 *-------------------------------------------------------------------------
 */
#include "nn_internal.h"

#include <string.h>

#define PACKED_MAGIC UINT64_C(0x314b4341504e4e50)

typedef struct PackedHeader
{
	uint64_t	magic;
	uint64_t	bytes;
	int32_t		path;
	int32_t		precision;
	int32_t		n_steps;
	int32_t		pad;
} PackedHeader;

/* ------------------------------------------------------------------ packed */

size_t
nn_packed_layout(size_t *offsets, const NnPlan *plan, const NnGraph *graph, NnMode mode,
				 NnPath path)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t		bytes = 0;
	int			s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];
		const NnOp *op = nn_node_op(node);
		size_t		own = op->packed_bytes != NULL
			? op->packed_bytes(node, &steps[s], mode, path) : 0;

		if (offsets != NULL)
			offsets[s] = own > 0 ? bytes : SIZE_MAX;
		bytes = nn_grow(bytes, own);
	}
	return bytes;
}

static size_t
packed_head_bytes(const NnPlan *plan)
{
	return nn_align_size(sizeof(PackedHeader)) +
		nn_align_size((size_t) plan->n_steps * sizeof(size_t));
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
	size_t		bytes = nn_grow(packed_head_bytes(plan),
								nn_packed_layout(NULL, plan, graph, NN_INFER, path));

	(void) precision;
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

NnStatus
nn_engine_pack(void *packed, const NnGraph *graph, const float *weights, NnPath path,
			   NnPrecision precision, NnError *error)
{
	const NnPlan *plan = nn_graph_plan(graph);
	const NnStep *steps = nn_plan_steps(plan);
	PackedHeader *header = packed;
	size_t	   *offsets = (size_t *) packed_offsets(packed);
	char	   *base = (char *) packed + packed_head_bytes(plan);
	unsigned int saved;
	int			s;

	if (precision != NN_PRECISION_FLOAT32 || path < NN_PATH_REFERENCE || path > NN_PATH_AVX512)
		return nn_fail(error, NN_UNSUPPORTED, -1, "", "unknown precision %d or path %d",
					   (int) precision, (int) path);
	memset(packed, 0, packed_head_bytes(plan));
	header->magic = PACKED_MAGIC;
	header->bytes = nn_engine_packed_bytes(graph, path, precision);
	header->path = path;
	header->precision = precision;
	header->n_steps = plan->n_steps;
	nn_packed_layout(offsets, plan, graph, NN_INFER, path);
	saved = nn_fpenv_set();
	for (s = 0; s < plan->n_steps; s++)
		if (offsets[s] != SIZE_MAX)
		{
			const NnNode *node = &graph->nodes[steps[s].node];

			nn_node_op(node)->pack(base + offsets[s], node, &steps[s], weights + node->weights,
								   NN_INFER, path);
		}
	nn_fpenv_restore(saved);
	return NN_OK;
}

/* ----------------------------------------------------------------- scratch */

size_t
nn_plan_scratch_bytes(const NnPlan *plan, const NnGraph *graph, NnPath path)
{
	const NnStep *steps = nn_plan_steps(plan);
	size_t		most = 0;
	int			s;

	for (s = 0; s < plan->n_steps; s++)
	{
		const NnNode *node = &graph->nodes[steps[s].node];
		const NnOp *op = nn_node_op(node);
		size_t		bytes = op->scratch_bytes != NULL
			? op->scratch_bytes(node, &steps[s], plan->mode, path) : 0;

		if (bytes > most)
			most = bytes;
	}
	return nn_align_size(most);
}

size_t
nn_engine_scratch_bytes(const NnEngine *engine, int max_batch)
{
	const NnPlan *plan = nn_graph_plan(engine->graph);
	size_t		bytes = nn_add_size(plan->arena_bytes,
									nn_plan_scratch_bytes(plan, engine->graph, engine->path));

	(void) max_batch;			/* samples run one by one */
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

/* --------------------------------------------------------------------- run */

static void
fill_call(NnCall *call, const NnEngine *engine, const NnPlan *plan, const NnStep *step,
		  const float *src, char *scratch)
{
	const NnTensor *tensors = nn_plan_tensors(plan);
	const NnBuffer *buffers = nn_plan_buffers(plan);
	int			s = (int) (step - nn_plan_steps(plan));
	size_t		packed = packed_offsets(engine->packed)[s];
	int			j;

	memset(call, 0, sizeof(*call));
	call->step = step;
	call->node = &engine->graph->nodes[step->node];
	call->mode = NN_INFER;
	call->path = engine->path;
	call->sgemm = nn_sgemm_for(engine->path);
	call->weights = engine->weights + call->node->weights;
	if (packed != SIZE_MAX)
		call->packed = (const char *) engine->packed + packed_head_bytes(plan) + packed;
	call->scratch = scratch + plan->arena_bytes;
	call->dst = (float *) (scratch + buffers[tensors[step->dst].buffer].offset);
	for (j = 0; j < step->n_src; j++)
	{
		const NnTensor *tensor = &tensors[step->src[j]];

		call->src[j] = tensor->buffer < 0 ? src
			: (const float *) (scratch + buffers[tensor->buffer].offset);
		call->src_floats[j] = tensor->floats;
	}
}

/* The floating-point flags are the caller's to set. */
NnStatus
nn_engine_sample(float *probabilities, float *logits, float *embedding, const float *src,
				 const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop)
{
	const NnGraph *graph = engine->graph;
	const NnPlan *plan = nn_graph_plan(graph);
	const NnStep *steps = nn_plan_steps(plan);
	const NnTensor *tensors = nn_plan_tensors(plan);
	const NnBuffer *buffers = nn_plan_buffers(plan);
	int			embedding_tensor = nn_plan_node_tensor(plan)[nn_graph_embedding_node(graph)];
	size_t		units = (size_t) graph->units;
	const float *result;
	int			s;

	if (embedding != NULL && embedding_tensor == 0)
		memcpy(embedding, src, tensors[0].floats * sizeof(float));
	for (s = 0; s < plan->n_steps; s++)
	{
		NnCall		call;

		if (stop != NULL && *stop)
			return NN_INTERRUPTED;
		fill_call(&call, engine, plan, &steps[s], src, scratch);
		nn_node_op(call.node)->forward(&call);
		if (embedding != NULL && steps[s].dst == embedding_tensor)
			memcpy(embedding, call.dst, tensors[embedding_tensor].floats * sizeof(float));
	}
	result = plan->output == 0 ? src
		: (const float *) ((char *) scratch + buffers[tensors[plan->output].buffer].offset);
	if (logits != NULL)
		memcpy(logits, result, units * sizeof(float));
	nn_probabilities(probabilities, result, graph->units);
	return NN_OK;
}

NnStatus
nn_engine_run(float *probabilities, float *logits, float *embedding, const float *src, int n,
			  const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop)
{
	const NnGraph *graph = engine->graph;
	size_t		units = (size_t) graph->units;
	size_t		in = nn_shape_floats(&graph->nodes[0].shape);
	size_t		width = nn_shape_floats(&graph->nodes[nn_graph_embedding_node(graph)].shape);
	const PackedHeader *header = engine->packed;
	unsigned int saved;
	NnStatus	status = NN_OK;
	int			i;

	if (header->magic != PACKED_MAGIC || header->path != (int32_t) engine->path ||
		header->precision != (int32_t) engine->precision ||
		header->n_steps != nn_graph_plan(graph)->n_steps)
		return NN_CORRUPT;
	saved = nn_fpenv_set();
	for (i = 0; i < n && status == NN_OK; i++)
	{
		size_t		k = (size_t) i;

		status = nn_engine_sample(probabilities + k * units,
								  logits != NULL ? logits + k * units : NULL,
								  embedding != NULL ? embedding + k * width : NULL,
								  src + k * in, engine, scratch, stop);
	}
	nn_fpenv_restore(saved);
	return status;
}

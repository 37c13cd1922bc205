/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The running batch, as the phases of a training step see it: where its
 *	  tensors lie, and how gradients reach the weights.
 *
 *-------------------------------------------------------------------------
 */
#include "batch.h"
#include "kernels/kernels.h"
#include "op.h"
#include "optimizers.h"
#include "plan.h"
#include "pool.h"
#include "sizes.h"
#include "trainer.h"

#include <string.h>

size_t
nn_one_item(const NnTrainer *t, const NnStep *step)
{
	(void) t;
	(void) step;
	return 1;
}

size_t
nn_sample_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return (size_t) t->n;
}

size_t
nn_chunk_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return (size_t) nn_chunk_count(t->n);
}

float *
nn_batch_buffer(const NnTrainer *t, int buffer)
{
	return (float *) (t->arena + nn_plan_buffers(t->plan)[buffer].offset * (size_t) t->config.batch_size);
}

float *
nn_batch_tensor(const NnTrainer *t, int tensor)
{
	int buffer = nn_plan_tensors(t->plan)[tensor].buffer;

	return buffer < 0 ? t->input[t->current] : nn_batch_buffer(t, buffer);
}

float *
nn_batch_gradient(const NnTrainer *t, int tensor)
{
	return nn_batch_buffer(t, nn_plan_tensors(t->plan)[tensor].gradient);
}

void
nn_batch_call(NnCall *call, const NnTrainer *t, const NnStep *step, int sample, const NnWorker *worker)
{
	const NnTensor *tensors = nn_plan_tensors(t->plan);
	const NnTensor *dst = &tensors[step->dst];
	size_t packed = t->packed_offset[nn_step_index(t, step)];
	size_t i = (size_t) sample;
	int j;

	memset(call, 0, sizeof(*call));
	call->step = step;
	call->node = nn_batch_node(t, step);
	call->mode = NN_TRAINING;
	call->path = t->path;
	call->sgemm = t->sgemm;
	call->weights = t->weights + call->node->weights;
	call->packed = packed != SIZE_MAX ? t->packed + packed : NULL;
	call->scratch = worker->scratch;
	call->dst = nn_batch_tensor(t, step->dst) + i * dst->floats;
	if (dst->gradient >= 0)
		call->ddst = nn_batch_buffer(t, dst->gradient) + i * dst->floats;
	for (j = 0; j < step->n_src; j++)
	{
		size_t floats = tensors[step->src[j]].floats;

		call->src[j] = nn_batch_tensor(t, step->src[j]) + i * floats;
		call->src_floats[j] = floats;
		if (step->dsrc[j] >= 0)
			call->dsrc[j] = nn_batch_buffer(t, step->dsrc[j]) + i * floats;
	}
	if (step->mask >= 0)
		call->mask = (uint16_t *) nn_batch_buffer(t, step->mask) +
					 i * nn_mask_words(step->out.c) * (size_t) step->out.h * (size_t) step->out.w;
	call->seed = t->config.seed;
	call->epoch = (uint32_t) t->state->epoch;
	call->sample = t->first + i;
}

void
nn_batch_slots(NnSlots *slots, const NnTrainer *t, size_t offset)
{
	size_t stride = nn_align_size(t->graph->n_weights * sizeof(float)) / sizeof(float);

	nn_update_slots(slots, t->slots, stride, offset, &t->config.optimizer);
}

void
nn_batch_update(const NnTrainer *t, size_t offset, const float *gradients, size_t count, float scale)
{
	NnUpdate update = t->update;
	NnSlots slots;

	update.grad_scale = scale;
	nn_batch_slots(&slots, t, offset);
	nn_kernels(t->path)->update(t->weights + offset, &slots, gradients, count, &update);
}

/*-------------------------------------------------------------------------
 *
 * state.c
 *	  The state of a training run: everything that a resumed run needs to go
 *	  on to the same bits.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"
#include "graph.h"
#include "nn.h"
#include "optimizers.h"
#include "sizes.h"
#include "state.h"

#include <math.h>
#include <string.h>

static size_t
block_bytes(size_t n_weights)
{
	return nn_align_size(nn_mul_size(n_weights, sizeof(float)));
}

size_t
nn_state_bytes(size_t n_weights, int n_slots, int has_best)
{
	size_t blocks = 1 + (size_t) n_slots + (size_t) (has_best != 0);

	return nn_grow(nn_align_size(sizeof(NnState)), nn_mul_size(blocks, block_bytes(n_weights)));
}

float *
nn_state_weights(NnState *state)
{
	return (float *) ((char *) state + nn_align_size(sizeof(NnState)));
}

float *
nn_state_best(NnState *state)
{
	if (!state->has_best)
		return NULL;
	return (float *) ((char *) nn_state_weights(state) + block_bytes(state->n_weights));
}

float *
nn_state_slots(NnState *state)
{
	size_t blocks = 1 + (size_t) (state->has_best != 0);

	return (float *) ((char *) nn_state_weights(state) + blocks * block_bytes(state->n_weights));
}

/* ------------------------------------------------------------ fingerprint */

/* Hashes by FNV-1a, 64 bits, which tells a mistake, not an attack. */
static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t
hash_int(uint64_t hash, uint64_t value)
{
	return hash_bytes(hash, &value, sizeof(value));
}

static uint64_t
hash_real(uint64_t hash, double value)
{
	return hash_bytes(hash, &value, sizeof(value));
}

static uint64_t
hash_optimizer(uint64_t hash, const NnOptimizer *o)
{
	const double reals[] = {o->learning_rate,
							o->rho,
							o->momentum,
							o->epsilon,
							o->beta_1,
							o->beta_2,
							o->weight_decay,
							o->clipnorm,
							o->global_clipnorm,
							o->clipvalue,
							o->decay_steps,
							o->alpha,
							isnan(o->warmup_target) ? -1.0 : o->warmup_target,
							o->warmup_steps};
	const int ints[] = {(int) o->kind, o->nesterov, o->centered, o->amsgrad, o->cosine_decay};

	hash = hash_bytes(hash, reals, sizeof(reals));
	return hash_bytes(hash, ints, sizeof(ints));
}

uint64_t
nn_state_fingerprint(const NnGraph *graph, const NnTrainConfig *c, const NnTrainData *data)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int i, j;

	for (i = 0; i < graph->n_nodes; i++)
	{
		const NnNodeSpec *spec = &graph->nodes[i].spec;
		const NnShape *shape = &graph->nodes[i].shape;
		const NnOpInfo *info = nn_op_info(spec->op);

		hash = hash_bytes(hash, info->class_name, strlen(info->class_name));
		hash = hash_bytes(hash, spec->inputs, (size_t) spec->n_inputs * sizeof(int));
		for (j = 0; info->params[j].key != NULL; j++)
			if (nn_param_counts(&info->params[j], &spec->params[j]))
				hash = hash_bytes(hash, &spec->params[j], sizeof(NnValue));
		hash = hash_bytes(hash, shape, sizeof(*shape));
	}
	hash = hash_int(hash, (uint64_t) c->batch_size);
	hash = hash_int(hash, (uint64_t) c->steps_per_epoch);
	hash = hash_int(hash, (uint64_t) c->shuffle);
	hash = hash_int(hash, c->seed);
	hash = hash_optimizer(hash, &c->optimizer);
	hash = hash_real(hash, c->label_smoothing);
	for (i = 0; i < nn_graph_class_count(graph); i++)
		hash = hash_real(hash, c->class_weight[i]);
	hash = hash_int(hash, (uint64_t) c->early_stopping);
	hash = hash_int(hash, (uint64_t) c->es_monitor);
	hash = hash_int(hash, (uint64_t) c->restore_best_weights);
	hash = hash_int(hash, (uint64_t) c->plateau);
	hash = hash_int(hash, (uint64_t) c->precision);
	for (i = 0; data->target[NN_TRAIN] != NULL && i < graph->units; i++)
		hash = hash_real(hash, c->negative_weight[i]);
	hash = hash_int(hash, data->n[NN_TRAIN]);
	return hash_int(hash, data->n[NN_VALIDATION]);
}

/* ------------------------------------------------------------------- check */

static int
whole_header(const NnState *s, size_t bytes, size_t n_steps)
{
	return s->bytes == bytes && s->epoch >= 0 && s->step <= n_steps &&
		   (s->finished == 0 || s->finished == 1) && s->iteration < (UINT64_C(1) << 53) &&
		   isfinite(s->loss_sum) && isfinite(s->correct_sum) && isfinite(s->sample_sum) && s->rate >= 0 &&
		   isfinite(s->rate) && s->stopping.wait >= 0 && s->plateau.wait >= 0 && s->plateau.cooldown >= 0 &&
		   s->best_epoch >= 0 && s->best_epoch <= s->epoch && (s->best_epoch == 0 || s->has_best);
}

NnStatus
nn_state_check(const NnState *state, size_t bytes, const NnGraph *graph, const NnTrainConfig *config,
			   const NnTrainData *data, volatile sig_atomic_t *stop, NnError *error)
{
	size_t n = data->n[NN_TRAIN];
	size_t n_steps = (n + (size_t) config->batch_size - 1) / (size_t) config->batch_size;
	int n_slots = nn_optimizer_slots(&config->optimizer);
	int has_best = config->early_stopping && config->restore_best_weights;

	if (state->magic != NN_STATE_MAGIC)
		return nn_fail(error, NN_CORRUPT, -1, "", "the checkpoint is not one of this version");
	if (state->fingerprint != nn_state_fingerprint(graph, config, data))
		return nn_fail(error, NN_CORRUPT, -1, "Start a new training instead.",
					   "the checkpoint belongs to another network, configuration or data");
	if (state->n_weights != graph->n_weights || state->n_slots != (uint32_t) n_slots ||
		state->has_best != (uint32_t) has_best || !whole_header(state, bytes, n_steps))
		return nn_fail(error, NN_CORRUPT, -1, "", "the checkpoint is damaged");
	return nn_weights_check(nn_state_weights((NnState *) state), graph, stop, error);
}

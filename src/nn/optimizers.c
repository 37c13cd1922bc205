/*-------------------------------------------------------------------------
 *
 * optimizers.c
 *	  SGD, RMSprop, Adam and AdamW with Keras 3's formulas and defaults.
 *
 * Where Keras differs from the papers and from other libraries: RMSprop's
 * epsilon is inside the root; Adam's bias corrections are folded into the
 * rate, so that epsilon is added to the uncorrected root; amsgrad keeps the
 * largest uncorrected second moment; weight decay is decoupled for every
 * optimiser and comes before the update, on all trainable variables.
 * The update itself is NnKernels.update.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"
#include "kernels/kernels.h"
#include "nn.h"
#include "optimizers.h"

#include <math.h>
#include <string.h>

void
nn_optimizer_init(NnOptimizer *optimizer, NnOptimizerKind kind)
{
	memset(optimizer, 0, sizeof(*optimizer));
	optimizer->kind = kind;
	optimizer->learning_rate = (kind == NN_SGD) ? 0.01 : 0.001;
	optimizer->rho = 0.9;
	optimizer->epsilon = 1e-7;
	optimizer->beta_1 = 0.9;
	optimizer->beta_2 = 0.999;
	optimizer->weight_decay = (kind == NN_ADAMW) ? 0.004 : 0.0;
	optimizer->warmup_target = NAN;
}

int
nn_optimizer_slots(const NnOptimizer *optimizer)
{
	switch (optimizer->kind)
	{
		case NN_SGD:
			return optimizer->momentum != 0.0;
		case NN_RMSPROP:
			return 1 + (optimizer->momentum != 0.0) + (optimizer->centered != 0);
		case NN_ADAM:
		case NN_ADAMW:
			return 2 + (optimizer->amsgrad != 0);
	}
	return 0;
}

static NnStatus
check_number(NnError *error, const char *name, double value, double low, double high, int open_low,
			 int open_high)
{
	int good = isfinite(value) && (open_low ? value > low : value >= low) &&
			   (open_high ? value < high : value <= high);

	if (good)
		return NN_OK;
	return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "%s is %g, but must be %s %g and %s %g", name, value,
				   open_low ? "above" : "at least", low, open_high ? "below" : "at most", high);
}

#define CHECK(name, low, high, open_low, open_high)                                             \
	do                                                                                          \
	{                                                                                           \
		NnStatus status_ = check_number(error, #name, o->name, low, high, open_low, open_high); \
		if (status_ != NN_OK)                                                                   \
			return status_;                                                                     \
	} while (0)

NnStatus
nn_optimizer_check(const NnOptimizer *o, NnError *error)
{
	if ((int) o->kind < NN_SGD || o->kind > NN_ADAMW)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "unknown optimizer %d", (int) o->kind);
	CHECK(learning_rate, 0.0, 1e6, !o->cosine_decay || isnan(o->warmup_target), 0);
	CHECK(rho, 0.0, 1.0, 0, 1);
	CHECK(momentum, 0.0, 1.0, 0, 0);
	CHECK(epsilon, 0.0, 1e6, 0, 0);
	CHECK(beta_1, 0.0, 1.0, 0, 1);
	CHECK(beta_2, 0.0, 1.0, 0, 1);
	CHECK(weight_decay, 0.0, 1e6, 0, 0);
	CHECK(clipnorm, 0.0, 1e30, 0, 0);
	CHECK(global_clipnorm, 0.0, 1e30, 0, 0);
	CHECK(clipvalue, 0.0, 1e30, 0, 0);
	if ((o->clipnorm > 0) + (o->global_clipnorm > 0) + (o->clipvalue > 0) > 1)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Keep one of the three.",
					   "only one of clipnorm, global_clipnorm and clipvalue can be set");
	if (o->cosine_decay)
	{
		CHECK(decay_steps, 0.0, 1e15, 1, 0);
		CHECK(alpha, 0.0, 1.0, 0, 0);
		if (!isnan(o->warmup_target))
		{
			CHECK(warmup_target, 0.0, 1e6, 1, 0);
			CHECK(warmup_steps, 0.0, 1e15, 1, 0);
		}
	}
	return NN_OK;
}

void
nn_update_init(NnUpdate *update, const NnOptimizer *optimizer, double rate, uint64_t iteration)
{
	memset(update, 0, sizeof(*update));
	update->kind = optimizer->kind;
	update->rate = (float) rate;
	update->decay = (float) (optimizer->weight_decay * rate);
	update->grad_scale = 1.0f;
	update->clip = (float) optimizer->clipvalue;
	update->momentum = (float) optimizer->momentum;
	update->rho = (float) optimizer->rho;
	update->epsilon = (float) optimizer->epsilon;
	update->beta_1 = (float) optimizer->beta_1;
	update->beta_2 = (float) optimizer->beta_2;
	update->nesterov = optimizer->nesterov;
	update->centered = optimizer->centered;
	update->amsgrad = optimizer->amsgrad;
	if (optimizer->kind == NN_ADAM || optimizer->kind == NN_ADAMW)
	{
		double t = (double) iteration + 1.0;

		update->rate =
			(float) (rate * sqrt(1.0 - pow(optimizer->beta_2, t)) / (1.0 - pow(optimizer->beta_1, t)));
	}
}

void
nn_update_slots(NnSlots *slots, float *base, size_t stride, size_t offset, const NnOptimizer *optimizer)
{
	int used[3] = {0, 0, 0};
	int k;
	size_t n = 0;

	switch (optimizer->kind)
	{
		case NN_SGD:
			used[0] = (optimizer->momentum != 0.0);
			break;
		case NN_RMSPROP:
			used[0] = 1;
			used[1] = (optimizer->momentum != 0.0);
			used[2] = (optimizer->centered != 0);
			break;
		case NN_ADAM:
		case NN_ADAMW:
			used[0] = used[1] = 1;
			used[2] = (optimizer->amsgrad != 0);
			break;
	}
	for (k = 0; k < 3; k++)
		slots->s[k] = used[k] ? base + stride * n++ + offset : NULL;
}

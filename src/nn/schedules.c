/*-------------------------------------------------------------------------
 *
 * schedules.c
 *	  Learning rate schedules.
 *
 *-------------------------------------------------------------------------
 */
#include "nn.h"
#include "schedules.h"

#include <math.h>

/*
 * Follows Keras's CosineDecay: a linear warm-up from the initial rate to the
 * target if there is one, then half a cosine down to alpha times the peak, then
 * constant.
 */
double
nn_schedule_rate(const NnOptimizer *optimizer, double base, uint64_t iteration)
{
	double step = (double) iteration;
	double peak = optimizer->learning_rate;
	double done;

	if (!optimizer->cosine_decay)
		return base;
	if (!isnan(optimizer->warmup_target))
	{
		double delta = optimizer->warmup_target - optimizer->learning_rate;

		if (step < optimizer->warmup_steps)
			return optimizer->learning_rate + delta * (step / optimizer->warmup_steps);
		peak = optimizer->warmup_target;
		step -= optimizer->warmup_steps;
	}
	done = step < optimizer->decay_steps ? step / optimizer->decay_steps : 1.0;
	return peak *
		   ((1.0 - optimizer->alpha) * 0.5 * (1.0 + cos(3.14159265358979323846 * done)) + optimizer->alpha);
}

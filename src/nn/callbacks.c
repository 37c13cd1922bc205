/*-------------------------------------------------------------------------
 *
 * callbacks.c
 *	  EarlyStopping and ReduceLROnPlateau, as Keras 3 has them.
 *
 *-------------------------------------------------------------------------
 */
#include "callbacks.h"
#include "nn.h"

#include <math.h>

void
nn_stopping_init(NnStopping *stopping)
{
	stopping->best = 0.0;
	stopping->has_best = 0;
	stopping->wait = 0;
	stopping->best_epoch = -1;
	stopping->pad = 0;
}

int
nn_stopping_update(NnStopping *stopping, const NnTrainConfig *config, int epoch, double value, int *save)
{
	double delta = fabs(config->es_min_delta);
	int better;

	*save = 0;
	if (epoch < config->es_start_from_epoch)
		return 0;

	/* the first epoch that counts is the best so far, even with a NaN */
	if (stopping->best_epoch < 0)
	{
		stopping->best_epoch = epoch;
		*save = 1;
	}
	stopping->wait++;
	better = !stopping->has_best   ? 1
			 : config->es_maximize ? value - delta > stopping->best
								   : value + delta < stopping->best;
	if (better)
	{
		stopping->best = value;
		stopping->has_best = 1;
		stopping->best_epoch = epoch;
		stopping->wait = 0;
		*save = 1;
		return 0;
	}
	return stopping->wait >= config->es_patience && epoch > 0;
}

void
nn_plateau_init(NnPlateau *plateau, const NnTrainConfig *config)
{
	plateau->best = config->rlr_maximize ? -INFINITY : INFINITY;
	plateau->wait = 0;
	plateau->cooldown = 0;
}

double
nn_plateau_update(NnPlateau *plateau, const NnTrainConfig *config, double value, double rate)
{
	int better = config->rlr_maximize ? value > plateau->best + config->rlr_min_delta
									  : value < plateau->best - config->rlr_min_delta;

	if (plateau->cooldown > 0)
	{
		plateau->cooldown--;
		plateau->wait = 0;
	}
	if (better)
	{
		plateau->best = value;
		plateau->wait = 0;
	}
	else if (plateau->cooldown == 0)
	{
		plateau->wait++;
		if (plateau->wait >= config->rlr_patience && rate > config->rlr_min_lr)
		{
			rate *= config->rlr_factor;
			if (rate < config->rlr_min_lr)
				rate = config->rlr_min_lr;
			plateau->cooldown = config->rlr_cooldown;
			plateau->wait = 0;
		}
	}
	return rate;
}

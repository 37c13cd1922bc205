/*-------------------------------------------------------------------------
 *
 * schedules.h
 *	  Learning rate schedules.  Owner: schedules.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_SCHEDULES_H
#define PNEUMO_NN_SCHEDULES_H

#include "nn.h"

#include <stdint.h>

/*
 * Returns the learning rate of a step (from 0) by the optimiser's schedule;
 * without one that is base, the rate as callbacks have left it.
 */
extern double nn_schedule_rate(const NnOptimizer *optimizer, double base, uint64_t iteration);

#endif /* PNEUMO_NN_SCHEDULES_H */

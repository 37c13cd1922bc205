/*-------------------------------------------------------------------------
 *
 * callbacks.h
 *	  EarlyStopping and ReduceLROnPlateau.  Owner: callbacks.c.
 *
 * Both structs are parts of a checkpoint (state.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_CALLBACKS_H
#define PNEUMO_NN_CALLBACKS_H

#include "nn.h"

#include <stdint.h>

typedef struct NnStopping
{
	double best;
	int32_t has_best;
	int32_t wait;
	int32_t best_epoch; /* from 0; -1 none */
	int32_t pad;
} NnStopping;

typedef struct NnPlateau
{
	double best;
	int32_t wait;
	int32_t cooldown;
} NnPlateau;

/* Starts early stopping: no epoch is the best yet. */
extern void nn_stopping_init(NnStopping *stopping);

/*
 * Takes in the monitored value of an epoch (from 0) and returns 1 when training
 * is to stop; *save is set when this epoch's weights are to be kept.
 */
extern int nn_stopping_update(NnStopping *stopping, const NnTrainConfig *config, int epoch, double value,
							  int *save);

/* Starts the plateau: any value is better than none. */
extern void nn_plateau_init(NnPlateau *plateau, const NnTrainConfig *config);

/* Takes in the monitored value of an epoch and returns the learning rate from here on. */
extern double nn_plateau_update(NnPlateau *plateau, const NnTrainConfig *config, double value, double rate);

#endif /* PNEUMO_NN_CALLBACKS_H */

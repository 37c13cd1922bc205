/*-------------------------------------------------------------------------
 *
 * losses.c
 *	  Binary and categorical cross-entropy, and that of several findings.
 *
 * All are computed from logits, in double: max(z, 0) - z y + log(1 + e^-|z|)
 * for one unit, log sum e^z - sum y z for more.  Label smoothing a is Keras's:
 * y (1 - a) + a / 2, and y (1 - a) + a / K.
 *
 * The loss of findings is Keras's binary cross-entropy with a mask of what is
 * known: the sum over the known findings of a batch divided by their number, as
 * Keras divides a masked loss, so that without unknown ones it is its mean over
 * the last axis and over the samples.
 *
 *-------------------------------------------------------------------------
 */
#include "activations.h"
#include "losses.h"
#include "nn.h"

#include <math.h>

/* Keras clips probabilities by its backend epsilon before taking logarithms. */
#define PROBABILITY_EPSILON 1e-7

static double
binary_loss(float *gradient, int *correct, double z, int32_t label, double smoothing, double scale)
{
	double y = (double) label * (1.0 - smoothing) + 0.5 * smoothing;
	double e = exp(-fabs(z));
	double p = z >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);

	if (gradient != NULL)
		gradient[0] = (float) (scale * (p - y));
	*correct = ((nn_sigmoid((float) z) > 0.5f) == (label == 1));
	return (z > 0.0 ? z : 0.0) - z * y + log1p(e);
}

double
nn_loss_logits(float *gradient, int *correct, const float *logits, int units, int32_t label, double smoothing,
			   double scale)
{
	double high = logits[0];
	double sum = 0.0;
	double dot = 0.0;
	int best = 0;
	int k;

	if (units == 1)
		return binary_loss(gradient, correct, logits[0], label, smoothing, scale);

	for (k = 1; k < units; k++)
		if (logits[k] > high)
		{
			high = logits[k];
			best = k;
		}
	for (k = 0; k < units; k++)
		sum += exp(logits[k] - high);
	for (k = 0; k < units; k++)
	{
		double y = (k == label) * (1.0 - smoothing) + smoothing / units;

		dot += y * (logits[k] - high);
		if (gradient != NULL)
			gradient[k] = (float) (scale * (exp(logits[k] - high) / sum - y));
	}
	*correct = (best == label);
	return log(sum) - dot;
}

size_t
nn_known_targets(const uint8_t *target, size_t n)
{
	size_t known = 0;
	size_t i;

	for (i = 0; i < n; i++)
		known += target[i] != NN_UNKNOWN;
	return known;
}

double
nn_loss_findings(float *gradient, int *correct, const float *logits, int units, const uint8_t *target,
				 const NnTrainConfig *config, double weight, double known)
{
	double sum = 0.0;
	int k;

	*correct = 0;
	for (k = 0; k < units; k++)
	{
		double own;
		int right;

		if (target[k] == NN_UNKNOWN)
		{
			if (gradient != NULL)
				gradient[k] = 0.0f;
			continue;
		}
		own = weight * (target[k] == 1 ? config->class_weight[k] : config->negative_weight[k]);
		sum += own * binary_loss(gradient != NULL ? gradient + k : NULL, &right, logits[k], target[k],
								 config->label_smoothing, own / known);
		*correct += right;
	}
	return sum;
}

void
nn_probabilities(float *probabilities, const float *logits, int units, NnActivation activation)
{
	int k;

	for (k = 0; k < units; k++)
		probabilities[k] = logits[k];
	nn_activation_forward(probabilities, 1, (size_t) units, activation, 0.0f);
}

static double
clipped_log(double p)
{
	if (p < PROBABILITY_EPSILON)
		p = PROBABILITY_EPSILON;
	if (p > 1.0 - PROBABILITY_EPSILON)
		p = 1.0 - PROBABILITY_EPSILON;
	return log(p);
}

/* Returns the loss of one row of probabilities; *correct as in nn_loss_logits(). */
static double
score_loss(int *correct, const float *score, int units, int32_t label, double smoothing)
{
	double loss = 0.0;
	int best = 0;
	int k;

	if (units == 1)
	{
		double y = (double) label * (1.0 - smoothing) + 0.5 * smoothing;

		*correct = ((score[0] > 0.5f) == (label == 1));
		return -(y * clipped_log(score[0]) + (1.0 - y) * clipped_log(1.0 - (double) score[0]));
	}
	for (k = 0; k < units; k++)
	{
		loss -= ((k == label) * (1.0 - smoothing) + smoothing / units) * clipped_log(score[k]);
		if (score[k] > score[best])
			best = k;
	}
	*correct = (best == label);
	return loss;
}

void
nn_score_loss(double *loss, double *accuracy, const float *scores, const int32_t *labels,
			  const float *weights, size_t n, int output_units, double label_smoothing)
{
	double sum = 0.0;
	size_t right = 0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		int correct;
		double one = score_loss(&correct, scores + i * (size_t) output_units, output_units, labels[i],
								label_smoothing);

		sum += one * (weights != NULL ? (double) weights[i] : 1.0);
		right += (size_t) correct;
	}
	*loss = n > 0 ? sum / (double) n : NAN;
	*accuracy = n > 0 ? (double) right / (double) n : NAN;
}

void
nn_score_loss_findings(double *loss, double *accuracy, const float *scores, const uint8_t *targets, size_t n,
					   int output_units, double label_smoothing)
{
	size_t all = n * (size_t) output_units;
	size_t known = nn_known_targets(targets, all);
	double sum = 0.0;
	size_t right = 0;
	size_t i;

	for (i = 0; i < all; i++)
	{
		int correct;

		if (targets[i] == NN_UNKNOWN)
			continue;
		sum += score_loss(&correct, scores + i, 1, targets[i], label_smoothing);
		right += (size_t) correct;
	}
	*loss = known > 0 ? sum / (double) known : NAN;
	*accuracy = known > 0 ? (double) right / (double) known : NAN;
}

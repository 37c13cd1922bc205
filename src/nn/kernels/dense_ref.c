/*-------------------------------------------------------------------------
 *
 * dense_ref.c
 *	  Reference dense layers and optimiser steps: direct loops in double.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "../stop.h"
#include "kernels_ref.h"

void
nn_dense_partial_ref(float *partial, const float *src, const float *weight, int n, int in, int out, int block)
{
	int i0 = block * NN_DENSE_BLOCK;
	int i1 = in - i0 < NN_DENSE_BLOCK ? in : i0 + NN_DENSE_BLOCK;
	size_t work = 0;
	int i, o, r;

	for (r = 0; r < n; r++)
		for (o = 0; o < out && !nn_stop_due(&work, 8 * NN_DENSE_BLOCK); o++)
		{
			double sum = 0.0;

			for (i = i0; i < i1; i++)
				sum += (double) src[(size_t) r * (size_t) in + (size_t) i] *
					   (double) weight[(size_t) i * (size_t) out + (size_t) o];
			partial[(size_t) r * (size_t) out + (size_t) o] = (float) sum;
		}
}

static void
bias_relu(float *dst, const float *bias, int n, int out, int relu)
{
	int o, r;

	for (r = 0; r < n; r++)
		for (o = 0; o < out; o++)
		{
			float *y = dst + (size_t) r * (size_t) out + o;

			if (bias != NULL)
				*y += bias[o];
			if (relu && !(*y > 0.0f))
				*y = 0.0f;
		}
}

void
nn_dense_forward_ref(float *dst, const float *src, const float *weight, const float *bias, int n, int in,
					 int out, int relu, void *scratch)
{
	float *partial = scratch;
	size_t size = (size_t) n * (size_t) out;
	size_t i;
	int blocks = (in + NN_DENSE_BLOCK - 1) / NN_DENSE_BLOCK;
	int b;

	nn_dense_partial_ref(dst, src, weight, n, in, out, 0);
	for (b = 1; b < blocks && !nn_stopped(); b++)
	{
		nn_dense_partial_ref(partial, src, weight, n, in, out, b);
		for (i = 0; i < size; i++)
			dst[i] += partial[i];
	}
	bias_relu(dst, bias, n, out, relu);
}

void
nn_dense_backward_ref(float *dsrc, float *dweight, float *weight, const NnSlots *slots, const float *src,
					  const float *ddst, int n, int in, int out, int i0, int i1, const NnUpdate *update,
					  void *scratch)
{
	float *dw = scratch;
	size_t work = 0;
	int i, o, r;

	for (i = i0; i < i1; i++)
	{
		size_t at = (size_t) i * (size_t) out;

		for (r = 0; dsrc != NULL && r < n && !nn_stop_due(&work, 8 * (size_t) out); r++)
		{
			double sum = 0.0;

			for (o = 0; o < out; o++)
				sum +=
					(double) ddst[(size_t) r * (size_t) out + (size_t) o] * (double) weight[at + (size_t) o];
			dsrc[(size_t) r * (size_t) in + (size_t) i] = (float) sum;
		}
		for (o = 0; o < out && (update != NULL || dweight != NULL) && !nn_stop_due(&work, 8 * (size_t) n);
			 o++)
		{
			double sum = 0.0;

			for (r = 0; r < n; r++)
				sum += (double) src[(size_t) r * (size_t) in + (size_t) i] *
					   (double) ddst[(size_t) r * (size_t) out + (size_t) o];
			if (update != NULL)
				dw[o] = (float) sum;
			else
				dweight[at + (size_t) o] = (float) sum;
		}
		if (update != NULL)
		{
			NnSlots here;
			int k;

			for (k = 0; k < 3; k++)
				here.s[k] = slots->s[k] != NULL ? slots->s[k] + at : NULL;
			nn_update_ref(weight + at, &here, dw, (size_t) out, update);
		}
	}
}

/* Updates one weight, in float where the optimiser's state is float, so that paths can be compared. */
static void
update_one(float *w, float *s0, float *s1, float *s2, double g, const NnUpdate *u)
{
	double step;

	*w = (float) (*w - (double) *w * u->decay);
	switch (u->kind)
	{
		case NN_SGD:
			step = u->rate * g;
			if (u->momentum != 0.0f)
			{
				*s0 = (float) (u->momentum * (double) *s0 - step);
				*w = (float) (*w + (u->nesterov ? u->momentum * (double) *s0 - step : (double) *s0));
			}
			else
				*w = (float) (*w - step);
			return;
		case NN_RMSPROP:
			*s0 = (float) (u->rho * (double) *s0 + (1.0 - u->rho) * g * g);
			if (u->centered)
				*s2 = (float) (u->rho * (double) *s2 + (1.0 - u->rho) * g);
			step = u->rate * g / sqrt(*s0 - (u->centered ? (double) *s2 * *s2 : 0.0) + u->epsilon);
			if (u->momentum != 0.0f)
				step = *s1 = (float) (u->momentum * (double) *s1 + step);
			*w = (float) (*w - step);
			return;
		case NN_ADAM:
		case NN_ADAMW:
			*s0 = (float) (*s0 + (1.0 - u->beta_1) * (g - *s0));
			*s1 = (float) (*s1 + (1.0 - u->beta_2) * (g * g - *s1));
			if (u->amsgrad && *s1 > *s2)
				*s2 = *s1;
			*w = (float) (*w - u->rate * (double) *s0 / (sqrt(u->amsgrad ? *s2 : *s1) + u->epsilon));
			return;
	}
}

void
nn_update_ref(float *weight, const NnSlots *slots, const float *grad, size_t n, const NnUpdate *u)
{
	size_t i;

	for (i = 0; i < n; i++)
	{
		double g = (double) grad[i] * u->grad_scale;
		float none = 0.0f;

		if (u->clip > 0.0f)
			g = g > u->clip ? u->clip : g < -u->clip ? -u->clip : g;
		update_one(weight + i, slots->s[0] != NULL ? slots->s[0] + i : &none,
				   slots->s[1] != NULL ? slots->s[1] + i : &none,
				   slots->s[2] != NULL ? slots->s[2] + i : &none, g, u);
	}
}

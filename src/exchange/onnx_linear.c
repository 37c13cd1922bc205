/*-------------------------------------------------------------------------
 *
 * onnx_linear.c
 *	  Gemm and MatMul, and the normalisations.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------- Gemm and MatMul */

/* Adds a Dense after a row; weights has its inputs along axis turned. */
static void
add_dense(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const OnnxConstant *weights,
		  int turned, float *scale, float *bias)
{
	int64_t units = weights->dims[turned ? 0 : 1];
	int64_t features = weights->dims[turned ? 1 : 0];
	const OnnxNode *last;
	OnnxView result;
	NnNodeSpec spec;
	OnnxJob *job;
	int64_t given = 1;
	int *place;
	int input, added, i;

	for (i = 1; i < view->rank; i++)
		given *= onnx_axis_size(view, i);
	if (given != features || units < 1)
	{
		onnx_refuse(net, node, "has weights for %lld values, but gets %lld", (long long) features,
					(long long) given);
		return;
	}
	input = onnx_need_row(net, view, &place);
	if (input < 0)
		return;
	last = onnx_absorb(net, node, 2, 1, units, &scale, &bias);
	onnx_begin(net, &spec, "Dense", "");
	nn_node_param(&spec, "units")->v[0] = (double) units;
	nn_node_param(&spec, "use_bias")->v[0] = bias != NULL;
	added = onnx_add_one(net, &spec, input);
	job = added > 0 ? onnx_job(net, &spec, ONNX_JOB_DENSE) : NULL;
	if (job == NULL)
		return;
	job->kernel = *weights;
	job->turned = turned;
	job->place = place;
	job->n_inputs = (int) features;
	job->scale = scale;
	job->vectors[0] = bias;
	onnx_view_row(&result, net, added);
	onnx_set_view(net, last, 0, &result);
}

void
onnx_lower_gemm(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *weights = onnx_input_constant(net, node, 1);
	const OnnxConstant *given = onnx_input_constant(net, node, 2);
	double alpha = onnx_attribute_float(node, "alpha", 1);
	int turned = onnx_attribute_int(node, "transB", 0) != 0;
	float *scale = NULL;
	float *bias = NULL;
	int64_t units;

	if (view == NULL)
		return;
	if (weights == NULL || weights->rank != 2 || onnx_type_is_whole(weights->type) ||
		(onnx_has_input(net, node, 2) && given == NULL))
	{
		onnx_refuse(net, node, "has weights that are not a constant matrix");
		return;
	}
	if (view->rank != 2 || onnx_attribute_int(node, "transA", 0) != 0)
	{
		onnx_refuse(net, node, "has an input that is not a row for each image");
		return;
	}
	units = weights->dims[turned ? 0 : 1];
	if (given != NULL)
	{
		bias = onnx_vector(net, node, given, units, onnx_attribute_float(node, "beta", 1), 0);
		if (bias == NULL)
			return;
	}
	if (alpha != 1)
		scale = onnx_vector(net, node, NULL, units, 1, alpha);
	add_dense(net, node, view, weights, turned, scale, bias);
}

/* A matrix along the channels of an image: a convolution of 1 x 1. */
static void
add_pointwise(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const OnnxConstant *weights)
{
	float *scale = NULL;
	float *bias = NULL;
	const OnnxNode *last;
	OnnxView result;
	NnNodeSpec spec;
	OnnxJob *job;
	int input = onnx_need_image(net, view, &onnx_channels_last);
	int added;

	if (input >= 0)
		input = onnx_need_map(net, input);
	if (input < 0)
		return;
	if (onnx_shape(net, input).c != weights->dims[0] || weights->dims[1] < 1)
	{
		onnx_refuse(net, node, "has weights for %lld values, but gets %d", (long long) weights->dims[0],
					onnx_shape(net, input).c);
		return;
	}
	last = onnx_absorb(net, node, 4, 3, weights->dims[1], &scale, &bias);
	onnx_begin(net, &spec, "Conv2D", "");
	nn_node_param(&spec, "filters")->v[0] = (double) weights->dims[1];
	nn_node_param(&spec, "kernel_size")->v[0] = nn_node_param(&spec, "kernel_size")->v[1] = 1;
	nn_node_param(&spec, "use_bias")->v[0] = bias != NULL;
	added = onnx_add_one(net, &spec, input);
	job = added > 0 ? onnx_job(net, &spec, ONNX_JOB_DENSE) : NULL;
	if (job == NULL)
		return;
	job->kernel = *weights;
	job->n_inputs = (int) weights->dims[0];
	job->scale = scale;
	job->vectors[0] = bias;
	onnx_view_image(&result, net, added, &onnx_channels_last);
	onnx_set_view(net, last, 0, &result);
}

void
onnx_lower_mat_mul(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *weights = onnx_input_constant(net, node, 1);

	if (view == NULL)
		return;
	if (weights == NULL || weights->rank != 2 || onnx_type_is_whole(weights->type))
		onnx_refuse(net, node, "has weights that are not a constant matrix");
	else if (view->rank == 2)
		add_dense(net, node, view, weights, 0, NULL, NULL);
	else if (view->rank == 4)
		add_pointwise(net, node, view, weights);
	else
		onnx_refuse(net, node, "has an input of %d dimensions", view->rank);
}

/* --------------------------------------------------------- normalisations */

/* Makes the output of a node that was added the result, with the axes of the view that it was made from. */
static void
set_result(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, int added, const OnnxAxes *axes)
{
	OnnxView result;

	if (view->rank == 4)
		onnx_view_image(&result, net, added, axes);
	else
		onnx_view_row(&result, net, added);
	onnx_set_view(net, node, 0, &result);
}

/* Returns the node of an image with channels first, or of a row; *n is its number of channels. */
static int
channels_of(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, int64_t *n)
{
	int input = -1;

	if (view->rank == 4)
		input = onnx_need_image(net, view, &onnx_channels_first);
	else if (view->rank == 2)
		input = onnx_need_row(net, view, NULL);
	else
		onnx_refuse(net, node, "has an input of %d dimensions", view->rank);
	if (input >= 0)
		*n = onnx_shape(net, input).c;
	return input;
}

void
onnx_lower_batch_norm(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	float *vectors[4];
	NnNodeSpec spec;
	OnnxJob *job;
	int64_t n = 0;
	int input, added;
	size_t i;

	if (view == NULL)
		return;
	if (onnx_attribute_int(node, "training_mode", 0) != 0)
	{
		onnx_refuse(net, node, "is in training mode");
		return;
	}
	input = channels_of(net, node, view, &n);
	if (input < 0)
		return;
	for (i = 0; i < 4; i++)
	{
		const OnnxConstant *constant = onnx_input_constant(net, node, i + 1);

		if (constant == NULL || constant->count != (size_t) n)
		{
			onnx_refuse(net, node, "has statistics that are not a constant for each of %lld channels",
						(long long) n);
			return;
		}
		vectors[i] = onnx_vector(net, node, constant, n, 1, 0);
		if (vectors[i] == NULL)
			return;
	}
	onnx_begin(net, &spec, "BatchNormalization", "");
	nn_node_param(&spec, "epsilon")->v[0] = onnx_attribute_float(node, "epsilon", (double) 1e-5f);
	nn_node_param(&spec, "momentum")->v[0] = onnx_attribute_float(node, "momentum", (double) 0.9f);
	added = onnx_add_one(net, &spec, input);
	job = added > 0 ? onnx_job(net, &spec, ONNX_JOB_VECTORS) : NULL;
	if (job == NULL)
		return;
	for (i = 0; i < 4; i++)
		job->vectors[i] = vectors[i];
	set_result(net, node, view, added, &onnx_channels_first);
}

void
onnx_lower_prelu(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *slope = onnx_input_constant(net, node, 1);
	NnNodeSpec spec;
	OnnxJob *job;
	float *alpha;
	int64_t n = 0;
	int input, added, i;
	int shared = 0;

	if (view == NULL)
		return;
	input = channels_of(net, node, view, &n);
	if (input < 0)
		return;
	if (slope == NULL || (slope->count != 1 && slope->count != (size_t) n))
	{
		onnx_refuse(net, node, "has slopes that are not a constant, one or for each of %lld channels",
					(long long) n);
		return;
	}
	alpha = onnx_vector(net, node, slope, (int64_t) slope->count, 1, 0);
	if (alpha == NULL)
		return;
	onnx_begin(net, &spec, "PReLU", "");
	/* axes before the channels, and the channels where one slope serves all */
	if (onnx_shape(net, input).rank == 3)
		shared = 2;
	if (slope->count == 1)
		shared++;
	for (i = 0; i < shared; i++)
		nn_node_param(&spec, "shared_axes")->v[i] = i + 1;
	nn_node_param(&spec, "shared_axes")->v[3] = shared;
	added = onnx_add_one(net, &spec, input);
	job = added > 0 ? onnx_job(net, &spec, ONNX_JOB_VECTORS) : NULL;
	if (job == NULL)
		return;
	job->vectors[0] = alpha;
	set_result(net, node, view, added, &onnx_channels_first);
}

/* Adds a LayerNormalization or GroupNormalization; gamma and beta: NULL where there are none. */
static int
add_norm(OnnxNetwork *net, int input, int64_t groups, double epsilon, const float *gamma, const float *beta)
{
	NnNodeSpec spec;
	OnnxJob *job;
	int added, n;

	onnx_begin(net, &spec, groups > 0 ? "GroupNormalization" : "LayerNormalization", "");
	if (groups > 0)
		nn_node_param(&spec, "groups")->v[0] = (double) groups;
	nn_node_param(&spec, "epsilon")->v[0] = epsilon;
	nn_node_param(&spec, "scale")->v[0] = gamma != NULL;
	nn_node_param(&spec, "center")->v[0] = beta != NULL;
	added = onnx_add_one(net, &spec, input);
	if (added < 0 || (gamma == NULL && beta == NULL))
		return added;
	job = onnx_job(net, &spec, ONNX_JOB_VECTORS);
	if (job == NULL)
		return -1;
	n = 0;
	if (gamma != NULL)
		job->vectors[n++] = gamma;
	if (beta != NULL)
		job->vectors[n++] = beta;
	return added;
}

static int
all_are(const OnnxConstant *constant, double value)
{
	size_t i;

	for (i = 0; i < constant->count; i++)
		if (onnx_constant_number(constant, i) != value)
			return 0;
	return 1;
}

/*
 * InstanceNormalization of an image, by channel; or, as exporters write a group
 * normalisation, of an image whose channels and pixels have been made into
 * [N, groups, rest].
 */
void
onnx_lower_instance_norm(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *scale = onnx_input_constant(net, node, 1);
	const OnnxConstant *bias = onnx_input_constant(net, node, 2);
	double epsilon = onnx_attribute_float(node, "epsilon", (double) 1e-5f);
	const float *gamma = NULL;
	const float *beta = NULL;
	int64_t groups;
	OnnxView image;
	OnnxView result;
	int input = -1;
	int i;

	if (view == NULL)
		return;
	groups = view->rank > 1 ? onnx_axis_size(view, 1) : 0;
	if (scale == NULL || bias == NULL || groups < 1 || scale->count != (size_t) groups ||
		bias->count != (size_t) groups || !onnx_view_is_batch(view, net->batch))
	{
		onnx_refuse(net, node, "has no constant numbers for each of its channels");
		return;
	}
	result = image = *view;
	if (view->rank == 4 && onnx_view_fit(net, view, &onnx_channels_first) != ONNX_FIT_NONE)
		input = onnx_need_image(net, view, &onnx_channels_first);
	else
	{
		NnShape shape = onnx_shape(net, view->node);
		int64_t dims[4] = {net->batch, shape.c, shape.h, shape.w};

		/* the groups must be the outermost part of the channels */
		if (shape.c % groups == 0 && onnx_view_reshape(&image, dims, 4) &&
			onnx_view_fit(net, &image, &onnx_channels_first) == ONNX_FIT_AS_IS)
			input = view->node;
	}
	if (input < 0)
	{
		onnx_refuse(net, node, "is not over groups of the channels of an image");
		return;
	}
	if (groups == onnx_shape(net, input).c)
	{
		gamma = onnx_vector(net, node, scale, groups, 1, 1);
		beta = onnx_vector(net, node, bias, groups, 1, 0);
	}
	else if (!all_are(scale, 1) || !all_are(bias, 0))
	{
		int64_t width = onnx_shape(net, input).c / groups;
		float *spread[2] = {onnx_vector(net, node, NULL, groups * width, 1, 1),
							onnx_vector(net, node, NULL, groups * width, 1, 0)};

		for (i = 0; spread[0] != NULL && spread[1] != NULL && i < groups * width; i++)
		{
			spread[0][i] = onnx_constant_float(scale, (size_t) (i / width));
			spread[1][i] = onnx_constant_float(bias, (size_t) (i / width));
		}
		gamma = spread[0];
		beta = spread[1];
	}
	result.node = add_norm(net, input, groups, epsilon, gamma, beta);
	if (result.node < 0)
		return;
	if (input != view->node)
		onnx_view_image(&result, net, result.node, &onnx_channels_first);
	onnx_set_view(net, node, 0, &result);
}

void
onnx_lower_group_norm(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *scale = onnx_input_constant(net, node, 1);
	const OnnxConstant *bias = onnx_input_constant(net, node, 2);
	int64_t groups = onnx_attribute_int(node, "num_groups", 0);
	double epsilon = onnx_attribute_float(node, "epsilon", (double) 1e-5f);
	OnnxView result;
	float *gamma, *beta;
	int64_t i, n = 0;
	int input, added;

	if (view == NULL)
		return;
	input = channels_of(net, node, view, &n);
	if (input < 0)
		return;
	/* before operator set 21 the numbers were those of the groups */
	if (view->rank != 4 || scale == NULL || bias == NULL || groups < 1 || n % groups != 0 ||
		scale->count != bias->count || (scale->count != (size_t) n && scale->count != (size_t) groups))
	{
		onnx_refuse(net, node, "has no constant numbers for its %lld channels", (long long) n);
		return;
	}
	gamma = onnx_vector(net, node, NULL, n, 1, 1);
	beta = onnx_vector(net, node, NULL, n, 1, 0);
	if (gamma == NULL || beta == NULL)
		return;
	for (i = 0; i < n; i++)
	{
		size_t at = (size_t) (scale->count == (size_t) n ? i : i / (n / groups));

		gamma[i] = onnx_constant_float(scale, at);
		beta[i] = onnx_constant_float(bias, at);
	}
	added = add_norm(net, input, groups, epsilon, gamma, beta);
	if (added < 0)
		return;
	onnx_view_image(&result, net, added, &onnx_channels_first);
	onnx_set_view(net, node, 0, &result);
}

void
onnx_lower_layer_norm(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *scale = onnx_input_constant(net, node, 1);
	const OnnxConstant *bias = onnx_input_constant(net, node, 2);
	int64_t axis = onnx_attribute_int(node, "axis", -1);
	const float *gamma;
	const float *beta = NULL;
	int input, added;
	int64_t n;

	if (view == NULL)
		return;
	axis = axis < 0 ? axis + view->rank : axis;
	if (axis != view->rank - 1 || (view->rank != 2 && view->rank != 4) || scale == NULL ||
		(onnx_has_input(net, node, 2) && bias == NULL))
	{
		onnx_refuse(net, node, "is not over the channels, or has no constant numbers for them");
		return;
	}
	input =
		view->rank == 4 ? onnx_need_image(net, view, &onnx_channels_last) : onnx_need_row(net, view, NULL);
	if (input < 0)
		return;
	n = onnx_shape(net, input).c;
	gamma = onnx_vector(net, node, scale, n, 1, 1);
	if (bias != NULL)
		beta = onnx_vector(net, node, bias, n, 1, 0);
	if (gamma == NULL || (bias != NULL && beta == NULL))
		return;
	added = add_norm(net, input, 0, onnx_attribute_float(node, "epsilon", (double) 1e-5f), gamma, beta);
	if (added < 0)
		return;
	set_result(net, node, view, added, &onnx_channels_last);
}

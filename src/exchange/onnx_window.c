/*-------------------------------------------------------------------------
 *
 * onnx_window.c
 *	  Operators with windows or borders: Conv, the poolings, Pad; and the means
 *	  and maxima over the whole map.
 *
 * src/nn pads as TensorFlow does: not at all, or so that the output has the
 * input's size divided by the stride.  Where a file pads otherwise, a node of
 * its own makes the border of a convolution.  A maximum must not see zeros where
 * there is nothing: it is taken at every pixel first, and every other pixel is
 * then left out, unless no value is below 0.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <string.h>

/* A window along both sides of a map, 0 the height. */
typedef struct Window
{
	int64_t in[2], kernel[2], stride[2], dilation[2];
	int64_t before[2], after[2]; /* padding; after as far as windows reach */
	int64_t out[2];
	int extra; /* ceil_mode made the output larger */
} Window;

static int64_t
extent(const Window *w, int i)
{
	return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

/* Reads a pair of numbers, which have a default and limits. */
static int
read_pair(OnnxNetwork *net, const OnnxNode *node, const char *key, int64_t *pair, int64_t def, int64_t low,
		  int64_t high)
{
	int n = onnx_ints(net, node, key, -1, pair, 2);
	int i;

	if (n < 0 && onnx_attribute(node, key) == NULL)
	{
		pair[0] = pair[1] = def;
		n = 2;
	}
	for (i = 0; i < 2; i++)
		if (n != 2 || pair[i] < low || pair[i] > high)
		{
			onnx_refuse(net, node, "has \"%s\" that is not a pair of numbers from %lld to %lld", key,
						(long long) low, (long long) high);
			return 0;
		}
	return 1;
}

/* Fills the padding as auto_pad or pads say; 0, with a problem, where they cannot be. */
static int
read_padding(OnnxNetwork *net, const OnnxNode *node, Window *w)
{
	int64_t pads[4] = {0, 0, 0, 0};
	int same_upper = onnx_attribute_is(node, "auto_pad", "NOTSET", "SAME_UPPER");
	int same_lower = onnx_attribute_is(node, "auto_pad", "NOTSET", "SAME_LOWER");
	int i;

	if (same_upper || same_lower)
	{
		for (i = 0; i < 2; i++)
		{
			int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
			int64_t all = (out - 1) * w->stride[i] + extent(w, i) - w->in[i];

			all = all < 0 ? 0 : all;
			w->before[i] = same_lower ? all - all / 2 : all / 2;
			w->after[i] = all - w->before[i];
		}
		return 1;
	}
	if (!onnx_attribute_is(node, "auto_pad", "NOTSET", "NOTSET") &&
		!onnx_attribute_is(node, "auto_pad", "NOTSET", "VALID"))
	{
		onnx_refuse(net, node, "has an \"auto_pad\" that is not known");
		return 0;
	}
	if (onnx_attribute(node, "pads") != NULL && onnx_attribute_is(node, "auto_pad", "NOTSET", "NOTSET") &&
		onnx_ints(net, node, "pads", -1, pads, 4) != 4)
		pads[0] = -1;
	for (i = 0; i < 2; i++)
	{
		w->before[i] = pads[i];
		w->after[i] = pads[i + 2];
		if (pads[i] < 0 || pads[i + 2] < 0 || pads[i] > NN_MAX_SIDE || pads[i + 2] > NN_MAX_SIDE)
		{
			onnx_refuse(net, node, "has \"pads\" that cannot be");
			return 0;
		}
	}
	return 1;
}

/* Reads the window of a node whose kernel is known, and computes the size of the output. */
static int
read_window(OnnxNetwork *net, const OnnxNode *node, Window *w, const NnShape *in, int64_t low_dilation)
{
	int ceil_mode = onnx_attribute_int(node, "ceil_mode", 0) != 0;
	int i;

	w->in[0] = in->h;
	w->in[1] = in->w;
	w->extra = 0;
	if (!read_pair(net, node, "strides", w->stride, 1, 1, NN_MAX_SIDE) ||
		!read_pair(net, node, "dilations", w->dilation, 1, 1, low_dilation) || !read_padding(net, node, w))
		return 0;
	for (i = 0; i < 2; i++)
	{
		int64_t room = w->in[i] + w->before[i] + w->after[i] - extent(w, i);

		if (room < 0)
		{
			onnx_refuse(net, node, "has a window of %lld for an input of %lld", (long long) extent(w, i),
						(long long) w->in[i]);
			return 0;
		}
		w->out[i] = room / w->stride[i] + 1;
		/* one more window, if it begins in the input or in the padding before it */
		if (ceil_mode && room % w->stride[i] != 0 && w->out[i] * w->stride[i] < w->in[i] + w->before[i])
		{
			w->out[i]++;
			w->extra = 1;
		}
		w->after[i] = (w->out[i] - 1) * w->stride[i] + extent(w, i) - w->in[i] - w->before[i];
		if (w->after[i] < 0)
			w->after[i] = 0;
	}
	return 1;
}

static int
has_padding(const Window *w)
{
	return w->before[0] + w->before[1] + w->after[0] + w->after[1] > 0;
}

/* Tells whether the padding is that of TensorFlow's "same". */
static int
is_same(const Window *w)
{
	int i;

	for (i = 0; i < 2; i++)
	{
		int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
		int64_t all = (out - 1) * w->stride[i] + extent(w, i) - w->in[i];

		all = all < 0 ? 0 : all;
		if (w->out[i] != out || w->before[i] != all / 2 || w->after[i] != all - all / 2)
			return 0;
	}
	return 1;
}

/* Adds zeros around a map, or cuts a border off; returns the node. */
static int
add_border(OnnxNetwork *net, int input, const char *class_name, const char *key, const int64_t *before,
		   const int64_t *after)
{
	NnNodeSpec spec;
	NnValue *border;
	int node;

	if (before[0] + before[1] + after[0] + after[1] == 0)
		return input;
	onnx_begin(net, &spec, class_name, key[0] == 'p' ? "/pad" : "/crop");
	border = nn_node_param(&spec, key);
	border->v[0] = (double) before[0];
	border->v[1] = (double) after[0];
	border->v[2] = (double) before[1];
	border->v[3] = (double) after[1];
	node = onnx_add_one(net, &spec, input);
	if (node > 0)
		net->positive[node] = net->positive[input];
	return node;
}

static void
set_pair(NnNodeSpec *spec, const char *key, const int64_t *pair)
{
	nn_node_param(spec, key)->v[0] = (double) pair[0];
	nn_node_param(spec, key)->v[1] = (double) pair[1];
}

/* Makes a node's output the file's value, as an image with channels first. */
static void
set_image(OnnxNetwork *net, const OnnxNode *node, int added)
{
	OnnxView view;

	if (added <= 0)
		return;
	onnx_view_image(&view, net, added, &onnx_channels_first);
	onnx_set_view(net, node, 0, &view);
}

/* ------------------------------------------------------------------- Conv */

/* Returns the input of a convolution, and in *place the order of its channels where it is another one. */
static int
conv_input(OnnxNetwork *net, const OnnxView *view, int64_t groups, int **place)
{
	*place = NULL;
	if (groups == 1 && onnx_view_fit(net, view, &onnx_channels_first) == ONNX_FIT_CHANNELS &&
		onnx_axis_size(view, 1) == onnx_shape(net, view->node).c)
	{
		*place = onnx_view_channels(net, view, &onnx_channels_first);
		return *place != NULL ? onnx_need_map(net, view->node) : -1;
	}
	{
		int node = onnx_need_image(net, view, &onnx_channels_first);

		return node >= 0 ? onnx_need_map(net, node) : -1;
	}
}

/* Adds the convolution itself; weights is the file's kernel. */
static int
add_conv(OnnxNetwork *net, int input, const Window *w, const OnnxConstant *weights, int64_t groups,
		 const int *place, const float *scale, const float *bias)
{
	NnShape in = onnx_shape(net, input);
	int depthwise = groups == in.c && groups > 1;
	int same = has_padding(w) && is_same(w);
	NnNodeSpec spec;
	OnnxJob *job;
	int node;

	if (!same)
		input = add_border(net, input, "ZeroPadding2D", "padding", w->before, w->after);
	if (input < 0)
		return -1;
	onnx_begin(net, &spec, depthwise ? "DepthwiseConv2D" : "Conv2D", "");
	if (depthwise)
		nn_node_param(&spec, "depth_multiplier")->v[0] = (double) (weights->dims[0] / groups);
	else
	{
		nn_node_param(&spec, "filters")->v[0] = (double) weights->dims[0];
		nn_node_param(&spec, "groups")->v[0] = (double) groups;
	}
	set_pair(&spec, "kernel_size", w->kernel);
	set_pair(&spec, "strides", w->stride);
	set_pair(&spec, "dilation_rate", w->dilation);
	nn_node_param(&spec, "padding")->v[0] = same;
	nn_node_param(&spec, "use_bias")->v[0] = bias != NULL;
	node = onnx_add_one(net, &spec, input);
	job = node > 0 ? onnx_job(net, &spec, depthwise ? ONNX_JOB_DEPTHWISE : ONNX_JOB_CONV) : NULL;
	if (job == NULL)
		return -1;
	job->kernel = *weights;
	job->place = place;
	job->n_inputs = in.c;
	job->scale = scale;
	job->vectors[0] = bias;
	return node;
}

void
onnx_lower_conv(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *weights = onnx_input_constant(net, node, 1);
	const OnnxConstant *given = onnx_input_constant(net, node, 2);
	int64_t groups = onnx_attribute_int(node, "group", 1);
	float *scale = NULL;
	float *bias = NULL;
	const OnnxNode *last;
	int64_t declared[2];
	int *place;
	NnShape in;
	Window w;
	int input;

	if (view == NULL)
		return;
	if (weights == NULL || (onnx_has_input(net, node, 2) && given == NULL))
	{
		onnx_refuse(net, node, "has weights that are not constant");
		return;
	}
	if (view->rank != 4 || weights->rank != 4 || onnx_type_is_whole(weights->type))
	{
		onnx_refuse(net, node, "has an input of %d dimensions and weights of %d, supported are 4 and 4",
					view->rank, weights->rank);
		return;
	}
	input = conv_input(net, view, groups, &place);
	if (input < 0)
		return;
	in = onnx_shape(net, input);
	if (groups < 1 || in.c % groups != 0 || weights->dims[1] != in.c / groups || weights->dims[0] < 1 ||
		weights->dims[0] % groups != 0 || weights->dims[2] < 1 || weights->dims[3] < 1)
	{
		onnx_refuse(net, node, "has weights of %lld x %lld x %lld x %lld in %lld groups for %d channels",
					(long long) weights->dims[0], (long long) weights->dims[1], (long long) weights->dims[2],
					(long long) weights->dims[3], (long long) groups, in.c);
		return;
	}
	memcpy(w.kernel, weights->dims + 2, sizeof(w.kernel));
	if (!read_pair(net, node, "kernel_shape", declared, 0, 0, NN_MAX_SIDE) ||
		!read_window(net, node, &w, &in, NN_MAX_SIDE))
		return;
	if (given != NULL && (bias = onnx_vector(net, node, given, weights->dims[0], 1, 0)) == NULL)
		return;
	last = onnx_absorb(net, node, 4, 1, weights->dims[0], &scale, &bias);
	set_image(net, last, add_conv(net, input, &w, weights, groups, place, scale, bias));
}

/* ---------------------------------------------------------------- poolings */

/* Adds a pooling node. */
static int
add_pooling(OnnxNetwork *net, int input, const char *class_name, const int64_t *size, const int64_t *strides,
			int same, const char *what)
{
	NnNodeSpec spec;
	int node;

	onnx_begin(net, &spec, class_name, what);
	set_pair(&spec, "pool_size", size);
	set_pair(&spec, "strides", strides);
	nn_node_param(&spec, "padding")->v[0] = same;
	node = onnx_add_one(net, &spec, input);
	if (node > 0)
		net->positive[node] = net->positive[input];
	return node;
}

/*
 * Adds a maximum whose padding is not that of "same", of values that may be
 * below 0: the maximum at every pixel, of which some are then left out.
 */
static int
add_sparse_max(OnnxNetwork *net, const OnnxNode *node, int input, const Window *w)
{
	static const int64_t one[2] = {1, 1};
	int64_t before[2], after[2];
	int all, i;

	for (i = 0; i < 2; i++)
	{
		/* at stride 1, "same" begins (kernel - 1) / 2 before a pixel */
		int64_t reach = (w->kernel[i] - 1) / 2;
		int64_t last = (w->out[i] - 1) * w->stride[i] - w->before[i] + reach;

		before[i] = reach - w->before[i];
		after[i] = w->in[i] - 1 - last;
		if (before[i] < 0 || after[i] < 0)
		{
			onnx_refuse(net, node, "pads more than half of its window");
			return -1;
		}
	}
	all = add_pooling(net, input, "MaxPooling2D", w->kernel, one, 1, "/all");
	if (all >= 0)
		all = add_border(net, all, "Cropping2D", "cropping", before, after);
	if (all < 0 || (w->stride[0] == 1 && w->stride[1] == 1))
		return all;
	return add_pooling(net, all, "MaxPooling2D", one, w->stride, 0, "");
}

/* Reads what the poolings share; returns the node of the input, -1 with a problem. */
static int
begin_pooling(OnnxNetwork *net, const OnnxNode *node, Window *w)
{
	const OnnxView *view = onnx_input_view(net, node);
	NnShape in;
	int input;

	if (view == NULL)
		return -1;
	input = onnx_need_image(net, view, &onnx_channels_first);
	if (input >= 0)
		input = onnx_need_map(net, input);
	if (input < 0 || !read_pair(net, node, "kernel_shape", w->kernel, 0, 1, NN_MAX_SIDE))
		return -1;
	in = onnx_shape(net, input);
	return read_window(net, node, w, &in, 1) ? input : -1;
}

void
onnx_lower_max_pool(OnnxNetwork *net, const OnnxNode *node)
{
	Window w;
	int input = begin_pooling(net, node, &w);
	int added;

	if (input < 0)
		return;
	if (node->n_output > 1 && node->output[1][0] != '\0')
	{
		onnx_refuse(net, node, "gives indices");
		return;
	}
	if (!has_padding(&w))
		added = add_pooling(net, input, "MaxPooling2D", w.kernel, w.stride, 0, "");
	else if (is_same(&w))
		added = add_pooling(net, input, "MaxPooling2D", w.kernel, w.stride, 1, "");
	else if (net->positive[input])
	{
		input = add_border(net, input, "ZeroPadding2D", "padding", w.before, w.after);
		added = input >= 0 ? add_pooling(net, input, "MaxPooling2D", w.kernel, w.stride, 0, "") : -1;
	}
	else
		added = add_sparse_max(net, node, input, &w);
	set_image(net, node, added);
}

void
onnx_lower_average_pool(OnnxNetwork *net, const OnnxNode *node)
{
	int counts_padding = onnx_attribute_int(node, "count_include_pad", 0) != 0;
	Window w;
	int input = begin_pooling(net, node, &w);
	int added;

	if (input < 0)
		return;
	if (!has_padding(&w))
		added = add_pooling(net, input, "AveragePooling2D", w.kernel, w.stride, 0, "");
	else if (!counts_padding && is_same(&w))
		added = add_pooling(net, input, "AveragePooling2D", w.kernel, w.stride, 1, "");
	else if (counts_padding && !w.extra)
	{
		input = add_border(net, input, "ZeroPadding2D", "padding", w.before, w.after);
		added = input >= 0 ? add_pooling(net, input, "AveragePooling2D", w.kernel, w.stride, 0, "") : -1;
	}
	else
	{
		onnx_refuse(net, node, "averages over windows beyond the border with %s",
					counts_padding ? "\"ceil_mode\" and \"count_include_pad\""
								   : "\"pads\" that are not those of \"SAME_UPPER\"");
		return;
	}
	set_image(net, node, added);
}

/* ------------------------------------------------------- over the whole map */

/* Takes the mean or maximum over the map of a view; its height and width stay, as 1, or go. */
static void
lower_global(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const OnnxAxes *axes, int maximum,
			 int keep)
{
	OnnxView result;
	NnNodeSpec spec;
	int input = onnx_need_image(net, view, axes);
	int added;

	if (input >= 0)
		input = onnx_need_map(net, input);
	if (input < 0)
		return;
	onnx_begin(net, &spec, maximum ? "GlobalMaxPooling2D" : "GlobalAveragePooling2D", "");
	added = onnx_add_one(net, &spec, input);
	if (added < 0)
		return;
	net->positive[added] = net->positive[input];
	if (keep)
		onnx_view_image(&result, net, added, axes);
	else
		onnx_view_row(&result, net, added);
	onnx_set_view(net, node, 0, &result);
}

void
onnx_lower_global_pool(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);

	if (view != NULL)
		lower_global(net, node, view, &onnx_channels_first, strcmp(node->op_type, "GlobalMaxPool") == 0, 1);
}

void
onnx_lower_reduce(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int maximum = strcmp(node->op_type, "ReduceMax") == 0;
	int keep = onnx_attribute_int(node, "keepdims", 1) != 0;
	int64_t axes[ONNX_MAX_RANK];
	int n = onnx_ints(net, node, "axes", 1, axes, ONNX_MAX_RANK);
	int mask = 0;
	int i;

	if (view == NULL)
		return;
	for (i = 0; i < n; i++)
	{
		axes[i] = axes[i] < 0 ? axes[i] + view->rank : axes[i];
		mask |= axes[i] >= 0 && axes[i] < view->rank ? 1 << axes[i] : 1;
	}
	if (view->rank == 4 && mask == (1 << 2 | 1 << 3))
		lower_global(net, node, view, &onnx_channels_first, maximum, keep);
	else if (view->rank == 4 && mask == (1 << 1 | 1 << 2))
		lower_global(net, node, view, &onnx_channels_last, maximum, keep);
	else
		onnx_refuse(net, node, "is over other axes than height and width");
}

/* -------------------------------------------------------------------- Pad */

void
onnx_lower_pad(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *value = onnx_input_constant(net, node, 2);
	const OnnxAxes *axes = &onnx_channels_first;
	double filled = value != NULL ? value->count == 1 ? onnx_constant_number(value, 0) : 1
								  : onnx_attribute_float(node, "value", 0);
	int64_t pads[2 * ONNX_MAX_RANK];
	int64_t more[2][2], less[2][2];
	OnnxView result;
	int image, i, k;

	if (view == NULL)
		return;
	if (!onnx_attribute_is(node, "mode", "constant", "constant") || filled != 0 ||
		(onnx_has_input(net, node, 2) && value == NULL) || onnx_has_input(net, node, 3))
	{
		onnx_refuse(net, node, "pads with something else than zeros");
		return;
	}
	if (view->rank != 4 || onnx_ints(net, node, "pads", 1, pads, 8) != 8)
	{
		onnx_refuse(net, node, "has pads that are not constant, or not for 4 dimensions");
		return;
	}
	for (i = 0; i < 8; i++)
		if (pads[i] < -NN_MAX_SIDE || pads[i] > NN_MAX_SIDE)
			pads[0] = 1;
	if (pads[1] == 0 && pads[5] == 0)
		axes = &onnx_channels_first;
	if (pads[1] != 0 || pads[5] != 0 || onnx_view_fit(net, view, axes) != ONNX_FIT_AS_IS)
		axes = &onnx_channels_last;
	if (pads[0] != 0 || pads[4] != 0 || pads[axes->c] != 0 || pads[axes->c + 4] != 0)
	{
		onnx_refuse(net, node, "pads something else than height and width");
		return;
	}
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++)
		{
			int64_t pad = pads[(i == 0 ? axes->h : axes->w) + 4 * k];

			more[k][i] = pad > 0 ? pad : 0;
			less[k][i] = pad < 0 ? -pad : 0;
		}
	image = onnx_need_image(net, view, axes);
	if (image >= 0)
		image = onnx_need_map(net, image);
	if (image >= 0)
		image = add_border(net, image, "Cropping2D", "cropping", less[0], less[1]);
	if (image >= 0)
		image = add_border(net, image, "ZeroPadding2D", "padding", more[0], more[1]);
	if (image < 0)
		return;
	onnx_view_image(&result, net, image, axes);
	onnx_set_view(net, node, 0, &result);
}

/* ----------------------------------------------------------------- Resize */

/* Reads how many times as large a Resize makes height and width, whole numbers. */
static int
read_factors(const OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const OnnxAxes *axes,
			 double *factors)
{
	const OnnxConstant *scales = onnx_input_constant(net, node, node->n_input == 2 ? 1 : 2);
	int64_t sizes[4];
	int i;

	if (scales != NULL && scales->count == 4 && scales->type == ONNX_FLOAT)
		for (i = 0; i < 4; i++)
			factors[i] = onnx_constant_number(scales, (size_t) i);
	else if (onnx_ints(net, node, NULL, 3, sizes, 4) == 4)
		for (i = 0; i < 4; i++)
			factors[i] = (double) sizes[i] / (double) onnx_axis_size(view, i);
	else
		return 0;
	for (i = 0; i < 4; i++)
		if (!(factors[i] >= 1 && factors[i] <= 255 && factors[i] == (double) (int) factors[i]))
			return 0;
	return factors[0] == 1 && factors[axes->c] == 1;
}

/* Resize as far as UpSampling2D does the same. */
void
onnx_lower_resize(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxAxes *axes = &onnx_channels_first;
	int linear = onnx_attribute_is(node, "mode", "nearest", "linear");
	int half_pixel =
		onnx_attribute_is(node, "coordinate_transformation_mode", "half_pixel", "half_pixel") ||
		onnx_attribute_is(node, "coordinate_transformation_mode", "half_pixel", "pytorch_half_pixel");
	int floors = onnx_attribute_is(node, "coordinate_transformation_mode", "half_pixel", "asymmetric") &&
				 onnx_attribute_is(node, "nearest_mode", "round_prefer_floor", "floor");
	int rounds =
		half_pixel && (onnx_attribute_is(node, "nearest_mode", "round_prefer_floor", "round_prefer_floor") ||
					   onnx_attribute_is(node, "nearest_mode", "round_prefer_floor", "round_prefer_ceil"));
	double factors[4];
	OnnxView result;
	NnNodeSpec spec;
	int input, added;

	if (view == NULL)
		return;
	if (view->rank == 4 && onnx_view_fit(net, view, axes) != ONNX_FIT_AS_IS)
		axes = &onnx_channels_last;
	if (view->rank != 4 || !read_factors(net, node, view, axes, factors) ||
		!(linear ? half_pixel
				 : (floors || rounds) && onnx_attribute_is(node, "mode", "nearest", "nearest")) ||
		onnx_attribute_int(node, "antialias", 0) != 0)
	{
		onnx_refuse(net, node, "is not one that makes a map larger by whole numbers as UpSampling2D does");
		return;
	}
	input = onnx_need_image(net, view, axes);
	if (input >= 0)
		input = onnx_need_map(net, input);
	if (input < 0)
		return;
	onnx_begin(net, &spec, "UpSampling2D", "");
	nn_node_param(&spec, "size")->v[0] = factors[axes->h];
	nn_node_param(&spec, "size")->v[1] = factors[axes->w];
	nn_node_param(&spec, "interpolation")->v[0] = linear;
	added = onnx_add_one(net, &spec, input);
	if (added < 0)
		return;
	net->positive[added] = net->positive[input];
	onnx_view_image(&result, net, added, axes);
	onnx_set_view(net, node, 0, &result);
}

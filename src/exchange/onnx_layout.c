/*-------------------------------------------------------------------------
 *
 * onnx_layout.c
 *	  Operators that compute nothing: Transpose, Reshape, Flatten, Squeeze,
 *	  Unsqueeze, Slice, Split, Cast, and those that do nothing at all.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <string.h>

void
onnx_lower_same(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);

	if (view != NULL)
		onnx_set_view(net, node, 0, view);
}

void
onnx_lower_cast(OnnxNetwork *net, const OnnxNode *node)
{
	int64_t to = onnx_attribute_int(node, "to", ONNX_FLOAT);

	if (to != ONNX_FLOAT && to != ONNX_DOUBLE && to != ONNX_FLOAT16 && to != ONNX_BFLOAT16)
		onnx_refuse(net, node, "makes whole numbers of the network's values");
	else
		onnx_lower_same(net, node);
}

void
onnx_lower_transpose(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t given[ONNX_MAX_RANK];
	int order[ONNX_MAX_RANK];
	int n = onnx_ints(net, node, "perm", -1, given, ONNX_MAX_RANK);
	int seen = 0;
	OnnxView result;
	int i;

	if (view == NULL)
		return;
	for (i = 0; i < view->rank; i++)
	{
		order[i] = n < 0                                             ? view->rank - 1 - i
				   : i < n && given[i] >= 0 && given[i] < view->rank ? (int) given[i]
																	 : 0;
		seen |= 1 << order[i];
	}
	if (seen != (1 << view->rank) - 1 || (n >= 0 && n != view->rank))
	{
		onnx_refuse(net, node, "has an order of axes that cannot be");
		return;
	}
	result = *view;
	onnx_view_transpose(&result, order);
	onnx_set_view(net, node, 0, &result);
}

/* Gives a view other dimensions, or refuses that. */
static void
reshape(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const int64_t *dims, int rank)
{
	OnnxView result = *view;

	if (onnx_view_reshape(&result, dims, rank))
		onnx_set_view(net, node, 0, &result);
	else
		onnx_refuse(net, node, "gives the values a shape that is more than another layout");
}

/* Returns the number of values of all images. */
static int64_t
value_count(const OnnxView *view)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < view->rank; i++)
		n *= onnx_axis_size(view, i);
	return n;
}

void
onnx_lower_reshape(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t dims[ONNX_MAX_RANK];
	int n = onnx_ints(net, node, "shape", 1, dims, ONNX_MAX_RANK);
	int64_t known = 1;
	int open = -1;
	int i;

	if (view == NULL)
		return;
	if (n < 0)
	{
		onnx_refuse(net, node, "has a shape that is not constant, or more than %d dimensions", ONNX_MAX_RANK);
		return;
	}
	for (i = 0; i < n; i++)
	{
		if (dims[i] == 0 && onnx_attribute_int(node, "allowzero", 0) == 0 && i < view->rank)
			dims[i] = onnx_axis_size(view, i);
		if (dims[i] == -1 && open < 0)
			open = i;
		else if (dims[i] < 1 || dims[i] > value_count(view))
		{
			onnx_refuse(net, node, "has a shape that cannot be");
			return;
		}
		else
			known *= dims[i];
		if (known > value_count(view))
			break;
	}
	if (open >= 0)
		dims[open] = value_count(view) / known;
	if (known * (open >= 0 ? dims[open] : 1) != value_count(view))
		onnx_refuse(net, node, "has a shape of another number of values");
	else
		reshape(net, node, view, dims, n);
}

void
onnx_lower_flatten(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t axis = onnx_attribute_int(node, "axis", 1);
	int64_t dims[2] = {1, 1};
	int i;

	if (view == NULL)
		return;
	axis = axis < 0 ? axis + view->rank : axis;
	for (i = 0; i < view->rank; i++)
		dims[i < axis ? 0 : 1] *= onnx_axis_size(view, i);
	reshape(net, node, view, dims, 2);
}

/* Reads axes, counted from 0, as bits; -1 where they cannot be. */
static int
read_axes(const OnnxNetwork *net, const OnnxNode *node, int rank, int *n)
{
	int64_t axes[ONNX_MAX_RANK];
	int mask = 0;
	int i;

	*n = onnx_ints(net, node, "axes", 1, axes, ONNX_MAX_RANK);
	for (i = 0; i < *n; i++)
	{
		int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];

		if (axis < 0 || axis >= rank)
			return -1;
		mask |= 1 << axis;
	}
	return mask;
}

void
onnx_lower_squeeze(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t dims[ONNX_MAX_RANK];
	int rank = 0;
	int n, mask, i;

	if (view == NULL)
		return;
	mask = read_axes(net, node, view->rank, &n);
	for (i = 0; i < view->rank; i++)
	{
		int64_t size = onnx_axis_size(view, i);
		/* without axes all of size 1 go, but the images stay */
		int goes = n < 0 ? size == 1 && i > 0 : mask >> i & 1;

		if (goes && (size != 1 || i == 0))
			mask = -1;
		if (!goes)
			dims[rank++] = size;
	}
	if (mask < 0)
		onnx_refuse(net, node, "has axes that cannot be");
	else
		reshape(net, node, view, dims, rank);
}

void
onnx_lower_unsqueeze(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t dims[2 * ONNX_MAX_RANK];
	int n, mask, rank, i, k;

	if (view == NULL)
		return;
	(void) read_axes(net, node, 2 * ONNX_MAX_RANK, &n);
	rank = view->rank + n;
	mask = n >= 0 && rank <= ONNX_MAX_RANK ? read_axes(net, node, rank, &n) : -1;
	for (i = k = 0; mask > 0 && i < rank; i++)
		dims[i] = mask >> i & 1 ? 1 : k < view->rank ? onnx_axis_size(view, k++) : 1;
	if (mask <= 0 || mask & 1)
		onnx_refuse(net, node, "has axes that cannot be");
	else
		reshape(net, node, view, dims, rank);
}

/* ------------------------------------------------------- parts of a value */

/* Cuts rows or columns off an image whose axes are known; -1 with a problem. */
static int
crop(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes, int axis, int64_t before, int64_t after)
{
	NnNodeSpec spec;
	int image = onnx_need_image(net, view, axes);
	int node;

	if (image >= 0)
		image = onnx_need_map(net, image);
	if (image < 0)
		return -1;
	onnx_begin(net, &spec, "Cropping2D", "");
	nn_node_param(&spec, "cropping")->v[axis == axes->h ? 0 : 2] = (double) before;
	nn_node_param(&spec, "cropping")->v[axis == axes->h ? 1 : 3] = (double) after;
	node = onnx_add_one(net, &spec, image);
	if (node > 0)
		net->positive[node] = net->positive[image];
	return node;
}

/* Takes count indices of an axis, from start on, step apart; 0 with a problem. */
static int
take(OnnxNetwork *net, const OnnxNode *node, OnnxView *view, int axis, int64_t start, int64_t count,
	 int64_t step)
{
	int64_t size = onnx_axis_size(view, axis);
	const OnnxAxes *axes = &onnx_channels_first;

	if (start == 0 && count == size && step == 1)
		return 1;
	if (view->rank == 4 && onnx_view_fit(net, view, axes) == ONNX_FIT_NONE)
		axes = &onnx_channels_last;
	if (view->rank == 4 && (axis == axes->h || axis == axes->w) && count >= 1 && step == 1)
	{
		int cropped = crop(net, view, axes, axis, start, size - start - count);

		if (cropped > 0)
			onnx_view_image(view, net, cropped, axes);
		return cropped > 0;
	}
	if (onnx_view_slice(view, axis, start, count, step))
		return 1;
	onnx_refuse(net, node, "takes a part of axis %d that is not supported", axis);
	return 0;
}

void
onnx_lower_slice(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t starts[ONNX_MAX_RANK], ends[ONNX_MAX_RANK], axes[ONNX_MAX_RANK], steps[ONNX_MAX_RANK];
	int n = onnx_ints(net, node, "starts", 1, starts, ONNX_MAX_RANK);
	int n_axes = onnx_ints(net, node, "axes", 3, axes, ONNX_MAX_RANK);
	int n_steps = onnx_ints(net, node, NULL, 4, steps, ONNX_MAX_RANK);
	OnnxView result;
	int i;

	if (view == NULL)
		return;
	if (n < 0 || onnx_ints(net, node, "ends", 2, ends, ONNX_MAX_RANK) != n || (n_axes >= 0 && n_axes != n))
	{
		onnx_refuse(net, node, "has limits that are not constant");
		return;
	}
	result = *view;
	for (i = 0; i < n; i++)
	{
		int64_t axis = n_axes < 0 ? i : axes[i] < 0 ? axes[i] + view->rank : axes[i];
		int64_t step = n_steps > i ? steps[i] : 1;
		int64_t size, start, end;

		if (axis < 0 || axis >= view->rank || step < 1 || step > NN_MAX_CHANNELS)
		{
			onnx_refuse(net, node, "has an axis or a step that is not supported");
			return;
		}
		size = onnx_axis_size(&result, (int) axis);
		start = starts[i] < 0 ? starts[i] + size : starts[i];
		end = ends[i] < 0 ? ends[i] + size : ends[i];
		start = start < 0 ? 0 : start > size ? size : start;
		end = end > size ? size : end;
		if (end <= start)
		{
			onnx_refuse(net, node, "takes nothing of axis %lld", (long long) axis);
			return;
		}
		if (!take(net, node, &result, (int) axis, start, (end - start + step - 1) / step, step))
			return;
	}
	onnx_set_view(net, node, 0, &result);
}

/* Takes indices of an axis that rise in two steps, as a shuffle of channels does. */
void
onnx_lower_gather(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxConstant *index = onnx_input_constant(net, node, 1);
	int64_t axis = onnx_attribute_int(node, "axis", 0);
	int64_t first, inner_stride, outer_stride;
	int64_t inner = 1;
	OnnxView result;
	int64_t i;

	if (view == NULL)
		return;
	axis = axis < 0 ? axis + view->rank : axis;
	if (index == NULL || index->rank != 1 || !onnx_type_is_whole(index->type) || index->count < 1 ||
		axis < 0 || axis >= view->rank || (int64_t) index->count > onnx_axis_size(view, (int) axis))
	{
		onnx_refuse(net, node, "has indices that are not supported");
		return;
	}
	for (i = 0; i < (int64_t) index->count; i++)
		if (onnx_constant_whole(index, (size_t) i) < 0 ||
			onnx_constant_whole(index, (size_t) i) >= onnx_axis_size(view, (int) axis))
		{
			onnx_refuse(net, node, "has an index beyond its axis, or below 0");
			return;
		}
	first = onnx_constant_whole(index, 0);
	inner_stride = index->count > 1 ? onnx_constant_whole(index, 1) - first : 1;
	while (inner < (int64_t) index->count &&
		   onnx_constant_whole(index, (size_t) inner) == first + inner * inner_stride)
		inner++;
	outer_stride = inner < (int64_t) index->count ? onnx_constant_whole(index, (size_t) inner) - first : 1;
	for (i = 0; i < (int64_t) index->count; i++)
		if (onnx_constant_whole(index, (size_t) i) !=
			first + i / inner * outer_stride + i % inner * inner_stride)
			break;
	result = *view;
	if (i < (int64_t) index->count || (int64_t) index->count % inner != 0 || inner_stride < 1 ||
		outer_stride < 1 ||
		!onnx_view_gather(&result, (int) axis, first, (int64_t) index->count / inner, outer_stride, inner,
						  inner_stride))
		onnx_refuse(net, node, "has indices in an order that is not supported");
	else
		onnx_set_view(net, node, 0, &result);
}

void
onnx_lower_split(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	int64_t axis = onnx_attribute_int(node, "axis", 0);
	int64_t sizes[64];
	int64_t start = 0;
	int64_t all;
	int n_outputs = (int) node->n_output;
	int n, i;

	if (view == NULL)
		return;
	axis = axis < 0 ? axis + view->rank : axis;
	if (axis < 0 || axis >= view->rank || n_outputs < 1 || n_outputs > 64)
	{
		onnx_refuse(net, node, "has an axis or a number of outputs that is not supported");
		return;
	}
	all = onnx_axis_size(view, (int) axis);
	n = onnx_ints(net, node, "split", 1, sizes, 64);
	if (n < 0)
	{
		int64_t each = (all + n_outputs - 1) / n_outputs;

		for (n = 0; n < n_outputs; n++)
			sizes[n] = n < n_outputs - 1 ? each : all - each * (n_outputs - 1);
	}
	for (i = 0; i < n_outputs; i++)
	{
		OnnxView part = *view;

		if (i >= n || sizes[i] < 1 || sizes[i] > all - start)
		{
			onnx_refuse(net, node, "has sizes that do not fit its axis of %lld", (long long) all);
			return;
		}
		if (!take(net, node, &part, (int) axis, start, sizes[i], 1))
			return;
		onnx_set_view(net, node, (size_t) i, &part);
		start += sizes[i];
	}
}

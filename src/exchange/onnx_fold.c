/*-------------------------------------------------------------------------
 *
 * onnx_fold.c
 *	  What depends on nothing but constants and shapes: the arithmetic of
 *	  shapes that exporters leave in a file, and simple work on weights.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <math.h>
#include <string.h>

#define MAX_FOLDED ((size_t) 1 << 26) /* values of a constant that is made here */

/* Makes the constant that is the current node's result: its type and shape; NULL if it is too large. */
static uint8_t *
begin_constant(OnnxNetwork *net, OnnxConstant *constant, int type, int rank, const int64_t *dims)
{
	uint8_t *data;
	int i;

	memset(constant, 0, sizeof(*constant));
	constant->type = type;
	constant->rank = rank;
	constant->count = 1;
	for (i = 0; i < rank; i++)
	{
		if (dims[i] < 0 || (size_t) dims[i] > MAX_FOLDED || constant->count * (size_t) dims[i] > MAX_FOLDED)
			return NULL;
		constant->dims[i] = dims[i];
		constant->count *= (size_t) dims[i];
	}
	data = onnx_net_alloc(net, constant->count, onnx_type_bytes(type));
	constant->data = data;
	return data;
}

static void
put_whole(uint8_t *data, size_t i, int64_t value)
{
	int k;

	for (k = 0; k < 8; k++)
		data[8 * i + (size_t) k] = (uint8_t) ((uint64_t) value >> (8 * k));
}

static void
put_float(uint8_t *data, size_t i, float value)
{
	uint32_t bits;
	int k;

	memcpy(&bits, &value, sizeof(bits));
	for (k = 0; k < 4; k++)
		data[4 * i + (size_t) k] = (uint8_t) (bits >> (8 * k));
}

/* Adds to the work of a loop; tells whether to leave it, and then the network ends. */
static int
stops(OnnxNetwork *net, size_t *work)
{
	if (!onnx_stop_due(net->arena, work, 4))
		return 0;
	net->status = ONNX_INTERRUPTED;
	return 1;
}

/* ------------------------------------------------------------ single nodes */

static int
fold_constant(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxAttribute *value = onnx_attribute(node, "value");
	const OnnxAttribute *number;
	OnnxConstant constant;
	uint8_t *data;
	int64_t n;
	size_t i;
	OnnxStatus status;

	if (value != NULL && value->t != NULL)
	{
		status = onnx_constant_of(&constant, net->arena, value->t, net->problems);
		if (status == ONNX_OK)
			onnx_set_constant(net, node, 0, &constant);
		else if (net->arena->status != ONNX_OK)
			net->status = status;
		return 1;
	}
	number = onnx_attribute(node, "value_int");
	if (number == NULL)
		number = onnx_attribute(node, "value_ints");
	if (number != NULL)
	{
		n = (int64_t) number->n_ints;
		data = begin_constant(net, &constant, ONNX_INT64, number->has_i ? 0 : 1, &n);
		for (i = 0; data != NULL && i < constant.count; i++)
			put_whole(data, i, number->has_i ? number->i : number->ints[i]);
	}
	else
	{
		number = onnx_attribute(node, "value_float");
		if (number == NULL)
			number = onnx_attribute(node, "value_floats");
		if (number == NULL)
			return 0;
		n = (int64_t) number->n_floats;
		data = begin_constant(net, &constant, ONNX_FLOAT, number->has_f ? 0 : 1, &n);
		for (i = 0; data != NULL && i < constant.count; i++)
			put_float(data, i, number->has_f ? number->f : number->floats[i]);
	}
	if (data != NULL)
		onnx_set_constant(net, node, 0, &constant);
	return 1;
}

/* Shape and Size of a value whose shape is known. */
static int
fold_shape(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxValue *value = onnx_input_value(net, node, 0);
	int size = strcmp(node->op_type, "Size") == 0;
	OnnxConstant constant;
	int64_t dims[ONNX_MAX_RANK];
	int64_t product = 1;
	int64_t start, end, n;
	uint8_t *data;
	int rank, i;

	if (value == NULL)
		return 0;
	rank = value->kind == ONNX_VIEW ? value->view.rank : value->constant.rank;
	for (i = 0; i < rank; i++)
	{
		dims[i] = value->kind == ONNX_VIEW ? onnx_axis_size(&value->view, i) : value->constant.dims[i];
		product = (int64_t) ((uint64_t) product * (uint64_t) dims[i]);
	}
	start = onnx_attribute_int(node, "start", 0);
	end = onnx_attribute_int(node, "end", rank);
	start = start < 0 ? start + rank : start;
	end = end < 0 ? end + rank : end > rank ? rank : end;
	if (start < 0 || start > rank || end < start)
		start = end = 0;
	n = end - start;
	data = begin_constant(net, &constant, ONNX_INT64, size ? 0 : 1, &n);
	if (data == NULL)
		return 1;
	for (i = 0; !size && i < n; i++)
		put_whole(data, (size_t) i, dims[start + i]);
	if (size)
		put_whole(data, 0, product);
	onnx_set_constant(net, node, 0, &constant);
	return 1;
}

/* ------------------------------------------------------- other shapes */

/* Gives a constant the shape that another one asks for, as Reshape does; 0 if it does not fit. */
static int
reshape_to(OnnxConstant *constant, const int64_t *target, int rank, int allow_zero)
{
	size_t known = 1;
	int open = -1;
	int i;

	if (rank > ONNX_MAX_RANK)
		return 0;
	for (i = 0; i < rank; i++)
	{
		int64_t dim = target[i];

		if (dim == 0 && !allow_zero)
			dim = i < constant->rank ? constant->dims[i] : -2;
		if (dim == -1 && open < 0)
			open = i;
		else if (dim < 0 || (dim > 0 && known > constant->count / (size_t) dim))
			return 0;
		else
			known *= (size_t) dim;
		constant->dims[i] = dim;
	}
	if (open >= 0)
		constant->dims[open] = known > 0 ? (int64_t) (constant->count / known) : 0;
	constant->rank = rank;
	return (open >= 0 ? known * (size_t) constant->dims[open] : known) == constant->count;
}

/* Fills the axes that an operator removes or adds, counted from 0; their number, -1 where they cannot be. */
static int
axes_of(const OnnxNetwork *net, const OnnxNode *node, int64_t *axes, int rank)
{
	int n = onnx_ints(net, node, "axes", 1, axes, ONNX_MAX_RANK);
	int i;

	for (i = 0; i < n; i++)
	{
		axes[i] = axes[i] < 0 ? axes[i] + rank : axes[i];
		if (axes[i] < 0 || axes[i] >= rank)
			return -1;
	}
	return n;
}

static int
has_axis(const int64_t *axes, int n, int axis)
{
	int i;

	for (i = 0; i < n; i++)
		if (axes[i] == axis)
			return 1;
	return 0;
}

static int
fold_reshape(OnnxNetwork *net, const OnnxNode *node)
{
	OnnxConstant constant = *onnx_input_constant(net, node, 0);
	int64_t axes[ONNX_MAX_RANK];
	int64_t dims[2 * ONNX_MAX_RANK];
	int rank = 0;
	int n, i, k;

	if (strcmp(node->op_type, "Reshape") == 0)
	{
		n = onnx_ints(net, node, "shape", 1, axes, ONNX_MAX_RANK);
		if (n < 0 || !reshape_to(&constant, axes, n, onnx_attribute_int(node, "allowzero", 0) != 0))
			return 0;
	}
	else if (strcmp(node->op_type, "Squeeze") == 0)
	{
		n = axes_of(net, node, axes, constant.rank);
		for (i = 0; i < constant.rank; i++)
			if (!(constant.dims[i] == 1 && (n < 0 || has_axis(axes, n, i))))
				dims[rank++] = constant.dims[i];
		memcpy(constant.dims, dims, sizeof(int64_t) * (size_t) rank);
		constant.rank = rank;
	}
	else
	{
		n = onnx_ints(net, node, "axes", 1, axes, ONNX_MAX_RANK);
		if (n < 0 || constant.rank + n > ONNX_MAX_RANK || axes_of(net, node, axes, constant.rank + n) < 0)
			return 0;
		for (i = k = 0; i < constant.rank + n; i++)
			dims[i] = has_axis(axes, n, i) ? 1 : k < constant.rank ? constant.dims[k++] : 1;
		constant.rank += n;
		memcpy(constant.dims, dims, sizeof(int64_t) * (size_t) constant.rank);
		if (k < constant.rank - n)
			return 0;
	}
	onnx_set_constant(net, node, 0, &constant);
	return 1;
}

/* Copies the values of a constant in another order, which places gives by the result's dimensions. */
static int
copy_strided(OnnxNetwork *net, const OnnxNode *node, size_t output, const OnnxConstant *from, int rank,
			 const int64_t *dims, const int64_t *strides, int64_t offset)
{
	size_t width = onnx_type_bytes(from->type);
	OnnxConstant constant;
	uint8_t *data = begin_constant(net, &constant, from->type, rank, dims);
	size_t work = 0;
	size_t i;

	for (i = 0; data != NULL && i < constant.count && !stops(net, &work); i++)
	{
		size_t left = i;
		int64_t at = offset;
		int k;

		for (k = rank - 1; k >= 0; k--)
		{
			at += (int64_t) (left % (size_t) dims[k]) * strides[k];
			left /= (size_t) dims[k];
		}
		memcpy(data + i * width, from->data + (size_t) at * width, width);
	}
	if (data != NULL)
		onnx_set_constant(net, node, output, &constant);
	return 1;
}

/* Fills how far apart the elements of each dimension are. */
static void
strides_of(int64_t *strides, const OnnxConstant *constant)
{
	int64_t stride = 1;
	int i;

	for (i = constant->rank - 1; i >= 0; i--)
	{
		strides[i] = stride;
		stride = (int64_t) ((uint64_t) stride * (uint64_t) constant->dims[i]); /* of no use if it overflows */
	}
}

static int
fold_transpose(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *from = onnx_input_constant(net, node, 0);
	int64_t order[ONNX_MAX_RANK], strides[ONNX_MAX_RANK], dims[ONNX_MAX_RANK], own[ONNX_MAX_RANK];
	int n = onnx_ints(net, node, "perm", -1, order, ONNX_MAX_RANK);
	int i;

	strides_of(own, from);
	for (i = 0; i < from->rank; i++)
	{
		int64_t axis = n < 0 ? from->rank - 1 - i : i < n ? order[i] : -1;

		if (axis < 0 || axis >= from->rank || (n >= 0 && n != from->rank))
			return 0;
		dims[i] = from->dims[axis];
		strides[i] = own[axis];
	}
	return copy_strided(net, node, 0, from, from->rank, dims, strides, 0);
}

static int
fold_slice(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *from = onnx_input_constant(net, node, 0);
	int64_t starts[ONNX_MAX_RANK], ends[ONNX_MAX_RANK], axes[ONNX_MAX_RANK], steps[ONNX_MAX_RANK];
	int64_t strides[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
	int64_t offset = 0;
	int n = onnx_ints(net, node, "starts", 1, starts, ONNX_MAX_RANK);
	int n_axes = onnx_ints(net, node, "axes", 3, axes, ONNX_MAX_RANK);
	int n_steps = onnx_ints(net, node, NULL, 4, steps, ONNX_MAX_RANK);
	int i;

	if (n < 0 || onnx_ints(net, node, "ends", 2, ends, ONNX_MAX_RANK) != n || (n_axes >= 0 && n_axes != n))
		return 0;
	strides_of(strides, from);
	memcpy(dims, from->dims, sizeof(dims));
	for (i = 0; i < n; i++)
	{
		int64_t axis = n_axes < 0 ? i : axes[i] < 0 ? axes[i] + from->rank : axes[i];
		int64_t step = n_steps > i ? steps[i] : 1;
		int64_t size, start, end;

		if (axis < 0 || axis >= from->rank || step == 0 || step > INT32_MAX || step < -INT32_MAX)
			return 0;
		size = dims[axis];
		start = starts[i] < 0 ? starts[i] + size : starts[i];
		end = ends[i] < 0 ? ends[i] + size : ends[i];
		if (step > 0)
		{
			start = start < 0 ? 0 : start > size ? size : start;
			end = end < start ? start : end > size ? size : end;
			dims[axis] = (end - start + step - 1) / step;
		}
		else
		{
			start = start < 0 ? -1 : start >= size ? size - 1 : start;
			end = end < 0 ? -1 : end > start ? start : end;
			dims[axis] = start < 0 ? 0 : (start - end - step - 1) / -step;
		}
		/* an axis that is there twice may overflow, but then nothing is left of it */
		offset += start > 0 ? (int64_t) ((uint64_t) start * (uint64_t) strides[axis]) : 0;
		strides[axis] = (int64_t) ((uint64_t) strides[axis] * (uint64_t) step);
	}
	return copy_strided(net, node, 0, from, from->rank, dims, strides, offset);
}

static int
fold_gather(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *from = onnx_input_constant(net, node, 0);
	const OnnxConstant *index = onnx_input_constant(net, node, 1);
	size_t width = onnx_type_bytes(from->type);
	int64_t axis = onnx_attribute_int(node, "axis", 0);
	int64_t dims[2 * ONNX_MAX_RANK];
	OnnxConstant constant;
	size_t outer = 1;
	size_t inner = 1;
	size_t work = 0;
	size_t i, k, j;
	uint8_t *data;
	int rank = 0;

	axis = axis < 0 ? axis + from->rank : axis;
	if (index == NULL || !onnx_type_is_whole(index->type) || axis < 0 || axis >= from->rank ||
		from->rank - 1 + index->rank > ONNX_MAX_RANK)
		return 0;
	for (i = 0; i < (size_t) axis; i++)
		outer *= (size_t) (dims[rank++] = from->dims[i]);
	for (i = 0; i < (size_t) index->rank; i++)
		dims[rank++] = index->dims[i];
	for (i = (size_t) axis + 1; i < (size_t) from->rank; i++)
		inner *= (size_t) (dims[rank++] = from->dims[i]);
	data = begin_constant(net, &constant, from->type, rank, dims);
	for (i = 0; data != NULL && constant.count > 0 && i < outer; i++)
		for (k = 0; k < index->count; k++)
		{
			int64_t at = onnx_constant_whole(index, k);

			at = at < 0 ? at + from->dims[axis] : at;
			if (at < 0 || at >= from->dims[axis])
				return 0;
			for (j = 0; j < inner && !stops(net, &work); j++)
				memcpy(data + ((i * index->count + k) * inner + j) * width,
					   from->data + ((i * (size_t) from->dims[axis] + (size_t) at) * inner + j) * width,
					   width);
			if (stops(net, &work))
				return 1;
		}
	if (data != NULL)
		onnx_set_constant(net, node, 0, &constant);
	return 1;
}

static int
fold_concat(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *first = onnx_input_constant(net, node, 0);
	size_t width = onnx_type_bytes(first->type);
	int64_t axis = onnx_attribute_int(node, "axis", 0);
	int64_t dims[ONNX_MAX_RANK];
	OnnxConstant constant;
	size_t outer = 1;
	size_t inner = 1;
	size_t start = 0;
	size_t work = 0;
	size_t i, j;
	uint8_t *data;
	int k;

	axis = axis < 0 ? axis + first->rank : axis;
	if (axis < 0 || axis >= first->rank)
		return 0;
	memcpy(dims, first->dims, sizeof(dims));
	dims[axis] = 0;
	for (j = 0; j < node->n_input; j++)
	{
		const OnnxConstant *from = onnx_input_constant(net, node, j);

		if (from == NULL || from->type != first->type || from->rank != first->rank)
			return 0;
		for (k = 0; k < first->rank; k++)
			if (k != axis && from->dims[k] != first->dims[k])
				return 0;
		dims[axis] += from->dims[axis];
	}
	for (k = 0; k < first->rank; k++)
	{
		outer *= k < axis ? (size_t) dims[k] : 1;
		inner *= k > axis ? (size_t) dims[k] : 1;
	}
	data = begin_constant(net, &constant, first->type, first->rank, dims);
	for (j = 0; data != NULL && constant.count > 0 && j < node->n_input; j++)
	{
		const OnnxConstant *from = onnx_input_constant(net, node, j);
		size_t run = (size_t) from->dims[axis] * inner * width;

		for (i = 0; i < outer && !stops(net, &work); i++)
			memcpy(data + i * (size_t) dims[axis] * inner * width + start, from->data + i * run, run);
		start += run;
	}
	if (data != NULL)
		onnx_set_constant(net, node, 0, &constant);
	return 1;
}

/* ConstantOfShape and Expand. */
static int
fold_expand(OnnxNetwork *net, const OnnxNode *node)
{
	int of_shape = strcmp(node->op_type, "ConstantOfShape") == 0;
	const OnnxAttribute *value = of_shape ? onnx_attribute(node, "value") : NULL;
	int64_t dims[ONNX_MAX_RANK], strides[ONNX_MAX_RANK], own[ONNX_MAX_RANK];
	int rank = onnx_ints(net, node, NULL, of_shape ? 0 : 1, dims, ONNX_MAX_RANK);
	static const uint8_t zero[4];
	OnnxConstant from = {ONNX_FLOAT, 0, {0}, 1, zero};
	int i;

	if (rank < 0)
		return 0;
	if (value != NULL && value->t != NULL &&
		onnx_constant_of(&from, net->arena, value->t, net->problems) != ONNX_OK)
		return 1;
	if (!of_shape)
		from = *onnx_input_constant(net, node, 0);
	if (of_shape)
		from.rank = 0;
	if (from.rank > rank || (of_shape && from.count != 1))
		return 0;
	strides_of(own, &from);
	for (i = 0; i < rank; i++)
	{
		int k = i - (rank - from.rank);

		strides[i] = k < 0 || from.dims[k] == 1 ? 0 : own[k];
		if (k >= 0 && from.dims[k] != 1)
		{
			if (dims[i] != 1 && dims[i] != from.dims[k])
				return 0;
			dims[i] = from.dims[k];
		}
	}
	return copy_strided(net, node, 0, &from, rank, dims, strides, 0);
}

/* -------------------------------------------------------------- arithmetic */

static int64_t
whole_result(const char *name, int64_t a, int64_t b)
{
	switch (name[0])
	{
		case 'A':
			return (int64_t) ((uint64_t) a + (uint64_t) b);
		case 'S':
			return (int64_t) ((uint64_t) a - (uint64_t) b);
		case 'M':
			return (int64_t) ((uint64_t) a * (uint64_t) b);
		default:
			return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
	}
}

static float
float_result(const char *name, float a, float b)
{
	switch (name[0])
	{
		case 'A':
			return a + b;
		case 'S':
			return a - b;
		case 'M':
			return a * b;
		case 'P':
			return powf(a, b);
		default:
			return a / b;
	}
}

/* Add, Sub, Mul, Div and Pow of two constants, one of which may be spread over the other. */
static int
fold_arithmetic(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *in[2] = {onnx_input_constant(net, node, 0), onnx_input_constant(net, node, 1)};
	int64_t dims[ONNX_MAX_RANK], strides[2][ONNX_MAX_RANK], own[ONNX_MAX_RANK];
	int whole, rank, i, k, j;
	OnnxConstant constant;
	size_t work = 0;
	size_t n;
	uint8_t *data;

	if (in[0] == NULL || in[1] == NULL)
		return 0;
	whole = onnx_type_is_whole(in[0]->type);
	rank = in[0]->rank > in[1]->rank ? in[0]->rank : in[1]->rank;
	if (whole != onnx_type_is_whole(in[1]->type) || (whole && node->op_type[0] == 'P'))
		return 0;
	for (i = 0; i < rank; i++)
		dims[i] = 1;
	for (j = 0; j < 2; j++)
	{
		strides_of(own, in[j]);
		for (i = 0; i < rank; i++)
		{
			k = i - (rank - in[j]->rank);
			strides[j][i] = k < 0 || in[j]->dims[k] == 1 ? 0 : own[k];
			if (k >= 0 && in[j]->dims[k] != 1)
			{
				if (dims[i] != 1 && dims[i] != in[j]->dims[k])
					return 0;
				dims[i] = in[j]->dims[k];
			}
		}
	}
	data = begin_constant(net, &constant, whole ? ONNX_INT64 : ONNX_FLOAT, rank, dims);
	for (n = 0; data != NULL && n < constant.count && !stops(net, &work); n++)
	{
		size_t left = n;
		int64_t at[2] = {0, 0};

		for (k = rank - 1; k >= 0; k--)
		{
			for (j = 0; j < 2; j++)
				at[j] += (int64_t) (left % (size_t) dims[k]) * strides[j][k];
			left /= (size_t) dims[k];
		}
		if (whole)
			put_whole(data, n,
					  whole_result(node->op_type, onnx_constant_whole(in[0], (size_t) at[0]),
								   onnx_constant_whole(in[1], (size_t) at[1])));
		else
			put_float(data, n,
					  float_result(node->op_type, onnx_constant_float(in[0], (size_t) at[0]),
								   onnx_constant_float(in[1], (size_t) at[1])));
	}
	if (data != NULL)
		onnx_set_constant(net, node, 0, &constant);
	return 1;
}

/* Cast, Neg, Sqrt, Reciprocal, Exp, Floor and Ceil. */
static int
fold_one(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxConstant *from = onnx_input_constant(net, node, 0);
	const char *name = node->op_type;
	int64_t type = strcmp(name, "Cast") == 0 ? onnx_attribute_int(node, "to", 0) : from->type;
	int whole = type >= 0 && type <= ONNX_BFLOAT16 && onnx_type_is_whole((int) type);
	OnnxConstant constant;
	size_t work = 0;
	size_t i;
	uint8_t *data;

	if (type <= 0 || type > ONNX_BFLOAT16 || onnx_type_bytes((int) type) == 0)
		return 0;
	if (from->type == type && strcmp(name, "Cast") == 0)
	{
		onnx_set_constant(net, node, 0, from);
		return 1;
	}
	data = begin_constant(net, &constant, whole ? ONNX_INT64 : ONNX_FLOAT, from->rank, from->dims);
	for (i = 0; data != NULL && i < constant.count && !stops(net, &work); i++)
	{
		double x = onnx_constant_number(from, i);

		switch (name[0])
		{
			case 'N':
				x = -x;
				break;
			case 'S':
				x = sqrtf((float) x);
				break;
			case 'R':
				x = 1.0f / (float) x;
				break;
			case 'E':
				x = expf((float) x);
				break;
			case 'F':
				x = floor(x);
				break;
			default:
				if (name[1] == 'e')
					x = ceil(x);
				break;
		}
		if (!whole)
			put_float(data, i, (float) x);
		else if (onnx_type_is_whole(from->type) && name[0] == 'C')
			put_whole(data, i, onnx_constant_whole(from, i));
		else
			put_whole(data, i, fabs(x) < 9e18 ? (int64_t) x : 0);
	}
	if (data != NULL)
		onnx_set_constant(net, node, 0, &constant);
	return 1;
}

static int
fold_same(OnnxNetwork *net, const OnnxNode *node)
{
	onnx_set_constant(net, node, 0, onnx_input_constant(net, node, 0));
	return 1;
}

/* -------------------------------------------------------------- the table */

static const struct
{
	const char *name;
	int (*fold)(OnnxNetwork *net, const OnnxNode *node);
} folds[] = {
	{"Add", fold_arithmetic},
	{"Cast", fold_one},
	{"Ceil", fold_one},
	{"Concat", fold_concat},
	{"ConstantOfShape", fold_expand},
	{"Div", fold_arithmetic},
	{"Exp", fold_one},
	{"Expand", fold_expand},
	{"Floor", fold_one},
	{"Gather", fold_gather},
	{"Identity", fold_same},
	{"Mul", fold_arithmetic},
	{"Neg", fold_one},
	{"Pow", fold_arithmetic},
	{"Reciprocal", fold_one},
	{"Reshape", fold_reshape},
	{"Slice", fold_slice},
	{"Sqrt", fold_one},
	{"Squeeze", fold_reshape},
	{"Sub", fold_arithmetic},
	{"Transpose", fold_transpose},
	{"Unsqueeze", fold_reshape},
};

int
onnx_fold(OnnxNetwork *net, const OnnxNode *node)
{
	size_t i;

	if (node->op_type == NULL || (node->domain != NULL && node->domain[0] != '\0'))
		return 0;
	if (strcmp(node->op_type, "Constant") == 0)
		return fold_constant(net, node);
	if (strcmp(node->op_type, "Shape") == 0 || strcmp(node->op_type, "Size") == 0)
		return fold_shape(net, node);
	if (onnx_input_constant(net, node, 0) == NULL)
		return 0;
	for (i = 0; i < sizeof(folds) / sizeof(folds[0]); i++)
		if (strcmp(folds[i].name, node->op_type) == 0)
			return folds[i].fold(net, node);
	return 0;
}

/*-------------------------------------------------------------------------
 *
 * onnx_export.c
 *	  A network of src/nn as nodes of ONNX.
 *
 * A map is [N, channels, height, width] there, a row [N, channels].  Where
 * src/nn takes the values of a map in its own order, a Transpose comes before.
 * All operators are of ONNX_WRITTEN_OPSET; what later sets have as one operator
 * (Gelu, Mish) is written as several.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_write.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_NODES_OF_ONE 12 /* nodes of ONNX, and tensors, that a node of src/nn becomes */

/* A node that is being written. */
typedef struct Source
{
	NnNodeInfo info;
	const char *class_name;
	NnShape in;                /* of the first input */
	const char *input;         /* the value of the first input */
	const float *variables[4]; /* in the order of the node's variables; NULL: no more */
} Source;

static double
param(const Source *s, const char *key, int i)
{
	int index = nn_op_param_find(s->info.op, key);

	return index >= 0 ? s->info.params[index].v[i] : 0;
}

/* ------------------------------------------------------- shapes and order */

/* Tells whether a map's values lie in the same order with channels first and last. */
static int
has_one_order(const NnShape *shape)
{
	return shape->rank == 1 || shape->c == 1 || (shape->h == 1 && shape->w == 1);
}

static const char *
emit_transpose(OnnxOutput *out, const char *value, const NnShape *shape, int to_last)
{
	static const int64_t orders[2][4] = {{0, 3, 1, 2}, {0, 2, 3, 1}};

	(void) shape;
	value = onnx_emit_one(out, "Transpose", value);
	onnx_give_ints(out, onnx_last(out), "perm", 4, orders[to_last]);
	return value;
}

static const char *
emit_reshape(OnnxOutput *out, const char *value, int n, const int64_t *dims)
{
	return onnx_emit_two(out, "Reshape", value, onnx_store_wholes(out, n, dims));
}

/* Gives a value the shape that a node's output has; 0 stands for the number of images. */
static const char *
emit_shape(OnnxOutput *out, const char *value, const NnShape *from, const NnShape *to)
{
	int64_t first[4] = {0, to->c, to->h, to->w};
	int64_t last[4] = {0, to->h, to->w, to->c};

	if (!has_one_order(from))
		value = emit_transpose(out, value, from, 1);
	if (to->rank == 1 || has_one_order(to))
		return emit_reshape(out, value, to->rank == 1 ? 2 : 4, first);
	value = emit_reshape(out, value, 4, last);
	return emit_transpose(out, value, to, 0);
}

/* ------------------------------------------------------------ activations */

/* x * something of x */
static const char *
emit_gelu(OnnxOutput *out, const char *x, int approximate)
{
	const char *y;

	if (approximate)
	{
		y = onnx_emit_two(out, "Mul", onnx_emit_two(out, "Mul", x, x), x);
		y = onnx_emit_two(out, "Mul", y, onnx_store_number(out, 0.044715));
		y = onnx_emit_two(out, "Add", x, y);
		y = onnx_emit_two(out, "Mul", y, onnx_store_number(out, 0.7978845608028654));
		y = onnx_emit_one(out, "Tanh", y);
	}
	else
	{
		y = onnx_emit_two(out, "Mul", x, onnx_store_number(out, 0.7071067811865476));
		y = onnx_emit_one(out, "Erf", y);
	}
	y = onnx_emit_two(out, "Add", y, onnx_store_number(out, 1));
	y = onnx_emit_two(out, "Mul", x, y);
	return onnx_emit_two(out, "Mul", y, onnx_store_number(out, 0.5));
}

static const char *
emit_clip(OnnxOutput *out, const char *x, double high)
{
	const char *inputs[4] = {x, NULL, NULL, NULL};
	const char *output = onnx_between(out, "Clip");

	inputs[1] = onnx_store_number(out, 0);
	inputs[2] = onnx_store_number(out, high);
	onnx_emit(out, "Clip", output, inputs);
	return output;
}

/* Writes an operator with one attribute. */
static const char *
emit_alpha(OnnxOutput *out, const char *operator, const char * x, double alpha)
{
	x = onnx_emit_one(out, operator, x);
	onnx_give_float(out, onnx_last(out), "alpha", alpha);
	return x;
}

/* Writes the activation that a parameter names. */
static const char *
emit_activation(OnnxOutput *out, const char *x, const NnValue *value)
{
	static const char *const same[][2] = {{"relu", "Relu"},         {"sigmoid", "Sigmoid"},
										  {"tanh", "Tanh"},         {"selu", "Selu"},
										  {"softplus", "Softplus"}, {"hard_silu", "HardSwish"}};
	const char *name = nn_activation_names[(int) value->v[0]];
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (strcmp(name, same[i][0]) == 0)
			return onnx_emit_one(out, same[i][1], x);
	if (strcmp(name, "leaky_relu") == 0)
		return emit_alpha(out, "LeakyRelu", x, value->v[1]);
	if (strcmp(name, "relu6") == 0)
		return emit_clip(out, x, value->v[2] > 0 ? value->v[2] : 6);
	if (strcmp(name, "elu") == 0)
		return emit_alpha(out, "Elu", x, value->v[2] > 0 ? value->v[2] : 1);
	if (strcmp(name, "hard_sigmoid") == 0)
	{
		x = emit_alpha(out, "HardSigmoid", x, value->v[2] > 0 ? value->v[2] : 1.0 / 6.0);
		onnx_give_float(out, onnx_last(out), "beta", 0.5);
		return x;
	}
	if (strcmp(name, "silu") == 0)
		return onnx_emit_two(out, "Mul", x, onnx_emit_one(out, "Sigmoid", x));
	if (strcmp(name, "mish") == 0)
		return onnx_emit_two(out, "Mul", x, onnx_emit_one(out, "Tanh", onnx_emit_one(out, "Softplus", x)));
	if (strcmp(name, "gelu") == 0 || strcmp(name, "gelu_tanh") == 0)
		return emit_gelu(out, x, strcmp(name, "gelu_tanh") == 0);
	if (strcmp(name, "softmax") == 0)
	{
		x = onnx_emit_one(out, "Softmax", x);
		onnx_give_int(out, onnx_last(out), "axis", 1);
	}
	return x;
}

/* ------------------------------------------------------- kinds of nodes */

/* Gives a window's sizes and padding to the node written last. */
static void
give_window(OnnxOutput *out, const Source *s, const char *size_key, int dilated)
{
	OnnxNode *node = onnx_last(out);
	int64_t kernel[2], strides[2], dilations[2] = {1, 1};
	int64_t pads[4] = {0, 0, 0, 0};
	int64_t in[2] = {s->in.h, s->in.w};
	int64_t outside[2] = {s->info.shape.h, s->info.shape.w};
	int i;

	for (i = 0; i < 2; i++)
	{
		int64_t all;

		kernel[i] = (int64_t) param(s, size_key, i);
		strides[i] = (int64_t) param(s, "strides", i);
		if (strides[i] == 0)
			strides[i] = kernel[i];
		if (dilated)
			dilations[i] = (int64_t) param(s, "dilation_rate", i);
		all = (outside[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - in[i];
		if (param(s, "padding", 0) != 0 && all > 0)
		{
			pads[i] = all / 2;
			pads[i + 2] = all - all / 2;
		}
	}
	onnx_give_ints(out, node, "kernel_shape", 2, kernel);
	onnx_give_ints(out, node, "strides", 2, strides);
	onnx_give_ints(out, node, "pads", 4, pads);
	if (dilated)
		onnx_give_ints(out, node, "dilations", 2, dilations);
}

static const char *
emit_conv(OnnxOutput *out, const Source *s)
{
	int depthwise = strcmp(s->class_name, "DepthwiseConv2D") == 0;
	int64_t groups = depthwise ? s->in.c : (int64_t) param(s, "groups", 0);
	int64_t kernel[4] = {s->info.shape.c, s->in.c / groups, (int64_t) param(s, "kernel_size", 0),
						 (int64_t) param(s, "kernel_size", 1)};
	int64_t units[1] = {s->info.shape.c};
	const char *inputs[4] = {s->input, NULL, NULL, NULL};
	const char *output = onnx_between(out, "Conv");

	inputs[1] = onnx_store_weights(out, "kernel", depthwise ? ONNX_ORDER_DEPTH : ONNX_ORDER_KERNEL, 4, kernel,
								   s->variables[0]);
	if (s->variables[1] != NULL)
		inputs[2] = onnx_store_weights(out, "bias", ONNX_ORDER_SAME, 1, units, s->variables[1]);
	onnx_emit(out, "Conv", output, inputs);
	give_window(out, s, "kernel_size", 1);
	onnx_give_int(out, onnx_last(out), "group", groups);
	return output;
}

static const char *
emit_dense(OnnxOutput *out, const Source *s)
{
	int64_t kernel[2] = {s->in.c, s->info.shape.c};
	const char *inputs[4] = {s->input, NULL, NULL, NULL};
	const char *output = onnx_between(out, "Gemm");

	inputs[1] = onnx_store_weights(out, "kernel", ONNX_ORDER_SAME, 2, kernel, s->variables[0]);
	if (s->variables[1] != NULL)
		inputs[2] = onnx_store_weights(out, "bias", ONNX_ORDER_SAME, 1, kernel + 1, s->variables[1]);
	onnx_emit(out, "Gemm", output, inputs);
	return output;
}

/* Stores gamma or beta, or what stands for it where the node has none. */
static const char *
store_scale(OnnxOutput *out, const Source *s, int *next, const char *key, int rank, double fill)
{
	int64_t dims[3] = {s->in.c, 1, 1};
	const char *what = fill != 0 ? "gamma" : "beta";

	if (param(s, key, 0) == 0)
		return onnx_store_vector(out, what, rank, s->in.c, fill);
	return onnx_store_weights(out, what, ONNX_ORDER_SAME, rank, dims, s->variables[(*next)++]);
}

static const char *
emit_batch_norm(OnnxOutput *out, const Source *s)
{
	int64_t dims[1] = {s->in.c};
	const char *inputs[6] = {s->input, NULL, NULL, NULL, NULL, NULL};
	const char *output = onnx_between(out, "BatchNormalization");
	int next = 0;

	inputs[1] = store_scale(out, s, &next, "scale", 1, 1);
	inputs[2] = store_scale(out, s, &next, "center", 1, 0);
	inputs[3] = onnx_store_weights(out, "mean", ONNX_ORDER_SAME, 1, dims, s->variables[next]);
	inputs[4] = onnx_store_weights(out, "variance", ONNX_ORDER_SAME, 1, dims, s->variables[next + 1]);
	onnx_emit(out, "BatchNormalization", output, inputs);
	onnx_give_float(out, onnx_last(out), "epsilon", param(s, "epsilon", 0));
	onnx_give_float(out, onnx_last(out), "momentum", param(s, "momentum", 0));
	return output;
}

static const char *
emit_layer_norm(OnnxOutput *out, const Source *s)
{
	const char *inputs[4] = {s->input, NULL, NULL, NULL};
	const char *output = onnx_between(out, "LayerNormalization");
	int turns = s->in.rank == 3;
	int next = 0;

	if (turns)
		inputs[0] = emit_transpose(out, s->input, &s->in, 1);
	inputs[1] = store_scale(out, s, &next, "scale", 1, 1);
	inputs[2] = store_scale(out, s, &next, "center", 1, 0);
	onnx_emit(out, "LayerNormalization", output, inputs);
	onnx_give_int(out, onnx_last(out), "axis", -1);
	onnx_give_float(out, onnx_last(out), "epsilon", param(s, "epsilon", 0));
	return turns ? emit_transpose(out, output, &s->in, 0) : output;
}

/* Writes GroupNormalization as exporters do before operator set 18. */
static const char *
emit_group_norm(OnnxOutput *out, const Source *s)
{
	int groups = (int) param(s, "groups", 0);
	int64_t parts[3] = {0, groups == -1 ? s->in.c : groups, -1};
	int64_t whole[4] = {0, s->in.c, s->in.h, s->in.w};
	const char *inputs[4] = {NULL, NULL, NULL, NULL};
	const char *output = onnx_between(out, "InstanceNormalization");
	const char *value;
	int rank = s->in.rank == 3 ? 3 : 1;
	int next = 0;

	inputs[0] = emit_reshape(out, s->input, 3, parts);
	inputs[1] = onnx_store_vector(out, "one", 1, parts[1], 1);
	inputs[2] = onnx_store_vector(out, "zero", 1, parts[1], 0);
	onnx_emit(out, "InstanceNormalization", output, inputs);
	onnx_give_float(out, onnx_last(out), "epsilon", param(s, "epsilon", 0));
	value = emit_reshape(out, output, s->in.rank == 3 ? 4 : 2, whole);
	if (param(s, "scale", 0) != 0)
		value = onnx_emit_two(out, "Mul", value, store_scale(out, s, &next, "scale", rank, 1));
	if (param(s, "center", 0) != 0)
		value = onnx_emit_two(out, "Add", value, store_scale(out, s, &next, "center", rank, 0));
	return value;
}

static const char *
emit_pooling(OnnxOutput *out, const Source *s)
{
	int maximum = strcmp(s->class_name, "MaxPooling2D") == 0;
	const char *value = onnx_emit_one(out, maximum ? "MaxPool" : "AveragePool", s->input);

	give_window(out, s, "pool_size", 0);
	return value;
}

static const char *
emit_global(OnnxOutput *out, const Source *s)
{
	int maximum = strcmp(s->class_name, "GlobalMaxPooling2D") == 0;
	const char *value = onnx_emit_one(out, maximum ? "GlobalMaxPool" : "GlobalAveragePool", s->input);

	if (s->info.shape.rank == 3)
		return value;
	value = onnx_emit_one(out, "Flatten", value);
	onnx_give_int(out, onnx_last(out), "axis", 1);
	return value;
}

static const char *
emit_border(OnnxOutput *out, const Source *s)
{
	const char *inputs[6] = {s->input, NULL, NULL, NULL, NULL, NULL};
	const char *output;
	static const int64_t axes[2] = {2, 3};
	int64_t limits[8] = {0};
	int i;

	if (strcmp(s->class_name, "ZeroPadding2D") == 0)
	{
		for (i = 0; i < 2; i++)
		{
			limits[2 + i] = (int64_t) param(s, "padding", 2 * i);
			limits[6 + i] = (int64_t) param(s, "padding", 2 * i + 1);
		}
		return onnx_emit_two(out, "Pad", s->input, onnx_store_wholes(out, 8, limits));
	}
	for (i = 0; i < 2; i++)
	{
		limits[i] = (int64_t) param(s, "cropping", 2 * i);
		limits[2 + i] = (i == 0 ? s->in.h : s->in.w) - (int64_t) param(s, "cropping", 2 * i + 1);
	}
	output = onnx_between(out, "Slice");
	inputs[1] = onnx_store_wholes(out, 2, limits);
	inputs[2] = onnx_store_wholes(out, 2, limits + 2);
	inputs[3] = onnx_store_wholes(out, 2, axes);
	onnx_emit(out, "Slice", output, inputs);
	return output;
}

static const char *
emit_up_sampling(OnnxOutput *out, const Source *s)
{
	int bilinear = param(s, "interpolation", 0) != 0;
	const char *inputs[5] = {s->input, "", "", NULL, NULL};
	const char *output = onnx_between(out, "Resize");
	float *scales = onnx_alloc(&out->arena, 4 * sizeof(float));
	int64_t four[1] = {4};

	if (scales == NULL)
	{
		out->status = onnx_no_memory(&out->arena, out->problems);
		return output;
	}
	scales[0] = scales[1] = 1;
	scales[2] = (float) param(s, "size", 0);
	scales[3] = (float) param(s, "size", 1);
	inputs[2] = onnx_store_weights(out, "scales", ONNX_ORDER_SAME, 1, four, scales);
	onnx_emit(out, "Resize", output, inputs);
	onnx_give_text(out, onnx_last(out), "mode", bilinear ? "linear" : "nearest");
	onnx_give_text(out, onnx_last(out), "coordinate_transformation_mode",
				   bilinear ? "half_pixel" : "asymmetric");
	if (!bilinear)
		onnx_give_text(out, onnx_last(out), "nearest_mode", "floor");
	return output;
}

/* Stores scale or offset of a Rescaling: a number, or one for each channel. */
static const char *
store_channels(OnnxOutput *out, const Source *s, const char *key)
{
	int n = (int) param(s, key, 3);
	int64_t dims[3] = {n, 1, 1};
	float *values;
	int i;

	if (n < 2)
		return onnx_store_number(out, param(s, key, 0));
	values = onnx_alloc(&out->arena, (size_t) n * sizeof(float));
	if (values == NULL)
		out->status = onnx_no_memory(&out->arena, out->problems);
	for (i = 0; values != NULL && i < n; i++)
		values[i] = (float) param(s, key, i);
	return onnx_store_weights(out, key, ONNX_ORDER_SAME, s->in.rank == 3 ? 3 : 1, dims, values);
}

static const char *
emit_rescaling(OnnxOutput *out, const Source *s)
{
	const char *value = onnx_emit_two(out, "Mul", s->input, store_channels(out, s, "scale"));

	if (param(s, "offset", 3) < 2 && param(s, "offset", 0) == 0)
		return value;
	return onnx_emit_two(out, "Add", value, store_channels(out, s, "offset"));
}

/* Writes PRelu, with the slopes of the channels in front of height and width. */
static const char *
emit_prelu(OnnxOutput *out, const Source *s)
{
	const NnValue *shared = &s->info.params[nn_op_param_find(s->info.op, "shared_axes")];
	int64_t dims[3] = {s->in.c, 1, 1};
	int i, mask = 0;

	for (i = 0; i < (int) shared->v[3]; i++)
		mask |= 1 << (int) shared->v[i];
	if (s->in.rank == 3 && (mask & 6) != 6 && s->in.h * s->in.w > 1)
	{
		out->status = onnx_fail(out->problems, ONNX_UNSUPPORTED,
								"layer \"%s\" (PReLU) has slopes by place, which has no form in ONNX here",
								s->info.name);
		return s->input;
	}
	if (mask & (s->in.rank == 3 ? 8 : 2))
		dims[0] = 1;
	return onnx_emit_two(out, "PRelu", s->input,
						 onnx_store_weights(out, "slope", ONNX_ORDER_SAME, s->in.rank == 3 ? 3 : 1, dims,
											s->variables[0]));
}

/* Writes the nodes with several inputs; a row that meets a map becomes a map of one pixel. */
static const char *
emit_merge(OnnxOutput *out, const Source *s)
{
	static const char *const operators[][2] = {{"Add", "Sum"},           {"Subtract", "Sub"},
											   {"Multiply", "Mul"},      {"Average", "Mean"},
											   {"Maximum", "Max"},       {"Minimum", "Min"},
											   {"Concatenate", "Concat"}};
	const char *inputs[NN_MAX_INPUTS + 1] = {NULL};
	const char *operator= "";
	const char *output;
	size_t k;
	int i;

	for (k = 0; k < sizeof(operators) / sizeof(operators[0]); k++)
		if (strcmp(operators[k][0], s->class_name) == 0)
			operator= operators[k][1];
	if (strcmp(operator, "Sum") == 0 && s->info.n_inputs == 2)
		operator= "Add";
	for (i = 0; i < s->info.n_inputs; i++)
	{
		NnNodeInfo from;

		nn_graph_node(&from, out->graph, s->info.inputs[i]);
		inputs[i] = out->values[s->info.inputs[i]];
		if (from.shape.rank == 1 && s->info.shape.rank == 3)
		{
			int64_t dims[4] = {0, from.shape.c, 1, 1};

			inputs[i] = emit_reshape(out, inputs[i], 4, dims);
		}
	}
	/* Mul takes two values at a time */
	if (strcmp(operator, "Mul") == 0)
	{
		output = inputs[0];
		for (i = 1; i < s->info.n_inputs; i++)
			output = onnx_emit_two(out, operator, output, inputs[i]);
		return output;
	}
	output = onnx_between(out, operator);
	onnx_emit(out, operator, output, inputs);
	if (strcmp(operator, "Concat") == 0)
		onnx_give_int(out, onnx_last(out), "axis", 1);
	return output;
}

/* Writes ReLU, LeakyReLU, ELU, Softmax and Activation. */
static const char *
emit_activation_layer(OnnxOutput *out, const Source *s)
{
	if (strcmp(s->class_name, "Activation") == 0)
		return emit_activation(out, s->input, &s->info.params[0]);
	if (strcmp(s->class_name, "LeakyReLU") == 0)
		return emit_alpha(out, "LeakyRelu", s->input,
						  param(s, "alpha", 0) >= 0 ? param(s, "alpha", 0) : param(s, "negative_slope", 0));
	if (strcmp(s->class_name, "ELU") == 0)
		return emit_alpha(out, "Elu", s->input, param(s, "alpha", 0));
	if (strcmp(s->class_name, "Softmax") == 0)
	{
		const char *value = onnx_emit_one(out, "Softmax", s->input);

		onnx_give_int(out, onnx_last(out), "axis", 1);
		return value;
	}
	if (param(s, "max_value", 0) > 0)
		return emit_clip(out, s->input, param(s, "max_value", 0));
	if (param(s, "negative_slope", 0) > 0)
		return emit_alpha(out, "LeakyRelu", s->input, param(s, "negative_slope", 0));
	return onnx_emit_one(out, "Relu", s->input);
}

/* Writes SelectChannels as a Gather. */
static const char *
emit_select(OnnxOutput *out, const Source *s)
{
	int64_t inner = (int64_t) param(s, "inner", 0);
	int64_t *indices = onnx_alloc_array(&out->arena, (size_t) s->info.shape.c, sizeof(int64_t));
	const char *value;
	int i;

	if (indices == NULL)
	{
		out->status = onnx_no_memory(&out->arena, out->problems);
		return s->input;
	}
	for (i = 0; i < s->info.shape.c; i++)
		indices[i] = (int64_t) param(s, "start", 0) + i / inner * (int64_t) param(s, "outer_stride", 0) +
					 i % inner * (int64_t) param(s, "inner_stride", 0);
	value = onnx_emit_two(out, "Gather", s->input, onnx_store_wholes(out, s->info.shape.c, indices));
	onnx_give_int(out, onnx_last(out), "axis", 1);
	return value;
}

static const char *
emit_flatten(OnnxOutput *out, const Source *s)
{
	return emit_shape(out, s->input, &s->in, &s->info.shape);
}

static const char *
emit_nothing(OnnxOutput *out, const Source *s)
{
	(void) out;
	return s->input;
}

static const struct
{
	const char *class_name;
	const char *(*emit)(OnnxOutput *out, const Source *s);
} kinds[] = {
	{"Activation", emit_activation_layer},
	{"Add", emit_merge},
	{"Average", emit_merge},
	{"AveragePooling2D", emit_pooling},
	{"BatchNormalization", emit_batch_norm},
	{"Concatenate", emit_merge},
	{"Conv2D", emit_conv},
	{"Cropping2D", emit_border},
	{"Dense", emit_dense},
	{"DepthwiseConv2D", emit_conv},
	{"Dropout", emit_nothing},
	{"ELU", emit_activation_layer},
	{"Flatten", emit_flatten},
	{"GlobalAveragePooling2D", emit_global},
	{"GlobalMaxPooling2D", emit_global},
	{"GroupNormalization", emit_group_norm},
	{"LayerNormalization", emit_layer_norm},
	{"LeakyReLU", emit_activation_layer},
	{"MaxPooling2D", emit_pooling},
	{"Maximum", emit_merge},
	{"Minimum", emit_merge},
	{"Multiply", emit_merge},
	{"PReLU", emit_prelu},
	{"ReLU", emit_activation_layer},
	{"Rescaling", emit_rescaling},
	{"Reshape", emit_flatten},
	{"SelectChannels", emit_select},
	{"Softmax", emit_activation_layer},
	{"SpatialDropout2D", emit_nothing},
	{"Subtract", emit_merge},
	{"UpSampling2D", emit_up_sampling},
	{"ZeroPadding2D", emit_border},
};

/* Fills what is known of a node; first is the number of its first variable. */
static void
set_source(Source *s, const OnnxOutput *out, int node, int *variable)
{
	NnNodeInfo from;
	NnVariable v;
	int n = 0;

	memset(s, 0, sizeof(*s));
	nn_graph_node(&s->info, out->graph, node);
	nn_graph_node(&from, out->graph, s->info.inputs[0]);
	s->class_name = nn_op_info(s->info.op)->class_name;
	s->in = from.shape;
	s->input = out->values[s->info.inputs[0]];
	for (; *variable < nn_graph_variable_count(out->graph); ++*variable)
	{
		nn_graph_variable(&v, out->graph, *variable);
		if (v.node != node)
			break;
		if (n < 4)
			s->variables[n++] = out->weights + v.offset;
	}
}

/* Writes a node, or if it is the last one what comes before its activation. */
static const char *
emit_node(OnnxOutput *out, const Source *s, int is_last)
{
	int activation = nn_op_param_find(s->info.op, "activation");
	const char *value;
	size_t i;

	if (is_last && (strcmp(s->class_name, "Activation") == 0 || strcmp(s->class_name, "Softmax") == 0))
		return s->input;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].class_name, s->class_name) == 0)
		{
			value = kinds[i].emit(out, s);
			if (!is_last && activation >= 0 && strcmp(s->class_name, "Activation") != 0)
				value = emit_activation(out, value, &s->info.params[activation]);
			return value;
		}
	out->status = onnx_fail(out->problems, ONNX_UNSUPPORTED, "layer \"%s\" (%s) has no form in ONNX",
							s->info.name, s->class_name);
	return s->input;
}

/* Writes the end of the network: from logits to probabilities, by way of the calibration. */
static void
emit_end(OnnxOutput *out, const char *logits)
{
	const OnnxExport *export = out->export;
	int units = nn_graph_output_units(out->graph);
	int softmax = units > 1 && !nn_graph_is_multi_label(out->graph);
	const char *inputs[3] = {logits, NULL, NULL};

	if (export->calibration == ONNX_CALIBRATION_PLATT && units == 2)
	{
		/* the logit of the second class against the first */
		static const float difference[2] = {-1, 1};
		int64_t dims[2] = {2, 1};

		logits = onnx_emit_two(out, "MatMul", logits,
							   onnx_store_weights(out, "difference", ONNX_ORDER_SAME, 2, dims, difference));
	}
	if (export->calibration == ONNX_CALIBRATION_PLATT)
	{
		logits = onnx_emit_two(out, "Mul", logits, onnx_store_number(out, export->calibration_a));
		logits = onnx_emit_two(out, "Add", logits, onnx_store_number(out, export->calibration_b));
	}
	else if (export->calibration == ONNX_CALIBRATION_TEMPERATURE)
		logits = onnx_emit_two(out, "Div", logits, onnx_store_number(out, export->calibration_a));
	if (export->calibration == ONNX_CALIBRATION_PLATT && units == 2)
	{
		inputs[1] = onnx_emit_one(out, "Sigmoid", logits);
		inputs[0] = onnx_emit_two(out, "Sub", onnx_store_number(out, 1), inputs[1]);
		onnx_emit(out, "Concat", "probabilities", inputs);
		onnx_give_int(out, onnx_last(out), "axis", 1);
		return;
	}
	inputs[0] = logits;
	onnx_emit(out, softmax ? "Softmax" : "Sigmoid", "probabilities", inputs);
	if (softmax)
		onnx_give_int(out, onnx_last(out), "axis", 1);
}

/* ------------------------------------------------------------------ the whole */

static void
set_head(OnnxOutput *out)
{
	Pneumo__Onnx__ModelProto *head = &out->head;
	Pneumo__Onnx__OperatorSetIdProto *set = onnx_alloc(&out->arena, sizeof(*set));
	size_t n = (size_t) out->export->n_properties;
	Pneumo__Onnx__StringStringEntryProto *entries = onnx_alloc_array(&out->arena, n, sizeof(*entries));
	size_t i;

	pneumo__onnx__model_proto__init(head);
	head->has_ir_version = 1;
	head->ir_version = ONNX_WRITTEN_IR;
	head->producer_name = "pneumo";
	head->producer_version = (char *) out->export->producer_version;
	head->opset_import = onnx_alloc(&out->arena, sizeof(*head->opset_import));
	head->metadata_props = onnx_alloc_array(&out->arena, n, sizeof(*head->metadata_props));
	if (out->arena.status != ONNX_OK)
		return;
	pneumo__onnx__operator_set_id_proto__init(set);
	set->domain = "";
	set->has_version = 1;
	set->version = ONNX_WRITTEN_OPSET;
	head->opset_import[0] = set;
	head->n_opset_import = 1;
	for (i = 0; i < n; i++)
	{
		pneumo__onnx__string_string_entry_proto__init(&entries[i]);
		entries[i].key = (char *) out->export->properties[i].key;
		entries[i].value = (char *) out->export->properties[i].value;
		head->metadata_props[i] = &entries[i];
	}
	head->n_metadata_props = n;
}

/* Makes room for all nodes and tensors. */
static OnnxStatus
make_room(OnnxOutput *out)
{
	int n = nn_graph_node_count(out->graph);
	OnnxNode *nodes;
	int i;

	out->max_nodes = (n + 4) * MAX_NODES_OF_ONE;
	for (i = 1; i < n; i++)
	{
		NnNodeInfo info;

		nn_graph_node(&info, out->graph, i);
		out->max_nodes += info.n_inputs;
	}
	out->max_stored = out->max_nodes;
	out->nodes = onnx_alloc_array(&out->arena, (size_t) out->max_nodes + 1, sizeof(OnnxNode *));
	nodes = onnx_alloc_array(&out->arena, (size_t) out->max_nodes + 1, sizeof(OnnxNode));
	out->stored = onnx_alloc_array(&out->arena, (size_t) out->max_stored, sizeof(OnnxStored));
	out->values = onnx_alloc_array(&out->arena, (size_t) n, sizeof(char *));
	if (out->arena.status != ONNX_OK)
		return onnx_no_memory(&out->arena, out->problems);
	for (i = 0; i <= out->max_nodes; i++)
	{
		out->nodes[i] = &nodes[i];
		pneumo__onnx__node_proto__init(out->nodes[i]);
	}
	return ONNX_OK;
}

OnnxStatus
onnx_plan_output(OnnxOutput **output, size_t *n_bytes, const NnGraph *graph, const float *weights,
				 const OnnxExport *export, const OnnxEnv *env, OnnxProblems *problems)
{
	int n = nn_graph_node_count(graph);
	OnnxArena arena;
	OnnxOutput *out;
	int64_t dims[4] = {-1, 0, 0, 0};
	NnNodeInfo info;
	Source s;
	int variable = 0;

	onnx_problems_init(problems);
	onnx_arena_init(&arena, env);
	out = onnx_alloc(&arena, sizeof(OnnxOutput));
	if (out == NULL)
		return onnx_no_memory(&arena, problems);
	*output = out;
	out->arena = arena;
	out->problems = problems;
	out->graph = graph;
	out->weights = weights;
	out->export = export;
	out->status = make_room(out);
	if (out->status != ONNX_OK)
		return out->status;
	set_head(out);
	nn_graph_node(&info, graph, 0);
	dims[1] = info.shape.c;
	dims[2] = info.shape.h;
	dims[3] = info.shape.w;
	out->input = onnx_describe(out, "image", 4, dims);
	out->values[0] = "image";
	if (export->rescale != 1)
		out->values[0] = onnx_emit_two(out, "Mul", "image", onnx_store_number(out, export->rescale));
	for (out->current = 1; out->current < n && out->status == ONNX_OK; out->current++)
	{
		set_source(&s, out, out->current, &variable);
		out->values[out->current] = emit_node(out, &s, out->current == n - 1);
	}
	out->current = n - 1;
	if (out->status == ONNX_OK)
		emit_end(out, out->values[n - 1]);
	dims[1] = nn_graph_output_units(graph);
	out->result = onnx_describe(out, "probabilities", 2, dims);
	if (out->status == ONNX_OK && out->arena.status != ONNX_OK)
		out->status = onnx_no_memory(&out->arena, problems);
	if (out->status == ONNX_OK)
		*n_bytes = onnx_measure(out);
	return out->status;
}

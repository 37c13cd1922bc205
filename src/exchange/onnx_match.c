/*-------------------------------------------------------------------------
 *
 * onnx_match.c
 *	  Activations that exporters write as several nodes: silu, hard_silu, gelu
 *	  and its approximation, mish, hard_sigmoid.
 *
 * Each is a product: of x, of something that is computed from x, and of
 * numbers.  So a product is taken apart into its factors, and these are
 * compared with the few forms that there are.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <math.h>
#include <string.h>

#define MAX_FACTORS 4
#define MAX_PARTS 16 /* nodes of a product */

/* A product: its factors, values of the file, and the product of its numbers. */
typedef struct Product
{
	int n;
	int factors[MAX_FACTORS];
	double number;
} Product;

/* Returns the node that gives a value if it is that operator, else NULL. */
static const OnnxNode *
node_of(const OnnxNetwork *net, int value, const char *operator)
{
	const OnnxNode *node;

	if (value < 0 || net->values[value].producer < 0)
		return NULL;
	node = net->file->nodes[net->values[value].producer];
	if (node->op_type == NULL || strcmp(node->op_type, operator) != 0 ||
		(node->domain != NULL && node->domain[0] != '\0'))
		return NULL;
	return node;
}

/* Tells whether a value is a constant of one number, and which. */
static int
is_number(const OnnxNetwork *net, int value, double *number)
{
	const OnnxValue *v;

	if (value < 0)
		return 0;
	v = &net->values[value];
	if (v->kind != ONNX_CONSTANT || v->constant.count != 1)
		return 0;
	*number = onnx_constant_number(&v->constant, 0);
	return 1;
}

static int
near(double a, double b)
{
	return fabs(a - b) <= 1e-3 * fabs(b);
}

/* Returns the other input of a node that has a number as one of its two, -1 if it has none. */
static int
with_number(const OnnxNetwork *net, const OnnxNode *node, double *number)
{
	if (node == NULL || node->n_input != 2)
		return -1;
	if (is_number(net, onnx_input(net, node, 1), number))
		return onnx_input(net, node, 0);
	if (is_number(net, onnx_input(net, node, 0), number) && strcmp(node->op_type, "Div") != 0)
		return onnx_input(net, node, 1);
	return -1;
}

/* Takes a product apart; 0 if it has too many factors. */
static int
factors_of(Product *product, const OnnxNetwork *net, int value)
{
	int open[MAX_PARTS];
	int n_open = 1;
	int looks = 0;
	double number;

	product->n = 0;
	product->number = 1;
	open[0] = value;
	while (n_open > 0)
	{
		int at = open[--n_open];
		const OnnxNode *node = node_of(net, at, "Mul");

		if (++looks > MAX_PARTS || at < 0)
			return 0;
		if (node == NULL)
			node = node_of(net, at, "Div");
		if (is_number(net, at, &number))
			product->number *= number;
		else if (node != NULL && with_number(net, node, &number) >= 0)
		{
			product->number = node->op_type[0] == 'D' ? product->number / number : product->number * number;
			open[n_open++] = with_number(net, node, &number);
		}
		else if (node != NULL && node->op_type[0] == 'M' && node->n_input == 2 && n_open + 2 <= MAX_PARTS)
		{
			open[n_open++] = onnx_input(net, node, 0);
			open[n_open++] = onnx_input(net, node, 1);
		}
		else if (product->n < MAX_FACTORS)
			product->factors[product->n++] = at;
		else
			return 0;
	}
	return 1;
}

/* Tells whether a value is clip(x + 3, 0, 6); *x is x. */
static int
is_clip_of_sum(const OnnxNetwork *net, int value, int *x)
{
	const OnnxNode *clip = node_of(net, value, "Clip");
	double low, high, number;

	if (clip == NULL)
		return 0;
	low = onnx_attribute_float(clip, "min", NAN);
	high = onnx_attribute_float(clip, "max", NAN);
	if (clip->n_input > 2 &&
		(!is_number(net, onnx_input(net, clip, 1), &low) || !is_number(net, onnx_input(net, clip, 2), &high)))
		return 0;
	*x = with_number(net, node_of(net, onnx_input(net, clip, 0), "Add"), &number);
	return *x >= 0 && number == 3 && low == 0 && high == 6;
}

/* Returns the input of the operator that gives a value plus 1, -1 if it is none of that. */
static int
one_plus(const OnnxNetwork *net, int value, const char *operator)
{
	double number;
	int sum = with_number(net, node_of(net, value, "Add"), &number);
	const OnnxNode *node = sum >= 0 && number == 1 ? node_of(net, sum, operator) : NULL;

	return node != NULL ? onnx_input(net, node, 0) : -1;
}

/* Tells whether a value is x times a number. */
static int
is_multiple(const OnnxNetwork *net, int value, int x, double number)
{
	Product product;

	return value >= 0 && factors_of(&product, net, value) && product.n == 1 && product.factors[0] == x &&
		   near(product.number, number);
}

/* Tells whether a value is sqrt(2 / pi) (x + 0.044715 x^3). */
static int
is_gelu_argument(const OnnxNetwork *net, int value, int x)
{
	const OnnxNode *sum;
	Product product, cube;
	double power;
	int i, other;

	if (value < 0 || !factors_of(&product, net, value) || product.n != 1 ||
		!near(product.number, 0.7978845608))
		return 0;
	sum = node_of(net, product.factors[0], "Add");
	if (sum == NULL || sum->n_input != 2)
		return 0;
	other = onnx_input(net, sum, onnx_input(net, sum, 0) == x ? 1 : 0);
	if (onnx_input(net, sum, 0) != x && onnx_input(net, sum, 1) != x)
		return 0;
	if (other < 0 || !factors_of(&cube, net, other) || !near(cube.number, 0.044715))
		return 0;
	if (cube.n == 1)
	{
		const OnnxNode *node = node_of(net, cube.factors[0], "Pow");

		return node != NULL && with_number(net, node, &power) == x && power == 3;
	}
	for (i = 0; i < cube.n; i++)
		if (cube.factors[i] != x)
			return 0;
	return cube.n == 3;
}

/* Returns the activation that x times a value times a number is, NULL if none. */
static const char *
product_with(const OnnxNetwork *net, int value, int x, double number)
{
	const OnnxNode *node = node_of(net, value, "Sigmoid");
	const OnnxNode *inner;
	int clipped;

	if (node != NULL && onnx_input(net, node, 0) == x && near(number, 1))
		return "silu";
	node = node_of(net, value, "HardSigmoid");
	if (node != NULL && onnx_input(net, node, 0) == x && near(number, 1) &&
		near(onnx_attribute_float(node, "alpha", 0.2), 1.0 / 6.0) &&
		near(onnx_attribute_float(node, "beta", 0.5), 0.5))
		return "hard_silu";
	node = node_of(net, value, "Tanh");
	inner = node != NULL ? node_of(net, onnx_input(net, node, 0), "Softplus") : NULL;
	if (inner != NULL && onnx_input(net, inner, 0) == x && near(number, 1))
		return "mish";
	if (is_clip_of_sum(net, value, &clipped) && clipped == x && near(number, 1.0 / 6.0))
		return "hard_silu";
	if (near(number, 0.5) && is_multiple(net, one_plus(net, value, "Erf"), x, 0.7071067812))
		return "gelu";
	if (near(number, 0.5) && is_gelu_argument(net, one_plus(net, value, "Tanh"), x))
		return "gelu_tanh";
	return NULL;
}

/* Compares the product that a node gives with the forms of activations. */
static void
match_node(OnnxNetwork *net, int i, int value)
{
	const char *found = NULL;
	Product product;
	int x = -1;

	if (!factors_of(&product, net, value))
		return;
	if (product.n == 1 && near(product.number, 1.0 / 6.0) && is_clip_of_sum(net, product.factors[0], &x))
		found = "hard_sigmoid";
	if (product.n == 2)
	{
		x = product.factors[0];
		found = product_with(net, product.factors[1], x, product.number);
		if (found == NULL)
		{
			x = product.factors[1];
			found = product_with(net, product.factors[0], x, product.number);
		}
	}
	if (found == NULL)
		return;
	net->matches[i].activation = nn_activation_find(found);
	net->matches[i].input = x;
}

void
onnx_match(OnnxNetwork *net)
{
	int i;

	for (i = 0; i < net->file->n_nodes; i++)
	{
		const OnnxNode *node = net->file->nodes[i];
		int value;

		if (node->op_type == NULL || node->n_output != 1 ||
			(strcmp(node->op_type, "Mul") != 0 && strcmp(node->op_type, "Div") != 0) ||
			(node->domain != NULL && node->domain[0] != '\0'))
			continue;
		value = onnx_value_find(net->file, node->output[0]);
		if (value >= 0)
			match_node(net, i, value);
	}
}

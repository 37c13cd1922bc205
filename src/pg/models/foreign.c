/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  Networks that other programs trained: the config of an import, what
 *	  prepares the images, the end of the network, and the version.
 *
 * The readers of the formats share this file, so that a key means the same for
 * all of them.  An image is what a version knows of preprocessing: pixels times
 * "rescale".  What a network expects beyond that, as means and deviations of
 * channels or blue in front of red, becomes nodes at its beginning.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/models/models.h"

#define MAX_CLASS_NAME 1024 /* bytes, as the reader of a version's metadata allows */

/* ---------------------------------------------------------------- config */

/* Keys with the meaning that they have in the config of a training. */
static const char *const shared_keys[] = {"image_size", "color_mode", "interpolation", "rescale",
										  "precision",  "deploy",     "comment",       NULL};

static const char *const all_keys[] = {"image_size", "color_mode", "interpolation", "rescale",
									   "precision",  "deploy",     "comment",       "layers",
									   "classes",    "threshold",  "from_logits",   "preprocessing",
									   "mean",       "std",        "multi_label",   NULL};

/* What keras.applications do to pixels from 0 to 255, by their names for it. */
typedef enum PixelMode
{
	MODE_TF,    /* to -1..1 */
	MODE_TORCH, /* to 0..1, then by ImageNet's means and deviations */
	MODE_CAFFE  /* blue first, less ImageNet's means */
} PixelMode;

static const char *const modes[] = {"tf", "torch", "caffe", NULL};

/* Returns the config of a training that has the shared keys, unless they are null, and the layers. */
static PneumoConfig *
parse_shared(Jsonb *given, Jsonb *layers)
{
	PneumoJson json;
	JsonbValue *value;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; shared_keys[i] != NULL; i++)
	{
		value = pneumo_json_get(&given->root, shared_keys[i]);
		if (!pneumo_json_is_null(value))
			pneumo_json_add_jsonb(&json, shared_keys[i], JsonbValueToJsonb(value));
	}
	value = pneumo_json_get(&given->root, "layers");
	if (layers != NULL)
		pneumo_json_add_jsonb(&json, "layers", layers);
	else if (pneumo_json_is_null(value))
		pneumo_json_add_jsonb(&json, "layers", pneumo_json_parse("[]"));
	else if (value->type == jbvString)
		pneumo_json_add_string(&json, "layers", pneumo_json_cstring(value));
	else
		pneumo_json_add_jsonb(&json, "layers", JsonbValueToJsonb(value));
	return pneumo_config_parse(pneumo_json_end(&json));
}

static void
read_classes(PneumoForeign *foreign, JsonbValue *value)
{
	const char *allowed = foreign->multi_label ? "a list of 1 to 64 different names of findings"
											   : "a list of 2 to 64 different names";
	JsonbContainer *array = pneumo_json_array(value);
	int n = array == NULL ? 0 : pneumo_json_array_length(array);
	int i;
	int k;

	if (n < (foreign->multi_label ? 1 : 2) || n > NN_MAX_CLASSES)
		pneumo_json_bad("config key \"classes\"", value, allowed);
	foreign->n_classes = n;
	foreign->classes = palloc(sizeof(char *) * n);
	for (i = 0; i < n; i++)
	{
		char *name = pneumo_json_read_string(psprintf("config key \"classes\": element %d", i + 1),
											 getIthJsonbValueFromContainer(array, i));

		if (name[0] == '\0' || strlen(pneumo_utf8(name)) > MAX_CLASS_NAME)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"classes\": a name must have 1 to %d bytes", MAX_CLASS_NAME)));
		for (k = 0; k < i; k++)
			if (strcmp(name, foreign->classes[k]) == 0)
				pneumo_json_bad("config key \"classes\"", value, allowed);
		foreign->classes[i] = name;
	}
}

/* Reads a number or a list of three, one a channel; returns how many there are, 0 for null. */
static int
read_channels(double *numbers, const char *key, JsonbValue *value, double low)
{
	char *what = psprintf("config key \"%s\"", key);
	JsonbContainer *array = pneumo_json_array(value);
	int i;

	if (pneumo_json_is_null(value))
		return 0;
	if (array == NULL)
	{
		numbers[0] = pneumo_json_read_number(what, value, low, 1e6);
		return 1;
	}
	if (pneumo_json_array_length(array) != 3)
		pneumo_json_bad(what, value, "a number or a list of three, one a channel");
	for (i = 0; i < 3; i++)
		numbers[i] = pneumo_json_read_number(what, getIthJsonbValueFromContainer(array, i), low, 1e6);
	return 3;
}

static void
set_channels(double *numbers, int *n, double first, double second, double third)
{
	numbers[0] = first;
	numbers[1] = second;
	numbers[2] = third;
	*n = 3;
}

/* Sets rescale, mean, std and bgr to what a mode of keras.applications means. */
static void
apply_mode(PneumoForeign *foreign, PixelMode mode)
{
	static const char *const others[] = {"rescale", "mean", "std"};
	int i;

	for (i = 0; i < lengthof(others); i++)
		if (!pneumo_json_is_null(pneumo_json_get(&foreign->given->root, others[i])))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config keys \"preprocessing\" and \"%s\" cannot both be given", others[i])));
	switch (mode)
	{
		case MODE_TF:
			foreign->config->rescale = 1;
			foreign->mean[0] = foreign->std[0] = 127.5;
			foreign->n_mean = foreign->n_std = 1;
			break;
		case MODE_TORCH:
			set_channels(foreign->mean, &foreign->n_mean, 0.485, 0.456, 0.406);
			set_channels(foreign->std, &foreign->n_std, 0.229, 0.224, 0.225);
			break;
		case MODE_CAFFE:
			foreign->config->rescale = 1;
			set_channels(foreign->mean, &foreign->n_mean, 103.939, 116.779, 123.68);
			foreign->bgr = true;
			break;
	}
}

PneumoForeign *
pneumo_foreign_parse(Jsonb *given, Jsonb *layers)
{
	PneumoForeign *foreign = palloc0(sizeof(PneumoForeign));
	JsonbContainer *root = &given->root;
	JsonbValue *value;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the config must be a JSON object, not %s",
							   JB_ROOT_IS_SCALAR(given) ? "a single value" : "a list")));
	pneumo_json_check_keys(root, "", all_keys);
	foreign->given = given;
	foreign->has_layers = !pneumo_json_is_null(pneumo_json_get(root, "layers"));
	foreign->config = parse_shared(given, layers);
	foreign->threshold = PNEUMO_DEFAULT_THRESHOLD;

	value = pneumo_json_get(root, "multi_label");
	if (!pneumo_json_is_null(value))
		foreign->multi_label = pneumo_json_read_bool("config key \"multi_label\"", value);
	value = pneumo_json_get(root, "threshold");
	foreign->thresholds = value != NULL ? pneumo_json_object(value) : NULL;
	if (!pneumo_json_is_null(value) && foreign->thresholds == NULL)
		foreign->threshold = pneumo_json_read_number("config key \"threshold\"", value, 0, 1);
	value = pneumo_json_get(root, "from_logits");
	if (!pneumo_json_is_null(value))
		foreign->from_logits = pneumo_json_read_bool("config key \"from_logits\"", value);
	value = pneumo_json_get(root, "classes");
	if (!pneumo_json_is_null(value))
		read_classes(foreign, value);
	foreign->n_mean = read_channels(foreign->mean, "mean", pneumo_json_get(root, "mean"), -1e6);
	foreign->n_std = read_channels(foreign->std, "std", pneumo_json_get(root, "std"), 1e-6);
	value = pneumo_json_get(root, "preprocessing");
	if (!pneumo_json_is_null(value))
		apply_mode(foreign, (PixelMode) pneumo_json_read_enum("config key \"preprocessing\"", value, modes));
	if (foreign->n_mean > 0 || foreign->n_std > 0)
		foreign->config->rescale_given = true; /* a Rescaling in the network is its own affair */
	return foreign;
}

/* ----------------------------------------------------- ends of the network */

/* Adds a node with one input; returns its number. */
static int
add_node(NnGraph *graph, NnNodeSpec *spec, const char *name, int input)
{
	NnError error;
	int node;

	memset(&error, 0, sizeof(error));
	strlcpy(spec->name, name, NN_NAME_LEN);
	spec->n_inputs = 1;
	spec->inputs[0] = input;
	if (nn_graph_add(graph, spec, &node, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	return node;
}

int
pneumo_foreign_input(PneumoForeign *foreign, NnGraph *graph)
{
	int channels = foreign->config->preprocess.channels;
	NnNodeSpec spec;
	int node = 0;
	int n;
	int i;

	if (channels == 1 && (foreign->n_mean == 3 || foreign->n_std == 3))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"%s\" is for images of three channels, the network takes one",
							   pneumo_json_is_null(pneumo_json_get(&foreign->given->root, "preprocessing"))
								   ? (foreign->n_mean == 3 ? "mean" : "std")
								   : "preprocessing"),
						errhint("Give \"mean\" and \"std\" as numbers.")));
	if (foreign->bgr)
	{
		nn_node_spec_init(&spec, nn_op_find("Conv2D"));
		nn_node_param(&spec, "filters")->v[0] = 3;
		nn_node_param(&spec, "kernel_size")->v[0] = nn_node_param(&spec, "kernel_size")->v[1] = 1;
		nn_node_param(&spec, "use_bias")->v[0] = 0;
		nn_node_param(&spec, "trainable")->v[0] = 0;
		node = foreign->swap_node = add_node(graph, &spec, "input/channels", node);
	}
	n = Max(foreign->n_mean, foreign->n_std);
	if (n > 0)
	{
		NnValue *scale;
		NnValue *offset;

		nn_node_spec_init(&spec, nn_op_find("Rescaling"));
		scale = nn_node_param(&spec, "scale");
		offset = nn_node_param(&spec, "offset");
		for (i = 0; i < n; i++)
		{
			double std = foreign->n_std == 0 ? 1 : foreign->std[foreign->n_std == 3 ? i : 0];
			double mean = foreign->n_mean == 0 ? 0 : foreign->mean[foreign->n_mean == 3 ? i : 0];

			scale->v[i] = 1 / std;
			offset->v[i] = -mean / std;
		}
		scale->v[3] = offset->v[3] = n == 1 ? 0 : n;
		node = add_node(graph, &spec, "input/normalization", node);
	}
	return node;
}

/* Returns whether a node ends in sigmoid or softmax. */
static bool
gives_probabilities(const NnGraph *graph, int node)
{
	NnNodeInfo info;
	int i;

	nn_graph_node(&info, graph, node);
	if (strcmp(nn_op_info(info.op)->class_name, "Softmax") == 0)
		return true;
	i = nn_op_param_find(info.op, "activation");
	if (i < 0)
		return false;
	return strcmp(nn_activation_names[(int) info.params[i].v[0]], "sigmoid") == 0 ||
		   strcmp(nn_activation_names[(int) info.params[i].v[0]], "softmax") == 0;
}

void
pneumo_foreign_finish(PneumoForeign *foreign, NnGraph *graph, int output)
{
	NnNodeInfo info;
	NnNodeSpec spec;
	NnError error;

	memset(&error, 0, sizeof(error));
	nn_graph_node(&info, graph, output);
	if (foreign->from_logits)
	{
		if (gives_probabilities(graph, output))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config key \"from_logits\" is true, the network ends in probabilities")));
		nn_node_spec_init(&spec, nn_op_find("Activation"));
		nn_node_param(&spec, "activation")->v[0] =
			nn_activation_find(info.shape.c == 1 || foreign->multi_label ? "sigmoid" : "softmax");
		output = add_node(graph, &spec, "output/probabilities", output);
	}
	if (nn_graph_finish(graph, output, &error) == NN_OK)
		return;
	if (error.status == NN_UNSUPPORTED && info.shape.rank == 1 && !gives_probabilities(graph, output))
		strlcpy(error.hint,
				"If the network gives logits, set config key \"from_logits\" to true: sigmoid, or softmax "
				"of several units, is appended.",
				sizeof(error.hint));
	pneumo_nn_ereport(&error);
}

/* ---------------------------------------------------------------- weights */

NnVariable *
pneumo_graph_variables(const NnGraph *graph, int *n)
{
	NnVariable *variables;
	int i;

	*n = nn_graph_variable_count(graph);
	variables = palloc(sizeof(NnVariable) * Max(1, *n));
	for (i = 0; i < *n; i++)
		nn_graph_variable(&variables[i], graph, i);
	return variables;
}

float *
pneumo_foreign_weights(const PneumoForeign *foreign, const NnGraph *graph)
{
	size_t n_bytes = nn_graph_weight_count(graph) * sizeof(float);
	float *weights = pneumo_align(pneumo_scratch(n_bytes));
	NnVariable *variables;
	int n;
	int i;
	int k;

	memset(weights, 0, n_bytes);
	if (foreign->swap_node == 0)
		return weights;
	/* it is among the first nodes, and used: nn_graph_finish() leaves its number */
	variables = pneumo_graph_variables(graph, &n);
	for (i = 0; i < n; i++)
		if (variables[i].node == foreign->swap_node)
			for (k = 0; k < 3; k++)
				weights[variables[i].offset + k * 3 + (2 - k)] = 1;
	pfree(variables);
	return weights;
}

/* ---------------------------------------------------------------- version */

void
pneumo_foreign_add_classes(PneumoJson *json, const PneumoModelMeta *meta)
{
	int i;

	pneumo_json_open_array(json, "classes");
	for (i = 0; i < meta->n_classes; i++)
		pneumo_json_add_string(json, NULL, meta->classes[i]);
	pneumo_json_close(json);
}

void
pneumo_foreign_add_threshold(PneumoJson *json, const PneumoModelMeta *meta, int digits)
{
	int i;

	if (!meta->multi_label)
	{
		pneumo_json_add_number(json, "threshold", meta->threshold, digits);
		return;
	}
	pneumo_json_open_object(json, "threshold");
	for (i = 0; i < meta->n_classes; i++)
		pneumo_json_add_number(json, meta->classes[i], meta->findings[i].threshold, digits);
	pneumo_json_close(json);
}

/* Gives each finding its threshold: its own of the config's key, or the one for all. */
static void
set_thresholds(PneumoModelMeta *meta, const PneumoForeign *foreign)
{
	const char *names[NN_MAX_CLASSES + 1];
	int i;

	for (i = 0; i < meta->n_classes; i++)
		names[i] = meta->classes[i];
	names[i] = NULL;
	meta->findings = palloc0(sizeof(PneumoFinding) * meta->n_classes);
	if (foreign->thresholds != NULL)
		pneumo_json_check_keys(foreign->thresholds, "threshold.", names);
	for (i = 0; i < meta->n_classes; i++)
	{
		JsonbValue *value =
			foreign->thresholds != NULL ? pneumo_json_get(foreign->thresholds, names[i]) : NULL;

		meta->findings[i].a = 1;
		meta->findings[i].threshold =
			pneumo_json_is_null(value)
				? foreign->threshold
				: pneumo_json_read_number(psprintf("config key \"threshold.%s\"", names[i]), value, 0, 1);
	}
}

static PneumoModelMeta *
make_meta(const PneumoForeign *foreign, const NnGraph *graph)
{
	PneumoModelMeta *meta = palloc0(sizeof(PneumoModelMeta));
	char number[DOUBLE_SHORTEST_DECIMAL_LEN];
	int i;

	meta->preprocess = foreign->config->preprocess;
	meta->rescale = (float) foreign->config->rescale;
	meta->multi_label = nn_graph_is_multi_label(graph) || foreign->multi_label;
	meta->n_classes = meta->multi_label ? nn_graph_output_units(graph) : nn_graph_class_count(graph);
	if (meta->multi_label && meta->n_classes > 1 && !nn_graph_is_multi_label(graph))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"multi_label\" is true, the network ends with a softmax"),
						errhint("Findings have a sigmoid each; a softmax tells classes apart.")));
	if (!meta->multi_label && foreign->thresholds != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"threshold\" is an object, the network tells no findings"),
						errhint("Give a number.")));
	if (foreign->n_classes > 0 && foreign->n_classes != meta->n_classes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"classes\" has %d names, the network tells %d classes apart",
							   foreign->n_classes, meta->n_classes),
						meta->n_classes == 2 && nn_graph_output_units(graph) == 1
							? errhint("Of two classes, the second is the one that the network's output is "
									  "the probability of.")
							: 0));
	if (foreign->n_classes > 0)
		meta->classes = foreign->classes;
	else
	{
		meta->classes = palloc(sizeof(char *) * meta->n_classes);
		for (i = 0; i < meta->n_classes; i++)
			meta->classes[i] = psprintf("%d", i);
	}
	meta->precision = foreign->config->train.precision;
	meta->calibration = PNEUMO_CALIBRATION_NONE;
	meta->calibration_a = 1;
	meta->threshold = foreign->threshold;
	if (meta->multi_label)
		set_thresholds(meta, foreign);
	double_to_shortest_decimal_buf(foreign->threshold, number);
	meta->operating_point = psprintf("{\"threshold\": %s}", number);
	return meta;
}

static Jsonb *
provenance(const PneumoForeign *foreign, const PneumoForeignFile *file)
{
	uint8 digest[PNEUMO_SHA256_LEN];
	PneumoJson json;

	pneumo_sha256(digest, file->bytes, file->n_bytes);
	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "format", file->format);
	if (file->producer != NULL)
		pneumo_json_add_string(&json, "producer", file->producer);
	pneumo_json_add_string(&json, "file_sha256", pneumo_sha256_hex(digest));
	pneumo_json_add_int(&json, "file_bytes", (int64) file->n_bytes);
	pneumo_json_add_string(&json, "build", pneumo_build_text());
	pneumo_json_add_jsonb(&json, "config", foreign->given);
	return pneumo_json_end(&json);
}

int32
pneumo_foreign_store(const PneumoForeign *foreign, const char *name, const NnGraph *graph,
					 const float *weights, const PneumoForeignFile *file)
{
	PneumoModelMeta *meta = make_meta(foreign, graph);
	NnSection sections[PNEUMO_META_SECTIONS];
	PneumoNewVersion new_version;
	NnError error;
	size_t n_bytes;
	char *bytes;
	int n;

	memset(&error, 0, sizeof(error));
	n = pneumo_meta_to_sections(sections, meta);
	n_bytes = nn_model_bytes(graph, sections, n);
	if (n_bytes == 0)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large")));
	bytes = pneumo_align(pneumo_scratch(n_bytes));
	if (nn_model_write(bytes, n_bytes, graph, weights, sections, n, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	memset(&new_version, 0, sizeof(new_version));
	new_version.n_parameters = pneumo_model_check(bytes, n_bytes, &meta);
	new_version.model = name;
	new_version.owner = GetUserId();
	new_version.bytes = bytes;
	new_version.n_bytes = n_bytes;
	new_version.meta = meta;
	new_version.provenance = provenance(foreign, file);
	new_version.comment = foreign->config->comment;
	new_version.deploy = foreign->config->deploy == PNEUMO_DEPLOY_YES;
	new_version.never_deploy = foreign->config->deploy == PNEUMO_DEPLOY_NO;
	return pneumo_version_store(&new_version).number;
}

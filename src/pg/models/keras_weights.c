/*-------------------------------------------------------------------------
 *
 * keras_weights.c
 *	  The weights of a Keras file to those of a graph.
 *
 * Keras 2.12 and later, and Keras 3, name a layer's group by its class and a
 * number, "layers/conv2d_1/vars/0", and so on within networks,
 * "layers/sequential/layers/dense/vars/0"; the names of layers do not matter.
 * Older files, and those that end in .h5 alone, have a group for each layer of
 * the outer network by its name, whose attribute weight_names lists its
 * datasets: first those that are trained, then the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "exchange/hdf5.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/models/models.h"

#define MAX_LINES 40 /* of what does not fit */

#define LEGACY_NAMES "weight_names"

#define MAX_TEXT ((size_t) 16 << 20) /* bytes of an attribute of the file */

/* ------------------------------------------------------------------ errors */

static void hdf5_ereport(const Hdf5Error *error) pg_attribute_noreturn();

static void
hdf5_ereport(const Hdf5Error *error)
{
	int code = ERRCODE_DATA_CORRUPTED;

	if (error->status == HDF5_UNSUPPORTED)
		code = ERRCODE_FEATURE_NOT_SUPPORTED;
	else if (error->status == HDF5_TOO_LARGE)
		code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	else if (error->status == HDF5_INTERRUPTED)
		code = ERRCODE_QUERY_CANCELED;
	ereport(ERROR, (errcode(code), errmsg("%s", error->message)));
	pg_unreachable();
}

/* Returns a path for a message: the file's bytes need not be text. */
static char *
path_text(const char *path)
{
	char *text = pstrdup(path);
	char *c;

	for (c = text; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c) || (unsigned char) *c < ' ')
			*c = '?';
	return text;
}

/* ---------------------------------------------------------------- datasets */

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(((const Hdf5Dataset *) a)->path, ((const Hdf5Dataset *) b)->path);
}

/* Lists the datasets, once to count them and once to keep them. */
static void
list_datasets(PneumoKerasWeights *weights)
{
	PneumoAttempts attempts;
	Hdf5Error error;
	Hdf5Status status;
	int room = 0;

	pneumo_attempts_begin(&attempts);
	for (;;)
	{
		weights->file.stop = attempts.stop;
		status = hdf5_list(&weights->file, weights->datasets, room, &weights->n, &error);
		if (status == HDF5_INTERRUPTED && pneumo_attempts_next(&attempts))
			continue;
		if (status != HDF5_OK)
			hdf5_ereport(&error);
		if (weights->n <= room)
			break;
		room = weights->n;
		weights->datasets = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Hdf5Dataset) * room);
	}
	weights->file.stop = NULL;
	if (weights->n > 0)
		qsort(weights->datasets, weights->n, sizeof(Hdf5Dataset), compare_paths);
	weights->used = palloc0(sizeof(bool) * Max(1, weights->n));
}

/* Returns the number of a dataset, -1: there is none of that path. */
static int
find_dataset(const PneumoKerasWeights *weights, const char *path)
{
	int low = 0;
	int high = weights->n;

	while (low < high)
	{
		int middle = (low + high) / 2;
		int order = strcmp(weights->datasets[middle].path, path);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* Reads a dataset's numbers. */
static void
read_dataset(PneumoKerasWeights *weights, float *dst, int number)
{
	const Hdf5Dataset *dataset = &weights->datasets[number];
	PneumoAttempts attempts;
	Hdf5Error error;
	Hdf5Status status;
	size_t n_bytes = hdf5_scratch_bytes(dataset);
	void *scratch = n_bytes > 0 ? pneumo_scratch(n_bytes) : NULL;

	pneumo_attempts_begin(&attempts);
	do
	{
		weights->file.stop = attempts.stop;
		status = hdf5_read_floats(&weights->file, dst, dataset,
								  scratch == NULL ? NULL : pneumo_align(scratch), &error);
	} while (status == HDF5_INTERRUPTED && pneumo_attempts_next(&attempts));
	weights->file.stop = NULL;
	if (scratch != NULL)
		pfree(scratch);
	if (status != HDF5_OK)
	{
		char *text = psprintf("dataset \"%s\" of the file: %s", path_text(dataset->path), error.message);

		strlcpy(error.message, text, sizeof(error.message));
		hdf5_ereport(&error);
	}
}

/* -------------------------------------------------------------- attributes */

/* Finds an attribute of a group; false if the group or the attribute is not there. */
static bool
get_attribute(PneumoKerasWeights *weights, Hdf5Attribute *attribute, const char *group, const char *name)
{
	Hdf5Error error;
	uint64_t object;

	CHECK_FOR_INTERRUPTS(); /* each of these takes milliseconds at most */
	if (hdf5_find(&weights->file, group, &object, &error) != HDF5_OK)
		hdf5_ereport(&error);
	if (object == 0)
		return false;
	if (hdf5_attribute(&weights->file, attribute, object, name, &error) != HDF5_OK)
		hdf5_ereport(&error);
	return attribute->exists;
}

/* Returns string i of an attribute, as the bytes are, of at most limit bytes; palloc'd. */
static char *
get_string(PneumoKerasWeights *weights, const Hdf5Attribute *attribute, uint64_t i, size_t limit)
{
	Hdf5Error error;
	const char *text;
	size_t length;

	CHECK_FOR_INTERRUPTS();
	if (hdf5_string(&weights->file, &text, &length, attribute, i, &error) != HDF5_OK)
		hdf5_ereport(&error);
	if (length > limit)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a text of the file has %zu bytes, at most %zu are read", length, limit)));
	return pnstrdup(text, length);
}

char *
pneumo_keras_attribute(PneumoKerasWeights *weights, const char *name)
{
	Hdf5Attribute attribute;
	char *text;

	if (!get_attribute(weights, &attribute, "", name) || attribute.count == 0)
		return NULL;
	text = get_string(weights, &attribute, 0, MAX_TEXT);
	return pg_any_to_server(text, (int) strlen(text), PG_UTF8);
}

PneumoKerasWeights *
pneumo_keras_weights_open(const void *bytes, size_t n_bytes)
{
	PneumoKerasWeights *weights = palloc0(sizeof(PneumoKerasWeights));
	Hdf5Attribute attribute;
	Hdf5Error error;

	if (hdf5_open(&weights->file, bytes, n_bytes, NULL, &error) != HDF5_OK)
		hdf5_ereport(&error);
	list_datasets(weights);
	weights->legacy = true;
	if (get_attribute(weights, &attribute, "model_weights", "layer_names") ||
		get_attribute(weights, &attribute, "model_weights", "layer_names0"))
		weights->root = "model_weights";
	else if (get_attribute(weights, &attribute, "", "layer_names") ||
			 get_attribute(weights, &attribute, "", "layer_names0"))
		weights->root = "";
	else
	{
		uint64_t object;

		/* the second is of Keras 2.12 */
		weights->legacy = false;
		if (hdf5_find(&weights->file, "_layer_checkpoint_dependencies", &object, &error) != HDF5_OK)
			hdf5_ereport(&error);
		weights->root = object == 0 ? "layers" : "_layer_checkpoint_dependencies";
	}
	return weights;
}

/* ------------------------------------------------------- groups of layers */

static char *
joined(const char *path, const char *name)
{
	return path[0] == '\0' ? pstrdup(name) : psprintf("%s/%s", path, name);
}

/* Returns how many layers of the same network and class come before one. */
static int
count_before(const PneumoLayersHooks *hooks, int i)
{
	const PneumoKerasLayer *layer = &hooks->layers[i];
	int n = 0;
	int k;

	for (k = 0; k < i; k++)
		n += hooks->layers[k].scope == layer->scope && !hooks->layers[k].is_operator &&
			 strcmp(hooks->layers[k].class_name, layer->class_name) == 0;
	return n;
}

/* Finds the path of each layer's group, with the layers that the hooks have. */
static void
find_groups(PneumoKerasWeights *weights, const PneumoLayersHooks *hooks)
{
	const char *roots[NN_MAX_NODES + 1] = {NULL}; /* by number of a network */
	int i;

	if (weights->paths != NULL)
		return;
	weights->paths = palloc0(sizeof(char *) * Max(1, hooks->n_layers));
	roots[0] = weights->root;
	for (i = 0; i < hooks->n_layers; i++)
	{
		const PneumoKerasLayer *layer = &hooks->layers[i];
		const char *root = roots[layer->scope];

		CHECK_FOR_INTERRUPTS();
		if (layer->is_operator || root == NULL)
			continue;
		if (weights->legacy)
		{
			/* a network inside has one group for all its layers */
			weights->paths[i] =
				layer->scope == 0 ? joined(root, pneumo_utf8(layer->local_name)) : pstrdup(root);
			if (layer->inner >= 0)
				roots[layer->inner] = weights->paths[i];
		}
		else
		{
			char *name = pneumo_keras_snake_case(layer->class_name);
			int n = count_before(hooks, i);

			weights->paths[i] = joined(root, n == 0 ? name : psprintf("%s_%d", name, n));
			if (layer->inner >= 0)
				roots[layer->inner] = joined(weights->paths[i], weights->root);
		}
	}
}

/* Returns the paths of the datasets that a group lists, palloc'd, their number in *n. */
static char **
listed_paths(PneumoKerasWeights *weights, const char *group, int *n)
{
	char **paths = NULL;
	int part;

	*n = 0;
	for (part = -1; part < HDF5_MAX_DATASETS; part++)
	{
		const char *name = part < 0 ? LEGACY_NAMES : psprintf(LEGACY_NAMES "%d", part);
		Hdf5Attribute attribute;
		uint64_t i;

		if (!get_attribute(weights, &attribute, group, name))
		{
			if (part < 0)
				continue; /* a long list is in parts */
			break;
		}
		if (attribute.count > 0 && attribute.type.type_class != HDF5_STRING &&
			attribute.type.type_class != HDF5_VARIABLE_STRING)
			break; /* Keras writes an empty list of numbers where there are none */
		if (attribute.count > HDF5_MAX_DATASETS - (uint64_t) *n)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the file lists too many weights")));
		paths = paths == NULL ? palloc(sizeof(char *) * Max(1, attribute.count))
							  : repalloc(paths, sizeof(char *) * (*n + attribute.count));
		for (i = 0; i < attribute.count; i++)
			paths[(*n)++] = joined(group, get_string(weights, &attribute, i, HDF5_PATH_LEN));
		if (part < 0)
			break;
	}
	return paths;
}

/* ------------------------------------------------------------ Normalization */

static bool
is_normalization(const PneumoKerasLayer *layer)
{
	return strcmp(layer->class_name, "Normalization") == 0;
}

/* Finds a dataset of a group that is listed as ".../LAYER/NAME", or that with ":0"; -1: none. */
static int
find_listed(PneumoKerasWeights *weights, const char *group, const char *layer, const char *name)
{
	int n;
	char **paths = listed_paths(weights, group, &n);
	char *end = psprintf("/%s/%s", layer, name);
	int i;

	for (i = 0; i < n; i++)
	{
		char *colon = strrchr(paths[i], ':');
		size_t length = colon != NULL ? (size_t) (colon - paths[i]) : strlen(paths[i]);

		if (length >= strlen(end) && memcmp(paths[i] + length - strlen(end), end, strlen(end)) == 0)
			return find_dataset(weights, paths[i]);
	}
	return -1;
}

/* Reads up to 3 numbers of a dataset; returns how many it has, 4 for more than 3. */
static int
read_few(PneumoKerasWeights *weights, double *numbers, int number)
{
	uint64_t count = weights->datasets[number].count;
	float values[3];
	uint64_t i;

	if (count > 3)
		return 4;
	read_dataset(weights, values, number);
	for (i = 0; i < count; i++)
		numbers[i] = values[i];
	return (int) count;
}

int
pneumo_keras_normalization(double *mean, double *variance, PneumoKerasWeights *weights,
						   const PneumoLayersHooks *hooks, const PneumoKerasLayer *layer)
{
	MemoryContext cxt;
	MemoryContext old;
	const char *group;
	int mean_number;
	int variance_number;
	int n;

	find_groups(weights, hooks);
	group = weights->paths[layer - hooks->layers];
	if (group == NULL)
		return 0;
	if (weights->legacy)
	{
		cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo keras names", ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(cxt);
		mean_number = find_listed(weights, group, pneumo_utf8(layer->local_name), "mean");
		variance_number = find_listed(weights, group, pneumo_utf8(layer->local_name), "variance");
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
	}
	else
	{
		mean_number = find_dataset(weights, psprintf("%s/vars/0", group));
		variance_number = find_dataset(weights, psprintf("%s/vars/1", group));
	}
	if (mean_number < 0 || variance_number < 0)
		return 0;
	n = read_few(weights, mean, mean_number);
	if (n != read_few(weights, variance, variance_number))
		return 4;
	return n;
}

/* ---------------------------------------------------------------- matching */

/* What does not fit, a line for each thing. */
typedef struct Misfits
{
	int n;
	StringInfoData lines;
} Misfits;

static void misfit(Misfits *misfits, const char *format, ...) pg_attribute_printf(2, 3);

static void
misfit(Misfits *misfits, const char *format, ...)
{
	va_list args;
	char line[1024];

	if (++misfits->n > MAX_LINES)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	appendStringInfo(&misfits->lines, "%s%s", misfits->n > 1 ? "\n" : "", line);
}

static char *
shape_text(int rank, const uint64_t *dims)
{
	StringInfoData buf;
	int i;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '(');
	for (i = 0; i < rank; i++)
		appendStringInfo(&buf, "%s%llu", i > 0 ? ", " : "", (unsigned long long) dims[i]);
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

static char *
variable_text(const NnVariable *variable)
{
	uint64_t dims[4];
	const char *name = strrchr(variable->name, '/');
	int i;

	for (i = 0; i < variable->rank; i++)
		dims[i] = variable->dims[i];
	return psprintf("%s %s", name != NULL ? name + 1 : variable->name, shape_text(variable->rank, dims));
}

/* Returns whether shapes are the same but for dimensions of 1: a Dense after a map is a convolution here. */
static bool
same_shape(const Hdf5Dataset *dataset, const NnVariable *variable)
{
	int i = 0;
	int k = 0;

	for (;;)
	{
		while (i < dataset->rank && dataset->dims[i] == 1)
			i++;
		while (k < variable->rank && variable->dims[k] == 1)
			k++;
		if (i == dataset->rank || k == variable->rank)
			return i == dataset->rank && k == variable->rank;
		if (dataset->dims[i++] != (uint64_t) variable->dims[k++])
			return false;
	}
}

/* A variable that a file has to have; variable NULL: its dataset is passed over. */
typedef struct Wanted
{
	const PneumoKerasLayer *layer;
	const NnVariable *variable;
} Wanted;

/* The variables of a graph, and by layer which of them are the layer's. */
typedef struct Variables
{
	NnVariable *variables;
	int n;
	const char **nodes; /* by variable: the name of its node */
} Variables;

static void
collect_variables(Variables *all, const NnGraph *graph)
{
	int i;

	all->variables = pneumo_graph_variables(graph, &all->n);
	all->nodes = palloc(sizeof(char *) * Max(1, all->n));
	for (i = 0; i < all->n; i++)
	{
		NnNodeInfo info;

		nn_graph_node(&info, graph, all->variables[i].node);
		all->nodes[i] = info.name;
	}
}

static bool
has_node(const NnGraph *graph, const char *name)
{
	int i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo info;

		nn_graph_node(&info, graph, i);
		if (strcmp(info.name, name) == 0)
			return true;
	}
	return false;
}

/* Appends the variables of a layer, in Keras's order; returns how many there are. */
static int
layer_variables(Wanted *wanted, const Variables *all, const PneumoKerasLayer *layer)
{
	int n = 0;
	int part;
	int i;

	for (part = 0; part < layer->n_parts; part++)
		for (i = 0; i < all->n; i++)
			if (strcmp(all->nodes[i], layer->parts[part]) == 0)
			{
				wanted[n].layer = layer;
				wanted[n++].variable = &all->variables[i];
			}
	return n;
}

/* Gives a variable the numbers of a dataset; number -1: the file lacks it, path says where it should be. */
static void
assign(float *dst, PneumoKerasWeights *weights, const Wanted *wanted, int number, const char *path,
	   Misfits *misfits)
{
	const Hdf5Dataset *dataset = number < 0 ? NULL : &weights->datasets[number];

	if (dataset != NULL)
		weights->used[number] = true;
	if (wanted->variable == NULL)
		return;
	if (dataset == NULL)
		misfit(misfits, "missing: %s, %s of layer \"%s\"", path_text(path), variable_text(wanted->variable),
			   wanted->layer->name);
	else if (!same_shape(dataset, wanted->variable))
		misfit(misfits, "other shape: %s is %s, layer \"%s\" has %s", path_text(path),
			   shape_text(dataset->rank, dataset->dims), wanted->layer->name,
			   variable_text(wanted->variable));
	else if (misfits->n == 0)
		read_dataset(weights, dst + wanted->variable->offset, number);
}

/* Marks all datasets below a group as some layer's. */
static void
use_all(PneumoKerasWeights *weights, const char *group)
{
	size_t length = strlen(group);
	int i;

	for (i = 0; i < weights->n; i++)
		if (strncmp(weights->datasets[i].path, group, length) == 0 &&
			weights->datasets[i].path[length] == '/')
			weights->used[i] = true;
}

/* Reads the weights of a file that names groups by class and number. */
static void
read_numbered(float *dst, PneumoKerasWeights *weights, const PneumoLayersHooks *hooks, const NnGraph *graph,
			  const Variables *all, Misfits *misfits)
{
	Wanted wanted[3 * 8];
	int i;
	int k;

	for (i = 0; i < hooks->n_layers; i++)
	{
		const PneumoKerasLayer *layer = &hooks->layers[i];
		int n;

		CHECK_FOR_INTERRUPTS();
		if (weights->paths[i] == NULL || layer->inner >= 0)
			continue;
		n = layer_variables(wanted, all, layer);
		for (k = 0; k < n; k++)
		{
			char *path = psprintf("%s/vars/%d", weights->paths[i], k);

			assign(dst, weights, &wanted[k], find_dataset(weights, path), path, misfits);
		}
		/* a layer that does not lead to the output is no node; seeds are no weights */
		if (is_normalization(layer) || (layer->n_parts > 0 && !has_node(graph, layer->parts[0])))
			use_all(weights, weights->paths[i]);
		use_all(weights, psprintf("%s/seed_generator", weights->paths[i]));
	}
}

/* Collects what the group of a layer of the outer network holds, in the order in which Keras lists it. */
static Wanted *
group_variables(const PneumoLayersHooks *hooks, int first, const Variables *all, int *n)
{
	Wanted *wanted = palloc0(sizeof(Wanted) * (all->n + 3 * hooks->n_layers));
	Wanted *ordered = palloc(sizeof(Wanted) * (all->n + 3 * hooks->n_layers));
	int count = 0;
	int i = first;
	int pass;

	do
	{
		const PneumoKerasLayer *layer = &hooks->layers[i];

		if (is_normalization(layer)) /* mean, variance, count */
			count += 3;
		else
			count += layer_variables(wanted + count, all, layer);
	} while (++i < hooks->n_layers && hooks->layers[i].scope != 0);
	*n = 0;
	for (pass = 1; pass >= 0; pass--)
		for (i = 0; i < count; i++)
			if ((wanted[i].variable != NULL && wanted[i].variable->trainable) == pass)
				ordered[(*n)++] = wanted[i];
	pfree(wanted);
	return ordered;
}

/* Reads the weights of a file with a group for each layer of the outer network. */
static void
read_legacy(float *dst, PneumoKerasWeights *weights, const PneumoLayersHooks *hooks, const NnGraph *graph,
			const Variables *all, Misfits *misfits)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo keras names", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	int i;
	int k;

	for (i = 0; i < hooks->n_layers; i++)
	{
		const PneumoKerasLayer *layer = &hooks->layers[i];
		Wanted *wanted;
		char **paths;
		int n;
		int n_paths;

		CHECK_FOR_INTERRUPTS();
		if (layer->scope != 0 || weights->paths[i] == NULL)
			continue;
		wanted = group_variables(hooks, i, all, &n);
		paths = listed_paths(weights, weights->paths[i], &n_paths);
		for (k = 0; k < Max(n, n_paths); k++)
		{
			if (k >= n_paths && wanted[k].variable != NULL)
				assign(dst, weights, &wanted[k], -1, weights->paths[i], misfits);
			else if (k < n && k < n_paths)
				assign(dst, weights, &wanted[k], find_dataset(weights, paths[k]), paths[k], misfits);
		}
		if (layer->inner < 0 && layer->n_parts > 0 && !has_node(graph, layer->parts[0]))
			use_all(weights, weights->paths[i]);
		MemoryContextReset(cxt);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

void
pneumo_keras_weights_read(float *dst, PneumoKerasWeights *weights, const PneumoLayersHooks *hooks,
						  const NnGraph *graph)
{
	Variables all;
	Misfits misfits;
	size_t length = strlen(weights->root);
	int i;

	misfits.n = 0;
	initStringInfo(&misfits.lines);
	collect_variables(&all, graph);
	find_groups(weights, hooks);
	if (weights->legacy)
		read_legacy(dst, weights, hooks, graph, &all, &misfits);
	else
		read_numbered(dst, weights, hooks, graph, &all, &misfits);

	/* what is outside the layers is the optimizer's, or of metrics */
	for (i = 0; i < weights->n; i++)
	{
		const Hdf5Dataset *dataset = &weights->datasets[i];

		if (!weights->used[i] && (length == 0 || (strncmp(dataset->path, weights->root, length) == 0 &&
												  dataset->path[length] == '/')))
			misfit(&misfits, "superfluous: %s %s", path_text(dataset->path),
				   shape_text(dataset->rank, dataset->dims));
	}
	if (misfits.n == 0)
		return;
	if (misfits.n > MAX_LINES)
		appendStringInfo(&misfits.lines, "\n... and %d more", misfits.n - MAX_LINES);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the weights of the file are not those of the network: %d do not fit", misfits.n),
					errdetail_internal("%s", misfits.lines.data)));
}

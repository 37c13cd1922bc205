/*-------------------------------------------------------------------------
 *
 * model_bytes.c
 *	  The stored form of a model.
 *
 * Little endian.  Offsets in bytes.
 *
 *	 0   8  magic "PNMODEL\n"
 *	 8   4  version of this format: 1
 *	12   4  number of nodes, the InputLayer included
 *	16   8  bytes of the whole model
 *	24   8  bytes before the weights, without padding: the head
 *	32   8  offset of the weights: the head's, rounded up to 64
 *	40   8  number of weights (float32)
 *	48   4  number of sections
 *	52  12  height, width, channels of the input, 4 each
 *	64      nodes, from 1; the last one is the output
 *	        sections
 *	        zeros up to the weights
 *	        weights, in the graph's order
 *
 * A node: text class name, text name, u8 number of inputs, u16 each of them,
 * u8 number of parameters, and for each: text key, 4 float64.  A text is a u8
 * length and that many bytes.  Parameters are named, so that a node type may
 * get more of them; one that is missing has its default.  Those that were
 * added later (NN_LATER) are missing where they have it, so that a network
 * has the same bytes as ever.
 *
 * A section: 4 bytes tag, u64 length, that many bytes.
 *
 * The reader checks every length against what is there before it uses it, and
 * lets nn_graph_add() judge all values.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"
#include "graph.h"
#include "nn.h"
#include "sizes.h"

#include <math.h>
#include <string.h>

#define MODEL_MAGIC "PNMODEL\n"
#define MODEL_VERSION 1
#define HEADER_BYTES 64

/* ------------------------------------------------------------------ writing */

/* Counts when dst is NULL; never writes beyond limit. */
typedef struct Writer
{
	unsigned char *dst;
	size_t limit;
	size_t used;
} Writer;

static void
put_bytes(Writer *w, const void *data, size_t n)
{
	if (w->dst != NULL && n <= w->limit && w->used <= w->limit - n && n > 0)
		memcpy(w->dst + w->used, data, n);
	w->used = nn_add_size(w->used, n);
}

static void
put_uint(Writer *w, uint64_t value, int n)
{
	unsigned char bytes[8];
	int i;

	for (i = 0; i < n; i++)
		bytes[i] = (unsigned char) (value >> (8 * i));
	put_bytes(w, bytes, (size_t) n);
}

static void
put_real(Writer *w, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	put_uint(w, bits, 8);
}

static void
put_text(Writer *w, const char *text)
{
	size_t n = strlen(text);

	put_uint(w, n, 1);
	put_bytes(w, text, n);
}

static void
put_node(Writer *w, const NnNodeSpec *spec)
{
	const NnOpInfo *info = nn_op_info(spec->op);
	int n_params = 0;
	int i, k;

	for (i = 0; info->params[i].key != NULL; i++)
		n_params += nn_param_counts(&info->params[i], &spec->params[i]);
	put_text(w, info->class_name);
	put_text(w, spec->name);
	put_uint(w, (uint64_t) spec->n_inputs, 1);
	for (i = 0; i < spec->n_inputs; i++)
		put_uint(w, (uint64_t) spec->inputs[i], 2);
	put_uint(w, (uint64_t) n_params, 1);
	for (i = 0; info->params[i].key != NULL; i++)
	{
		if (!nn_param_counts(&info->params[i], &spec->params[i]))
			continue;
		put_text(w, info->params[i].key);
		for (k = 0; k < 4; k++)
			put_real(w, spec->params[i].v[k]);
	}
}

static void
put_head(Writer *w, const NnGraph *graph, const NnSection *sections, int n_sections, size_t head_bytes)
{
	size_t weights_offset = nn_align_size(head_bytes);
	const NnShape *input = &graph->nodes[0].shape;
	int i;

	put_bytes(w, MODEL_MAGIC, 8);
	put_uint(w, MODEL_VERSION, 4);
	put_uint(w, (uint64_t) graph->n_nodes, 4);
	put_uint(w, weights_offset + graph->n_weights * sizeof(float), 8);
	put_uint(w, head_bytes, 8);
	put_uint(w, weights_offset, 8);
	put_uint(w, graph->n_weights, 8);
	put_uint(w, (uint64_t) n_sections, 4);
	put_uint(w, (uint64_t) input->h, 4);
	put_uint(w, (uint64_t) input->w, 4);
	put_uint(w, (uint64_t) input->c, 4);
	for (i = 1; i < graph->n_nodes; i++)
		put_node(w, &graph->nodes[i].spec);
	for (i = 0; i < n_sections; i++)
	{
		put_bytes(w, sections[i].tag, 4);
		put_uint(w, sections[i].bytes, 8);
		put_bytes(w, sections[i].data, sections[i].bytes);
	}
}

static size_t
head_size(const NnGraph *graph, const NnSection *sections, int n_sections)
{
	Writer w = {NULL, 0, 0};

	put_head(&w, graph, sections, n_sections, 0);
	return w.used;
}

size_t
nn_model_bytes(const NnGraph *graph, const NnSection *sections, int n_sections)
{
	size_t bytes = nn_align_size(head_size(graph, sections, n_sections));

	bytes = nn_add_size(bytes, nn_mul_size(graph->n_weights, sizeof(float)));
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

static int
is_little_endian(void)
{
	const uint16_t one = 1;

	return *(const unsigned char *) &one == 1;
}

NnStatus
nn_model_write(void *dst, size_t dst_bytes, const NnGraph *graph, const float *weights,
			   const NnSection *sections, int n_sections, NnError *error)
{
	size_t total = nn_model_bytes(graph, sections, n_sections);
	size_t head = head_size(graph, sections, n_sections);
	Writer w = {dst, dst_bytes, 0};
	size_t i;

	if (n_sections < 0 || n_sections > NN_MAX_SECTIONS)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "%d sections are not 0 to %d", n_sections,
					   NN_MAX_SECTIONS);
	if (total == 0 || dst_bytes != total)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the model takes %zu bytes, not %zu", total,
					   dst_bytes);
	put_head(&w, graph, sections, n_sections, head);
	memset(w.dst + head, 0, nn_align_size(head) - head);
	w.used = nn_align_size(head);
	if (is_little_endian())
		put_bytes(&w, weights, graph->n_weights * sizeof(float));
	else
		for (i = 0; i < graph->n_weights; i++)
		{
			uint32_t bits;

			memcpy(&bits, &weights[i], sizeof(bits));
			put_uint(&w, bits, 4);
		}
	return NN_OK;
}

/* ------------------------------------------------------------------ reading */

typedef struct Reader
{
	const unsigned char *src;
	size_t limit;
	size_t at;
	int bad; /* something was not there */
} Reader;

static const void *
get_bytes(Reader *r, uint64_t n)
{
	const unsigned char *p = r->src + r->at;

	if (r->bad || n > r->limit - r->at)
	{
		r->bad = 1;
		return NULL;
	}
	r->at += (size_t) n;
	return p;
}

static uint64_t
get_uint(Reader *r, int n)
{
	const unsigned char *p = get_bytes(r, (uint64_t) n);
	uint64_t value = 0;
	int i;

	for (i = 0; p != NULL && i < n; i++)
		value |= (uint64_t) p[i] << (8 * i);
	return value;
}

static double
get_real(Reader *r)
{
	uint64_t bits = get_uint(r, 8);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Reads a text; returns 0 when it does not fit into size bytes, or holds a zero byte. */
static int
get_text(Reader *r, char *text, size_t size)
{
	size_t n = (size_t) get_uint(r, 1);
	const char *p = get_bytes(r, n);

	text[0] = '\0';
	if (p == NULL || n >= size || memchr(p, 0, n) != NULL)
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	return 1;
}

static NnStatus
corrupt(NnError *error, const char *what)
{
	return nn_fail(error, NN_CORRUPT, -1, "", "the model is damaged: %s", what);
}

/* Reads the header into the view, and checks that its sizes are possible and agree. */
static NnStatus
read_header(NnModelView *view, const void *bytes, size_t n_bytes, int *height, int *width, int *channels,
			NnError *error)
{
	Reader r = {bytes, n_bytes, 0, 0};
	uint64_t version, nodes, total, head, offset, weights, sections, side[3];
	const char *magic = get_bytes(&r, 8);
	int i;

	memset(view, 0, sizeof(*view));
	view->head_bytes = HEADER_BYTES;
	version = get_uint(&r, 4);
	nodes = get_uint(&r, 4);
	total = get_uint(&r, 8);
	head = get_uint(&r, 8);
	offset = get_uint(&r, 8);
	weights = get_uint(&r, 8);
	sections = get_uint(&r, 4);
	for (i = 0; i < 3; i++)
		side[i] = get_uint(&r, 4);
	if (magic != NULL && memcmp(magic, MODEL_MAGIC, 8) != 0)
		return nn_fail(error, NN_CORRUPT, -1, "", "these bytes are not a pneumo model");
	if (r.bad)
		return corrupt(error, "its header is not whole");
	if (version != MODEL_VERSION)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Install a newer version of pneumo.",
					   "the model has format version %u, but only version %d can be read",
					   (unsigned int) version, MODEL_VERSION);
	if (nodes < 2 || nodes > NN_MAX_NODES || sections > NN_MAX_SECTIONS || weights < 1 ||
		weights > NN_MAX_WEIGHTS || head < HEADER_BYTES || head > (uint64_t) SIZE_MAX / 4 ||
		offset != nn_align_size((size_t) head) || total != offset + weights * sizeof(float) || side[0] < 1 ||
		side[0] > NN_MAX_SIDE || side[1] < 1 || side[1] > NN_MAX_SIDE || side[2] < 1 ||
		side[2] > NN_MAX_CHANNELS)
		return corrupt(error, "its sizes cannot be");
	view->total_bytes = (size_t) total;
	view->head_bytes = (size_t) head;
	view->n_nodes = (int) nodes;
	view->weights_offset = (size_t) offset;
	view->n_weights = (size_t) weights;
	view->n_sections = (int) sections;
	*height = (int) side[0];
	*width = (int) side[1];
	*channels = (int) side[2];
	return NN_OK;
}

/* Sets a parameter by its key; returns 0 when the node type has none of that name. */
static int
set_param(NnNodeSpec *spec, const char *key, const NnValue *value)
{
	const NnParam *params = nn_op_info(spec->op)->params;
	int i;

	for (i = 0; params[i].key != NULL; i++)
		if (strcmp(params[i].key, key) == 0)
		{
			spec->params[i] = *value;
			return 1;
		}
	return 0;
}

/* Reads one node; parameters that are not there keep their defaults. */
static NnStatus
read_node(NnNodeSpec *spec, Reader *r, NnError *error)
{
	char text[256];
	int op, n, i, k;

	if (!get_text(r, text, sizeof(text)))
		return corrupt(error, "a layer's type is not whole");
	op = nn_op_find(text);
	if (op < 1)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Install a newer version of pneumo.",
					   "the model has a layer of the unknown type \"%.64s\"", text);
	nn_node_spec_init(spec, op);
	if (!get_text(r, spec->name, sizeof(spec->name)))
		return corrupt(error, "a layer's name is not whole");
	spec->n_inputs = (int) get_uint(r, 1);
	if (spec->n_inputs > NN_MAX_INPUTS)
		return corrupt(error, "a layer has too many inputs");
	for (i = 0; i < spec->n_inputs; i++)
		spec->inputs[i] = (int) get_uint(r, 2);
	n = (int) get_uint(r, 1);
	for (i = 0; i < n; i++)
	{
		NnValue value;

		if (!get_text(r, text, sizeof(text)))
			return corrupt(error, "a layer's parameter is not whole");
		for (k = 0; k < 4; k++)
			value.v[k] = get_real(r);
		if (r->bad)
			break;
		if (!set_param(spec, text, &value))
			return nn_fail(error, NN_UNSUPPORTED, -1, "Install a newer version of pneumo.",
						   "layer \"%s\" has the unknown parameter \"%.64s\"", spec->name, text);
	}
	return r->bad ? corrupt(error, "a layer is not whole") : NN_OK;
}

static NnStatus
read_sections(NnModelView *view, Reader *r, NnError *error)
{
	int i;

	for (i = 0; i < view->n_sections; i++)
	{
		const char *tag = get_bytes(r, 4);
		uint64_t n = get_uint(r, 8);
		const void *data = get_bytes(r, n);

		if (r->bad)
			return corrupt(error, "a section is not whole");
		memcpy(view->sections[i].tag, tag, 4);
		view->sections[i].data = data;
		view->sections[i].bytes = (size_t) n;
	}
	return NN_OK;
}

NnStatus
nn_model_open(NnModelView *view, const void *bytes, size_t n_bytes, NnError *error)
{
	int height, width, channels, i;
	Reader r;
	NnStatus status = read_header(view, bytes, n_bytes, &height, &width, &channels, error);

	if (status != NN_OK)
		return status;
	if (n_bytes < view->head_bytes)
		return corrupt(error, "its head is not whole");
	r = (Reader) {bytes, view->head_bytes, HEADER_BYTES, 0};
	for (i = 1; i < view->n_nodes; i++)
	{
		NnNodeSpec spec;

		status = read_node(&spec, &r, error);
		if (status != NN_OK)
			return status;
	}
	status = read_sections(view, &r, error);
	if (status == NN_OK && r.at != r.limit)
		status = corrupt(error, "it has bytes that belong to nothing");
	return status;
}

NnStatus
nn_model_graph(NnGraph *graph, const NnModelView *view, const void *bytes, NnError *error)
{
	NnModelView again;
	int height, width, channels, i;
	Reader r = {bytes, view->head_bytes, HEADER_BYTES, 0};
	NnStatus status = read_header(&again, bytes, view->head_bytes, &height, &width, &channels, error);

	if (status == NN_OK)
		status = nn_graph_begin(graph, view->n_nodes, height, width, channels, error);
	for (i = 1; i < view->n_nodes && status == NN_OK; i++)
	{
		NnNodeSpec spec;

		status = read_node(&spec, &r, error);
		if (status == NN_OK)
			status = nn_graph_add(graph, &spec, NULL, error);
	}
	if (status == NN_OK)
		status = nn_graph_finish(graph, view->n_nodes - 1, error);
	if (status != NN_OK)
		return status;
	if (graph->n_nodes != view->n_nodes || graph->n_weights != view->n_weights)
		return corrupt(error, "its layers and its weights do not fit together");
	return NN_OK;
}

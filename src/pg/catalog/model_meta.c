/*-------------------------------------------------------------------------
 *
 * model_meta.c
 *	  What decides a score apart from graph and weights: preprocessing, classes,
 *	  calibration, operating point, precision.
 *
 * It travels as sections of the model bytes and so is covered by the
 * version's SHA-256.  All numbers are little endian; texts are UTF-8 with
 * their length in front, without a final zero.
 *
 *	 PREP  int32 height, width, channels, interpolation; float32 rescale
 *	 CLAS  int32 n; n times: int32 length, text
 *	 CALI  int32 kind; float64 a, b
 *	 OPER  float64 threshold; int32 length, JSON text
 *	 PREC  int32 precision
 *	 FIND  n times: int32 calibrated; float64 a, b, threshold
 *
 * Each must be there once, and no other: what is not understood could decide
 * a score.  FIND is there where the classes are findings, of which an image may
 * have any number.  Bytes may come from anywhere, so the reader trusts nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/catalog/records.h"

#define MAX_OPERATING_POINT 8192 /* bytes of JSON */

enum
{
	SECTION_PREP,
	SECTION_CLAS,
	SECTION_CALI,
	SECTION_OPER,
	SECTION_PREC,
	SECTION_FIND,
	N_META_SECTIONS
};

static const char *const tags[] = {"PREP", "CLAS", "CALI", "OPER", "PREC", "FIND"};

StaticAssertDecl(lengthof(tags) == PNEUMO_META_SECTIONS, "sections of the metadata");

/* ------------------------------------------------------------------ writing */

static void
put_int32(StringInfo buffer, int32 value)
{
	uint32 bits = (uint32) value;
	int i;

	for (i = 0; i < 4; i++)
		appendStringInfoCharMacro(buffer, (char) (bits >> (8 * i)));
}

static void
put_float32(StringInfo buffer, float value)
{
	int32 bits;

	memcpy(&bits, &value, sizeof(bits));
	put_int32(buffer, bits);
}

static void
put_float64(StringInfo buffer, double value)
{
	uint64 bits;

	memcpy(&bits, &value, sizeof(bits));
	put_int32(buffer, (int32) (bits & 0xffffffff));
	put_int32(buffer, (int32) (bits >> 32));
}

static void
put_text(StringInfo buffer, const char *text)
{
	char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	put_int32(buffer, (int32) strlen(utf8));
	appendBinaryStringInfo(buffer, utf8, strlen(utf8));
}

bool
pneumo_meta_is_two_class(const PneumoModelMeta *meta)
{
	return meta->n_classes == 2 && !meta->multi_label;
}

double
pneumo_meta_threshold(const PneumoModelMeta *meta, int class)
{
	return meta->multi_label ? meta->findings[class].threshold : meta->threshold;
}

PneumoModelMeta *
pneumo_meta_view(const PneumoModelMeta *meta, int finding)
{
	PneumoModelMeta *view = palloc(sizeof(PneumoModelMeta));
	const PneumoFinding *own = &meta->findings[finding];

	*view = *meta;
	view->n_classes = 2;
	view->classes = palloc(2 * sizeof(char *));
	view->classes[0] = psprintf("no %s", meta->classes[finding]);
	view->classes[1] = meta->classes[finding];
	view->calibration = own->calibrated ? meta->calibration : PNEUMO_CALIBRATION_NONE;
	view->calibration_a = own->a;
	view->calibration_b = own->b;
	view->threshold = own->threshold;
	view->multi_label = false;
	view->view = finding + 1;
	return view;
}

int
pneumo_meta_to_sections(NnSection *sections, const PneumoModelMeta *meta)
{
	StringInfoData buffers[N_META_SECTIONS];
	int n = meta->multi_label ? N_META_SECTIONS : SECTION_FIND;
	int i;

	for (i = 0; i < N_META_SECTIONS; i++)
		initStringInfo(&buffers[i]);

	put_int32(&buffers[SECTION_PREP], meta->preprocess.height);
	put_int32(&buffers[SECTION_PREP], meta->preprocess.width);
	put_int32(&buffers[SECTION_PREP], meta->preprocess.channels);
	put_int32(&buffers[SECTION_PREP], meta->preprocess.interpolation);
	put_float32(&buffers[SECTION_PREP], meta->rescale);

	put_int32(&buffers[SECTION_CLAS], meta->n_classes);
	for (i = 0; i < meta->n_classes; i++)
		put_text(&buffers[SECTION_CLAS], meta->classes[i]);

	put_int32(&buffers[SECTION_CALI], meta->calibration);
	put_float64(&buffers[SECTION_CALI], meta->calibration_a);
	put_float64(&buffers[SECTION_CALI], meta->calibration_b);

	put_float64(&buffers[SECTION_OPER], meta->threshold);
	put_text(&buffers[SECTION_OPER], meta->operating_point);

	put_int32(&buffers[SECTION_PREC], meta->precision);

	for (i = 0; i < meta->n_classes && meta->multi_label; i++)
	{
		put_int32(&buffers[SECTION_FIND], meta->findings[i].calibrated);
		put_float64(&buffers[SECTION_FIND], meta->findings[i].a);
		put_float64(&buffers[SECTION_FIND], meta->findings[i].b);
		put_float64(&buffers[SECTION_FIND], meta->findings[i].threshold);
	}

	for (i = 0; i < n; i++)
	{
		memcpy(sections[i].tag, tags[i], 4);
		sections[i].data = buffers[i].data;
		sections[i].bytes = buffers[i].len;
	}
	return n;
}

/* ------------------------------------------------------------------ reading */

typedef struct Reader
{
	const uint8 *next;
	size_t left;
	const char *tag;
} Reader;

static void corrupt(const char *tag, const char *what) pg_attribute_noreturn();

static void
corrupt(const char *tag, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg("invalid model bytes: section %.4s: %s", tag, what)));
	pg_unreachable();
}

static const uint8 *
get_bytes(Reader *reader, size_t n)
{
	const uint8 *bytes = reader->next;

	if (reader->left < n)
		corrupt(reader->tag, "it ends too early");
	reader->next += n;
	reader->left -= n;
	return bytes;
}

static int32
get_int32(Reader *reader)
{
	const uint8 *b = get_bytes(reader, 4);

	return (int32) ((uint32) b[0] | (uint32) b[1] << 8 | (uint32) b[2] << 16 | (uint32) b[3] << 24);
}

static float
get_float32(Reader *reader)
{
	int32 bits = get_int32(reader);
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double
get_float64(Reader *reader)
{
	uint64 low = (uint32) get_int32(reader);
	uint64 bits = low | (uint64) (uint32) get_int32(reader) << 32;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Reads a text of low..high bytes; in the server's encoding, in the current context. */
static char *
get_text(Reader *reader, int32 low, int32 high)
{
	int32 length = get_int32(reader);
	char *utf8;
	char *text;

	if (length < low || length > high)
		corrupt(reader->tag, psprintf("a text of %d bytes, where %d to %d are allowed", length, low, high));
	utf8 = pnstrdup((const char *) get_bytes(reader, length), length);
	if (strlen(utf8) != (size_t) length)
		corrupt(reader->tag, "a text holds a zero byte");
	text = pg_any_to_server(utf8, length, PG_UTF8); /* validates */
	return text;
}

static int32
get_choice(Reader *reader, int32 low, int32 high, const char *what)
{
	int32 value = get_int32(reader);

	if (value < low || value > high)
		corrupt(reader->tag, psprintf("%s is %d, allowed is %d to %d", what, value, low, high));
	return value;
}

static void
finish(const Reader *reader)
{
	if (reader->left != 0)
		corrupt(reader->tag, "it is longer than its content");
}

static void
read_preprocess(PneumoModelMeta *meta, Reader *reader)
{
	meta->preprocess.height = get_choice(reader, 1, NN_MAX_SIDE, "height");
	meta->preprocess.width = get_choice(reader, 1, NN_MAX_SIDE, "width");
	meta->preprocess.channels = get_choice(reader, 1, 3, "channels");
	if (meta->preprocess.channels == 2)
		corrupt(reader->tag, "channels is 2, allowed is 1 or 3");
	meta->preprocess.interpolation =
		(ImgInterpolation) get_choice(reader, IMG_INTERPOLATION_AREA, IMG_INTERPOLATION_BILINEAR,
									  "interpolation");
	meta->rescale = get_float32(reader);
	if (!isfinite(meta->rescale) || meta->rescale <= 0)
		corrupt(reader->tag, "rescale must be a positive number");
}

static void
read_classes(PneumoModelMeta *meta, Reader *reader)
{
	int i;
	int j;

	meta->n_classes = get_choice(reader, meta->multi_label ? 1 : 2, NN_MAX_CLASSES, "number of classes");
	meta->classes = palloc(sizeof(char *) * meta->n_classes);
	for (i = 0; i < meta->n_classes; i++)
	{
		meta->classes[i] = get_text(reader, 1, PNEUMO_MAX_CLASS_NAME);
		for (j = 0; j < i; j++)
		{
			if (strcmp(meta->classes[i], meta->classes[j]) == 0)
				corrupt(reader->tag, psprintf("class \"%s\" is there twice", meta->classes[i]));
		}
	}
}

static void
read_calibration(PneumoModelMeta *meta, Reader *reader)
{
	meta->calibration = (PneumoCalibrationKind) get_choice(reader, PNEUMO_CALIBRATION_NONE,
														   PNEUMO_CALIBRATION_TEMPERATURE, "kind");
	meta->calibration_a = get_float64(reader);
	meta->calibration_b = get_float64(reader);
	if (!isfinite(meta->calibration_a) || !isfinite(meta->calibration_b))
		corrupt(reader->tag, "numbers must be finite");
	if (meta->calibration == PNEUMO_CALIBRATION_TEMPERATURE && meta->calibration_a <= 0)
		corrupt(reader->tag, "a temperature must be positive");
	if (meta->calibration == PNEUMO_CALIBRATION_PLATT && !pneumo_meta_is_two_class(meta) &&
		!meta->multi_label)
		corrupt(reader->tag, "Platt calibration is for two classes");
}

static void
read_operating_point(PneumoModelMeta *meta, Reader *reader)
{
	meta->threshold = get_float64(reader);
	if (!(meta->threshold >= 0 && meta->threshold <= 1))
		corrupt(reader->tag, "threshold must be from 0 to 1");
	meta->operating_point = get_text(reader, 2, MAX_OPERATING_POINT);
	(void) DirectFunctionCall1(jsonb_in, CStringGetDatum(meta->operating_point));
}

static void
read_findings(PneumoModelMeta *meta, Reader *reader)
{
	int i;

	meta->findings = palloc0(sizeof(PneumoFinding) * meta->n_classes);
	for (i = 0; i < meta->n_classes; i++)
	{
		PneumoFinding *finding = &meta->findings[i];

		finding->calibrated = get_choice(reader, 0, 1, "calibrated") != 0;
		finding->a = get_float64(reader);
		finding->b = get_float64(reader);
		finding->threshold = get_float64(reader);
		if (!isfinite(finding->a) || !isfinite(finding->b))
			corrupt(reader->tag, "numbers must be finite");
		if (finding->calibrated && meta->calibration == PNEUMO_CALIBRATION_NONE)
			corrupt(reader->tag, "a finding is calibrated in no way");
		if (finding->calibrated && meta->calibration == PNEUMO_CALIBRATION_TEMPERATURE && finding->a <= 0)
			corrupt(reader->tag, "a temperature must be positive");
		if (!(finding->threshold >= 0 && finding->threshold <= 1))
			corrupt(reader->tag, "threshold must be from 0 to 1");
	}
}

static int
find_tag(const char *tag)
{
	int i;

	for (i = 0; i < N_META_SECTIONS; i++)
	{
		if (memcmp(tag, tags[i], 4) == 0)
			return i;
	}
	return -1;
}

PneumoModelMeta *
pneumo_meta_from_view(const NnModelView *view, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	PneumoModelMeta *meta = palloc0(sizeof(PneumoModelMeta));
	Reader readers[N_META_SECTIONS];
	int i;

	memset(readers, 0, sizeof(readers));
	for (i = 0; i < view->n_sections; i++)
	{
		int found = find_tag(view->sections[i].tag);

		if (found < 0)
			corrupt(view->sections[i].tag, "not known to this release of pneumo");
		if (readers[found].tag != NULL)
			corrupt(tags[found], "it is there twice");
		readers[found].tag = tags[found];
		readers[found].next = view->sections[i].data;
		readers[found].left = view->sections[i].bytes;
	}
	for (i = 0; i < N_META_SECTIONS; i++)
	{
		if (readers[i].tag == NULL && i != SECTION_FIND)
			corrupt(tags[i], "missing");
	}

	meta->multi_label = readers[SECTION_FIND].tag != NULL;
	read_preprocess(meta, &readers[SECTION_PREP]);
	read_classes(meta, &readers[SECTION_CLAS]);
	read_calibration(meta, &readers[SECTION_CALI]);
	read_operating_point(meta, &readers[SECTION_OPER]);
	meta->precision = (NnPrecision) get_choice(&readers[SECTION_PREC], NN_PRECISION_FLOAT32,
											   NN_PRECISION_INT16, "precision");
	if (meta->multi_label)
		read_findings(meta, &readers[SECTION_FIND]);
	for (i = 0; i < N_META_SECTIONS; i++)
		finish(&readers[i]);

	MemoryContextSwitchTo(old);
	return meta;
}

void
pneumo_meta_check_graph(const PneumoModelMeta *meta, const NnGraph *graph)
{
	NnNodeInfo input;
	int i;

	nn_graph_node(&input, graph, 0);
	if (input.shape.h != meta->preprocess.height || input.shape.w != meta->preprocess.width ||
		input.shape.c != meta->preprocess.channels)
		corrupt(tags[SECTION_PREP],
				psprintf("images of %d x %d x %d for a network of %d x %d x %d", meta->preprocess.height,
						 meta->preprocess.width, meta->preprocess.channels, input.shape.h, input.shape.w,
						 input.shape.c));
	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo node;

		nn_graph_node(&node, graph, i);
		if (!pg_verify_mbstr(PG_UTF8, node.name, strlen(node.name), true))
			corrupt("NODE", psprintf("the name of layer %d is not UTF-8", i));
	}
	if (meta->multi_label)
	{
		if (nn_graph_output_units(graph) != meta->n_classes ||
			(meta->n_classes > 1 && !nn_graph_is_multi_label(graph)))
			corrupt(tags[SECTION_FIND],
					psprintf("%d findings for a network that does not tell them", meta->n_classes));
		return;
	}
	if (nn_graph_is_multi_label(graph))
		corrupt(tags[SECTION_CLAS], "classes for a network that tells findings");
	if (nn_graph_class_count(graph) != meta->n_classes)
		corrupt(tags[SECTION_CLAS],
				psprintf("%d classes for a network of %d", meta->n_classes, nn_graph_class_count(graph)));
}

/* -------------------------------------------------------------- calibration */

/* Returns the probability of a logit by a kind of calibration and its numbers. */
static double
calibrate(PneumoCalibrationKind kind, double a, double b, double logit)
{
	double z = logit;

	if (kind == PNEUMO_CALIBRATION_PLATT)
		z = a * logit + b;
	else if (kind == PNEUMO_CALIBRATION_TEMPERATURE)
		z = logit / a;
	return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

void
pneumo_meta_probabilities(double *dst, const PneumoModelMeta *meta, int output_units,
						  const float *probabilities, const float *logits)
{
	double highest;
	double sum = 0;
	int i;

	if (meta->view > 0)
	{
		i = meta->view - 1;
		dst[1] = meta->calibration == PNEUMO_CALIBRATION_NONE
					 ? probabilities[i]
					 : calibrate(meta->calibration, meta->calibration_a, meta->calibration_b, logits[i]);
		dst[0] = 1 - dst[1];
		return;
	}
	if (meta->multi_label)
	{
		for (i = 0; i < meta->n_classes; i++)
			dst[i] = meta->findings[i].calibrated
						 ? calibrate(meta->calibration, meta->findings[i].a, meta->findings[i].b, logits[i])
						 : probabilities[i];
		return;
	}
	/* uncalibrated: the network's own numbers, to the bit */
	if (meta->calibration == PNEUMO_CALIBRATION_NONE && output_units > 1)
	{
		for (i = 0; i < meta->n_classes; i++)
			dst[i] = probabilities[i];
		return;
	}
	if (meta->n_classes == 2)
	{
		if (meta->calibration == PNEUMO_CALIBRATION_NONE)
			dst[1] = probabilities[0];
		else
			dst[1] =
				calibrate(meta->calibration, meta->calibration_a, meta->calibration_b,
						  output_units == 1 ? (double) logits[0] : (double) logits[1] - (double) logits[0]);
		dst[0] = 1 - dst[1];
		return;
	}
	highest = logits[0];
	for (i = 1; i < meta->n_classes; i++)
		highest = Max(highest, logits[i]);
	for (i = 0; i < meta->n_classes; i++)
	{
		dst[i] = exp((logits[i] - highest) / meta->calibration_a);
		sum += dst[i];
	}
	for (i = 0; i < meta->n_classes; i++)
		dst[i] /= sum;
}

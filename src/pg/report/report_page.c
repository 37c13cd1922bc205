/*-------------------------------------------------------------------------
 *
 * report_page.c
 *	  pneumo_report: one HTML page about a version and its data.
 *
 * Reads the table at most four times: to score it, for the pictures and the
 * shortcut check, and for the neighbours of the failures.  Memory is that of
 * pneumo_evaluate, and the pictures that the page shows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "image/image.h"
#include "nn/nn.h"
#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_report);

#define DEFAULT_FAILURES 6
#define MAX_FAILURES 50
#define DEFAULT_EIGENIMAGES 4
#define MAX_EIGENIMAGES 16
#define EIGENIMAGES_OF 300 /* images that they are computed from */
#define SAMPLES_PER_CLASS 4
#define RIGHT_ONES 4
#define NEIGHBOURS 3
#define PICTURE_SIDE 320
#define CELL_HEIGHT 64 /* size at which brightness is measured */
#define CELL_WIDTH 72
#define N_SECTIONS 9

static const char *const own_keys[] = {"test", "images", "failures", "eigenimages", NULL};

/* ------------------------------------------------------------------ version */

static char *
json_text(Relation rel, HeapTuple tuple, int attnum)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	if (isnull)
		return NULL;
	return DatumGetCString(DirectFunctionCall1(jsonb_out, value));
}

static int64
int_or_zero(Relation rel, HeapTuple tuple, int attnum)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
read_version(PneumoReport *r)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	Snapshot snapshot = pneumo_read_snapshot();
	HeapTuple tuple = pneumo_version_tuple(rel, r->e.id.version, snapshot);
	Datum value;
	bool isnull;

	UnregisterSnapshot(snapshot);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "version %lld is gone", (long long) r->e.id.version);
	r->run = int_or_zero(rel, tuple, Anum_version_run);
	r->parameters = int_or_zero(rel, tuple, Anum_version_parameters);
	r->bytes = int_or_zero(rel, tuple, Anum_version_bytes);
	r->created = (TimestampTz) int_or_zero(rel, tuple, Anum_version_created);
	r->calibration = json_text(rel, tuple, Anum_version_calibration);
	r->operating_point = json_text(rel, tuple, Anum_version_operating_point);
	value = heap_getattr(tuple, Anum_version_comment, RelationGetDescr(rel), &isnull);
	r->comment = isnull ? NULL : TextDatumGetCString(value);
	table_close(rel, AccessShareLock);
	if (r->run > 0)
	{
		r->run_row = pneumo_run_read(r->run);
		if (r->run_row != NULL && !pneumo_run_is_mine(r->run_row, true))
			r->run_row = NULL;
	}
}

/* The table of the call, or the one that the version was trained on. */
static Oid
find_source(FunctionCallInfo fcinfo, const PneumoReport *r)
{
	JsonbValue *value = NULL;
	char *name;
	Oid relid = InvalidOid;

	if (!PG_ARGISNULL(1))
		return PG_GETARG_OID(1);
	if (r->e.provenance != NULL)
		value = pneumo_json_get(&r->e.provenance->root, "source");
	name = value != NULL ? pneumo_json_cstring(value) : NULL;
	if (name != NULL)
	{
		LOCAL_FCINFO(call, 1);

		InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
		call->args[0].value = CStringGetTextDatum(name);
		call->args[0].isnull = false;
		relid = DatumGetObjectId(to_regclass(call));
		if (call->isnull)
			relid = InvalidOid;
	}
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 name != NULL ? errmsg("the table that the version was trained on, %s, does not exist", name)
							  : errmsg("it is not known which table the version was trained on"),
				 errhint("Name a table: pneumo_report(model, source).")));
	return relid;
}

/* ------------------------------------------------------------------ reading */

static bytea *
copy_picture(const bytea *picture, MemoryContext cxt)
{
	bytea *copy = MemoryContextAlloc(cxt, VARSIZE(picture));

	memcpy(copy, picture, VARSIZE(picture));
	return copy;
}

typedef struct PictureVisit
{
	PneumoReport *r;
	MemoryContext cxt;
	PneumoMapOptions options;
	uint8 *pixels; /* of an image at the network's size */
} PictureVisit;

/* Adds a training image to the mean of its class: the rows that training used, each image once. */
static void
add_to_mean(PictureVisit *visit, int64 sample, Datum image)
{
	PneumoReport *r = visit->r;
	const ImgPreprocess *pre = &r->e.config->preprocess;
	const PneumoSample *s = &r->e.dataset->samples[sample];
	bytea *bytes = DatumGetByteaPP(image);
	const uint8 *pixels = visit->pixels;
	size_t n = (size_t) pre->height * pre->width;
	uint64 *sum = r->sum[s->label];
	ImgError error;
	size_t i;

	if (s->split != PNEUMO_TRAIN || sum == NULL ||
		pneumo_pixels(visit->pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), pre,
					  &error) != IMG_OK)
		return;
	r->n_sum[s->label]++;
	for (i = 0; i < n; i++)
		sum[i] +=
			pre->channels == 1 ? pixels[i] : (pixels[3 * i] + pixels[3 * i + 1] + pixels[3 * i + 2] + 1) / 3;
}

static void
draw(PneumoReportPicture *pictures, int n, int64 sample, Datum image, PictureVisit *visit, bool overlay)
{
	PneumoMap map;
	int i;

	for (i = 0; i < n; i++)
	{
		if (pictures[i].sample != sample)
			continue;
		memset(&map, 0, sizeof(map));
		map.empty = true;
		pictures[i].plain =
			copy_picture(pneumo_map_draw(&map, image, &visit->options, PICTURE_SIDE, PNEUMO_BAD_IMAGE_ERROR),
						 visit->cxt);
		if (!overlay || !visit->r->maps)
			continue;
		(void) pneumo_map_make(&map, visit->r->e.scorer, image, &visit->options, PNEUMO_BAD_IMAGE_ERROR);
		pictures[i].empty = map.empty;
		pictures[i].overlay =
			copy_picture(pneumo_map_draw(&map, image, &visit->options, PICTURE_SIDE, PNEUMO_BAD_IMAGE_ERROR),
						 visit->cxt);
	}
}

/* What says nothing about a lung: size of image and file, brightness. */
static void
measure(double *features, Datum image)
{
	ImgPreprocess pre = {CELL_HEIGHT, CELL_WIDTH, 1, IMG_INTERPOLATION_AREA};
	bytea *bytes = DatumGetByteaPP(image);
	const uint8 *data = (const uint8 *) VARDATA_ANY(bytes);
	size_t n = VARSIZE_ANY_EXHDR(bytes);
	uint8 pixels[CELL_HEIGHT * CELL_WIDTH];
	ImgLimits limits;
	ImgInfo info;
	ImgError error;
	double sum = 0;
	double squares = 0;
	int i;

	pneumo_image_limits(&limits);
	limits.interrupt = NULL;
	if (img_jpeg_info(&info, data, n, &limits, &error) != IMG_OK ||
		pneumo_pixels(pixels, data, n, &pre, &error) != IMG_OK)
		return;
	for (i = 0; i < CELL_HEIGHT * CELL_WIDTH; i++)
	{
		sum += pixels[i];
		squares += (double) pixels[i] * pixels[i];
	}
	sum /= CELL_HEIGHT * CELL_WIDTH;
	features[0] = info.width;
	features[1] = info.height;
	features[2] = (double) info.width / info.height;
	features[3] = (double) n;
	features[4] = info.components;
	features[5] = sum;
	features[6] = sqrt(Max(squares / (CELL_HEIGHT * CELL_WIDTH) - sum * sum, 0));
}

static void
visit_image(void *arg, int64 sample, Datum image)
{
	PictureVisit *visit = arg;
	PneumoReport *r = visit->r;

	measure(r->features + sample * REPORT_N_FEATURES, image);
	add_to_mean(visit, sample, image);
	draw(r->samples, r->n_samples, sample, image, visit, false);
	draw(r->right, r->n_right, sample, image, visit, true);
	draw(r->failure_pictures, r->n_failure_pictures, sample, image, visit, true);
}

/* Training images by SHA-256, so neither the best nor the nicest. */
static void
choose_samples(PneumoReport *r)
{
	int n_classes = r->e.scorer->meta->n_classes;
	int c;

	r->samples = palloc0(n_classes * SAMPLES_PER_CLASS * sizeof(PneumoReportPicture));
	for (c = 0; c < n_classes; c++)
	{
		int n = 0;
		int64 i;

		for (i = 0; i < r->e.dataset->n && n < SAMPLES_PER_CLASS; i++)
		{
			const PneumoSample *s = &r->e.dataset->samples[i];

			if (s->label != c || s->split != PNEUMO_TRAIN)
				continue;
			r->samples[r->n_samples++].sample = i;
			n++;
		}
	}
}

/* The worst failures and, of a positive class, the surest hits. */
static void
choose_scored(PneumoReport *r)
{
	PneumoFailure *all;
	int64 n = pneumo_failures_find(&all, &r->e, PNEUMO_VALIDATION, true, PG_INT64_MAX);
	int64 i;

	r->right = palloc0(RIGHT_ONES * sizeof(PneumoReportPicture));
	for (i = n - 1; i >= 0 && r->n_right < RIGHT_ONES; i--)
		if (!all[i].wrong && all[i].predicted > 0)
			r->right[r->n_right++].sample = all[i].sample;
	r->failure_pictures = palloc0(Max(1, r->max_failures) * sizeof(PneumoReportPicture));
	r->n_failure_pictures = (int) Min(r->n_failures, r->max_failures);
	for (i = 0; i < r->n_failure_pictures; i++)
		r->failure_pictures[i].sample = r->failures[i].sample;
	pfree(all);
}

static void
visit_images(PneumoReport *r)
{
	PneumoEvaluation *e = &r->e;
	PictureVisit visit;
	bool *marked = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->dataset->n));
	int64 i;

	visit.r = r;
	visit.cxt = CurrentMemoryContext;
	visit.pixels = palloc((Size) e->config->preprocess.height * e->config->preprocess.width *
						  e->config->preprocess.channels);
	pneumo_map_options(&visit.options, NULL);
	r->maps = nn_graph_last_conv_node(e->scorer->engine->engine.graph) >= 0;
	r->features = MemoryContextAllocHuge(CurrentMemoryContext,
										 Max(1, e->dataset->n) * REPORT_N_FEATURES * sizeof(double));
	for (i = 0; i < e->dataset->n * REPORT_N_FEATURES; i++)
		r->features[i] = NAN;
	for (i = 0; i < e->dataset->n; i++)
		marked[i] = r->test || e->dataset->samples[i].split != PNEUMO_TEST;
	pneumo_evaluation_visit(e, marked, visit_image, &visit);
	pfree(marked);
}

/* ------------------------------------------------------------- eigenimages */

static void
push_value(JsonbParseState **state, const char *name, JsonbValue *value)
{
	JsonbValue key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, value);
}

static void
push_number(JsonbParseState **state, const char *name, int number)
{
	JsonbValue value;

	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(DirectFunctionCall1(int4_numeric, Int32GetDatum(number)));
	push_value(state, name, &value);
}

static Jsonb *
eigenimages_config(const PneumoReport *r)
{
	JsonbParseState *state = NULL;
	JsonbValue column;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	column.type = jbvString;
	column.val.string.val = r->e.source->image_column;
	column.val.string.len = (int) strlen(r->e.source->image_column);
	push_value(&state, "image_column", &column);
	column.val.string.val = r->e.source->label_column;
	column.val.string.len = (int) strlen(r->e.source->label_column);
	push_value(&state, "label_column", &column);
	push_number(&state, "n_components", r->max_eigenimages);
	push_number(&state, "max_images", EIGENIMAGES_OF);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* By the function beside this one, as the caller. */
static void
read_eigenimages(PneumoReport *r, Oid relid, Oid function)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid types[2] = {REGCLASSOID, JSONBOID};
	Datum values[2];
	char *query;
	int guc_level;
	uint64 i;

	if (r->max_eigenimages == 0 || !r->images || r->e.dataset->n < 3)
		return;
	query = psprintf("SELECT explained_variance, image FROM %s.pneumo_eigenimages($1, $2) ORDER BY component",
					 quote_identifier(get_namespace_name(get_func_namespace(function))));
	values[0] = ObjectIdGetDatum(relid);
	values[1] = JsonbPGetDatum(eigenimages_config(r));
	r->eigenimages = palloc0(r->max_eigenimages * sizeof(PneumoEigenimage));
	/* that not all images are used is said on the page */
	guc_level = NewGUCNestLevel();
	(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(query, 2, types, values, NULL, true, r->max_eigenimages) != SPI_OK_SELECT)
		elog(ERROR, "could not compute eigenimages");
	for (i = 0; i < SPI_processed; i++)
	{
		PneumoEigenimage *eigen = &r->eigenimages[r->n_eigenimages];
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		eigen->explained = isnull ? NAN : DatumGetFloat8(value);
		value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull);
		if (isnull)
			continue;
		eigen->picture = copy_picture(DatumGetByteaP(value), cxt);
		r->n_eigenimages++;
	}
	SPI_finish();
	AtEOXact_GUC(true, guc_level);
}

/* --------------------------------------------------------------------- page */

static bool
read_flag(Jsonb *given, const char *key, bool otherwise)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	return pneumo_json_is_null(value) ? otherwise
									  : pneumo_json_read_bool(psprintf("config key \"%s\"", key), value);
}

static int
read_count(Jsonb *given, const char *key, int otherwise, int most)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	return pneumo_json_is_null(value)
			   ? otherwise
			   : (int) pneumo_json_read_int(psprintf("config key \"%s\"", key), value, 0, most);
}

static Jsonb *
look_metrics(const PneumoReport *r)
{
	StatsRows rows;
	PneumoStats stats;
	StatsFigures figures;
	double auc = NAN;
	char *json;

	if (r->e.scorer->meta->n_classes != 2 || pneumo_report_rows(&rows, r, PNEUMO_TEST, 1) == 0)
		return NULL;
	pneumo_stats_begin(&stats);
	if (stats_figures(&figures, &rows, r->e.scorer->meta->threshold, &stats.env) != STATS_OK ||
		stats_auc(&auc, &rows, &stats.env) != STATS_OK)
		auc = NAN;
	pneumo_stats_end(&stats);
	if (isnan(auc))
		return NULL;
	json = psprintf(
		"{\"accuracy\":%.9g,\"sensitivity\":%.9g,\"specificity\":%.9g,\"auc\":%.9g,\"log_loss\":%.9g}",
		figures.accuracy, figures.sensitivity, figures.specificity, auc, figures.log_loss);
	return pneumo_json_parse(json);
}

static void
collect(PneumoReport *r, Oid relid, Oid function)
{
	PneumoEvaluation *e = &r->e;
	const ImgPreprocess *pre = &e->config->preprocess;
	int n_classes = e->scorer->meta->n_classes;
	int c;

	e->score[PNEUMO_VALIDATION] = true;
	e->score[PNEUMO_TEST] = r->test;
	for (c = 0; c < n_classes && r->images; c++)
		r->sum[c] = palloc0((Size) pre->height * pre->width * sizeof(uint64));
	pneumo_evaluation_read(e, relid);
	if (e->dataset->n == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("%s has no row that the report could be about", e->source->name)));
	r->n_failures = pneumo_failures_find(&r->failures, e, PNEUMO_VALIDATION, false, r->max_failures);
	pneumo_failures_neighbours(r->failures, r->n_failures, e, NEIGHBOURS, PNEUMO_DISTANCE_COSINE);
	if (r->images)
	{
		choose_samples(r);
		choose_scored(r);
	}
	visit_images(r);
	read_eigenimages(r, relid, function);
	if (r->test && e->dataset->split_rows[PNEUMO_TEST] > 0)
		pneumo_look_add(&e->id, "test", e->source->name, e->dataset->split_rows[PNEUMO_TEST],
						look_metrics(r));
	r->test_looks = pneumo_look_count(e->id.version, "test");
}

Datum
pneumo_report(PG_FUNCTION_ARGS)
{
	static void (*const writers[N_SECTIONS])(PneumoSection *, const PneumoReport *) =
		{pneumo_report_model,    pneumo_report_data,       pneumo_report_network,
		 pneumo_report_training, pneumo_report_figures,    pneumo_report_threshold,
		 pneumo_report_failures, pneumo_report_provenance, pneumo_report_limits};
	PneumoReport *r = palloc0(sizeof(PneumoReport));
	ReportSection sections[N_SECTIONS];
	ReportPage page;
	ReportBuffer buffer;
	Jsonb *given;
	Oid relid;
	int i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	given = PG_GETARG_JSONB_P(2);
	pneumo_evaluation_begin(&r->e, text_to_cstring(PG_GETARG_TEXT_PP(0)), given, own_keys);
	r->test = read_flag(given, "test", true);
	r->images = read_flag(given, "images", true);
	r->max_failures = read_count(given, "failures", DEFAULT_FAILURES, MAX_FAILURES);
	r->max_eigenimages = read_count(given, "eigenimages", DEFAULT_EIGENIMAGES, MAX_EIGENIMAGES);
	if (r->test)
		pneumo_prevent_write("pneumo_report() with the test split");
	relid = find_source(fcinfo, r);
	read_version(r);
	collect(r, relid, fcinfo->flinfo->fn_oid);

	for (i = 0; i < N_SECTIONS; i++)
	{
		PneumoSection *section = palloc0(sizeof(PneumoSection));

		CHECK_FOR_INTERRUPTS();
		writers[i](section, r);
		sections[i].heading = section->heading;
		sections[i].n_blocks = (size_t) section->n_blocks;
		sections[i].blocks = section->blocks;
	}
	memset(&page, 0, sizeof(page));
	page.title = pneumo_u8(psprintf("Model %s, version %lld", r->e.model, (long long) r->e.id.version));
	page.subtitle = pneumo_u8(psprintf(
		"Chest radiographs of %s, read by a convolutional network. A research report, not a diagnosis.",
		r->e.source->name));
	page.n_sections = N_SECTIONS;
	page.sections = sections;
	page.footer = pneumo_u8(psprintf("pneumo %s, %s. This page needs no network and runs no script.",
									 PNEUMO_VERSION, timestamptz_to_str(GetCurrentTimestamp())));
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_html_page(&buffer, &page), "pneumo_report");
	PG_RETURN_TEXT_P(pneumo_report_text(&buffer));
}

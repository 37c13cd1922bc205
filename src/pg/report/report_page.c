/*-------------------------------------------------------------------------
 *
 * report_page.c
 *	  pneumo_report: one HTML page about a version and its data.
 *
 * The table is read at most five times: to score it, twice for the neighbours
 * of the failures, and for the pictures (with the columns of subgroups) and the
 * eigenimages.  Memory is that of
 * pneumo_evaluate, and the pictures that the page shows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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

PG_FUNCTION_INFO_V1(pneumo_report);

#define DEFAULT_FAILURES 6
#define MAX_FAILURES 50
#define DEFAULT_EIGENIMAGES 4
#define MAX_EIGENIMAGES 16
#define NEIGHBOURS 3
#define N_SECTIONS 11

static const char *const own_keys[] = {"test",      "images", "failures", "eigenimages",
									   "subgroups", "class",  NULL};

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

void
pneumo_version_row(PneumoVersionRow *row, const PneumoEvaluation *e)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	Snapshot snapshot = pneumo_read_snapshot();
	HeapTuple tuple = pneumo_version_tuple(rel, e->id.version, snapshot);
	Datum value;
	bool isnull;

	UnregisterSnapshot(snapshot);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "version %d is gone", e->id.number);
	row->run = int_or_zero(rel, tuple, Anum_version_run);
	row->parameters = int_or_zero(rel, tuple, Anum_version_parameters);
	row->bytes = int_or_zero(rel, tuple, Anum_version_bytes);
	row->created = (TimestampTz) int_or_zero(rel, tuple, Anum_version_created);
	row->calibration = json_text(rel, tuple, Anum_version_calibration);
	row->operating_point = json_text(rel, tuple, Anum_version_operating_point);
	value = heap_getattr(tuple, Anum_version_comment, RelationGetDescr(rel), &isnull);
	row->comment = isnull ? NULL : TextDatumGetCString(value);
	table_close(rel, AccessShareLock);
	if (row->run > 0)
	{
		row->run_row = pneumo_run_read(row->run);
		if (row->run_row != NULL && !pneumo_run_is_mine(row->run_row, true))
			row->run_row = NULL;
	}
}

/*
 * Errors unless the relation that a run read may be read again without being
 * named.  Reading it can run code of its owner as the caller, so it must be what
 * it was: of the same name and, since a view can be replaced, a table or the
 * caller's own.
 */
static void
check_default_source(const PneumoRunRow *run)
{
	Relation rel = OidIsValid(run->source_oid) ? try_relation_open(run->source_oid, AccessShareLock) : NULL;
	bool same;
	bool trusted;

	same = rel != NULL && strcmp(quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
															RelationGetRelationName(rel)),
								 run->source) == 0;
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the table that the version was trained on, %s, does not exist any more",
							   run->source),
						errhint("Name a table: pneumo_report(model, source).")));
	trusted = rel->rd_rel->relkind == RELKIND_RELATION || rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
			  rel->rd_rel->relkind == RELKIND_MATVIEW || rel->rd_rel->relowner == GetUserId();
	if (!trusted)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s, which the version was trained on, is not a table and belongs to another "
							   "role, so it must be named",
							   run->source),
						errhint("Name it if you trust it: pneumo_report(model, source).")));
	relation_close(rel, NoLock);
}

/*
 * Returns the table of the call or, for the role that trained the version and
 * for no other, the one that it was trained on.  Whoever trained a version chose
 * that table, and what it runs when it is read: nobody else reads it unnamed.
 */
static Oid
find_source(FunctionCallInfo fcinfo, const PneumoReport *r)
{
	if (!PG_ARGISNULL(1))
		return PG_GETARG_OID(1);
	if (r->row.run == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("it is not known which table the version was trained on"),
						errhint("Name a table: pneumo_report(model, source).")));
	if (r->row.run_row == NULL || r->row.run_row->owner != GetUserId())
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("only the role that trained the version can leave out the source"),
						errhint("Name a table that you trust: pneumo_report(model, source).")));
	check_default_source(r->row.run_row);
	return r->row.run_row->source_oid;
}

/* --------------------------------------------------------------------- page */

bool
pneumo_report_flag(Jsonb *given, const char *key, bool otherwise)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	return pneumo_json_is_null(value) ? otherwise
									  : pneumo_json_read_bool(psprintf("config key \"%s\"", key), value);
}

int
pneumo_report_count(Jsonb *given, const char *key, int otherwise, int most)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	return pneumo_json_is_null(value)
			   ? otherwise
			   : (int) pneumo_json_read_int(psprintf("config key \"%s\"", key), value, 0, most);
}

/* Returns what is stored with the look: the figures of two classes, or NULL. */
static Jsonb *
look_metrics(const PneumoReport *r)
{
	StatsRows rows;
	PneumoStats stats;
	StatsFigures figures;
	double auc = NAN;
	PneumoJson json;

	if (r->e.scorer->meta->n_classes != 2 || pneumo_report_rows(&rows, r, PNEUMO_TEST, 1) == 0)
		return NULL;
	pneumo_stats_begin(&stats);
	if (stats_figures(&figures, &rows, r->e.scorer->meta->threshold, &stats.env) != STATS_OK ||
		stats_auc(&auc, &rows, &stats.env) != STATS_OK)
		auc = NAN;
	pneumo_stats_end(&stats);
	if (isnan(auc))
		return NULL;
	pneumo_json_begin(&json);
	pneumo_json_add_number(&json, "accuracy", figures.accuracy, 9);
	pneumo_json_add_number(&json, "sensitivity", figures.sensitivity, 9);
	pneumo_json_add_number(&json, "specificity", figures.specificity, 9);
	pneumo_json_add_number(&json, "auc", auc, 9);
	pneumo_json_add_number(&json, "log_loss", figures.log_loss, 9);
	return pneumo_json_end(&json);
}

/* Reads all that the sections show; counts the look at the test split. */
static void
collect(PneumoReport *r, Oid relid)
{
	PneumoEvaluation *e = &r->e;

	e->score[PNEUMO_VALIDATION] = true;
	e->score[PNEUMO_TEST] = r->test;
	pneumo_evaluation_read(e, relid);
	if (r->finding >= 0 && e->dataset->n > 0)
	{
		pneumo_report_compute_findings(r);
		pneumo_evaluation_view(e, 1, r->finding);
	}
	if (e->dataset->n == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("%s has no row that the report could be about", e->source->name)));
	r->n_failures = pneumo_failures_find(&r->failures, e, PNEUMO_VALIDATION, false, -1, r->max_failures);
	pneumo_failures_neighbours(r->failures, r->n_failures, e, r->max_neighbours, PNEUMO_DISTANCE_COSINE);
	pneumo_report_images(r);
	pneumo_report_eigenimages(r, relid);
	r->test_looks =
		pneumo_evaluation_look(e, &e->id,
							   r->test && e->dataset->split_rows[PNEUMO_TEST] > 0 ? PNEUMO_TEST
																				  : PNEUMO_VALIDATION,
							   e->dataset->split_rows[PNEUMO_TEST], look_metrics(r));
}

text *
pneumo_report_page(const char *title, const char *subtitle, PneumoSection *const *sections, int n_sections)
{
	ReportSection *filled = palloc(n_sections * sizeof(ReportSection));
	ReportPage page;
	ReportBuffer buffer;
	int i;

	for (i = 0; i < n_sections; i++)
	{
		filled[i].heading = sections[i]->heading;
		filled[i].n_blocks = (size_t) sections[i]->n_blocks;
		filled[i].blocks = sections[i]->blocks;
	}
	memset(&page, 0, sizeof(page));
	page.title = pneumo_utf8(title);
	page.subtitle = pneumo_utf8(subtitle);
	page.n_sections = (size_t) n_sections;
	page.sections = filled;
	page.footer = pneumo_utf8(psprintf("pneumo %s, %s. This page needs no network and runs no script.",
									   PNEUMO_VERSION, timestamptz_to_str(GetCurrentTimestamp())));
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_html_page(&buffer, &page), "pneumo_report");
	return pneumo_report_text(&buffer);
}

Datum
pneumo_report(PG_FUNCTION_ARGS)
{
	static void (*const writers[N_SECTIONS])(PneumoSection *, const PneumoReport *) =
		{pneumo_report_summary,  pneumo_report_model,      pneumo_report_data,      pneumo_report_network,
		 pneumo_report_training, pneumo_report_figures,    pneumo_report_subgroups, pneumo_report_threshold,
		 pneumo_report_failures, pneumo_report_provenance, pneumo_report_limits};
	PneumoReport *r = palloc0(sizeof(PneumoReport));
	PneumoSection *sections[N_SECTIONS];
	Jsonb *given;
	Oid relid;
	int i;

	given = pneumo_config_argument(fcinfo, 2);
	pneumo_evaluation_begin(&r->e, pneumo_text_argument(fcinfo, 0), given, own_keys);
	r->finding = pneumo_judged_finding(&r->e, given, false, "pneumo_report");
	if (r->finding < 0 && r->e.scorer->meta->multi_label)
		r->finding = 0;
	r->test = pneumo_report_flag(given, "test", true);
	r->images = pneumo_report_flag(given, "images", true);
	r->max_failures = pneumo_report_count(given, "failures", DEFAULT_FAILURES, MAX_FAILURES);
	r->max_neighbours = NEIGHBOURS;
	r->max_eigenimages = pneumo_report_count(given, "eigenimages", DEFAULT_EIGENIMAGES, MAX_EIGENIMAGES);
	r->subgroups = pneumo_subgroups_config(&r->e, given);
	if (r->test)
		pneumo_prevent_write("pneumo_report() with the test split");
	pneumo_version_row(&r->row, &r->e);
	relid = find_source(fcinfo, r);
	collect(r, relid);
	pneumo_report_compute(r);

	for (i = 0; i < N_SECTIONS; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sections[i] = palloc0(sizeof(PneumoSection));
		writers[i](sections[i], r);
	}
	PG_RETURN_TEXT_P(pneumo_report_page(
		psprintf("Model %s, version %d%s%s", r->e.model, r->e.id.number, r->finding < 0 ? "" : ": finding ",
				 r->finding < 0 ? "" : r->findings[r->finding]),
		psprintf(
			"Chest radiographs of %s, read by a convolutional network. A research report, not a diagnosis.",
			r->e.source->name),
		sections, N_SECTIONS));
}

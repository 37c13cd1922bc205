/*-------------------------------------------------------------------------
 *
 * report_page.h
 *	  Internal to pneumo_report: what report_page.c and report_images.c collect,
 *	  and what the sections are built with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_REPORT_PAGE_H
#define PNEUMO_PG_REPORT_PAGE_H

#include "pg/evaluate/evaluate.h"
#include "pg/source/source.h"

#include "report/report.h"
#include "stats/stats.h"

#define REPORT_SECTION_BLOCKS 96
#define REPORT_N_FEATURES 7 /* of the shortcut check */
#define REPORT_FEW 20       /* patients of a class: fewer say little */

/* A section that is being filled; everything is palloc'd, strings are UTF-8. */
typedef struct PneumoSection
{
	const char *heading;
	int n_blocks;
	ReportBlock blocks[REPORT_SECTION_BLOCKS];
} PneumoSection;

/* A picture of one image of the table. */
typedef struct PneumoReportPicture
{
	int64 sample;
	bytea *plain;
	bytea *overlay; /* NULL: without */
	bool empty;     /* the map */
} PneumoReportPicture;

/* What the row of a version says of it, and that of its run. */
typedef struct PneumoVersionRow
{
	int64 run; /* 0: imported */
	TimestampTz created;
	int64 parameters;
	int64 bytes;
	char *comment;     /* or NULL */
	char *calibration; /* JSON texts */
	char *operating_point;
	PneumoRunRow *run_row; /* NULL: none, or not for the caller to see */
} PneumoVersionRow;

typedef struct PneumoEigenimage
{
	double explained;
	bytea *picture;
} PneumoEigenimage;

/* What is computed of a scored split that has rows. */
typedef struct PneumoSplitFigures
{
	int split;
	bool one_class; /* all rows are of one: of more than two classes there are then no figures */

	/* two classes */
	StatsRows rows;
	StatsEvaluation evaluation;

	/* more classes */
	StatsClassEvaluation classes;
	StatsEvaluation *of_class;
} PneumoSplitFigures;

typedef struct PneumoSubgroups PneumoSubgroups;

typedef struct PneumoReport
{
	PneumoEvaluation e;

	/* of the call */
	bool test;   /* with a look at the test split */
	bool images; /* show images */
	int max_failures;
	int max_neighbours; /* of a failure */
	int max_eigenimages;

	PneumoVersionRow row;

	/* of the table */
	uint64 *sum[NN_MAX_CLASSES]; /* over training images; NULL if not wanted */
	int64 n_sum[NN_MAX_CLASSES];
	PneumoReportPicture *samples;
	int n_samples;
	PneumoReportPicture *right; /* rightly called, the surest of each class */
	int n_right;
	PneumoFailure *failures; /* of the validation split */
	int64 n_failures;
	PneumoReportPicture *failure_pictures; /* of the first ones */
	int n_failure_pictures;
	PneumoReportPicture *neighbours; /* of these, as they come with them */
	int n_neighbours;
	PneumoEigenimage *eigenimages;
	MemoryContext cxt; /* of their pictures */
	int n_eigenimages;
	bool maps;        /* the network has a convolution */
	double *features; /* for the shortcut check, [n][7]; NaN not read */
	int phantoms_tried;
	int phantoms; /* of these, images that pneumo drew itself */
	PneumoSubgroups *subgroups;
	int64 test_looks;

	/* of a version of findings, one of which the page is about: all of them, by split */
	int finding; /* -1: there are classes */
	char **findings;
	int n_findings;
	struct
	{
		StatsFindingEvaluation means;
		StatsEvaluation *of_finding; /* NULL: the split is not scored, or has no rows */
	} of_split[3];

	/* computed of it */
	PneumoSplitFigures splits[2];
	int n_splits;
	StatsShortcut shortcut;
	int shortcut_class; /* that can be told best, or -1: nothing is known */
} PneumoReport;

/* --------------------------------------------- images (report_images.c) */

/*
 * Reads the table once for all that needs the images: sums of the classes,
 * pictures of chosen rows, features for the shortcut check, values for subgroups.
 */
extern void pneumo_report_images(PneumoReport *r);

/* Computes the eigenimages of the table. */
extern void pneumo_report_eigenimages(PneumoReport *r, Oid relid);

/* Draws an image for a page, without a map; the picture is allocated in cxt. */
extern bytea *pneumo_report_plain(Datum image, MemoryContext cxt);

/* ------------------------------------------- the call (report_page.c) */

/* Reads the row of the version of an evaluation, and that of its run if the caller may see it. */
extern void pneumo_version_row(PneumoVersionRow *row, const PneumoEvaluation *e);

/* Reads a flag or a count of the config; otherwise is the default. */
extern bool pneumo_report_flag(Jsonb *given, const char *key, bool otherwise);
extern int pneumo_report_count(Jsonb *given, const char *key, int otherwise, int most);

/* Builds the page from sections that are filled; palloc'd. */
extern text *pneumo_report_page(const char *title, const char *subtitle, PneumoSection *const *sections,
								int n_sections);

/* ------------------------------------------ computing (report_compute.c) */

/* Computes the figures of the scored splits, and how well shortcuts tell the classes. */
extern void pneumo_report_compute(PneumoReport *r);

/* Computes the figures of the rows that are judged by the scores of an evaluation; palloc'd. */
extern void pneumo_split_figures(PneumoSplitFigures *figures, const PneumoJudged *judged,
								 const PneumoEvaluation *e);

/*
 * Fills the rows of a scored split for src/stats, with one class as the positive
 * one (of two classes it is 1); returns their number.
 */
extern int64 pneumo_report_rows(StatsRows *rows, const PneumoReport *r, int split, int class);

/* Computes the figures of all findings, before the page turns to one of them. */
extern void pneumo_report_compute_findings(PneumoReport *r);

/* Lists the scored rows of a split that were left in. */
extern PneumoJudged pneumo_report_judged(const PneumoEvaluation *e, int split);

/* Returns the split that the page judges by: test if it was looked at, else validation. */
extern int pneumo_report_main_split(const PneumoReport *r);

/* Returns the figures of that split, or NULL if there are none. */
extern const PneumoSplitFigures *pneumo_report_main_figures(const PneumoReport *r);

/* Computes sensitivity (positive) or specificity at a threshold with its limits; NaN without such a row. */
extern void pneumo_report_rate(StatsInterval *rate, const StatsRows *rows, double threshold, bool positive);

/* Returns whether a shortcut tells the classes too well. */
extern bool pneumo_report_shortcut_found(const PneumoReport *r);

/* -------------------------------------- subgroups (report_subgroups.c) */

#define REPORT_MAX_VALUES 1000 /* different texts of a column; with more it makes no subgroups */
#define REPORT_MAX_GROUPS 13   /* of a column, with those of other and of unknown values */

/* A subgroup and its figures; of more than two classes the macro figures. */
typedef struct PneumoSubgroup
{
	const char *name;
	PneumoJudged judged; /* its rows: split, samples and n alone are set */
	int64 patients;
	int64 patients_of[2]; /* of two classes: negative, positive */
	StatsInterval auc;
	StatsInterval sensitivity;
	StatsInterval specificity;
	char *remark;
	bool few;
} PneumoSubgroup;

/*
 * Reads config key "subgroups" and names the columns to the evaluation; then, when
 * the table has been read, makes room for the values of the rows of a split, and
 * takes those of a row.
 */
extern PneumoSubgroups *pneumo_subgroups_config(PneumoEvaluation *e, Jsonb *given);
extern void pneumo_subgroups_begin(PneumoSubgroups *groups, const PneumoEvaluation *e, int split);
extern void pneumo_subgroups_row(PneumoSubgroups *groups, const PneumoEvaluation *e, int64 sample,
								 const PneumoRow *row);

/* Returns the number of columns, the name of one, and whether it has too many values to make subgroups. */
extern int pneumo_subgroups_count(const PneumoSubgroups *groups);
extern const char *pneumo_subgroups_column(const PneumoSubgroups *groups, int c);
extern bool pneumo_subgroups_too_many(const PneumoSubgroups *groups, int c);

/*
 * Divides the rows that are judged into the groups of a column, of which there is
 * room for REPORT_MAX_GROUPS, the last one those of unknown values; returns their number.
 */
extern int pneumo_subgroups_divide(PneumoSubgroup *divided, PneumoSubgroups *groups, int c,
								   const PneumoEvaluation *e, const PneumoJudged *judged);

/* ------------------------ their figures (report_subgroup_figures.c) */

#define REPORT_N_GROUP_FIGURES 3

/* A figure of subgroups: its names, a word for ids, and its place in a PneumoSubgroup. */
typedef struct PneumoSubgroupFigure
{
	const char *two; /* classes */
	const char *more;
	const char *id;
	size_t offset;
} PneumoSubgroupFigure;

extern const PneumoSubgroupFigure pneumo_subgroup_figures[REPORT_N_GROUP_FIGURES];

/* Returns the name of a figure for the model's number of classes, and a group's figure. */
extern const char *pneumo_subgroup_figure_name(const PneumoEvaluation *e, int f);
extern const StatsInterval *pneumo_subgroup_figure(const PneumoSubgroup *group, int f);

/* Computes the figures of a subgroup by the scores of an evaluation. */
extern void pneumo_subgroup_compute(PneumoSubgroup *group, const PneumoEvaluation *e);

/* Warns of each column that has too many values. */
extern void pneumo_subgroup_warnings(PneumoSection *section, const PneumoSubgroups *subgroups);

/* ------------------------------------------------- building (report_build.c) */

/* Returns a number with a comma before each three digits; palloc'd. */
extern const char *pneumo_count_text(int64 n);

/* Returns what the rows are grouped by, the unit of the intervals: "patient" or "image". */
extern const char *pneumo_report_unit(const PneumoEvaluation *e);

/* Adds a block to a section. */
extern void pneumo_section_add(PneumoSection *section, ReportBlockType type, const void *content);

/* Adds a text, from a format of the server's encoding. */
extern void pneumo_section_text(PneumoSection *section, ReportTextKind kind, const char *format, ...)
	pg_attribute_printf(3, 4);

typedef struct PneumoTable
{
	ReportTable table;
	const char **cells;
	size_t max_cells;
	size_t n_cells;
} PneumoTable;

/*
 * Adds a table, then its cells row by row, until it is ended; bit i of numeric
 * marks column i as one of numbers.
 */
extern PneumoTable *pneumo_table_begin(PneumoSection *section, const char *caption, int n_columns,
									   const char *const *headings, uint64 numeric);
extern void pneumo_table_cell(PneumoTable *table, const char *format, ...) pg_attribute_printf(2, 3);
extern void pneumo_table_end(PneumoTable *table);

/* Adds a row that heads those below it. */
extern void pneumo_table_heading(PneumoTable *table, const char *heading);

/*
 * Adds a table with the figures of two classes, or the macro figures of more, one
 * column for each of n splits or versions, whose heading is in names.
 */
extern void pneumo_figures_table(PneumoSection *section, const PneumoEvaluation *e,
								 const PneumoSplitFigures *const *shown, const char *const *names, int n);

/* Adds a cell with a figure and its limits. */
extern void pneumo_interval_cell(PneumoTable *table, const StatsInterval *figure);

/*
 * Adds a cell with a number of images and, if they are known, of their patients,
 * and its heading.
 */
extern void pneumo_count_cell(PneumoTable *table, const PneumoEvaluation *e, size_t images, size_t patients);
extern const char *pneumo_count_heading(const PneumoEvaluation *e);

/* Begins a table of subgroups, whose first column has that heading; adds a row of it. */
extern PneumoTable *pneumo_subgroup_table(PneumoSection *section, const PneumoEvaluation *e, int split,
										  const char *first);
extern void pneumo_subgroup_row(PneumoTable *table, const PneumoEvaluation *e, const char *name,
								const PneumoSubgroup *group);

/* A forest plot that is being filled. */
typedef struct PneumoForest
{
	ReportForest plot;
	ReportForestRow rows[REPORT_MAX_FOREST];
} PneumoForest;

/*
 * Begins a forest plot, adds headings and rows, and adds it to a section with a line
 * at reference, unless that is NaN.
 */
extern PneumoForest *pneumo_forest_begin(const char *id, const char *title);
extern void pneumo_forest_heading(PneumoForest *forest, const char *name);
extern void pneumo_forest_row(PneumoForest *forest, const char *name, int64 n, bool few,
							  const StatsInterval *figure);
extern void pneumo_forest_end(PneumoSection *section, PneumoForest *forest, double reference);

/* Terms and what they are. */
#define REPORT_MAX_FACTS 32

typedef struct PneumoFacts
{
	ReportFacts facts;
	const char *terms[REPORT_MAX_FACTS];
	const char *values[REPORT_MAX_FACTS];
} PneumoFacts;

/* Adds a list of facts, then each fact. */
extern PneumoFacts *pneumo_facts_begin(PneumoSection *section);
extern void pneumo_fact(PneumoFacts *facts, const char *term, const char *format, ...)
	pg_attribute_printf(3, 4);

/* Pictures in a row. */
typedef struct PneumoGallery
{
	ReportImages images;
	ReportImage *list;
	size_t room;
} PneumoGallery;

/*
 * Begins a gallery, fills it, and adds it to a section unless it is empty; a
 * picture that is NULL is left out.
 */
extern PneumoGallery *pneumo_gallery_begin(size_t room);
extern void pneumo_gallery_add(PneumoGallery *gallery, const bytea *picture, const char *alternative,
							   const char *caption);
extern void pneumo_gallery_end(PneumoSection *section, PneumoGallery *gallery);

/* Returns the model's description, the key of a sample's row, the name of its class. */
extern const PneumoModelMeta *pneumo_report_meta(const PneumoReport *r);
extern const char *pneumo_report_key(const PneumoEvaluation *e, int64 sample);
extern const char *pneumo_report_class(const PneumoEvaluation *e, int64 sample);

/* ------ sections (report_data.c, report_figures.c, report_curves.c, report_sections.c and others) */

/* Each fills one section of the page; the page has them in this order. */
extern void pneumo_report_summary(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_model(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_data(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_network(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_training(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_figures(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_subgroups(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_threshold(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_failures(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_provenance(PneumoSection *section, const PneumoReport *r);
extern void pneumo_report_limits(PneumoSection *section, const PneumoReport *r);

/* Adds the plots and the table of scores and thresholds of the split that the page judges by. */
extern void pneumo_report_curves(PneumoSection *section, const PneumoReport *r);

#endif /* PNEUMO_PG_REPORT_PAGE_H */

/*-------------------------------------------------------------------------
 *
 * report.h
 *		SVG plots and the HTML page of pneumo: the public header of
 *		src/report.
 *
 * Plain C11; no server header, no file, no allocation of its own.  The caller
 * fills plain structs with finished figures and owns the buffer that the text
 * goes into.
 *
 * All text is UTF-8 and is escaped here; bytes that are not UTF-8, characters
 * that XML forbids, and those that turn the direction of the text around them
 * (U+202A to U+202E, U+2066 to U+2069) become U+FFFD.  Numbers are written with a
 * point whatever the locale.  Plots scale to the width they are given, use
 * colours that follow prefers-color-scheme, differ also in dash pattern and
 * marker (black and white print), and carry role="img", <title> and <desc>
 * for screen readers.  Each is a complete SVG document and can be put into an
 * HTML page as it is.
 *
 * Every array and string is borrowed for the call.  A NULL string is empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_REPORT_REPORT_H
#define PNEUMO_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ReportStatus
{
	REPORT_OK = 0,
	REPORT_BAD_ARGUMENT, /* nothing to draw, a count or number is senseless */
	REPORT_NO_MEMORY,    /* grow refused */
	REPORT_TOO_LARGE     /* the buffer's limit is reached */
} ReportStatus;

/* Returns the meaning of a status in lower case, without full stop; never NULL. */
extern const char *report_status_text(ReportStatus status);

/* ------------------------------------------------------------------------
 * The buffer (buffer.c)
 * ------------------------------------------------------------------------
 */

/*
 * Text so far is data[0 .. length); not NUL-terminated.  When it does not fit
 * capacity, grow(arg, data, length, bytes) must return a block of `bytes`
 * that begins with the old `length` bytes (as realloc does; data may be
 * NULL), or NULL.  limit bounds length, e.g. the server's 1 GB less one.  The
 * first error stays in status; later appends do nothing.
 */
typedef struct ReportBuffer
{
	char *data;
	size_t length;
	size_t capacity;
	size_t limit;
	char *(*grow)(void *arg, char *data, size_t length, size_t bytes);
	void *arg;
	ReportStatus status;
} ReportBuffer;

/* Appends markup as it is. */
extern void report_put(ReportBuffer *buffer, const char *markup);

/* Appends text, escaped for the content or an attribute of XML and HTML. */
extern void report_put_text(ReportBuffer *buffer, const char *text);

/* Appends bytes as base64. */
extern void report_put_base64(ReportBuffer *buffer, const uint8_t *bytes, size_t n);

/*
 * Appends a number with so many decimals (0 to 9): "n/a" for NaN, the sign for
 * infinities; a comma before each three digits; beyond 1e9 in size as mantissa
 * and exponent.
 */
extern void report_put_number(ReportBuffer *buffer, double value, int decimals);

/* Appends " (low to high)", each as report_put_number does. */
extern void report_put_limits(ReportBuffer *buffer, double low, double high, int decimals);

/* ------------------------------------------------------------------------
 * Plots
 *
 * id distinguishes plots within a page: letters, digits, '-' and '_'
 * (others are left out); NULL takes the kind's name.  title NULL takes a
 * default.
 * ------------------------------------------------------------------------
 */

/* Curves in one plot: so many differ in colour, dash pattern and marker. */
#define REPORT_MAX_SERIES 8

/*
 * Curves of a training (history.c): loss above, accuracy below.  Arrays have
 * n_epochs entries, epoch i+1 at i; any may be NULL, all but loss; NaN leaves
 * a gap.
 */
typedef struct ReportHistory
{
	const char *id;
	const char *title;
	size_t n_epochs; /* at least 1 */
	const double *loss;
	const double *val_loss;
	const double *accuracy; /* 0 to 1, drawn in percent */
	const double *val_accuracy;
	size_t best_epoch; /* from 1; 0: none is marked */
} ReportHistory;

/* Appends the plot of a history. */
extern ReportStatus report_svg_history(ReportBuffer *buffer, const ReportHistory *history);

/*
 * Curves of several trainings (history.c): loss above, accuracy below, and a
 * legend.  Arrays as in ReportHistory; accuracy may be NULL.
 */
typedef struct ReportRun
{
	const char *name;   /* "run 7, model default" */
	const char *detail; /* what is special about it, in few words; may be NULL */
	size_t n_epochs;    /* at least 1 */
	const double *loss;
	const double *accuracy;
	bool training;     /* the curves are of the training split, not of validation */
	size_t best_epoch; /* from 1; 0: none is marked */
} ReportRun;

typedef struct ReportHistories
{
	const char *id;
	const char *title;
	size_t n_runs; /* 1 to REPORT_MAX_SERIES */
	const ReportRun *runs;
} ReportHistories;

/* Appends the plot of several histories. */
extern ReportStatus report_svg_histories(ReportBuffer *buffer, const ReportHistories *histories);

/*
 * ROC curves (roc.c).  A curve's name is shown in the legend, with its AUC
 * and limits unless these are NaN.
 */

typedef struct ReportRocCurve
{
	const char *name;                  /* "validation" */
	size_t n_points;                   /* at least 2 */
	const double *false_positive_rate; /* 0 to 1, rising */
	const double *true_positive_rate;
	double auc;
	double auc_low;
	double auc_high;
	double point_x; /* operating point: false positive rate, NaN */
	double point_y; /* for none; and true positive rate */
} ReportRocCurve;

typedef struct ReportRoc
{
	const char *id;
	const char *title;
	size_t n_curves; /* 1 to REPORT_MAX_SERIES */
	const ReportRocCurve *curves;
	double threshold; /* of the operating points, NaN: not named */
} ReportRoc;

/* Appends the plot of ROC curves. */
extern ReportStatus report_svg_roc(ReportBuffer *buffer, const ReportRoc *roc);

/*
 * Reliability diagram (calibration.c): observed share against mean score, a
 * bar for the limits, and below it the number of rows per bin.
 */
typedef struct ReportCalibrationBin
{
	double low; /* edges, 0 to 1 */
	double high;
	uint64_t n; /* 0: nothing is drawn */
	double mean_score;
	double observed;
	double observed_low;
	double observed_high;
} ReportCalibrationBin;

typedef struct ReportCalibration
{
	const char *id;
	const char *title;
	size_t n_bins; /* 1 to 1000 */
	const ReportCalibrationBin *bins;
	double ece;     /* these four are written below the title, */
	double ece_low; /* the first one with its limits; */
	double ece_high;
	double slope; /* NaN: left out */
	double intercept;
	double brier;
} ReportCalibration;

/* Appends the reliability diagram. */
extern ReportStatus report_svg_calibration(ReportBuffer *buffer, const ReportCalibration *calibration);

/*
 * Confusion matrix (confusion.c): counts and the share of the true class.
 * counts is [true][predicted].
 */
#define REPORT_MAX_CLASSES 12

typedef struct ReportConfusion
{
	const char *id;
	const char *title;
	size_t n_classes; /* 2 to REPORT_MAX_CLASSES */
	const char *const *names;
	const uint64_t *counts;
} ReportConfusion;

/* Appends the plot of a confusion matrix. */
extern ReportStatus report_svg_confusion(ReportBuffer *buffer, const ReportConfusion *confusion);

/*
 * Curves in one pair of axes (lines.c): precision and recall, net benefit, what
 * an optimiser did.  A limit of an axis that is NaN follows from the curves.
 */
typedef struct ReportLine
{
	const char *name; /* of the legend */
	size_t n_points;  /* at least 1 */
	const double *x;
	const double *y; /* NaN leaves a gap */
} ReportLine;

typedef struct ReportLines
{
	const char *id;
	const char *title;
	const char *x_label;
	const char *y_label;
	double x_min;
	double x_max;
	double y_min;
	double y_max;
	bool whole_x;   /* ticks at whole numbers only, as for epochs */
	bool diagonal;  /* drawn from the lower left to the upper right */
	size_t n_lines; /* 1 to REPORT_MAX_SERIES */
	const ReportLine *lines;
	double mark; /* a vertical line there, NaN: none */
	const char *mark_name;
} ReportLines;

/* Appends the plot of curves. */
extern ReportStatus report_svg_lines(ReportBuffer *buffer, const ReportLines *lines);

/*
 * Histogram of scores from 0 to 1 by class (scores.c), one class above the axis
 * and one below it, with the same scale.
 */
typedef struct ReportScores
{
	const char *id;
	const char *title;
	const char *x_label;
	size_t n_bins; /* 1 to 100, of equal width */
	const uint64_t *above;
	const uint64_t *below;
	const char *above_name;
	const char *below_name;
	double threshold; /* a vertical line there, NaN: none */
} ReportScores;

/* Appends the histogram. */
extern ReportStatus report_svg_scores(ReportBuffer *buffer, const ReportScores *scores);

/*
 * Forest plot (forest.c): one figure from 0 to 1 with its limits for each of
 * several groups of rows, and a line at that of all rows.
 */
#define REPORT_MAX_FOREST 256

typedef struct ReportForestRow
{
	const char *name;
	bool heading; /* a name alone */
	bool few;     /* drawn hollow and named in brackets: too few rows to say much */
	uint64_t n;
	double value; /* NaN: "not defined" */
	double low;   /* NaN: no limits */
	double high;
} ReportForestRow;

typedef struct ReportForest
{
	const char *id;
	const char *title;
	size_t n_rows; /* 1 to REPORT_MAX_FOREST */
	const ReportForestRow *rows;
	double reference; /* of all rows, NaN: no line */
} ReportForest;

/* Appends the forest plot. */
extern ReportStatus report_svg_forest(ReportBuffer *buffer, const ReportForest *forest);

/* ------------------------------------------------------------------------
 * The page (page.c): one self-contained HTML file without script
 *
 * A page has sections, a section has blocks; a block is a type and the
 * struct of that type.  The page opens from a file, loads nothing (a content
 * security policy says so), prints, follows the reader's light or dark
 * setting, and fits any width from 320 pixels; only wide tables scroll, within
 * themselves.
 * ------------------------------------------------------------------------
 */

typedef enum ReportTextKind
{
	REPORT_TEXT_PARAGRAPH,
	REPORT_TEXT_NOTE,    /* set apart */
	REPORT_TEXT_VERDICT, /* set apart, and called a verdict */
	REPORT_TEXT_WARNING, /* set apart, and called a warning */
	REPORT_TEXT_CODE     /* fixed pitch, line breaks kept */
} ReportTextKind;

typedef struct ReportText
{
	ReportTextKind kind;
	const char *text;
} ReportText;

/*
 * cells is row-major [n_rows][n_columns]; numbers align to the right.  A row with
 * text in its first cell alone is a heading of those below it.
 */
#define REPORT_MAX_COLUMNS 64

typedef struct ReportTable
{
	const char *caption;
	size_t n_columns; /* 1 to REPORT_MAX_COLUMNS */
	size_t n_rows;
	const char *const *headings;
	const char *const *cells;
	uint64_t numeric; /* bit c: column c holds numbers */
} ReportTable;

/* Terms and their explanations, as in a model card. */
typedef struct ReportFacts
{
	size_t n_facts;
	const char *const *terms;
	const char *const *values;
} ReportFacts;

typedef struct ReportImage
{
	const uint8_t *bytes; /* JPEG or PNG, put into the page as it is */
	size_t n_bytes;
	uint32_t width; /* pixels; 0: not stated */
	uint32_t height;
	const char *alternative; /* what it shows, for those who cannot see it */
	const char *caption;
} ReportImage;

typedef struct ReportImages
{
	size_t n_images;
	const ReportImage *images;
	bool bar; /* they are wide and low, as the colours of a scale */
} ReportImages;

/* The figures that a reader wants first, each in large type with its limits below. */
typedef struct ReportTile
{
	const char *name;
	const char *value;
	const char *detail; /* NULL: none */
} ReportTile;

typedef struct ReportTiles
{
	size_t n_tiles;
	const ReportTile *tiles;
} ReportTiles;

/* A list of warnings, set apart. */
typedef struct ReportWarnings
{
	size_t n_items;
	const char *const *items;
} ReportWarnings;

typedef enum ReportBlockType
{
	REPORT_BLOCK_TEXT,     /* ReportText */
	REPORT_BLOCK_TABLE,    /* ReportTable: several stand side by side where there is room */
	REPORT_BLOCK_FACTS,    /* ReportFacts */
	REPORT_BLOCK_IMAGES,   /* ReportImages */
	REPORT_BLOCK_TILES,    /* ReportTiles */
	REPORT_BLOCK_WARNINGS, /* ReportWarnings */
	REPORT_BLOCK_HISTORY,  /* ReportHistory: this and the following are plots, */
	REPORT_BLOCK_HISTORIES,
	REPORT_BLOCK_ROC, /* which stand side by side as tables do */
	REPORT_BLOCK_CALIBRATION,
	REPORT_BLOCK_CONFUSION,
	REPORT_BLOCK_LINES,
	REPORT_BLOCK_SCORES,
	REPORT_BLOCK_FOREST
} ReportBlockType;

typedef struct ReportBlock
{
	ReportBlockType type;
	const void *content;
} ReportBlock;

typedef struct ReportSection
{
	const char *heading;
	size_t n_blocks;
	const ReportBlock *blocks;
} ReportSection;

typedef struct ReportPage
{
	const char *title;
	const char *subtitle;
	size_t n_sections;
	const ReportSection *sections;
	const char *footer; /* version, date: the caller's words */
} ReportPage;

/*
 * Appends the whole page.  On an error the buffer holds an incomplete page.
 * Plots of one kind need different ids.
 */
extern ReportStatus report_html_page(ReportBuffer *buffer, const ReportPage *page);

#endif /* PNEUMO_REPORT_REPORT_H */

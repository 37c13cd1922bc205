/*
 * test_report.c
 *		Unit tests of src/report.  With arguments FOLDER [JPEG...] it also
 *		writes its pictures and a sample page into FOLDER, to be looked at.
 */
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"
#include "report/report.h"
#include "report/report_internal.h"

static size_t allowed_growth = SIZE_MAX;

static char *
grow(void *arg, char *data, size_t length, size_t bytes)
{
	(void) arg;
	(void) length;
	return bytes > allowed_growth ? NULL : realloc(data, bytes);
}

static ReportBuffer
new_buffer(void)
{
	ReportBuffer buffer = {NULL, 0, 0, 100000000, grow, NULL, REPORT_OK};

	return buffer;
}

static bool
has(const ReportBuffer *buffer, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + n <= buffer->length; i++)
		if (memcmp(buffer->data + i, text, n) == 0)
			return true;
	return false;
}

static void
check_text(const char *text, const char *want)
{
	ReportBuffer b = new_buffer();

	report_put_text(&b, text);
	unit_ok(b.length == strlen(want) && (b.length == 0 || memcmp(b.data, want, b.length) == 0),
			"text becomes %s", want);
	free(b.data);
}

static void
check_number(double value, int decimals, const char *want)
{
	ReportBuffer b = new_buffer();

	report_put_number(&b, value, decimals);
	unit_ok(b.length == strlen(want) && memcmp(b.data, want, b.length) == 0, "number is %s, want %s",
			b.data == NULL ? "" : "written", want);
	free(b.data);
}

static void
test_buffer(void)
{
	ReportBuffer b = new_buffer();

	check_text("a<b> & \"c\" 'd'", "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
	check_text("L\xC3\xBCtz \xF0\x9F\x98\x80", "L\xC3\xBCtz \xF0\x9F\x98\x80");
	check_text("\x01\xFF\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
	check_text("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
	check_text("cut \xE2\x80", "cut \xEF\xBF\xBD\xEF\xBF\xBD");
	check_text("a\xE2\x80\xAE"
			   "b\xE2\x81\xA9\xE2\x80\x93",
			   "a\xEF\xBF\xBD"
			   "b\xEF\xBF\xBD\xE2\x80\x93");
	check_text("", "");
	check_number(0.0, 0, "0");
	check_number(-0.001, 2, "0.00");
	check_number(-1.005, 1, "-1.0");
	check_number(12.3456, 3, "12.346");
	check_number(0.99999, 2, "1.00");
	check_number(999.6, 0, "1,000");
	check_number(-1234567.5, 1, "-1,234,567.5");
	check_number(3.2e12, 2, "3.20e12");
	check_number(NAN, 2, "n/a");
	check_number(INFINITY, 2, "\xE2\x88\x9E");
	report_put_base64(&b, (const uint8_t *) "Many hands", 10);
	unit_ok(b.length == 16 && memcmp(b.data, "TWFueSBoYW5kcw==", 16) == 0, "base64 of ten bytes");
	b.limit = 20;
	report_put(&b, "12345");
	unit_ok(b.status == REPORT_TOO_LARGE && b.length == 16, "the limit holds");
	free(b.data);
	b = new_buffer();
	allowed_growth = 5000;
	for (int i = 0; i < 1000; i++)
		report_put(&b, "0123456789");
	unit_ok(b.status == REPORT_NO_MEMORY && b.length <= 5000, "refused growth stays");
	allowed_growth = SIZE_MAX;
	free(b.data);
}

static void
test_ticks(void)
{
	ReportTicks t = report_ticks(0.0, 1.0, 5, false);

	unit_ok(t.count == 6 && fabs(t.step - 0.2) < 1e-12 && t.decimals == 1, "ticks of 0 to 1");
	t = report_ticks(0.0132, 0.0681, 5, false);
	unit_ok(fabs(t.step - 0.01) < 1e-12 && t.decimals == 2 && t.count == 5 && t.first >= 0.0132,
			"ticks of a small range");
	t = report_ticks(0.96, 20.4, 8, true);
	unit_ok(t.step == 2.0 && t.decimals == 0 && t.first == 2.0, "ticks of 20 epochs");
	t = report_ticks(0.5, 1.5, 8, true);
	unit_ok(t.count == 1 && t.first == 1.0, "tick of one epoch");
	t = report_ticks(3.0, 3.0, 5, false);
	unit_ok(t.count == 1, "an empty range");
	t = report_ticks(-1e300, 1e300, 5, false);
	unit_ok(t.count >= 0 && t.count <= 20, "a huge range");
}

/* ---- sample data, figures as a training of 18 epochs has them ---- */

static double loss[18], val_loss[18], accuracy[18], val_accuracy[18];
static double fpr[61], tpr[61], tpr2[61];
static ReportCalibrationBin bins[10];
static const char *const classes[2] = {"NORMAL", "PNEUMONIA"};
static const uint64_t counts[4] = {178, 24, 19, 525};
static const char *const five[5] = {"NORMAL", "bacterial pneumonia, lobar", "virus", "COVID <19> & more",
									"other"};
static uint64_t counts5[25];
static ReportHistory history = {NULL, NULL, 18, loss, val_loss, accuracy, val_accuracy, 13};
static ReportRocCurve curves[2];
static ReportRoc roc = {NULL, NULL, 2, curves, 0.437};
static ReportCalibration calibration = {NULL, NULL, 10, bins, 0.021, 0.011, 0.043, 1.04, -0.08, 0.043};
static ReportConfusion confusion = {NULL, "Confusion matrix, validation", 2, classes, counts};
static ReportConfusion confusion5 = {"confusion-5", NULL, 5, five, counts5};

static uint64_t above[20], below[20];
static ReportLine line_list[4];
static ReportLines lines = {NULL,  NULL,  "threshold", "net benefit", 0.0,  1.0,   NAN, NAN,
							false, false, 3,           line_list,     0.42, "here"};
static ReportScores scores = {NULL, NULL, "probability of <b>", 20, above, below, "<b>", "NORMAL", 0.437};
static ReportForestRow forest_rows[] = {
	{"all rows", false, false, 12345, 0.93, 0.91, 0.95},
	{"sex </text>", true, false, 0, 0, 0, 0},
	{"f & a long name, which is cut", false, false, 6000, 0.94, 0.9, 0.97},
	{"unknown", false, true, 12, 0.6, 0.31, 0.85},
	{"none", false, true, 0, NAN, NAN, NAN},
};
static ReportForest forest = {NULL, "AUC by subgroup", 5, forest_rows, 0.93};
static const ReportTile tile_list[] = {{"Test AUC", "0.93 <", "0.91 to 0.95"},
									   {"Patients", "not known", NULL}};
static const ReportTiles tiles = {2, tile_list};
static const char *const warning_list[] = {"few </li> patients"};
static const ReportWarnings warning_items = {1, warning_list};
static const ReportText verdict = {REPORT_TEXT_VERDICT, "For research."};

static void
make_data(void)
{
	for (int i = 0; i < 18; i++)
	{
		double wave = 0.02 * sin(i * 2.1);

		loss[i] = 0.07 + 0.5 * exp(-i / 4.0);
		val_loss[i] = 0.12 + 0.42 * exp(-i / 3.5) + wave + (i > 12 ? 0.01 * (i - 12) : 0.0);
		accuracy[i] = 0.975 - 0.24 * exp(-i / 4.0);
		val_accuracy[i] = 0.955 - 0.2 * exp(-i / 3.5) - wave;
	}
	for (int i = 0; i < 20; i++)
	{
		above[i] = (uint64_t) (i * i * 4);
		below[i] = (uint64_t) (20 - i);
	}
	for (int i = 0; i < 3; i++)
		line_list[i] = (ReportLine) {"curve", 18, val_loss, i == 1 ? loss : accuracy};
	for (int i = 0; i <= 60; i++)
	{
		fpr[i] = pow(i / 60.0, 2.0);
		tpr[i] = pow(fpr[i], 0.07);
		tpr2[i] = pow(fpr[i], 0.13);
	}
	tpr[0] = tpr2[0] = 0.0;
	curves[0] = (ReportRocCurve) {"validation", 61, fpr, tpr, 0.981, 0.969, 0.989, 0.12, 0.965};
	curves[1] = (ReportRocCurve) {"test", 61, fpr, tpr2, 0.958, 0.941, 0.971, 0.15, 0.93};
	for (int b = 0; b < 10; b++)
	{
		double p = (b + 0.5) / 10.0;
		double half = 0.05 + 0.3 * p * (1 - p);

		bins[b] = (ReportCalibrationBin) {b / 10.0,
										  (b + 1) / 10.0,
										  (uint64_t) (b == 0   ? 160
													  : b == 9 ? 430
															   : 12 + 3 * b),
										  p,
										  fmin(1.0, p + 0.06 * sin(b)),
										  fmax(0.0, p + 0.06 * sin(b) - half),
										  fmin(1.0, p + 0.06 * sin(b) + half)};
	}
	bins[4].n = 0;
	for (int i = 0; i < 25; i++)
		counts5[i] = (uint64_t) (i % 6 == 0 ? 120 + 17 * i : (i * 7) % 13);
}

/* Well-formed enough: as many elements opened as closed, none left open. */
static bool
balanced(const ReportBuffer *b)
{
	long depth = 0;

	for (size_t i = 0; i + 1 < b->length; i++)
	{
		if (b->data[i] != '<' || b->data[i + 1] == '!')
			continue;
		if (b->data[i + 1] == '/')
			depth--;
		else
		{
			size_t end = i;

			while (end < b->length && b->data[end] != '>')
				end++;
			if (end < b->length && b->data[end - 1] != '/')
				depth++;
		}
		if (depth < 0)
			return false;
	}
	return depth == 0;
}

static void
check_picture(ReportBuffer *b, const char *name, ReportStatus status)
{
	unit_ok(status == REPORT_OK, "%s is drawn", name);
	unit_ok(balanced(b), "%s is balanced", name);
	unit_ok(has(b, "role=\"img\"") && has(b, "<title id=") && has(b, "<desc id=") &&
				has(b, "prefers-color-scheme:dark"),
			"%s can be read aloud and in the dark", name);
	unit_ok(!has(b, "n/a") && !has(b, "nan") && !has(b, "\xE2\x88\x9E"), "%s has only numbers", name);
}

static void
test_pictures(void)
{
	ReportBuffer b = new_buffer();
	double gaps[3] = {NAN, 0.3, INFINITY};
	ReportHistory odd = {"a\"b", "<&>", 3, gaps, NULL, NULL, NULL, 2};
	double one = 0.69;
	ReportHistory single = {NULL, NULL, 1, &one, &one, NULL, NULL, 0};

	double falling[3] = {0.7, 0.5, 0.4};
	ReportRun runs[REPORT_MAX_SERIES];
	ReportHistories histories = {NULL, NULL, REPORT_MAX_SERIES, runs};

	for (size_t r = 0; r < REPORT_MAX_SERIES; r++)
		runs[r] = (ReportRun) {"run <7>",
							   r > 0 ? "learning_rate 0.01" : NULL,
							   1 + r % 3,
							   falling,
							   r == 3 ? NULL : falling,
							   r == 5,
							   r % 2};
	check_picture(&b, "history", report_svg_history(&b, &history));
	unit_ok(has(&b, "best: epoch 13") && has(&b, "id=\"history-title\""), "the best epoch is named");
	b.length = 0;
	check_picture(&b, "several histories", report_svg_histories(&b, &histories));
	unit_ok(
		has(&b,
			"run &lt;7&gt; (learning_rate 0.01): best epoch 1 of 2, validation loss 0.7000, accuracy 0.7000.") &&
			has(&b, "run &lt;7&gt; (training)") && has(&b, "class=\"k s7\""),
		"each run is described and drawn");
	runs[0].best_epoch = 2;
	unit_ok(report_svg_histories(&b, &histories) == REPORT_BAD_ARGUMENT,
			"a best epoch of no run is an error");
	runs[0].best_epoch = 0;
	histories.n_runs = REPORT_MAX_SERIES + 1;
	unit_ok(report_svg_histories(&b, &histories) == REPORT_BAD_ARGUMENT, "too many runs are an error");
	b.length = 0;
	check_picture(&b, "roc", report_svg_roc(&b, &roc));
	unit_ok(has(&b, "AUC 0.981 (0.969 to 0.989)") && has(&b, "threshold 0.437"),
			"the legend has the figures");
	b.length = 0;
	check_picture(&b, "calibration", report_svg_calibration(&b, &calibration));
	unit_ok(has(&b, "ECE 0.021 (0.011 to 0.043), slope 1.040, intercept -0.080, Brier 0.043"),
			"the figures are written");
	b.length = 0;
	check_picture(&b, "confusion", report_svg_confusion(&b, &confusion));
	unit_ok(has(&b, "True NORMAL, predicted PNEUMONIA: 24.") && has(&b, "96.5 %"), "cells are described");
	b.length = 0;
	check_picture(&b, "confusion of five", report_svg_confusion(&b, &confusion5));
	unit_ok(has(&b, "COVID &lt;19&gt; &amp;") && !has(&b, "<19>"), "names are escaped");
	b.length = 0;
	unit_ok(report_svg_history(&b, &odd) == REPORT_OK && balanced(&b), "gaps and odd names");
	unit_ok(has(&b, "id=\"ab-title\"") && has(&b, "&lt;&amp;&gt;"), "id and title are made safe");
	b.length = 0;
	check_picture(&b, "one epoch", report_svg_history(&b, &single));
	single.n_epochs = 0;
	unit_ok(report_svg_history(&b, &single) == REPORT_BAD_ARGUMENT, "no epoch is an error");
	odd.best_epoch = 4;
	unit_ok(report_svg_history(&b, &odd) == REPORT_BAD_ARGUMENT, "a best epoch that was not is an error");
	roc.n_curves = REPORT_MAX_SERIES + 1;
	unit_ok(report_svg_roc(&b, &roc) == REPORT_BAD_ARGUMENT, "too many curves are an error");
	roc.n_curves = 2;
	calibration.n_bins = 0;
	unit_ok(report_svg_calibration(&b, &calibration) == REPORT_BAD_ARGUMENT, "no bins are an error");
	calibration.n_bins = 10;
	confusion.n_classes = 1;
	unit_ok(report_svg_confusion(&b, &confusion) == REPORT_BAD_ARGUMENT, "one class is an error");
	confusion.n_classes = 2;
	b.length = 0;
	check_picture(&b, "lines", report_svg_lines(&b, &lines));
	unit_ok(has(&b, ">here</text>"), "the mark is named");
	lines.diagonal = true;
	lines.mark = NAN;
	b.length = 0;
	check_picture(&b, "lines and a diagonal", report_svg_lines(&b, &lines));
	unit_ok(has(&b, "class=\"mark\""), "the diagonal is drawn");
	lines.diagonal = false;
	lines.n_lines = REPORT_MAX_SERIES + 1;
	unit_ok(report_svg_lines(&b, &lines) == REPORT_BAD_ARGUMENT, "too many lines are an error");
	lines.n_lines = 3;
	b.length = 0;
	check_picture(&b, "scores", report_svg_scores(&b, &scores));
	unit_ok(has(&b, "9,880 images of &lt;b&gt; above") && has(&b, "threshold 0.437") && has(&b, ">1,000<"),
			"scores are described, names escaped, numbers separated");
	scores.n_bins = 0;
	unit_ok(report_svg_scores(&b, &scores) == REPORT_BAD_ARGUMENT, "no bins of scores are an error");
	scores.n_bins = 20;
	b.length = 0;
	check_picture(&b, "forest", report_svg_forest(&b, &forest));
	unit_ok(has(&b, "12,345 images: 0.930 (0.910 to 0.950)") && has(&b, "not defined") &&
				has(&b, "class=\"hollow\"") && has(&b, "sex &lt;/text&gt;"),
			"groups are described, few ones drawn hollow");
	forest_rows[0].high = 1.5;
	unit_ok(report_svg_forest(&b, &forest) == REPORT_BAD_ARGUMENT, "limits beyond 1 are an error");
	forest_rows[0].high = 0.95;
	free(b.data);
}

/* ---- the page ---- */

static const char *const headings[] = {"figure",       "validation", "95 % limits", "test",
									   "95 % limits ", "images",     "patients"};
static const char *const cells[] =
	{"accuracy",    "0.952", "0.934 to 0.965", "0.947", "0.928 to 0.961", "746", "412",
	 "sensitivity", "0.965", "0.946 to 0.978", "0.959", "0.938 to 0.973", "544", "297",
	 "specificity", "0.881", "0.829 to 0.919", "0.874", "0.821 to 0.913", "202", "115",
	 "log loss",    "0.121", "0.094 to 0.158", "0.139", "0.108 to 0.181", "746", "412"};
static const ReportTable table = {"Figures with 95 % limits, by patient", 7, 4, headings, cells, 0x7E};
static const char *const terms[] = {"model", "version", "SHA-256", "data", "intended use"};
static const char *const values[] = {
	"deep",
	"3",
	"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"4,975 images of 2,790 patients; 1,345 NORMAL, 3,630 PNEUMONIA",
	"Research. Paediatric chest X-rays, one view, one hospital; no diagnosis rests on a score alone.",
};
static const ReportFacts facts = {5, terms, values};
static const ReportText intro =
	{REPORT_TEXT_PARAGRAPH,
	 "A convolutional network for pneumonia on chest X-rays, trained inside the database."};
static const ReportText warning = {
	REPORT_TEXT_WARNING,
	"width, height and bytes alone tell the classes with AUC 0.92; the network may use the same shortcut <script>alert(1)</script>."};
static const ReportText note = {REPORT_TEXT_NOTE,
								"The test split has been looked at 2 times for this version."};
static const ReportText code = {
	REPORT_TEXT_CODE,
	"{\"model\": \"deep\", \"epochs\": 20, \"group_column\": \"patient\",\n \"operating_point\": {\"sensitivity\": 0.95, \"confidence\": 0.95}}"};
static const uint8_t tiny_png[] = {0x89, 'P', 'N',  'G',  13,   10,   26,   10,   0,    0, 0, 13,
								   'I',  'H', 'D',  'R',  0,    0,    0,    1,    0,    0, 0, 1,
								   8,    0,   0,    0,    0,    0x3A, 0x7E, 0x9B, 0x55, 0, 0, 0,
								   10,   'I', 'D',  'A',  'T',  0x78, 0x9C, 0x63, 0x68, 0, 0, 0,
								   0x82, 0,   0x81, 0x77, 0xCD, 0x72, 0xB6, 0,    0,    0, 0, 'I',
								   'E',  'N', 'D',  0xAE, 0x42, 0x60, 0x82};
static ReportImage images_list[12] = {
	{tiny_png, sizeof(tiny_png), 0, 0, "a grey pixel", "IM-0145: score 0.031, true PNEUMONIA"},
};
static ReportImages images = {1, images_list, false};

static const ReportBlock about[] = {{REPORT_BLOCK_TILES, &tiles},  {REPORT_BLOCK_TEXT, &verdict},
									{REPORT_BLOCK_TEXT, &intro},   {REPORT_BLOCK_FACTS, &facts},
									{REPORT_BLOCK_TEXT, &warning}, {REPORT_BLOCK_WARNINGS, &warning_items}};
static const ReportBlock training[] = {{REPORT_BLOCK_HISTORY, &history},
									   {REPORT_BLOCK_ROC, &roc},
									   {REPORT_BLOCK_CALIBRATION, &calibration},
									   {REPORT_BLOCK_CONFUSION, &confusion},
									   {REPORT_BLOCK_CONFUSION, &confusion5},
									   {REPORT_BLOCK_LINES, &lines},
									   {REPORT_BLOCK_SCORES, &scores},
									   {REPORT_BLOCK_FOREST, &forest},
									   {REPORT_BLOCK_TEXT, &note}};
static const ReportBlock figures[] = {{REPORT_BLOCK_TABLE, &table}};
static const ReportBlock failures[] = {{REPORT_BLOCK_IMAGES, &images}};
static const ReportBlock provenance[] = {{REPORT_BLOCK_TEXT, &code}};
static const ReportSection sections[] = {
	{"Model card", 6, about},  {"Training and curves", 9, training},   {"Figures", 1, figures},
	{"Failures", 1, failures}, {"Provenance & config", 1, provenance},
};
static const ReportPage page = {"pneumo report: deep, version 3", "chest X-rays, NORMAL or PNEUMONIA", 5,
								sections, "written by pneumo"};

static void
test_page(void)
{
	ReportBuffer b = new_buffer();
	size_t length;
	ReportBlock bad = {REPORT_BLOCK_TABLE, NULL};
	ReportSection bad_section = {"x", 1, &bad};
	ReportPage bad_page = {"x", NULL, 1, &bad_section, NULL};
	ReportTable no_columns = {NULL, 0, 0, headings, NULL, 0};
	ReportImage no_image = {(const uint8_t *) "GIF89a", 6, 0, 0, NULL, NULL};
	ReportImages no_images = {1, &no_image, false};

	unit_ok(report_html_page(&b, &page) == REPORT_OK, "the page is written");
	unit_ok(has(&b, "<b>Verdict:</b> For research.") && has(&b, "<li>few &lt;/li&gt; patients</li>") &&
				has(&b, "<dd>0.93 &lt;</dd>"),
			"verdict, warnings and tiles are written");
	unit_ok(!has(&b, "<script") && has(&b, "&lt;script&gt;"), "no script, foreign text is escaped");
	unit_ok(has(&b, "default-src 'none'") && has(&b, "data:image/png;base64,iVBORw0KGgo"), "self-contained");
	unit_ok(!has(&b, "http://") || !has(&b, "src=\"http"), "nothing is loaded");
	length = b.length;
	for (size_t limit = 0; limit < length; limit += 997)
	{
		b.length = 0;
		b.status = REPORT_OK;
		b.limit = limit;
		if (report_html_page(&b, &page) != REPORT_TOO_LARGE || b.length > limit)
		{
			unit_ok(false, "limit %zu", limit);
			break;
		}
	}
	b.limit = length;
	b.length = 0;
	b.status = REPORT_OK;
	unit_ok(report_html_page(&b, &page) == REPORT_OK && b.length == length, "the exact limit suffices");
	b.limit = SIZE_MAX;
	unit_ok(report_html_page(&b, &bad_page) == REPORT_BAD_ARGUMENT, "a block without content is an error");
	bad.content = &no_columns;
	unit_ok(report_html_page(&b, &bad_page) == REPORT_BAD_ARGUMENT, "a table without columns is an error");
	bad.type = REPORT_BLOCK_IMAGES;
	bad.content = &no_images;
	unit_ok(report_html_page(&b, &bad_page) == REPORT_BAD_ARGUMENT, "neither JPEG nor PNG is an error");
	free(b.data);
}

/* ---- files to look at ---- */

static void
save(const char *folder, const char *name, ReportBuffer *b)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	unit_ok(file != NULL && fwrite(b->data, 1, b->length, file) == b->length, "%s is saved", name);
	if (file != NULL)
		fclose(file);
	b->length = 0;
}

static void
save_samples(int argc, char **argv)
{
	ReportBuffer b = new_buffer();

	report_svg_history(&b, &history);
	save(argv[1], "history.svg", &b);
	report_svg_roc(&b, &roc);
	save(argv[1], "roc.svg", &b);
	report_svg_calibration(&b, &calibration);
	save(argv[1], "calibration.svg", &b);
	report_svg_confusion(&b, &confusion5);
	save(argv[1], "confusion.svg", &b);
	images.n_images = 0;
	for (int i = 2; i < argc && images.n_images < 12; i++)
	{
		FILE *file = fopen(argv[i], "rb");
		uint8_t *bytes = malloc(1000000);
		ReportImage *image = &images_list[images.n_images];

		if (file == NULL || bytes == NULL)
			continue;
		*image = images_list[0];
		image->n_bytes = fread(bytes, 1, 1000000, file);
		image->bytes = bytes;
		image->alternative = "chest X-ray";
		image->caption = "IM-0145-0001.jpeg: score 0.031, true PNEUMONIA";
		fclose(file);
		images.n_images++;
	}
	unit_ok(report_html_page(&b, &page) == REPORT_OK, "the sample page is written");
	save(argv[1], "page.html", &b);
	free(b.data);
}

int
main(int argc, char **argv)
{
	make_data();
	test_buffer();
	test_ticks();
	test_pictures();
	test_page();
	if (argc > 1)
		save_samples(argc, argv);
	return unit_done();
}

/*-------------------------------------------------------------------------
 *
 * report_data.c
 *	  The report's section about the data: counts, shortcuts, pictures of the
 *	  training images.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "image/image.h"
#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define CONTRAST_SCALE 32.0f /* grey levels in full colour, as pneumo_contrast_image */
#define CONTRAST_ZERO 232

static void
data_table(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Split", "Class", "Images", "Patients"};
	const PneumoDataset *dataset = r->e.dataset;
	bool grouped = r->e.source->col_group > 0;
	PneumoTable *table =
		pneumo_table_begin(section, "Images and patients by split and class", 4, headings, 12);
	int s;
	int c;

	for (s = 0; s < 3; s++)
		for (c = 0; c < dataset->n_classes; c++)
		{
			pneumo_table_cell(table, "%s", pneumo_split_names[s]);
			pneumo_table_cell(table, "%s", pneumo_report_meta(r)->classes[c]);
			pneumo_table_cell(table, "%s", pneumo_count_text(dataset->rows[s][c]));
			if (grouped)
				pneumo_table_cell(table, "%s", pneumo_count_text(dataset->groups[s][c]));
			else
				pneumo_table_cell(table, "not known");
		}
	pneumo_table_end(table);
	if (!grouped)
		pneumo_section_text(
			section, REPORT_TEXT_WARNING,
			"Rows are not grouped by patient. If a patient has more than one image, some may be in two splits, and the intervals below are too narrow. Train with \"group_column\".");
}

static void
left_out(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Left out", "Rows"};
	const PneumoDataset *dataset = r->e.dataset;
	PneumoTable *table = NULL;
	int i;

	for (i = 0; i < PNEUMO_N_LEFT_OUT; i++)
	{
		if (dataset->left_out[i] == 0)
			continue;
		if (table == NULL)
			table = pneumo_table_begin(section, "Rows that do not count", 2, headings, 2);
		pneumo_table_cell(table, "%s", pneumo_left_out_names[i]);
		pneumo_table_cell(table, "%s", pneumo_count_text(dataset->left_out[i]));
	}
	if (table != NULL)
		pneumo_table_end(table);
	else
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
							"All %s rows of the table count: none is unlabelled, unreadable or a duplicate.",
							pneumo_count_text(dataset->n_rows));
}

/* Draws the mean of a class's training images. */
static bytea *
mean_picture(const PneumoReport *r, int class)
{
	const ImgPreprocess *pre = &r->e.config->preprocess;
	size_t n = (size_t) pre->height * pre->width;
	uint8 *pixels = palloc(n);
	size_t i;

	for (i = 0; i < n; i++)
		pixels[i] = (uint8) ((r->sum[class][i] + r->n_sum[class] / 2) / r->n_sum[class]);
	return pneumo_picture(pixels, pre->height, pre->width, 1);
}

static bytea *
contrast_picture(const PneumoReport *r)
{
	const ImgPreprocess *pre = &r->e.config->preprocess;
	size_t n = (size_t) pre->height * pre->width;
	uint8 *grey = palloc(n);
	uint8 *pixels = palloc(n * 3);
	float *map = palloc(n * sizeof(float));
	size_t i;

	memset(grey, CONTRAST_ZERO, n);
	for (i = 0; i < n; i++)
		map[i] = (float) ((double) r->sum[1][i] / (double) r->n_sum[1] -
						  (double) r->sum[0][i] / (double) r->n_sum[0]);
	img_overlay(pixels, grey, pre->height, pre->width, map, pre->height, pre->width, CONTRAST_SCALE, 1.0f);
	return pneumo_picture(pixels, pre->height, pre->width, 3);
}

/* Adds the means of the classes, the difference of two, and the eigenimages. */
static void
mean_pictures(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	PneumoGallery *gallery = pneumo_gallery_begin(meta->n_classes + 1 + r->n_eigenimages);
	bool both = true;
	int i;

	for (i = 0; i < meta->n_classes; i++)
	{
		both &= r->n_sum[i] > 0;
		if (r->n_sum[i] > 0)
			pneumo_gallery_add(gallery, mean_picture(r, i),
							   psprintf("Mean of the training images of class %s", meta->classes[i]),
							   psprintf("Mean of %s", meta->classes[i]));
	}
	if (meta->n_classes == 2 && both)
		pneumo_gallery_add(
			gallery, contrast_picture(r), "Difference of the two means",
			psprintf("%s minus %s: red brighter, blue darker, full colour at 32 of 256 grey levels",
					 meta->classes[1], meta->classes[0]));
	for (i = 0; i < r->n_eigenimages; i++)
		pneumo_gallery_add(gallery, r->eigenimages[i].picture, psprintf("Eigenimage %d", i + 1),
						   psprintf("Eigenimage %d, %.0f %% of the variance", i + 1,
									100 * r->eigenimages[i].explained));
	pneumo_gallery_end(section, gallery);
}

/* Returns the network's own AUC for a class on the validation split; NaN if there is none. */
static double
network_auc(const PneumoReport *r, int class)
{
	double auc = NAN;
	StatsRows rows;
	PneumoStats stats;

	if (pneumo_report_rows(&rows, r, PNEUMO_VALIDATION, class) == 0)
		return NAN;
	pneumo_stats_begin(&stats);
	if (stats_auc(&auc, &rows, &stats.env) != STATS_OK)
		auc = NAN;
	pneumo_stats_end(&stats);
	return auc;
}

/* Says how well the classes can be told by what is no radiology, and by the network. */
static void
shortcut(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	const StatsInterval *auc = &r->shortcut.auc.auc;
	bool found = pneumo_report_shortcut_found(r);
	char *network = "";
	double own;

	if (r->shortcut_class < 0)
		return;
	own = network_auc(r, r->shortcut_class);
	if (!isnan(own))
		network = psprintf(" The network's own on the validation split is %.2f.", own);
	pneumo_section_text(
		section, found ? REPORT_TEXT_WARNING : REPORT_TEXT_PARAGRAPH,
		"Shortcuts: width, height, aspect ratio, bytes, colour components and brightness alone tell %s with an AUC of %.2f (%.2f to %.2f; %u folds by %s).%s%s",
		meta->n_classes == 2 ? "the classes"
							 : psprintf("class %s from the others", meta->classes[r->shortcut_class]),
		auc->value, auc->low, auc->high, r->shortcut.n_folds, pneumo_report_unit(&r->e), network,
		found
			? " The classes come from different sources, and the network may have learnt that instead of the lungs: expect worse elsewhere."
			: " No easy shortcut is in sight.");
}

void
pneumo_report_data(PneumoSection *section, const PneumoReport *r)
{
	PneumoGallery *gallery;
	int i;

	section->heading = "Data";
	data_table(section, r);
	left_out(section, r);
	shortcut(section, r);
	if (!r->images)
		return;
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"Training images, drawn by the hash of their bytes and so without choice:");
	gallery = pneumo_gallery_begin(Max(1, r->n_samples));
	for (i = 0; i < r->n_samples; i++)
		pneumo_gallery_add(gallery, r->samples[i].plain,
						   psprintf("Radiograph of row %s, class %s",
									pneumo_report_key(&r->e, r->samples[i].sample),
									pneumo_report_class(&r->e, r->samples[i].sample)),
						   psprintf("%s, row %s", pneumo_report_class(&r->e, r->samples[i].sample),
									pneumo_report_key(&r->e, r->samples[i].sample)));
	pneumo_gallery_end(section, gallery);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "Means of the training images%s:",
						r->n_eigenimages > 0 ? ", and the first eigenimages of a sample of the table" : "");
	mean_pictures(section, r);
}

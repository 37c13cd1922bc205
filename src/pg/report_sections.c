/*-------------------------------------------------------------------------
 *
 * report_sections.c
 *	  The sections of the report but the figures: what is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/report_page.h"
#include "pg/explore.h"
#include "pg/plots.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CONTRAST_SCALE 32.0f	/* grey levels in full colour, as pneumo_contrast_image */
#define CONTRAST_ZERO 232
#define MAX_FACTS 32
#define N_FEATURES 7
#define FEW_GROUPS 20			/* of a class on a side */

/* ----------------------------------------------------------------- building */

const char *
pneumo_u8(const char *string)
{
	return pneumo_report_utf8(string);
}

void
pneumo_section_add(PneumoSection *section, ReportBlockType type, const void *content)
{
	if (section->n_blocks >= REPORT_SECTION_BLOCKS)
		elog(ERROR, "a section of the report has too many blocks");
	section->blocks[section->n_blocks].type = type;
	section->blocks[section->n_blocks++].content = content;
}

static char *format_text(const char *format, va_list args) pg_attribute_printf(1, 0);

static char *
format_text(const char *format, va_list args)
{
	va_list		copy;
	size_t		room = 256;

	for (;;)
	{
		char	   *buffer = palloc(room);
		size_t		needed;

		va_copy(copy, args);
		needed = pvsnprintf(buffer, room, format, copy);
		va_end(copy);
		if (needed < room)
			return buffer;
		pfree(buffer);
		room = needed + 1;
	}
}

void
pneumo_section_text(PneumoSection *section, ReportTextKind kind, const char *format,...)
{
	ReportText *text = palloc(sizeof(ReportText));
	va_list		args;

	va_start(args, format);
	text->kind = kind;
	text->text = pneumo_u8(format_text(format, args));
	va_end(args);
	pneumo_section_add(section, REPORT_BLOCK_TEXT, text);
}

PneumoTable *
pneumo_table_begin(PneumoSection *section, const char *caption, int n_columns,
				   const char *const *headings, uint64 numeric)
{
	PneumoTable *table = palloc0(sizeof(PneumoTable));

	table->max_cells = 64;
	table->cells = palloc(table->max_cells * sizeof(char *));
	table->table.caption = caption;
	table->table.n_columns = (size_t) n_columns;
	table->table.headings = headings;
	table->table.numeric = numeric;
	pneumo_section_add(section, REPORT_BLOCK_TABLE, &table->table);
	return table;
}

void
pneumo_table_cell(PneumoTable *table, const char *format,...)
{
	va_list		args;

	if (table->n_cells >= table->max_cells)
	{
		table->max_cells *= 2;
		table->cells = repalloc(table->cells, table->max_cells * sizeof(char *));
	}
	va_start(args, format);
	table->cells[table->n_cells++] = pneumo_u8(format_text(format, args));
	va_end(args);
}

void
pneumo_table_end(PneumoTable *table)
{
	table->table.cells = table->cells;
	table->table.n_rows = table->n_cells / table->table.n_columns;
}

typedef struct Facts
{
	ReportFacts facts;
	const char *terms[MAX_FACTS];
	const char *values[MAX_FACTS];
} Facts;

static Facts *
facts_begin(PneumoSection *section)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	facts->facts.terms = facts->terms;
	facts->facts.values = facts->values;
	pneumo_section_add(section, REPORT_BLOCK_FACTS, &facts->facts);
	return facts;
}

static void fact(Facts *facts, const char *term, const char *format,...) pg_attribute_printf(3, 4);

static void
fact(Facts *facts, const char *term, const char *format,...)
{
	va_list		args;
	size_t		at = facts->facts.n_facts;

	if (at >= MAX_FACTS)
		elog(ERROR, "the report has too many facts");
	va_start(args, format);
	facts->terms[at] = term;
	facts->values[at] = pneumo_u8(format_text(format, args));
	va_end(args);
	facts->facts.n_facts++;
}

typedef struct Gallery
{
	ReportImages images;
	ReportImage *list;
	size_t		room;
} Gallery;

static Gallery *
gallery_begin(size_t room)
{
	Gallery    *gallery = palloc0(sizeof(Gallery));

	gallery->room = room;
	gallery->list = palloc0(room * sizeof(ReportImage));
	gallery->images.images = gallery->list;
	return gallery;
}

static void
gallery_add(Gallery *gallery, const bytea *picture, const char *alternative, const char *caption)
{
	ReportImage *image;
	ImgInfo		info;
	ImgError	error;

	if (picture == NULL || gallery->images.n_images >= gallery->room)
		return;
	image = &gallery->list[gallery->images.n_images++];
	image->bytes = (const uint8_t *) VARDATA(picture);
	image->n_bytes = VARSIZE(picture) - VARHDRSZ;
	if (img_jpeg_info(&info, image->bytes, image->n_bytes, NULL, &error) == IMG_OK)
	{
		image->width = info.width;
		image->height = info.height;
	}
	image->alternative = pneumo_u8(alternative);
	image->caption = pneumo_u8(caption);
}

static void
gallery_end(PneumoSection *section, Gallery *gallery)
{
	if (gallery->images.n_images > 0)
		pneumo_section_add(section, REPORT_BLOCK_IMAGES, &gallery->images);
}

/* ------------------------------------------------------------------ helpers */

static const PneumoModelMeta *
meta_of(const PneumoReport *r)
{
	return r->e.scorer->meta;
}

static char *
class_list(const PneumoReport *r)
{
	const PneumoModelMeta *meta = meta_of(r);
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; i < meta->n_classes; i++)
		appendStringInfo(&list, "%s%s%s", i > 0 ? ", " : "", meta->classes[i],
						 meta->n_classes == 2 && i == 1 ? " (positive)" : "");
	return list.data;
}

static const char *
key_of(const PneumoReport *r, int64 sample)
{
	const char *key = r->e.dataset->samples[sample].key;

	return key != NULL ? key : "(no key)";
}

static const char *
class_of(const PneumoReport *r, int64 sample)
{
	return meta_of(r)->classes[r->e.dataset->samples[sample].label];
}

/* Text of a key of the provenance, or NULL. */
static char *
provenance_text(const PneumoReport *r, const char *key)
{
	JsonbValue *value = r->e.provenance != NULL ?
		pneumo_json_get(&r->e.provenance->root, key) : NULL;
	char	   *text;

	if (pneumo_json_is_null(value))
		return NULL;
	text = pneumo_json_cstring(value);
	return text != NULL ? text : pneumo_json_full_text(value);
}

/* ----------------------------------------------------------------- sections */

void
pneumo_report_model(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = meta_of(r);
	Facts	   *facts;

	section->heading = "Model";
	facts = facts_begin(section);
	fact(facts, "Model", "%s, version %lld%s", r->e.model, (long long) r->e.id.version,
		 r->e.id.deployed ? " (deployed)" : "");
	fact(facts, "SHA-256", "%s", pneumo_sha256_hex(r->e.id.sha256));
	fact(facts, "Stored", "%s", timestamptz_to_str(r->created));
	fact(facts, "Classes", "%s", class_list(r));
	fact(facts, "Reads", "%d x %d pixels, %s", meta->preprocess.width, meta->preprocess.height,
		 meta->preprocess.channels == 1 ? "grey" : "RGB");
	fact(facts, "Size", "%lld parameters, %.1f MB", (long long) r->parameters, r->bytes / 1048576.0);
	fact(facts, "Gives", meta->n_classes == 2 ? "the probability of %s" : "a probability for each class",
		 meta->classes[1]);
	if (r->comment != NULL)
		fact(facts, "Comment", "%s", r->comment);
	pneumo_section_text(section, REPORT_TEXT_NOTE,
						"Made for research on images like those of its table. It is not a medical device, and its scores are no diagnosis.%s",
						r->images ? " This page shows images of patients and the keys of their rows: treat it as the table itself." : "");
}

static void
data_table(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Split", "Class", "Images", "Patients"};
	const PneumoDataset *dataset = r->e.dataset;
	bool		grouped = r->e.source->col_group > 0;
	PneumoTable *table = pneumo_table_begin(section, "Images and patients by split and class", 4, headings, 12);
	int			s;
	int			c;

	for (s = 0; s < 3; s++)
		for (c = 0; c < dataset->n_classes; c++)
		{
			pneumo_table_cell(table, "%s", pneumo_split_name((PneumoSplit) s));
			pneumo_table_cell(table, "%s", meta_of(r)->classes[c]);
			pneumo_table_cell(table, "%lld", (long long) dataset->rows[s][c]);
			if (grouped)
				pneumo_table_cell(table, "%lld", (long long) dataset->groups[s][c]);
			else
				pneumo_table_cell(table, "not known");
		}
	pneumo_table_end(table);
	if (!grouped)
		pneumo_section_text(section, REPORT_TEXT_WARNING,
							"Rows are not grouped by patient. If a patient has more than one image, some may be on both sides of the split, and the intervals below are too narrow. Train with \"group_column\".");
}

static void
left_out(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Left out", "Rows"};
	const PneumoDataset *dataset = r->e.dataset;
	PneumoTable *table = NULL;
	int			i;

	for (i = 0; i < PNEUMO_N_LEFT_OUT; i++)
	{
		if (dataset->left_out[i] == 0)
			continue;
		if (table == NULL)
			table = pneumo_table_begin(section, "Rows that do not count", 2, headings, 2);
		pneumo_table_cell(table, "%s", pneumo_left_out_names[i]);
		pneumo_table_cell(table, "%lld", (long long) dataset->left_out[i]);
	}
	if (table != NULL)
		pneumo_table_end(table);
	else
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "All %lld rows of the table count: none is unlabelled, unreadable or a duplicate.",
							(long long) dataset->n_rows);
}

/* The mean of a class's training images. */
static bytea *
mean_picture(const PneumoReport *r, int class)
{
	const ImgPreprocess *pre = &r->e.config->preprocess;
	size_t		n = (size_t) pre->height * pre->width;
	uint8	   *pixels = palloc(n);
	size_t		i;

	for (i = 0; i < n; i++)
		pixels[i] = (uint8) ((r->sum[class][i] + r->n_sum[class] / 2) / r->n_sum[class]);
	return pneumo_picture(pixels, pre->height, pre->width, 1);
}

static bytea *
contrast_picture(const PneumoReport *r)
{
	const ImgPreprocess *pre = &r->e.config->preprocess;
	size_t		n = (size_t) pre->height * pre->width;
	uint8	   *grey = palloc(n);
	uint8	   *pixels = palloc(n * 3);
	float	   *map = palloc(n * sizeof(float));
	size_t		i;

	memset(grey, CONTRAST_ZERO, n);
	for (i = 0; i < n; i++)
		map[i] = (float) ((double) r->sum[1][i] / (double) r->n_sum[1] -
						  (double) r->sum[0][i] / (double) r->n_sum[0]);
	img_overlay(pixels, grey, pre->height, pre->width, map, pre->height, pre->width, CONTRAST_SCALE, 1.0f);
	return pneumo_picture(pixels, pre->height, pre->width, 3);
}

static void
mean_pictures(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = meta_of(r);
	Gallery    *gallery = gallery_begin(meta->n_classes + 1 + r->n_eigenimages);
	bool		both = true;
	int			i;

	for (i = 0; i < meta->n_classes; i++)
	{
		both &= r->n_sum[i] > 0;
		if (r->n_sum[i] > 0)
			gallery_add(gallery, mean_picture(r, i),
						psprintf("Mean of the training images of class %s", meta->classes[i]),
						psprintf("Mean of %s", meta->classes[i]));
	}
	if (meta->n_classes == 2 && both)
		gallery_add(gallery, contrast_picture(r), "Difference of the two means",
					psprintf("%s minus %s: red brighter, blue darker, full colour at 32 of 256 grey levels",
							 meta->classes[1], meta->classes[0]));
	for (i = 0; i < r->n_eigenimages; i++)
		gallery_add(gallery, r->eigenimages[i].picture, psprintf("Eigenimage %d", i + 1),
					psprintf("Eigenimage %d, %.0f %% of the variance", i + 1,
							 100 * r->eigenimages[i].explained));
	gallery_end(section, gallery);
}

/* Can the classes be told by what is no radiology? */
static void
shortcut(PneumoSection *section, const PneumoReport *r)
{
	const PneumoDataset *dataset = r->e.dataset;
	double	   *features = MemoryContextAllocHuge(CurrentMemoryContext,
												  Max(1, dataset->n) * N_FEATURES * sizeof(double));
	uint8	   *labels = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n));
	uint64	   *clusters = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n) * sizeof(uint64));
	StatsEnv	env;
	StatsShortcut result;
	bool		found;
	size_t		n = 0;
	int64		i;

	if (meta_of(r)->n_classes != 2)
		return;
	for (i = 0; i < dataset->n; i++)
	{
		if (isnan(r->features[i * N_FEATURES]))
			continue;
		memcpy(features + n * N_FEATURES, r->features + i * N_FEATURES, N_FEATURES * sizeof(double));
		labels[n] = dataset->samples[i].label == 1;
		memcpy(&clusters[n++], dataset->samples[i].group, sizeof(uint64));
	}
	pneumo_stats_env(&env);
	if (n == 0 || stats_shortcut(&result, NULL, features, N_FEATURES, labels, clusters, n,
								 STATS_SHORTCUT_FOLDS, 0, STATS_DEFAULT_CONFIDENCE, &env) != STATS_OK)
		return;
	found = result.auc.auc.value > STATS_SHORTCUT_WARNING;
	pneumo_section_text(section, found ? REPORT_TEXT_WARNING : REPORT_TEXT_PARAGRAPH,
						"Shortcuts: width, height, aspect ratio, bytes, colour components and brightness alone tell the classes with an AUC of %.2f (%.2f to %.2f; %u folds by %s).%s",
						result.auc.auc.value, result.auc.auc.low, result.auc.auc.high, result.n_folds,
						r->e.source->col_group > 0 ? "patient" : "image",
						found ?
						" The classes come from different sources, and the network may have learnt that instead of the lungs: expect worse elsewhere." :
						" That is no more than chance or little: no easy shortcut is in sight.");
}

void
pneumo_report_data(PneumoSection *section, const PneumoReport *r)
{
	Gallery    *gallery;
	int			i;

	section->heading = "Data";
	data_table(section, r);
	left_out(section, r);
	shortcut(section, r);
	if (!r->images)
		return;
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"Training images, drawn by the hash of their bytes and so without choice:");
	gallery = gallery_begin(Max(1, r->n_samples));
	for (i = 0; i < r->n_samples; i++)
		gallery_add(gallery, r->samples[i].plain,
					psprintf("Radiograph of row %s, class %s", key_of(r, r->samples[i].sample),
							 class_of(r, r->samples[i].sample)),
					psprintf("%s, row %s", class_of(r, r->samples[i].sample), key_of(r, r->samples[i].sample)));
	gallery_end(section, gallery);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "Means of the training images%s:",
						r->n_eigenimages > 0 ? ", and the first eigenimages of a sample of the table" : "");
	mean_pictures(section, r);
}

void
pneumo_report_network(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Layer", "Type", "Output", "Weights", "Mega multiply-adds"};
	const NnGraph *graph = r->e.scorer->engine->engine.graph;
	PneumoTable *table;
	double		total = 0;
	int			i;

	section->heading = "Network";
	table = pneumo_table_begin(section, "Layers in the order of computation", 5, headings, 24);
	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo	node;

		nn_graph_node(&node, graph, i);
		/* names of layers are UTF-8 */
		pneumo_table_cell(table, "%s", pg_any_to_server(node.name, (int) strlen(node.name), PG_UTF8));
		pneumo_table_cell(table, "%s", nn_op_info(node.op)->class_name);
		if (node.shape.rank == 3)
			pneumo_table_cell(table, "%d x %d x %d", node.shape.h, node.shape.w, node.shape.c);
		else
			pneumo_table_cell(table, "%d", node.shape.c);
		pneumo_table_cell(table, "%zu", node.n_weights);
		pneumo_table_cell(table, "%.2f", (double) node.multiply_adds / 1e6);
		total += (double) node.multiply_adds / 1e6;
	}
	pneumo_table_end(table);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "%lld parameters; %.1f million multiply-adds an image.",
						(long long) r->parameters, total);
}

void
pneumo_report_training(PneumoSection *section, const PneumoReport *r)
{
	ReportHistory *history;
	NnEpochLog *logs;
	double	   *column[4];
	bool		validated = false;
	int			n;
	int			i;

	section->heading = "Training";
	if (r->run == 0 || r->run_row == NULL)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, r->run == 0 ?
							"This version was imported: how it was trained is not known here." :
							"The curves of training run %lld can be seen by its owner, or it was forgotten.",
							(long long) r->run);
		return;
	}
	n = pneumo_run_epochs(r->run, 0, &logs);
	if (n == 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "Training run %lld has no epochs.", (long long) r->run);
		return;
	}
	for (i = 0; i < 4; i++)
		column[i] = palloc(n * sizeof(double));
	for (i = 0; i < n; i++)
	{
		column[0][i] = logs[i].loss;
		column[1][i] = logs[i].val_loss;
		column[2][i] = logs[i].accuracy;
		column[3][i] = logs[i].val_accuracy;
		validated |= !isnan(logs[i].val_loss);
	}
	history = palloc0(sizeof(ReportHistory));
	history->title = psprintf("Loss and accuracy by epoch, run %lld", (long long) r->run);
	history->n_epochs = (size_t) n;
	history->loss = column[0];
	history->val_loss = validated ? column[1] : NULL;
	history->accuracy = column[2];
	history->val_accuracy = validated ? column[3] : NULL;
	history->best_epoch = r->run_row->best_epoch > 0 && r->run_row->best_epoch <= n ?
		(size_t) r->run_row->best_epoch : 0;
	pneumo_section_add(section, REPORT_BLOCK_HISTORY, history);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"%d epochs of at most %d, weights of epoch %d. The training figures are running means over augmented images while the weights change, so they are not comparable with those of the validation split.",
						n, r->run_row->epochs, r->run_row->best_epoch);
}

/* Image and map of each of some rows; two rows a gallery, so that image and map stay together. */
static void
map_pictures(PneumoSection *section, const PneumoReport *r, const PneumoReportPicture *pictures, int n)
{
	Gallery    *gallery = NULL;
	int			i;

	for (i = 0; i < n; i++)
	{
		const PneumoReportPicture *p = &pictures[i];
		const double *probability = pneumo_evaluation_probability(&r->e, p->sample);
		int			predicted = pneumo_evaluation_class(&r->e, probability);
		int			shown = meta_of(r)->n_classes == 2 ? 1 : predicted;

		if (i % 2 == 0)
			gallery = gallery_begin(4);
		gallery_add(gallery, p->plain, psprintf("Radiograph of row %s", key_of(r, p->sample)),
					psprintf("Row %s: is %s, called %s (%s %.2f)", key_of(r, p->sample),
							 class_of(r, p->sample), meta_of(r)->classes[predicted],
							 meta_of(r)->classes[shown], probability[shown]));
		gallery_add(gallery, p->overlay, psprintf("The same with the map of what speaks for %s", meta_of(r)->classes[shown]),
					psprintf("Row %s, %s %s", key_of(r, p->sample),
							 p->empty ? "empty map: nowhere anything for or against" : "red for, blue against",
							 meta_of(r)->classes[shown]));
		if (i % 2 == 1 || i == n - 1)
			gallery_end(section, gallery);
	}
}

static void
failure_table(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Row", "Is", "Called", "Probability", "Nearest training images"};
	PneumoTable *table = pneumo_table_begin(section, "The worst of the validation split", 5, headings, 8);
	int64		i;
	int			k;

	for (i = 0; i < r->n_failures; i++)
	{
		const PneumoFailure *f = &r->failures[i];
		StringInfoData near;

		initStringInfo(&near);
		for (k = 0; k < f->n_neighbours; k++)
			appendStringInfo(&near, "%s%s (%s)", k > 0 ? ", " : "", key_of(r, f->neighbours[k].sample),
							 class_of(r, f->neighbours[k].sample));
		pneumo_table_cell(table, "%s", key_of(r, f->sample));
		pneumo_table_cell(table, "%s", class_of(r, f->sample));
		pneumo_table_cell(table, "%s", meta_of(r)->classes[f->predicted]);
		pneumo_table_cell(table, "%.3f", f->score);
		pneumo_table_cell(table, "%s", near.len > 0 ? near.data : "none");
	}
	pneumo_table_end(table);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"Probability: %s. Nearest: by the angle between what the last layer reads of the two images.",
						meta_of(r)->n_classes == 2 ? psprintf("of %s", meta_of(r)->classes[1]) : "of the class it was called");
}

void
pneumo_report_failures(PneumoSection *section, const PneumoReport *r)
{
	section->heading = "Failures";
	if (r->e.dataset->split_rows[PNEUMO_VALIDATION] == 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "There is no validation split to look for failures in.");
		return;
	}
	if (r->n_failures == 0)
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, r->max_failures > 0 ?
							"No row of the validation split is called wrongly." : "Not asked for.");
	else
		failure_table(section, r);
	if (r->images && r->n_failure_pictures > 0)
		map_pictures(section, r, r->failure_pictures, r->n_failure_pictures);
	if (r->images && r->n_right > 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "For comparison, rows that are called rightly and with most certainty:");
		map_pictures(section, r, r->right, r->n_right);
	}
	if (!r->maps)
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
							"The network has no convolution, so there are no maps of where a score comes from.");
	else if (r->images)
		pneumo_section_text(section, REPORT_TEXT_NOTE,
							"A map shows which places moved this network's score, each picture in full colour at its own largest value. It does not show that they should have, and not where a disease is.");
}

void
pneumo_report_provenance(PneumoSection *section, const PneumoReport *r)
{
	static const struct
	{
		const char *key;
		const char *term;
	}			known[] = {
		{"source", "Trained on"}, {"fingerprint", "Data fingerprint"}, {"rows", "Images trained with"},
		{"groups", "Patients trained with"}, {"epoch", "Epoch of the weights"},
		{"build", "Build"}, {"path", "CPU path"}, {"blas", "BLAS"}, {"threads", "Threads"},
		{"settings", "Settings"}
	};
	Facts	   *facts;
	JsonbValue *config;
	size_t		i;

	section->heading = "Provenance";
	facts = facts_begin(section);
	fact(facts, "SHA-256 of the version", "%s", pneumo_sha256_hex(r->e.id.sha256));
	fact(facts, "Training run", r->run > 0 ? "%lld" : "none: imported", (long long) r->run);
	for (i = 0; i < lengthof(known); i++)
	{
		char	   *text = provenance_text(r, known[i].key);

		if (text != NULL)
			fact(facts, known[i].term, "%s", text);
	}
	fact(facts, "This report reads", "%s, data fingerprint %s", r->e.source->name,
		 pneumo_sha256_hex(r->e.dataset->fingerprint));
	fact(facts, "Split", r->e.config->split_column != NULL ? "by column \"%s\"" :
		 "by hash of the %s, seed %d, validation %g, test %g",
		 r->e.config->split_column != NULL ? r->e.config->split_column :
		 r->e.source->col_group > 0 ? "patient" : "image",
		 r->e.config->split_seed, r->e.config->validation_split, r->e.config->test_split);
	fact(facts, "This report's build", "%s", pneumo_build());
	config = r->e.provenance != NULL ? pneumo_json_get(&r->e.provenance->root, "config") : NULL;
	if (pneumo_json_object(config) != NULL)
	{
		Jsonb	   *whole = JsonbValueToJsonb(config);

		if (pneumo_json_get(&whole->root, "seed") == NULL)
			fact(facts, "Seed", "0 (the default)");
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "The config of the training:");
		pneumo_section_text(section, REPORT_TEXT_CODE, "%s",
							JsonbToCStringIndent(NULL, &whole->root, VARSIZE(whole)));
	}
}

/* A side and class on which little can be said. */
static void
few_patients(PneumoSection *section, const PneumoReport *r)
{
	int			s;
	int			c;

	for (s = PNEUMO_VALIDATION; s <= PNEUMO_TEST; s++)
		for (c = 0; c < r->e.dataset->n_classes; c++)
			if (r->e.score[s] && r->e.dataset->split_rows[s] > 0 && r->e.dataset->groups[s][c] < FEW_GROUPS)
				pneumo_section_text(section, REPORT_TEXT_WARNING,
									"The %s split has only %lld %s of class %s: its figures say little.",
									pneumo_split_name((PneumoSplit) s), (long long) r->e.dataset->groups[s][c],
									r->e.source->col_group > 0 ? "patients" : "images", meta_of(r)->classes[c]);
}

void
pneumo_report_limits(PneumoSection *section, const PneumoReport *r)
{
	section->heading = "Limits of use";
	few_patients(section, r);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"The figures hold for images like those of %s: the same devices, ages, projections and share of each class. Predictive values change with that share.",
						r->e.source->name);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"The validation split chose the epoch and perhaps the config, so its figures flatter. The test split has been looked at %lld time%s for this version%s",
						(long long) r->test_looks, r->test_looks == 1 ? "" : "s",
						r->test_looks > 1 ? "; each look that changes anything makes its figures flatter, too." : ".");
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"Labels are those of the table; where they are wrong, the network was taught wrong and is judged wrong. Two images of one patient count as one patient only if the rows name the patient.");
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
						"Look at figures of subgroups (sex, age, device, ward) before any use: pneumo_failures with \"all_rows\" gives each row's score and key to join with other columns.");
}

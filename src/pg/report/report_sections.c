/*-------------------------------------------------------------------------
 *
 * report_sections.c
 *	  The sections of the report except data and figures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "image/image.h"
#include "nn/nn.h"
#include "report/report.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"
#include "pg/report/report_page.h"

#define BAR_HEIGHT 24 /* of the colours of the maps, in pixels */
#define BAR_WIDTH 384
#define BAR_GREY 128
#define MAX_EPOCH_ROWS 30 /* of the table of epochs, about */

static char *
class_list(const PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < meta->n_classes; i++)
		appendStringInfo(&list, "%s%s%s", i > 0 ? ", " : "", meta->classes[i],
						 meta->n_classes == 2 && i == 1 ? " (positive)" : "");
	return list.data;
}

/* Returns the text of a key of the provenance, or NULL. */
static char *
provenance_text(const PneumoReport *r, const char *key)
{
	JsonbValue *value = r->e.provenance != NULL ? pneumo_json_get(&r->e.provenance->root, key) : NULL;
	char *text;

	if (pneumo_json_is_null(value))
		return NULL;
	text = pneumo_json_cstring(value);
	return text != NULL ? text : pneumo_json_full_text(value);
}

/* ----------------------------------------------------------------- sections */

void
pneumo_report_model(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	PneumoFacts *facts;

	section->heading = "Model";
	facts = pneumo_facts_begin(section);
	pneumo_fact(facts, "Model", "%s, version %d%s", r->e.model, r->e.id.number,
				r->e.id.deployed ? " (deployed)" : "");
	pneumo_fact(facts, "SHA-256", "%s", pneumo_sha256_hex(r->e.id.sha256));
	pneumo_fact(facts, "Stored", "%s", timestamptz_to_str(r->row.created));
	pneumo_fact(facts, "Classes", "%s", class_list(r));
	pneumo_fact(facts, "Reads", "%d x %d pixels, %s", meta->preprocess.width, meta->preprocess.height,
				meta->preprocess.channels == 1 ? "grey" : "RGB");
	pneumo_fact(facts, "Size", "%s parameters, %.1f MB", pneumo_count_text(r->row.parameters),
				r->row.bytes / 1048576.0);
	pneumo_fact(facts, "Gives",
				meta->n_classes == 2 ? "the probability of %s" : "a probability for each class",
				meta->classes[1]);
	if (r->row.comment != NULL)
		pneumo_fact(facts, "Comment", "%s", r->row.comment);
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Made for research on images like those of its table. It is not a medical device, and its scores are no diagnosis.%s",
		r->images
			? " This page shows images of patients and the keys of their rows: treat it as the table itself."
			: "");
}

void
pneumo_report_network(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Layer", "Type", "Output", "Weights", "Mega multiply-adds"};
	const NnGraph *graph = r->e.scorer->engine->engine.graph;
	PneumoTable *table;
	double total = 0;
	int i;

	section->heading = "Network";
	table = pneumo_table_begin(section, "Layers in the order of computation", 5, headings, 24);
	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo node;

		nn_graph_node(&node, graph, i);
		/* names of layers are UTF-8 */
		pneumo_table_cell(table, "%s", pg_any_to_server(node.name, (int) strlen(node.name), PG_UTF8));
		pneumo_table_cell(table, "%s", nn_op_info(node.op)->class_name);
		if (node.shape.rank == 3)
			pneumo_table_cell(table, "%d x %d x %d", node.shape.h, node.shape.w, node.shape.c);
		else
			pneumo_table_cell(table, "%d", node.shape.c);
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) node.n_weights));
		pneumo_table_cell(table, "%.2f", (double) node.multiply_adds / 1e6);
		total += (double) node.multiply_adds / 1e6;
	}
	pneumo_table_end(table);
	pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "%s parameters; %.1f million multiply-adds an image.",
						pneumo_count_text(r->row.parameters), total);
}

/* Adds loss and accuracy by epoch. */
static void
add_history(PneumoSection *section, const PneumoReport *r, const NnEpochLog *logs, int n)
{
	ReportHistory *history = palloc0(sizeof(ReportHistory));
	double *column[4];
	bool validated = false;
	int i;

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
	history->title = psprintf("Loss and accuracy by epoch, run %lld", (long long) r->row.run);
	history->n_epochs = (size_t) n;
	history->loss = column[0];
	history->val_loss = validated ? column[1] : NULL;
	history->accuracy = column[2];
	history->val_accuracy = validated ? column[3] : NULL;
	history->best_epoch = r->row.run_row->best_epoch > 0 && r->row.run_row->best_epoch <= n
							  ? (size_t) r->row.run_row->best_epoch
							  : 0;
	pneumo_section_add(section, REPORT_BLOCK_HISTORY, history);
}

/* Adds one or two numbers of the epochs as curves, those that are at the offsets in NnEpochLog. */
static void
add_epoch_curves(PneumoSection *section, const PneumoReport *r, const NnEpochLog *logs, int n,
				 const char *title, const char *label, const char *const *names, const size_t *offsets,
				 int n_curves)
{
	ReportLines *lines = palloc0(sizeof(ReportLines));
	ReportLine *curves = palloc0(n_curves * sizeof(ReportLine));
	double *x = palloc(n * sizeof(double));
	bool known = false;
	int c;
	int i;

	for (i = 0; i < n; i++)
		x[i] = logs[i].epoch;
	for (c = 0; c < n_curves; c++)
	{
		double *y = palloc(n * sizeof(double));

		for (i = 0; i < n; i++)
		{
			memcpy(&y[i], (const char *) &logs[i] + offsets[c], sizeof(double));
			known |= !isnan(y[i]);
		}
		curves[c].name = names[c];
		curves[c].n_points = (size_t) n;
		curves[c].x = x;
		curves[c].y = y;
	}
	if (!known)
		return;
	lines->id = psprintf("epochs-%zu", offsets[0]);
	lines->title = title;
	lines->x_label = "epoch";
	lines->y_label = label;
	lines->x_min = lines->x_max = lines->y_min = lines->y_max = NAN;
	lines->whole_x = true;
	lines->n_lines = (size_t) n_curves;
	lines->lines = curves;
	lines->mark = r->row.run_row->best_epoch > 0 ? r->row.run_row->best_epoch : NAN;
	lines->mark_name = "best";
	pneumo_section_add(section, REPORT_BLOCK_LINES, lines);
}

static void
number_cell(PneumoTable *table, const char *format, double value)
{
	if (isnan(value))
		pneumo_table_cell(table, "none");
	else
		pneumo_table_cell(table, "%s", psprintf(format, value));
}

/* Adds the numbers of the epochs: of many, some at equal distances, the best and the last. */
static void
epoch_table(PneumoSection *section, const PneumoReport *r, const NnEpochLog *logs, int n)
{
	static const char *const headings[] =
		{"Epoch",          "Loss",          "Validation loss", "Accuracy",          "Validation accuracy",
		 "Validation AUC", "Learning rate", "Seconds",         "Validation seconds"};
	PneumoTable *table = pneumo_table_begin(section, "Epochs", lengthof(headings), headings, 0x1FF);
	int every = 1 + (n - 1) / MAX_EPOCH_ROWS;
	int i;

	for (i = 0; i < n; i++)
	{
		const NnEpochLog *log = &logs[i];
		bool best = log->epoch == r->row.run_row->best_epoch;

		if (i % every != 0 && i != n - 1 && !best)
			continue;
		pneumo_table_cell(table, "%d%s", log->epoch, best ? " (best)" : "");
		number_cell(table, "%.4f", log->loss);
		number_cell(table, "%.4f", log->val_loss);
		number_cell(table, "%.4f", log->accuracy);
		number_cell(table, "%.4f", log->val_accuracy);
		number_cell(table, "%.4f", log->val_auc);
		number_cell(table, "%.3g", log->learning_rate);
		number_cell(table, "%.1f", log->seconds);
		number_cell(table, "%.1f", log->val_seconds);
	}
	pneumo_table_end(table);
}

void
pneumo_report_training(PneumoSection *section, const PneumoReport *r)
{
	static const char *const auc_names[] = {"validation"};
	static const char *const rate_names[] = {"learning rate"};
	static const char *const time_names[] = {"training", "validation"};
	static const size_t auc[] = {offsetof(NnEpochLog, val_auc)};
	static const size_t rate[] = {offsetof(NnEpochLog, learning_rate)};
	static const size_t time[] = {offsetof(NnEpochLog, seconds), offsetof(NnEpochLog, val_seconds)};
	NnEpochLog *logs;
	int n;

	section->heading = "Training";
	if (r->row.run == 0 || r->row.run_row == NULL)
	{
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH,
			r->row.run == 0
				? "This version was imported: how it was trained is not known here."
				: "The curves of training run %lld can be seen by its owner, or it was forgotten.",
			(long long) r->row.run);
		return;
	}
	n = pneumo_run_epochs(r->row.run, 0, &logs);
	if (n == 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "Training run %lld has no epochs.",
							(long long) r->row.run);
		return;
	}
	add_history(section, r, logs, n);
	add_epoch_curves(section, r, logs, n, "Validation AUC by epoch", "AUC", auc_names, auc, 1);
	add_epoch_curves(section, r, logs, n, "Learning rate by epoch", "learning rate", rate_names, rate, 1);
	add_epoch_curves(section, r, logs, n, "Seconds per epoch", "seconds", time_names, time, 2);
	epoch_table(section, r, logs, n);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"%d epochs of at most %d, weights of epoch %d. The training figures are running means over augmented images while the weights change, so they are not comparable with those of the validation split.",
		n, r->row.run_row->epochs, r->row.run_row->best_epoch);
}

/* Adds image and map of a row to a gallery. */
static void
add_pair(PneumoGallery *gallery, const PneumoReport *r, const PneumoReportPicture *p)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	const double *probability = pneumo_evaluation_probability(&r->e, p->sample);
	int predicted = pneumo_class_of(meta, probability);
	int shown = meta->n_classes == 2 ? 1 : predicted;
	const char *key = pneumo_report_key(&r->e, p->sample);

	pneumo_gallery_add(gallery, p->plain, psprintf("Radiograph of row %s", key),
					   psprintf("Row %s: is %s, called %s (%s %.2f)", key,
								pneumo_report_class(&r->e, p->sample), meta->classes[predicted],
								meta->classes[shown], probability[shown]));
	pneumo_gallery_add(gallery, p->overlay,
					   psprintf("The same with the map of what speaks for %s", meta->classes[shown]),
					   psprintf("Row %s, %s %s", key,
								p->empty ? "empty map: nowhere anything for or against"
										 : "red for, blue against",
								meta->classes[shown]));
}

/* Adds the pictures of each failure and of its neighbours, a gallery a failure. */
static void
failure_pictures(PneumoSection *section, const PneumoReport *r)
{
	const PneumoReportPicture *neighbour = r->neighbours;
	int i;
	int k;

	for (i = 0; i < r->n_failure_pictures; i++)
	{
		const PneumoFailure *f = &r->failures[i];
		PneumoGallery *gallery = pneumo_gallery_begin(2 + f->n_neighbours);

		add_pair(gallery, r, &r->failure_pictures[i]);
		for (k = 0; k < f->n_neighbours; k++, neighbour++)
			pneumo_gallery_add(gallery, neighbour->plain,
							   psprintf("Radiograph of training row %s, class %s",
										pneumo_report_key(&r->e, neighbour->sample),
										pneumo_report_class(&r->e, neighbour->sample)),
							   psprintf("Neighbour %d: training row %s, %s", k + 1,
										pneumo_report_key(&r->e, neighbour->sample),
										pneumo_report_class(&r->e, neighbour->sample)));
		pneumo_gallery_end(section, gallery);
	}
}

/* Adds the colours of the maps, from the most against a class to the most for it. */
static void
colour_bar(PneumoSection *section, const PneumoReport *r)
{
	PneumoGallery *gallery = pneumo_gallery_begin(1);
	const char *class = pneumo_report_meta(r)->n_classes == 2 ? pneumo_report_meta(r)->classes[1]
															  : "the class that the row was called";
	uint8 *grey = palloc(BAR_HEIGHT * BAR_WIDTH);
	uint8 *pixels = palloc(BAR_HEIGHT * BAR_WIDTH * 3);
	float *map = palloc(BAR_WIDTH * sizeof(float));
	int i;

	memset(grey, BAR_GREY, BAR_HEIGHT * BAR_WIDTH);
	for (i = 0; i < BAR_WIDTH; i++)
		map[i] = 2.0f * (float) i / (BAR_WIDTH - 1) - 1.0f;
	img_overlay(pixels, grey, BAR_HEIGHT, BAR_WIDTH, map, 1, BAR_WIDTH, 1.0f, 1.0f);
	pneumo_gallery_add(
		gallery, pneumo_picture(pixels, BAR_HEIGHT, BAR_WIDTH, 3), "Colours from blue over grey to red",
		psprintf(
			"Left: speaks most against %s. Middle: nothing. Right: speaks most for it. Of each map, its own largest value has full colour.",
			class));
	gallery->images.bar = true;
	pneumo_gallery_end(section, gallery);
}

/* Adds the worst failures with their nearest training images. */
static void
failure_table(PneumoSection *section, const PneumoReport *r)
{
	static const char *const headings[] = {"Row", "Is", "Called", "Probability", "Nearest training images"};
	PneumoTable *table = pneumo_table_begin(section, "The worst of the validation split", 5, headings, 8);
	int64 i;
	int k;

	for (i = 0; i < r->n_failures; i++)
	{
		const PneumoFailure *f = &r->failures[i];
		StringInfoData near;

		initStringInfo(&near);
		for (k = 0; k < f->n_neighbours; k++)
			appendStringInfo(&near, "%s%s (%s)", k > 0 ? ", " : "",
							 pneumo_report_key(&r->e, f->neighbours[k].sample),
							 pneumo_report_class(&r->e, f->neighbours[k].sample));
		pneumo_table_cell(table, "%s", pneumo_report_key(&r->e, f->sample));
		pneumo_table_cell(table, "%s", pneumo_report_class(&r->e, f->sample));
		pneumo_table_cell(table, "%s", pneumo_report_meta(r)->classes[f->predicted]);
		pneumo_table_cell(table, "%.3f", f->score);
		pneumo_table_cell(table, "%s", near.len > 0 ? near.data : "none");
	}
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Probability: %s. Nearest: by the angle between what the last layer reads of the two images.",
		pneumo_report_meta(r)->n_classes == 2 ? psprintf("of %s", pneumo_report_meta(r)->classes[1])
											  : "of the class it was called");
}

void
pneumo_report_failures(PneumoSection *section, const PneumoReport *r)
{
	PneumoGallery *gallery = NULL;
	int i;

	section->heading = "Failures";
	if (r->e.dataset->split_rows[PNEUMO_VALIDATION] == 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
							"There is no validation split to look for failures in.");
		return;
	}
	if (r->n_failures == 0)
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
							r->max_failures > 0 ? "No row of the validation split is called wrongly."
												: "Not asked for.");
	else
		failure_table(section, r);
	if (r->images && r->maps && r->n_failure_pictures + r->n_right > 0)
		colour_bar(section, r);
	if (r->images)
		failure_pictures(section, r);
	if (r->images && r->n_right > 0)
	{
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH,
			"For comparison, rows of each class that are called rightly and with most certainty:");
		for (i = 0; i < r->n_right; i++)
		{
			/* two rows a gallery, so that image and map stay together */
			if (i % 2 == 0)
				gallery = pneumo_gallery_begin(4);
			add_pair(gallery, r, &r->right[i]);
			if (i % 2 == 1 || i == r->n_right - 1)
				pneumo_gallery_end(section, gallery);
		}
	}
	if (!r->maps)
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH,
			"The network has no convolution, so there are no maps of where a score comes from.");
	else if (r->images)
		pneumo_section_text(
			section, REPORT_TEXT_NOTE,
			"A map shows which places moved this network's score, each picture in full colour at its own largest value. It does not show that they should have, and not where a disease is.");
}

/* Writes objects as people do: train: NORMAL 943, PNEUMONIA 2549; test: … */
static char *
plain_json(const char *json)
{
	StringInfoData plain;
	int depth = 0;
	const char *c;

	if (json[0] != '{')
		return pstrdup(json);
	initStringInfo(&plain);
	for (c = json; *c != '\0'; c++)
	{
		depth += (*c == '{') - (*c == '}');
		if (*c == '\\' && c[1] != '\0')
			appendStringInfoChar(&plain, *++c);
		else if (*c == ',' && depth == 1)
			appendStringInfoChar(&plain, ';');
		else if (*c == ':' && depth == 2)
			continue;
		else if (*c != '"' && *c != '{' && *c != '}')
			appendStringInfoChar(&plain, *c);
	}
	return plain.data;
}

/* Returns whether the config of a training groups the rows by patient. */
static bool
names_patients(const JsonbValue *config)
{
	JsonbContainer *object = pneumo_json_object(config);

	return object != NULL && !pneumo_json_is_null(pneumo_json_get(object, "group_column"));
}

void
pneumo_report_provenance(PneumoSection *section, const PneumoReport *r)
{
	static const struct
	{
		const char *key;
		const char *term;
	} known[] = {
		{"source", "Trained on"},
		{"fingerprint", "Data fingerprint"},
		{"rows", "Images trained with"},
		{"groups", "Patients trained with"},
		{"epoch", "Epoch of the weights"},
		{"build", "Build"},
		{"producer", "Imported from a file of"},
		{"file_sha256", "SHA-256 of that file"},
		{"path", "CPU path"},
		{"blas", "BLAS"},
		{"threads", "Threads"},
		{"settings", "Settings"},
	};
	PneumoFacts *facts;
	JsonbValue *config;
	size_t i;

	section->heading = "Provenance";
	facts = pneumo_facts_begin(section);
	pneumo_fact(facts, "SHA-256 of the version", "%s", pneumo_sha256_hex(r->e.id.sha256));
	pneumo_fact(facts, "Training run", r->row.run > 0 ? "%lld" : "none: imported", (long long) r->row.run);
	config = r->e.provenance != NULL ? pneumo_json_get(&r->e.provenance->root, "config") : NULL;
	for (i = 0; i < lengthof(known); i++)
	{
		char *text = provenance_text(r, known[i].key);

		/* without a column of patients each image is a group */
		if (text != NULL && (strcmp(known[i].key, "groups") != 0 || names_patients(config)))
			pneumo_fact(facts, known[i].term, "%s", plain_json(text));
	}
	pneumo_fact(facts, "This report reads", "%s, data fingerprint %s", r->e.source->name,
				pneumo_sha256_hex(r->e.dataset->fingerprint));
	pneumo_fact(facts, "Split",
				r->e.config->split_column != NULL ? "by column \"%s\""
												  : "by hash of the %s, seed %d, validation %g, test %g",
				r->e.config->split_column != NULL ? r->e.config->split_column
				: r->e.source->col_group > 0      ? "patient"
												  : "image",
				r->e.config->split_seed, r->e.config->validation_split, r->e.config->test_split);
	pneumo_fact(facts, "This report's build", "%s", pneumo_build());
	if (pneumo_json_object(config) != NULL)
	{
		Jsonb *whole = JsonbValueToJsonb(config);

		if (pneumo_json_get(&whole->root, "seed") == NULL)
			pneumo_fact(facts, "Seed", "0 (the default)");
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "The config of the training:");
		pneumo_section_text(section, REPORT_TEXT_CODE, "%s",
							JsonbToCStringIndent(NULL, &whole->root, VARSIZE(whole)));
	}
}

/* Warns of each split and class on which little can be said. */
static void
few_patients(PneumoSection *section, const PneumoReport *r)
{
	int s;
	int c;

	for (s = PNEUMO_VALIDATION; s <= PNEUMO_TEST; s++)
		for (c = 0; c < r->e.dataset->n_classes; c++)
			if (r->e.score[s] && r->e.dataset->split_rows[s] > 0 && r->e.dataset->groups[s][c] < REPORT_FEW)
				pneumo_section_text(section, REPORT_TEXT_WARNING,
									"The %s split has only %s %ss of class %s: its figures say little.",
									pneumo_split_names[s], pneumo_count_text(r->e.dataset->groups[s][c]),
									pneumo_report_unit(&r->e), pneumo_report_meta(r)->classes[c]);
}

void
pneumo_report_limits(PneumoSection *section, const PneumoReport *r)
{
	section->heading = "Limits of use";
	few_patients(section, r);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"The figures hold for images like those of %s: the same devices, ages, projections and share of each class. Predictive values change with that share.",
		r->e.source->name);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"The validation split chose the epoch and perhaps the config, so its figures are optimistic. The test split has been looked at %lld time%s for this version%s",
		(long long) r->test_looks, r->test_looks == 1 ? "" : "s",
		r->test_looks > 1 ? "; each look that changes anything makes its figures optimistic, too." : ".");
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Labels are those of the table; where they are wrong, the network was taught wrong and is judged wrong. Two images of one patient count as one patient only if the rows name the patient.");
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Look at the figures of subgroups (sex, age, device, ward) before any use: config key \"subgroups\" takes columns of the table, and pneumo_failures with \"all_rows\" gives each row's score and key to join with other tables.");
}

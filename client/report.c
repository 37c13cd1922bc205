/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What was understood, and what was left out and why.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define EXAMPLES 3   /* of a reason */
#define MAX_SHOWN 20 /* classes */

typedef struct LeftOut
{
	const char *path, *reason, *why;
	int counts;
} LeftOut;

static struct
{
	pthread_mutex_t lock;
	LeftOut *list;
	size_t n, max;
	int counts;
} left = {.lock = PTHREAD_MUTEX_INITIALIZER};

void
leave_out(const char *path, const char *reason, const char *why, int counts)
{
	LeftOut *entry;

	pthread_mutex_lock(&left.lock);
	left.list = grow(left.list, &left.max, left.n, sizeof(LeftOut));
	entry = &left.list[left.n++];
	entry->path = copy_text(path, strlen(path));
	entry->reason = reason;
	entry->why = why != NULL ? copy_text(why, strlen(why)) : NULL;
	entry->counts = counts;
	left.counts = left.counts || counts;
	pthread_mutex_unlock(&left.lock);
}

int
left_out_counts(void)
{
	return left.counts;
}

static void
print_entry(FILE *out, const LeftOut *entry)
{
	print_clean(out, entry->path[0] != '\0' ? entry->path : ".");
	if (entry->why != NULL)
	{
		fputs(" (", out);
		print_clean(out, entry->why);
		fputs(")", out);
	}
}

/* Writes a line for each: the reason, a tab, the path, a tab, more about it. */
static void
write_file(const char *path)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		fatal(EXIT_ERROR, "could not write \"%s\": %s", path, strerror(errno));
	for (size_t i = 0; i < left.n; i++)
	{
		fprintf(file, "%s\t", left.list[i].reason);
		print_clean(file, left.list[i].path);
		fputs("\t", file);
		print_clean(file, left.list[i].why != NULL ? left.list[i].why : "");
		fputs("\n", file);
	}
	if (fclose(file) != 0)
		fatal(EXIT_ERROR, "could not write \"%s\": %s", path, strerror(errno));
}

void
print_left_out(FILE *out, const Options *options)
{
	if (options->left_out_file != NULL)
		write_file(options->left_out_file);
	for (size_t i = 0; i < left.n; i++)
	{
		size_t n = 0;
		int is_first = 1;

		for (size_t j = 0; j < i && is_first; j++)
			is_first = strcmp(left.list[j].reason, left.list[i].reason) != 0;
		if (!is_first || (options->quiet && !left.list[i].counts))
			continue;
		for (size_t j = i; j < left.n; j++)
			n += strcmp(left.list[j].reason, left.list[i].reason) == 0;
		fprintf(out, PROGRAM ": left out, %s: %zu: ", left.list[i].reason, n);
		for (size_t j = i, shown = 0; j < left.n && shown < EXAMPLES; j++)
			if (strcmp(left.list[j].reason, left.list[i].reason) == 0)
			{
				fputs(shown++ > 0 ? ", " : "", out);
				print_entry(out, &left.list[j]);
			}
		fputs(n > EXAMPLES ? ", ...\n" : "\n", out);
	}
}

/* -------------------------------------------------------------- the plan */

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static const char *
value_of(const Item *item, Kind kind)
{
	return kind == KIND_LABEL ? item->label : kind == KIND_SPLIT ? item->split : item->patient;
}

/* Sorts the values of a kind that the items have; returns their number. */
static size_t
sort_values(const char **values, const Plan *plan, Kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		if (value_of(&plan->items[i], kind) != NULL)
			values[n++] = value_of(&plan->items[i], kind);
	qsort(values, n, sizeof(char *), compare_texts);
	return n;
}

/* Prints the values with their numbers, as "NORMAL 1341, PNEUMONIA 3875". */
static void
print_values(FILE *out, const char *title, const char **values, size_t n, size_t n_items)
{
	size_t different = 0;

	fprintf(out, "  %-9s", title);
	for (size_t i = 0, j; i < n; i = j)
	{
		for (j = i; j < n && strcmp(values[i], values[j]) == 0; j++)
			;
		if (different++ >= MAX_SHOWN)
			continue;
		fputs(different > 1 ? ", " : "", out);
		print_clean(out, values[i][0] != '\0' ? values[i] : "\"\"");
		fprintf(out, " %zu", j - i);
	}
	if (different > MAX_SHOWN)
		fprintf(out, ", and %zu more", different - MAX_SHOWN);
	if (n < n_items)
		fprintf(out, "%snone %zu", n > 0 ? ", " : "", n_items - n);
	fputs("\n", out);
}

/* Prints the number of patients, and whether some are on several splits. */
static void
print_patients(FILE *out, const Plan *plan, const char **values)
{
	size_t n = sort_values(values, plan, KIND_PATIENT);
	size_t different = 0;

	for (size_t i = 0; i < n; i++)
		different += i == 0 || strcmp(values[i], values[i - 1]) != 0;
	if (n == 0)
		fprintf(out, "  %-9s%s\n", "patients",
				plan->dicom ? "by the images' tags" : "not known: see --patient-pattern, or a manifest");
	else
		fprintf(out, "  %-9s%zu, of %zu images\n", "patients", different, n);
}

void
print_plan(FILE *out, const Plan *plan, const Options *options)
{
	const char **values = need(sizeof(char *) * (plan->n + 1));
	size_t n;

	(void) options;
	fprintf(out, "%s ", plan->from);
	print_clean(out, plan->root);
	fprintf(out, ": %zu image%s, %.1f MB\n", plan->n, plan->n == 1 ? "" : "s", (double) plan->n_bytes / 1e6);
	if (plan->tree.inside != NULL && plan->tree.inside[0] != '\0')
	{
		fprintf(out, "  %-9s", "inside");
		print_clean(out, plan->tree.inside);
		fputs("\n", out);
	}
	n = sort_values(values, plan, KIND_SPLIT);
	if (n > 0)
		print_values(out, "splits", values, n, plan->n);
	else
		fprintf(out, "  %-9s%s\n", "splits", "none");
	n = sort_values(values, plan, KIND_LABEL);
	print_values(out, "labels", values, n, plan->n);
	for (size_t i = 0; i < plan->tree.n_labels; i++)
		if (plan->tree.labels[i].other != NULL)
		{
			fprintf(out, "  %-9s", "");
			print_clean(out, plan->tree.labels[i].other);
			fputs(" is taken for ", out);
			print_clean(out, plan->tree.labels[i].name);
			fputs("\n", out);
		}
	print_patients(out, plan, values);
	if (plan->n_extra > 0)
	{
		fprintf(out, "  %-9s", "also");
		for (int i = 0; i < plan->n_extra; i++)
		{
			fputs(i > 0 ? ", " : "", out);
			print_clean(out, plan->extra_name[i]);
		}
		fputs("\n", out);
	}
	if (plan->n_renamed > 0)
	{
		fprintf(out, "  %-9s%zu are not UTF-8, and written as ", "names", plan->n_renamed);
		print_clean(out, plan->first_renamed);
		fputs("\n", out);
	}
	free(values);
}

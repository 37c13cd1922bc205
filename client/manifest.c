/*-------------------------------------------------------------------------
 *
 * manifest.c
 *	  A manifest: a CSV file with a row for each image.
 *
 * Commas, semicolons or tabs part the fields, as the header has them; quotes as in
 * RFC 4180.  The columns are known by their names, in any case and with any of
 * blanks, "-" and "_" between words.  A field without quotes that is empty is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client.h"

#define MAX_FIELDS 256

typedef struct Reader
{
	FILE *file;
	const char *name;
	int delimiter;
	size_t line;
	char *text; /* of the fields of a row, one after the other */
	size_t n_text, max_text;
	size_t start[MAX_FIELDS];
	int quoted[MAX_FIELDS];
	int n_fields;
} Reader;

/* What a column of the manifest is for. */
typedef struct Header
{
	int kind[N_KINDS]; /* the column of each kind; -1: none */
	int extra[MAX_EXTRA];
	int n_columns;
} Header;

/* Files below the root by their names, for manifests that leave out the folders. */
typedef struct Names
{
	int is_made;
	Tree tree;
	const TreeFile **files;
} Names;

static void
add_char(Reader *reader, int c)
{
	reader->text = grow(reader->text, &reader->max_text, reader->n_text, 1);
	reader->text[reader->n_text++] = (char) c;
}

static void
begin_field(Reader *reader)
{
	if (reader->n_fields >= MAX_FIELDS)
		fatal(EXIT_ERROR, "manifest \"%s\", line %zu: more than %d fields", reader->name, reader->line,
			  MAX_FIELDS);
	reader->start[reader->n_fields] = reader->n_text;
	reader->quoted[reader->n_fields++] = 0;
}

/* Reads the rest of a quoted field. */
static void
read_quoted(Reader *reader)
{
	size_t line = reader->line;

	reader->quoted[reader->n_fields - 1] = 1;
	for (;;)
	{
		int c = getc(reader->file);

		if (c == EOF)
			fatal(EXIT_ERROR, "manifest \"%s\", line %zu: a quote does not end", reader->name, line);
		if (c == '\n')
			reader->line++;
		if (c == '"' && (c = getc(reader->file)) != '"')
		{
			ungetc(c, reader->file);
			return;
		}
		add_char(reader, c);
	}
}

/* Reads a row; returns 0 at the end of the file. */
static int
read_row(Reader *reader)
{
	int c = getc(reader->file);

	if (c == EOF)
		return 0;
	reader->line++;
	reader->n_text = 0;
	reader->n_fields = 0;
	begin_field(reader);
	for (;; c = getc(reader->file))
	{
		if (c == '"' && reader->n_text == reader->start[reader->n_fields - 1])
			read_quoted(reader);
		else if (c == reader->delimiter)
		{
			add_char(reader, '\0');
			begin_field(reader);
		}
		else if (c == '\n' || c == EOF)
			break;
		else if (c == '\0')
			fatal(EXIT_ERROR, "manifest \"%s\", line %zu: it is no text\nHINT:  Save it as CSV in UTF-8.",
				  reader->name, reader->line);
		else if (c != '\r')
			add_char(reader, c);
	}
	add_char(reader, '\0');
	return 1;
}

/* Finds what parts the fields of the header, and goes back to its beginning after a byte order mark. */
static void
find_delimiter(Reader *reader)
{
	static const char candidates[] = ",;\t";
	size_t counts[3] = {0, 0, 0};
	int c;
	int mark[3] = {getc(reader->file), getc(reader->file), getc(reader->file)};

	rewind(reader->file);
	if (mark[0] == 0xef && mark[1] == 0xbb && mark[2] == 0xbf)
		fseek(reader->file, 3, SEEK_SET);
	while ((c = getc(reader->file)) != EOF && c != '\n')
	{
		const char *found = c != '\0' ? strchr(candidates, c) : NULL;

		if (found != NULL)
			counts[found - candidates]++;
	}
	reader->delimiter = counts[1] > counts[0] && counts[1] >= counts[2] ? ';'
						: counts[2] > counts[0]                         ? '\t'
																		: ',';
	rewind(reader->file);
	if (mark[0] == 0xef && mark[1] == 0xbb && mark[2] == 0xbf)
		fseek(reader->file, 3, SEEK_SET);
}

/* Returns a field without the blanks around it; NULL if it is empty and has no quotes. */
static const char *
field_of(Reader *reader, int number)
{
	char *text = reader->text + reader->start[number];
	size_t n = strlen(text);

	for (; n > 0 && isspace((unsigned char) text[n - 1]); n--)
		text[n - 1] = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return *text == '\0' && !reader->quoted[number] ? NULL : text;
}

/* Returns a copy of a field as UTF-8, NULL as it is. */
static const char *
copy_field(Reader *reader, int number)
{
	const char *text = number < 0 ? NULL : field_of(reader, number);
	char *copy;
	int changed;

	if (text == NULL)
		return NULL;
	copy = copy_utf8(text, strlen(text), &changed);
	if (changed)
		fatal(
			EXIT_ERROR,
			"manifest \"%s\", line %zu: \"%s\" is not UTF-8\nHINT:  Convert it: iconv -f WINDOWS-1252 -t UTF-8.",
			reader->name, reader->line, copy);
	return copy;
}

/* ------------------------------------------------------------------ header */

/* Returns what a column of this name is for, or -1. */
static int
kind_of_name(const char *name)
{
	static const struct
	{
		const char *name;
		Kind kind;
	} names[] = {
		{"path", KIND_FILE},         {"file", KIND_FILE},         {"filename", KIND_FILE},
		{"filepath", KIND_FILE},     {"image", KIND_FILE},        {"imagepath", KIND_FILE},
		{"imagename", KIND_FILE},    {"imagefile", KIND_FILE},    {"imageindex", KIND_FILE},
		{"img", KIND_FILE},          {"imgpath", KIND_FILE},      {"label", KIND_LABEL},
		{"labels", KIND_LABEL},      {"class", KIND_LABEL},       {"target", KIND_LABEL},
		{"diagnosis", KIND_LABEL},   {"finding", KIND_LABEL},     {"findinglabels", KIND_LABEL},
		{"patient", KIND_PATIENT},   {"patientid", KIND_PATIENT}, {"subject", KIND_PATIENT},
		{"subjectid", KIND_PATIENT}, {"split", KIND_SPLIT},       {"set", KIND_SPLIT},
		{"subset", KIND_SPLIT},      {"fold", KIND_SPLIT},
	};
	char plain[32];
	size_t n = 0;

	for (; *name != '\0' && n < sizeof(plain) - 1; name++)
		if (isalnum((unsigned char) *name))
			plain[n++] = (char) tolower((unsigned char) *name);
	plain[n] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, plain) == 0)
			return (int) names[i].kind;
	return -1;
}

/* Reads the names of the columns. */
static void
read_header(Header *header, Plan *plan, Reader *reader)
{
	if (!read_row(reader))
		fatal(EXIT_ERROR, "manifest \"%s\" is empty", reader->name);
	for (int i = 0; i < N_KINDS; i++)
		header->kind[i] = -1;
	header->n_columns = reader->n_fields;
	for (int i = 0; i < reader->n_fields; i++)
	{
		const char *name = copy_field(reader, i);
		int kind = name == NULL ? -1 : kind_of_name(name);

		if (name == NULL || name[0] == '\0')
			continue;
		if (kind >= 0 && header->kind[kind] < 0)
			header->kind[kind] = i;
		else if (plan->n_extra < MAX_EXTRA)
		{
			header->extra[plan->n_extra] = i;
			plan->extra_name[plan->n_extra++] = name;
		}
		else
			fatal(EXIT_ERROR, "manifest \"%s\" has more than %d columns", reader->name, MAX_EXTRA);
	}
	if (header->kind[KIND_FILE] < 0)
		fatal(EXIT_ERROR,
			  "manifest \"%s\" has no column path\nHINT:  Its first line names the columns: path, label, "
			  "patient, split, and any others.",
			  reader->name);
}

/* -------------------------------------------------------------------- rows */

static int
compare_files(const void *a, const void *b)
{
	return strcmp((*(const TreeFile *const *) a)->name, (*(const TreeFile *const *) b)->name);
}

/* Finds the only file of a name below the root; returns 0 if there is none or another. */
static int
find_by_name(char *path, size_t n_bytes, Names *names, const char *root, const char *name)
{
	TreeEnv env = tree_env(0);
	TreeFile wanted = {name, 0, 0};
	const TreeFile *key = &wanted;
	const TreeFile **found;
	size_t at;

	if (strchr(name, '/') != NULL)
		return 0;
	if (!names->is_made)
	{
		names->is_made = 1;
		if (tree_walk(&names->tree, root, &env) != TREE_OK)
			fatal(EXIT_ERROR, "could not list the files below \"%s\"", root);
		names->files = need(sizeof(TreeFile *) * names->tree.n_files);
		for (size_t i = 0; i < names->tree.n_files; i++)
			names->files[i] = &names->tree.files[i];
		qsort(names->files, names->tree.n_files, sizeof(TreeFile *), compare_files);
	}
	found = bsearch(&key, names->files, names->tree.n_files, sizeof(TreeFile *), compare_files);
	if (found == NULL)
		return 0;
	at = (size_t) (found - names->files);
	if ((at > 0 && compare_files(&names->files[at - 1], found) == 0) ||
		(at + 1 < names->tree.n_files && compare_files(&names->files[at + 1], found) == 0))
		return 0;
	return tree_file_path(path, n_bytes, &names->tree, *found);
}

/* Adds the image of a row, or leaves it out. */
static void
add_row(Plan *plan, const Options *options, Reader *reader, const Header *header, Names *names)
{
	static const char *const split_names[TREE_N_SPLITS] = {"train", "validation", "test"};
	const char *path = field_of(reader, header->kind[KIND_FILE]);
	char full[TREE_MAX_PATH], other[TREE_MAX_PATH], why[64];
	const char *split;
	struct stat st;
	Item *item;

	if (path == NULL || path[0] == '\0')
	{
		snprintf(why, sizeof(why), "line %zu", reader->line);
		leave_out(reader->name, "without a path in the manifest", why, 1);
		return;
	}
	full_path(full, sizeof(full), plan->root, path);
	if (stat(full, &st) != 0 && errno == ENOENT &&
		find_by_name(other, sizeof(other), names, plan->root, path))
	{
		path = other;
		full_path(full, sizeof(full), plan->root, path);
	}
	if (stat(full, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
		(uint64_t) st.st_size > IMG_DEFAULT_MAX_BYTES)
	{
		int error = stat(full, &st) != 0 ? errno : 0;

		leave_out(path,
				  error != 0 || !S_ISREG(st.st_mode) ? "cannot be read"
				  : st.st_size == 0                  ? tree_reason_text(TREE_EMPTY)
													 : tree_reason_text(TREE_TOO_LARGE),
				  error != 0 ? strerror(error) : NULL, 1);
		return;
	}
	item = add_item(plan, path, (uint64_t) st.st_size);
	item->label = options->label != NULL ? options->label
				  : options->unlabelled  ? NULL
										 : copy_field(reader, header->kind[KIND_LABEL]);
	item->patient = copy_field(reader, header->kind[KIND_PATIENT]);
	split = copy_field(reader, header->kind[KIND_SPLIT]);
	item->split = split != NULL && tree_split_of(split) >= 0 ? split_names[tree_split_of(split)] : split;
	if (plan->n_extra > 0)
		item->extra = need(sizeof(char *) * (size_t) plan->n_extra);
	for (int i = 0; i < plan->n_extra; i++)
		item->extra[i] = copy_field(reader, header->extra[i]);
	find_patient(item, options);
	plan->dicom = plan->dicom || !tree_is_image_name(path) || strcasestr(path, ".dcm") != NULL;
}

static int
compare_items(const void *a, const void *b)
{
	const Item *left = *(Item *const *) a, *right = *(Item *const *) b;
	int c = strcmp(left->path, right->path);

	return c != 0 ? c : (left > right) - (left < right);
}

/* Leaves out all but the first of the rows that name the same file. */
static void
drop_repeated(Plan *plan)
{
	Item **order = need(sizeof(Item *) * (plan->n + 1));
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++)
		order[i] = &plan->items[i];
	qsort(order, plan->n, sizeof(Item *), compare_items);
	for (size_t i = plan->n; i-- > 1;)
		if (strcmp(order[i]->path, order[i - 1]->path) == 0)
		{
			leave_out(order[i]->path, "named again in the manifest", NULL, 1);
			order[i]->n_bytes = UINT64_MAX;
		}
	free(order);
	for (size_t i = 0; i < plan->n; i++)
		if (plan->items[i].n_bytes != UINT64_MAX)
			plan->items[kept++] = plan->items[i];
	plan->n = kept;
	plan->n_bytes = 0;
	for (size_t i = 0; i < plan->n; i++)
		plan->n_bytes += plan->items[i].n_bytes;
}

void
read_manifest(Plan *plan, const Options *options, const char *path)
{
	static Names names;
	Reader reader;
	Header header;
	const char *slash = strrchr(path, '/');
	char why[64];

	memset(&reader, 0, sizeof(reader));
	reader.name = path;
	reader.file = fopen(path, "r");
	if (reader.file == NULL)
		fatal(EXIT_ERROR, "could not open \"%s\": %s", path, strerror(errno));
	plan->from = "manifest, below";
	plan->root = options->root != NULL ? options->root
				 : slash == NULL       ? "."
									   : copy_text(path, slash == path ? 1 : (size_t) (slash - path));
	find_delimiter(&reader);
	read_header(&header, plan, &reader);
	while (read_row(&reader))
	{
		if (reader.n_fields == 1 && field_of(&reader, 0) == NULL)
			continue;
		if (reader.n_fields != header.n_columns)
		{
			snprintf(why, sizeof(why), "line %zu has %d fields, the first has %d", reader.line,
					 reader.n_fields, header.n_columns);
			leave_out(path, "damaged lines of the manifest", why, 1);
			continue;
		}
		add_row(plan, options, &reader, &header, &names);
	}
	fclose(reader.file);
	free(reader.text);
	drop_repeated(plan);
}

/*-------------------------------------------------------------------------
 *
 * file_names.c
 *	  Finds files on several splits that look like one patient's by their names.
 *
 * Collections of X-rays often have the patient in the name of the file, as in
 * person12_bacteria_47.jpeg.  What a name begins with, up to the end of its first
 * number, is taken for the patient if more follows, and if there are so many
 * different beginnings that they can be patients.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "pg/base/base.h"
#include "pg/source/source.h"

/* The most files of a patient, in the mean, for beginnings of names to be patients. */
#define MEAN_FILES 10

/* The most bytes of a beginning. */
#define STEM_BYTES 64

typedef struct Stem
{
	char stem[STEM_BYTES]; /* zero-filled */
	char *first;           /* the name of the first file */
	PneumoSplit split;     /* of that file */
	bool scattered;        /* others are on other splits */
} Stem;

struct PneumoFileNames
{
	MemoryContext cxt;
	HTAB *stems;
	int64 n_files;
	int64 n_stems;
	int64 n_scattered;
	char *example;
};

PneumoFileNames *
pneumo_file_names_begin(MemoryContext cxt)
{
	PneumoFileNames *names = MemoryContextAllocZero(cxt, sizeof(PneumoFileNames));
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = STEM_BYTES;
	control.entrysize = sizeof(Stem);
	control.hcxt = cxt;
	names->cxt = cxt;
	names->stems = hash_create("pneumo file names", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return names;
}

/* Returns the length of a name's beginning up to the end of its first number; 0 if nothing else follows. */
static size_t
stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t end = dot != NULL ? (size_t) (dot - name) : strlen(name);
	size_t len = 0;

	while (len < end && !isdigit((unsigned char) name[len]))
		len++;
	while (len < end && isdigit((unsigned char) name[len]))
		len++;
	return len < end && len < STEM_BYTES ? len : 0;
}

void
pneumo_file_names_add(PneumoFileNames *names, const char *file, PneumoSplit split)
{
	const char *slash = strrchr(file, '/');
	const char *name = slash != NULL ? slash + 1 : file;
	size_t len = stem_length(name);
	char key[STEM_BYTES] = {0};
	Stem *stem;
	bool found;

	if (len == 0)
		return;
	memcpy(key, name, len);
	names->n_files++;
	stem = hash_search(names->stems, key, HASH_ENTER, &found);
	if (!found)
	{
		stem->first = MemoryContextStrdup(names->cxt, pneumo_clip(name));
		stem->split = split;
		stem->scattered = false;
		names->n_stems++;
		return;
	}
	if (stem->scattered || stem->split == split)
		return;
	stem->scattered = true;
	if (names->n_scattered++ == 0)
		names->example =
			MemoryContextStrdup(names->cxt, psprintf("\"%s\" on %s and \"%s\" on %s", stem->first,
													 pneumo_split_names[stem->split], pneumo_clip(name),
													 pneumo_split_names[split]));
}

char *
pneumo_file_names_warning(const PneumoFileNames *names, const char *patient_column)
{
	if (names->n_scattered == 0 || names->n_stems * MEAN_FILES < names->n_files)
		return NULL;
	return psprintf(
		"files of one patient may be on several splits, as %s: the names of the files begin alike "
		"(%lld such beginnings); %s",
		names->example, (long long) names->n_scattered,
		patient_column != NULL
			? psprintf("column \"%s\" may name the patients, for \"group_column\"", patient_column)
			: "if that is the patient, make a column of it and name it in \"group_column\"");
}

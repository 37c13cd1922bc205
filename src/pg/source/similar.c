/*-------------------------------------------------------------------------
 *
 * similar.c
 *	  Finds texts that are alike but not equal: "P01", "p1" and "P01 ".
 *
 * A patient whose id is written in two ways is two patients to a split, and a
 * label in two spellings is two classes.  Texts are alike if they are equal in
 * lower case, in Unicode's compatibility form, without blanks around them and
 * without leading zeros of numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_collation.h"
#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "pg/base/base.h"
#include "pg/source/source.h"

/* An entry of both tables, by SHA-256: of the texts, and of what they are alike by. */
typedef struct Entry
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	char *first; /* of the texts alike */
} Entry;

struct PneumoSimilar
{
	MemoryContext cxt;
	HTAB *texts;
	HTAB *forms;
	int64 n;       /* texts that are like one before them */
	char *example; /* of the first two */
};

PneumoSimilar *
pneumo_similar_begin(MemoryContext cxt)
{
	PneumoSimilar *similar = MemoryContextAllocZero(cxt, sizeof(PneumoSimilar));
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = PNEUMO_SHA256_LEN;
	control.entrysize = sizeof(Entry);
	control.hcxt = cxt;
	similar->cxt = cxt;
	similar->texts = hash_create("pneumo texts", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	similar->forms =
		hash_create("pneumo forms of texts", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return similar;
}

/* Returns the compatibility form of a UTF-8 text, itself UTF-8. */
static char *
compatibility_form(const char *utf8)
{
	size_t len = strlen(utf8);
	pg_wchar *in = palloc((len + 1) * sizeof(pg_wchar));
	const unsigned char *p = (const unsigned char *) utf8;
	pg_wchar *out;
	char *result;
	size_t n = 0;
	size_t at = 0;
	size_t i;

	while (*p != '\0')
	{
		in[n++] = utf8_to_unicode(p);
		p += pg_utf_mblen(p);
	}
	in[n] = 0;
	out = unicode_normalize(UNICODE_NFKC, in);
	for (n = 0; out[n] != 0; n++)
		;
	result = palloc(n * 4 + 1);
	for (i = 0; i < n; i++)
	{
		unicode_to_utf8(out[i], (unsigned char *) result + at);
		at += pg_utf_mblen((unsigned char *) result + at);
	}
	result[at] = '\0';
	return result;
}

/* Returns what texts are alike by. */
static char *
form_of(const char *text)
{
	char *lower = str_tolower(text, strlen(text), DEFAULT_COLLATION_OID);
	char *form = compatibility_form(pneumo_utf8(lower));
	size_t len = strlen(form);
	size_t from = 0;
	size_t to = 0;

	while (len > 0 && isspace((unsigned char) form[len - 1]))
		form[--len] = '\0';
	while (isspace((unsigned char) form[from]))
		from++;
	for (; from < len; from++)
	{
		bool before = to > 0 && isdigit((unsigned char) form[to - 1]);

		/* a zero before another digit, behind none */
		if (form[from] == '0' && !before && isdigit((unsigned char) form[from + 1]))
			continue;
		form[to++] = form[from];
	}
	form[to] = '\0';
	return form;
}

void
pneumo_similar_add(PneumoSimilar *similar, const char *text)
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	Entry *entry;
	bool found;
	char *form;

	pneumo_sha256(sha256, text, strlen(text));
	(void) hash_search(similar->texts, sha256, HASH_ENTER, &found);
	if (found)
		return;
	form = form_of(text);
	pneumo_sha256(sha256, form, strlen(form));
	entry = hash_search(similar->forms, sha256, HASH_ENTER, &found);
	if (!found)
	{
		entry->first = MemoryContextStrdup(similar->cxt, pneumo_clip(text));
		return;
	}
	if (similar->n++ == 0)
		similar->example =
			MemoryContextStrdup(similar->cxt, psprintf("\"%s\" and \"%s\"", entry->first, pneumo_clip(text)));
}

PneumoSimilar *
pneumo_similar_of(MemoryContext cxt, char *const *texts, int n)
{
	PneumoSimilar *similar = pneumo_similar_begin(cxt);
	int i;

	for (i = 0; i < n; i++)
		pneumo_similar_add(similar, texts[i]);
	return similar;
}

int64
pneumo_similar_count(const PneumoSimilar *similar, const char **example)
{
	*example = similar->example;
	return similar->n;
}

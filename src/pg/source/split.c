/*-------------------------------------------------------------------------
 *
 * split.c
 *	  The split that a key is on: a pure function of the key, the seed and the two
 *	  fractions.
 *
 * u is the number in [0, 1) whose binary digits are the first 53 bits of
 * SHA-256(split_seed in decimal, ':', key).  A key is test if u < test_split,
 * validation if u < test_split + validation_split, else train: so neither the
 * growth of the table nor validation_split ever moves a key into or out of the
 * test split.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "utils/builtins.h"

#include "tree/tree.h"

#include "pg/base/base.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_split_text);
PG_FUNCTION_INFO_V1(pneumo_split_bytea);

PneumoSplit
pneumo_split_key(const void *key, size_t key_bytes, int split_seed, double validation_split,
				 double test_split)
{
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();
	uint8 digest[PNEUMO_SHA256_LEN];
	char seed[16];
	uint64 bits = 0;
	double u;
	int i;

	snprintf(seed, sizeof(seed), "%d:", split_seed);
	pneumo_sha256_add(ctx, seed, strlen(seed));
	pneumo_sha256_add(ctx, key, key_bytes);
	pneumo_sha256_end(digest, ctx);

	for (i = 0; i < 8; i++)
		bits = (bits << 8) | digest[i];
	u = (double) (bits >> 11) / 9007199254740992.0;

	if (u < test_split)
		return PNEUMO_TEST;
	if (u < test_split + validation_split)
		return PNEUMO_VALIDATION;
	return PNEUMO_TRAIN;
}

bool
pneumo_split_parse(const char *name, PneumoSplit *split)
{
	int found = tree_split_of(name);

	if (found >= 0)
		*split = (PneumoSplit) found;
	return found >= 0;
}

PneumoSplit
pneumo_split_group(const char *key, int split_seed, double validation_split, double test_split)
{
	const char *utf8 = pneumo_utf8(key);

	return pneumo_split_key(utf8, strlen(utf8), split_seed, validation_split, test_split);
}

static void
check_fraction(const char *name, double value)
{
	if (!(value >= 0 && value <= 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is %g, must be between 0 and 1", name, value)));
}

/* Returns the name of the split of a key; the other arguments are those of the call. */
static Datum
split_bytes(FunctionCallInfo fcinfo, const char *key, size_t key_bytes)
{
	double validation_split = PG_GETARG_FLOAT8(2);
	double test_split = PG_GETARG_FLOAT8(3);

	check_fraction("validation_split", validation_split);
	check_fraction("test_split", test_split);
	if (validation_split + test_split > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("validation_split %g and test_split %g are together above 1", validation_split,
							   test_split)));
	return CStringGetTextDatum(pneumo_split_names[pneumo_split_key(key, key_bytes, PG_GETARG_INT32(1),
																   validation_split, test_split)]);
}

Datum
pneumo_split_text(PG_FUNCTION_ARGS)
{
	char *key = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *utf8 = pneumo_utf8(key);

	return split_bytes(fcinfo, utf8, strlen(utf8));
}

Datum
pneumo_split_bytea(PG_FUNCTION_ARGS)
{
	bytea *key = PG_GETARG_BYTEA_PP(0);

	return split_bytes(fcinfo, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

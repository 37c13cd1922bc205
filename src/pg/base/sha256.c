/*-------------------------------------------------------------------------
 *
 * sha256.c
 *	  SHA-256 of bytes, also where no transaction is open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "pg/base/base.h"

static ResourceOwner digest_owner = NULL; /* of contexts that are made outside of transactions */

static void
sha256_failed(pg_cryptohash_ctx *ctx)
{
	elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
}

pg_cryptohash_ctx *
pneumo_sha256_begin(void)
{
	ResourceOwner old = CurrentResourceOwner;
	pg_cryptohash_ctx *ctx;

	/* A training worker also digests where no transaction is open. */
	if (old == NULL)
	{
		if (digest_owner == NULL)
			digest_owner = ResourceOwnerCreate(NULL, "pneumo digests");
		CurrentResourceOwner = digest_owner;
	}
	ctx = pg_cryptohash_create(PG_SHA256);
	CurrentResourceOwner = old;
	if (ctx == NULL || pg_cryptohash_init(ctx) < 0)
		sha256_failed(ctx);
	return ctx;
}

void
pneumo_sha256_add(pg_cryptohash_ctx *ctx, const void *bytes, size_t n_bytes)
{
	if (pg_cryptohash_update(ctx, bytes, n_bytes) < 0)
		sha256_failed(ctx);
}

void
pneumo_sha256_end(uint8 *digest, pg_cryptohash_ctx *ctx)
{
	if (pg_cryptohash_final(ctx, digest, PNEUMO_SHA256_LEN) < 0)
		sha256_failed(ctx);
	pg_cryptohash_free(ctx);
}

void
pneumo_sha256(uint8 *digest, const void *bytes, size_t n_bytes)
{
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();

	pneumo_sha256_add(ctx, bytes, n_bytes);
	pneumo_sha256_end(digest, ctx);
}

char *
pneumo_sha256_hex(const uint8 *digest)
{
	char *hex = palloc(2 * PNEUMO_SHA256_LEN + 1);

	hex_encode((const char *) digest, PNEUMO_SHA256_LEN, hex);
	hex[2 * PNEUMO_SHA256_LEN] = '\0';
	return hex;
}

/*-------------------------------------------------------------------------
 *
 * build.c
 *	  What a result was made by: release, compiler, server, kernels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nn/nn.h"

#include "pg/base/base.h"

char *
pneumo_build(void)
{
	return psprintf("pneumo %s, %s, PostgreSQL %s", PNEUMO_VERSION,
#if defined(__clang__)
					"clang " __clang_version__,
#elif defined(__GNUC__)
					"gcc " __VERSION__,
#else
					"unknown compiler",
#endif
					PG_VERSION);
}

char *
pneumo_build_text(void)
{
	return psprintf("pneumo %s, %s, PostgreSQL %s, path %s, BLAS %s", PNEUMO_VERSION, __VERSION__, PG_VERSION,
					nn_path_name(pneumo_path()), pneumo_blas_version());
}

/*-------------------------------------------------------------------------
 *
 * blas.c
 *	  OpenBLAS, loaded at run time.
 *
 * Linking to it would start its threads in every backend when the library is
 * loaded, with signals unblocked.  So a process loads it when it first asks for
 * it, with all signals blocked, after telling it through the environment to use
 * one thread.  The first product is computed there, too, since that is when the
 * library sets up memory and threads.  It stays loaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>
#include <signal.h>

#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"

#define CBLAS_ROW_MAJOR 101
#define CBLAS_NO_TRANSPOSE 111
#define CBLAS_TRANSPOSE 112

typedef void (*CblasSgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
						   const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void (*SetNumThreads)(int n);
typedef char *(*GetText)(void);

static void *blas_library = NULL;
static CblasSgemm cblas_sgemm = NULL;
static GetText get_config = NULL;
static GetText get_corename = NULL;
static char *blas_version = NULL;
static bool tried = false;

static void
sgemm(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
	  const float *b, int ldb, float beta, float *c, int ldc)
{
	cblas_sgemm(CBLAS_ROW_MAJOR, transpose_a ? CBLAS_TRANSPOSE : CBLAS_NO_TRANSPOSE,
				transpose_b ? CBLAS_TRANSPOSE : CBLAS_NO_TRANSPOSE, m, n, k, alpha, a, lda, b, ldb, beta, c,
				ldc);
}

/* Sets an environment variable and returns a copy of what it was, or NULL. */
static char *
replace_environment(const char *name, const char *value)
{
	const char *old = getenv(name);
	char *copy = old != NULL ? pstrdup(old) : NULL;

	setenv(name, value, 1);
	return copy;
}

static void
restore_environment(const char *name, char *old)
{
	if (old == NULL)
		unsetenv(name);
	else
		setenv(name, old, 1);
}

/* Looks up the functions of the library; false if it is not OpenBLAS. */
static bool
bind_library(void *library)
{
	SetNumThreads set_num_threads;
	float a[4] = {1, 2, 3, 4};
	float c[4];

	*(void **) &cblas_sgemm = dlsym(library, "cblas_sgemm");
	*(void **) &set_num_threads = dlsym(library, "openblas_set_num_threads");
	*(void **) &get_config = dlsym(library, "openblas_get_config");
	*(void **) &get_corename = dlsym(library, "openblas_get_corename");
	if (cblas_sgemm == NULL || set_num_threads == NULL || get_config == NULL)
	{
		cblas_sgemm = NULL;
		return false;
	}
	set_num_threads(1);
	sgemm(0, 0, 2, 2, 2, 1.0f, a, 2, a, 2, 0.0f, c, 2);
	return true;
}

/*
 * Loads the library with all signals blocked, so that a thread that it might
 * start takes none.  Nothing in here can throw while they are blocked.
 */
static bool
load_library(const char *name, char *reason, size_t reason_bytes)
{
	sigset_t all;
	sigset_t old;
	void *library;
	bool bound = false;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (library != NULL)
		bound = bind_library(library);
	else
		strlcpy(reason, dlerror(), reason_bytes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (bound)
		blas_library = library;
	return bound;
}

/* Loads the library that the setting names, unless this process has tried before; logs why it cannot. */
static void
load_once(void)
{
	char *openblas;
	char *omp;
	char reason[256] = "it does not have OpenBLAS's functions";
	bool bound;

	if (tried)
		return;
	tried = true;
	if (pneumo_blas_library == NULL || pneumo_blas_library[0] == '\0' ||
		pg_strcasecmp(pneumo_blas_library, "none") == 0)
		return;

	openblas = replace_environment("OPENBLAS_NUM_THREADS", "1");
	omp = replace_environment("OMP_NUM_THREADS", "1");
	bound = load_library(pneumo_blas_library, reason, sizeof(reason));
	restore_environment("OPENBLAS_NUM_THREADS", openblas);
	restore_environment("OMP_NUM_THREADS", omp);

	if (bound)
		blas_version =
			MemoryContextStrdup(TopMemoryContext, get_corename == NULL
													  ? get_config()
													  : psprintf("%s core %s", get_config(), get_corename()));
	else
		ereport(LOG, (errmsg("pneumo: could not use BLAS library \"%s\": %s", pneumo_blas_library, reason),
					  errhint("Training goes on with the built-in kernels. Install libopenblas0, "
							  "or set pneumo.blas_library to none.")));
}

NnSgemm
pneumo_blas_sgemm(void)
{
	load_once();
	return cblas_sgemm != NULL ? sgemm : NULL;
}

void *
pneumo_blas_symbol(const char *name)
{
	load_once();
	return blas_library != NULL ? dlsym(blas_library, name) : NULL;
}

const char *
pneumo_blas_version(void)
{
	load_once();
	return blas_version != NULL ? blas_version : "built-in";
}

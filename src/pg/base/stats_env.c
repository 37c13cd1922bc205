/*-------------------------------------------------------------------------
 *
 * stats_env.c
 *	  Memory and interrupts for src/stats, and its statuses as errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"

static void *
lend(void *arg, size_t bytes)
{
	MemoryContext cxt = arg;

	if (bytes > (Size) pneumo_figures_memory * 1024 ||
		MemoryContextMemAllocated(cxt, false) + bytes > (Size) pneumo_figures_memory * 1024)
		return NULL;
	return MemoryContextAllocExtended(cxt, Max(bytes, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
take_back(void *arg, void *memory)
{
	(void) arg;
	if (memory != NULL)
		pfree(memory);
}

static bool
stop(void *arg)
{
	(void) arg;
	CHECK_FOR_INTERRUPTS();
	return false;
}

void
pneumo_stats_begin(PneumoStats *stats)
{
	stats->cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo figures", ALLOCSET_DEFAULT_SIZES);
	stats->env.allocate = lend;
	stats->env.release = take_back;
	stats->env.stop = stop;
	stats->env.arg = stats->cxt;
}

void
pneumo_stats_end(PneumoStats *stats)
{
	MemoryContextDelete(stats->cxt);
}

void
pneumo_too_many_rows(int64 n)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("the figures of %lld rows need more memory than pneumo.figures_memory allows",
						   (long long) n),
					errhint("Raise the setting, or compute them over a sample of the rows.")));
}

void
pneumo_stats_check(StatsStatus status, const char *what, const StatsRows *rows)
{
	size_t n = rows != NULL ? rows->n : 0;

	switch (status)
	{
		case STATS_OK:
			return;
		case STATS_NO_ROWS:
			ereport(ERROR,
					(errcode(ERRCODE_NO_DATA_FOUND), errmsg("%s: there are no rows to evaluate", what)));
			break;
		case STATS_ONE_CLASS:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s: all %zu rows are %s, both classes are needed", what, n,
								   n > 0 && rows->label[0] ? "positive" : "negative"),
							errhint("Leave groups of one class out of the query, "
									"or count with pneumo_confusion_matrix.")));
			break;
		case STATS_NO_MEMORY:
			pneumo_too_many_rows((int64) n);
			break;
		case STATS_UNREACHABLE:
		case STATS_TOO_FEW:
		case STATS_NO_CONVERGENCE:
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("%s: %s", what, stats_status_text(status))));
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s: %s", what, stats_status_text(status))));
	}
}

void
pneumo_stats_check_classes(StatsStatus status, const char *what, const StatsClassRows *rows,
						   char *const *classes)
{
	StatsRows counted = {NULL, NULL, NULL, rows->n};

	if (status == STATS_ONE_CLASS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s: all %zu rows are of class \"%s\", two or more classes are needed", what,
							   rows->n, classes[rows->label[0]]),
						errhint("Give a table that has rows of other classes, too.")));
	pneumo_stats_check(status, what, &counted);
}

void
pneumo_stats_options(StatsOptions *options, double threshold)
{
	options->threshold = threshold;
	options->confidence = PNEUMO_CONFIDENCE;
}

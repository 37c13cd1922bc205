/*-------------------------------------------------------------------------
 *
 * look_worker.c
 *	  Counting a look in a transaction of its own.
 *
 * A look has happened once its figures are shown, whatever becomes of the
 * transaction that asked: its row must survive a rollback.  So a background
 * worker writes it.  The caller hands the row over in a DSM segment, waits until
 * the worker has ended, and shows nothing before.
 *
 * The worker connects without a role and runs nothing but pneumo_look_insert():
 * no SQL, no trigger, no function of a user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

#define LOOK_ABI 1
#define WORKER_WAIT_MS 60000 /* its figures are computed by now and would be lost */

typedef enum Outcome
{
	LOOK_PENDING,
	LOOK_WRITTEN,
	LOOK_NO_EXTENSION
} Outcome;

/* What the worker gets; the texts follow, each ended by a zero. */
typedef struct LookSegment
{
	uint32 abi; /* first field for ever */
	int32 outcome;
	Oid database;
	int64 version;
	int64 images;
	uint8 sha256[PNEUMO_SHA256_LEN];
	NameData role;
	Size source_at; /* from the segment's start */
	Size split_at;
	Size metrics_at; /* 0: none */
} LookSegment;

extern PGDLLEXPORT void pneumo_look_worker_main(Datum main_arg);

/* ------------------------------------------------------------------- worker */

void
pneumo_look_worker_main(Datum main_arg)
{
	dsm_segment *segment;
	LookSegment *s;
	PneumoLook look;
	bool written;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	segment = dsm_attach(DatumGetUInt32(main_arg));
	if (segment == NULL)
		proc_exit(1); /* the caller has gone */
	dsm_pin_mapping(segment);
	s = dsm_segment_address(segment);
	if (s->abi != LOOK_ABI)
		proc_exit(1);
	BackgroundWorkerInitializeConnectionByOid(s->database, InvalidOid, 0);
	/* a table that somebody has locked: the caller gets an error, not a deadlock */
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	memset(&look, 0, sizeof(look));
	memcpy(look.sha256, s->sha256, PNEUMO_SHA256_LEN);
	look.version = s->version;
	look.role = s->role;
	look.split = (char *) s + s->split_at;
	look.source = (char *) s + s->source_at;
	look.images = s->images;
	look.metrics = s->metrics_at != 0 ? pneumo_json_parse((char *) s + s->metrics_at) : NULL;
	written = pneumo_look_insert(&look);
	PopActiveSnapshot();
	CommitTransactionCommand();
	s->outcome = written ? LOOK_WRITTEN : LOOK_NO_EXTENSION;
	dsm_detach(segment);
	proc_exit(0);
}

/* ------------------------------------------------------------------- caller */

/* Fills a new segment with the row. */
static dsm_segment *
make_segment(const PneumoLook *look)
{
	char *metrics =
		look->metrics != NULL ? JsonbToCString(NULL, &look->metrics->root, VARSIZE(look->metrics)) : NULL;
	Size split_bytes = strlen(look->split) + 1;
	Size source_bytes = strlen(look->source) + 1;
	Size metrics_bytes = metrics != NULL ? strlen(metrics) + 1 : 0;
	dsm_segment *segment = dsm_create(sizeof(LookSegment) + split_bytes + source_bytes + metrics_bytes, 0);
	LookSegment *s = dsm_segment_address(segment);

	memset(s, 0, sizeof(*s));
	s->abi = LOOK_ABI;
	s->outcome = LOOK_PENDING;
	s->database = MyDatabaseId;
	s->version = look->version;
	s->images = look->images;
	memcpy(s->sha256, look->sha256, PNEUMO_SHA256_LEN);
	s->role = look->role;
	s->split_at = sizeof(LookSegment);
	s->source_at = s->split_at + split_bytes;
	memcpy((char *) s + s->split_at, look->split, split_bytes);
	memcpy((char *) s + s->source_at, look->source, source_bytes);
	if (metrics != NULL)
	{
		s->metrics_at = s->source_at + source_bytes;
		memcpy((char *) s + s->metrics_at, metrics, metrics_bytes);
	}
	return segment;
}

void
pneumo_look_add(const PneumoVersionId *id, const char *split, const char *source, int64 images,
				Jsonb *metrics)
{
	PneumoLook look;
	dsm_segment *segment;
	BackgroundWorkerHandle *handle;
	BgwHandleStatus status;
	int32 outcome;

	pneumo_prevent_write("figures of held-out rows");
	memset(&look, 0, sizeof(look));
	memcpy(look.sha256, id->sha256, PNEUMO_SHA256_LEN);
	look.version = id->version;
	namestrcpy(&look.role, GetUserNameFromId(GetUserId(), false));
	look.split = split;
	look.source = source;
	look.images = images;
	look.metrics = metrics;

	segment = make_segment(&look);
	handle = pneumo_start_worker("pneumo_look_worker_main", "pneumo: counting a look", "pneumo look",
								 dsm_segment_handle(segment), WORKER_WAIT_MS);
	if (handle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("the look at held-out rows cannot be counted: no background worker is free"),
				 errdetail("It was waited for for %d seconds.", WORKER_WAIT_MS / 1000),
				 errhint("Try again when parallel queries have ended, or raise max_worker_processes above "
						 "max_parallel_workers.")));
	status = WaitForBackgroundWorkerShutdown(handle);
	if (status == BGWH_POSTMASTER_DIED)
		ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the server is going away")));
	outcome = ((LookSegment *) dsm_segment_address(segment))->outcome;
	dsm_detach(segment);
	if (outcome == LOOK_NO_EXTENSION)
		outcome = pneumo_look_insert(&look) ? LOOK_WRITTEN : LOOK_PENDING;
	if (outcome != LOOK_WRITTEN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the look at held-out rows could not be counted, so its figures are not shown"),
				 errhint("The server's log says why.")));
}

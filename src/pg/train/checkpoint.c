/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  The files that a run can be resumed from.
 *
 * One file a run, pneumo/<database>/pgsql_tmp_run_<run>.checkpoint below the data
 * directory: a head, then the trainer's state.  It is written under another name,
 * flushed and renamed, so that there is always a whole one.
 *
 * A checkpoint is worth nothing on another machine.  So it is not in the WAL, and
 * its name begins like those of the server's temporary files: pg_basebackup and
 * pg_rewind leave such files out, whatever their folder.  A start of the server
 * only removes those in its own folders for temporary files, so that a run can
 * still be resumed after a restart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "common/file_perm.h"
#include "common/file_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/train/train.h"

#define ROOT "pneumo"
#define PREFIX PG_TEMP_FILE_PREFIX "_run_"
#define SUFFIX ".checkpoint"
#define MAGIC "PNCKPT\0\1"
#define PIECE ((size_t) 4 * 1024 * 1024)
#define FLUSH_BYTES ((size_t) 16 * 1024 * 1024)

static void
checkpoint_path(char *path, int64 run, bool temporary)
{
	snprintf(path, MAXPGPATH, ROOT "/%u/" PREFIX "%lld" SUFFIX "%s", MyDatabaseId, (long long) run,
			 temporary ? ".new" : "");
}

static void
make_directory(const char *path)
{
	if (MakePGDirectory(path) < 0 && errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", path)));
}

static void
write_all(int fd, const char *path, const void *bytes, size_t n_bytes, off_t offset)
{
	size_t done = 0;

	while (done < n_bytes)
	{
		ssize_t n = pwrite(fd, (const char *) bytes + done, n_bytes - done, offset + (off_t) done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", path)));
		}
		done += (size_t) n;
	}
}

static void
flush_file(int fd, const char *path)
{
	if (pg_fsync(fd) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not fsync file \"%s\": %m", path)));
}

/*
 * Writes the state piece by piece, flushed on the way, so that no wait is long;
 * then the head, which makes it whole.  Returns false if it was stopped.
 */
static bool
write_file(int fd, const char *path, PneumoCheckpointHead *head, const void *state, bool (*stop)(void *arg),
		   void *arg)
{
	size_t done;
	size_t flushed = 0;

	INIT_CRC32C(head->crc);
	for (done = 0; done < head->state_bytes; done += PIECE)
	{
		const char *piece = (const char *) state + done;
		size_t n = Min(head->state_bytes - done, PIECE);

		if (stop != NULL && stop(arg))
			return false;
		write_all(fd, path, piece, n, (off_t) (sizeof(*head) + done));
		COMP_CRC32C(head->crc, piece, n);
		if (done + n - flushed >= FLUSH_BYTES)
		{
			flush_file(fd, path);
			flushed = done + n;
		}
	}
	FIN_CRC32C(head->crc);
	write_all(fd, path, head, sizeof(*head), 0);
	flush_file(fd, path);
	return true;
}

bool
pneumo_checkpoint_write(const PneumoCheckpointHead *given, const void *state, bool (*stop)(void *arg),
						void *arg)
{
	PneumoCheckpointHead head = *given;
	char path[MAXPGPATH];
	char temporary[MAXPGPATH];
	char directory[MAXPGPATH];
	const char *folder = directory;
	volatile int fd;
	volatile bool whole = false;

	memcpy(head.magic, MAGIC, sizeof(head.magic));
	snprintf(directory, sizeof(directory), ROOT "/%u", MyDatabaseId);
	make_directory(ROOT);
	make_directory(directory);
	checkpoint_path(path, head.run, false);
	checkpoint_path(temporary, head.run, true);
	pneumo_disk_require("the checkpoint", (double) (sizeof(head) + head.state_bytes), &folder, 1,
						"Free space, or lower the setting.");

	fd = OpenTransientFile(temporary, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", temporary)));
	PG_TRY();
	{
		int closing;

		whole = write_file(fd, temporary, &head, state, stop, arg);
		closing = fd;
		fd = -1;
		if (CloseTransientFile(closing) != 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not close file \"%s\": %m", temporary)));
		if (whole)
			(void) durable_rename(temporary, path, ERROR);
		else
			(void) unlink(temporary);
	}
	PG_CATCH();
	{
		if (fd >= 0)
			CloseTransientFile(fd);
		unlink(temporary);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return whole;
}

bool
pneumo_checkpoint_exists(int64 run)
{
	char path[MAXPGPATH];
	struct stat st;

	checkpoint_path(path, run, false);
	return stat(path, &st) == 0;
}

static void
read_all(int fd, const char *path, void *bytes, size_t n_bytes)
{
	size_t done = 0;

	while (done < n_bytes)
	{
		ssize_t n;

		CHECK_FOR_INTERRUPTS();
		n = read(fd, (char *) bytes + done, Min(n_bytes - done, PIECE));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not read file \"%s\": %m", path)));
		if (n == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED), errmsg("checkpoint file \"%s\" is truncated", path)));
		done += (size_t) n;
	}
}

bool
pneumo_checkpoint_read_head(int64 run, PneumoCheckpointHead *head)
{
	char path[MAXPGPATH];
	int fd;

	checkpoint_path(path, run, false);
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	}
	read_all(fd, path, head, sizeof(*head));
	CloseTransientFile(fd);
	head->build[sizeof(head->build) - 1] = '\0';
	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 || head->run != run)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("file \"%s\" is not the checkpoint of run %lld", path, (long long) run)));
	return true;
}

void
pneumo_checkpoint_read_state(int64 run, const PneumoCheckpointHead *head, void *state)
{
	char path[MAXPGPATH];
	PneumoCheckpointHead again;
	pg_crc32c crc;
	int fd;

	checkpoint_path(path, run, false);
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	read_all(fd, path, &again, sizeof(again));
	read_all(fd, path, state, head->state_bytes);
	CloseTransientFile(fd);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, state, head->state_bytes);
	FIN_CRC32C(crc);
	if (!EQ_CRC32C(crc, head->crc))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("checkpoint file \"%s\" is damaged", path)));
}

void
pneumo_checkpoint_remove(int64 run)
{
	char path[MAXPGPATH];

	checkpoint_path(path, run, true);
	(void) unlink(path);
	checkpoint_path(path, run, false);
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(WARNING, (errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path)));
}

/* ------------------------------------------------------ removal at commit */

/* A checkpoint to be removed when the transaction commits, if its savepoint is not rolled back. */
typedef struct Removal
{
	int64 run;
	SubTransactionId subtransaction;
	struct Removal *next;
} Removal;

static Removal *removals = NULL;

static void
at_transaction_end(XactEvent event, void *arg)
{
	Removal *removal;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	/* a prepared transaction leaves its checkpoints to the sweep */
	for (removal = removals; removal != NULL && event == XACT_EVENT_COMMIT; removal = removal->next)
		pneumo_checkpoint_remove(removal->run);
	removals = NULL; /* the memory goes with the transaction */
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent, void *arg)
{
	Removal **place = &removals;

	(void) arg;
	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (*place != NULL)
	{
		if ((*place)->subtransaction != subtransaction)
			place = &(*place)->next;
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			(*place)->subtransaction = parent;
		else
			*place = (*place)->next;
	}
}

void
pneumo_checkpoint_remove_at_commit(int64 run)
{
	static bool registered = false;
	Removal *removal = MemoryContextAlloc(TopTransactionContext, sizeof(Removal));

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	removal->run = run;
	removal->subtransaction = GetCurrentSubTransactionId();
	removal->next = removals;
	removals = removal;
}

/* ------------------------------------------------------------------ sweep */

/* Removes the files of this database whose run is done with them. */
static void
sweep_database(const char *directory)
{
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		long long run;
		char rest[32] = "";
		PneumoRunRow *row;
		PneumoRunSlot slot;

		if (sscanf(entry->d_name, PREFIX "%lld%31s", &run, rest) != 2 ||
			strncmp(rest, SUFFIX, strlen(SUFFIX)) != 0)
			continue;
		if (pneumo_slot_find(run, &slot))
			continue;
		if (strcmp(rest, SUFFIX) != 0)
		{
			/* of a worker that died while it wrote */
			char path[MAXPGPATH];

			checkpoint_path(path, run, true);
			(void) unlink(path);
			continue;
		}
		row = pneumo_run_read(run);
		if (row == NULL || strcmp(row->state, "succeeded") == 0)
			pneumo_checkpoint_remove(run);
	}
	FreeDir(dir);
}

void
pneumo_checkpoint_sweep(void)
{
	DIR *dir = AllocateDir(ROOT);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = ReadDirExtended(dir, ROOT, LOG)) != NULL)
	{
		char path[MAXPGPATH];
		char *end;
		unsigned long database = strtoul(entry->d_name, &end, 10);

		if (database == 0 || *end != '\0')
			continue;
		snprintf(path, sizeof(path), ROOT "/%lu", database);
		if ((Oid) database == MyDatabaseId)
			sweep_database(path);
		else if (!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum((Oid) database)))
			(void) rmtree(path, true);
	}
	FreeDir(dir);
}

/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Sends the images by one or more connections.
 *
 * A worker takes a batch of the list, reads its files, leaves out what the table
 * has, and sends the rest by one COPY, which is a transaction: what ends the program
 * or the server loses at most one batch of each connection.  If the server rejects
 * a batch, its images are sent one by one, so that the one it rejects is named.
 *
 * COPY in binary form wants values of the columns' types.  Texts go as they are;
 * the values of other types are converted by the server, before the COPY begins, and
 * remembered, as most of them repeat.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hash/sha256.h"

#include "client.h"

#define BATCH_FILES 256
#define BATCH_BYTES ((uint64_t) 16 * 1024 * 1024)
#define PIECE ((size_t) 64 * 1024)        /* that is given to libpq at once */
#define CACHED 1024                       /* converted values of a column */
#define MAX_COLUMNS (N_KINDS + MAX_EXTRA) /* the image first */
#define GRACE 2.0                         /* seconds from the first signal to cancelling */
#define RETRIES 3                         /* of a batch after a deadlock */

typedef struct Value
{
	const char *bytes; /* NULL: null */
	int n;
} Value;

/* A value as the server has converted it. */
typedef struct Converted
{
	char *text;
	char *bytes;
	int n;
} Converted;

/* A column that is sent. */
typedef struct Sent
{
	const TableColumn *column;
	int kind;  /* -1: an extra column */
	int extra; /* which */
	int is_text;
} Sent;

typedef struct Row
{
	const Item *item;
	uint8_t *bytes;
	size_t n_bytes;
	char *patient; /* of its tags */
	int changed;   /* the table has the name with other content */
	Value value[MAX_COLUMNS];
} Row;

typedef enum Outcome
{
	SENT,
	REJECTED, /* because of a row */
	AGAIN,    /* a deadlock or the like */
	FAILED
} Outcome;

/* What the workers share. */
typedef struct Work
{
	pthread_mutex_t lock;
	pthread_cond_t ended;
	Plan *plan;
	const Table *table;
	const Options *options;
	Sent sent[MAX_COLUMNS];
	int n_sent;
	char *copy; /* the command */
	size_t next;
	int running;
	int status; /* to end with */
	Counts *counts;
} Work;

typedef struct Worker
{
	Work *work;
	pthread_t thread;
	PGconn *conn;
	PGcancel *cancel;
	int prepared[MAX_COLUMNS];
	Converted *cache[MAX_COLUMNS];
	Row rows[BATCH_FILES];
	int n_rows;
} Worker;

/* Makes the load end after the batches that are being sent. */
static void
end_with(Work *work, int status)
{
	pthread_mutex_lock(&work->lock);
	if (work->status == EXIT_DONE)
		work->status = status;
	pthread_mutex_unlock(&work->lock);
}

/* Prints what the server said about a file, or about the load. */
static void
print_error(Work *work, const PGconn *conn, const PGresult *result, const char *file)
{
	static const struct
	{
		int field;
		const char *title;
	} fields[] = {{PG_DIAG_MESSAGE_DETAIL, "DETAIL"}, {PG_DIAG_MESSAGE_HINT, "HINT"}};
	const char *message = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	pthread_mutex_lock(&work->lock);
	fprintf(stderr, "%s" PROGRAM ": ", isatty(STDERR_FILENO) ? "\r\033[K" : "");
	if (file != NULL)
	{
		fputs("the server rejects \"", stderr);
		print_clean(stderr, file);
		fputs("\": ", stderr);
	}
	fprintf(stderr, "%s\n", message != NULL ? message : PQerrorMessage(conn));
	for (size_t i = 0; result != NULL && i < sizeof(fields) / sizeof(fields[0]); i++)
		if (PQresultErrorField(result, fields[i].field) != NULL)
			fprintf(stderr, "%s:  %s\n", fields[i].title, PQresultErrorField(result, fields[i].field));
	pthread_mutex_unlock(&work->lock);
}

/* ------------------------------------------------------------------ values */

/* Returns whether the binary form of a type is its text: text, varchar, char(n), name, json. */
static int
is_text_type(Oid type)
{
	return type == 25 || type == 1043 || type == 1042 || type == 19 || type == 114;
}

static const char *
text_of(const Row *row, const Sent *sent)
{
	switch (sent->kind)
	{
		case KIND_FILE:
			return row->item->file;
		case KIND_LABEL:
			return row->item->label;
		case KIND_SPLIT:
			return row->item->split;
		case KIND_PATIENT:
			return row->item->patient != NULL ? row->item->patient : row->patient;
		default:
			return row->item->extra != NULL ? row->item->extra[sent->extra] : NULL;
	}
}

/* Returns the place of a text among the converted values of a column, its own or one to be replaced. */
static Converted *
cached(Worker *worker, int column, const char *text)
{
	uint32_t hash = 2166136261u;

	if (worker->cache[column] == NULL)
	{
		worker->cache[column] = need(CACHED * sizeof(Converted));
		memset(worker->cache[column], 0, CACHED * sizeof(Converted));
	}
	for (const char *c = text; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	return &worker->cache[column][hash % CACHED];
}

/* Converts a text to the binary form of a column's type; the result stays until the row has been sent. */
static Outcome
convert(Worker *worker, int column, const char *text, Value *value, PGresult **error)
{
	const Sent *sent = &worker->work->sent[column];
	Converted *entry = cached(worker, column, text);
	const char *const values[] = {text};
	char name[24];
	PGresult *result;

	if (entry->text == NULL || strcmp(entry->text, text) != 0)
	{
		snprintf(name, sizeof(name), "convert%d", column);
		if (!worker->prepared[column])
		{
			result = PQprepare(worker->conn, name, "SELECT $1", 1, &sent->column->type);
			if (PQresultStatus(result) != PGRES_COMMAND_OK)
			{
				*error = result;
				return FAILED;
			}
			PQclear(result);
			worker->prepared[column] = 1;
		}
		result = PQexecPrepared(worker->conn, name, 1, values, NULL, NULL, 1);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			*error = result;
			return PQstatus(worker->conn) == CONNECTION_OK ? REJECTED : FAILED;
		}
		free(entry->text);
		free(entry->bytes);
		entry->text = copy_text(text, strlen(text));
		entry->n = PQgetlength(result, 0, 0);
		entry->bytes = copy_text(PQgetvalue(result, 0, 0), (size_t) entry->n);
		PQclear(result);
	}
	/* a copy, as another text may take the place */
	value->bytes = copy_text(entry->bytes, (size_t) entry->n);
	value->n = entry->n;
	return SENT;
}

/* Fills the values of a row. */
static Outcome
fill_values(Worker *worker, Row *row, PGresult **error)
{
	const Work *work = worker->work;

	for (int i = 0; i < work->n_sent; i++)
	{
		const Sent *sent = &work->sent[i];
		const char *text;
		Outcome outcome;

		if (sent->kind == KIND_IMAGE)
		{
			row->value[i].bytes = (const char *) row->bytes;
			row->value[i].n = (int) row->n_bytes;
			continue;
		}
		text = text_of(row, sent);
		row->value[i].bytes = text;
		row->value[i].n = text != NULL ? (int) strlen(text) : 0;
		if (text == NULL || sent->is_text)
			continue;
		row->value[i].bytes = NULL;
		outcome = convert(worker, i, text, &row->value[i], error);
		if (outcome != SENT)
			return outcome;
	}
	return SENT;
}

static void
free_row(const Work *work, Row *row)
{
	for (int i = 0; i < work->n_sent; i++)
		if (work->sent[i].kind != KIND_IMAGE && !work->sent[i].is_text)
			free((void *) (uintptr_t) row->value[i].bytes);
	free(row->bytes);
	free(row->patient);
	memset(row, 0, sizeof(*row));
}

/* ------------------------------------------------------------------- COPY */

/* Gives bytes to libpq in pieces, so that its buffer stays small; returns 0 if the connection is lost. */
static int
put(PGconn *conn, const char *bytes, size_t n)
{
	for (; n > 0; n -= n < PIECE ? n : PIECE, bytes += PIECE)
		if (PQputCopyData(conn, bytes, (int) (n < PIECE ? n : PIECE)) != 1)
			return 0;
	return 1;
}

static int
put_number(PGconn *conn, uint32_t number, int n_bytes)
{
	char bytes[4] = {(char) (number >> 24), (char) (number >> 16), (char) (number >> 8), (char) number};

	return put(conn, bytes + 4 - n_bytes, (size_t) n_bytes);
}

static int
put_row(PGconn *conn, const Row *row, int n_values)
{
	int ok = put_number(conn, (uint32_t) n_values, 2);

	for (int i = 0; ok && i < n_values; i++)
	{
		const Value *value = &row->value[i];

		ok = put_number(conn, value->bytes != NULL ? (uint32_t) value->n : UINT32_MAX, 4) &&
			 (value->bytes == NULL || put(conn, value->bytes, (size_t) value->n));
	}
	return ok;
}

/* Tells by the server's error what to do about a batch. */
static Outcome
outcome_of(const PGconn *conn, const PGresult *result)
{
	/* data, constraints, triggers, check options; functions of triggers */
	static const char *const of_rows[] = {"22", "23", "44", "P0", "27", "2F", "38", "39", "21"};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQstatus(conn) != CONNECTION_OK || state == NULL || stopped)
		return FAILED;
	if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0)
		return AGAIN;
	for (size_t i = 0; i < sizeof(of_rows) / sizeof(of_rows[0]); i++)
		if (strncmp(state, of_rows[i], 2) == 0)
			return REJECTED;
	return FAILED;
}

/* Sends rows by one COPY; *error is the server's if it fails. */
static Outcome
copy_rows(Worker *worker, const Row *rows, int n, PGresult **error)
{
	static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
	PGconn *conn = worker->conn;
	PGresult *result = PQexec(conn, worker->work->copy);
	Outcome outcome = SENT;
	int ok;

	if (PQresultStatus(result) != PGRES_COPY_IN)
	{
		*error = result;
		return outcome_of(conn, result);
	}
	PQclear(result);
	ok = put(conn, header, 19);
	for (int i = 0; ok && i < n; i++)
		ok = put_row(conn, &rows[i], worker->work->n_sent);
	ok = ok && put_number(conn, 0xffff, 2);
	(void) PQputCopyEnd(conn, ok ? NULL : "could not send the images");
	*error = NULL;
	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_COMMAND_OK)
			PQclear(result);
		else
		{
			outcome = outcome_of(conn, result);
			PQclear(*error);
			*error = result;
			if (PQstatus(conn) != CONNECTION_OK)
				break;
		}
	}
	return PQstatus(conn) != CONNECTION_OK || !ok ? FAILED : outcome;
}

static void
count_loaded(Work *work, const Row *rows, int n)
{
	pthread_mutex_lock(&work->lock);
	for (int i = 0; i < n; i++)
	{
		work->counts->loaded++;
		work->counts->loaded_bytes += rows[i].n_bytes;
		work->counts->changed += (size_t) rows[i].changed;
	}
	pthread_mutex_unlock(&work->lock);
}

/* Ends the load because of an error that no single row is to blame for. */
static void
fail(Worker *worker, const PGresult *error)
{
	const char *state = error != NULL ? PQresultErrorField(error, PG_DIAG_SQLSTATE) : NULL;
	/* an administrator or a shutdown ends the session; libpq may not have noticed yet */
	int is_lost = PQstatus(worker->conn) != CONNECTION_OK || (state != NULL && strncmp(state, "57P", 3) == 0);

	if (!stopped || is_lost)
		print_error(worker->work, worker->conn, error, NULL);
	end_with(worker->work, stopped ? EXIT_STOPPED : is_lost ? EXIT_CONNECTION : EXIT_ERROR);
}

/* Notes a row that the server rejects, and ends the load unless it is to go on. */
static void
reject(Worker *worker, const Row *row, const PGresult *error)
{
	Work *work = worker->work;
	const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);

	leave_out(row->item->file, "rejected by the server", message, 1);
	pthread_mutex_lock(&work->lock);
	work->counts->rejected++;
	pthread_mutex_unlock(&work->lock);
	if (work->options->skip_rejected)
		return;
	print_error(work, worker->conn, error, row->item->file);
	end_with(work, EXIT_ERROR);
}

static int
is_ended(Work *work)
{
	int ended;

	pthread_mutex_lock(&work->lock);
	ended = work->status != EXIT_DONE || stopped;
	pthread_mutex_unlock(&work->lock);
	return ended;
}

/* Sends some rows; if the server rejects them, one by one. */
static void
send_rows(Worker *worker, const Row *rows, int n)
{
	PGresult *error = NULL;
	Outcome outcome = AGAIN;

	for (int attempt = 0; outcome == AGAIN && attempt < RETRIES; attempt++)
	{
		PQclear(error);
		error = NULL;
		outcome = copy_rows(worker, rows, n, &error);
	}
	if (outcome == SENT)
		count_loaded(worker->work, rows, n);
	else if (outcome != REJECTED)
		fail(worker, error);
	else if (n == 1)
		reject(worker, rows, error);
	else
		for (int i = 0; i < n && !is_ended(worker->work); i++)
			send_rows(worker, rows + i, 1);
	PQclear(error);
}

/* ------------------------------------------------------------------- files */

/* Reads a file; returns NULL and the reason if it cannot be loaded. */
static uint8_t *
read_file(const char *path, size_t *n_bytes, const char **reason, char *why, size_t why_bytes)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	uint8_t *bytes = NULL;
	ssize_t count = 1;

	why[0] = '\0';
	*n_bytes = 0;
	*reason = tree_reason_text(TREE_UNREADABLE);
	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(why, why_bytes, "%s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		*reason = tree_reason_text(TREE_SPECIAL);
	else if ((uint64_t) st.st_size > IMG_DEFAULT_MAX_BYTES)
		*reason = tree_reason_text(TREE_TOO_LARGE);
	else if ((bytes = malloc((size_t) st.st_size + 1)) == NULL)
		snprintf(why, why_bytes, "out of memory");
	while (bytes != NULL && count > 0 && *n_bytes < (size_t) st.st_size)
	{
		count = read(fd, bytes + *n_bytes, (size_t) st.st_size - *n_bytes);
		if (count > 0)
			*n_bytes += (size_t) count;
		else if (count < 0 && errno == EINTR)
			count = 1;
	}
	if (count < 0)
		snprintf(why, why_bytes, "%s", strerror(errno));
	else if (bytes != NULL && *n_bytes == 0)
		*reason = tree_reason_text(TREE_EMPTY);
	else if (bytes != NULL)
	{
		*reason = recognise(bytes, *n_bytes, why, why_bytes) ? NULL : tree_reason_text(TREE_NOT_IMAGE);
	}
	if (fd >= 0)
		close(fd);
	if (*reason == NULL)
		return bytes;
	free(bytes);
	return NULL;
}

static int
compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

/* Returns whether the table has an image; *changed tells that it has its name with other content. */
static int
is_there(const Table *table, const Item *item, const uint8_t *bytes, size_t n_bytes, int *changed)
{
	uint8_t sha256[SHA256_LEN];

	*changed = 0;
	if (item->there == NULL && table->n_known == 0)
		return 0;
	sha256_of(sha256, bytes, n_bytes);
	for (const There *there = item->there; there != NULL; there = there->next)
		if (memcmp(there->sha256, sha256, SHA256_LEN) == 0)
			return 1;
	*changed = item->there != NULL;
	return table->n_known > 0 &&
		   bsearch(sha256, table->known, table->n_known, SHA256_LEN, compare_hashes) != NULL;
}

/* Makes the row of an image, unless it is left out. */
static void
add_row(Worker *worker, const Item *item)
{
	Work *work = worker->work;
	Row *row = &worker->rows[worker->n_rows];
	char path[TREE_MAX_PATH];
	char why[IMG_MESSAGE_LEN];
	const char *reason;
	PGresult *error = NULL;
	Outcome outcome;

	memset(row, 0, sizeof(*row));
	full_path(path, sizeof(path), work->plan->root, item->path);
	row->item = item;
	row->bytes = read_file(path, &row->n_bytes, &reason, why, sizeof(why));
	if (row->bytes == NULL)
	{
		leave_out(item->file, reason, why[0] != '\0' ? why : NULL, 1);
		return;
	}
	if (is_there(work->table, item, row->bytes, row->n_bytes, &row->changed))
	{
		pthread_mutex_lock(&work->lock);
		work->counts->same++;
		pthread_mutex_unlock(&work->lock);
		free_row(work, row);
		return;
	}
	if (item->patient == NULL && work->table->kind[KIND_PATIENT].is_there && row->bytes[0] != 0xff &&
		row->bytes[0] != 0x89)
		row->patient = dicom_patient(row->bytes, row->n_bytes);
	outcome = fill_values(worker, row, &error);
	if (outcome == SENT)
		worker->n_rows++;
	else
	{
		if (outcome == REJECTED)
			reject(worker, row, error);
		else
			fail(worker, error);
		free_row(work, row);
	}
	PQclear(error);
}

/* Takes the next batch of the list; returns 0 if there is none. */
static int
take_batch(Work *work, size_t *first, size_t *end)
{
	uint64_t n_bytes = 0;

	pthread_mutex_lock(&work->lock);
	*first = work->next;
	while (work->next < work->plan->n && work->next - *first < BATCH_FILES &&
		   (work->next == *first || n_bytes + work->plan->items[work->next].n_bytes <= BATCH_BYTES))
		n_bytes += work->plan->items[work->next++].n_bytes;
	*end = work->next;
	pthread_mutex_unlock(&work->lock);
	return *end > *first;
}

/* Works through batches until there are no more, or the load is to end. */
static void *
run_worker(void *arg)
{
	Worker *worker = arg;
	Work *work = worker->work;
	size_t first, end;

	while (!is_ended(work) && take_batch(work, &first, &end))
	{
		uint64_t n_bytes = 0;
		size_t at;

		worker->n_rows = 0;
		/* a signal ends the batch early: what has been read is sent */
		for (at = first; at < end && !is_ended(work); at++)
		{
			add_row(worker, &work->plan->items[at]);
			n_bytes += work->plan->items[at].n_bytes;
		}
		if (worker->n_rows > 0 && (!is_ended(work) || work->status == EXIT_DONE))
			send_rows(worker, worker->rows, worker->n_rows);
		for (int i = 0; i < worker->n_rows; i++)
			free_row(work, &worker->rows[i]);
		pthread_mutex_lock(&work->lock);
		/* of a batch that has failed it is not known here how much is in the table */
		if (work->status == EXIT_DONE)
		{
			work->counts->done += at - first;
			work->counts->bytes += n_bytes;
		}
		pthread_mutex_unlock(&work->lock);
	}
	pthread_mutex_lock(&work->lock);
	work->running--;
	pthread_cond_signal(&work->ended);
	pthread_mutex_unlock(&work->lock);
	return NULL;
}

/* ---------------------------------------------------------------- progress */

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

/* Prints how far the load is, on a line that is written over; the lock is held. */
static void
print_progress(const Work *work, double seconds)
{
	const Counts *counts = work->counts;
	double speed = seconds > 0 ? (double) counts->bytes / seconds : 0;
	double left = speed > 0 ? (double) (work->plan->n_bytes - counts->bytes) / speed : 0;

	fprintf(stderr, "\r\033[K%zu of %zu files, %.0f of %.0f MB", counts->done, work->plan->n,
			(double) counts->bytes / 1e6, (double) work->plan->n_bytes / 1e6);
	if (speed > 0)
		fprintf(stderr, ", %.1f MB/s, %d:%02d left", speed / 1e6, (int) (left / 60), (int) left % 60);
	fflush(stderr);
}

static void
cancel_all(Worker *workers, int n)
{
	char why[256];

	for (int i = 0; i < n; i++)
		if (workers[i].cancel != NULL)
			(void) PQcancel(workers[i].cancel, why, sizeof(why));
}

/* Waits for the workers, shows the progress, and cancels what they do some time after a signal. */
static void
wait_for_workers(Work *work, Worker *workers, int n)
{
	int shows = !work->options->quiet && isatty(STDERR_FILENO);
	double start = now();
	double stopped_at = 0;
	int cancelled = 0;

	pthread_mutex_lock(&work->lock);
	while (work->running > 0)
	{
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 200 * 1000 * 1000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&work->ended, &work->lock, &until);
		if (shows)
			print_progress(work, now() - start);
		if (stopped && stopped_at == 0)
			stopped_at = now();
		if (stopped && !cancelled && (stopped > 1 || now() - stopped_at > GRACE))
		{
			cancelled = 1;
			pthread_mutex_unlock(&work->lock);
			cancel_all(workers, n);
			pthread_mutex_lock(&work->lock);
		}
	}
	pthread_mutex_unlock(&work->lock);
	if (shows)
		fprintf(stderr, "\r\033[K");
}

/* ------------------------------------------------------------------- start */

/* Chooses the columns that are sent, and writes the command. */
static void
choose_columns(Work *work)
{
	const Table *table = work->table;
	size_t n_bytes = 100 + strlen(table->name);

	for (int i = 0; i < N_KINDS + work->plan->n_extra; i++)
	{
		const TableColumn *column = i < N_KINDS ? &table->kind[i] : &table->extra[i - N_KINDS];
		Sent *sent = &work->sent[work->n_sent];

		if (!column->is_there)
			continue;
		sent->column = column;
		sent->kind = i < N_KINDS ? i : -1;
		sent->extra = i - N_KINDS;
		sent->is_text = is_text_type(column->type);
		n_bytes += strlen(column->name) + 2;
		work->n_sent++;
	}
	work->copy = need(n_bytes);
	snprintf(work->copy, n_bytes, "COPY %s (", table->name);
	for (int i = 0; i < work->n_sent; i++)
	{
		strcat(work->copy, i > 0 ? ", " : "");
		strcat(work->copy, work->sent[i].column->name);
	}
	strcat(work->copy, ") FROM STDIN (FORMAT binary)");
}

int
load(Counts *counts, Plan *plan, const Table *table, const Options *options)
{
	static Work work = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
	Worker *workers = need(sizeof(Worker) * (size_t) options->jobs);
	sigset_t signals, before;

	work.plan = plan;
	work.table = table;
	work.options = options;
	work.counts = counts;
	choose_columns(&work);
	memset(workers, 0, sizeof(Worker) * (size_t) options->jobs);
	for (int i = 0; i < options->jobs; i++)
	{
		workers[i].work = &work;
		workers[i].conn = connect_server(options);
		workers[i].cancel = PQgetCancel(workers[i].conn);
	}
	is_loading = 1;
	/* the signals come to this thread */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	work.running = options->jobs;
	for (int i = 0; i < options->jobs; i++)
		if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
			fatal(EXIT_ERROR, "could not start a thread");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	wait_for_workers(&work, workers, options->jobs);
	for (int i = 0; i < options->jobs; i++)
	{
		pthread_join(workers[i].thread, NULL);
		PQfreeCancel(workers[i].cancel);
		PQfinish(workers[i].conn);
		for (int c = 0; c < work.n_sent; c++)
		{
			for (int k = 0; workers[i].cache[c] != NULL && k < CACHED; k++)
			{
				free(workers[i].cache[c][k].text);
				free(workers[i].cache[c][k].bytes);
			}
			free(workers[i].cache[c]);
		}
	}
	free(workers);
	free(work.copy);
	if (stopped && work.status == EXIT_DONE && counts->done < plan->n)
		work.status = EXIT_STOPPED;
	if (stopped && !options->quiet)
		fprintf(stderr, PROGRAM ": interrupted\n");
	return work.status;
}

/*-------------------------------------------------------------------------
 *
 * main.c
 *	  pneumo-load: images of the client into a table.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

volatile sig_atomic_t stopped = 0;
volatile sig_atomic_t is_loading = 0;

/* Ends the program at once while nothing has been sent; later asks it to end. */
static void
stop(int number)
{
	static const char message[] = "\n" PROGRAM ": stopped before anything was loaded\n";

	(void) number;
	if (!is_loading)
	{
		ssize_t ignored = write(STDERR_FILENO, message, sizeof(message) - 1);

		(void) ignored;
		_exit(EXIT_STOPPED);
	}
	stopped++;
}

void
fatal(int status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, PROGRAM ": ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(status);
}

void
fatal_server(const PGconn *conn, const PGresult *result, const char *what)
{
	int is_lost = PQstatus(conn) != CONNECTION_OK;
	const char *message = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *detail = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
	const char *hint = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;

	fprintf(stderr, PROGRAM ": %s: %s\n", what, message != NULL ? message : PQerrorMessage(conn));
	if (detail != NULL)
		fprintf(stderr, "DETAIL:  %s\n", detail);
	if (hint != NULL)
		fprintf(stderr, "HINT:  %s\n", hint);
	exit(is_lost ? EXIT_CONNECTION : EXIT_ERROR);
}

void *
need(size_t n_bytes)
{
	void *memory = malloc(n_bytes > 0 ? n_bytes : 1);

	if (memory == NULL)
		fatal(EXIT_ERROR, "out of memory");
	return memory;
}

char *
copy_text(const char *text, size_t n)
{
	char *copy = need(n + 1);

	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

/* Returns the number of bytes of the UTF-8 character that begins here, 0 if none does. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	size_t length = p[0] < 0x80   ? 1
					: p[0] < 0xc2 ? 0
					: p[0] < 0xe0 ? 2
					: p[0] < 0xf0 ? 3
					: p[0] < 0xf5 ? 4
								  : 0;

	if (length == 0 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

char *
copy_utf8(const char *text, size_t n, int *changed)
{
	char *copy = need(4 * n + 1);
	char *end = copy;

	*changed = 0;
	for (size_t i = 0; i < n;)
	{
		size_t length = utf8_length((const unsigned char *) text + i, n - i);

		if (length > 0)
			memcpy(end, text + i, length);
		else
			snprintf(end, 5, "\\x%02x", (unsigned char) text[i]);
		end += length > 0 ? length : 4;
		i += length > 0 ? length : 1;
		*changed = *changed || length == 0;
	}
	*end = '\0';
	return copy;
}

void *
grow(void *array, size_t *max, size_t n, size_t element_bytes)
{
	if (n < *max)
		return array;
	*max = *max == 0 ? 64 : *max * 2;
	if (*max > SIZE_MAX / element_bytes || (array = realloc(array, *max * element_bytes)) == NULL)
		fatal(EXIT_ERROR, "out of memory");
	return array;
}

void
print_clean(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		fputc((unsigned char) *text < 32 || *text == 127 ? '?' : *text, out);
}

/* Installs the handlers of signals. */
static void
handle_signals(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	action.sa_handler = stop;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* Says how many images were loaded, and how to go on where the load was stopped. */
static void
print_end(const Counts *counts, const Plan *plan, const Table *table, int status)
{
	printf("%zu image%s loaded into %s (%.1f MB)", counts->loaded, counts->loaded == 1 ? "" : "s",
		   table->name, (double) counts->loaded_bytes / 1e6);
	if (counts->same > 0)
		printf(", %zu there already", counts->same);
	if (counts->changed > 0)
		printf(", %zu of them under names that are there with other content", counts->changed);
	printf("\n");
	fflush(stdout);
	if (status != EXIT_DONE && counts->done < plan->n)
		fprintf(stderr,
				PROGRAM
				": %zu of %zu files may not be dealt with yet; the same command goes on where it stopped\n",
				plan->n - counts->done, plan->n);
}

int
main(int argc, char **argv)
{
	static Options options;
	static Plan plan;
	static Table table;
	static Counts counts;
	PGconn *conn;
	int status;

	handle_signals();
	read_options(&options, argc, argv);
	make_plan(&plan, &options);
	if (!options.quiet || options.dry_run)
		print_plan(stdout, &plan, &options);
	fflush(stdout);
	if (options.dry_run)
	{
		print_left_out(stderr, &options);
		return left_out_counts() ? EXIT_LEFT_OUT : EXIT_DONE;
	}
	conn = connect_server(&options);
	open_table(&table, conn, &plan, &options);
	read_there(&table, conn, &plan);
	status = load(&counts, &plan, &table, &options);
	if (!options.quiet)
		print_end(&counts, &plan, &table, status);
	print_left_out(stderr, &options);
	PQfinish(conn);
	if (status == EXIT_DONE && left_out_counts())
		status = EXIT_LEFT_OUT;
	return status;
}

/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The connection, the table, and what the table has.
 *
 * Every name that comes from the user reaches the server as a parameter and comes
 * back quoted by the server.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define OID_BYTEA 17
#define LOCK_CLASS UINT64_C(0x706e6c64) /* "pnld", the upper half of the advisory lock's key */

PGconn *
connect_server(const Options *options)
{
	const char *const keys[] =
		{"host", "port", "user", "dbname", "fallback_application_name", "client_encoding", NULL};
	const char *const values[] = {options->host, options->port, options->user, options->dbname,
								  PROGRAM,       "UTF8",        NULL};
	PGconn *conn = PQconnectdbParams(keys, values, 1);

	if (conn == NULL)
		fatal(EXIT_ERROR, "out of memory");
	if (PQstatus(conn) != CONNECTION_OK)
	{
		int wants_password = PQconnectionNeedsPassword(conn);

		fprintf(stderr, PROGRAM ": %s", PQerrorMessage(conn));
		if (wants_password)
			fprintf(stderr, "HINT:  The server wants a password: put it into ~/.pgpass or PGPASSWORD.\n");
		exit(EXIT_CONNECTION);
	}
	return conn;
}

/* Executes a command with up to two text parameters; ends the program if it fails. */
static PGresult *
query(PGconn *conn, const char *what, const char *command, const char *first, const char *second)
{
	const char *const values[] = {first, second};
	int n = second != NULL ? 2 : first != NULL ? 1 : 0;
	PGresult *result = PQexecParams(conn, command, n, NULL, values, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fatal_server(conn, result, what);
	return result;
}

/* ---------------------------------------------------------------- columns */

/* Finds a column by its name as it is, or in another case; returns its row, or -1. */
static int
find_column(const PGresult *columns, const char *name)
{
	int n = PQntuples(columns);

	for (int i = 0; i < n; i++)
		if (strcmp(PQgetvalue(columns, i, 0), name) == 0)
			return i;
	for (int i = 0; i < n; i++)
		if (strcasecmp(PQgetvalue(columns, i, 0), name) == 0)
			return i;
	return -1;
}

/* Fills a column of the table; one that the server fills itself is as if it were not there. */
static void
fill_column(TableColumn *column, const PGresult *columns, const char *name)
{
	int row = find_column(columns, name);

	column->plain = name;
	column->is_there = row >= 0 && strcmp(PQgetvalue(columns, row, 3), "f") == 0;
	if (!column->is_there)
		return;
	column->name = copy_text(PQgetvalue(columns, row, 1), strlen(PQgetvalue(columns, row, 1)));
	column->type = (Oid) strtoul(PQgetvalue(columns, row, 2), NULL, 10);
}

/* Returns whether an image of the plan has a value of a kind. */
static int
plan_has(const Plan *plan, Kind kind)
{
	if (kind == KIND_IMAGE || (kind == KIND_PATIENT && plan->dicom))
		return 1;
	for (size_t i = 0; i < plan->n; i++)
	{
		const Item *item = &plan->items[i];

		if (kind == KIND_FILE || (kind == KIND_LABEL && item->label != NULL) ||
			(kind == KIND_SPLIT && item->split != NULL) || (kind == KIND_PATIENT && item->patient != NULL))
			return 1;
	}
	return 0;
}

/* Checks the columns of the table against what is to be loaded. */
static void
check_columns(Table *table, const Plan *plan, const Options *options)
{
	if (!table->kind[KIND_IMAGE].is_there || table->kind[KIND_IMAGE].type != OID_BYTEA)
		fatal(EXIT_ERROR,
			  "table %s has no column \"%s\" of type bytea\nHINT:  --column=image=NAME names another one.",
			  table->name, options->column[KIND_IMAGE]);
	if (!table->kind[KIND_LABEL].is_there && plan_has(plan, KIND_LABEL))
		fatal(EXIT_ERROR,
			  "table %s has no column \"%s\" for the labels\n"
			  "HINT:  --column=label=NAME names another one; --unlabelled loads without.",
			  table->name, options->column[KIND_LABEL]);
	if (!table->kind[KIND_SPLIT].is_there && plan_has(plan, KIND_SPLIT))
		fatal(EXIT_ERROR,
			  "table %s has no column \"%s\" for the splits of the %s\n"
			  "HINT:  ALTER TABLE %s ADD COLUMN split text; or --column=split=NAME.",
			  table->name, options->column[KIND_SPLIT], plan->tree.root != NULL ? "folders" : "manifest",
			  table->name);
	if (!table->kind[KIND_FILE].is_there)
	{
		if (!options->quiet)
			fprintf(stderr,
					PROGRAM ": table %s has no column \"%s\": what is there is known by content only\n",
					table->name, options->column[KIND_FILE]);
		table->by_content = 1;
	}
	if (!table->kind[KIND_PATIENT].is_there && plan_has(plan, KIND_PATIENT) && !options->quiet)
		fprintf(stderr, PROGRAM ": table %s has no column \"%s\": the patients are left out\n", table->name,
				options->column[KIND_PATIENT]);
	for (int i = 0; i < plan->n_extra; i++)
		if (!table->extra[i].is_there && !options->quiet)
			fprintf(stderr, PROGRAM ": table %s has no column \"%s\": it is left out\n", table->name,
					plan->extra_name[i]);
}

/* Reads the columns of the table. */
static void
read_columns(Table *table, PGconn *conn, const Plan *plan, const Options *options)
{
	PGresult *columns = query(
		conn, "could not read the table's columns",
		"SELECT a.attname, pg_catalog.quote_ident(a.attname), "
		"CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN t.typbasetype ELSE t.oid END, "
		"a.attgenerated OPERATOR(pg_catalog.<>) '' OR a.attidentity OPERATOR(pg_catalog.=) 'a', "
		"a.attgenerated OPERATOR(pg_catalog.<>) '' "
		"FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid "
		"WHERE a.attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND a.attnum OPERATOR(pg_catalog.>) 0 "
		"AND NOT a.attisdropped ORDER BY a.attnum",
		table->oid, NULL);
	int hash = find_column(columns, "image_sha256");

	for (int i = 0; i < N_KINDS; i++)
		fill_column(&table->kind[i], columns, options->column[i]);
	for (int i = 0; i < plan->n_extra; i++)
		fill_column(&table->extra[i], columns, plan->extra_name[i]);
	/* only the server's own hash is believed */
	table->has_hash = hash >= 0 && strcmp(PQgetvalue(columns, hash, 4), "t") == 0 &&
					  strcmp(options->column[KIND_IMAGE], "image") == 0;
	PQclear(columns);
}

/* ------------------------------------------------------------------- table */

/* Finds the table by its name, as the server resolves names; returns 0 if there is none. */
static int
find_table(Table *table, PGconn *conn, const Options *options)
{
	PGresult *result =
		query(conn, "could not look for the table",
			  "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c "
			  "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
			  "WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)",
			  options->table, NULL);
	int is_found = PQntuples(result) == 1;

	if (is_found)
	{
		table->oid = copy_text(PQgetvalue(result, 0, 0), strlen(PQgetvalue(result, 0, 0)));
		table->name = copy_text(PQgetvalue(result, 0, 1), strlen(PQgetvalue(result, 0, 1)));
	}
	PQclear(result);
	return is_found;
}

/* Adds to a command that is being written; ends the program if it does not fit. */
static void
append(char *command, size_t n_bytes, const char *first, const char *second, const char *third)
{
	size_t used = strlen(command);
	int n = snprintf(command + used, n_bytes - used, "%s%s%s", first, second, third);

	if (n < 0 || (size_t) n >= n_bytes - used)
		fatal(EXIT_ERROR, "the command that makes the table is too long");
}

/* Returns a name as an identifier. */
static const char *
quoted(PGconn *conn, const char *name)
{
	char *text = PQescapeIdentifier(conn, name, strlen(name));

	if (text == NULL)
		fatal(EXIT_ERROR, "could not quote \"%s\": %s", name, PQerrorMessage(conn));
	return text;
}

/* Makes the table. */
static void
create_table(Table *table, PGconn *conn, const Plan *plan, const Options *options)
{
	static char command[64 * 1024];
	const char *name;
	PGresult *result = query(conn, "could not understand the name of the table",
							 "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(p), '.' ORDER BY n) FROM "
							 "pg_catalog.unnest(pg_catalog.parse_ident($1)) WITH ORDINALITY AS u (p, n)",
							 options->table, NULL);
	int labelled = 1;

	name = PQgetvalue(result, 0, 0);
	for (size_t i = 0; i < plan->n; i++)
		labelled = labelled && plan->items[i].label != NULL;
	append(command, sizeof(command), "CREATE TABLE ", name,
		   " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_IMAGE]), " bytea NOT NULL, ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_LABEL]),
		   labelled ? " text NOT NULL, " : " text, ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_SPLIT]), " text, ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_PATIENT]), " text, ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_FILE]), " text NOT NULL");
	for (int i = 0; i < plan->n_extra; i++)
		append(command, sizeof(command), ", ", quoted(conn, plan->extra_name[i]), " text");
	if (strcmp(options->column[KIND_IMAGE], "image") == 0)
		append(command, sizeof(command),
			   ", image_sha256 bytea GENERATED ALWAYS AS (pg_catalog.sha256(image)) STORED", "", "");
	append(command, sizeof(command), ")", "", "");
	PQclear(query(conn, "could not begin", "BEGIN", NULL, NULL));
	PQclear(query(conn, "could not create the table", command, NULL, NULL));
	/* images do not compress again */
	command[0] = '\0';
	append(command, sizeof(command), "ALTER TABLE ", name, " ALTER COLUMN ");
	append(command, sizeof(command), "", quoted(conn, options->column[KIND_IMAGE]), " SET STORAGE EXTERNAL");
	PQclear(query(conn, "could not create the table", command, NULL, NULL));
	PQclear(query(conn, "could not create the table", "COMMIT", NULL, NULL));
	PQclear(result);
	table->created = 1;
}

/* Lets parallel query plans use the table, if the extension is there. */
static void
prepare_table(const Table *table, PGconn *conn)
{
	PGresult *result =
		PQexec(conn, "SELECT pg_catalog.to_regprocedure('pneumo_prepare_table(regclass, integer)')");

	if (PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0))
	{
		const char *const values[] = {table->oid};

		PQclear(PQexecParams(conn, "SELECT pneumo_prepare_table($1::pg_catalog.oid::pg_catalog.regclass)", 1,
							 NULL, values, NULL, NULL, 0));
	}
	PQclear(result);
}

/* Takes the lock that keeps two loads into one table apart until the connection ends. */
static void
lock_table(const Table *table, PGconn *conn)
{
	char key[24];
	PGresult *result;

	snprintf(key, sizeof(key), "%llu",
			 (unsigned long long) (LOCK_CLASS << 32 | strtoull(table->oid, NULL, 10)));
	result = query(conn, "could not lock", "SELECT pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8)", key,
				   NULL);
	if (strcmp(PQgetvalue(result, 0, 0), "t") != 0)
		fatal(EXIT_ERROR,
			  "another " PROGRAM " is loading into %s\nHINT:  Run this one again when it has ended.",
			  table->name);
	PQclear(result);
}

void
open_table(Table *table, PGconn *conn, const Plan *plan, const Options *options)
{
	if (!find_table(table, conn, options))
	{
		if (!options->create_table)
			fatal(EXIT_ERROR, "there is no table %s in database \"%s\"\nHINT:  --create-table makes it.",
				  options->table, PQdb(conn));
		create_table(table, conn, plan, options);
		if (!find_table(table, conn, options))
			fatal(EXIT_ERROR, "table %s was made and is not found", options->table);
		prepare_table(table, conn);
	}
	table->by_content = options->by_content;
	lock_table(table, conn);
	read_columns(table, conn, plan, options);
	check_columns(table, plan, options);
}

/* ----------------------------------------------------------- what is there */

static int
compare_items(const void *a, const void *b)
{
	return strcmp((*(Item *const *) a)->file, (*(Item *const *) b)->file);
}

static int
compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* Returns the names of the files as the text of an array. */
static char *
names_array(const Plan *plan)
{
	size_t n_bytes = 3;
	char *text, *end;

	for (size_t i = 0; i < plan->n; i++)
		n_bytes += 2 * strlen(plan->items[i].file) + 3;
	end = text = need(n_bytes);
	*end++ = '{';
	for (size_t i = 0; i < plan->n; i++)
	{
		if (i > 0)
			*end++ = ',';
		*end++ = '"';
		for (const char *c = plan->items[i].file; *c != '\0'; c++)
		{
			if (*c == '"' || *c == '\\')
				*end++ = '\\';
			*end++ = *c;
		}
		*end++ = '"';
	}
	*end++ = '}';
	*end = '\0';
	return text;
}

/* Notes an image that the table has under the name of one that is to be loaded. */
static void
add_there(Item **order, size_t n, const char *file, const uint8_t *sha256)
{
	Item wanted = {.file = file};
	Item *key = &wanted;
	Item **found = bsearch(&key, order, n, sizeof(Item *), compare_items);
	There *there;

	if (found == NULL)
		return;
	there = need(sizeof(There));
	memcpy(there->sha256, sha256, 32);
	there->next = (*found)->there;
	(*found)->there = there;
}

/* Takes the rows of what is there as they come. */
static void
take_rows(Table *table, PGconn *conn, Item **order, size_t n)
{
	size_t max_known = 0;
	PGresult *result;

	PQsetSingleRowMode(conn);
	while ((result = PQgetResult(conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (status == PGRES_SINGLE_TUPLE && PQgetlength(result, 0, 1) == 32)
		{
			const uint8_t *sha256 = (const uint8_t *) PQgetvalue(result, 0, 1);

			if (table->by_content)
			{
				table->known = grow(table->known, &max_known, table->n_known, sizeof(table->known[0]));
				memcpy(table->known[table->n_known++], sha256, 32);
			}
			else
				add_there(order, n, PQgetvalue(result, 0, 0), sha256);
		}
		else if (status == PGRES_FATAL_ERROR && state != NULL && strcmp(state, "42501") == 0)
			fprintf(stderr, PROGRAM ": what table %s has may not be read: all images are taken for new\n",
					table->name);
		else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
			fatal_server(conn, result, "could not read what the table has");
		PQclear(result);
	}
}

void
read_there(Table *table, PGconn *conn, Plan *plan)
{
	Item **order;
	char *names;
	char *command;
	size_t n_bytes;
	const char *values[1];

	if (table->created)
		return;
	order = need(sizeof(Item *) * plan->n);
	for (size_t i = 0; i < plan->n; i++)
		order[i] = &plan->items[i];
	qsort(order, plan->n, sizeof(Item *), compare_items);
	names = table->by_content ? NULL : names_array(plan);
	n_bytes = 1000 + 2 * strlen(table->name) + 4 * strlen(table->kind[KIND_IMAGE].name) +
			  (table->by_content ? 0 : 4 * strlen(table->kind[KIND_FILE].name));
	command = need(n_bytes);
	if (table->has_hash)
		snprintf(command, n_bytes, "SELECT %s%s, image_sha256 FROM %s WHERE image_sha256 IS NOT NULL",
				 table->by_content ? "''" : table->kind[KIND_FILE].name,
				 table->by_content ? "" : "::pg_catalog.text", table->name);
	else
		snprintf(command, n_bytes, "SELECT %s%s, pg_catalog.sha256(%s) FROM %s WHERE %s IS NOT NULL",
				 table->by_content ? "''" : table->kind[KIND_FILE].name,
				 table->by_content ? "" : "::pg_catalog.text", table->kind[KIND_IMAGE].name, table->name,
				 table->kind[KIND_IMAGE].name);
	if (!table->by_content)
		append(command, n_bytes, " AND ", table->kind[KIND_FILE].name,
			   "::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])");
	values[0] = names;
	if (!PQsendQueryParams(conn, command, table->by_content ? 0 : 1, NULL, values, NULL, NULL, 1))
		fatal_server(conn, NULL, "could not read what the table has");
	take_rows(table, conn, order, plan->n);
	if (table->n_known > 0)
		qsort(table->known, table->n_known, sizeof(table->known[0]), compare_hashes);
	free(command);
	free(names);
	free(order);
}

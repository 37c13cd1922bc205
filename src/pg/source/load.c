/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Images from a directory of the server into a table.
 *
 * The tree is either split/class/file, with splits named train, val,
 * validation or test, or class/file.  Files are read in the order of their
 * names, so that two loads give the same table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/catalog.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_load);

typedef struct Loader
{
	const char *directory;
	PneumoUserTable table;
	SPIPlanPtr insert;
	MemoryContext file_cxt; /* reset after each file */
	int64 loaded;
	int64 skipped; /* files that are no JPEG by their name */
} Loader;

/* Returns the name of the split that a folder is of; NULL if it is of none. */
static const char *
split_of_folder(const char *folder)
{
	PneumoSplit split;

	return pneumo_split_parse(folder, &split) ? pneumo_split_names[split] : NULL;
}

static bool
is_jpeg_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && (pg_strcasecmp(dot, ".jpg") == 0 || pg_strcasecmp(dot, ".jpeg") == 0);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp((const char *) lfirst(a), (const char *) lfirst(b));
}

/* Returns the names of the folders or of the files in a directory, sorted, without hidden ones. */
static List *
list_names(const char *path, bool folders)
{
	DIR *dir = AllocateDir(path);
	struct dirent *entry;
	List *names = NIL;

	if (dir == NULL)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open directory \"%s\": %m", path)));
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		struct stat st;
		char *full;

		CHECK_FOR_INTERRUPTS();
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "__MACOSX") == 0)
			continue;
		full = psprintf("%s/%s", path, entry->d_name);
		if (stat(full, &st) == 0 && (folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)))
			names = lappend(names, pstrdup(entry->d_name));
		pfree(full);
	}
	FreeDir(dir);
	list_sort(names, compare_names);
	return names;
}

static bytea *
read_file(const char *path)
{
	int fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	struct stat st;
	bytea *bytes;
	Size at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	if (st.st_size > (off_t) PNEUMO_MAX_IMAGE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("file \"%s\" has %lld bytes, at most %zu are allowed", path,
							   (long long) st.st_size, PNEUMO_MAX_IMAGE_BYTES)));
	bytes = palloc(VARHDRSZ + st.st_size);
	while (at < (Size) st.st_size)
	{
		ssize_t n = read(fd, VARDATA(bytes) + at, st.st_size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not read file \"%s\": %m", path)));
		if (n == 0)
			break;
		at += n;
	}
	SET_VARSIZE(bytes, VARHDRSZ + at);
	CloseTransientFile(fd);
	return bytes;
}

/* Raises an error unless a name, which is bytes to the file system, can become text. */
static void
check_encoding(const char *relative)
{
	StringInfoData shown;
	const char *c;

	if (pg_verifymbstr(relative, (int) strlen(relative), true))
		return;
	initStringInfo(&shown);
	for (c = relative; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			appendStringInfo(&shown, "\\x%02x", (unsigned char) *c);
		else
			appendStringInfoChar(&shown, *c);
	}
	ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
					errmsg("the name of file \"%s\" is not valid in the database's encoding, %s",
						   pneumo_clip(shown.data), GetDatabaseEncodingName()),
					errhint("Rename the file, or load into a database with the encoding of the names.")));
}

static void
load_image(Loader *loader, const char *relative, const char *label, const char *split)
{
	MemoryContext old = MemoryContextSwitchTo(loader->file_cxt);
	Datum values[4];
	char nulls[5] = "    ";

	CHECK_FOR_INTERRUPTS();
	check_encoding(relative);
	values[0] = PointerGetDatum(read_file(psprintf("%s/%s", loader->directory, relative)));
	values[1] = CStringGetTextDatum(label);
	values[2] = split != NULL ? CStringGetTextDatum(split) : (Datum) 0;
	nulls[2] = split != NULL ? ' ' : 'n';
	values[3] = CStringGetTextDatum(relative);
	if (SPI_execute_plan(loader->insert, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert file \"%s\"", relative);
	pneumo_user_table_check_plan(&loader->table, loader->insert);
	loader->loaded++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(loader->file_cxt);
}

/* Loads the class folders below a split's folder, or below the top. */
static void
load_classes(Loader *loader, const char *below, const char *split)
{
	char *path = below == NULL ? pstrdup(loader->directory) : psprintf("%s/%s", loader->directory, below);
	List *classes = list_names(path, true);
	ListCell *class_cell;
	ListCell *file_cell;

	foreach (class_cell, classes)
	{
		const char *label = lfirst(class_cell);
		char *folder = below == NULL ? pstrdup(label) : psprintf("%s/%s", below, label);
		List *files = list_names(psprintf("%s/%s", loader->directory, folder), false);

		foreach (file_cell, files)
		{
			const char *file = lfirst(file_cell);

			if (is_jpeg_name(file))
				load_image(loader, psprintf("%s/%s", folder, file), label, split);
			else
				loader->skipped++;
		}
		list_free_deep(files);
	}
}

static void
load_tree(Loader *loader)
{
	List *folders = list_names(loader->directory, true);
	ListCell *cell;
	bool has_splits = false;

	foreach (cell, folders)
		has_splits |= split_of_folder(lfirst(cell)) != NULL;
	if (!has_splits)
	{
		load_classes(loader, NULL, NULL);
		return;
	}
	foreach (cell, folders)
	{
		const char *folder = lfirst(cell);

		if (split_of_folder(folder) != NULL)
			load_classes(loader, folder, split_of_folder(folder));
		else
			ereport(NOTICE,
					(errmsg("folder \"%s\" is left out: it is none of train, val, validation and test",
							folder)));
	}
}

/* Returns the table to load into, which is created if there is none; *created tells. */
static Oid
target_table(const char *target, bool *created)
{
	RangeVar *name = makeRangeVarFromNameList(pneumo_qualified_name(target));
	Oid relid = RangeVarGetRelid(name, NoLock, true);
	char *quoted;
	char *command;

	*created = !OidIsValid(relid);
	if (!*created)
		return relid;
	quoted = quote_qualified_identifier(name->schemaname, name->relname);
	command = psprintf("CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
					   "image bytea NOT NULL, label text NOT NULL, split text, file text NOT NULL)",
					   quoted);
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create table %s", quoted);
	/* JPEG does not compress: do not try */
	command = psprintf("ALTER TABLE %s ALTER COLUMN image SET STORAGE EXTERNAL", quoted);
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not alter table %s", quoted);
	return RangeVarGetRelid(name, NoLock, false);
}

static void
prepare_insert(Loader *loader)
{
	Oid types[4] = {BYTEAOID, TEXTOID, TEXTOID, TEXTOID};
	char *command =
		psprintf("INSERT INTO %s (image, label, split, file) VALUES ($1, $2, $3, $4)", loader->table.name);

	loader->insert = SPI_prepare(command, 4, types);
	if (loader->insert == NULL)
		elog(ERROR, "could not prepare \"%s\"", command);
}

static void
check_directory(const char *directory)
{
	struct stat st;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to read directories of the server"),
						errhint("pneumo_load needs the privileges of the role pg_read_server_files.")));
	if (!is_absolute_path(directory))
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("relative path \"%s\" is not allowed", pneumo_clip(directory)),
						errhint("Give the directory's absolute path on the server.")));
	if (stat(directory, &st) < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open directory \"%s\": %m", directory)));
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a directory", pneumo_clip(directory))));
}

Datum
pneumo_load(PG_FUNCTION_ARGS)
{
	char *directory = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Loader loader;
	Relation rel;
	Oid relid;
	bool created;

	pneumo_prevent_write("pneumo_load()");
	canonicalize_path(directory);
	check_directory(directory);

	memset(&loader, 0, sizeof(loader));
	loader.directory = directory;
	SPI_connect();
	loader.file_cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo load of a file", ALLOCSET_DEFAULT_SIZES);
	relid = target_table(target, &created);
	rel = pneumo_user_table_begin(&loader.table, relid);
	prepare_insert(&loader);
	load_tree(&loader);
	relation_close(rel, NoLock);
	if (loader.loaded == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("directory \"%s\" has no JPEG images in class folders", pneumo_clip(directory)),
				 errhint("Expected are train|val|validation|test/CLASS/*.jpeg, or CLASS/*.jpeg.")));
	SPI_finish();
	if (created)
		(void) pneumo_table_set_workers(relid, 0);
	if (loader.skipped > 0)
		ereport(NOTICE, (errmsg_plural("%lld file is left out: its name ends in neither .jpg nor .jpeg",
									   "%lld files are left out: their names end in neither .jpg nor .jpeg",
									   (unsigned long) loader.skipped, (long long) loader.skipped)));
	PG_RETURN_INT64(loader.loaded);
}

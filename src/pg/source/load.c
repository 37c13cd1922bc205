/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Images from a directory of the server into a table.
 *
 * The tree is either split/class/file, with splits named train, val,
 * validation or test, or class/file.  Files are read in the order of their
 * names, so that two loads give the same table.  A file that the table has with the
 * same name and content is left out, so that a load can be repeated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pwd.h>
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
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/catalog.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_load);

/* A file of a class folder. */
typedef struct LoadFile
{
	char *name; /* below the directory */
	const char *label;
	const char *split; /* NULL without */
} LoadFile;

typedef struct Loader
{
	const char *directory;
	PneumoUserTable table;
	SPIPlanPtr insert;
	MemoryContext file_cxt; /* reset after each file */
	List *files;            /* of LoadFile */
	HTAB *there;            /* images that the table has, by the name of their file; NULL: none */
	int64 loaded;
	int64 skipped; /* files that are no image by their name */
	int64 loose;   /* files beside the class folders */
	char *loose_folder;
	int64 same;    /* images that are there */
	int64 changed; /* names that are there with another image */
} Loader;

/* An image that the table has; the key is the SHA-256 of the file's name. */
typedef struct There
{
	uint8 name[PNEUMO_SHA256_LEN];
	List *images; /* SHA-256 of each, as bytes */
} There;

/* Returns the name of the split that a folder is of; NULL if it is of none. */
static const char *
split_of_folder(const char *folder)
{
	PneumoSplit split;

	return pneumo_split_parse(folder, &split) ? pneumo_split_names[split] : NULL;
}

/* Returns whether a file is named like an image of a format that is read. */
static bool
is_image_name(const char *name)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png", ".dcm", ".dicom"};
	const char *dot = strrchr(name, '.');
	int i;

	for (i = 0; dot != NULL && i < (int) lengthof(endings); i++)
		if (pg_strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp((const char *) lfirst(a), (const char *) lfirst(b));
}

static void file_error(const char *format, const char *path) pg_attribute_noreturn();

/*
 * Raises the error of a system call, by a format with the path; where a permission
 * is missing it says whose.
 */
static void
file_error(const char *format, const char *path)
{
	int reason = errno;
	bool denied = reason == EACCES || reason == EPERM;
	struct passwd *user = getpwuid(geteuid());

	errno = reason;
	ereport(ERROR,
			(errcode_for_file_access(), errmsg(format, path),
			 denied
				 ? errdetail("The server runs as operating system user \"%s\", which may not read it, or may "
							 "not enter a folder above it.",
							 user != NULL ? user->pw_name : psprintf("%u", (unsigned) geteuid()))
				 : 0,
			 denied
				 ? errhint(
					   "Let that user read it, with chmod a+rX on the folder and those above it, or send the "
					   "files from the client: see \"Files of the client\" in the manual's recipes.")
				 : 0));
}

/* Returns the names of the folders or of the files in a directory, sorted, without hidden ones. */
static List *
list_names(const char *path, bool folders)
{
	DIR *dir = AllocateDir(path);
	struct dirent *entry;
	List *names = NIL;

	if (dir == NULL)
		file_error("could not open directory \"%s\": %m", path);
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
		file_error("could not open file \"%s\": %m", path);
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

/* Tells whether the table has an image of that file's name: the same one, which is counted, or another. */
static bool
is_there(Loader *loader, const char *name, const bytea *image)
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	There *there;
	ListCell *lc;

	if (loader->there == NULL)
		return false;
	pneumo_sha256(sha256, name, strlen(name));
	there = hash_search(loader->there, sha256, HASH_FIND, NULL);
	if (there == NULL)
		return false;
	pneumo_sha256(sha256, VARDATA_ANY(image), VARSIZE_ANY_EXHDR(image));
	foreach (lc, there->images)
		if (memcmp(lfirst(lc), sha256, PNEUMO_SHA256_LEN) == 0)
		{
			loader->same++;
			return true;
		}
	loader->changed++;
	return false;
}

static void
load_image(Loader *loader, const LoadFile *file)
{
	MemoryContext old = MemoryContextSwitchTo(loader->file_cxt);
	bytea *image = read_file(psprintf("%s/%s", loader->directory, file->name));
	Datum values[4];
	char nulls[5] = "    ";

	CHECK_FOR_INTERRUPTS();
	if (!is_there(loader, file->name, image))
	{
		values[0] = PointerGetDatum(image);
		values[1] = CStringGetTextDatum(file->label);
		values[2] = file->split != NULL ? CStringGetTextDatum(file->split) : (Datum) 0;
		nulls[2] = file->split != NULL ? ' ' : 'n';
		values[3] = CStringGetTextDatum(file->name);
		if (SPI_execute_plan(loader->insert, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert file \"%s\"", file->name);
		pneumo_user_table_check_plan(&loader->table, loader->insert);
		loader->loaded++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(loader->file_cxt);
}

/* Counts the images in a folder that should only have class folders. */
static void
count_loose(Loader *loader, const char *path, const char *shown)
{
	ListCell *cell;

	foreach (cell, list_names(path, false))
	{
		if (!is_image_name(lfirst(cell)))
			continue;
		if (loader->loose++ == 0)
			loader->loose_folder = pstrdup(shown);
	}
}

/* Lists the files of the class folders below a split's folder, or below the top. */
static void
list_classes(Loader *loader, const char *below, const char *split)
{
	char *path = below == NULL ? pstrdup(loader->directory) : psprintf("%s/%s", loader->directory, below);
	List *classes = list_names(path, true);
	ListCell *class_cell;
	ListCell *file_cell;

	count_loose(loader, path, below == NULL ? path : below);
	foreach (class_cell, classes)
	{
		const char *label = lfirst(class_cell);
		char *folder = below == NULL ? pstrdup(label) : psprintf("%s/%s", below, label);
		List *files = list_names(psprintf("%s/%s", loader->directory, folder), false);

		foreach (file_cell, files)
		{
			LoadFile *file;

			if (!is_image_name(lfirst(file_cell)))
			{
				loader->skipped++;
				continue;
			}
			file = palloc(sizeof(LoadFile));
			file->name = psprintf("%s/%s", folder, (char *) lfirst(file_cell));
			file->label = label;
			file->split = split;
			check_encoding(file->name);
			loader->files = lappend(loader->files, file);
		}
		list_free_deep(files);
	}
}

static void
list_tree(Loader *loader)
{
	List *folders = list_names(loader->directory, true);
	ListCell *cell;
	bool has_splits = false;

	foreach (cell, folders)
		has_splits |= split_of_folder(lfirst(cell)) != NULL;
	if (!has_splits)
	{
		list_classes(loader, NULL, NULL);
		return;
	}
	count_loose(loader, loader->directory, loader->directory);
	foreach (cell, folders)
	{
		const char *folder = lfirst(cell);

		if (split_of_folder(folder) != NULL)
			list_classes(loader, folder, split_of_folder(folder));
		else
			ereport(NOTICE,
					(errmsg("folder \"%s\" is left out: it is none of train, val, validation and test",
							folder)));
	}
}

/* ------------------------------------------------------- images that are there */

static bool
may_read_column(Oid relid, const char *name)
{
	AttrNumber attnum = get_attnum(relid, name);

	return attnum > 0 && (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
						  pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK);
}

/* Returns the names of the files as a datum of type text[]. */
static Datum
file_array(const Loader *loader)
{
	Datum *names =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(1, list_length(loader->files)) * sizeof(Datum));
	ListCell *lc;
	int n = 0;

	foreach (lc, loader->files)
		names[n++] = CStringGetTextDatum(((const LoadFile *) lfirst(lc))->name);
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Adds a row of the table to the images that are there. */
static void
add_there(Loader *loader, MemoryContext cxt, HeapTuple tuple, TupleDesc desc)
{
	MemoryContext old;
	uint8 sha256[PNEUMO_SHA256_LEN];
	There *there;
	bytea *image;
	char *name;
	bool found;
	bool isnull;

	name = TextDatumGetCString(SPI_getbinval(tuple, desc, 1, &isnull));
	image = DatumGetByteaPP(SPI_getbinval(tuple, desc, 2, &isnull));
	pneumo_sha256(sha256, name, strlen(name));
	there = hash_search(loader->there, sha256, HASH_ENTER, &found);
	if (!found)
		there->images = NIL;
	old = MemoryContextSwitchTo(cxt);
	there->images =
		lappend(there->images, memcpy(palloc(PNEUMO_SHA256_LEN), VARDATA_ANY(image), PNEUMO_SHA256_LEN));
	MemoryContextSwitchTo(old);
}

/*
 * Reads which of the files the table has, with the hashes of their images, so that
 * a second load adds only what is new.  Needs the right to read both columns;
 * without it nothing is taken to be there.
 */
static void
read_there(Loader *loader)
{
	Oid types[1] = {TEXTARRAYOID};
	Datum files = file_array(loader);
	MemoryContext cxt = CurrentMemoryContext;
	char *command =
		psprintf("SELECT file::pg_catalog.text, pg_catalog.sha256(image) FROM %s "
				 "WHERE file::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1) AND image IS NOT NULL",
				 loader->table.name);
	HASHCTL control;
	SPIPlanPtr plan;
	Portal portal;
	uint64 i;

	if (!may_read_column(loader->table.relid, "file") || !may_read_column(loader->table.relid, "image"))
		return;
	memset(&control, 0, sizeof(control));
	control.keysize = PNEUMO_SHA256_LEN;
	control.entrysize = sizeof(There);
	control.hcxt = cxt;
	loader->there = hash_create("pneumo files", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	plan = SPI_prepare_cursor(command, 1, types, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\"", command);
	portal = SPI_cursor_open(NULL, plan, &files, NULL, false);
	pneumo_user_table_check_plan(&loader->table, plan);
	do
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, 64);
		for (i = 0; i < SPI_processed; i++)
			add_there(loader, cxt, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		SPI_freetuptable(SPI_tuptable);
	} while (i > 0);
	SPI_cursor_close(portal);
}

/* -------------------------------------------------------------------- table */

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
	/* images do not compress: do not try */
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
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to read directories of the server"),
			 errhint("pneumo_load reads as the server does: a superuser can GRANT pg_read_server_files TO "
					 "%s.",
					 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (!is_absolute_path(directory))
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("relative path \"%s\" is not allowed", pneumo_clip(directory)),
						errhint("Give the directory's absolute path on the server.")));
	if (stat(directory, &st) < 0)
		file_error("could not open directory \"%s\": %m", directory);
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a directory", pneumo_clip(directory))));
}

/* Says which files were not loaded, and which may be there twice. */
static void
tell_left_out(const Loader *loader)
{
	if (loader->skipped > 0)
		ereport(NOTICE, (errmsg_plural("%lld file is left out: its name does not end as an image's",
									   "%lld files are left out: their names do not end as an image's",
									   (unsigned long) loader->skipped, (long long) loader->skipped),
						 errdetail("Files named .jpg, .jpeg, .png, .dcm or .dicom are loaded.")));
	if (loader->loose > 0)
		ereport(NOTICE,
				(errmsg("%lld image%s left out: not in a class folder, so of no label; the first in \"%s\"",
						(long long) loader->loose, loader->loose == 1 ? " is" : "s are",
						pneumo_clip(loader->loose_folder))));
	if (loader->same > 0)
		ereport(NOTICE, (errmsg("%lld image%s left out: the table has the same file with the same content",
								(long long) loader->same, loader->same == 1 ? " is" : "s are")));
	if (loader->changed > 0)
		ereport(WARNING, (errmsg("%lld file%s in the table with other content, and loaded as new row%s",
								 (long long) loader->changed, loader->changed == 1 ? " is" : "s are",
								 loader->changed == 1 ? "" : "s"),
						  errhint("Delete the old rows if the new files are to replace them.")));
}

Datum
pneumo_load(PG_FUNCTION_ARGS)
{
	char *directory = pneumo_text_argument(fcinfo, 0);
	char *target = pneumo_text_argument(fcinfo, 1);
	Loader loader;
	ListCell *lc;
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
	list_tree(&loader);
	if (loader.files == NIL)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("directory \"%s\" has no images in class folders", pneumo_clip(directory)),
						loader.loose > 0
							? errdetail_plural("%lld image is in no class folder; the first is in \"%s\".",
											   "%lld images are in no class folder; the first is in \"%s\".",
											   (unsigned long) loader.loose, (long long) loader.loose,
											   pneumo_clip(loader.loose_folder))
							: 0,
						errhint("Expected are train|val|validation|test/CLASS/*.jpeg, or CLASS/*.jpeg.")));
	relid = target_table(target, &created);
	rel = pneumo_user_table_begin(&loader.table, relid);
	prepare_insert(&loader);
	if (!created)
		read_there(&loader);
	foreach (lc, loader.files)
		load_image(&loader, lfirst(lc));
	relation_close(rel, NoLock);
	tell_left_out(&loader);
	SPI_finish();
	if (created)
		(void) pneumo_table_set_workers(relid, 0);
	PG_RETURN_INT64(loader.loaded);
}

/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Images from a directory of the server into a table.
 *
 * src/tree finds out what the folders mean.  Files are read in the order of their
 * names, so that two loads give the same table.  A file that the table has with the
 * same name and content is left out, so that a load can be repeated.  A file that
 * cannot be read is an error: a load does all of a directory or nothing.
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

#include "image/image.h"
#include "nn/nn.h"
#include "tree/tree.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/catalog.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_load);

typedef struct Loader
{
	const char *directory;
	Tree tree;
	PneumoUserTable table;
	SPIPlanPtr insert;
	MemoryContext file_cxt; /* reset after each file */
	HTAB *there;            /* images that the table has, by the name of their file; NULL: none */
	int64 loaded;
	int64 same;    /* images that are there */
	int64 changed; /* names that are there with another image */
	int64 foreign; /* files that are named like images and are none */
	char *foreign_name;
	char *foreign_why;
} Loader;

/* An image that the table has; the key is the SHA-256 of the file's name. */
typedef struct There
{
	uint8 name[PNEUMO_SHA256_LEN];
	List *images; /* SHA-256 of each, as bytes */
} There;

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

/* Returns whether bytes are an image's by how they begin; counts them if they are not. */
static bool
is_image(Loader *loader, const char *name, const bytea *bytes)
{
	ImgFormat format;
	ImgError error;

	if (img_recognise(&format, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &error) ==
		IMG_OK)
		return true;
	if (loader->foreign++ == 0)
	{
		loader->foreign_name = MemoryContextStrdup(loader->tree.env.arg, name);
		loader->foreign_why = MemoryContextStrdup(loader->tree.env.arg, error.message);
	}
	return false;
}

/* Returns the path of an image below the directory, palloc'd. */
static char *
path_of(const Tree *tree, const TreeFile *file)
{
	char path[TREE_MAX_PATH];

	if (!tree_file_path(path, sizeof(path), tree, file))
		elog(ERROR, "the name of file \"%s\" is too long", file->name);
	return pstrdup(path);
}

/* Inserts an image, unless the table has it. */
static void
load_image(Loader *loader, const TreeFile *file)
{
	MemoryContext old = MemoryContextSwitchTo(loader->file_cxt);
	const TreeFolder *folder = &loader->tree.folders[file->folder];
	char *name = path_of(&loader->tree, file);
	bytea *image = read_file(psprintf("%s/%s", loader->directory, name));
	Datum values[4];
	char nulls[5] = "    ";

	CHECK_FOR_INTERRUPTS();
	if (is_image(loader, name, image) && !is_there(loader, name, image))
	{
		values[0] = PointerGetDatum(image);
		values[1] = CStringGetTextDatum(loader->tree.labels[folder->label].name);
		values[2] = folder->split >= 0 ? CStringGetTextDatum(pneumo_split_names[folder->split]) : (Datum) 0;
		nulls[2] = folder->split >= 0 ? ' ' : 'n';
		values[3] = CStringGetTextDatum(name);
		if (SPI_execute_plan(loader->insert, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert file \"%s\"", name);
		pneumo_user_table_check_plan(&loader->table, loader->insert);
		loader->loaded++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(loader->file_cxt);
}

/* -------------------------------------------------------------------- tree */

/* Allocates memory for a tree, which has a folder open and must not be left by an error. */
static void *
allocate(void *cxt, size_t n_bytes)
{
	return MemoryContextAllocExtended(cxt, n_bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
release(void *cxt, void *memory)
{
	pfree(memory);
}

static int
recognise(const uint8_t *bytes, size_t n_bytes, char *why, size_t why_bytes)
{
	ImgFormat format;
	ImgError error;

	if (img_recognise(&format, bytes, n_bytes, &error) == IMG_OK)
		return 1;
	strlcpy(why, error.message, why_bytes);
	return 0;
}

/* Raises the error of a folder or file below the directory that cannot be read. */
static void
check_readable(const Loader *loader)
{
	size_t i;

	for (i = 0; i < loader->tree.n_outs; i++)
	{
		const TreeOut *out = &loader->tree.outs[i];

		if (out->reason != TREE_UNREADABLE || out->error_number == ENOENT)
			continue;
		errno = out->error_number;
		file_error("could not open \"%s\": %m", psprintf("%s/%s", loader->directory, out->path));
	}
}

/* Raises the error of a directory without images that could be loaded. */
static void
no_images(const Loader *loader)
{
	const char *first;
	size_t loose = tree_n_out(&loader->tree, TREE_NO_CLASS, &first);

	if (loose > 0 && first[0] == '\0')
		first = loader->directory;
	ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
					errmsg("directory \"%s\" has no images in class folders", pneumo_clip(loader->directory)),
					loose > 0 ? errdetail_plural("%zu image is in no class folder; the first is in \"%s\".",
												 "%zu images are in no class folder; the first is in \"%s\".",
												 loose, loose, pneumo_clip(first))
							  : 0,
					errhint("Expected are train|val|validation|test/CLASS/*.jpeg, or CLASS/*.jpeg.")));
}

/* Lists the images of the directory, and finds out what its folders mean. */
static void
read_tree(Loader *loader)
{
	Tree *tree = &loader->tree;
	TreeEnv env;
	TreeStatus status;
	PneumoAttempts attempts;
	size_t i;

	memset(&env, 0, sizeof(env));
	env.allocate = allocate;
	env.release = release;
	env.recognise = recognise;
	env.max_bytes = PNEUMO_MAX_IMAGE_BYTES;
	env.arg = CurrentMemoryContext;
	pneumo_attempts_begin(&attempts);
	do
	{
		env.interrupt = attempts.stop;
		status = tree_walk(tree, loader->directory, &env);
		if (status == TREE_STOPPED)
			tree_free(tree);
	} while (status == TREE_STOPPED && pneumo_attempts_next(&attempts));
	if (status == TREE_CANNOT_OPEN)
	{
		errno = tree->error_number;
		file_error("could not open directory \"%s\": %m", loader->directory);
	}
	if (status == TREE_OK)
		status = tree_understand(tree);
	if (status == TREE_NO_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
				 errdetail("The names of the files in \"%s\" do not fit.", pneumo_clip(loader->directory))));
	if (status == TREE_AMBIGUOUS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("directory \"%s\" has folders of splits in several folders",
							   pneumo_clip(loader->directory)),
						errdetail("They are in \"%s\" and in \"%s\".", pneumo_clip(tree->example[0]),
								  pneumo_clip(tree->example[1])),
						errhint("Load one of them.")));
	check_readable(loader);
	if (tree_n_loaded(tree) == 0)
		no_images(loader);
	if (tree->n_labels > NN_MAX_CLASSES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%zu folders where classes are expected, such as \"%s\"", tree->n_labels,
							   pneumo_clip(tree->labels[0].name)),
						errdetail("A training has at most %d classes.", NN_MAX_CLASSES),
						errhint("Load with the client pneumo-load and a manifest that has the labels.")));
	for (i = 0; i < tree->n_files; i++)
		if (tree->folders[tree->files[i].folder].is_in)
		{
			char *name = path_of(tree, &tree->files[i]);

			check_encoding(name);
			pfree(name);
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
	const Tree *tree = &loader->tree;
	Datum *names = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, tree->n_files) * sizeof(Datum));
	size_t i;

	for (i = 0; i < tree->n_files; i++)
		names[i] = CStringGetTextDatum(path_of(tree, &tree->files[i]));
	return PointerGetDatum(construct_array(names, (int) tree->n_files, TEXTOID, -1, false, TYPALIGN_INT));
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

/* Says which files are left out for a reason, by its number and the first one. */
static void
tell_reason(const Loader *loader, TreeReason reason)
{
	bool are_images = reason == TREE_OUTSIDE || reason == TREE_NO_CLASS;
	const char *first;
	size_t n = tree_n_out(&loader->tree, reason, &first);

	if (n == 0)
		return;
	if (first[0] == '\0')
		first = loader->directory;
	ereport(NOTICE,
			(errmsg("%zu %s left out: %s; the first %s \"%s\"", n,
					are_images ? (n == 1 ? "image is" : "images are") : (n == 1 ? "file is" : "files are"),
					tree_reason_text(reason), are_images ? "in" : "is", pneumo_clip(first))));
}

/* Says what the folders were taken for where that may surprise. */
static void
tell_understood(const Loader *loader)
{
	const Tree *tree = &loader->tree;
	size_t i;

	if (tree->inside != NULL && tree->inside[0] != '\0')
		ereport(NOTICE, (errmsg("the folders of the %s are in \"%s\"",
								tree->has_splits && !tree->class_first ? "splits" : "classes",
								pneumo_clip(tree->inside))));
	for (i = 0; i < tree->n_labels; i++)
		if (tree->labels[i].other != NULL)
			ereport(NOTICE, (errmsg("folders \"%s\" and \"%s\" are taken for one class, \"%s\"",
									pneumo_clip(tree->labels[i].name), pneumo_clip(tree->labels[i].other),
									pneumo_clip(tree->labels[i].name))));
	for (i = 0; i < TREE_N_REASONS; i++)
		if (i != TREE_SYSTEM)
			tell_reason(loader, (TreeReason) i);
}

/* Says which images were not loaded, and which may be there twice. */
static void
tell_left_out(const Loader *loader)
{
	if (loader->foreign > 0)
		ereport(NOTICE, (errmsg("%lld file%s left out: named like an image, and none; the first is \"%s\"",
								(long long) loader->foreign, loader->foreign == 1 ? " is" : "s are",
								pneumo_clip(loader->foreign_name)),
						 errdetail("It is %s.", pneumo_clip(loader->foreign_why))));
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
	size_t i;
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
	read_tree(&loader);
	tell_understood(&loader);
	relid = target_table(target, &created);
	rel = pneumo_user_table_begin(&loader.table, relid);
	prepare_insert(&loader);
	if (!created)
		read_there(&loader);
	for (i = 0; i < loader.tree.n_files; i++)
		if (loader.tree.folders[loader.tree.files[i].folder].is_in)
			load_image(&loader, &loader.tree.files[i]);
	relation_close(rel, NoLock);
	tell_left_out(&loader);
	SPI_finish();
	if (created)
		(void) pneumo_table_set_workers(relid, 0);
	PG_RETURN_INT64(loader.loaded);
}

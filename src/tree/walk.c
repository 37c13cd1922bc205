/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  Lists the images below a folder.
 *
 * One folder is open at a time, and none while a callback runs: its names are read
 * and sorted before they are looked at.  Memory is that of the names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree_internal.h"

#define BLOCK_BYTES ((size_t) 64 * 1024)
#define HEAD_BYTES 512 /* that tell the format of a file */

/* Strings, one after the other. */
typedef struct Block
{
	struct Block *next;
	size_t used, n_bytes;
	char text[];
} Block;

typedef struct Walk
{
	Tree *tree;
	char path[TREE_MAX_PATH]; /* of what is looked at, with the root */
	size_t root_n;            /* bytes of the root and its slash */
	int depth;
	struct
	{
		dev_t device;
		ino_t inode;
	} above[TREE_MAX_DEPTH + 1]; /* the folders that it is in */
} Walk;

/* ------------------------------------------------------------------ memory */

const char *
tree_copy(Tree *tree, const char *text, size_t n)
{
	Block *block = tree->blocks;
	char *copy;

	if (block == NULL || block->n_bytes - block->used < n + 1)
	{
		size_t n_bytes = n + 1 > BLOCK_BYTES ? n + 1 : BLOCK_BYTES;

		block = tree->env.allocate(tree->env.arg, sizeof(Block) + n_bytes);
		if (block == NULL)
			return NULL;
		block->next = tree->blocks;
		block->used = 0;
		block->n_bytes = n_bytes;
		tree->blocks = block;
	}
	copy = block->text + block->used;
	memcpy(copy, text, n);
	copy[n] = '\0';
	block->used += n + 1;
	return copy;
}

int
tree_grow(Tree *tree, void **array, size_t *max, size_t n, size_t element_bytes)
{
	size_t larger;
	void *copy;

	if (n < *max)
		return 1;
	larger = *max == 0 ? 64 : *max * 2;
	copy =
		larger > SIZE_MAX / element_bytes ? NULL : tree->env.allocate(tree->env.arg, larger * element_bytes);
	if (copy == NULL)
		return 0;
	if (n > 0)
		memcpy(copy, *array, n * element_bytes);
	if (*array != NULL)
		tree->env.release(tree->env.arg, *array);
	*array = copy;
	*max = larger;
	return 1;
}

void
tree_free(Tree *tree)
{
	void *const arrays[] = {tree->folders, tree->files, tree->outs, tree->labels};
	Block *block = tree->blocks;

	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		if (arrays[i] != NULL)
			tree->env.release(tree->env.arg, arrays[i]);
	while (block != NULL)
	{
		Block *next = block->next;

		tree->env.release(tree->env.arg, block);
		block = next;
	}
	memset(tree, 0, sizeof(*tree));
}

/* ------------------------------------------------------------------- files */

/* Returns the path below the root of what is looked at. */
static const char *
below(const Walk *walk)
{
	return strlen(walk->path) < walk->root_n ? "" : walk->path + walk->root_n;
}

/* Notes that what is looked at is left out. */
static TreeStatus
leave_out(Walk *walk, TreeReason reason, int error_number, const char *why)
{
	Tree *tree = walk->tree;
	const char *path = below(walk);
	TreeOut *out;

	if (!tree_grow(tree, (void **) &tree->outs, &tree->max_outs, tree->n_outs, sizeof(TreeOut)))
		return TREE_NO_MEMORY;
	out = &tree->outs[tree->n_outs];
	out->path = tree_copy(tree, path, strlen(path));
	out->why = why == NULL || why[0] == '\0' ? NULL : tree_copy(tree, why, strlen(why));
	out->reason = reason;
	out->error_number = error_number;
	if (out->path == NULL || (why != NULL && why[0] != '\0' && out->why == NULL))
		return TREE_NO_MEMORY;
	tree->n_outs++;
	return TREE_OK;
}

/* Reads the first bytes of a file; returns -1 and leaves errno if that fails. */
static int
read_head(const char *path, uint8_t *head, size_t *n)
{
	/* nothing that is opened by a path blocks, such as a pipe that has taken the file's place */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	ssize_t got = 0;
	int saved;

	*n = 0;
	if (fd < 0)
		return -1;
	while (*n < HEAD_BYTES)
	{
		got = read(fd, head + *n, HEAD_BYTES - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*n += (size_t) got;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return got < 0 ? -1 : 0;
}

static int
is_directory_of_dicom(const char *name)
{
	static const char dicomdir[] = "DICOMDIR";

	for (size_t i = 0; i < sizeof(dicomdir); i++)
		if (name[i] != dicomdir[i] && name[i] != (dicomdir[i] | 0x20))
			return 0;
	return 1;
}

/* Adds an image to a folder. */
static TreeStatus
add_file(Walk *walk, size_t folder, const char *name, uint64_t n_bytes)
{
	Tree *tree = walk->tree;
	TreeFile *file;

	if (!tree_grow(tree, (void **) &tree->files, &tree->max_files, tree->n_files, sizeof(TreeFile)))
		return TREE_NO_MEMORY;
	file = &tree->files[tree->n_files];
	file->name = tree_copy(tree, name, strlen(name));
	file->n_bytes = n_bytes;
	file->folder = (uint32_t) folder;
	if (file->name == NULL)
		return TREE_NO_MEMORY;
	tree->n_files++;
	tree->folders[folder].n_files++;
	return TREE_OK;
}

/* Looks at a file: takes it for an image, or leaves it out. */
static TreeStatus
visit_file(Walk *walk, size_t folder, const char *name, const struct stat *st)
{
	const TreeEnv *env = &walk->tree->env;
	uint8_t head[HEAD_BYTES];
	char why[TREE_WHY_LEN] = "";
	size_t n;

	if (is_directory_of_dicom(name))
		return leave_out(walk, TREE_NOT_IMAGE, 0, "the directory of a DICOM medium");
	if (st->st_size == 0)
		return leave_out(walk, TREE_EMPTY, 0, NULL);
	if (env->look_at_all || !tree_is_image_name(name))
	{
		if (read_head(walk->path, head, &n) != 0)
			return leave_out(walk, TREE_UNREADABLE, errno, strerror(errno));
		if (!env->recognise(head, n, why, sizeof(why)))
			return leave_out(walk, TREE_NOT_IMAGE, 0, why);
	}
	if ((uint64_t) st->st_size > env->max_bytes)
		return leave_out(walk, TREE_TOO_LARGE, 0, NULL);
	return add_file(walk, folder, name, (uint64_t) st->st_size);
}

/* ----------------------------------------------------------------- folders */

typedef struct Names
{
	const char **name;
	size_t n, max;
} Names;

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Reads the names in the folder that is looked at, sorted; returns errno in *error_number if it cannot. */
static TreeStatus
read_names(Walk *walk, Names *names, int *error_number)
{
	Tree *tree = walk->tree;
	DIR *dir = opendir(walk->path);
	struct dirent *entry;
	TreeStatus status = TREE_OK;

	*error_number = dir == NULL ? errno : 0;
	if (dir == NULL)
		return TREE_OK;
	for (;;)
	{
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL || status != TREE_OK)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!tree_grow(tree, (void **) &names->name, &names->max, names->n, sizeof(char *)) ||
			(names->name[names->n] = tree_copy(tree, entry->d_name, strlen(entry->d_name))) == NULL)
			status = TREE_NO_MEMORY;
		else
			names->n++;
		if (tree->env.interrupt != NULL && *tree->env.interrupt)
			status = TREE_STOPPED;
	}
	if (status == TREE_OK)
		*error_number = errno;
	closedir(dir);
	if (names->n > 0)
		qsort(names->name, names->n, sizeof(char *), compare_names);
	return status;
}

static TreeStatus visit_folder(Walk *walk, const struct stat *st);

/* Looks at one name of a folder, which is at the end of walk->path. */
static TreeStatus
visit_name(Walk *walk, size_t folder, const char *name)
{
	struct stat st;

	if (tree_is_system_name(name))
		return leave_out(walk, TREE_SYSTEM, 0, NULL);
	if (stat(walk->path, &st) != 0)
		return leave_out(walk, errno == ELOOP ? TREE_LOOP : TREE_UNREADABLE, errno,
						 errno == ENOENT ? "a link to nothing" : strerror(errno));
	if (S_ISDIR(st.st_mode))
		return visit_folder(walk, &st);
	if (S_ISREG(st.st_mode))
		return visit_file(walk, folder, name, &st);
	return leave_out(walk, TREE_SPECIAL, 0, NULL);
}

/* Returns whether a folder is one of those that it is in, which a link makes possible. */
static int
is_above(const Walk *walk, const struct stat *st)
{
	for (int i = 0; i < walk->depth; i++)
		if (walk->above[i].device == st->st_dev && walk->above[i].inode == st->st_ino)
			return 1;
	return 0;
}

/* Adds the folder that is looked at. */
static TreeStatus
add_folder(Walk *walk, size_t *number)
{
	Tree *tree = walk->tree;
	const char *path = below(walk);
	TreeFolder *folder;
	size_t n;

	if (!tree_grow(tree, (void **) &tree->folders, &tree->max_folders, tree->n_folders, sizeof(TreeFolder)))
		return TREE_NO_MEMORY;
	*number = tree->n_folders;
	folder = &tree->folders[*number];
	memset(folder, 0, sizeof(*folder));
	folder->path = tree_copy(tree, path, strlen(path));
	folder->split = folder->label = folder->split_at = -1;
	if (folder->path == NULL)
		return TREE_NO_MEMORY;
	while (tree_component(folder->path, folder->depth, &n) != NULL)
		folder->depth++;
	tree->n_folders++;
	return TREE_OK;
}

/* Lists the folder that is looked at, and what is in it. */
static TreeStatus
visit_folder(Walk *walk, const struct stat *st)
{
	Tree *tree = walk->tree;
	size_t end = strlen(walk->path);
	size_t folder = 0;
	Names names = {NULL, 0, 0};
	TreeStatus status;
	int error_number = 0;

	if (is_above(walk, st))
		return leave_out(walk, TREE_LOOP, 0, NULL);
	if (walk->depth > TREE_MAX_DEPTH)
		return leave_out(walk, TREE_TOO_DEEP, 0, NULL);
	walk->above[walk->depth].device = st->st_dev;
	walk->above[walk->depth].inode = st->st_ino;
	walk->depth++;
	status = add_folder(walk, &folder);
	if (status == TREE_OK)
		status = read_names(walk, &names, &error_number);
	if (error_number != 0 && walk->depth == 1)
	{
		tree->error_number = error_number;
		status = TREE_CANNOT_OPEN;
	}
	else if (error_number != 0 && status == TREE_OK)
		status = leave_out(walk, TREE_UNREADABLE, error_number, strerror(error_number));
	for (size_t i = 0; status == TREE_OK && i < names.n; i++)
	{
		size_t n = strlen(names.name[i]);
		int slash = end > 0 && walk->path[end - 1] != '/';

		if (end + (size_t) slash + n >= sizeof(walk->path))
			status = leave_out(walk, TREE_TOO_DEEP, 0, NULL);
		else
		{
			if (slash)
				walk->path[end] = '/';
			memcpy(walk->path + end + slash, names.name[i], n + 1);
			status = visit_name(walk, folder, names.name[i]);
		}
		walk->path[end] = '\0';
		if (tree->env.interrupt != NULL && *tree->env.interrupt)
			status = TREE_STOPPED;
	}
	if (names.name != NULL)
		tree->env.release(tree->env.arg, (void *) names.name);
	walk->depth--;
	return status;
}

TreeStatus
tree_walk(Tree *tree, const char *root, const TreeEnv *env)
{
	Walk walk;
	struct stat st;
	size_t n = strlen(root);

	memset(tree, 0, sizeof(*tree));
	memset(&walk, 0, sizeof(walk));
	tree->env = *env;
	tree->inside = "";
	walk.tree = tree;
	if (n == 0 || n + 2 >= sizeof(walk.path))
	{
		tree->error_number = n == 0 ? ENOENT : ENAMETOOLONG;
		return TREE_CANNOT_OPEN;
	}
	while (n > 1 && root[n - 1] == '/')
		n--;
	memcpy(walk.path, root, n);
	walk.root_n = n + (walk.path[n - 1] != '/');
	tree->root = tree_copy(tree, root, n);
	if (tree->root == NULL)
		return TREE_NO_MEMORY;
	if (stat(walk.path, &st) != 0 || !S_ISDIR(st.st_mode))
	{
		tree->error_number = stat(walk.path, &st) != 0 ? errno : ENOTDIR;
		return TREE_CANNOT_OPEN;
	}
	return visit_folder(&walk, &st);
}

int
tree_file_path(char *dst, size_t n_bytes, const Tree *tree, const TreeFile *file)
{
	const char *folder = tree->folders[file->folder].path;
	int n = snprintf(dst, n_bytes, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", file->name);

	return n >= 0 && (size_t) n < n_bytes;
}

size_t
tree_n_loaded(const Tree *tree)
{
	size_t n = 0;

	for (size_t i = 0; i < tree->n_folders; i++)
		if (tree->folders[i].is_in)
			n += tree->folders[i].n_files;
	return n;
}

size_t
tree_n_out(const Tree *tree, TreeReason reason, const char **first)
{
	size_t n = 0;

	*first = NULL;
	for (size_t i = 0; i < tree->n_outs; i++)
		if (tree->outs[i].reason == reason && n++ == 0)
			*first = tree->outs[i].path;
	for (size_t i = 0; i < tree->n_folders; i++)
		if (!tree->folders[i].is_in && tree->folders[i].out == reason && tree->folders[i].n_files > 0)
		{
			if (n == 0)
				*first = tree->folders[i].path;
			n += tree->folders[i].n_files;
		}
	return n;
}

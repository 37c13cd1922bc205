/*-------------------------------------------------------------------------
 *
 * understand.c
 *	  What the folders of a tree mean: splits and classes.
 *
 * Only folders with images count.  A path is seen as its components; a rule chooses
 * for the whole tree which component is the split and which the class, so that one
 * odd folder cannot change what the others mean:
 *
 * - Splits are folders named train, validation or test, at the level nearest to the
 *   root; further ones below or beside them are as any other folder.  Levels below the
 *   first count only if at least half of the images are in them.
 * - The class is the folder in a split.  If the folders of splits are in different
 *   folders and have the images themselves, the class is the folder that they are in.
 * - Without splits the class is the first folder, after those that all images share.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tree_internal.h"

/* Returns whether a component of two paths is the same. */
static int
same_component(const char *a, const char *b, int number)
{
	size_t n_a, n_b;
	const char *at = tree_component(a, number, &n_a);
	const char *bt = tree_component(b, number, &n_b);

	return at != NULL && bt != NULL && n_a == n_b && memcmp(at, bt, n_a) == 0;
}

/* Returns whether the first n components of two paths are the same. */
static int
same_beginning(const char *a, const char *b, int n)
{
	for (int i = 0; i < n; i++)
		if (!same_component(a, b, i))
			return 0;
	return 1;
}

/* Returns the split that a component of a path names, or -1. */
static int
split_of_component(const char *path, int number)
{
	char name[16];
	size_t n;
	const char *component = tree_component(path, number, &n);

	if (component == NULL || n >= sizeof(name))
		return -1;
	memcpy(name, component, n);
	name[n] = '\0';
	return tree_split_of(name);
}

/* Copies the first n components of a path. */
static const char *
beginning(Tree *tree, const char *path, int n)
{
	const char *end = path;
	size_t length = 0;

	if (n > 0)
		end = tree_component(path, n - 1, &length);
	return end == NULL ? tree_copy(tree, path, 0) : tree_copy(tree, path, (size_t) (end - path) + length);
}

/* ------------------------------------------------------------------ splits */

/* Finds the level of the splits; -1 if there are none. */
static int
level_of_splits(Tree *tree)
{
	int level = -1;
	size_t n = 0;

	for (size_t i = 0; i < tree->n_folders; i++)
	{
		TreeFolder *folder = &tree->folders[i];

		for (int k = 0; k < folder->depth && folder->split_at < 0; k++)
			if (split_of_component(folder->path, k) >= 0)
				folder->split_at = k;
		if (folder->n_files > 0 && folder->split_at >= 0 && (level < 0 || folder->split_at < level))
			level = folder->split_at;
	}
	if (level <= 0)
		return level;
	for (size_t i = 0; i < tree->n_folders; i++)
		if (tree->folders[i].split_at == level)
			n += tree->folders[i].n_files;
	return 2 * n >= tree->n_files ? level : -1;
}

/* Notes the folders of the splits; returns the first component that may be a class, or -1 if it is unclear. */
static int
find_splits(Tree *tree, int level, TreeStatus *status)
{
	const TreeFolder *first = NULL;
	int is_one = 1, holds_images = 1, is_one_above = 1;

	for (size_t i = 0; i < tree->n_folders; i++)
	{
		const TreeFolder *folder = &tree->folders[i];

		if (folder->n_files == 0 || folder->split_at != level)
			continue;
		if (first == NULL)
			first = folder;
		holds_images = holds_images && folder->depth == level + 1;
		is_one_above = is_one_above && same_beginning(first->path, folder->path, level - 1);
		if (is_one && !same_beginning(first->path, folder->path, level))
		{
			is_one = 0;
			tree->example[0] = beginning(tree, first->path, level);
			tree->example[1] = beginning(tree, folder->path, level);
		}
	}
	tree->class_first = !is_one;
	if (!is_one && !(holds_images && is_one_above))
	{
		*status = TREE_AMBIGUOUS;
		return -1;
	}
	tree->inside = beginning(tree, first->path, is_one ? level : level - 1);
	if (tree->inside == NULL)
		*status = TREE_NO_MEMORY;
	return is_one ? level + 1 : level - 1;
}

/* Returns how many components all images share before the one that is the class. */
static int
shared_components(const Tree *tree)
{
	const TreeFolder *first = NULL;

	for (size_t i = 0; i < tree->n_folders && first == NULL; i++)
		if (tree->folders[i].n_files > 0 && tree->folders[i].depth > 0)
			first = &tree->folders[i];
	for (int k = 0; first != NULL; k++)
	{
		const TreeFolder *child = NULL;
		int has_images = 0, children = 0;

		for (size_t i = 0; i < tree->n_folders; i++)
		{
			const TreeFolder *folder = &tree->folders[i];

			if (folder->n_files == 0 || folder->depth == 0)
				continue;
			if (!same_component(first->path, folder->path, k))
				return k;
			if (folder->depth == k + 1)
				has_images = 1;
			else if (child == NULL)
			{
				child = folder;
				children = 1;
			}
			else if (!same_component(child->path, folder->path, k + 1))
				children = 2;
		}
		if (children == 0 || (has_images && children < 2))
			return k;
	}
	return 0;
}

/* ----------------------------------------------------------------- classes */

/* A spelling of a class. */
typedef struct Spelling
{
	const char *name; /* not terminated */
	size_t n;
	size_t folder;
	size_t n_files;
} Spelling;

/* Compares spellings without regard to case and blanks around them. */
static int
compare_loosely(const Spelling *a, const Spelling *b)
{
	const char *p = a->name, *q = b->name;
	size_t n = a->n, m = b->n;

	for (; n > 0 && isspace((unsigned char) p[n - 1]); n--)
		;
	for (; m > 0 && isspace((unsigned char) q[m - 1]); m--)
		;
	for (; n > 0 && isspace((unsigned char) *p); n--)
		p++;
	for (; m > 0 && isspace((unsigned char) *q); m--)
		q++;
	for (; n > 0 && m > 0; n--, m--, p++, q++)
	{
		int difference = tolower((unsigned char) *p) - tolower((unsigned char) *q);

		if (difference != 0)
			return difference;
	}
	return (n > 0) - (m > 0);
}

static int
compare_spellings(const void *left, const void *right)
{
	const Spelling *a = left, *b = right;
	int c = compare_loosely(a, b);

	if (c == 0)
		c = memcmp(a->name, b->name, a->n < b->n ? a->n : b->n);
	if (c == 0)
		c = (a->n > b->n) - (a->n < b->n);
	return c;
}

/* Adds the class of the spellings from first on; returns how many are its. */
static size_t
add_label(Tree *tree, const Spelling *spellings, size_t n, TreeLabel *label)
{
	size_t n_taken = 0, most = 0, best = 0;

	memset(label, 0, sizeof(*label));
	while (n_taken < n && compare_loosely(&spellings[0], &spellings[n_taken]) == 0)
	{
		size_t i = n_taken, n_files = 0;

		while (i < n && compare_spellings(&spellings[n_taken], &spellings[i]) == 0)
			n_files += spellings[i++].n_files;
		if (n_files > most)
		{
			most = n_files;
			best = n_taken;
		}
		label->n_files += n_files;
		n_taken = i;
	}
	for (size_t i = 0; i < n_taken; i++)
	{
		tree->folders[spellings[i].folder].label = (int) tree->n_labels;
		if (label->other == NULL && compare_spellings(&spellings[best], &spellings[i]) != 0)
			label->other = tree_copy(tree, spellings[i].name, spellings[i].n);
	}
	label->name = tree_copy(tree, spellings[best].name, spellings[best].n);
	return n_taken;
}

static int
compare_labels(const void *a, const void *b)
{
	return compare_spellings(a, b);
}

/* Makes the classes of the components of the folders that have one. */
static TreeStatus
find_labels(Tree *tree, int component)
{
	Spelling *spellings;
	size_t n = 0, max_labels = 0;

	spellings = tree->env.allocate(tree->env.arg, (tree->n_folders + 1) * sizeof(Spelling));
	if (spellings == NULL)
		return TREE_NO_MEMORY;
	for (size_t i = 0; i < tree->n_folders; i++)
	{
		Spelling *spelling = &spellings[n];

		spelling->name =
			tree->folders[i].is_in ? tree_component(tree->folders[i].path, component, &spelling->n) : NULL;
		spelling->folder = i;
		spelling->n_files = tree->folders[i].n_files;
		n += spelling->name != NULL;
	}
	qsort(spellings, n, sizeof(Spelling), compare_labels);
	for (size_t i = 0; i < n;)
	{
		if (!tree_grow(tree, (void **) &tree->labels, &max_labels, tree->n_labels, sizeof(TreeLabel)))
			break;
		i += add_label(tree, spellings + i, n - i, &tree->labels[tree->n_labels]);
		if (tree->labels[tree->n_labels].name == NULL)
			break;
		tree->n_labels++;
	}
	tree->env.release(tree->env.arg, spellings);
	for (size_t i = 0; i < tree->n_folders; i++)
		if (tree->folders[i].is_in && tree->folders[i].label < 0)
			return TREE_NO_MEMORY;
	return TREE_OK;
}

TreeStatus
tree_understand(Tree *tree)
{
	TreeStatus status = TREE_OK;
	int level = level_of_splits(tree);
	int component;
	const TreeFolder *inside = NULL;

	tree->has_splits = level >= 0;
	component = level >= 0 ? find_splits(tree, level, &status) : shared_components(tree);
	if (status != TREE_OK)
		return status;
	for (size_t i = 0; i < tree->n_folders; i++)
	{
		TreeFolder *folder = &tree->folders[i];
		int is_class = folder->depth > component;

		if (folder->n_files == 0)
			continue;
		if (level >= 0 && folder->split_at == level)
			folder->split = split_of_component(folder->path, level);
		folder->is_in = is_class && (level < 0 || folder->split >= 0);
		folder->out = level >= 0 && folder->split < 0 ? TREE_OUTSIDE : TREE_NO_CLASS;
		if (level < 0 && folder->is_in && inside == NULL)
			inside = folder;
	}
	if (inside != NULL && (tree->inside = beginning(tree, inside->path, component)) == NULL)
		return TREE_NO_MEMORY;
	return find_labels(tree, component);
}

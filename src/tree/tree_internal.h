/*-------------------------------------------------------------------------
 *
 * tree_internal.h
 *	  What the files of src/tree share: memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_TREE_TREE_INTERNAL_H
#define PNEUMO_TREE_TREE_INTERNAL_H

#include "tree.h"

/* Copies n bytes of a text into the memory of a tree; NULL: no memory. */
extern const char *tree_copy(Tree *tree, const char *text, size_t n);

/* Makes room for one more element; returns 0 if there is no memory. */
extern int tree_grow(Tree *tree, void **array, size_t *max, size_t n, size_t element_bytes);

/* Returns a component of a path and its length, or NULL if it has fewer. */
extern const char *tree_component(const char *path, int number, size_t *n);

#endif /* PNEUMO_TREE_TREE_INTERNAL_H */

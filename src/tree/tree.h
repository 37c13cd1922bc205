/*-------------------------------------------------------------------------
 *
 * tree.h
 *	  Folders of images as people have them: which files are images, and which
 *	  split and class their folders say.  The one public header of src/tree.
 *
 * Plain C11 and POSIX; no server, no output.  tree_walk() lists the files below a
 * folder and leaves out what is no image; tree_understand() then finds out what the
 * folders mean.  Both the server's pneumo_load and the client pneumo-load use them.
 *
 * Layouts that are understood, each also within folders of its own:
 *		train|validation|test/CLASS/.../file
 *		CLASS/train|validation|test/file
 *		CLASS/.../file
 *
 * Names of files and folders are bytes; nothing here converts them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_TREE_TREE_H
#define PNEUMO_TREE_TREE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_MAX_DEPTH 32 /* folders within each other */
#define TREE_MAX_PATH 4096
#define TREE_WHY_LEN 200

typedef enum TreeStatus
{
	TREE_OK,
	TREE_NO_MEMORY,
	TREE_STOPPED,
	TREE_CANNOT_OPEN, /* the root; errno in tree->error_number */
	TREE_AMBIGUOUS    /* several folders have folders of splits: tree->example */
} TreeStatus;

/* Why a file or a folder is left out. */
typedef enum TreeReason
{
	TREE_SYSTEM, /* hidden, or written by an operating system */
	TREE_NOT_IMAGE,
	TREE_EMPTY,
	TREE_TOO_LARGE,
	TREE_UNREADABLE,
	TREE_SPECIAL, /* a pipe, socket or device */
	TREE_LOOP,    /* a link to a folder that it is in */
	TREE_TOO_DEEP,
	TREE_OUTSIDE, /* an image outside the folders of the splits */
	TREE_NO_CLASS /* an image in no class folder */
} TreeReason;

#define TREE_N_REASONS 10

/* Returns what a reason means, to follow "n files"; a constant. */
extern const char *tree_reason_text(TreeReason reason);

/* The order is that of all lists of splits. */
#define TREE_N_SPLITS 3

/*
 * Returns the split that the name of a folder or a value means, in any case: 0 for
 * train and training; 1 for validation, val, valid; 2 for test, testing.  Returns -1
 * for other names.
 */
extern int tree_split_of(const char *name);

/* Returns whether a name ends like an image's: .jpg, .jpeg, .png, .dcm, .dicom, in any case. */
extern int tree_is_image_name(const char *name);

/* Returns whether a file or folder is hidden or written by an operating system: .DS_Store, __MACOSX, ... */
extern int tree_is_system_name(const char *name);

/*
 * Memory, and what the caller knows.  recognise() tells by the first bytes of a file
 * whether it is an image, else says in why what it is; it must not jump out.
 */
typedef struct TreeEnv
{
	void *(*allocate)(void *arg, size_t n_bytes); /* NULL: no memory; must not jump out */
	void (*release)(void *arg, void *memory);
	int (*recognise)(const uint8_t *bytes, size_t n_bytes, char *why, size_t why_bytes);
	volatile sig_atomic_t *interrupt; /* polled; may be NULL */
	uint64_t max_bytes;               /* of a file */
	int look_at_all;                  /* 0: files that are named like images are not opened */
	void *arg;
} TreeEnv;

typedef struct TreeFolder
{
	const char *path; /* below the root; "" of the root itself */
	size_t n_files;   /* images in it */
	int split;        /* -1: none */
	int label;        /* into tree->labels; -1: none */
	int is_in;        /* its images are to be loaded */
	TreeReason out;   /* why not */
	int depth;        /* number of components */
	int split_at;     /* the component that names a split; -1: none */
} TreeFolder;

/* An image. */
typedef struct TreeFile
{
	const char *name; /* within its folder */
	uint64_t n_bytes;
	uint32_t folder; /* into tree->folders */
} TreeFile;

typedef struct TreeOut
{
	const char *path; /* below the root */
	const char *why;  /* more about it, or NULL */
	TreeReason reason;
	int error_number; /* of TREE_UNREADABLE, errno */
} TreeOut;

/* A class, whatever the case of its folders and the blanks around their names. */
typedef struct TreeLabel
{
	const char *name;  /* the spelling with most images */
	const char *other; /* another spelling, or NULL */
	size_t n_files;
} TreeLabel;

typedef struct Tree
{
	const char *root;
	TreeEnv env;
	TreeFolder *folders; /* all that were entered; some have no images */
	size_t n_folders, max_folders;
	TreeFile *files; /* in the order of their paths */
	size_t n_files, max_files;
	TreeOut *outs; /* files and folders that are no images */
	size_t n_outs, max_outs;
	TreeLabel *labels; /* sorted by name */
	size_t n_labels;
	const char *inside; /* the folder that the layout begins in, "" for the root */
	int has_splits;
	int class_first;        /* CLASS/split */
	const char *example[2]; /* of TREE_AMBIGUOUS */
	int error_number;
	void *blocks; /* of strings */
} Tree;

/*
 * Lists the images below a folder and what else is there.  Links are followed.  A
 * folder or file below the root that cannot be read is left out.  Whatever is
 * returned, tree_free() frees what there is.
 */
extern TreeStatus tree_walk(Tree *tree, const char *root, const TreeEnv *env);

/* Finds out what the folders mean; fills their split, label and is_in, and the labels. */
extern TreeStatus tree_understand(Tree *tree);

/* Frees what a tree holds. */
extern void tree_free(Tree *tree);

/* Writes the path of an image below the root; returns 0 if it does not fit. */
extern int tree_file_path(char *dst, size_t n_bytes, const Tree *tree, const TreeFile *file);

/* Returns how many images are to be loaded. */
extern size_t tree_n_loaded(const Tree *tree);

/* Returns how many images or files are left out for a reason, and the first of them, or NULL. */
extern size_t tree_n_out(const Tree *tree, TreeReason reason, const char **first);

#endif /* PNEUMO_TREE_TREE_H */

/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What the files of pneumo-load share.
 *
 * The way of a load: options.c reads the command line, plan.c and manifest.c make
 * the list of images, table.c finds or makes the table and what it has, load.c sends
 * the images by several connections, report.c says what happened.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_CLIENT_CLIENT_H
#define PNEUMO_CLIENT_CLIENT_H

#include <regex.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "image/image.h"
#include "tree/tree.h"

#define PROGRAM "pneumo-load"

/* The statuses that the program ends with; they are in its manual page. */
#define EXIT_DONE 0
#define EXIT_ERROR 1
#define EXIT_CONNECTION 2
#define EXIT_STOPPED 3
#define EXIT_LEFT_OUT 4

#define MAX_JOBS 64
#define MAX_EXTRA 64
#define MAX_CLASSES 64

/* The columns that an image always has, by what they hold. */
typedef enum Kind
{
	KIND_IMAGE,
	KIND_FILE,
	KIND_LABEL,
	KIND_SPLIT,
	KIND_PATIENT,
	N_KINDS
} Kind;

/* Names of the kinds, which are the names of the columns unless --column changes them. */
extern const char *const kind_names[N_KINDS];

typedef struct Options
{
	const char *source;
	const char *host, *port, *user, *dbname;
	const char *table;
	const char *column[N_KINDS];
	const char *label; /* of all images; NULL: of their folders or the manifest */
	const char *root;  /* that the manifest's paths are below; NULL: its folder */
	const char *left_out_file;
	const char *patient_pattern;
	regex_t patient_regex;
	int unlabelled, create_table, dry_run, quiet, by_content, skip_rejected, jobs;
} Options;

/* Reads the command line; ends the program for --help, --version and mistakes. */
extern void read_options(Options *options, int argc, char **argv);

/* ------------------------------------------------------------ what is loaded */

/* The hash of an image that the table has under the name of an item. */
typedef struct There
{
	struct There *next;
	uint8_t sha256[32];
} There;

typedef struct Item
{
	const char *path; /* below the root, as the file system has it */
	const char *file; /* the same as valid UTF-8: the value of column file */
	const char *label, *split, *patient;
	const char **extra; /* of the plan's extra columns; NULL without */
	uint64_t n_bytes;
	There *there;
} Item;

typedef struct Plan
{
	const char *root;
	Item *items;
	size_t n, max;
	const char *extra_name[MAX_EXTRA];
	int n_extra;
	const char *from; /* "folder", "manifest", "DICOMDIR" */
	Tree tree;        /* of a folder */
	uint64_t n_bytes; /* of all items */
	size_t n_renamed; /* names that are not UTF-8 */
	const char *first_renamed;
	int dicom; /* patients come from the images' tags */
} Plan;

/* Lists the images of the source; ends the program if there are none. */
extern void make_plan(Plan *plan, const Options *options);

/* Reads a manifest into a plan. */
extern void read_manifest(Plan *plan, const Options *options, const char *path);

/* Adds an image to a plan. */
extern Item *add_item(Plan *plan, const char *path, uint64_t n_bytes);

/* Writes the path of a file below the root, or an absolute one as it is; empty if it does not fit. */
extern void full_path(char *dst, size_t n_bytes, const char *root, const char *path);

/* Sets the patient of an item whose file name matches the pattern, unless it has one. */
extern void find_patient(Item *item, const Options *options);

/* Reads PatientID from the beginning of a DICOM file; returns NULL if it has none. */
extern char *dicom_patient(const uint8_t *bytes, size_t n_bytes);

/* Returns what src/tree needs; look_at_all: every file is opened. */
extern TreeEnv tree_env(int look_at_all);

/* Passes img_recognise() to src/tree. */
extern int recognise(const uint8_t *bytes, size_t n_bytes, char *why, size_t why_bytes);

/* Says what was understood: splits, classes, patients. */
extern void print_plan(FILE *out, const Plan *plan, const Options *options);

/* --------------------------------------------------------------- what is left out */

/* Notes a file that is left out; counts says that the user would want to know. */
extern void leave_out(const char *path, const char *reason, const char *why, int counts);

/* Prints what was left out, by reason, or all of it into a file. */
extern void print_left_out(FILE *out, const Options *options);

/* Returns whether a file was left out that counts. */
extern int left_out_counts(void);

/* ------------------------------------------------------------------- the table */

typedef struct TableColumn
{
	const char *name; /* quoted */
	const char *plain;
	Oid type;
	int is_there;
} TableColumn;

typedef struct Table
{
	char *name; /* qualified and quoted */
	char *oid;
	TableColumn kind[N_KINDS];
	TableColumn extra[MAX_EXTRA];
	int created;
	int has_hash; /* column image_sha256 */
	int by_content;
	uint8_t (*known)[32]; /* hashes of all images, sorted, with by_content */
	size_t n_known;
} Table;

/* Connects as psql does; ends the program if it cannot. */
extern PGconn *connect_server(const Options *options);

/* Finds the table, or makes it with --create-table; checks its columns. */
extern void open_table(Table *table, PGconn *conn, const Plan *plan, const Options *options);

/* Reads which images the table has. */
extern void read_there(Table *table, PGconn *conn, Plan *plan);

/* ------------------------------------------------------------------- the load */

typedef struct Counts
{
	size_t done;    /* files that were dealt with */
	uint64_t bytes; /* of them */
	size_t loaded, same, changed, rejected;
	uint64_t loaded_bytes;
} Counts;

/* Sends the images; returns the status to end with. */
extern int load(Counts *counts, Plan *plan, const Table *table, const Options *options);

/* Becomes nonzero with SIGINT and SIGTERM, while images are sent. */
extern volatile sig_atomic_t stopped;
extern volatile sig_atomic_t is_loading;

/* ------------------------------------------------------------------- helpers */

/* Prints a message and ends the program. */
extern void fatal(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Prints the server's message with detail and hint, and ends the program. */
extern void fatal_server(const PGconn *conn, const PGresult *result, const char *what)
	__attribute__((noreturn));

/* Allocates memory, or ends the program. */
extern void *need(size_t n_bytes);
extern char *copy_text(const char *text, size_t n);

/* Returns a copy that is valid UTF-8: other bytes become \xNN; *changed says whether there were any. */
extern char *copy_utf8(const char *text, size_t n, int *changed);

/* Makes room for one more element in an array that malloc gave. */
extern void *grow(void *array, size_t *max, size_t n, size_t element_bytes);

/* Prints a text without control characters and line ends. */
extern void print_clean(FILE *out, const char *text);

#endif /* PNEUMO_CLIENT_CLIENT_H */

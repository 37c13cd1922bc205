/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  The list of images of a folder or a DICOMDIR.
 *
 * The list is made before anything is sent, so that what was understood can be said
 * first.  It holds names, not images.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"

#define TAG(group, element) ((uint32_t) (group) << 16 | (element))
#define TAG_PATIENT TAG(0x0010, 0x0020)
#define TAG_RECORD_TYPE TAG(0x0004, 0x1430)
#define TAG_RECORD_FILE TAG(0x0004, 0x1500)
#define HEAD_BYTES ((size_t) 64 * 1024) /* of a DICOM file, for its tags */

static const char *const split_names[TREE_N_SPLITS] = {"train", "validation", "test"};

int
recognise(const uint8_t *bytes, size_t n_bytes, char *why, size_t why_bytes)
{
	static const char known[] = "not a JPEG, PNG or DICOM image: ";
	ImgFormat format;
	ImgError error;
	const char *message = error.message;

	if (img_recognise(&format, bytes, n_bytes, &error) == IMG_OK)
		return 1;
	/* what the reason says already */
	if (strncmp(message, known, strlen(known)) == 0)
		message += strlen(known);
	snprintf(why, why_bytes, "%s", message);
	return 0;
}

Item *
add_item(Plan *plan, const char *path, uint64_t n_bytes)
{
	Item *item;
	int changed;

	plan->items = grow(plan->items, &plan->max, plan->n, sizeof(Item));
	item = &plan->items[plan->n++];
	memset(item, 0, sizeof(*item));
	item->path = item->file = copy_utf8(path, strlen(path), &changed);
	if (changed)
	{
		item->path = copy_text(path, strlen(path));
		if (plan->n_renamed++ == 0)
			plan->first_renamed = item->file;
	}
	item->n_bytes = n_bytes;
	plan->n_bytes += n_bytes;
	return item;
}

void
full_path(char *dst, size_t n_bytes, const char *root, const char *path)
{
	int is_absolute = path[0] == '/';
	int n = snprintf(dst, n_bytes, "%s%s%s", is_absolute ? "" : root, is_absolute ? "" : "/", path);

	if (n < 0 || (size_t) n >= n_bytes)
		dst[0] = '\0';
}

void
find_patient(Item *item, const Options *options)
{
	regmatch_t match[2];
	const regmatch_t *found;

	if (options->patient_pattern == NULL || item->patient != NULL ||
		regexec(&options->patient_regex, item->file, 2, match, 0) != 0)
		return;
	found = options->patient_regex.re_nsub > 0 && match[1].rm_so >= 0 ? &match[1] : &match[0];
	if (found->rm_eo > found->rm_so)
		item->patient = copy_text(item->file + found->rm_so, (size_t) (found->rm_eo - found->rm_so));
}

/* ------------------------------------------------------------------- DICOM */

/* Returns the text of an element without the blanks around it, as UTF-8. */
static char *
element_text(const ImgDicomElement *element)
{
	const char *text = (const char *) element->value;
	size_t n = element->n_bytes;
	int changed;

	for (; n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\0'); n--)
		;
	for (; n > 0 && *text == ' '; n--)
		text++;
	return copy_utf8(text, strnlen(text, n), &changed);
}

char *
dicom_patient(const uint8_t *bytes, size_t n_bytes)
{
	ImgDicom dicom;
	ImgDicomElement element;
	ImgError error;
	char *patient = NULL;
	ImgStatus status = img_dicom_open(&dicom, bytes, n_bytes, NULL, &error);

	while (status == IMG_OK && patient == NULL)
	{
		status = img_dicom_next(&dicom, &element, &error);
		if (status != IMG_OK || element.event == IMG_DICOM_END ||
			(dicom.depth == 0 && element.tag > TAG_PATIENT))
			break;
		if (dicom.depth == 0 && element.event == IMG_DICOM_VALUE && element.tag == TAG_PATIENT)
			patient = element_text(&element);
	}
	img_dicom_close(&dicom);
	if (patient != NULL && patient[0] == '\0')
	{
		free(patient);
		patient = NULL;
	}
	return patient;
}

/* Reads at most n bytes of a file; returns how many, or 0 with errno. */
static size_t
read_beginning(uint8_t *bytes, size_t n, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t count = 1;

	if (fd < 0)
		return 0;
	while (got < n && count > 0)
	{
		count = read(fd, bytes + got, n - got);
		if (count > 0)
			got += (size_t) count;
		else if (count < 0 && errno == EINTR)
			count = 1;
	}
	close(fd);
	return got;
}

/* Takes the patients of DICOM images from their tags, for a dry run, which does not read the images. */
static void
look_at_patients(Plan *plan)
{
	uint8_t *head = need(HEAD_BYTES);
	char path[TREE_MAX_PATH];
	char why[TREE_WHY_LEN];

	for (size_t i = 0; i < plan->n; i++)
	{
		Item *item = &plan->items[i];
		size_t n;

		full_path(path, sizeof(path), plan->root, item->path);
		n = item->patient == NULL ? read_beginning(head, HEAD_BYTES, path) : 0;
		if (n > 4 && head[0] != 0xff && head[0] != 0x89 && recognise(head, n, why, sizeof(why)))
			item->patient = dicom_patient(head, n);
	}
	free(head);
}

/* Finds a file of a DICOMDIR, which names its folders and the file in capitals and parts them by backslashes. */
static int
find_referenced(char *path, size_t n_bytes, struct stat *st, const char *root, const ImgDicomElement *element)
{
	char *text = element_text(element);
	char *name;
	int is_found = 0;

	for (char *c = text; *c != '\0'; c++)
		if (*c == '\\')
			*c = '/';
	name = text + strspn(text, "/");
	for (int pass = 0; pass < 2 && !is_found; pass++)
	{
		for (char *c = name; pass == 1 && *c != '\0'; c++)
			*c = (char) tolower((unsigned char) *c);
		full_path(path, n_bytes, root, name);
		/* a directory of a medium does not lead out of it */
		is_found = strstr(name, "..") == NULL && stat(path, st) == 0 && S_ISREG(st->st_mode);
	}
	snprintf(path, n_bytes, "%s", name);
	free(text);
	return is_found;
}

/* Adds the images that a DICOMDIR names. */
static void
read_dicomdir(Plan *plan, const Options *options, const char *file)
{
	uint8_t *bytes = need(IMG_DEFAULT_MAX_BYTES);
	size_t n_bytes = read_beginning(bytes, IMG_DEFAULT_MAX_BYTES, file);
	ImgDicom dicom;
	ImgDicomElement element;
	ImgError error;
	ImgStatus status;
	const char *slash = strrchr(file, '/');
	char path[TREE_MAX_PATH];
	int is_image = 0;

	plan->from = "DICOMDIR of";
	plan->dicom = 1;
	plan->root = slash == NULL ? "." : copy_text(file, slash == file ? 1 : (size_t) (slash - file));
	status = img_dicom_open(&dicom, bytes, n_bytes, NULL, &error);
	while (status == IMG_OK && (status = img_dicom_next(&dicom, &element, &error)) == IMG_OK &&
		   element.event != IMG_DICOM_END)
	{
		struct stat st;
		Item *item;

		if (element.event == IMG_DICOM_ITEM)
			is_image = 0;
		if (element.event == IMG_DICOM_VALUE && element.tag == TAG_RECORD_TYPE)
			is_image = element.n_bytes >= 5 && memcmp(element.value, "IMAGE", 5) == 0;
		if (element.event != IMG_DICOM_VALUE || element.tag != TAG_RECORD_FILE || element.n_bytes == 0)
			continue;
		if (!find_referenced(path, sizeof(path), &st, plan->root, &element))
			leave_out(path, "cannot be read", "named in the DICOMDIR, and not there", is_image);
		else if (!is_image)
			leave_out(path, "no image by the DICOMDIR", NULL, 0);
		else
		{
			item = add_item(plan, path, (uint64_t) st.st_size);
			item->label = options->label;
			find_patient(item, options);
		}
	}
	img_dicom_close(&dicom);
	free(bytes);
	if (status != IMG_OK)
		fatal(EXIT_ERROR, "\"%s\" is no DICOMDIR that can be read: %s", file, error.message);
}

/* ------------------------------------------------------------------ folder */

static void *
allocate(void *arg, size_t n_bytes)
{
	(void) arg;
	return malloc(n_bytes);
}

static void
release(void *arg, void *memory)
{
	(void) arg;
	free(memory);
}

TreeEnv
tree_env(int look_at_all)
{
	TreeEnv env = {allocate, release, recognise, NULL, IMG_DEFAULT_MAX_BYTES, look_at_all, NULL};

	return env;
}

/* Notes what a tree leaves out. */
static void
leave_out_of_tree(const Tree *tree, int all_images)
{
	for (size_t i = 0; i < tree->n_outs; i++)
	{
		const TreeOut *out = &tree->outs[i];
		int counts =
			out->reason == TREE_UNREADABLE || out->reason == TREE_TOO_LARGE ||
			((out->reason == TREE_EMPTY || out->reason == TREE_NOT_IMAGE) && tree_is_image_name(out->path));

		leave_out(out->path, tree_reason_text(out->reason), out->why, counts);
	}
	for (size_t i = 0; i < tree->n_files; i++)
	{
		const TreeFolder *folder = &tree->folders[tree->files[i].folder];
		char path[TREE_MAX_PATH];

		if (!folder->is_in && !all_images && tree_file_path(path, sizeof(path), tree, &tree->files[i]))
			leave_out(path, tree_reason_text(folder->out), NULL, 1);
	}
}

/* Ends the program for a folder that is not understood. */
static void
check_tree(const Tree *tree, TreeStatus status, const Options *options, int all_images)
{
	if (status == TREE_NO_MEMORY)
		fatal(EXIT_ERROR, "out of memory");
	if (status == TREE_CANNOT_OPEN)
		fatal(EXIT_ERROR, "could not open \"%s\": %s", options->source, strerror(tree->error_number));
	if (status == TREE_AMBIGUOUS && !all_images)
		fatal(EXIT_ERROR,
			  "folders of splits are in \"%s\" and in \"%s\"\nHINT:  Load one of them, or by a manifest.",
			  tree->example[0], tree->example[1]);
	if (tree->n_labels > MAX_CLASSES && !all_images)
		fatal(EXIT_ERROR,
			  "there are %zu folders where classes are expected, such as \"%s\"\n"
			  "HINT:  pneumo has at most %d classes.  Load by a manifest that has the labels, or with "
			  "--unlabelled.",
			  tree->n_labels, tree->labels[0].name, MAX_CLASSES);
}

/* Adds the images of a folder. */
static void
read_folder(Plan *plan, const Options *options)
{
	TreeEnv env = tree_env(options->dry_run);
	int all_images = options->label != NULL || options->unlabelled;
	Tree *tree = &plan->tree;
	TreeStatus status = tree_walk(tree, options->source, &env);

	plan->from = "folder";
	plan->root = options->source;
	if (status == TREE_OK)
		status = tree_understand(tree);
	check_tree(tree, status, options, all_images);
	for (size_t i = 0; i < tree->n_files; i++)
	{
		const TreeFolder *folder = &tree->folders[tree->files[i].folder];
		char path[TREE_MAX_PATH];
		Item *item;

		if ((!folder->is_in && !all_images) || !tree_file_path(path, sizeof(path), tree, &tree->files[i]))
			continue;
		item = add_item(plan, path, tree->files[i].n_bytes);
		if (all_images)
			item->label = options->label;
		else
		{
			int changed;
			const char *name = tree->labels[folder->label].name;

			item->label = copy_utf8(name, strlen(name), &changed);
		}
		item->split = folder->split >= 0 ? split_names[folder->split] : NULL;
		find_patient(item, options);
		plan->dicom = plan->dicom || !tree_is_image_name(path) || strcasestr(path, ".dcm") != NULL ||
					  strcasestr(path, ".dicom") != NULL;
	}
	leave_out_of_tree(tree, all_images);
	if (all_images)
		tree->n_labels = 0;
}

/* ------------------------------------------------------------------ source */

static int
is_dicomdir(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcasecmp(slash == NULL ? path : slash + 1, "DICOMDIR") == 0;
}

void
make_plan(Plan *plan, const Options *options)
{
	struct stat st;
	char inside[TREE_MAX_PATH];
	uint8_t head[512];
	char why[TREE_WHY_LEN];
	int n;

	if (stat(options->source, &st) != 0)
		fatal(EXIT_ERROR, "could not open \"%s\": %s", options->source, strerror(errno));
	n = snprintf(inside, sizeof(inside), "%s/DICOMDIR", options->source);
	if (S_ISDIR(st.st_mode))
	{
		if (n > 0 && (size_t) n < sizeof(inside) && access(inside, R_OK) == 0)
			read_dicomdir(plan, options, inside);
		else
			read_folder(plan, options);
	}
	else if (is_dicomdir(options->source))
		read_dicomdir(plan, options, options->source);
	else if (recognise(head, read_beginning(head, sizeof(head), options->source), why, sizeof(why)))
		fatal(EXIT_ERROR, "\"%s\" is an image\nHINT:  Give the folder that it is in, or a manifest.",
			  options->source);
	else
		read_manifest(plan, options, options->source);
	if (plan->n == 0)
	{
		print_left_out(stderr, options);
		fatal(
			EXIT_ERROR,
			"\"%s\" has no images that can be loaded\n"
			"HINT:  Expected are train|val|test/CLASS/file or CLASS/file, a manifest (CSV), or a DICOMDIR.  "
			"Images without class folders need --label or --unlabelled.",
			options->source);
	}
	if (options->dry_run)
		look_at_patients(plan);
}

/*-------------------------------------------------------------------------
 *
 * names.c
 *	  What names of files and folders say.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "tree_internal.h"

/* Compares two texts without regard to the case of ASCII letters. */
static int
same_name(const char *a, const char *b)
{
	for (; *a != '\0' && tolower((unsigned char) *a) == tolower((unsigned char) *b); a++, b++)
		;
	return *a == *b;
}

static int
is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(name, list[i]))
			return 1;
	return 0;
}

#define LENGTH(list) (sizeof(list) / sizeof((list)[0]))

int
tree_split_of(const char *name)
{
	static const struct
	{
		const char *name;
		int split;
	} names[] = {
		{"train", 0}, {"training", 0}, {"validation", 1}, {"val", 1},
		{"valid", 1}, {"test", 2},     {"testing", 2},
	};

	for (size_t i = 0; i < LENGTH(names); i++)
		if (same_name(name, names[i].name))
			return names[i].split;
	return -1;
}

int
tree_is_image_name(const char *name)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png", ".dcm", ".dicom"};
	const char *dot = strrchr(name, '.');

	return dot != NULL && is_one_of(dot, endings, LENGTH(endings));
}

int
tree_is_system_name(const char *name)
{
	static const char *const names[] = {"__MACOSX", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN",
										"System Volume Information"};

	return name[0] == '.' || is_one_of(name, names, LENGTH(names));
}

const char *
tree_reason_text(TreeReason reason)
{
	static const char *const texts[TREE_N_REASONS] = {
		"hidden or of the operating system",
		"no JPEG, PNG or DICOM image",
		"empty",
		"too large",
		"cannot be read",
		"a pipe, socket or device",
		"a link to a folder that it is in",
		"in too many folders within each other",
		"in none of the folders train, validation and test",
		"not in a class folder, so of no label",
	};

	return texts[reason];
}

const char *
tree_component(const char *path, int number, size_t *n)
{
	for (;;)
	{
		const char *slash = strchr(path, '/');

		if (*path == '\0')
			return NULL;
		*n = slash == NULL ? strlen(path) : (size_t) (slash - path);
		if (number-- == 0)
			return path;
		if (slash == NULL)
			return NULL;
		path = slash + 1;
	}
}

/*
 * test_tree.c
 *		What the folders of a tree are understood as, and SHA-256.
 *
 * Trees are made in a temporary folder; the server and the client program are
 * tested with trees of their own in sql/images.sql and tests/t/021_load.pl.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash/sha256.h"
#include "tree/tree.h"
#include "unit.h"

static char root[] = "/tmp/pneumo-tree-XXXXXX";
static int allocations_left = -1; /* -1: no limit */

static void *
allocate(void *arg, size_t n)
{
	(void) arg;
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return malloc(n);
}

static void
release(void *arg, void *memory)
{
	(void) arg;
	free(memory);
}

static int
recognise(const uint8_t *bytes, size_t n, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "it is a text");
	return n >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8;
}

/* Makes the folder root/name and its files, named 0 to n - 1, with the folders above it. */
static void
make(const char *name, int n)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s/", root, name);
	for (char *c = path + strlen(root) + 1; *c != '\0'; c++)
		if (*c == '/')
		{
			*c = '\0';
			(void) mkdir(path, 0700);
			*c = '/';
		}
	for (int i = 0; i < n; i++)
	{
		char file[700];
		FILE *f;

		snprintf(file, sizeof(file), "%s%d", path, i);
		f = fopen(file, "w");
		if (f != NULL)
		{
			fputs("\xff\xd8 ", f);
			fclose(f);
		}
	}
}

/* Removes a folder of the root and what is in it. */
static void
unmake(const char *name)
{
	char command[700];

	snprintf(command, sizeof(command), "rm -rf '%s/%s'", root, name);
	if (system(command) != 0)
		printf("# could not remove %s\n", name);
}

/* Understands root/name and writes "split/label=n ..." of the folders that are in. */
static TreeStatus
understand(char *dst, size_t n_bytes, Tree *tree, const char *name)
{
	static const char *const splits[] = {"train", "validation", "test"};
	TreeEnv env = {allocate, release, recognise, NULL, 1000, 0, NULL};
	char path[600];
	TreeStatus status;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	dst[0] = '\0';
	status = tree_walk(tree, path, &env);
	if (status == TREE_OK)
		status = tree_understand(tree);
	for (size_t i = 0; status == TREE_OK && i < tree->n_folders; i++)
	{
		const TreeFolder *folder = &tree->folders[i];
		size_t used = strlen(dst);

		if (folder->n_files > 0 && folder->is_in)
			snprintf(dst + used, n_bytes - used, "%s%s/%s=%zu", used > 0 ? " " : "",
					 folder->split >= 0 ? splits[folder->split] : "", tree->labels[folder->label].name,
					 folder->n_files);
	}
	return status;
}

static void
test_layouts(void)
{
	static const struct
	{
		const char *name;
		const char *folders[6];
		TreeStatus status;
		const char *want;
		size_t outside, no_class;
	} cases[] = {
		{"classes", {"NORMAL", "PNEUMONIA"}, TREE_OK, "/NORMAL=2 /PNEUMONIA=2", 0, 0},
		{"one class", {"NORMAL"}, TREE_OK, "/NORMAL=2", 0, 0},
		{"folders in one class", {"NORMAL", "NORMAL/p1"}, TREE_OK, "/NORMAL=2 /NORMAL=2", 0, 0},
		{"splits",
		 {"train/A", "train/B", "val/A", "Testing/b"},
		 TREE_OK,
		 "test/B=2 train/A=2 train/B=2 validation/A=2",
		 0,
		 0},
		{"inside", {"x/y/A", "x/y/B"}, TREE_OK, "/A=2 /B=2", 0, 0},
		{"inside with loose ones", {"", "x", "x/A", "x/B"}, TREE_OK, "/A=2 /B=2", 0, 4},
		{"splits inside", {"x/train/A", "x/test/A", "y/A"}, TREE_OK, "test/A=2 train/A=2", 2, 0},
		{"a copy inside", {"train/A", "test/A", "x/train/A"}, TREE_OK, "test/A=2 train/A=2", 2, 0},
		{"class first", {"A/train", "A/test", "B/train"}, TREE_OK, "test/A=2 train/A=2 train/B=2", 0, 0},
		{"two trees", {"f1/train/A", "f2/train/A"}, TREE_AMBIGUOUS, "", 0, 0},
		{"an odd folder", {"A", "B", "B/p/test"}, TREE_OK, "/A=2 /B=2 /B=2", 0, 0},
		{"no class", {"train", "test"}, TREE_OK, "", 0, 4},
		{"patients", {"A/p1", "A/p2", "B/p1/s"}, TREE_OK, "/A=2 /A=2 /B=2", 0, 0},
		{"spellings",
		 {"train/a", "train/A ", "train/A/x", "train/A/y"},
		 TREE_OK,
		 "train/A=2 train/A=2 train/A=2 train/A=2",
		 0,
		 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Tree tree;
		char got[1000];
		char folder[200];
		const char *first;
		TreeStatus status;

		for (int k = 0; k < 6 && cases[i].folders[k] != NULL; k++)
		{
			snprintf(folder, sizeof(folder), "case/%s", cases[i].folders[k]);
			make(folder, 2);
		}
		status = understand(got, sizeof(got), &tree, "case");
		unit_ok(status == cases[i].status && strcmp(got, cases[i].want) == 0, "%s: %s", cases[i].name, got);
		if (status == TREE_OK)
			unit_ok(tree_n_out(&tree, TREE_OUTSIDE, &first) == cases[i].outside &&
						tree_n_out(&tree, TREE_NO_CLASS, &first) == cases[i].no_class,
					"%s: what is left out", cases[i].name);
		tree_free(&tree);
		unmake("case");
	}
}

/* Every allocation may fail. */
static void
test_memory(void)
{
	Tree tree;
	char got[1000];
	TreeStatus status = TREE_NO_MEMORY;
	int n = 0;

	make("case/train/A", 200);
	make("case/test/b", 2);
	make("case/test/.hidden", 1);
	while (status == TREE_NO_MEMORY && n < 1000)
	{
		allocations_left = n++;
		status = understand(got, sizeof(got), &tree, "case");
		tree_free(&tree);
	}
	allocations_left = -1;
	unit_ok(status == TREE_OK && n > 5, "each of %d allocations may fail", n - 1);
	unmake("case");
}

static void
test_deep(void)
{
	Tree tree;
	char got[1000];
	char deep[400] = "case";
	const char *first;

	for (int i = 0; i < TREE_MAX_DEPTH + 3; i++)
		strcat(deep, "/d");
	make(deep, 1);
	make("case/NORMAL", 1);
	unit_ok(understand(got, sizeof(got), &tree, "case") == TREE_OK && strcmp(got, "/NORMAL=1") == 0,
			"folders too deep are left out: %s", got);
	unit_ok(tree_n_out(&tree, TREE_TOO_DEEP, &first) == 1, "and noted");
	tree_free(&tree);
	unmake("case");
	unit_ok(understand(got, sizeof(got), &tree, "case") == TREE_CANNOT_OPEN, "no such folder");
	tree_free(&tree);
}

static void
test_names(void)
{
	unit_ok(tree_split_of("TRAIN") == 0 && tree_split_of("Valid") == 1 && tree_split_of("testing") == 2,
			"names of splits");
	unit_ok(tree_split_of("tests") == -1 && tree_split_of("") == -1, "names of no splits");
	unit_ok(tree_is_image_name("a.b.JPEG") && !tree_is_image_name("jpeg") && !tree_is_image_name("a.jpg.txt"),
			"names of images");
	unit_ok(tree_is_system_name("._a.jpeg") && tree_is_system_name("thumbs.DB") && !tree_is_system_name("a"),
			"names of the operating system");
}

static void
hex(char *dst, const uint8_t *digest)
{
	for (int i = 0; i < SHA256_LEN; i++)
		sprintf(dst + 2 * i, "%02x", digest[i]);
}

/* The examples of FIPS 180-4 and RFC 4231. */
static void
test_sha256(void)
{
	static const char long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	uint8_t digest[SHA256_LEN];
	uint8_t key[131];
	char text[2 * SHA256_LEN + 1];
	Sha256 hash;

	sha256_of(digest, "abc", 3);
	hex(text, digest);
	unit_ok(strcmp(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0,
			"SHA-256: abc");
	sha256_of(digest, "", 0);
	hex(text, digest);
	unit_ok(strcmp(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == 0,
			"SHA-256: nothing");
	sha256_begin(&hash);
	for (size_t i = 0; i < sizeof(long_text) - 1; i += 7)
		sha256_add(&hash, long_text + i, sizeof(long_text) - 1 - i < 7 ? sizeof(long_text) - 1 - i : 7);
	sha256_end(digest, &hash);
	hex(text, digest);
	unit_ok(strcmp(text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1") == 0,
			"SHA-256: in parts");
	sha256_hmac(digest, "Jefe", 4, "what do ya want for nothing?", 28);
	hex(text, digest);
	unit_ok(strcmp(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") == 0,
			"HMAC-SHA-256");
	memset(key, 0xaa, sizeof(key));
	sha256_hmac(digest, key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54);
	hex(text, digest);
	unit_ok(strcmp(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54") == 0,
			"HMAC-SHA-256: a long key");
}

int
main(void)
{
	if (mkdtemp(root) == NULL)
		return 1;
	test_layouts();
	test_memory();
	test_deep();
	test_names();
	test_sha256();
	(void) rmdir(root);
	return unit_done();
}

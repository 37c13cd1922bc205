/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  What bytes are that are no image that pneumo reads, and what cures them.
 *
 * The usual reasons are a file of another format, and bytes that became text on
 * their way into the table: base64, hexadecimal digits, a path, a page with an
 * error.  Their cure is one call in SQL, which the hint shows.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "image_internal.h"

#define NO_IMAGE "not a JPEG, PNG or DICOM image: "
#define AS_TEXT "convert_from(image, 'UTF8')"

typedef struct Signature
{
	size_t offset;
	const char *bytes;
	size_t n;
	const char *name; /* with its article */
	const char *hint;
} Signature;

#define CONVERT "Convert it to PNG before loading it."
#define EXPAND "Load what is in it."

#define SIGNATURE(offset, bytes, name, hint) {offset, bytes, sizeof(bytes) - 1, name, hint}

static const Signature signatures[] = {
	SIGNATURE(0, "GIF8", "a GIF image", CONVERT),
	SIGNATURE(0, "BM", "a BMP image", CONVERT),
	SIGNATURE(0, "II*\0", "a TIFF image", CONVERT),
	SIGNATURE(0, "MM\0*", "a TIFF image", CONVERT),
	SIGNATURE(0, "II+\0", "a BigTIFF image", CONVERT),
	SIGNATURE(0, "MM\0+", "a BigTIFF image", CONVERT),
	SIGNATURE(8, "WEBPVP8", "a WebP image", CONVERT),
	SIGNATURE(4, "ftyphei", "a HEIC image", CONVERT),
	SIGNATURE(4, "ftyphevc", "a HEIC image", CONVERT),
	SIGNATURE(4, "ftypmif1", "a HEIF image", CONVERT),
	SIGNATURE(4, "ftypavif", "an AVIF image", CONVERT),
	SIGNATURE(4, "ftyp", "a film (MP4)", "Load single frames as PNG."),
	SIGNATURE(0, "\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", CONVERT),
	SIGNATURE(0, "\xff\x4f\xff\x51", "a JPEG 2000 stream", CONVERT),
	SIGNATURE(0, "\xff\x0a", "a JPEG XL image", CONVERT),
	SIGNATURE(0, "\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", CONVERT),
	SIGNATURE(0, "8BPS", "a Photoshop image", CONVERT),
	SIGNATURE(0, "P1\n", "a PBM image", CONVERT),
	SIGNATURE(0, "P2\n", "a PGM image", CONVERT),
	SIGNATURE(0, "P4\n", "a PBM image", CONVERT),
	SIGNATURE(0, "P5", "a PGM image", CONVERT),
	SIGNATURE(0, "P6", "a PPM image", CONVERT),
	SIGNATURE(0, "\x93NUMPY", "a NumPy array", "Save it as PNG before loading it."),
	SIGNATURE(0, "\x89HDF\r\n", "an HDF5 file", "Save its images as PNG before loading them."),
	SIGNATURE(344, "n+1\0", "a NIfTI volume", "Save single slices as PNG before loading them."),
	SIGNATURE(344, "ni1\0", "a NIfTI header", "Save single slices as PNG before loading them."),
	SIGNATURE(0, "NRRD000", "an NRRD volume", "Save single slices as PNG before loading them."),
	SIGNATURE(0, "%PDF-", "a PDF document", "Extract the image, for example with pdfimages -png."),
	SIGNATURE(0, "PK\3\4", "a ZIP archive", EXPAND),
	SIGNATURE(0, "\x1f\x8b", "gzip data", "Decompress it before loading it, for example with gunzip."),
	SIGNATURE(0, "BZh", "bzip2 data", "Decompress it before loading it, for example with bunzip2."),
	SIGNATURE(0,
			  "\xfd"
			  "7zXZ",
			  "xz data", "Decompress it before loading it, for example with unxz."),
	SIGNATURE(0, "\x28\xb5\x2f\xfd", "Zstandard data",
			  "Decompress it before loading it, for example with unzstd."),
	SIGNATURE(0, "7z\xbc\xaf", "a 7z archive", EXPAND),
	SIGNATURE(0, "Rar!", "a RAR archive", EXPAND),
	SIGNATURE(257, "ustar", "a tar archive", EXPAND),
	SIGNATURE(0,
			  "\x7f"
			  "ELF",
			  "a program", ""),
	SIGNATURE(0, "\0\5\x16\7", "an AppleDouble file, which macOS writes beside the image",
			  "Leave out the files whose names begin with \"._\"."),
	SIGNATURE(0, "\x80\2", "a Python pickle", "Save the image itself, not the object that holds it."),
	SIGNATURE(0, "\x80\3", "a Python pickle", "Save the image itself, not the object that holds it."),
	SIGNATURE(0, "\x80\4", "a Python pickle", "Save the image itself, not the object that holds it."),
	SIGNATURE(0, "\xef\xbf\xbd", "an image that was read as UTF-8 text and is destroyed",
			  "Load the file again as bytes."),
	SIGNATURE(0, "\xc3\xbf\xc3\x98", "an image that was taken for Latin-1 text and stored as UTF-8",
			  "Set image = convert_to(" AS_TEXT ", 'LATIN1')."),
	SIGNATURE(0, "\xc2\x89PNG", "an image that was taken for Latin-1 text and stored as UTF-8",
			  "Set image = convert_to(" AS_TEXT ", 'LATIN1')."),
	SIGNATURE(0, "\x89PNG\n", "a PNG image whose line ends were changed", "Load the file again as bytes."),
};

static int
begins(const uint8_t *bytes, size_t n_bytes, size_t offset, const void *what, size_t n)
{
	return n_bytes >= offset + n && memcmp(bytes + offset, what, n) == 0;
}

static int
begins_with(const uint8_t *bytes, size_t n_bytes, const char *text)
{
	return begins(bytes, n_bytes, 0, text, strlen(text));
}

/* Returns whether an image that is read begins here. */
static int
image_begins(const uint8_t *bytes, size_t n_bytes)
{
	return begins_with(bytes, n_bytes, "\xff\xd8\xff") || begins_with(bytes, n_bytes, "\x89PNG\r\n");
}

/* Returns the number of leading bytes, up to 200, that are printable ASCII or white space. */
static size_t
text_length(const uint8_t *bytes, size_t n_bytes)
{
	size_t i;

	for (i = 0; i < n_bytes && i < 200; i++)
		if (bytes[i] >= 127 || (bytes[i] < 32 && !isspace(bytes[i])))
			break;
	return i;
}

static int
is_base64(const uint8_t *bytes, size_t n_text)
{
	size_t i, digits = 0;

	for (i = 0; i < n_text; i++)
	{
		if (isalnum(bytes[i]) || strchr("+/=", bytes[i]) != NULL)
			digits++;
		else if (bytes[i] != '\n' && bytes[i] != '\r')
			return 0;
	}
	return digits >= 32 ||
		   (digits >= 8 && (begins_with(bytes, n_text, "/9j/") || begins_with(bytes, n_text, "iVBORw0KG")));
}

static int
is_hex(const uint8_t *bytes, size_t n_text)
{
	for (size_t i = 0; i < n_text; i++)
		if (!isxdigit(bytes[i]))
			return 0;
	return n_text >= 16;
}

static int
is_path(const uint8_t *bytes, size_t n_bytes, size_t n_text)
{
	static const char *const ends[] = {".jpg", ".jpeg", ".png", ".dcm", ".dicom", ".tif", ".tiff"};

	if (n_text != n_bytes)
		return 0;
	while (n_text > 0 && isspace(bytes[n_text - 1]))
		n_text--;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		size_t n = strlen(ends[i]), k = 0;

		while (k < n && n_text > n && tolower(bytes[n_text - n + k]) == ends[i][k])
			k++;
		if (k == n)
			return 1;
	}
	return 0;
}

static ImgStatus
say(ImgError *error, const char *what, const char *hint)
{
	(void) img_fail(error, IMG_NOT_IMAGE, NO_IMAGE "it is %s", what);
	img_hint(error, "%s", hint);
	return IMG_NOT_IMAGE;
}

/* Says what bytes that begin as text are; 0 if that is unknown. */
static int
say_text(const uint8_t *bytes, size_t n_bytes, size_t n_text, ImgError *error)
{
	const uint8_t *first = bytes;
	size_t n = n_text;

	while (n > 0 && isspace(*first))
	{
		first++;
		n--;
	}
	if (begins_with(first, n, "data:") && memchr(first, ',', n) != NULL)
		say(error, "the text of a data URI",
			"Set image = decode(split_part(" AS_TEXT ", ',', 2), 'base64').");
	else if (begins_with(first, n, "\\x"))
		say(error, "text with the hexadecimal digits of bytes",
			"Set image = decode(substr(" AS_TEXT ", 3), 'hex').");
	else if (begins_with(first, n, "b'\\x") || begins_with(first, n, "b\"\\x"))
		say(error, "the text by which Python shows bytes", "Pass the bytes as a parameter, not str(bytes).");
	else if (begins_with(first, n, "memoryview") || begins_with(first, n, "<memory at"))
		say(error, "the text by which Python shows an object", "Pass bytes(object) as a parameter.");
	else if (begins_with(first, n, "version https://git-lfs"))
		say(error, "a pointer of Git LFS", "Fetch the files with git lfs pull and load them again.");
	else if (begins_with(first, n, "http://") || begins_with(first, n, "https://"))
		say(error, "the text of a URL", "Fetch the file and load its bytes.");
	else if (begins_with(first, n, "<!DOCTYPE") || begins_with(first, n, "<!doctype") ||
			 begins_with(first, n, "<html") || begins_with(first, n, "<HTML"))
		say(error, "an HTML page, such as a server's error", "Fetch the file again and look at the answer.");
	else if (begins_with(first, n, "<?xml") || begins_with(first, n, "<svg") ||
			 begins_with(first, n, "<Error"))
		say(error, "XML text", "");
	else if (n > 1 && (first[0] == '{' || (first[0] == '[' && (first[1] == '{' || first[1] == '"'))))
		say(error, "JSON text", "Load the bytes of the image that it holds or names.");
	else if (is_path(first, n_bytes - (size_t) (first - bytes), n))
		say(error, "the name of a file", "Set image = pg_read_binary_file(" AS_TEXT ").");
	else if (is_hex(first, n))
		say(error, "text with the hexadecimal digits of bytes", "Set image = decode(" AS_TEXT ", 'hex').");
	else if (is_base64(first, n))
		say(error, "base64 text", "Set image = decode(" AS_TEXT ", 'base64').");
	else
		return 0;
	return 1;
}

ImgStatus
img_foreign(const uint8_t *bytes, size_t n_bytes, ImgError *error)
{
	size_t n_text = text_length(bytes, n_bytes);

	/* an image behind some bytes that do not belong to it */
	for (size_t i = 1; i <= 16 && i < n_bytes; i++)
		if (image_begins(bytes + i, n_bytes - i))
		{
			(void) img_fail(error, IMG_NOT_IMAGE,
							NO_IMAGE "there %s %d byte%s before the beginning of an image",
							i == 1 ? "is" : "are", (int) i, i == 1 ? "" : "s");
			img_hint(error, "Set image = substr(image, %d).", (int) i + 1);
			return IMG_NOT_IMAGE;
		}
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
	{
		const Signature *signature = &signatures[i];

		if (begins(bytes, n_bytes, signature->offset, signature->bytes, signature->n))
			return say(error, signature->name, signature->hint);
	}
	if (n_text == n_bytes || n_text >= 64)
		if (say_text(bytes, n_bytes, n_text, error))
			return IMG_NOT_IMAGE;
	if (n_bytes == 1)
		return img_fail(error, IMG_NOT_IMAGE, NO_IMAGE "it is one byte, 0x%02x", (unsigned) bytes[0]);
	return img_fail(error, IMG_NOT_IMAGE, NO_IMAGE "it starts with 0x%02x 0x%02x", (unsigned) bytes[0],
					(unsigned) bytes[1]);
}

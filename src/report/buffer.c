/*-------------------------------------------------------------------------
 *
 * buffer.c
 *		The append buffer: markup, escaped text, numbers, base64.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>

#include "report_internal.h"

#define FIRST_CAPACITY 4096
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

const char *
report_status_text(ReportStatus status)
{
	switch (status)
	{
		case REPORT_OK:
			return "ok";
		case REPORT_BAD_ARGUMENT:
			return "there is nothing to draw, or a figure is out of range";
		case REPORT_NO_MEMORY:
			return "not enough memory";
		case REPORT_TOO_LARGE:
			return "the report is larger than allowed";
	}
	return "unknown status";
}

/* Appends n bytes, after growing the buffer where they do not fit. */
static void
put_bytes(ReportBuffer *buffer, const char *bytes, size_t n)
{
	if (buffer->status != REPORT_OK || n == 0)
		return;
	if (n > buffer->limit || buffer->length > buffer->limit - n)
	{
		buffer->status = REPORT_TOO_LARGE;
		return;
	}
	if (n > buffer->capacity - buffer->length)
	{
		size_t bytes_wanted = buffer->capacity > buffer->limit / 2 ? buffer->limit : buffer->capacity * 2;
		char *data;

		if (bytes_wanted < FIRST_CAPACITY)
			bytes_wanted = FIRST_CAPACITY;
		if (bytes_wanted < buffer->length + n)
			bytes_wanted = buffer->length + n;
		data = buffer->grow == NULL ? NULL
									: buffer->grow(buffer->arg, buffer->data, buffer->length, bytes_wanted);
		if (data == NULL)
		{
			buffer->status = REPORT_NO_MEMORY;
			return;
		}
		buffer->data = data;
		buffer->capacity = bytes_wanted;
	}
	memcpy(buffer->data + buffer->length, bytes, n);
	buffer->length += n;
}

void
report_put(ReportBuffer *buffer, const char *markup)
{
	if (markup != NULL)
		put_bytes(buffer, markup, strlen(markup));
}

/* Returns whether the character at p, 3 bytes, turns the direction of the text around it. */
static bool
turns_direction(const unsigned char *p)
{
	if (p[0] != 0xE2)
		return false;
	return (p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE) || (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9);
}

/*
 * Returns the length of the UTF-8 character at p if XML allows it and it does
 * not turn the direction of the text around it, else 0.  A NUL ends the text, so
 * looking one byte ahead at a time is safe.
 */
static size_t
character_length(const unsigned char *p)
{
	uint32_t code;
	size_t n;

	if (turns_direction(p))
		return 0;
	if (p[0] < 0x80)
		return p[0] >= 0x20 || p[0] == '\n' || p[0] == '\t' || p[0] == '\r';
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		n = 2;
	else if (p[0] >= 0xE0 && p[0] <= 0xEF)
		n = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		n = 4;
	else
		return 0;
	code = p[0] & (0xFFu >> (n + 1));
	for (size_t i = 1; i < n; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3Fu);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10FFFF ||
		(code >= 0xD800 && code <= 0xDFFF) || code == 0xFFFE || code == 0xFFFF ||
		(code >= 0x7F && code < 0xA0))
		return 0;
	return n;
}

/* Appends up to `characters` characters, escaped; returns where it stopped. */
static const char *
put_escaped(ReportBuffer *buffer, const char *text, size_t characters)
{
	const unsigned char *p = (const unsigned char *) text;

	for (; *p != '\0' && characters > 0; characters--)
	{
		size_t n = character_length(p);

		if (n == 0)
		{
			put_bytes(buffer, REPLACEMENT, 3);
			p += turns_direction(p) ? 3 : 1;
			continue;
		}
		switch (*p)
		{
			case '&':
				report_put(buffer, "&amp;");
				break;
			case '<':
				report_put(buffer, "&lt;");
				break;
			case '>':
				report_put(buffer, "&gt;");
				break;
			case '"':
				report_put(buffer, "&quot;");
				break;
			case '\'':
				report_put(buffer, "&#39;");
				break;
			default:
				put_bytes(buffer, (const char *) p, n);
		}
		p += n;
	}
	return (const char *) p;
}

void
report_put_text(ReportBuffer *buffer, const char *text)
{
	if (text != NULL)
		(void) put_escaped(buffer, text, SIZE_MAX);
}

/* Returns the number of characters of a text; a byte that is not UTF-8 counts as one. */
static size_t
text_length(const char *text)
{
	const unsigned char *p = (const unsigned char *) text;
	size_t count = 0;

	if (text == NULL)
		return 0;
	while (*p != '\0')
	{
		size_t n = character_length(p);

		p += n > 0 ? n : turns_direction(p) ? 3 : 1;
		count++;
	}
	return count;
}

void
report_put_short(ReportBuffer *buffer, const char *text, size_t characters)
{
	if (text == NULL)
		return;
	if (text_length(text) <= characters)
		report_put_text(buffer, text);
	else
	{
		(void) put_escaped(buffer, text, characters - 1);
		report_put(buffer, "\xE2\x80\xA6");
	}
}

/* Appends a whole number, for people with a comma before each three digits. */
static void
put_count(ReportBuffer *buffer, uint64_t value, bool separated)
{
	char digits[27];
	size_t at = sizeof(digits);
	int n = 0;

	do
	{
		if (separated && n > 0 && n % 3 == 0)
			digits[--at] = ',';
		digits[--at] = (char) ('0' + value % 10);
		value /= 10;
		n++;
	} while (value > 0);
	put_bytes(buffer, digits + at, sizeof(digits) - at);
}

/*
 * Appends a number with so many decimals.  printf is not used here, since it
 * would follow the locale's decimal sign.
 */
static void
put_number(ReportBuffer *buffer, double value, int decimals, bool separated)
{
	double scale = 1.0;
	uint64_t units;
	uint64_t whole;

	if (isnan(value))
	{
		report_put(buffer, "n/a");
		return;
	}
	if (isinf(value))
	{
		report_put(buffer, value > 0 ? "\xE2\x88\x9E" : "\xE2\x88\x92\xE2\x88\x9E");
		return;
	}
	if (decimals < 0)
		decimals = 0;
	if (decimals > 9)
		decimals = 9;
	if (fabs(value) >= 1e9)
	{
		int exponent = (int) floor(log10(fabs(value)));

		put_number(buffer, value / pow(10.0, exponent), decimals < 2 ? 2 : decimals, separated);
		report_put(buffer, "e");
		put_count(buffer, (uint64_t) exponent, false);
		return;
	}
	for (int i = 0; i < decimals; i++)
		scale *= 10.0;
	units = (uint64_t) floor(fabs(value) * scale + 0.5);
	if (value < 0.0 && units > 0)
		report_put(buffer, "-");
	whole = units / (uint64_t) scale;
	put_count(buffer, whole, separated);
	if (decimals > 0)
	{
		char digits[16];
		uint64_t rest = units % (uint64_t) scale;

		digits[0] = '.';
		for (int i = decimals; i > 0; i--)
		{
			digits[i] = (char) ('0' + rest % 10);
			rest /= 10;
		}
		put_bytes(buffer, digits, (size_t) decimals + 1);
	}
}

void
report_put_number(ReportBuffer *buffer, double value, int decimals)
{
	put_number(buffer, value, decimals, true);
}

void
report_put_limits(ReportBuffer *buffer, double low, double high, int decimals)
{
	report_put(buffer, " (");
	report_put_number(buffer, low, decimals);
	report_put(buffer, " to ");
	report_put_number(buffer, high, decimals);
	report_put(buffer, ")");
}

void
report_put_markup(ReportBuffer *buffer, const char *format, ...)
{
	va_list args;
	const char *run = format;

	va_start(args, format);
	for (; *format != '\0'; format++)
	{
		if (*format != '%')
			continue;
		put_bytes(buffer, run, (size_t) (format - run));
		format++;
		run = format + 1;
		switch (*format)
		{
			case 's':
				report_put(buffer, va_arg(args, const char *));
				break;
			case 't':
				report_put_text(buffer, va_arg(args, const char *));
				break;
			case 'c':
				put_number(buffer, va_arg(args, double), 2, false);
				break;
			case 'u':
				put_count(buffer, va_arg(args, uint64_t), false);
				break;
			case 'n':
				put_count(buffer, va_arg(args, uint64_t), true);
				break;
			default:
				run = format;
				break;
		}
	}
	put_bytes(buffer, run, (size_t) (format - run));
	va_end(args);
}

void
report_put_id(ReportBuffer *buffer, const char *id, const char *fallback)
{
	size_t before = buffer->length;

	for (const char *p = id == NULL ? "" : id; *p != '\0'; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
			*p == '_')
			put_bytes(buffer, p, 1);
	if (buffer->length == before)
		report_put(buffer, fallback);
}

void
report_put_base64(ReportBuffer *buffer, const uint8_t *bytes, size_t n)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char out[1024];
	size_t used = 0;

	for (size_t i = 0; i < n && buffer->status == REPORT_OK; i += 3)
	{
		uint32_t three = (uint32_t) bytes[i] << 16;

		if (i + 1 < n)
			three |= (uint32_t) bytes[i + 1] << 8;
		if (i + 2 < n)
			three |= bytes[i + 2];
		out[used++] = alphabet[three >> 18];
		out[used++] = alphabet[three >> 12 & 63];
		out[used++] = i + 1 < n ? alphabet[three >> 6 & 63] : '=';
		out[used++] = i + 2 < n ? alphabet[three & 63] : '=';
		if (used == sizeof(out))
		{
			put_bytes(buffer, out, used);
			used = 0;
		}
	}
	put_bytes(buffer, out, used);
}

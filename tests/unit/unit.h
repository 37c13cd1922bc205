/*
 * unit.h
 *		The harness of the unit tests: a test is a program that reports each
 *		check on a line of its own and ends in a count.
 *
 *		int
 *		main(void)
 *		{
 *			unit_ok(nn_x() == 1, "x of nothing is one");
 *			unit_near(nn_y(), 0.5, 1e-12, "y of a half");
 *			return unit_done();
 *		}
 *
 * prints "ok 1 - x of nothing is one" and, at the end, "2 passed, 0 failed".
 * Include it in one file per program.  `make unit` builds every
 * tests/unit/test_*.c, runs it in the root of the sources (so "tests/golden/…"
 * is how a test names its data), and adds up the last lines.
 */
#ifndef PNEUMO_TESTS_UNIT_H
#define PNEUMO_TESTS_UNIT_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int unit_n_passed = 0;
static int unit_n_failed = 0;

static inline bool
unit_vreport(bool ok, const char *format, va_list args)
{
	int n = unit_n_passed + unit_n_failed + 1;

	if (ok)
		unit_n_passed++;
	else
		unit_n_failed++;
	printf("%s %d - ", ok ? "ok" : "not ok", n);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	return ok;
}

/* One check, with its name as for printf.  Returns ok. */
static inline bool __attribute__((format(printf, 2, 3)))
unit_ok(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	unit_vreport(ok, format, args);
	va_end(args);
	return ok;
}

/* |got - want| <= tolerance; a NaN on either side fails unless on both. */
static inline bool __attribute__((format(printf, 4, 5)))
unit_near(double got, double want, double tolerance, const char *format, ...)
{
	bool ok = fabs(got - want) <= tolerance || got == want || (isnan(got) && isnan(want));
	va_list args;

	va_start(args, format);
	unit_vreport(ok, format, args);
	va_end(args);
	if (!ok)
		printf("#   got %.17g, wanted %.17g, tolerance %g\n", got, want, tolerance);
	return ok;
}

/* Equal text; NULL equals only NULL. */
static inline bool __attribute__((format(printf, 3, 4)))
unit_text(const char *got, const char *want, const char *format, ...)
{
	bool ok = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);
	va_list args;

	va_start(args, format);
	unit_vreport(ok, format, args);
	va_end(args);
	if (!ok)
		printf("#   got \"%s\"\n#   wanted \"%s\"\n", got ? got : "(null)", want ? want : "(null)");
	return ok;
}

/* The closing line; the result is main's. */
static inline int
unit_done(void)
{
	printf("%d passed, %d failed\n", unit_n_passed, unit_n_failed);
	return unit_n_failed > 0 || unit_n_passed == 0;
}

#endif /* PNEUMO_TESTS_UNIT_H */

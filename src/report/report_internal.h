/*-------------------------------------------------------------------------
 *
 * report_internal.h
 *		What the files of src/report share with each other: the parts that plots
 *		are made of.
 *
 * Coordinates are in the plot's own pixels, y down.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_REPORT_REPORT_INTERNAL_H
#define PNEUMO_REPORT_REPORT_INTERNAL_H

#include <math.h>
#include <string.h>

#include "report.h"

/* The width of every plot; shown 400 pixels wide, its text is still 11 pixels high. */
#define REPORT_WIDTH 480

/* A plot area and the ranges of its axes. */
typedef struct ReportAxes
{
	double left;
	double top;
	double width;
	double height;
	double x_min;
	double x_max;
	double y_min;
	double y_max;
} ReportAxes;

/* The ticks of an axis: count of them from first on, a step apart. */
typedef struct ReportTicks
{
	double first;
	double step;
	int count;
	int decimals;
} ReportTicks;

/*
 * Appends formatted markup: %s markup as is, %t escaped text, %c a coordinate
 * with two decimals (double), %u a count (uint64_t), %n the same with separators
 * for people, %% a percent sign.
 */
extern void report_put_markup(ReportBuffer *buffer, const char *format, ...);

/* Appends the characters of id that an identifier may have, or fallback if there are none. */
extern void report_put_id(ReportBuffer *buffer, const char *id, const char *fallback);

/* Opens the svg element, up to <desc>; the caller then appends the description. */
extern void report_svg_begin(ReportBuffer *buffer, const char *kind, const char *id, const char *title,
							 double height);

/* Closes <desc>, draws background and title. */
extern void report_svg_body(ReportBuffer *buffer, const char *title, double height);

/* Closes the svg element. */
extern void report_svg_end(ReportBuffer *buffer);

/*
 * Returns ticks inside min to max at 1, 2 or 5 times a power of ten, about
 * `wanted` of them; with integers, at whole numbers only.
 */
extern ReportTicks report_ticks(double min, double max, int wanted, bool integers);

/* Returns the coordinate of a value on the horizontal axis. */
extern double report_x(const ReportAxes *axes, double x);

/* Returns the coordinate of a value on the vertical axis. */
extern double report_y(const ReportAxes *axes, double y);

/* Draws both axes with grid, ticks and labels; a label may be NULL. */
extern void report_svg_axes(ReportBuffer *buffer, const ReportAxes *axes, const ReportTicks *x_ticks,
							const ReportTicks *y_ticks, const char *x_label, const char *y_label);

/* Draws the diagonal of a plot area, from the lower left to the upper right. */
extern void report_svg_diagonal(ReportBuffer *buffer, const ReportAxes *axes);

/* Draws one line of text with the given classes of the style. */
extern void report_svg_label(ReportBuffer *buffer, const char *class_name, double x, double y,
							 const char *text);

/*
 * Draws a curve through n points, with gaps where one is not finite.  series, 0
 * to 7, sets colour, dash and marker; with markers, about ten points get one.
 */
extern void report_svg_curve(ReportBuffer *buffer, const ReportAxes *axes, int series, const double *x,
							 const double *y, size_t n, bool markers);

/*
 * Draws the marker of a series.  It is filled, so that no curve runs through it:
 * with the paper's colour, that of series 4 to 7 with their own.
 */
extern void report_svg_marker(ReportBuffer *buffer, int series, double x, double y, double size);

/* Draws the legend's sample of a series: 34 wide from x on, centred at height y. */
extern void report_svg_sample(ReportBuffer *buffer, int series, double x, double y);

/* Appends at most so many characters of a text, with an ellipsis if it is cut. */
extern void report_put_short(ReportBuffer *buffer, const char *text, size_t characters);

#endif /* PNEUMO_REPORT_REPORT_INTERNAL_H */

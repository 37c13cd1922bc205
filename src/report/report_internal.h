/*
 * report_internal.h
 *		Internal to src/report: the parts that pictures are made of.
 *
 * Coordinates are in the picture's own pixels, y down.
 */
#ifndef PNEUMO_REPORT_REPORT_INTERNAL_H
#define PNEUMO_REPORT_REPORT_INTERNAL_H

#include <math.h>
#include <string.h>

#include "report.h"

/* Every picture is this wide; at 400 pixels its text is still 11 high. */
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

typedef struct ReportTicks
{
	double first;
	double step;
	int count;
	int decimals;
} ReportTicks;

extern void report_put_markup(ReportBuffer *buffer, const char *format, ...);
extern void report_put_count(ReportBuffer *buffer, uint64_t value);
extern void report_put_id(ReportBuffer *buffer, const char *id, const char *fallback);

/* Opens the svg element, up to and without the text of <desc>. */
extern void report_svg_begin(ReportBuffer *buffer, const char *kind, const char *id, const char *title,
							 double height);

/* Ends <desc>, draws background and title. */
extern void report_svg_body(ReportBuffer *buffer, const char *title, double height);
extern void report_svg_end(ReportBuffer *buffer);

extern ReportTicks report_ticks(double min, double max, int wanted, bool integers);
extern double report_x(const ReportAxes *axes, double x);
extern double report_y(const ReportAxes *axes, double y);
extern void report_svg_axes(ReportBuffer *buffer, const ReportAxes *axes, const ReportTicks *x_ticks,
							const ReportTicks *y_ticks, const char *x_label, const char *y_label);
extern void report_svg_label(ReportBuffer *buffer, const char *class_name, double x, double y,
							 const char *text);

/* series: 0 to 3, sets colour, dash and marker */
extern void report_svg_curve(ReportBuffer *buffer, const ReportAxes *axes, int series, const double *x,
							 const double *y, size_t n, bool markers);
extern void report_svg_marker(ReportBuffer *buffer, int series, double x, double y, double size);
extern void report_svg_sample(ReportBuffer *buffer, int series, double x, double y);

/* At most so many characters of a name, with an ellipsis if cut. */
extern void report_put_short(ReportBuffer *buffer, const char *text, size_t characters);
extern size_t report_text_length(const char *text);

#endif /* PNEUMO_REPORT_REPORT_INTERNAL_H */

/*-------------------------------------------------------------------------
 *
 * page.c
 *		The report: one HTML page that needs nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

static const char head[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
						   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
						   "<meta name=\"color-scheme\" content=\"light dark\">\n"
						   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"
						   "style-src 'unsafe-inline';img-src data:\">\n";

static const char style[] =
	"<style>\n"
	":root{color-scheme:light dark;--ink:#1b1b1b;--soft:#595959;--line:#d0d0d0;"
	"--paper:#fff;--panel:#f4f5f7;--link:#0b5cad;--warn:#8a3b00;--warnpaper:#fff3e6}\n"
	"@media screen and (prefers-color-scheme:dark){:root{--ink:#ececec;--soft:#b0b0b0;"
	"--line:#3c3f44;--paper:#17191c;--panel:#212429;--link:#7db7f5;--warn:#ffbd8a;"
	"--warnpaper:#33261b}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;background:var(--paper);color:var(--ink);"
	"font:16px/1.5 system-ui,\"Helvetica Neue\",Arial,sans-serif}\n"
	"main,header,footer,nav{max-width:100rem;margin:0 auto;padding:0 1rem}\n"
	"header{padding-top:1.5rem}\n"
	"h1{font-size:1.75rem;line-height:1.2;margin:0}\n"
	"h2{font-size:1.3rem;margin:2.25rem 0 .75rem;padding-bottom:.25rem;"
	"border-bottom:1px solid var(--line)}\n"
	"h1,h2,p,li,dt,dd,figcaption,caption{overflow-wrap:anywhere}\n"
	"p{max-width:45rem;margin:.6rem 0}\n"
	".sub{color:var(--soft)}\n"
	"nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;margin:1rem 0 0;padding:0}\n"
	"a{color:var(--link)}\n"
	".note,.warning{background:var(--panel);border-left:4px solid var(--soft);padding:.6rem .9rem}\n"
	".warning{background:var(--warnpaper);border-color:var(--warn)}\n"
	".warning b{color:var(--warn)}\n"
	"div.warning{max-width:60rem;margin:.6rem 0}.warning ul{margin:.2rem 0 0;padding-left:1.2rem}\n"
	".verdict{max-width:60rem;border-color:var(--link);font-size:1.05rem}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,11rem),1fr));gap:.75rem}\n"
	".tiles div{border:1px solid var(--line);padding:.6rem .8rem}.tiles dd{font-size:1.5rem;font-weight:600}\n"
	".tiles .d{font-size:.85rem;font-weight:400;color:var(--soft);margin:0}\n"
	"pre{background:var(--panel);padding:.75rem;white-space:pre-wrap;overflow-wrap:anywhere;"
	"font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;margin:.75rem 0}\n"
	".tables{display:flex;flex-wrap:wrap;gap:0 3rem;align-items:flex-start}\n"
	".scroll{overflow-x:auto;margin:.9rem 0;max-width:100%}\n"
	"table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}\n"
	"caption{text-align:left;font-weight:600;padding-bottom:.35rem}\n"
	"caption span{display:inline-block;max-width:calc(100vw - 2.5rem)}\n"
	"th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\n"
	"tbody th{padding-top:.9rem}thead th{border-bottom:2px solid var(--soft)}\n"
	"td,th{white-space:nowrap}td:first-child{white-space:normal;min-width:min(7rem,26vw)}"
	"td:last-child:not(.n){white-space:normal;min-width:min(16rem,50vw)}.n{text-align:right}\n"
	"dl{margin:.75rem 0}.facts{display:grid;grid-template-columns:minmax(7rem,14rem) minmax(0,1fr);gap:.35rem 1rem}\n"
	"dt{color:var(--soft)}dd{margin:0}\n"
	"figure{margin:0}figcaption{font-size:.85rem;color:var(--soft);margin-top:.3rem}\n"
	".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));"
	"gap:1.25rem;align-items:start;margin:1rem 0}\n"
	".plots svg{display:block;width:100%;height:auto;max-width:36rem;border:1px solid var(--line)}\n"
	".images{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(46%,11rem),1fr));"
	"gap:1rem;margin:1rem 0}\n"
	".images img{display:block;width:100%;height:auto;background:#000}\n"
	".bar{grid-template-columns:minmax(0,24rem)}\n"
	"@media (min-width:75rem){.facts{grid-template-columns:repeat(2,minmax(7rem,12rem) minmax(0,1fr))}}\n"
	"footer{margin:3rem auto 2rem;color:var(--soft);font-size:.85rem}\n"
	"@media (max-width:34rem){.facts{grid-template-columns:1fr;gap:.1rem}.facts dd{margin-bottom:.5rem}"
	".tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tiles dd{font-size:1.25rem}"
	"th,td{padding:.3rem .45rem}td.n{white-space:normal;min-width:6.3em}}\n"
	"@media (min-width:34.01rem){caption{min-width:22rem}}\n"
	"@media print{body{font-size:10.5pt}nav{display:none}main,header,footer{max-width:none;padding:0}"
	".scroll{overflow:visible}caption span{max-width:none}h2,caption{break-after:avoid}"
	"figure,table,tr,.note,.warning{break-inside:avoid}"
	".plots{grid-template-columns:1fr 1fr}.images{grid-template-columns:repeat(4,1fr)}"
	".tiles{grid-template-columns:repeat(4,1fr)}.tiles div{break-inside:avoid}p:has(+.images){break-after:avoid}*{print-color-adjust:exact}}\n"
	"</style>\n";

static ReportStatus
put_text_block(ReportBuffer *buffer, const ReportText *text)
{
	switch (text->kind)
	{
		case REPORT_TEXT_PARAGRAPH:
			report_put_markup(buffer, "<p>%t</p>\n", text->text);
			return REPORT_OK;
		case REPORT_TEXT_NOTE:
			report_put_markup(buffer, "<p class=\"note\">%t</p>\n", text->text);
			return REPORT_OK;
		case REPORT_TEXT_VERDICT:
			report_put_markup(buffer, "<p class=\"note verdict\"><b>Verdict:</b> %t</p>\n", text->text);
			return REPORT_OK;
		case REPORT_TEXT_WARNING:
			report_put_markup(buffer, "<p class=\"warning\"><b>Warning:</b> %t</p>\n", text->text);
			return REPORT_OK;
		case REPORT_TEXT_CODE:
			report_put_markup(buffer, "<pre>%t</pre>\n", text->text);
			return REPORT_OK;
	}
	return REPORT_BAD_ARGUMENT;
}

/* Returns whether a row of a table has text in its first cell alone, so that it heads those below. */
static bool
is_heading(const ReportTable *table, size_t row)
{
	const char *const *cells = table->cells + row * table->n_columns;

	for (size_t c = 1; c < table->n_columns; c++)
		if (cells[c] != NULL && cells[c][0] != '\0')
			return false;
	return table->n_columns > 1;
}

/* Appends a table in a box of its own, which scrolls where the table is too wide. */
static ReportStatus
put_table(ReportBuffer *buffer, const ReportTable *table)
{
	if (table->n_columns < 1 || table->n_columns > REPORT_MAX_COLUMNS || table->headings == NULL ||
		(table->n_rows > 0 && table->cells == NULL))
		return REPORT_BAD_ARGUMENT;
	/* can be scrolled by keyboard too */
	report_put_markup(buffer,
					  "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
					  "aria-label=\"%t\"><table>\n",
					  table->caption != NULL ? table->caption : "table");
	if (table->caption != NULL)
		report_put_markup(buffer, "<caption><span>%t</span></caption>\n", table->caption);
	report_put(buffer, "<thead><tr>");
	for (size_t c = 0; c < table->n_columns; c++)
		report_put_markup(buffer, "<th scope=\"col\"%s>%t</th>",
						  table->numeric >> c & 1 ? " class=\"n\"" : "", table->headings[c]);
	report_put(buffer, "</tr></thead>\n<tbody>\n");
	for (size_t r = 0; r < table->n_rows; r++)
	{
		report_put(buffer, "<tr>");
		if (is_heading(table, r))
		{
			report_put_markup(buffer, "<th scope=\"rowgroup\" colspan=\"%u\">%t</th></tr>\n",
							  (uint64_t) table->n_columns, table->cells[r * table->n_columns]);
			continue;
		}
		for (size_t c = 0; c < table->n_columns; c++)
			report_put_markup(buffer, "<td%s>%t</td>", table->numeric >> c & 1 ? " class=\"n\"" : "",
							  table->cells[r * table->n_columns + c]);
		report_put(buffer, "</tr>\n");
	}
	report_put(buffer, "</tbody></table></div>\n");
	return REPORT_OK;
}

static ReportStatus
put_facts(ReportBuffer *buffer, const ReportFacts *facts)
{
	if (facts->n_facts > 0 && (facts->terms == NULL || facts->values == NULL))
		return REPORT_BAD_ARGUMENT;
	report_put(buffer, "<dl class=\"facts\">\n");
	for (size_t i = 0; i < facts->n_facts; i++)
		report_put_markup(buffer, "<dt>%t</dt><dd>%t</dd>\n", facts->terms[i], facts->values[i]);
	report_put(buffer, "</dl>\n");
	return REPORT_OK;
}

/* Returns the media type that the first bytes tell; NULL for any but JPEG and PNG. */
static const char *
image_type(const ReportImage *image)
{
	static const uint8_t jpeg[3] = {0xFF, 0xD8, 0xFF};
	static const uint8_t png[4] = {0x89, 'P', 'N', 'G'};

	if (image->bytes == NULL || image->n_bytes < 4)
		return NULL;
	if (memcmp(image->bytes, jpeg, sizeof(jpeg)) == 0)
		return "image/jpeg";
	if (memcmp(image->bytes, png, sizeof(png)) == 0)
		return "image/png";
	return NULL;
}

static ReportStatus
put_images(ReportBuffer *buffer, const ReportImages *images)
{
	report_put_markup(buffer, "<div class=\"images%s\">\n", images->bar ? " bar" : "");
	for (size_t i = 0; i < images->n_images; i++)
	{
		const ReportImage *image = &images->images[i];
		const char *type = image_type(image);

		if (type == NULL)
			return REPORT_BAD_ARGUMENT;
		report_put_markup(buffer, "<figure><img src=\"data:%s;base64,", type);
		report_put_base64(buffer, image->bytes, image->n_bytes);
		report_put_markup(buffer, "\" alt=\"%t\"", image->alternative);
		if (image->width > 0 && image->height > 0)
			report_put_markup(buffer, " width=\"%u\" height=\"%u\"", (uint64_t) image->width,
							  (uint64_t) image->height);
		report_put(buffer, ">");
		if (image->caption != NULL)
			report_put_markup(buffer, "<figcaption>%t</figcaption>", image->caption);
		report_put(buffer, "</figure>\n");
	}
	report_put(buffer, "</div>\n");
	return REPORT_OK;
}

static ReportStatus
put_tiles(ReportBuffer *buffer, const ReportTiles *tiles)
{
	if (tiles->n_tiles > 0 && tiles->tiles == NULL)
		return REPORT_BAD_ARGUMENT;
	report_put(buffer, "<dl class=\"tiles\">\n");
	for (size_t i = 0; i < tiles->n_tiles; i++)
	{
		const ReportTile *tile = &tiles->tiles[i];

		report_put_markup(buffer, "<div><dt>%t</dt><dd>%t</dd>", tile->name, tile->value);
		if (tile->detail != NULL)
			report_put_markup(buffer, "<dd class=\"d\">%t</dd>", tile->detail);
		report_put(buffer, "</div>\n");
	}
	report_put(buffer, "</dl>\n");
	return REPORT_OK;
}

static ReportStatus
put_warnings(ReportBuffer *buffer, const ReportWarnings *warnings)
{
	if (warnings->n_items > 0 && warnings->items == NULL)
		return REPORT_BAD_ARGUMENT;
	report_put(buffer, "<div class=\"warning\"><b>Warnings:</b>\n<ul>\n");
	for (size_t i = 0; i < warnings->n_items; i++)
		report_put_markup(buffer, "<li>%t</li>\n", warnings->items[i]);
	report_put(buffer, "</ul></div>\n");
	return REPORT_OK;
}

/* Returns the class of the box that a block shares with those like it, or NULL. */
static const char *
shared_box(const ReportBlock *block)
{
	if (block->type >= REPORT_BLOCK_HISTORY)
		return "plots";
	return block->type == REPORT_BLOCK_TABLE ? "tables" : NULL;
}

static ReportStatus
put_plot(ReportBuffer *buffer, const ReportBlock *block)
{
	ReportStatus status = REPORT_BAD_ARGUMENT;

	report_put(buffer, "<figure>");
	if (block->type == REPORT_BLOCK_HISTORY)
		status = report_svg_history(buffer, block->content);
	else if (block->type == REPORT_BLOCK_HISTORIES)
		status = report_svg_histories(buffer, block->content);
	else if (block->type == REPORT_BLOCK_ROC)
		status = report_svg_roc(buffer, block->content);
	else if (block->type == REPORT_BLOCK_CALIBRATION)
		status = report_svg_calibration(buffer, block->content);
	else if (block->type == REPORT_BLOCK_CONFUSION)
		status = report_svg_confusion(buffer, block->content);
	else if (block->type == REPORT_BLOCK_LINES)
		status = report_svg_lines(buffer, block->content);
	else if (block->type == REPORT_BLOCK_SCORES)
		status = report_svg_scores(buffer, block->content);
	else if (block->type == REPORT_BLOCK_FOREST)
		status = report_svg_forest(buffer, block->content);
	report_put(buffer, "</figure>\n");
	return status;
}

static ReportStatus
put_block(ReportBuffer *buffer, const ReportBlock *block)
{
	switch (block->type)
	{
		case REPORT_BLOCK_TEXT:
			return put_text_block(buffer, block->content);
		case REPORT_BLOCK_TABLE:
			return put_table(buffer, block->content);
		case REPORT_BLOCK_FACTS:
			return put_facts(buffer, block->content);
		case REPORT_BLOCK_IMAGES:
			return put_images(buffer, block->content);
		case REPORT_BLOCK_TILES:
			return put_tiles(buffer, block->content);
		case REPORT_BLOCK_WARNINGS:
			return put_warnings(buffer, block->content);
		default:
			return put_plot(buffer, block);
	}
}

/* Appends the blocks of a section; plots that follow each other share a box, and so do tables. */
static ReportStatus
put_blocks(ReportBuffer *buffer, const ReportSection *section)
{
	const char *box = NULL;

	for (size_t b = 0; b < section->n_blocks; b++)
	{
		const ReportBlock *block = &section->blocks[b];
		ReportStatus status;

		if (block->content == NULL)
			return REPORT_BAD_ARGUMENT;
		if (shared_box(block) != box)
		{
			if (box != NULL)
				report_put(buffer, "</div>\n");
			box = shared_box(block);
			if (box != NULL)
				report_put_markup(buffer, "<div class=\"%s\">\n", box);
		}
		status = put_block(buffer, block);
		if (status != REPORT_OK)
			return status;
	}
	if (box != NULL)
		report_put(buffer, "</div>\n");
	return REPORT_OK;
}

ReportStatus
report_html_page(ReportBuffer *buffer, const ReportPage *page)
{
	if (page->n_sections > 0 && page->sections == NULL)
		return REPORT_BAD_ARGUMENT;
	report_put_markup(buffer,
					  "%s<title>%t</title>\n%s</head>\n<body>\n<header>\n"
					  "<h1>%t</h1>\n",
					  head, page->title, style, page->title);
	if (page->subtitle != NULL)
		report_put_markup(buffer, "<p class=\"sub\">%t</p>\n", page->subtitle);
	report_put(buffer, "</header>\n<nav aria-label=\"Contents\"><ul>\n");
	for (size_t s = 0; s < page->n_sections; s++)
		report_put_markup(buffer, "<li><a href=\"#section-%u\">%t</a></li>\n", (uint64_t) (s + 1),
						  page->sections[s].heading);
	report_put(buffer, "</ul></nav>\n<main>\n");
	for (size_t s = 0; s < page->n_sections; s++)
	{
		ReportStatus status;

		report_put_markup(buffer, "<section id=\"section-%u\">\n<h2>%t</h2>\n", (uint64_t) (s + 1),
						  page->sections[s].heading);
		status = put_blocks(buffer, &page->sections[s]);
		if (status != REPORT_OK)
			return status;
		report_put(buffer, "</section>\n");
	}
	report_put_markup(buffer, "</main>\n<footer>%t</footer>\n</body>\n</html>\n", page->footer);
	return buffer->status;
}

/*-------------------------------------------------------------------------
 *
 * layer_problems.c
 *	  What is wrong with a network, all at once, and what is worth a notice.
 *
 * A network from elsewhere may have a dozen things that pneumo does not have.
 * Its author should see them all, so the reader of a key or of a call raises
 * its error as ever, and pneumo_layers_try() keeps it and goes on with the
 * next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "pg/base/base.h"
#include "pg/config/config_internal.h"

#define MAX_LINES 40 /* of problems, and of notices */

typedef struct LayerProblems
{
	int n;
	ErrorData *first;
	StringInfoData lines;
	int n_notices;
	char *notices[MAX_LINES];
} LayerProblems;

static char *format_text(const char *format, va_list args) pg_attribute_printf(1, 0);

static char *
format_text(const char *format, va_list args)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list copy;
		int needed;

		va_copy(copy, args);
		needed = appendStringInfoVA(&buf, format, copy);
		va_end(copy);
		if (needed == 0)
			return buf.data;
		enlargeStringInfo(&buf, needed);
	}
}

void
pneumo_layers_error(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg_internal("%s", text)));
	pg_unreachable();
}

void
pneumo_layers_unsupported(const char *hint, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg_internal("%s", text),
					hint != NULL ? errhint("%s", hint) : 0));
	pg_unreachable();
}

char *
pneumo_layer_subject(const Layer *layer)
{
	return psprintf("layer %d \"%s\" (%s)", layer->number, layer->name, pneumo_clip(layer->class_name));
}

char *
pneumo_layer_key(const Layer *layer, const char *key)
{
	return psprintf("%s: key \"%s\"", pneumo_layer_subject(layer), pneumo_clip(key));
}

static LayerProblems *
problems_of(LayerList *list)
{
	if (list->problems == NULL)
	{
		list->problems = palloc0(sizeof(LayerProblems));
		initStringInfo(&list->problems->lines);
	}
	return list->problems;
}

static void
keep(LayerList *list, ErrorData *error)
{
	LayerProblems *problems = problems_of(list);

	if (problems->n == 0)
		problems->first = error;
	problems->n++;
	if (problems->n > MAX_LINES)
		return;
	if (problems->n > 1)
		appendStringInfoChar(&problems->lines, '\n');
	appendStringInfoString(&problems->lines, error->message);
	if (error->hint != NULL)
		appendStringInfo(&problems->lines, " (%s)", error->hint);
}

void
pneumo_layers_try(LayerList *list, Layer *layer, const char *arg,
				  void (*read)(LayerList *list, Layer *layer, const char *arg))
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		read(list, layer, arg);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE &&
			error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
			PG_RE_THROW();
		FlushErrorState();
		keep(list, error);
	}
	PG_END_TRY();
}

void
pneumo_layers_raise(const LayerList *list)
{
	const LayerProblems *problems = list->problems;

	if (problems == NULL || problems->n == 0)
		return;
	if (problems->n == 1)
		ThrowErrorData(problems->first);
	if (problems->n > MAX_LINES)
		appendStringInfo(&list->problems->lines, "\n... and %d more", problems->n - MAX_LINES);
	ereport(ERROR, (errcode(problems->first->sqlerrcode),
					errmsg("the network cannot be trained as Keras means it, for %d reasons", problems->n),
					errdetail_internal("%s", problems->lines.data)));
}

void
pneumo_layers_notice(LayerList *list, const char *format, ...)
{
	LayerProblems *problems = problems_of(list);
	va_list args;
	char *text;
	int i;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	for (i = 0; i < problems->n_notices; i++)
		if (strcmp(problems->notices[i], text) == 0)
			return;
	if (problems->n_notices < MAX_LINES)
		problems->notices[problems->n_notices++] = text;
}

void
pneumo_layers_tell(const LayerList *list)
{
	int i;

	for (i = 0; list->problems != NULL && i < list->problems->n_notices; i++)
		ereport(NOTICE, (errmsg_internal("%s", list->problems->notices[i])));
}

/*-------------------------------------------------------------------------
 *
 * onnx_memory.c
 *	  The memory of a model, the looks at the flag that stops, and the list of
 *	  what is wrong.
 *
 * libprotobuf-c allocates through the arena too.  What it gives back stays
 * counted: the bound is on all that was ever taken.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STOP_WORK ((size_t) 1 << 20) /* bytes or steps between two looks */

static void *
protobuf_alloc(void *arg, size_t n_bytes)
{
	return onnx_alloc(arg, n_bytes);
}

static void
protobuf_free(void *arg, void *memory)
{
	(void) arg;
	(void) memory;
}

void
onnx_arena_init(OnnxArena *arena, const OnnxEnv *env)
{
	arena->env = *env;
	arena->left = env->max_bytes > 0 ? env->max_bytes : ONNX_MAX_BYTES;
	arena->status = ONNX_OK;
	arena->allocator.alloc = protobuf_alloc;
	arena->allocator.free = protobuf_free;
	arena->allocator.allocator_data = arena;
}

void *
onnx_alloc(OnnxArena *arena, size_t n_bytes)
{
	void *memory;

	if (arena->status == ONNX_OK && onnx_stopped(arena))
		arena->status = ONNX_INTERRUPTED;
	if (arena->status == ONNX_OK && (n_bytes > SIZE_MAX / 2 || n_bytes + NN_ALIGN > arena->left))
		arena->status = ONNX_TOO_LARGE;
	if (arena->status != ONNX_OK)
		return NULL;
	memory = arena->env.allocate(arena->env.arg, n_bytes > 0 ? n_bytes : 1);
	if (memory == NULL)
	{
		arena->status = ONNX_NO_MEMORY;
		return NULL;
	}
	arena->left -= n_bytes + NN_ALIGN;
	memset(memory, 0, n_bytes);
	return memory;
}

void *
onnx_alloc_array(OnnxArena *arena, size_t n, size_t item_bytes)
{
	if (n > SIZE_MAX / 2 / item_bytes)
	{
		arena->status = ONNX_TOO_LARGE;
		return NULL;
	}
	return onnx_alloc(arena, n * item_bytes);
}

int
onnx_stopped(const OnnxArena *arena)
{
	return arena->env.stop != NULL && *arena->env.stop != 0;
}

int
onnx_stop_due(const OnnxArena *arena, size_t *work, size_t added)
{
	*work += added;
	if (*work < STOP_WORK)
		return 0;
	if (onnx_stopped(arena))
		return 1;
	*work = 0;
	return 0;
}

void
onnx_problems_init(OnnxProblems *problems)
{
	problems->n = 0;
	problems->length = 0;
	problems->text[0] = problems->hint[0] = '\0';
}

static void add_line(OnnxProblems *problems, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Appends a line, cut where the room ends; control characters of names become question marks. */
static void
add_line(OnnxProblems *problems, const char *format, va_list args)
{
	char line[400];
	size_t i, n;

	if (++problems->n > ONNX_MAX_PROBLEMS)
		return;
	vsnprintf(line, sizeof(line), format, args);
	for (n = 0; line[n] != '\0'; n++)
		if ((unsigned char) line[n] < ' ' || (unsigned char) line[n] > '~')
			line[n] = '?';
	if (problems->length + n + 2 > sizeof(problems->text))
		return;
	if (problems->length > 0)
		problems->text[problems->length++] = '\n';
	for (i = 0; i <= n; i++)
		problems->text[problems->length + i] = line[i];
	problems->length += n;
}

void
onnx_problem(OnnxProblems *problems, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_line(problems, format, args);
	va_end(args);
}

OnnxStatus
onnx_fail(OnnxProblems *problems, OnnxStatus status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_line(problems, format, args);
	va_end(args);
	return status;
}

OnnxStatus
onnx_no_memory(const OnnxArena *arena, OnnxProblems *problems)
{
	if (arena->status == ONNX_TOO_LARGE)
		return onnx_fail(problems, ONNX_TOO_LARGE, "the model needs more memory than it may have");
	if (arena->status == ONNX_OK || arena->status == ONNX_NO_MEMORY)
		return onnx_fail(problems, ONNX_NO_MEMORY, "out of memory");
	return arena->status;
}

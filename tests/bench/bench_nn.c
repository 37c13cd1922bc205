/*
 * bench_nn.c
 *		Time of training steps and of predictions over the public API of nn.h.
 *
 *		bench_nn [--task train|forward] [--preset baseline|deep] [--size 256]
 *				 [--batch 32] [--threads N] [--precision float32|int16] [--seconds S]
 *				 [--path NAME] [--augment] [--cold] [--dsm]
 *				 [--model FILE --pixels FILE] [--network FILE] [--steps]
 *
 * Prints one JSON object on a line, as measure.py describes: milliseconds an
 * image (least, median and mean over the measured batches), on generated
 * pixels.  The training step is the preset's own (baseline: RMSprop; deep: Adam
 * with amsgrad), on batches that are ready in memory or, with --augment, made
 * of 8-bit pixels by the augmentation of the preset deep beside the step.
 * Forward is one thread predicting batch by batch; with --cold, 64 MB of other
 * memory are written before each, with --dsm memory is as in a server process:
 * weights in POSIX shared memory, the rest as the allocator gives it, no huge
 * pages asked for.  cpu_ms_per_image is the processor time.
 *
 * Forward is on initial weights, or with --model on those that pneumo_export
 * gave, and on the samples of --pixels (float32, repeated to fill the batch):
 * one image is faster there, for its activations have more zeros.
 *
 * --network names a network of layered.py instead of a preset; it is trained by
 * RMSprop.  --steps prints before the result where the time goes: for each step
 * of the plan the milliseconds an image that all threads together spend in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "image/image.h"
#include "network_file.h"
#include "nn/engine.h"
#include "nn/graph.h"
#include "nn/nn.h"
#include "nn/op.h"
#include "nn/plan.h"
#include "nn/pool.h"
#include "nn/trainer.h"

#define MAX_TIMES 100000
#define MAX_PHASES 32768
#define MAX_THREADS 16

typedef struct Options
{
	const char *task;
	const char *preset;
	int size;
	int batch;
	int threads;
	NnPrecision precision;
	double seconds;
	NnPath path;
	int augment, cold, dsm;
	const char *model, *pixels;
	const char *network;
	int steps;
} Options;

typedef struct Bench
{
	Options o;
	float *pixels;  /* one batch */
	uint8_t *bytes; /* the same, before augmentation */
	ImgAugmentRanges ranges;
	size_t floats;  /* of a sample */
	double started; /* of the measurement */
	double last;    /* end of the batch before */
	double cpu_started;
	double *times;
	int n_times;
	int n_steps;
} Bench;

static void
die(const char *what, const NnError *error)
{
	fprintf(stderr, "bench_nn: %s%s%s\n", what, error != NULL ? ": " : "",
			error != NULL ? error->message : "");
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Processor time: what else the machine does is left out. */
static double
thread_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void *
memory(size_t bytes)
{
	size_t page = (size_t) 2 << 20;
	void *p = aligned_alloc(page, (bytes / page + 1) * page);

	if (p == NULL)
		die("out of memory", NULL);
	madvise(p, (bytes / page + 1) * page, MADV_HUGEPAGE);
	return p;
}

/* Memory as a dynamic shared memory segment of the server is. */
static void *
shared_memory(size_t bytes)
{
	char name[64];
	int fd;
	void *p;

	snprintf(name, sizeof(name), "/bench_nn.%d", (int) getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		die("no shared memory", NULL);
	shm_unlink(name);
	if (posix_fallocate(fd, 0, (off_t) bytes) != 0)
		die("shared memory is full", NULL);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("no shared memory", NULL);
	close(fd);
	return p;
}

static void *
read_file(const char *name, size_t *bytes)
{
	FILE *f = fopen(name, "rb");
	void *p;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0)
		die(name, NULL);
	p = memory((size_t) size);
	if (fread(p, 1, (size_t) size, f) != (size_t) size)
		die(name, NULL);
	fclose(f);
	*bytes = (size_t) size;
	return p;
}

/* ------------------------------------------------------------------ networks */

static int
param_index(const NnOpInfo *info, const char *key)
{
	int i;

	for (i = 0; info->params[i].key != NULL; i++)
		if (strcmp(info->params[i].key, key) == 0)
			return i;
	die(key, NULL);
	return -1;
}

static int
add(NnGraph *graph, const char *class_name, int input, const char *key, double value, const char *activation)
{
	NnNodeSpec spec;
	NnError error;
	int op = nn_op_find(class_name);
	const NnOpInfo *info = nn_op_info(op);
	int index;
	int i;

	nn_node_spec_init(&spec, op);
	snprintf(spec.name, sizeof(spec.name), "%s_%d", class_name, input);
	spec.n_inputs = 1;
	spec.inputs[0] = input;
	if (key != NULL)
		spec.params[param_index(info, key)].v[0] = value;
	if (strcmp(class_name, "Conv2D") == 0)
	{
		NnValue *kernel = &spec.params[param_index(info, "kernel_size")];
		int padding = param_index(info, "padding");

		kernel->v[0] = kernel->v[1] = 3;
		for (i = 0; strcmp(info->params[padding].names[i], "same") != 0; i++)
			;
		spec.params[padding].v[0] = i;
	}
	if (activation != NULL)
	{
		for (i = 0; strcmp(nn_activation_names[i], activation) != 0; i++)
			;
		spec.params[param_index(info, "activation")].v[0] = i;
	}
	if (nn_graph_add(graph, &spec, &index, &error) != NN_OK)
		die(class_name, &error);
	return index;
}

#define EXPORT_SHA 32 /* bytes that pneumo_export adds */

/* The network of an exported model; its weights too. */
static NnGraph *
read_model(const char *name, const float **weights)
{
	NnModelView view;
	NnError error;
	NnGraph *graph;
	size_t bytes;
	char *model = read_file(name, &bytes);

	if (bytes < EXPORT_SHA || nn_model_open(&view, model, bytes - EXPORT_SHA, &error) != NN_OK)
		die(name, &error);
	graph = memory(nn_graph_bytes(view.n_nodes));
	if (nn_model_graph(graph, &view, model, &error) != NN_OK)
		die(name, &error);
	*weights = (const float *) (model + view.weights_offset);
	return graph;
}

/* Fills the batch with the samples of a file, one after the other. */
static void
read_pixels(Bench *b, const char *name)
{
	size_t bytes;
	const float *from = read_file(name, &bytes);
	size_t samples = bytes / (b->floats * sizeof(float));
	size_t i;

	if (samples == 0)
		die("--pixels has no sample of --size", NULL);
	for (i = 0; i < (size_t) b->o.batch; i++)
		memcpy(b->pixels + i * b->floats, from + i % samples * b->floats, b->floats * sizeof(float));
}

static NnGraph *
build(const Options *o)
{
	static const int deep[] = {32, 64, 128, 256, 0};
	static const int baseline[] = {32, 0};
	int is_deep = strcmp(o->preset, "deep") == 0;
	const int *filters = is_deep ? deep : baseline;
	NnGraph *graph = memory(nn_graph_bytes(32));
	NnError error;
	int last = 0;

	if (!is_deep && strcmp(o->preset, "baseline") != 0)
		die("--preset is baseline or deep", NULL);
	if (nn_graph_begin(graph, 32, o->size, o->size, 1, &error) != NN_OK)
		die("graph", &error);
	for (; *filters != 0; filters++)
	{
		last = add(graph, "Conv2D", last, "filters", *filters, "relu");
		last = add(graph, "MaxPooling2D", last, NULL, 0, NULL);
	}
	last = add(graph, "Flatten", last, NULL, 0, NULL);
	last = add(graph, "Dense", last, "units", is_deep ? 128 : 64, "relu");
	last = add(graph, "Dense", last, "units", is_deep ? 64 : 32, "relu");
	last = add(graph, "Dense", last, "units", 1, "sigmoid");
	if (nn_graph_finish(graph, last, &error) != NN_OK)
		die("graph", &error);
	return graph;
}

/* --------------------------------------------------------------------- output */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static void
print(Bench *b)
{
	double images = b->o.batch;
	double sum = 0.0;
	double cpu_time = cpu() - b->cpu_started;
	struct rusage usage;
	int i;

	if (b->n_times == 0)
		die("no batch was measured: give more --seconds", NULL);
	getrusage(RUSAGE_SELF, &usage);
	for (i = 0; i < b->n_times; i++)
		sum += b->times[i];
	qsort(b->times, (size_t) b->n_times, sizeof(double), compare);
	printf(
		"{\"peer\": \"pneumo\", \"task\": \"%s\", \"variant\": \"%s\", \"preset\": \"%s\", \"size\": %d, \"batch\": %d, "
		"\"threads\": %d, \"path\": \"%s\", \"precision\": \"%s\", \"repetitions\": %d, "
		"\"ms_per_image\": %.4f, \"ms_per_image_median\": %.4f, \"ms_per_image_mean\": %.4f, "
		"\"cpu_ms_per_image\": %.4f, \"peak_rss_mb\": %.1f}\n",
		b->o.task,
		b->o.augment         ? "augmented"
		: b->o.model != NULL ? "trained"
		: b->o.cold          ? "cold"
		: b->o.dsm           ? "dsm"
							 : "warm",
		b->o.network != NULL ? b->o.network : b->o.preset, b->o.size, b->o.batch, b->o.threads,
		nn_path_name(b->o.path), nn_precision_name(b->o.precision), b->n_times, b->times[0] * 1e3 / images,
		b->times[b->n_times / 2] * 1e3 / images, sum * 1e3 / images / b->n_times,
		cpu_time * 1e3 / images / b->n_times, (double) usage.ru_maxrss / 1024.0);
}

/* ------------------------------------------------------------------- training */

static int
load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch)
{
	Bench *b = arg;
	size_t at = i % (size_t) b->o.batch * b->floats;
	ImgTransform transform;

	(void) split;
	if (!b->o.augment)
	{
		memcpy(dst, b->pixels + at, b->floats * sizeof(float));
		return 0;
	}
	img_augment_draw(&transform, &b->ranges, b->o.size, b->o.size, 0, (uint32_t) epoch, (uint32_t) i);
	img_augment_apply(dst, b->bytes + at, b->o.size, b->o.size, 1, &transform, 1.0f / 255.0f, scratch);
	return 0;
}

/* The augmentation of the preset deep. */
static void
init_ranges(ImgAugmentRanges *ranges)
{
	memset(ranges, 0, sizeof(*ranges));
	ranges->rotation_range = 10;
	ranges->shear_range = 5;
	ranges->zoom_low = 0.9f;
	ranges->zoom_high = 1.1f;
	ranges->brightness_low = 0.8f;
	ranges->brightness_high = 1.2f;
}

static int
poll_hook(void *arg)
{
	(void) arg;
	return 0;
}

/* The phases as they were, and the seconds that each thread has spent in them. */
static void (*phase_run[MAX_PHASES])(NnTrainer *, const NnStep *, size_t, NnWorker *);
static double phase_seconds[MAX_THREADS][MAX_PHASES];
static NnTrainer *timed_trainer;

static void
timed_phase(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker)
{
	int phase = trainer->pool.phase;
	double t = thread_cpu();

	phase_run[phase](trainer, step, item, worker);
	phase_seconds[worker->index][phase] += thread_cpu() - t;
}

static void
time_phases(NnTrainer *trainer)
{
	int i;

	if (trainer->n_phases > MAX_PHASES || trainer->pool.n_threads > MAX_THREADS)
		die("too many phases or threads for --steps", NULL);
	for (i = 0; i < trainer->n_phases; i++)
	{
		phase_run[i] = trainer->phases[i].run;
		trainer->phases[i].run = timed_phase;
	}
	timed_trainer = trainer;
}

static void
print_step(const NnGraph *graph, const NnStep *step, const char *what, double ms)
{
	const NnNode *node = step != NULL ? &graph->nodes[step->node] : NULL;

	if (node == NULL)
		printf("%9.4f  %s\n", ms, what);
	else
		printf("%9.4f  %-8s %s %s, %dx%dx%d to %dx%dx%d\n", ms, what, nn_op(node->spec.op)->info.class_name,
			   node->spec.name, node->in.h, node->in.w, node->in.c, step->out.h, step->out.w, step->out.c);
}

/* Prints the phases in their order; those of a step after one another are one line. */
static void
print_phases(const Bench *b)
{
	const NnTrainer *trainer = timed_trainer;
	int loss = 0;
	int i, j, k;

	for (i = 0; i < trainer->n_phases; i = j)
	{
		const NnStep *step = trainer->phases[i].step;
		double seconds = 0.0;

		for (j = i; j < trainer->n_phases && (j == i || (step != NULL && trainer->phases[j].step == step));
			 j++)
			for (k = 0; k < MAX_THREADS; k++)
				seconds += phase_seconds[k][j];
		loss |= (i > 0 && step == NULL);
		print_step(trainer->graph, step,
				   step == NULL ? "other"
				   : loss       ? "backward"
								: "forward",
				   seconds * 1e3 / b->n_times / b->o.batch);
	}
}

/* The first two steps warm up. */
static int
step_hook(void *arg, const NnProgress *progress)
{
	Bench *b = arg;
	double t = now();

	(void) progress;
	b->n_steps++;
	if (b->n_steps == 2)
	{
		b->started = t;
		b->cpu_started = cpu();
		memset(phase_seconds, 0, sizeof(phase_seconds));
	}
	if (b->n_steps > 2 && b->n_times < MAX_TIMES)
		b->times[b->n_times++] = t - b->last;
	b->last = t;
	return b->n_steps > 2 && t - b->started > b->o.seconds;
}

static int
epoch_hook(void *arg, const NnEpochLog *log)
{
	(void) arg;
	(void) log;
	return 0;
}

static double
clock_hook(void *arg)
{
	(void) arg;
	return now();
}

static void
bench_train(Bench *b, const NnGraph *graph)
{
	int deep = b->o.network == NULL && strcmp(b->o.preset, "deep") == 0;
	size_t n = (size_t) b->o.batch * 1000;
	int32_t *labels = memory(n * sizeof(int32_t));
	NnTrainConfig config;
	NnTrainData data;
	NnTrainPlan plan;
	NnTrainHooks hooks = {b, poll_hook, step_hook, epoch_hook, NULL, clock_hook};
	NnTrainer *trainer = memory(nn_trainer_bytes());
	NnError error;
	NnStatus status;
	void *state, *work;
	size_t i;

	memset(&config, 0, sizeof(config));
	memset(&data, 0, sizeof(data));
	config.epochs = 1000;
	config.batch_size = b->o.batch;
	nn_optimizer_init(&config.optimizer, deep ? NN_ADAM : NN_RMSPROP);
	config.optimizer.amsgrad = deep;
	config.optimizer.learning_rate = 1e-5;
	for (i = 0; i < NN_MAX_CLASSES; i++)
		config.class_weight[i] = 1.0;
	for (i = 0; i < n; i++)
		labels[i] = (int32_t) (i * 2654435761u >> 20 & 1);
	data.n[NN_TRAIN] = n;
	data.label[NN_TRAIN] = labels;
	data.load = load;
	data.load_arg = b;
	data.load_scratch_bytes = 64 + img_augment_scratch_bytes(b->o.size, b->o.size, 1);
	if (nn_train_plan(&plan, graph, &config, &data, b->o.threads, b->o.path, &error) != NN_OK)
		die("plan", &error);
	state = memory(plan.state_bytes);
	work = memory(plan.work_bytes);
	if (nn_trainer_init(trainer, graph, &config, &data, &plan, state, work, b->o.threads, b->o.path, NULL,
						NULL, 0, NULL, &error) != NN_OK ||
		nn_trainer_start(trainer, &error) != NN_OK)
		die("trainer", &error);
	if (b->o.steps)
		time_phases(trainer);
	status = nn_train_run(trainer, &hooks, &error);
	if (status != NN_INTERRUPTED)
		die("training", &error);
	nn_trainer_stop(trainer);
	if (b->o.steps)
		print_phases(b);
	print(b);
}

/* -------------------------------------------------------------------- forward */

/* Runs every step of the plan of inference by itself, many times, and prints the least time of each. */
static void
print_steps(const NnEngine *engine, const float *pixels, double seconds)
{
	const NnGraph *graph = engine->graph;
	const NnPlan *plan = nn_graph_plan(graph);
	const NnStep *steps = nn_plan_steps(plan);
	double *least = memory((size_t) plan->n_steps * sizeof(double));
	double until = now() + seconds;
	void *scratch = memory(nn_engine_scratch_bytes(engine, 1));
	int s;

	for (s = 0; s < plan->n_steps; s++)
		least[s] = 1e9;
	while (now() < until)
		for (s = 0; s < plan->n_steps; s++)
		{
			double t = now();

			if (nn_engine_step(engine, pixels, s, scratch) != NN_OK)
				die("a step", NULL);
			t = now() - t;
			if (t < least[s])
				least[s] = t;
		}
	for (s = 0; s < plan->n_steps; s++)
		print_step(graph, &steps[s], "forward", least[s] * 1e3);
}

static void
bench_forward(Bench *b, const NnGraph *graph, const float *trained)
{
	size_t weight_bytes = nn_graph_weight_count(graph) * sizeof(float);
	float *weights = b->o.dsm ? shared_memory(weight_bytes) : memory(weight_bytes);
	size_t packed_bytes = nn_engine_packed_bytes(graph, b->o.path, b->o.precision);
	void *packed = b->o.dsm ? shared_memory(packed_bytes) : memory(packed_bytes);
	float *probabilities = memory((size_t) b->o.batch * sizeof(float));
	NnEngine engine = {graph, weights, packed, b->o.path, b->o.precision};
	NnError error;
	size_t other_bytes = b->o.cold ? (size_t) 64 << 20 : 64;
	unsigned char *other = memory(other_bytes);
	size_t scratch_bytes;
	void *scratch;
	int round;

	b->o.threads = 1;
	if (trained != NULL)
		memcpy(weights, trained, weight_bytes);
	else
		nn_weights_init(weights, graph, 0, NULL);
	if (nn_engine_pack(packed, graph, weights, b->o.path, b->o.precision, NULL, &error) != NN_OK)
		die("pack", &error);
	scratch_bytes = nn_engine_scratch_bytes(&engine, b->o.batch);
	if (b->o.dsm && posix_memalign(&scratch, 64, scratch_bytes) != 0)
		die("out of memory", NULL);
	else if (!b->o.dsm)
		scratch = memory(scratch_bytes);
	if (b->o.steps)
		print_steps(&engine, b->pixels, b->o.seconds);
	for (round = 0; round < MAX_TIMES; round++)
	{
		double t;

		memset(other, round & 255, b->o.cold ? other_bytes : 0);
		t = now();
		if (round == 2)
		{
			b->started = t;
			b->cpu_started = cpu();
		}
		if (nn_engine_run(probabilities, NULL, NULL, b->pixels, b->o.batch, &engine, scratch, NULL) != NN_OK)
			die("forward", NULL);
		if (round >= 2)
			b->times[b->n_times++] = now() - t;
		if (round > 2 && now() - b->started > b->o.seconds)
			break;
	}
	print(b);
}

/* ------------------------------------------------------------------- options */

static void
parse(Options *o, int argc, char **argv)
{
	int i, p;

	for (i = 1; i < argc; i++)
	{
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--augment") == 0)
		{
			o->augment = 1;
			continue;
		}
		if (strcmp(argv[i], "--cold") == 0)
		{
			o->cold = 1;
			continue;
		}
		if (strcmp(argv[i], "--dsm") == 0)
		{
			o->dsm = 1;
			continue;
		}
		if (strcmp(argv[i], "--steps") == 0)
		{
			o->steps = 1;
			continue;
		}
		if (i + 1 == argc)
			break;
		if (strcmp(argv[i], "--task") == 0)
			o->task = value;
		else if (strcmp(argv[i], "--model") == 0)
			o->model = value;
		else if (strcmp(argv[i], "--pixels") == 0)
			o->pixels = value;
		else if (strcmp(argv[i], "--network") == 0)
			o->network = value;
		else if (strcmp(argv[i], "--preset") == 0)
			o->preset = value;
		else if (strcmp(argv[i], "--size") == 0)
			o->size = atoi(value);
		else if (strcmp(argv[i], "--batch") == 0)
			o->batch = atoi(value);
		else if (strcmp(argv[i], "--threads") == 0)
			o->threads = atoi(value);
		else if (strcmp(argv[i], "--precision") == 0)
			for (o->precision = NN_PRECISION_FLOAT32;
				 o->precision <= NN_PRECISION_INT16 && strcmp(value, nn_precision_name(o->precision)) != 0;)
				o->precision++;
		else if (strcmp(argv[i], "--seconds") == 0)
			o->seconds = atof(value);
		else if (strcmp(argv[i], "--path") == 0)
		{
			for (p = NN_PATH_REFERENCE; p <= (int) nn_path_best(); p++)
				if (strcmp(value, nn_path_name((NnPath) p)) == 0)
					break;
			if (p > (int) nn_path_best())
				die("--path is not one of this machine's", NULL);
			o->path = (NnPath) p;
		}
		else
			break;
		i++;
	}
	if (o->precision > NN_PRECISION_INT16 ||
		(o->precision == NN_PRECISION_INT16 && strcmp(o->task, "train") == 0))
		die("--precision is float32, or int16 for --task forward", NULL);
	if (i < argc || o->size < 16 || o->size > 4096 || o->batch < 1 || o->threads < 1 ||
		(strcmp(o->task, "train") != 0 && strcmp(o->task, "forward") != 0))
		die("usage: bench_nn [--task train|forward] [--preset baseline|deep] [--size 256] [--batch 32] "
			"[--threads N] [--precision float32|int16] [--seconds S] [--path NAME] [--augment] [--cold] [--dsm] "
			"[--model FILE --pixels FILE] [--network FILE] [--steps]",
			NULL);
}

int
main(int argc, char **argv)
{
	Bench b;
	NnGraph *graph;
	const float *trained = NULL;
	NnError error;
	size_t i, n;

	memset(&b, 0, sizeof(b));
	b.o = (Options) {"train", "deep", 256,  32,   2, NN_PRECISION_FLOAT32, 10.0, nn_path_best(), 0, 0,
					 0,       NULL,   NULL, NULL, 0};
	parse(&b.o, argc, argv);
	graph = b.o.model != NULL     ? read_model(b.o.model, &trained)
			: b.o.network != NULL ? network_read(b.o.network, &error)
								  : build(&b.o);
	if (graph == NULL)
		die(b.o.network, &error);
	b.o.size = graph->nodes[0].shape.h;
	b.floats = nn_shape_floats(&graph->nodes[0].shape);
	if (b.o.augment && b.floats != (size_t) b.o.size * (size_t) b.o.size)
		die("--augment is for one channel", NULL);
	n = b.floats * (size_t) b.o.batch;
	b.pixels = memory(n * sizeof(float));
	b.times = memory(MAX_TIMES * sizeof(double));
	b.bytes = memory(n);
	init_ranges(&b.ranges);
	for (i = 0; i < n; i++)
	{
		b.bytes[i] = (uint8_t) (i * 2654435761u >> 16);
		b.pixels[i] = (float) b.bytes[i] / 255.0f;
	}
	if (b.o.pixels != NULL)
		read_pixels(&b, b.o.pixels);
	if (strcmp(b.o.task, "train") == 0)
		bench_train(&b, graph);
	else
		bench_forward(&b, graph, trained);
	return 0;
}

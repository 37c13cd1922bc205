/*
 * test_coverage.c
 *		How often do the 95 % intervals of src/stats hold the true value?
 *
 * Without argument a short version, a unit test: some draws of three designs,
 * and no figure may miss more often than 90 % coverage would explain.  With a
 * number of draws (make check-coverage: 1,000) all designs, as tables.
 *
 * A row's latent score is  shift * class + sqrt(icc) * patient + sqrt(1 - icc)
 * * row, both normal; its score is the normal distribution function of that,
 * moved towards 0.5 so that losses are finite.  With three classes there is a
 * latent score for each, and the softmax of them.  The true AUC, sensitivity
 * and specificity of two classes are known in closed form; the other figures
 * are taken from one large draw.  Numbers of patients per class are fixed, but
 * for "random"; the number of images of a patient varies from 1 to 2 m - 1 (m on
 * average) and tells nothing.  "mixed": some patients have images of both
 * classes.  "equal models": both have the same true AUC, so that a miss of the AUC
 * difference is a false alarm of its test.  "alike": the scores of the two models
 * correlate with 0.97, otherwise with 0.71.
 *
 * The Monte Carlo error at 1,000 draws is 0.7 %.
 */
#include <string.h>

#include "stats_env.h"
#include "random/philox.h"
#include "stats/stats_internal.h"

#define MAX_TRUTH_ROWS 2000000
#define MAX_FIGURES 24
#define N_BINS 10
#define MAX_IMAGES 500 /* of a patient */
#define MANY 3         /* classes, where there are more than two */

typedef struct Design
{
	const char *name;
	int n_classes;
	int patients[MANY]; /* by class */
	int images;         /* per patient, on average */
	double icc;
	double shift;
	double mixed; /* share of patients with both classes */
	bool quick;   /* in the short version, too */
	double tail;  /* above 0: images of a patient by Pareto's distribution with this exponent */
	double other; /* shift of the second model, as a share of that of the first */
	double alike; /* share of its variance that the second model has in common with the first */
	bool random;  /* the class of each patient is drawn, with the share of `patients` as probability */
} Design;

static const Design designs[] = {
	{"200 + 200", 2, {200, 200}, 1, 0.0, 1.5, 0.0, false, 0.0, 0.8, 0.5, false},
	{"40 + 40", 2, {40, 40}, 1, 0.0, 1.5, 0.0, true, 0.0, 0.8, 0.5, false},
	{"30 + 150, AUC 0.98", 2, {30, 150}, 1, 0.0, 3.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"100 + 100, 3 images, icc 0.5", 2, {100, 100}, 3, 0.5, 1.5, 0.0, false, 0.0, 0.8, 0.5, false},
	{"40 + 120, 3 images, icc 0.8", 2, {40, 120}, 3, 0.8, 2.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"20 + 20, 5 images, icc 0.5", 2, {20, 20}, 5, 0.5, 1.5, 0.0, false, 0.0, 0.8, 0.5, false},
	{"60 + 60, 3 images, icc 0.5, AUC 0.98", 2, {60, 60}, 3, 0.5, 3.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"60 + 60, 4 images, icc 0.5, mixed", 2, {60, 60}, 4, 0.5, 1.5, 0.5, true, 0.0, 0.8, 0.5, false},
	{"100 + 5", 2, {100, 5}, 1, 0.0, 2.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"100 + 10", 2, {100, 10}, 1, 0.0, 2.0, 0.0, true, 0.0, 0.8, 0.5, false},
	{"100 + 20", 2, {100, 20}, 1, 0.0, 2.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"100 + 10, 3 images, icc 0.5", 2, {100, 10}, 3, 0.5, 2.0, 0.0, false, 0.0, 0.8, 0.5, false},
	{"20 + 20, heavy tail, icc 0.5", 2, {20, 20}, 5, 0.5, 1.5, 0.0, false, 1.2, 0.8, 0.5, false},
	{"40 + 40, heavy tail, icc 0.5", 2, {40, 40}, 5, 0.5, 1.5, 0.0, true, 1.2, 0.8, 0.5, false},
	{"100 + 100, heavy tail, icc 0.5", 2, {100, 100}, 5, 0.5, 1.5, 0.0, false, 1.2, 0.8, 0.5, false},
	{"100 + 100, heavy tail, icc 0.9", 2, {100, 100}, 5, 0.9, 1.5, 0.0, false, 1.2, 0.8, 0.5, false},
	{"40 + 40, heavy tail, icc 0", 2, {40, 40}, 5, 0.0, 1.5, 0.0, false, 1.2, 0.8, 0.5, false},
	{"30 + 50 + 80, 3 classes", 3, {30, 50, 80}, 1, 0.0, 1.5, 0.0, false, 0.0, 0.8, 0.5, false},
	{"30 + 50 + 80, 3 classes, 3 images, icc 0.5",
	 3,
	 {30, 50, 80},
	 3,
	 0.5,
	 1.5,
	 0.0,
	 true,
	 0.0,
	 0.8,
	 0.5,
	 false},
	{"10 + 50 + 80, 3 classes", 3, {10, 50, 80}, 1, 0.0, 1.5, 0.0, false, 0.0, 0.8, 0.5, false},
	{"30 + 50 + 80, 3 classes, heavy tail, icc 0.5",
	 3,
	 {30, 50, 80},
	 5,
	 0.5,
	 1.5,
	 0.0,
	 false,
	 1.2,
	 0.8,
	 0.5,
	 false},
	{"100 + 10, random", 2, {100, 10}, 1, 0.0, 2.0, 0.0, false, 0.0, 0.8, 0.5, true},
	{"40 + 40, random", 2, {40, 40}, 1, 0.0, 1.5, 0.0, false, 0.0, 0.8, 0.5, true},
	{"100 + 20, 3 images, icc 0.5, random", 2, {100, 20}, 3, 0.5, 2.0, 0.0, true, 0.0, 0.8, 0.5, true},
	{"30 + 150, AUC 0.98, equal models", 2, {30, 150}, 1, 0.0, 3.0, 0.0, false, 0.0, 1.0, 0.5, false},
	{"100 + 10, equal models", 2, {100, 10}, 1, 0.0, 2.0, 0.0, false, 0.0, 1.0, 0.5, false},
	{"40 + 40, equal, alike", 2, {40, 40}, 1, 0.0, 1.5, 0.0, false, 0.0, 1.0, 0.95, false},
	{"60 + 60, 3 images, icc 0.5, AUC 0.98, alike",
	 2,
	 {60, 60},
	 3,
	 0.5,
	 3.0,
	 0.0,
	 false,
	 0.0,
	 0.8,
	 0.95,
	 false},
};

#define N_DESIGNS (sizeof(designs) / sizeof(designs[0]))

static const char *const two_class_names[] = {"accuracy",
											  "sensitivity",
											  "specificity",
											  "PPV",
											  "NPV",
											  "LR+",
											  "LR-",
											  "AUC",
											  "F1",
											  "log loss",
											  "Brier",
											  "slope",
											  "intercept",
											  "in the large",
											  "ECE",
											  "AUC difference",
											  "accuracy difference",
											  "sensitivity difference",
											  "specificity difference",
											  "log loss difference",
											  "Brier difference",
											  NULL};

static const char *const many_class_names[] = {"accuracy",
											   "macro AUC",
											   "macro sensitivity",
											   "macro specificity",
											   "macro F1",
											   "log loss",
											   "Brier",
											   "macro AUC difference",
											   "accuracy difference",
											   "macro sensitivity difference",
											   "macro specificity difference",
											   "log loss difference",
											   "Brier difference",
											   NULL};

static uint64_t draws; /* counter of the random numbers */
static uint64_t key = 2024;

static double
uniform(void)
{
	Philox x = philox(key, (uint32_t) draws, (uint32_t) (draws >> 32), 77, 0);

	draws++;
	return ((double) x.v[0] + 0.5) / 4294967296.0;
}

/* Returns a normal random number, by Box and Muller. */
static double
normal(void)
{
	double length = sqrt(-2.0 * log(uniform()));

	return length * cos(2.0 * STATS_PI * uniform());
}

typedef struct Sample
{
	double *score;
	double *other; /* a second, weaker model */
	uint8_t *label;
	int32_t *class; /* the label again */
	uint64_t *cluster;
	size_t n;
} Sample;

/* Returns how many images a patient has. */
static int
draw_images(const Design *d)
{
	if (d->tail > 0.0)
		return (int) fmin(MAX_IMAGES, ceil(pow(uniform(), -1.0 / d->tail)));
	return 1 + (int) (uniform() * (2 * d->images - 1));
}

static double
squash(double latent)
{
	return 0.02 + 0.96 * stats_normal_cdf(latent);
}

static void
softmax(double *p, const double *z)
{
	double sum = 0.0;

	for (int c = 0; c < MANY; c++)
		sum += exp(z[c]);
	for (int c = 0; c < MANY; c++)
		p[c] = exp(z[c]) / sum;
}

static void
draw_many(Sample *s, const Design *d, int class, uint64_t id)
{
	double patient[MANY];
	double patient2[MANY];
	int images = draw_images(d);

	for (int c = 0; c < MANY; c++)
	{
		patient[c] = normal() * sqrt(d->icc);
		patient2[c] = normal() * sqrt(d->icc);
	}
	for (int i = 0; i < images; i++)
	{
		double z[MANY];
		double z2[MANY];

		for (int c = 0; c < MANY; c++)
		{
			double side = c == class ? d->shift : 0.0;
			double own = patient[c] + sqrt(1.0 - d->icc) * normal();
			double noise = patient2[c] + sqrt(1.0 - d->icc) * normal();

			z[c] = side + own;
			z2[c] = d->other * side + sqrt(d->alike) * own + sqrt(1.0 - d->alike) * noise;
		}
		softmax(s->score + MANY * s->n, z);
		softmax(s->other + MANY * s->n, z2);
		s->class[s->n] = class;
		s->cluster[s->n] = id;
		s->n++;
	}
}

static void
draw_patient(Sample *s, const Design *d, int class, uint64_t id)
{
	double patient = normal() * sqrt(d->icc);
	double patient2 = normal() * sqrt(d->icc);
	int images = draw_images(d);
	bool mixed = uniform() < d->mixed;

	for (int i = 0; i < images; i++)
	{
		int y = mixed ? uniform() < 0.5 : class;
		double side = (y - 0.5) * d->shift;
		double latent = side + patient + sqrt(1.0 - d->icc) * normal();
		double noise = patient2 + sqrt(1.0 - d->icc) * normal();

		s->label[s->n] = (uint8_t) y;
		s->score[s->n] = squash(latent);
		s->other[s->n] =
			squash(d->other * side + sqrt(d->alike) * (latent - side) + sqrt(1.0 - d->alike) * noise);
		s->cluster[s->n] = id;
		s->n++;
	}
}

/* Draws the patients of a design, `times` as many; with more than once the classes are never random. */
static void
draw_sample(Sample *s, const Design *d, int times)
{
	double positive = (double) d->patients[1] / (d->patients[0] + d->patients[1]);

	s->n = 0;
	for (int class = 0; class < d->n_classes; class ++)
		for (int p = 0; p < d->patients[class] * times; p++)
			(d->n_classes == 2 ? draw_patient
							   : draw_many)(s, d, d->random && times == 1 ? uniform() < positive : class,
											(uint64_t) p * MANY + (uint64_t) class);
}

/* The intervals of a sample, in the order of the names; false if one failed. */
static bool
two_class_intervals(StatsInterval *list, const Sample *s, const StatsEnv *env)
{
	StatsOptions options = {0.5, 0.95};
	StatsRows rows = {s->score, s->label, s->cluster, s->n};
	StatsPair pair = {s->score, s->other, s->label, s->cluster, s->n, 0.5, 0.5};
	StatsEvaluation e;
	StatsComparison c;
	StatsCalibration cal;
	StatsCalibrationBin bins[N_BINS];

	if (stats_evaluate(&e, &rows, &options, env) != STATS_OK ||
		stats_compare(&c, &pair, &options, env) != STATS_OK ||
		stats_calibration(&cal, bins, N_BINS, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, env) != STATS_OK ||
		!cal.fitted)
		return false;
	{
		const StatsInterval all[] = {e.accuracy,    e.sensitivity,    e.specificity, e.ppv,
									 e.npv,         e.lr_positive,    e.lr_negative, e.auc,
									 e.f1,          e.log_loss,       e.brier,       cal.slope,
									 cal.intercept, cal.in_the_large, cal.ece,       c.auc,
									 c.accuracy,    c.sensitivity,    c.specificity, c.log_loss,
									 c.brier};

		memcpy(list, all, sizeof(all));
	}
	return true;
}

static bool
many_class_intervals(StatsInterval *list, const Sample *s, const StatsEnv *env)
{
	StatsOptions options = {0.5, 0.95};
	StatsClassRows rows = {s->score, s->class, s->cluster, s->n, MANY};
	StatsClassEvaluation e;
	StatsClassComparison c;

	if (stats_class_evaluate(&e, NULL, &rows, &options, env) != STATS_OK ||
		stats_class_compare(&c, &rows, s->other, &options, env) != STATS_OK)
		return false;
	{
		const StatsInterval all[] = {e.accuracy,
									 e.macro_auc,
									 e.macro_sensitivity,
									 e.macro_specificity,
									 e.macro_f1,
									 e.log_loss,
									 e.brier,
									 c.macro_auc,
									 c.accuracy,
									 c.macro_sensitivity,
									 c.macro_specificity,
									 c.log_loss,
									 c.brier};

		memcpy(list, all, sizeof(all));
	}
	return true;
}

static bool
intervals(StatsInterval *list, const Design *d, const Sample *s, const StatsEnv *env)
{
	return (d->n_classes == 2 ? two_class_intervals : many_class_intervals)(list, s, env);
}

/* The values of one large draw; in closed form where there is one. */
static bool
find_truth(double *truth, const Design *d, Sample *s, size_t rows, const StatsEnv *env)
{
	StatsInterval list[MAX_FIGURES];
	size_t per = 0;

	for (int c = 0; c < d->n_classes; c++)
		per += (size_t) (d->patients[c] * d->images);
	draw_sample(s, d, (int) (rows / per));
	/* of the large draw only the values are of interest */
	if (!intervals(list, d, s, env))
		return false;
	for (int f = 0; f < MAX_FIGURES; f++)
		truth[f] = list[f].value;
	if (d->n_classes == 2)
	{
		/* the latent classes are shift apart with standard deviation 1 each */
		double right = stats_normal_cdf(d->shift / 2);
		double right_b = stats_normal_cdf(d->other * d->shift / 2);

		truth[0] = truth[1] = truth[2] = right;
		truth[5] = right / (1.0 - right);
		truth[6] = (1.0 - right) / right;
		truth[7] = stats_normal_cdf(d->shift / sqrt(2.0));
		truth[15] = truth[7] - stats_normal_cdf(d->other * d->shift / sqrt(2.0));
		truth[16] = truth[17] = truth[18] = right - right_b;
	}
	return true;
}

/* Misses by design and figure, below and above. */
typedef struct Misses
{
	int n; /* draws that could be evaluated */
	int below[MAX_FIGURES];
	int above[MAX_FIGURES];
} Misses;

static bool
count_misses(Misses *misses, const Design *d, Sample *s, int n_draws, size_t truth_rows, const StatsEnv *env)
{
	double truth[MAX_FIGURES];
	StatsInterval list[MAX_FIGURES];

	memset(misses, 0, sizeof(*misses));
	memset(list, 0, sizeof(list));
	if (!find_truth(truth, d, s, truth_rows, env))
		return false;
	for (int draw = 0; draw < n_draws; draw++)
	{
		draw_sample(s, d, 1);
		if (!intervals(list, d, s, env))
			continue;
		misses->n++;
		for (int f = 0; f < MAX_FIGURES; f++)
		{
			misses->below[f] += truth[f] < list[f].low;
			misses->above[f] += truth[f] > list[f].high;
		}
	}
	return true;
}

static const char *const *
names_of(const Design *d)
{
	return d->n_classes == 2 ? two_class_names : many_class_names;
}

/* A table of all designs with that many classes: coverage, and misses on either side. */
static void
print_table(const Misses *misses, int n_classes)
{
	const char *const *names = n_classes == 2 ? two_class_names : many_class_names;

	printf("| 95 %% interval of |");
	for (size_t k = 0; k < N_DESIGNS; k++)
		if (designs[k].n_classes == n_classes)
			printf(" %s |", designs[k].name);
	printf("\n|---|");
	for (size_t k = 0; k < N_DESIGNS; k++)
		if (designs[k].n_classes == n_classes)
			printf("---|");
	printf("\n");
	for (int f = 0; names[f] != NULL; f++)
	{
		printf("| %s |", names[f]);
		for (size_t k = 0; k < N_DESIGNS; k++)
			if (designs[k].n_classes == n_classes)
				printf(" %.1f (%.1f, %.1f) |",
					   100.0 * (misses[k].n - misses[k].below[f] - misses[k].above[f]) / misses[k].n,
					   100.0 * misses[k].below[f] / misses[k].n, 100.0 * misses[k].above[f] / misses[k].n);
		printf("\n");
	}
}

int
main(int argc, char **argv)
{
	int n_draws = argc > 1 ? atoi(argv[1]) : 0;
	bool quick = n_draws <= 0;
	size_t truth_rows = quick ? 60000 : MAX_TRUTH_ROWS / 2;
	size_t room = quick ? 200000 : MAX_TRUTH_ROWS * 2;
	TestMemory memory;
	StatsEnv env = test_env(&memory);
	Misses misses[N_DESIGNS];
	Sample s;

	env.stop = NULL;
	if (quick)
		n_draws = 120;
	s.score = malloc(room * MANY * sizeof(double));
	s.other = malloc(room * MANY * sizeof(double));
	s.label = malloc(room);
	s.class = malloc(room * sizeof(int32_t));
	s.cluster = malloc(room * sizeof(uint64_t));
	if (!s.score || !s.other || !s.label || !s.class || !s.cluster)
		return 2;
	for (size_t k = 0; k < N_DESIGNS; k++)
	{
		const Design *d = &designs[k];

		if (quick && !d->quick)
			continue;
		CHECK(count_misses(&misses[k], d, &s, n_draws, truth_rows, &env));
		CHECK(misses[k].n >= 0.95 * n_draws);
		for (int f = 0; names_of(d)[f] != NULL && quick; f++)
		{
			/* 120 draws at 90 % coverage: 12 misses, 22 is three deviations more */
			if (misses[k].below[f] + misses[k].above[f] > 22)
				fprintf(stderr, "%s, %s: %d of %d missed\n", d->name, names_of(d)[f],
						misses[k].below[f] + misses[k].above[f], misses[k].n);
			CHECK(misses[k].below[f] + misses[k].above[f] <= 22);
		}
	}
	if (!quick)
	{
		printf("Coverage in %% of %d draws (true value below the limits, above them); patients by class.\n\n",
			   n_draws);
		print_table(misses, 2);
		printf("\n");
		print_table(misses, 3);
		printf("\n");
	}
	free(s.score);
	free(s.other);
	free(s.label);
	free(s.class);
	free(s.cluster);
	CHECK(memory.live == 0);
	printf("%d passed, %d failed\n", checks - failures, failures);
	return failures != 0;
}

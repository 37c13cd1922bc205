/*
 * coverage_stats.c
 *		How often do the 95 % intervals of src/stats hold the true value?
 *
 * Each design is drawn 1,000 times (argument 1 changes the number).  A row's
 * latent score is  shift * class + sqrt(icc) * patient + sqrt(1 - icc) * row,
 * both normal; its score is the normal distribution function of that, moved
 * towards 0.5 so that losses are finite.  The true AUC, sensitivity and
 * specificity are known in closed form; log loss, Brier and F1 are taken from
 * one large draw.  Numbers of patients per class are fixed, as the bootstrap
 * within class assumes; the number of images of a patient varies from 1 to 2
 * m - 1 (m on average) and tells nothing.  "mixed": some patients have images
 * of both classes.
 *
 * Prints, per design and figure, the coverage in percent, and the share of
 * misses on each side.  The Monte Carlo error at 1,000 draws is 0.7.
 */
#include <string.h>

#include "stats_env.h"
#include "stats/stats_internal.h"

#define MAX_TRUTH_ROWS 2000000
#define N_FIGURES 10

typedef struct Design
{
	const char *name;
	int			patients[2];	/* negative, positive */
	int			images;			/* per patient, on average */
	double		icc;
	double		shift;
	double		mixed;			/* share of patients with both classes */
} Design;

static const Design designs[] = {
	{"independent, 200 + 200", {200, 200}, 1, 0.0, 1.5, 0.0},
	{"independent, 40 + 40", {40, 40}, 1, 0.0, 1.5, 0.0},
	{"independent, 30 + 150, strong", {30, 150}, 1, 0.0, 3.0, 0.0},
	{"3 images, icc 0.5, 100 + 100", {100, 100}, 3, 0.5, 1.5, 0.0},
	{"3 images, icc 0.8, 40 + 120", {40, 120}, 3, 0.8, 2.0, 0.0},
	{"5 images, icc 0.5, 20 + 20", {20, 20}, 5, 0.5, 1.5, 0.0},
	{"3 images, icc 0.5, strong, 60 + 60", {60, 60}, 3, 0.5, 3.0, 0.0},
	{"4 images, icc 0.5, mixed, 60 + 60", {60, 60}, 4, 0.5, 1.5, 0.5}
};

static const char *const names[N_FIGURES] = {
	"accuracy", "sensitivity", "specificity", "lr+", "auc", "f1", "log loss",
	"brier", "auc diff", "acc. diff"
};

static uint64_t draws;			/* counter of the random numbers */
static uint64_t key = 2024;

static double
uniform(void)
{
	uint32_t	r[4];

	stats_philox(r, key, draws++, 77);
	return ((double) r[0] + 0.5) / 4294967296.0;
}

static double
normal(void)
{
	return stats_normal_quantile(uniform());
}

typedef struct Sample
{
	double	   *score;
	double	   *other;			/* a second, weaker model */
	uint8_t    *label;
	uint64_t   *cluster;
	size_t		n;
} Sample;

static double
squash(double latent)
{
	return 0.02 + 0.96 * stats_normal_cdf(latent);
}

static void
draw_patient(Sample *s, const Design *d, int class, uint64_t id)
{
	double		patient = normal() * sqrt(d->icc);
	double		patient2 = normal() * sqrt(d->icc);
	int			images = 1 + (int) (uniform() * (2 * d->images - 1));
	bool		mixed = uniform() < d->mixed;

	for (int i = 0; i < images; i++)
	{
		int			y = mixed ? uniform() < 0.5 : class;
		double		side = (y - 0.5) * d->shift;
		double		latent = side + patient + sqrt(1.0 - d->icc) * normal();
		double		noise = patient2 + sqrt(1.0 - d->icc) * normal();

		s->label[s->n] = (uint8_t) y;
		s->score[s->n] = squash(latent);
		/* shares half its variance with the first model */
		s->other[s->n] = squash(0.8 * side + sqrt(0.5) * (latent - side) + sqrt(0.5) * noise);
		s->cluster[s->n] = id;
		s->n++;
	}
}

static void
draw_sample(Sample *s, const Design *d, int times)
{
	s->n = 0;
	for (int class = 0; class < 2; class++)
		for (int p = 0; p < d->patients[class] * times; p++)
			draw_patient(s, d, class, (uint64_t) p * 2 + (uint64_t) class);
}

static void
find_truth(double *truth, const Design *d, Sample *s)
{
	StatsRows	rows = {s->score, s->label, s->cluster, 0};
	StatsRows	rows_b = {s->other, s->label, s->cluster, 0};
	StatsFigures f;
	StatsFigures g;
	int			per = (d->patients[0] + d->patients[1]) * d->images;

	draw_sample(s, d, (int) (MAX_TRUTH_ROWS * 0.9) / per);
	rows.n = rows_b.n = s->n;
	(void) stats_figures(&f, &rows, 0.5, NULL);
	(void) stats_figures(&g, &rows_b, 0.5, NULL);
	/* the latent classes are shift apart with standard deviation 1 each */
	truth[1] = truth[2] = stats_normal_cdf(d->shift / 2);
	truth[0] = truth[1];
	truth[3] = truth[1] / (1.0 - truth[1]);
	truth[4] = stats_normal_cdf(d->shift / sqrt(2.0));
	truth[5] = f.f1;
	truth[6] = f.log_loss;
	truth[7] = f.brier;
	truth[8] = truth[4] - stats_normal_cdf(0.8 * d->shift / sqrt(2.0));
	truth[9] = truth[0] - stats_normal_cdf(0.8 * d->shift / 2.0);
}

int
main(int argc, char **argv)
{
	int			n_draws = argc > 1 ? atoi(argv[1]) : 1000;
	TestMemory	memory;
	StatsEnv	env = test_env(&memory);
	Sample		s;
	int			bad = 0;

	env.stop = NULL;
	s.score = malloc(MAX_TRUTH_ROWS * 2 * sizeof(double));
	s.other = malloc(MAX_TRUTH_ROWS * 2 * sizeof(double));
	s.label = malloc(MAX_TRUTH_ROWS * 2);
	s.cluster = malloc(MAX_TRUTH_ROWS * 2 * sizeof(uint64_t));
	if (!s.score || !s.other || !s.label || !s.cluster || n_draws < 1)
		return 2;
	for (size_t k = 0; k < sizeof(designs) / sizeof(designs[0]); k++)
	{
		const Design *d = &designs[k];
		double		truth[N_FIGURES];
		int			below[N_FIGURES] = {0};
		int			above[N_FIGURES] = {0};

		find_truth(truth, d, &s);
		for (int draw = 0; draw < n_draws; draw++)
		{
			StatsOptions options = {0.5, 0.95, 1000, (uint64_t) draw};
			StatsEvaluation e;
			StatsComparison c;
			StatsRows	rows = {s.score, s.label, s.cluster, 0};
			StatsPair	pair = {s.score, s.other, s.label, s.cluster, 0, 0.5, 0.5};

			draw_sample(&s, d, 1);
			rows.n = pair.n = s.n;
			if (stats_evaluate(&e, &rows, &options, &env) != STATS_OK ||
				stats_compare(&c, &pair, &options, &env) != STATS_OK)
			{
				bad++;
				continue;
			}
			{
				const StatsInterval list[N_FIGURES] = {
					e.accuracy, e.sensitivity, e.specificity, e.lr_positive, e.auc,
					e.f1, e.log_loss, e.brier, c.auc, c.accuracy
				};

				for (int f = 0; f < N_FIGURES; f++)
				{
					below[f] += truth[f] < list[f].low;
					above[f] += truth[f] > list[f].high;
				}
			}
		}
		printf("%s\n", d->name);
		for (int f = 0; f < N_FIGURES; f++)
			printf("  %-12s truth %.4f  coverage %.1f %%  (below %.1f, above %.1f)\n",
				   names[f], truth[f], 100.0 * (n_draws - below[f] - above[f]) / n_draws,
				   100.0 * below[f] / n_draws, 100.0 * above[f] / n_draws);
		fflush(stdout);
	}
	free(s.score);
	free(s.other);
	free(s.label);
	free(s.cluster);
	printf("%d draws a design, %d failed\n", n_draws, bad);
	return bad != 0;
}

/*
 * test_stats_findings.c
 *		Figures of rows that may have several findings: means and their limits.
 */
#include "stats_env.h"
#include "random/philox.h"
#include "stats/stats_internal.h"

static TestMemory memory;
static StatsEnv env;

static double
uniform(uint32_t a, uint32_t b, uint32_t c)
{
	return (philox(11, a, b, c, 0).v[0] + 0.5) / 4294967296.0;
}

static bool
same_limits(const StatsInterval *a, const StatsInterval *b)
{
	return fabs(a->value - b->value) < 1e-12 && fabs(a->low - b->low) < 1e-9 &&
		   fabs(a->high - b->high) < 1e-9;
}

/*
 * One finding has its own limits, and so have two equal ones; unknown rows count
 * for nothing; and the limits of the mean hold its true value as often as they say.
 */
static void
test_findings(void)
{
	enum
	{
		ROWS = 240,
		DRAWS = 400
	};
	static double p[2 * ROWS];
	static uint8_t target[2 * ROWS];
	static uint64_t cluster[ROWS];
	double thresholds[2] = {0.4, 0.4};
	StatsFindingRows rows = {p, target, cluster, thresholds, ROWS, 2};
	StatsRows one = {p, target, cluster, ROWS};
	StatsOptions options = {0.4, 0.95};
	StatsFindingEvaluation all;
	StatsEvaluation own[2];
	StatsEvaluation alone;
	double truth = 0.5 * (stats_normal_cdf(1.0 / sqrt(2.0)) + stats_normal_cdf(1.5 / sqrt(2.0)));
	int held = 0;

	for (uint32_t i = 0; i < ROWS; i++)
	{
		cluster[i] = i / 3;
		target[i] = (i / 3 * 7919) % 3 == 0;
		p[i] = stats_normal_cdf(0.8 * target[i] + stats_normal_quantile(uniform(1, i, 0)));
	}
	rows.n_findings = 1;
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_OK && all.n_defined == 1);
	CHECK(stats_evaluate(&alone, &one, &options, &env) == STATS_OK);
	CHECK(same_limits(&all.accuracy, &alone.accuracy) && same_limits(&all.sensitivity, &alone.sensitivity) &&
		  same_limits(&all.specificity, &alone.specificity) && same_limits(&all.f1, &alone.f1) &&
		  same_limits(&all.log_loss, &alone.log_loss) && same_limits(&all.brier, &alone.brier) &&
		  same_limits(&all.auc, &alone.auc) && same_limits(&own[0].ppv, &alone.ppv));
	CHECK(all.n == ROWS && all.n_clusters == ROWS / 3);

	/* twice the same */
	rows.n_findings = 2;
	for (int i = ROWS - 1; i >= 0; i--)
	{
		p[2 * i] = p[2 * i + 1] = p[i];
		target[2 * i] = target[2 * i + 1] = target[i];
	}
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_OK && all.n_defined == 2);
	CHECK(same_limits(&all.accuracy, &alone.accuracy) && same_limits(&all.auc, &alone.auc) &&
		  same_limits(&all.f1, &alone.f1) && same_limits(&all.brier, &alone.brier));

	/* a finding that nobody knows, and one that is always there */
	for (int i = 0; i < ROWS; i++)
		target[2 * i + 1] = STATS_UNKNOWN;
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_OK && all.n_defined == 1);
	CHECK(own[1].n == 0 && isnan(own[1].auc.value) && same_limits(&all.auc, &alone.auc));
	for (int i = 0; i < ROWS; i++)
		target[2 * i + 1] = 1;
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_OK && all.n_defined == 1);
	CHECK(isnan(own[1].auc.value) && !isnan(own[1].sensitivity.value) && same_limits(&all.auc, &alone.auc));
	target[5] = 3;
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_BAD_LABEL);
	target[5] = 1;
	rows.n = 0;
	CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_NO_ROWS);
	rows.n = ROWS;

	for (uint32_t draw = 0; draw < DRAWS; draw++)
	{
		for (uint32_t i = 0; i < ROWS; i++)
			for (uint32_t f = 0; f < 2; f++)
			{
				double patient = stats_normal_quantile(uniform(draw + 10, i / 3, 5));
				double image = stats_normal_quantile(uniform(draw + 10, i, f));
				uint8_t label = uniform(draw + 10, i / 3, 7 + f) < 0.4;

				target[2 * i + f] = uniform(draw + 10, i, 9 + f) < 0.2 ? STATS_UNKNOWN : label;
				p[2 * i + f] = stats_normal_cdf((f ? 1.5 : 1.0) * label + sqrt(0.5) * (patient + image));
			}
		CHECK(stats_finding_evaluate(&all, own, &rows, NULL, &env) == STATS_OK);
		CHECK(own[0].n < ROWS);
		held += all.auc.low <= truth && truth <= all.auc.high;
	}
	printf("  mean AUC of findings: %d of %d intervals hold it\n", held, DRAWS);
	CHECK(held >= DRAWS * 92 / 100);
	CHECK(memory.live == 0);
}

int
main(void)
{
	env = test_env(&memory);
	test_findings();
	printf("%d passed, %d failed\n", checks - failures, failures);
	return failures != 0;
}

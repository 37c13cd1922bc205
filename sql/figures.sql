-- Aggregates of figures.  Rows and references are those of
-- tests/unit/stats_golden.h: scikit-learn, scipy, statsmodels and published
-- formulas, by tests/golden/stats_golden.py.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
SET client_min_messages = notice;
SET extra_float_digits = 0;
CREATE TABLE figures_rows (score double precision, label boolean, patient integer);
INSERT INTO figures_rows VALUES
	(0.843,false,1),(0.923,true,1),(0.943,true,2),(0.843,true,2),(0.643,true,3),(0.283,true,3),(0.423,true,3),
	(0.883,true,4),(0.143,true,5),(0.543,true,5),(0.783,true,5),(0.763,true,5),(0.243,false,6),(0.143,false,6),
	(0.383,false,6),(0.103,false,6),(0.523,true,7),(0.183,true,7),(0.463,false,8),(0.083,false,9),(0.123,false,9),
	(0.023,false,9),(0.043,false,9),(0.103,false,10),(0.043,false,10),(0.503,false,11),(0.803,false,11),(0.183,false,12),
	(0.263,false,12),(0.123,false,12),(0.803,true,13),(0.603,true,13),(0.663,true,14),(0.223,true,14),(0.143,false,15),
	(0.123,false,15),(0.063,false,15),(0.123,false,15),(0.183,false,15),(0.423,false,15),(0.543,true,16),(0.803,true,16),
	(0.623,true,16),(0.283,true,17),(0.363,true,17),(0.203,true,17),(0.463,true,17),(0.283,true,17),(0.283,true,17),
	(0.943,true,18),(0.563,true,18),(0.583,true,19),(0.783,true,19),(0.843,true,19),(0.783,true,20),(0.923,true,20),
	(0.723,true,21),(0.723,true,21),(0.343,true,21),(0.763,false,22),(0.803,true,22),(0.123,false,23),(0.563,false,23),
	(0.243,false,23),(0.503,true,24),(0.423,true,24),(0.683,true,24),(0.383,true,25),(0.323,true,25),(0.523,true,25),
	(0.623,true,26),(0.543,true,26),(0.303,false,27),(0.443,false,27),(0.423,false,27),(0.103,false,27),(0.103,false,27),
	(0.443,true,28),(0.743,true,28),(0.583,true,28),(0.623,true,29),(0.143,false,29),(0.723,true,29),(0.143,false,30),
	(0.763,true,31),(0.803,true,31),(0.043,false,32),(0.123,false,32),(0.323,false,32),(0.263,false,32),(0.303,false,32),
	(0.183,false,32),(0.163,false,33),(0.063,false,33),(0.423,true,34),(0.343,true,34),(0.663,true,34),(0.683,true,34),
	(0.183,false,35),(0.823,true,36),(0.283,true,36),(0.883,true,36),(0.063,false,36),(0.223,false,36),(0.243,true,37),
	(0.283,false,38),(0.263,false,38),(0.843,false,38),(0.183,false,38),(0.123,true,39),(0.683,true,39),(0.563,true,39),
	(0.783,true,40),(0.723,true,40),(0.183,true,40),(0.083,false,41),(0.083,false,41),(0.123,false,41),(0.083,false,41),
	(0.263,false,42),(0.343,false,42),(0.043,false,43),(0.103,false,43),(0.863,true,43),(0.923,true,44),(0.523,false,45),
	(0.603,false,45),(0.703,false,45),(0.983,true,46),(0.163,false,47),(0.663,true,48),(0.923,true,48),(0.743,true,48),
	(0.623,true,48),(0.883,true,48),(0.763,true,48),(0.383,true,49),(0.383,true,49),(0.663,false,50),(0.523,false,50),
	(0.523,false,50),(0.583,true,50),(0.183,false,50),(0.243,false,50),(0.323,true,51),(0.883,true,52),(0.363,true,53),
	(0.403,true,53),(0.883,true,53),(0.603,true,53);
CREATE TABLE figures_reference (by text, figure text, value double precision, low double precision, high double precision);
INSERT INTO figures_reference VALUES
	('rows', 'accuracy', 0.74, 0.6644356718314847, 0.8035786108718385),
	('patients', 'accuracy', 0.74, 0.6246952814676404, 0.8295457610833431),
	('rows', 'sensitivity', 0.6785714285714286, 0.5727856143388974, 0.7687387683701528),
	('patients', 'sensitivity', 0.6785714285714286, 0.5231059707099746, 0.8024914053747785),
	('rows', 'specificity', 0.8181818181818182, 0.7085480732292816, 0.8928139359439194),
	('patients', 'specificity', 0.8181818181818182, 0.6205451281053371, 0.9252760962679993),
	('rows', 'ppv', 0.8260869565217391, 0.7201637386871083, 0.8976163103200319),
	('patients', 'ppv', 0.8260869565217391, 0.6492815959962194, 0.9241703020678426),
	('rows', 'npv', 0.6666666666666666, 0.5585283506058686, 0.7597122875833263),
	('patients', 'npv', 0.6666666666666666, 0.4653543764841941, 0.8212881495908293),
	('rows', 'f1', 0.7450980392156863, 0.6610778708627831, 0.8141450990149897),
	('patients', 'f1', 0.7450980392156863, 0.6250186854467037, 0.8367671675635447),
	('rows', 'log_loss', 0.5090443291261092, 0.43810377978087534, 0.591039028697387),
	('patients', 'log_loss', 0.5090443291261092, 0.41408833396658584, 0.6249085260051068),
	('rows', 'brier', 0.17150819999999997, 0.14163636019297549, 0.20616696294894898),
	('patients', 'brier', 0.17150819999999997, 0.1312689744148438, 0.22094521024903818),
	('rows', 'lr_positive', 3.7321428571428585, 2.191223915219244, NULL),
	('rows', 'lr_negative', NULL, NULL, 0.5469305648989549),
	('rows', 'auc', 0.8531746031746031, 0.7780452447547082, 0.9059475757335554),
	('patients', 'auc', 0.8531746031746031, 0.7528847989109198, 0.917236836384911);

-- each figure equals its reference
CREATE VIEW figures_found AS
	SELECT 'rows' AS by, t.* FROM (SELECT pneumo_metrics(label, score) AS m FROM figures_rows) s, pneumo_figure_table(m) t
	UNION ALL
	SELECT 'patients', t.* FROM (SELECT pneumo_metrics(label, score, 0.5, patient) AS m FROM figures_rows) s, pneumo_figure_table(m) t;
SELECT by, figure, round(f.value::numeric, 9) AS value, round(f.low::numeric, 9) AS low, round(f.high::numeric, 9) AS high,
	   coalesce(abs(f.value - r.value), 0) < 1e-9 AND coalesce(abs(f.low - r.low), 0) < 1e-9 AND
	   coalesce(abs(f.high - r.high), 0) < 1e-9 AS equal
FROM figures_found f JOIN figures_reference r USING (by, figure) ORDER BY by, figure;
-- the counts and the level
SELECT by, figure, round(f.value::numeric, 4) AS value, round(f.low::numeric, 4) AS low, round(f.high::numeric, 4) AS high
FROM figures_found f WHERE figure IN ('f1', 'log_loss', 'brier') ORDER BY by, figure;
SELECT (m).n, (m).positive, (m).negative, (m).clusters, (m).clusters_positive, (m).clusters_negative, (m).threshold,
	   (m).confidence
FROM (SELECT pneumo_metrics(label, score, 0.5, patient) AS m FROM figures_rows) s;

SELECT * FROM (SELECT (pneumo_confusion_matrix(label, score)).* FROM figures_rows) s;	-- 57.0, 12.0, 54.0, 27.0
SELECT (pneumo_confusion_matrix(label, score, 0.803)).*, count(*) FILTER (WHERE label AND score >= 0.803) AS tp FROM figures_rows;

-- ROC curve: 47.0 points
SELECT count(*), min(threshold), max(threshold) FROM (SELECT (unnest(pneumo_roc(label, score))).* FROM figures_rows) s;
SELECT threshold, round(false_positive_rate::numeric, 6) AS fpr, round(true_positive_rate::numeric, 6) AS tpr
FROM (SELECT (unnest(pneumo_roc(label, score))).* FROM figures_rows) s WHERE threshold IN (0.983, 0.503, 0.023) ORDER BY 1 DESC;
-- the area under it is the AUC
SELECT abs(sum((false_positive_rate - x) * (true_positive_rate + y) / 2) - 0.8531746031746031) < 1e-12 AS area
FROM (SELECT *, lag(false_positive_rate) OVER w AS x, lag(true_positive_rate) OVER w AS y
	  FROM (SELECT p.* FROM (SELECT pneumo_roc(label, score) AS c FROM figures_rows) s, unnest(c) p) t
	  WINDOW w AS (ORDER BY threshold DESC)) u;

-- calibration
SELECT abs(((c).ece).value - 0.12676) < 1e-12 AS ece, abs(((c).ece).low - 0.02530838572727523) < 1e-9 AS ece_low,
	   abs(((c).ece).high - 0.19058315060087216) < 1e-9 AS ece_high, abs((c).mce - 0.24600000000000005) < 1e-12 AS mce,
	   abs(((c).slope).value - 1.192781796637899) < 1e-8 AS slope, abs(((c).intercept).value - 0.7167718144987985) < 1e-8 AS intercept,
	   abs(((c).in_the_large).value - 0.6239906397093612) < 1e-8 AS in_the_large,
	   abs(((c).slope).high - ((c).slope).low - 2 * 1.976013177689192 * 0.19416262572414641) < 1e-7 AS slope_se
FROM (SELECT pneumo_calibration(label, score, 8) AS c FROM figures_rows) s;
SELECT abs(((c).slope).high - ((c).slope).low - 2 * 2.054388241816712 * 0.21089285396423005) < 1e-7 AS slope_se_by_patient,
	   round((c).mean_score::numeric, 6) AS mean_score, (c).observed, array_length((c).bins, 1) AS bins
FROM (SELECT pneumo_calibration(label, score, 10, patient) AS c FROM figures_rows) s;
SELECT b.low, b.high, b.n, round(b.mean_score::numeric, 6) AS mean_score, round((b.observed).value::numeric, 6) AS observed,
	   round((b.observed).low::numeric, 4) AS low, round((b.observed).high::numeric, 4) AS high
FROM (SELECT pneumo_calibration(label, score, 4) AS c FROM figures_rows) s, unnest((c).bins) b;
SELECT (c).slope IS NULL AS separated, abs(((c).in_the_large).value) < 1 AS in_the_large, ((c).in_the_large).low < ((c).in_the_large).high AS limits
FROM (SELECT pneumo_calibration(label, CASE WHEN label THEN 0.9 ELSE 0.1 END) AS c FROM figures_rows) s;
-- one patient says nothing of others
SELECT (c).slope, ((c).intercept).value IS NOT NULL AS intercept, ((c).intercept).low, ((c).in_the_large).value IS NOT NULL AS in_the_large, ((c).in_the_large).high
FROM (SELECT pneumo_calibration(label, round(score::numeric, 1)::float8, 10, 1) AS c FROM figures_rows) s;
-- scores on the edges of bins
SELECT sum(b.n) AS rows, bool_and(b.low = b.mean_score) AS on_the_edge
FROM (SELECT pneumo_calibration(i % 2 = 0, i / 100.0::float8, 100) AS c FROM unnest(ARRAY[29, 57, 58, 7, 14, 28, 55, 56]) i) s, unnest((c).bins) b WHERE b.n > 0;

-- GROUP BY, FILTER, several aggregates of one state, any order of the rows
SELECT patient % 2 AS odd, (m).n, round(((m).auc).value::numeric, 6) AS auc, round(((f).auc).value::numeric, 6) AS above
FROM (SELECT patient % 2 AS patient, pneumo_metrics(label, score) AS m, pneumo_metrics(label, score) FILTER (WHERE score > 0.2) AS f
	  FROM figures_rows GROUP BY 1) s ORDER BY 1;
SELECT (SELECT pneumo_metrics(label, score, 0.5, patient) FROM (SELECT * FROM figures_rows ORDER BY score) s)::text =
	   (SELECT pneumo_metrics(label, score, 0.5, patient) FROM (SELECT * FROM figures_rows ORDER BY patient DESC, score DESC) s)::text AS same;
SELECT (SELECT (pneumo_metrics(label, score, 0.5, NULL::text)).auc FROM figures_rows)::text =
	   (SELECT (pneumo_metrics(label, score)).auc FROM figures_rows)::text AS null_is_its_own;
-- any type with a hash
SELECT count(DISTINCT (m).clusters), min((m).clusters)
FROM (SELECT pneumo_metrics(label, score, 0.5, patient::text) AS m FROM figures_rows
	  UNION ALL SELECT pneumo_metrics(label, score, 0.5, md5(patient::text)::uuid) FROM figures_rows
	  UNION ALL SELECT pneumo_metrics(label, score, 0.5, patient::bigint) FROM figures_rows) s;
SELECT pneumo_metrics(label, score, 0.5, point(patient, 1)) FROM figures_rows;
-- ids that the server hashes to 32 bits stay different
CREATE VIEW figures_ids AS SELECT i % 2 = 0 AS label, i / 4096.0::float8 AS score, (i / 64)::bigint << 32 | i % 64 AS id FROM generate_series(0, 4095) i;
SELECT count(DISTINCT hashint8extended(id, 0)) < 4096 AS equal_hashes, (pneumo_metrics(label, score, 0.5, id)).clusters,
	   (pneumo_metrics(label, score, 0.5, -id)).clusters AS negative,
	   (pneumo_metrics(label, score, 0.5, timestamp '2000-01-01' + id * interval '1 microsecond')).clusters AS timestamps,
	   (pneumo_metrics(label, score, 0.5, (id % 64)::smallint)).clusters AS smallints,
	   (pneumo_metrics(label, score, 0.5, (id % 64 - 32)::integer)).clusters AS integers,
	   (pneumo_metrics(label, score, 0.5, id % 2 = 0)).clusters AS booleans
FROM figures_ids;
DROP VIEW figures_ids;

-- a parallel plan gives the same bits
CREATE TABLE figures_many AS
	SELECT label, score, patient + 100 * (i % 7) AS patient FROM figures_rows, generate_series(1, 20) i;
ALTER TABLE figures_many SET (parallel_workers = 2);
CREATE VIEW figures_all AS
	SELECT pneumo_metrics(label, score, 0.4, patient)::text AS m, pneumo_roc(label, score)::text AS r,
		   pneumo_calibration(label, score, 20, patient)::text AS c, pneumo_confusion_matrix(label, score, 0.3)::text AS f,
		   md5(pneumo_plot_roc(label, score, 0.4, patient)) AS p
	FROM figures_many;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE figures_serial AS SELECT * FROM figures_all;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT pneumo_metrics(label, score, 0.4, patient) FROM figures_many;
SELECT a = b AS same FROM figures_serial a, figures_all b;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- errors
\set VERBOSITY default
SELECT pneumo_metrics(label, score) FROM figures_rows WHERE false;
SELECT pneumo_confusion_matrix(label, score) FROM figures_rows WHERE false;
SELECT pneumo_metrics(label, score) FROM figures_rows WHERE label;
SELECT pneumo_roc(label, score) FROM figures_rows WHERE NOT label;
SELECT pneumo_metrics(label, score + 0.0170001) FROM figures_rows;
SELECT pneumo_metrics(label, NULL) FROM figures_rows;
SELECT pneumo_metrics(NULL, score) FROM figures_rows;
SELECT pneumo_metrics(label, score, NULL) FROM figures_rows;
SELECT pneumo_calibration(label, score, NULL) FROM figures_rows;
SELECT pneumo_roc(label, score * 100) FROM figures_rows WHERE score = 0.5 + 0.003;
SELECT pneumo_roc(label, -0.5) FROM figures_rows;
SELECT pneumo_roc(label, 'NaN') FROM figures_rows;
SELECT pneumo_metrics(label, score, 50) FROM figures_rows;
SELECT pneumo_metrics(label, score, CASE WHEN label THEN 0.1 ELSE 0.2 END) FROM figures_rows ORDER BY 1;
SELECT pneumo_calibration(label, score, 0) FROM figures_rows;
SELECT pneumo_calibration(label, score, 1001) FROM figures_rows;
SET pneumo.figures_memory = '1MB';
SELECT pneumo_roc(i % 2 = 0, 0.5) FROM generate_series(1, 70000) i;
SELECT (pneumo_confusion_matrix(i % 2 = 0, 0.5)).* FROM generate_series(1, 70000) i;
RESET pneumo.figures_memory;
-- one class is enough for counts and calibration
SELECT (pneumo_confusion_matrix(label, score)).*, (pneumo_calibration(label, score)).observed FROM figures_rows WHERE label;

DROP VIEW figures_found, figures_all;
DROP TABLE figures_reference, figures_serial, figures_many, figures_rows;

-- Pictures as SVG.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE plots_rows AS
	SELECT i % 3 = 0 AS label, (CASE WHEN i % 3 = 0 THEN 0.35 ELSE 0.05 END + (i * 37 % 100) * 0.006)::double precision AS score, i / 2 AS patient
	FROM generate_series(1, 120) i;
CREATE FUNCTION pg_temp.look(svg text, OUT whole boolean, OUT titles bigint, OUT label text, OUT description text)
LANGUAGE sql AS $$
	SELECT svg LIKE '<svg %</svg>%' AND svg LIKE '%role="img"%' AND svg LIKE '%viewBox=%'
		   AND svg NOT LIKE '%nan%' AND svg NOT LIKE '%inf%',
		   (SELECT count(*) FROM regexp_matches(svg, '<title', 'g')),
		   substring(svg FROM '<title[^>]*>([^<]*)<'), left(substring(svg FROM '<desc[^>]*>([^<]*)<'), 190) $$;

SELECT l.* FROM (SELECT pneumo_plot_roc(label, score) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_roc(label, score, 0.4) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_roc(label, score, 0.4, patient) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_calibration(label, score) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_calibration(label, score, 4, patient) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_confusion(label, score) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT l.* FROM (SELECT pneumo_plot_confusion(label, score, 0.4) AS svg FROM plots_rows) s, pg_temp.look(svg) l;
SELECT patient % 2 AS odd, (SELECT whole FROM pg_temp.look(pneumo_plot_roc(label, score))) FROM plots_rows GROUP BY 1 ORDER BY 1;

-- a run
CREATE TABLE plots_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label FROM (
		SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 60) i) s;
ALTER TABLE plots_xrays ADD PRIMARY KEY (id);
SELECT pneumo_train('plots_xrays', '{"name": "plots <&> \"ü\"", "image_size": [16, 16], "epochs": 3, "learning_rate": 1e-12, "verbose": 0, "validation_split": 0.3,
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_initializer": "zeros"}}]}') AS run \gset
SELECT whole, replace(label, :'run', 'N') AS label, description FROM pg_temp.look(pneumo_plot_history(:run));

-- a model on a split of a table; a look at the test split is counted
SELECT l.* FROM pneumo_plot_evaluation('plots_xrays', 'plots <&> "ü"', 'roc', '{"split": "validation"}') svg, pg_temp.look(svg) l;
SELECT l.* FROM pneumo_plot_evaluation('plots_xrays', 'plots <&> "ü"', 'calibration', '{"split": "validation"}') svg, pg_temp.look(svg) l;
SELECT l.* FROM pneumo_plot_evaluation('plots_xrays', 'plots <&> "ü"', 'confusion', '{"split": "validation"}') svg, pg_temp.look(svg) l;
SELECT l.whole FROM pneumo_plot_evaluation('plots_xrays', 'plots <&> "ü"', 'confusion') svg, pg_temp.look(svg) l;
SELECT looks FROM pneumo_evaluate('plots_xrays', 'plots <&> "ü"');

-- errors
SELECT pneumo_plot_evaluation('plots_xrays', 'nobody', 'roc');
SELECT pneumo_plot_evaluation('plots_xrays', 'nobody', 'rock');
SELECT pneumo_plot_evaluation('plots_xrays', 'plots <&> "ü"', 'roc', '{"bins": 4}');
SELECT pneumo_plot_history(0);
SELECT pneumo_plot_history(NULL) IS NULL AS nothing;
SELECT pneumo_plot_roc(label, score) FROM plots_rows WHERE label;
SELECT pneumo_plot_roc(label, score) FROM plots_rows WHERE false;
SELECT pneumo_plot_calibration(label, score) FROM plots_rows WHERE false;
SELECT pneumo_plot_confusion(label, score) FROM plots_rows WHERE false;
SELECT pneumo_plot_confusion(label, NULL) FROM plots_rows;
CREATE ROLE plots_stranger;
SET ROLE plots_stranger;
\set VERBOSITY sqlstate
SELECT pneumo_plot_history(:run) IS NULL AS seen;
\set VERBOSITY terse
RESET ROLE;
DROP ROLE plots_stranger;
SELECT pneumo_drop_model('plots <&> "ü"') IS NOT NULL AS dropped;
SELECT pneumo_forget(:run);
DROP TABLE plots_rows, plots_xrays;

-- Comparing runs: limits of validation figures, the leaderboard, sweeps, plots of
-- several runs, and the drawing for a terminal.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE leaderboard_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient
	FROM (SELECT i, CASE WHEN i % 4 < 2 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 160) i) s;
ALTER TABLE leaderboard_xrays ADD PRIMARY KEY (id);
\set base '{"name": "leaderboard", "group_column": "patient", "validation_split": 0.3, "image_size": [16, 16], "epochs": 2, "optimizer": "adam", "verbose": 0, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}'
SET client_min_messages = error; -- few groups

-- a sweep trains all combinations, the last key fastest, and deploys none
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"batch_size": [8, 16], "learning_rate": [1e-9, 0.001]}');
SELECT config->'batch_size' AS batch, config->'learning_rate' AS rate, config->'deploy' AS deploy, state
FROM pneumo.runs WHERE model = 'leaderboard' ORDER BY run;

-- limits of the figures
SELECT bool_and(auc_low <= auc AND auc <= auc_high AND auc_low < auc_high) AS auc,
	   bool_and(accuracy_low <= accuracy AND accuracy <= accuracy_high AND accuracy_low < accuracy_high) AS accuracy,
	   bool_and(sensitivity_low <= sensitivity AND sensitivity <= sensitivity_high AND sensitivity_low < sensitivity_high) AS sensitivity,
	   bool_and(specificity_low <= specificity AND specificity <= specificity_high AND specificity_low < specificity_high) AS specificity
FROM pneumo.leaderboard WHERE model = 'leaderboard';

-- the leaderboard
SELECT source, array_agg(DISTINCT rank ORDER BY rank) AS ranks, array_agg((changed->>'learning_rate')::float8 ORDER BY rank) AS rates,
	   bool_and(log_loss > 0 AND images > 0 AND duration > '0' AND finished <= now() AND best_epoch > 0) AS filled
FROM pneumo.leaderboard WHERE model = 'leaderboard' GROUP BY source;
SELECT changed, deployed, epochs, test_looks FROM pneumo.leaderboard WHERE model = 'leaderboard' ORDER BY run;
SELECT max(version) AS version FROM pneumo.leaderboard WHERE model = 'leaderboard' \gset
SELECT pneumo_deploy('leaderboard', :version);
SELECT looks FROM pneumo_evaluate('leaderboard_xrays', 'leaderboard');
SELECT array_agg(deployed ORDER BY run) AS deployed, array_agg(test_looks ORDER BY run) AS looks
FROM pneumo.leaderboard WHERE model = 'leaderboard';
CREATE ROLE regress_pneumo_other;
CREATE ROLE regress_pneumo_monitor IN ROLE pg_monitor;
SET ROLE regress_pneumo_other;
SELECT count(*) AS visible FROM pneumo.leaderboard;
RESET ROLE;
SET ROLE regress_pneumo_monitor;
SELECT count(*) AS visible, count(deployed) AS deployed, count(test_looks) AS looks FROM pneumo.leaderboard WHERE model = 'leaderboard';
RESET ROLE;

-- a sweep goes on where it stopped; a combination that fails is a warning
SET client_min_messages = warning;
CALL pneumo_sweep('leaderboard_xrays', :'base', '[{"batch_size": 8, "learning_rate": 1e-9}, {"positive_class": "COVID"}, {"learning_rate": 1e-09, "batch_size": 8}]');
SELECT count(*) AS runs FROM pneumo.runs WHERE model = 'leaderboard';
CREATE PROCEDURE leaderboard_sweep(base jsonb) LANGUAGE plpgsql AS $$
BEGIN CALL pneumo_sweep('leaderboard_xrays', base, '[{"batch_size": 8, "learning_rate": 1e-9}]'); END $$;
CALL leaderboard_sweep(:'base');
-- one whose version was dropped is trained again
SELECT pneumo_drop_version('leaderboard', min(version)) FROM pneumo.leaderboard WHERE model = 'leaderboard';
SELECT count(*) AS listed FROM pneumo.leaderboard WHERE model = 'leaderboard';
SET client_min_messages = error;
CALL leaderboard_sweep(:'base');
SET client_min_messages = warning;
SELECT count(*) AS listed, count(changed->'learning_rate') AS rates FROM pneumo.leaderboard WHERE model = 'leaderboard';

-- a mistake in any combination is found before the first one trains
\set VERBOSITY default
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"seed": [5, 6], "epochs": [1, 0]}');
CALL pneumo_sweep('leaderboard_xrays', :'base', '[{"seed": 5}, {"sed": 5}]');
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"label_column": ["diagnosis"]}');
CALL pneumo_sweep('leaderboard_xrays', :'base', '7');
CALL pneumo_sweep('leaderboard_xrays', '[]', '{"seed": [5]}');
\set VERBOSITY terse
CALL pneumo_sweep('leaderboard_xrays', :'base', '{}');
CALL pneumo_sweep('leaderboard_xrays', :'base', '[]');
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"seed": 5}');
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"seed": []}');
CALL pneumo_sweep('leaderboard_xrays', :'base', '[5]');
SELECT jsonb_build_object('seed', array_agg(i), 'batch_size', array_agg(i)) AS many FROM generate_series(1, 32) i \gset
CALL pneumo_sweep('leaderboard_xrays', :'base', :'many');
CALL pneumo_sweep(NULL, '{}', '{"seed": [5]}');
CALL pneumo_sweep('leaderboard_xrays', NULL, '{"seed": [5]}');
CALL pneumo_sweep('leaderboard_xrays', '{}', NULL);
BEGIN;
CALL pneumo_sweep('leaderboard_xrays', :'base', '{"seed": [5]}');
ROLLBACK;
SELECT count(*) AS live FROM pneumo.progress;

-- plots of several runs
CREATE FUNCTION pg_temp.look(svg text, OUT whole boolean, OUT titles bigint, OUT label text, OUT curves bigint, OUT description text)
LANGUAGE sql AS $$
	SELECT svg LIKE '<svg %</svg>%' AND svg LIKE '%role="img"%' AND svg NOT LIKE '%nan%' AND svg NOT LIKE '%inf%',
		   (SELECT count(*) FROM regexp_matches(svg, '<title', 'g')),
		   substring(svg FROM '<title[^>]*>([^<]*)<'), (SELECT count(*) FROM regexp_matches(svg, 'class="c s\d"', 'g')),
		   regexp_replace(regexp_replace(substring(svg FROM '<desc[^>]*>([^<]*)<'), 'run \d+', 'run N', 'g'),
			'(best|last) epoch [^.]*\.\d+, accuracy [^.]*\.\d+', '...', 'g') $$;
SELECT min(run) AS a, max(run) AS b FROM pneumo.leaderboard WHERE model = 'leaderboard' \gset
SELECT * FROM pg_temp.look(pneumo_plot_history(:a, :b)) \gx
SELECT pneumo_plot_history(VARIADIC ARRAY[:a]::bigint[]) = pneumo_plot_history(:a) AS same;
SELECT pneumo_train('leaderboard_xrays', :'base'::jsonb || '{"validation_split": 0, "early_stopping": null}') AS c \gset
SELECT whole, curves, description FROM pg_temp.look(pneumo_plot_history(:a, :c)) \gx
SELECT pneumo_plot_history(:a, -1);
SELECT pneumo_plot_history(:a, NULL);
SELECT pneumo_plot_history(VARIADIC NULL::bigint[]);
SELECT pneumo_plot_history(VARIADIC '{}'::bigint[]);
SELECT pneumo_plot_history(1, 2, 3, 4, 5, 6, 7, 8, 9);
\set VERBOSITY sqlstate
SELECT pneumo_plot_history(:a, :a);
SET ROLE regress_pneumo_other;
SELECT pneumo_plot_history(:a, :b);
SELECT pneumo_watch_text(:a);
RESET ROLE;
SELECT pneumo_watch_text(-1);
\set VERBOSITY terse

-- the drawing: a run of known epochs
INSERT INTO pneumo.run (id, model, owner, source, state, config, created, started, finished, epochs, epoch, best_epoch, metrics)
SELECT 900000001, 'drawn', current_user::pneumo.role, 'public.leaderboard_xrays', 'succeeded', '{}', now(), now(), now(), 20, 12, 7,
	'{"auc": 0.97, "auc_low": 0.94, "auc_high": 0.99, "accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.94, "log_loss": 0.25}';
INSERT INTO pneumo.epoch
SELECT 900000001, e, 0.75 / e, 1 - 0.5 / e, 0.5 / e + e * e / 256.0, 1 - 0.625 / e, NULL, 0.001, 2, 0.5 FROM generate_series(1, 12) e;
SELECT pneumo_watch_text(900000001);
SELECT count(*) AS lines, max(char_length(l)) AS widest FROM regexp_split_to_table(pneumo_watch_text(900000001), '\n') l;
UPDATE pneumo.epoch SET val_loss = NULL, val_accuracy = NULL WHERE run = 900000001;
SELECT l AS line FROM regexp_split_to_table(pneumo_watch_text(900000001), '\n') WITH ORDINALITY l(l, n) WHERE n BETWEEN 4 AND 6;
UPDATE pneumo.epoch SET loss = 'NaN' WHERE run = 900000001;
DELETE FROM pneumo.epoch WHERE run = 900000001 AND epoch > 1;
SELECT pneumo_watch_text(900000001);
SELECT bool_and(char_length(l) <= 80) AS fits FROM regexp_split_to_table(pneumo_watch_text(:a), '\n') l;
SELECT pneumo_watch_text(NULL) IS NULL AS nothing;

DELETE FROM pneumo.epoch WHERE run = 900000001;
DELETE FROM pneumo.run WHERE id = 900000001;
SELECT pneumo_drop_model('leaderboard') IS NOT NULL AS dropped;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model = 'leaderboard';
DROP PROCEDURE leaderboard_sweep;
DROP TABLE leaderboard_xrays;
DROP ROLE regress_pneumo_other, regress_pneumo_monitor;

-- The training config: every kind of mistake is one error before any work.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE config_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 80) i) s;
ALTER TABLE config_xrays ADD PRIMARY KEY (id);

-- a plan: the same checks as a training, and what it would take
SELECT model, classes, rows->'test' AS test, groups->'train' AS train, left_out, layers, parameters,
	   image_size, batch_size, steps_per_epoch, epochs, threads, disk, memory > 0 AS memory,
	   seconds_per_epoch > 0 AS seconds, cardinality(warnings) AS warnings
FROM pneumo_plan('config_xrays', '{"model": "baseline", "image_size": [16, 24], "group_column": "patient"}') \gx
SELECT model, parameters, image_size, epochs, batch_size
FROM pneumo_plan('config_xrays', '{"image_size": [32, 32], "epochs": 3, "batch_size": 8}');

-- unknown keys, with the nearest known one
\set VERBOSITY default
SELECT pneumo_plan('config_xrays', '{"epoch": 3}');
SELECT pneumo_plan('config_xrays', '{"early_stopping": {"patence": 3}}');
SELECT pneumo_plan('config_xrays', '{"optimizer": {"class_name": "Adam", "config": {"learning_rte": 0.1}}}');
SELECT pneumo_plan('config_xrays', '{"learning_rate": {"class_name": "CosineDecay", "config": {"steps": 3}}}');
SELECT pneumo_plan('config_xrays', '{"model": "deap"}');
SELECT pneumo_plan('config_xrays', '{"label_column": "lable"}');
SELECT pneumo_plan('config_xrays', '{"class_weight": {"SICK": 2}}');
\set VERBOSITY terse

-- types and ranges
SELECT pneumo_plan('config_xrays', '[1]');
SELECT pneumo_plan('config_xrays', '{"epochs": 0}');
SELECT pneumo_plan('config_xrays', '{"epochs": "ten"}');
SELECT pneumo_plan('config_xrays', '{"epochs": 2.5}');
SELECT pneumo_plan('config_xrays', '{"epochs": null}');
SELECT pneumo_plan('config_xrays', '{"shuffle": 1}');
SELECT pneumo_plan('config_xrays', '{"name": ""}');
SELECT pneumo_plan('config_xrays', '{"seed": -1}');
SELECT pneumo_plan('config_xrays', '{"image_size": [16]}');
SELECT pneumo_plan('config_xrays', '{"image_size": [16, 5000]}');
SELECT pneumo_plan('config_xrays', '{"color_mode": "cmyk"}');
SELECT pneumo_plan('config_xrays', '{"rescale": 0}');
SELECT pneumo_plan('config_xrays', '{"learning_rate": "fast"}');
SELECT pneumo_plan('config_xrays', '{"optimizer": "adamax"}');
SELECT pneumo_plan('config_xrays', '{"label_smoothing": 1.5}');
SELECT pneumo_plan('config_xrays', '{"early_stopping": {"monitor": "accuracy"}}');
SELECT pneumo_plan('config_xrays', '{"reduce_lr_on_plateau": {"factor": 2}}');
SELECT pneumo_plan('config_xrays', '{"rotation_range": 200}');
SELECT pneumo_plan('config_xrays', '{"zoom_range": 1.5}');
SELECT pneumo_plan('config_xrays', '{"brightness_range": [1.2, 0.8]}');
SELECT pneumo_plan('config_xrays', '{"fill_mode": "mirror"}');
SELECT pneumo_plan('config_xrays', '{"class_weight": "equal"}');
SELECT pneumo_plan('config_xrays', '{"metrics": ["f1"]}');
SELECT pneumo_plan('config_xrays', '{"precision": "float16"}');
SELECT pneumo_plan('config_xrays', '{"calibration": "isotonic"}');
SELECT pneumo_plan('config_xrays', '{"operating_point": "best"}');
SELECT pneumo_plan('config_xrays', '{"operating_point": {"threshold": 2}}');
SELECT pneumo_plan('config_xrays', '{"deploy": "if_worse"}');

-- keys that do not go together
SELECT pneumo_plan('config_xrays', '{"model": "deep", "layers": [{"class_name": "Flatten"}]}');
SELECT pneumo_plan('config_xrays', '{"optimizer": "sgd", "beta_1": 0.9}');
SELECT pneumo_plan('config_xrays', '{"optimizer": "sgd", "nesterov": true}');
SELECT pneumo_plan('config_xrays', '{"clipnorm": 1, "clipvalue": 1}');
SELECT pneumo_plan('config_xrays', '{"validation_split": 0.9, "test_split": 0.5}');
SELECT pneumo_plan('config_xrays', '{"validation_split": 0, "early_stopping": {"patience": 3}}');
SELECT pneumo_plan('config_xrays', '{"learning_rate": {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}}, "reduce_lr_on_plateau": {}}');
SELECT pneumo_plan('config_xrays', '{"initial_model": "nobody"}');

-- an explicit key beats the preset, another optimizer drops its numbers
SELECT model FROM pneumo_plan('config_xrays', '{"optimizer": "sgd", "image_size": [32, 32]}');
SELECT model FROM pneumo_plan('config_xrays', '{"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01, "momentum": 0.9, "nesterov": true, "name": "sgd"}}, "image_size": [32, 32]}');
SELECT model FROM pneumo_plan('config_xrays', '{"learning_rate": {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.1}}, "early_stopping": null, "image_size": [32, 32], "class_weight": "balanced", "loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"], "brightness_range": null, "zoom_range": [0.9, 1.1]}');

-- a setting bounds a key
SELECT pneumo_plan('config_xrays', '{"threads": 64}');
SET pneumo.train_memory = '20MB';
\set VERBOSITY sqlstate
SELECT pneumo_plan('config_xrays', '{}');
\set VERBOSITY terse
RESET pneumo.train_memory;

-- of what a user wrote, messages repeat the beginning
CREATE FUNCTION config_clipped(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE query;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN length(message) < 800 AND length(detail) < 1300;
END $$;
CREATE TABLE config_long AS SELECT patient, repeat(label, 1000) AS label, image FROM config_xrays;
SELECT what, config_clipped(format('SELECT pneumo_plan(%L, %L)', source, config)) AS clipped
FROM (SELECT repeat('k', 1000000)) k(long),
	LATERAL (VALUES
		('key', 'config_xrays', jsonb_build_object(long, 1)),
		('value', 'config_xrays', jsonb_build_object('model', long)),
		('optimizer key', 'config_xrays', jsonb_build_object('optimizer', jsonb_build_object('class_name', 'Adam', 'config', jsonb_build_object(long, 1)))),
		('column', 'config_xrays', jsonb_build_object('label_column', long)),
		('positive class', 'config_xrays', jsonb_build_object('positive_class', long)),
		('class', 'config_xrays', jsonb_build_object('class_weight', jsonb_build_object(long, 1))),
		('classes', 'config_long', '{}'),
		('name', 'config_xrays', jsonb_build_object('name', long)),
		('initial model', 'config_xrays', jsonb_build_object('initial_model', long)),
		('layer', 'config_xrays', jsonb_build_object('layers', jsonb_build_array(jsonb_build_object('class_name', long)))),
		('layer key', 'config_xrays', jsonb_build_object('layers', jsonb_build_array(jsonb_build_object('class_name', 'Dense', 'config', jsonb_build_object(long, 1)))))
	) v(what, source, config);
SELECT what, config_clipped(format(query, repeat('k', 1000000))) AS clipped
FROM (VALUES
	('model', 'SELECT pneumo_predict(%L, %1$L)'),
	('privilege', 'SELECT pneumo_grant(''a'', current_user, %L)'),
	('directory', 'SELECT pneumo_load(%L, ''t'')'),
	('picture', 'SELECT pneumo_plot_evaluation(''config_xrays'', ''a'', %L)')
) v(what, query);
SELECT pneumo_plan('config_xrays', jsonb_build_object('epochs', 1, repeat('ä', 500), 2));
DROP TABLE config_long;
DROP FUNCTION config_clipped;

-- relations
SELECT pneumo_plan('pg_catalog.pg_class');
SELECT pneumo_plan('config_xrays_pkey');
CREATE TEMP TABLE config_temporary AS SELECT * FROM config_xrays LIMIT 0;
SELECT pneumo_plan('config_temporary');
CREATE TABLE config_two (photo bytea, mask bytea, label text);
SELECT pneumo_plan('config_two');
ALTER TABLE config_two RENAME photo TO image;
SELECT pneumo_plan('config_two');
SELECT pneumo_plan('config_two', '{"image_column": "image"}');
SELECT pneumo_plan('config_two', '{"image_column": "label"}');
SELECT pneumo_plan('config_two', '{"image_column": "image", "group_column": "mask"}');
SELECT pneumo_plan('config_two', '{"image_column": "image", "label_column": "mask"}');

-- privileges
CREATE ROLE regress_pneumo_reader;
SET ROLE regress_pneumo_reader;
SELECT pneumo_plan('config_xrays');
RESET ROLE;
GRANT SELECT (image, label) ON config_xrays TO regress_pneumo_reader;
SET ROLE regress_pneumo_reader;
SELECT parameters FROM pneumo_plan('config_xrays', '{"model": "baseline", "image_size": [16, 16]}');
SELECT parameters FROM pneumo_plan('config_xrays', '{"model": "baseline", "image_size": [16, 16], "group_column": "patient"}');
SELECT pneumo_train('config_xrays');
RESET ROLE;

DROP TABLE config_xrays, config_two;
DROP ROLE regress_pneumo_reader;

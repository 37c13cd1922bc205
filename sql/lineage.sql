-- What versions have seen, ancestors included, and the looks at held-out rows.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE lineage_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient
	FROM (SELECT i, CASE WHEN i % 4 < 2 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 200) i) s;
ALTER TABLE lineage_xrays ADD PRIMARY KEY (id);
CREATE FUNCTION lineage_train(name text, more jsonb DEFAULT '{}') RETURNS boolean LANGUAGE sql AS $$
	SELECT pneumo_train('lineage_xrays', '{"group_column": "patient", "validation_split": 0.3, "test_split": 0.4,
		"image_size": [16, 16], "epochs": 1, "verbose": 0, "layers": [{"class_name": "Flatten"},
		{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}'::jsonb
		|| jsonb_build_object('name', name) || more) > 0 $$;
CREATE VIEW lineage_looks AS SELECT model, version, test_looks FROM pneumo.versions WHERE model LIKE 'lin%' ORDER BY version_id;

-- ------------------------------------------------------------------- ancestors

SELECT lineage_train('lin_parent');
-- another seed of the split: rows that the parent was trained on would be held out
SELECT lineage_train('lin_child', '{"split_seed": 1, "initial_model": "lin_parent"}');
SELECT lineage_train('lin_grandchild', '{"split_seed": 2, "initial_model": "lin_child"}');
SELECT m AS model, part, e.images,
	   -- none of the judged rows is a training row of any of the three
	   (e.left_out ->> 'already seen')::int AS already_seen,
	   e.images + (e.left_out ->> 'already seen')::int =
		   (SELECT count(*) FROM lineage_xrays WHERE pneumo_split(patient, seed, 0.3, 0.4) = part) AS all_rows,
	   e.images = (SELECT count(*) FROM lineage_xrays
				   WHERE pneumo_split(patient, seed, 0.3, 0.4) = part
				   AND 'train' <> ALL (ARRAY(SELECT pneumo_split(patient, s, 0.3, 0.4) FROM generate_series(0, seed) s))
				   AND (part = 'validation' OR
						'validation' <> ALL (ARRAY(SELECT pneumo_split(patient, s, 0.3, 0.4) FROM generate_series(0, seed) s)))) AS right_rows
FROM (VALUES ('lin_parent', 0), ('lin_child', 1), ('lin_grandchild', 2)) v (m, seed),
	 unnest(ARRAY['validation', 'test']) part,
	 pneumo_evaluate('lineage_xrays', m, jsonb_build_object('split', part)) e
ORDER BY seed, part;

-- the parent by its number, and by its id in case the name is given to another model
SELECT c.provenance -> 'initial_version' AS number, (c.provenance ->> 'initial_version_id')::bigint = p.version_id AS id
FROM pneumo.versions c, pneumo.versions p WHERE c.model = 'lin_child' AND p.model = 'lin_parent';

-- ------------------------------------------------------------ export and import

SELECT pneumo_import(pneumo_export('lin_child'), 'lin_copy') > 0 AS imported;
SELECT e.images = c.images AS same_images, e.left_out = c.left_out AS same_left_out
FROM pneumo_evaluate('lineage_xrays', 'lin_child', '{"split": "all", "split_seed": 1}') e,
	 pneumo_evaluate('lineage_xrays', 'lin_copy', '{"split": "all", "split_seed": 1, "group_column": "patient",
		"validation_split": 0.3, "test_split": 0.4}') c;
-- without it: said with every figure
SELECT pneumo_import(pneumo_export('lin_child', 1, false), 'lin_bare') > 0 AS imported;
SET client_min_messages = warning;
SELECT images, left_out FROM pneumo_evaluate('lineage_xrays', 'lin_bare', '{"split": "all", "group_column": "patient"}');
SELECT images > 0 AS images FROM pneumo_compare('lineage_xrays', 'lin_bare', 'lin_parent', '{"group_column": "patient"}');
SET client_min_messages = error;
SELECT lineage_train('lin_heir', '{"initial_model": "lin_bare"}');
SET client_min_messages = warning;
SELECT left_out -> 'training images unknown' AS unknown FROM pneumo_evaluate('lineage_xrays', 'lin_heir');
SET client_min_messages = error;
-- damage
SELECT pneumo_import(substring(pneumo_export('lin_child') FROM 1 FOR octet_length(pneumo_export('lin_child')) - 1), 'lin_damaged');
SELECT pneumo_import(pneumo_export('lin_child') || '\x00', 'lin_damaged');
SELECT pneumo_import(overlay(x PLACING '\xff'::bytea FROM octet_length(x) - 40 FOR 1), 'lin_damaged') FROM pneumo_export('lin_child') x;

-- ---------------------------------------------------------------------- looks

SELECT lineage_train('lin_looks', '{"seed": 5}');
CREATE FUNCTION lineage_look(config jsonb, model text DEFAULT 'lin_looks') RETURNS bigint LANGUAGE sql AS $$
	SELECT looks FROM pneumo_evaluate('lineage_xrays', model, config) $$;
SELECT lineage_look('{}') AS first;
-- a rollback does not undo it, nor does a savepoint
BEGIN;
SELECT lineage_look('{}') AS second;
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT lineage_look('{}') AS third;
ROLLBACK TO s;
COMMIT;
SELECT test_looks FROM lineage_looks WHERE model = 'lin_looks';
-- the same rows under other names
SELECT lineage_look('{"split": "train", "test_split": 0, "validation_split": 0}') AS fourth;
SELECT lineage_look('{"split": "validation", "split_seed": 3}') AS fifth;
SELECT lineage_look('{"split": "validation", "test_split": 0.01, "validation_split": 0.7}') AS sixth;
ALTER TABLE lineage_xrays ADD COLUMN side text DEFAULT 'val';
SELECT lineage_look('{"split": "validation", "split_column": "side"}') AS seventh;
SELECT lineage_look('{"split": "all"}') AS eighth;
-- its own training and validation rows are none
SELECT lineage_look('{"split": "validation"}') AS still_eighth;
SELECT lineage_look('{"split": "train"}') AS still_eighth;
-- the same training again is the same version, as is a copy of its bytes; looks outlive it
SELECT lineage_train('lin_again', '{"seed": 5}');
SELECT pneumo_import(pneumo_export('lin_looks'), 'lin_imported') > 0 AS imported;
SELECT lineage_look('{}', 'lin_again') AS ninth;
SELECT count(DISTINCT sha256), sum(test_looks) FROM pneumo.versions WHERE model IN ('lin_looks', 'lin_again', 'lin_imported');
SELECT pneumo_drop_model('lin_again'), pneumo_drop_model('lin_looks'), pneumo_drop_model('lin_imported');
SELECT lineage_train('lin_looks', '{"seed": 5}');
SELECT test_looks FROM lineage_looks WHERE model = 'lin_looks';
-- other ways to look
SELECT count(*) > 0 AS failures FROM pneumo_failures('lineage_xrays', 'lin_looks', '{"split": "test"}');
SELECT pneumo_plot_evaluation('lineage_xrays', 'lin_looks', 'confusion') IS NOT NULL AS plot;
SELECT test_looks FROM lineage_looks WHERE model = 'lin_looks';
-- none in a transaction that may not write
BEGIN READ ONLY;
SELECT lineage_look('{"split": "train", "test_split": 0, "validation_split": 0}');
ROLLBACK;

SELECT pneumo_drop_model(model) FROM pneumo.models WHERE model LIKE 'lin\_%';
DROP VIEW lineage_looks;
DROP TABLE lineage_xrays;
DROP FUNCTION lineage_train(text, jsonb), lineage_look(jsonb, text);

-- The first hour: what a newcomer forgets or mistypes, and what is said about it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
-- two images of each of 50 patients, whose files are named after them
CREATE TABLE messages_xrays AS
	SELECT i AS id, (i + 1) / 2 AS patient, l AS label, CASE i % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'val' ELSE 'train' END AS split,
		   format('%s/person%s_%s.jpeg', l, (i + 1) / 2, i) AS file, pneumo_phantom(i, l, 64) AS image
	FROM generate_series(1, 100) i, LATERAL (SELECT CASE (i + 1) / 2 % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) c (l);
ALTER TABLE messages_xrays ADD PRIMARY KEY (id);
-- a network that cannot learn: the same figures everywhere
\set zero '"image_size": [16, 16], "epochs": 1, "learning_rate": 1e-12, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_initializer": "zeros"}}]'
CREATE FUNCTION pg_temp.state(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;

-- what was understood, and what looks wrong: the plan and the training say the same
\set VERBOSITY terse
SELECT groups IS NULL AS groups_unknown, array_length(warnings, 1) AS warnings FROM pneumo_plan('messages_xrays', '{"model": "baseline", "image_size": [32, 32]}');
SELECT rows IS NOT NULL AS planned FROM pneumo_plan('messages_xrays', '{"model": "baseline", "image_size": [32, 32], "split_column": null, "group_column": null}');
SELECT rows IS NOT NULL AS planned FROM pneumo_plan('messages_xrays', '{"model": "baseline", "image_size": [32, 32], "group_column": "patient", "validation_split": 0.3, "test_split": 0}');
SELECT rows IS NOT NULL AS planned FROM pneumo_plan('messages_xrays', '{"model": "baseline", "image_size": [32, 32], "split_column": "split"}');
CREATE VIEW messages_files AS SELECT id, label, file, image FROM messages_xrays;
SELECT rows IS NOT NULL AS planned FROM pneumo_plan('messages_files', '{"model": "baseline", "image_size": [32, 32], "validation_split": 0.3, "test_split": 0}');
CREATE VIEW messages_typos AS
	SELECT id, patient, image, (CASE WHEN id IN (3, 4, 7, 8) THEN 'Pneumonia' ELSE label END)::char(12) AS label FROM messages_xrays;
SELECT classes FROM pneumo_plan('messages_typos', '{"model": "baseline", "image_size": [32, 32], "group_column": "patient", "validation_split": 0, "test_split": 0}');

-- a network of no use: the training, the run, its version, the deployment and who watches say so
SELECT pneumo_train('messages_xrays', ('{"name": "messages zero", "group_column": "patient", "validation_split": 0.4, "test_split": 0,' || :'zero' || '}')::jsonb) AS run \gset
SELECT metrics -> 'useless' AS useless, metrics ? 'warnings' AS has_warnings FROM pneumo.versions WHERE model = 'messages zero';
SELECT metrics -> 'warnings' AS warnings FROM pneumo.runs WHERE run = :run;
\set VERBOSITY sqlstate
SELECT pneumo_deploy(model, version) FROM pneumo.versions WHERE model = 'messages zero';
CALL pneumo_watch(:run);
\set VERBOSITY terse
CALL pneumo_watch(NULL);

-- a split column without validation rows: the last epoch, chosen by nothing
CREATE VIEW messages_halves AS SELECT id, patient, label, image, CASE WHEN patient % 4 < 2 THEN 'train' ELSE 'test' END AS half FROM messages_xrays;
SELECT pneumo_train('messages_halves', ('{"name": "messages halves", "group_column": "patient", "split_column": "half",' || :'zero' || '}')::jsonb) AS run \gset
SELECT metrics -> 'used_for_selection' AS used_for_selection FROM pneumo.versions WHERE model = 'messages halves';

-- another table than that of the training: the column that it has is named, whoever named the other one
SELECT images, patients FROM pneumo_evaluate((SELECT 'messages_files'::regclass), 'messages halves', '{"split_column": null, "group_column": null, "split": "all"}');
CREATE VIEW messages_other AS SELECT id, label, image, split FROM messages_xrays;
SELECT images > 0 AS evaluated FROM pneumo_evaluate('messages_other', 'messages zero', '{"group_column": null, "split": "train"}');
SELECT pg_temp.state(format('SELECT pneumo_evaluate(''messages_files'', ''messages halves'', %L)', config)) AS said
FROM (VALUES ('{"split_column": null}'), ('{"split_column": null, "group_column": "patients"}')) v (config);
\set VERBOSITY default

-- NULL is an error, and an empty config where it stands for one
SELECT call, pg_temp.state('SELECT ' || call) FROM (VALUES
	('pneumo_train(NULL)'), ('pneumo_train(''messages_xrays'', wait => NULL)'), ('pneumo_plan(NULL)'), ('pneumo_check(NULL)'),
	('pneumo_eigenimages(NULL)'), ('pneumo_wait(NULL)'), ('pneumo_cancel(NULL)'), ('pneumo_resume(NULL)'), ('pneumo_forget(NULL)'),
	('pneumo_evaluate(''messages_xrays'', NULL)'), ('pneumo_compare(''messages_xrays'', ''a'', NULL)'),
	('pneumo_failures(NULL, ''a'')'), ('pneumo_plot_evaluation(''messages_xrays'', ''a'', NULL)'), ('pneumo_report(NULL)'), ('pneumo_report_compare(''messages_xrays'', NULL)'),
	('pneumo_deploy(''a'', NULL)'), ('pneumo_rollback(NULL)'), ('pneumo_drop_version(NULL, 1)'), ('pneumo_drop_model(NULL)'),
	('pneumo_grant(''a'', NULL, ''predict'')'), ('pneumo_revoke(''a'', ''b'', NULL)'), ('pneumo_set_owner(NULL, ''b'')'),
	('pneumo_import(NULL, ''a'')'), ('pneumo_load(NULL)'), ('pneumo_prepare_table(NULL)')) v (call);
SELECT count(*) > 0 AS checked FROM pneumo_check('messages_xrays', NULL);

-- other software's names of keys, and names of columns
SELECT key, pg_temp.state(format('SELECT pneumo_plan(''messages_xrays'', ''{"%s": 1}'')', key)) AS said FROM unnest(ARRAY[
	'lr', 'img', 'callbacks', 'augmentation', 'patience', 'input_shape', 'num_epochs', 'bs', 'val_split', 'class_weights',
	'Image-Size', 'patient', 'epoch', 'optimiser', 'qwertz']) key;
SELECT pg_temp.state(format('SELECT pneumo_plan(''messages_xrays'', ''{"%s": "%s"}'')', key, value)) AS said FROM (VALUES
	('image_column', 'img'), ('label_column', 'class'), ('group_column', 'patient_id'), ('group_column', 'mrn'), ('split_column', 'splits')) v (key, value);
SELECT pg_temp.state('SELECT pneumo_plan(''messages_files'', ''{"split_column": "split", "test_split": 0.1}'')') AS said;
ALTER TABLE messages_xrays RENAME label TO class;
SELECT pg_temp.state('SELECT pneumo_plan(''messages_xrays'')') AS said;
ALTER TABLE messages_xrays RENAME class TO label;

-- a model of another role: one answer
CREATE ROLE pneumo_newcomer;
GRANT SELECT ON messages_xrays TO pneumo_newcomer;
GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) TO pneumo_newcomer;
SET ROLE pneumo_newcomer;
SELECT call, pg_temp.state('SELECT ' || call) AS said FROM (VALUES
	('pneumo_predict(''''::bytea, ''messages zero'')'), ('pneumo_evaluate(''messages_xrays'', ''messages zero'')'),
	('pneumo_deploy(''messages zero'', 1)'), ('pneumo_summary(''messages zero'')'), ('pneumo_drop_model(''messages zero'')'),
	('pneumo_predict(''''::bytea, ''messages no'')'), ('pneumo_plan(''messages_xrays'', ''{"name": "messages zero"}'')')) v (call);
RESET ROLE;

-- negatives: all images of one class
CREATE VIEW messages_negatives AS
	SELECT id, label, CASE label WHEN 'NORMAL' THEN image
					  ELSE decode('ffd8ffe000104a46494600010100000100010000ffdb004300140e0f120f0d14121012171514181e32211e1c1c1e3d2c2e243249404c4b47404645505a736250556d5645466488656d777b8182814e608d978c7d96737e817cffc0000b080020002001011100ffc400190000020301000000000000000000000000040500010302ffc400251000020103030402030000000000000000010203000411051221132231514161427181ffda0008010100003f002e796e6e2e1d44d21009e07c0a06eccc81087942e4024b7cd19676d34d6a1ccceaedcaf71231f7520b9b9b698ab4d26479527228cb3d91acd248cabba42393ea81d72e50da2ec75621c1c0adb4a9d16c630ec7767f75cdf6c79d248ce770c1fe530482292ddfa98015db927c520d6d618d505bb2ba93c95e6b6d29d66e9c0ebf8f6fdd30b887a6d1fde697ea53486468771e9862703dd28b943b090055c4876827d53ab2b89660b1c8c5b60ed27cd7ffd9', 'hex') END AS image
	FROM messages_xrays WHERE id IN (1, 3, 4, 7, 8);
SELECT finding, severity, subject, n, detail FROM pneumo_check('messages_negatives') WHERE finding = 'negatives';
SELECT severity, n, detail FROM pneumo_check('messages_xrays') WHERE finding = 'negatives';

-- a dump by the owner of the database needs to read schema pneumo
CREATE ROLE pneumo_dumper;
GRANT SELECT ON ALL TABLES IN SCHEMA pneumo TO pneumo_dumper;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA pneumo TO pneumo_dumper;
SELECT count(*) > 10 AS relations, bool_and(has_table_privilege('pneumo_dumper', oid, 'SELECT')) AS readable
FROM (SELECT unnest(extconfig) AS oid FROM pg_extension WHERE extname = 'pneumo') c;
REVOKE SELECT ON ALL TABLES IN SCHEMA pneumo FROM pneumo_dumper;
REVOKE SELECT ON ALL SEQUENCES IN SCHEMA pneumo FROM pneumo_dumper;
DROP ROLE pneumo_dumper;

-- a folder that is loaded twice
\getenv abs_srcdir PG_ABS_SRCDIR
\set xrays :abs_srcdir '/tests/fixtures/xrays'
\set VERBOSITY terse
SELECT pneumo_load(:'xrays', 'messages_folder');
SELECT pneumo_load(:'xrays', 'messages_folder');
UPDATE messages_folder SET image = image || '\x00' WHERE id = 1;
DELETE FROM messages_folder WHERE id = 2;
SELECT pneumo_load(:'xrays', 'messages_folder');
SELECT count(*) AS rows, count(DISTINCT file) AS files FROM messages_folder;
-- images in no class folder have no label
\set loose :abs_srcdir '/tests/fixtures/loose'
\set test :abs_srcdir '/tests/fixtures/loose/test'
SELECT pneumo_load(:'loose', 'messages_folder');
SELECT regexp_replace(pg_temp.state(format('SELECT pneumo_load(%L, ''messages_folder'')', :'test')), '"/[^"]*/', '"', 'g') AS said;

SELECT pneumo_drop_model(model) FROM pneumo.models WHERE model LIKE 'messages%' ORDER BY model;
SET client_min_messages = warning;
DROP TABLE messages_xrays, messages_folder CASCADE;
REVOKE EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) FROM pneumo_newcomer;
DROP ROLE pneumo_newcomer;

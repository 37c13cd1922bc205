-- Keras files: what is refused and how it is said, rights, and what an imported
-- version can do.  Files that Keras wrote are in tests/t/022_keras_files.pl.
SET client_min_messages = warning;

CREATE TABLE films AS
	SELECT i AS id, CASE WHEN i % 2 = 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END AS label, i / 2 AS patient,
		   pneumo_phantom(i, CASE WHEN i % 2 = 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END, 64) AS image
	FROM generate_series(1, 40) i;
SELECT pneumo_train('films', '{"name": "small", "image_size": [16, 16], "epochs": 1, "verbose": 0,
	"early_stopping": null, "group_column": "patient", "layers": [
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
	{"class_name": "BatchNormalization", "config": {}},
	{"class_name": "GlobalAveragePooling2D", "config": {}},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') IS NOT NULL AS trained;
CREATE TABLE file AS SELECT pneumo_export_keras('small') AS bytes;

-- there and back
SELECT substr(bytes, 1, 2) AS begins, pneumo_export_keras('small', 1) = bytes AS same_bytes FROM file;
SELECT pneumo_import_keras(bytes, 'back') FROM file;
SELECT pneumo_deployed('back') = pneumo_deployed('small') AS same_version;
SELECT model, version, parameters, image_size, classes, threshold, provenance->>'format' AS format,
	   provenance->>'producer' AS producer,
	   provenance->>'file_sha256' = (SELECT encode(sha256(bytes), 'hex') FROM file) AS sha256
	FROM pneumo.versions WHERE model = 'back';

-- the config
SELECT pneumo_import_keras(bytes, 'back', '{"classes": ["healthy", "ill"], "threshold": 0.25, "comment": "by hand",
	"precision": "int16", "deploy": true}') FROM file;
SELECT version, classes, threshold, operating_point, precision, comment FROM pneumo.versions
	WHERE model = 'back' ORDER BY version;
SELECT pneumo_import_keras(bytes, 'x', '{"epochs": 3}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '[]') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"classes": ["a"]}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"classes": ["a", "a"]}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"classes": ["a", "b", "c"]}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"threshold": 2}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"preprocessing": "vgg"}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"preprocessing": "torch", "rescale": null}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"preprocessing": "tf", "mean": 3, "rescale": null}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"mean": [1, 2]}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"std": 0}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"from_logits": true}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"layers": []}') FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"image_size": [8, 8]}') FROM file;

-- mean and deviation, and the name of a mode, make nodes in front
SELECT pneumo_import_keras(bytes, 'prepared', '{"preprocessing": "tf", "rescale": null}') FROM file;
SELECT layer, class_name, config FROM pneumo_summary('prepared') LIMIT 2;
SELECT pneumo_import_keras(bytes, 'prepared', '{"rescale": 1, "mean": 127.5, "std": 127.5, "deploy": true}') FROM file;
SELECT count(DISTINCT sha256) AS versions FROM pneumo.versions WHERE model = 'prepared';

-- damaged bytes
SELECT pneumo_import_keras('', 'x');
SELECT pneumo_import_keras('\x0102', 'x');
SELECT pneumo_import_keras(substr(bytes, 1, length(bytes) - 30), 'x') FROM file;
SELECT pneumo_import_keras(overlay(bytes PLACING '\x00' FROM position('\x89484446'::bytea IN bytes)), 'x') FROM file;
SELECT pneumo_import_keras(substr(bytes, position('\x89484446'::bytea IN bytes)), 'x') FROM file;

-- weights of another network: all that does not fit is said at once
CREATE TABLE weights AS SELECT substr(bytes, position('\x89484446'::bytea IN bytes)) AS bytes FROM file;
SELECT pneumo_import_keras(bytes, 'x', '{"image_size": [16, 16], "layers": [
	{"class_name": "Conv2D", "config": {"filters": 5, "kernel_size": 3}},
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 1}},
	{"class_name": "GlobalAveragePooling2D", "config": {}},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') FROM weights;
-- logits
SELECT pneumo_import_keras(bytes, 'x', '{"image_size": [16, 16], "layers": [
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
	{"class_name": "BatchNormalization", "config": {}},
	{"class_name": "GlobalAveragePooling2D", "config": {}},
	{"class_name": "Dense", "config": {"units": 1}}]}') FROM weights;
SELECT pneumo_import_keras(bytes, 'logits', '{"image_size": [16, 16], "from_logits": true, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
	{"class_name": "BatchNormalization", "config": {}},
	{"class_name": "GlobalAveragePooling2D", "config": {}},
	{"class_name": "Dense", "config": {"units": 1}}]}') FROM weights;
SELECT max(abs(pneumo_predict(image, 'logits') - pneumo_predict(image, 'small'))) AS difference FROM films;
SELECT pneumo_import_keras(bytes, 'x', '{"layers": [{"class_name": "Dense", "config": {"units": 1}}]}') FROM weights;
SELECT pneumo_import_keras(bytes, 'x', '{"image_size": [16, 16], "layers": [
	{"class_name": "LSTM", "config": {"units": 1}}]}') FROM weights;

-- a version like any other
SELECT count(*) FROM pneumo_explain((SELECT image FROM films LIMIT 1), 'back');
SELECT count(*) > 0 AS evaluated FROM pneumo_evaluate('films', 'small', '{"version": 1, "group_column": "patient"}');
SELECT pneumo_rollback('back');

-- rights
CREATE ROLE keras_reader;
SET ROLE keras_reader;
SELECT pneumo_import_keras('', 'x');
SELECT pneumo_export_keras('small');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pneumo_import_keras(bytea, text, jsonb) TO keras_reader;
GRANT SELECT ON file TO keras_reader;
SET ROLE keras_reader;
SELECT pneumo_import_keras(bytes, 'back') FROM file;
SELECT pneumo_import_keras(bytes, 'keras own') FROM file;
SELECT model, owner FROM pneumo.models WHERE owner = 'keras_reader';
SELECT pneumo_drop_model('keras own');
RESET ROLE;
BEGIN READ ONLY;
SELECT pneumo_import_keras(bytes, 'x') FROM file;
ROLLBACK;
SELECT pneumo_import_keras(NULL, 'x');
SELECT count(pneumo_drop_model(model)::text) FROM pneumo.models WHERE model IN ('small', 'back', 'prepared', 'logits');
REVOKE ALL ON FUNCTION pneumo_import_keras(bytea, text, jsonb) FROM keras_reader;
DROP TABLE films, file, weights;
DROP ROLE keras_reader;

-- The life of models: deploy, roll back, drop, grant, export, import, look at.

CREATE FUNCTION pneumo_version(OUT version text, OUT build text, OUT simd text, OUT blas text)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_version';
COMMENT ON FUNCTION pneumo_version() IS
	'release, compiler and server of the build, CPU path in use (avx512, avx2, portable or reference) and '
	'BLAS library for training (or built-in)';

CREATE FUNCTION pneumo_deployed(model text) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_deployed';
COMMENT ON FUNCTION pneumo_deployed(text) IS
	'SHA-256 (32 bytes) of the model''s deployed version; needs predict on the model; an error if none is '
	'deployed';

CREATE FUNCTION pneumo_deploy(model text, version bigint) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_deploy';
COMMENT ON FUNCTION pneumo_deploy(text, bigint) IS
	'makes a version of the model, given by its number within the model, the one that pneumo_predict uses, '
	'from the commit on; needs manage on the model; recorded in pneumo.deployments';

CREATE FUNCTION pneumo_rollback(model text) RETURNS integer
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_rollback';
COMMENT ON FUNCTION pneumo_rollback(text) IS
	'deploys again the version that was deployed before the present one, further back when called again, and '
	'returns its number; dropped versions are skipped; an error if there is none; needs manage on the model';

CREATE FUNCTION pneumo_drop_version(model text, version bigint) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_drop_version';
COMMENT ON FUNCTION pneumo_drop_version(text, bigint) IS
	'deletes a version, given by its number within the model, that is not deployed, and its bytes unless '
	'another version shares them; the number is not given again; needs manage on the model';

CREATE FUNCTION pneumo_drop_model(model text) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_drop_model';
COMMENT ON FUNCTION pneumo_drop_model(text) IS
	'deletes a model with all versions, grants and deployments, for its owner; its runs stay in pneumo.runs';

CREATE FUNCTION pneumo_grant(model text, role name, privilege text) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_grant';
COMMENT ON FUNCTION pneumo_grant(text, name, text) IS
	'grants predict (score, see), manage (train, deploy, roll back, drop versions) or export on a model to a '
	'role, or to PUBLIC; for its owner; the privileges are independent';

CREATE FUNCTION pneumo_revoke(model text, role name, privilege text) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_revoke';
COMMENT ON FUNCTION pneumo_revoke(text, name, text) IS
	'takes back what pneumo_grant gave, from the next statement of any session on; for the owner of the model';

CREATE FUNCTION pneumo_set_owner(model text, role name) RETURNS void
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_set_owner';
COMMENT ON FUNCTION pneumo_set_owner(text, name) IS
	'gives a model to another role, of which the caller must be a member; for its owner or a superuser';

CREATE FUNCTION pneumo_summary(model text,
		OUT layer text, OUT class_name text, OUT output_shape integer[], OUT parameters bigint,
		OUT trainable bigint, OUT inputs text[], OUT config jsonb)
	RETURNS SETOF record
	LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 20
	AS 'MODULE_PATHNAME', 'pneumo_summary';
COMMENT ON FUNCTION pneumo_summary(text) IS
	'the layers of the model''s deployed version, as Keras''s summary: output shape as [height, width, '
	'channels] or [units] without the batch, weights in all and trainable, and the layer''s config with '
	'Keras''s keys';

CREATE FUNCTION pneumo_summary(model text, version bigint,
		OUT layer text, OUT class_name text, OUT output_shape integer[], OUT parameters bigint,
		OUT trainable bigint, OUT inputs text[], OUT config jsonb)
	RETURNS SETOF record
	LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 20
	AS 'MODULE_PATHNAME', 'pneumo_summary';
COMMENT ON FUNCTION pneumo_summary(text, bigint) IS
	'the layers of one version, given by its number within the model; see pneumo_summary(text)';

CREATE FUNCTION pneumo_export(model text) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export';
COMMENT ON FUNCTION pneumo_export(text) IS
	'the deployed version as bytes for pneumo_import: the stored model bytes followed by their SHA-256 (32 '
	'bytes), which names the version, then the manifest of its training and the SHA-256 of that: hashes of '
	'images and of patients'' keys, by which others can tell whether they have the same image or guess a '
	'short key; needs export on the model; at most 1 GB';

CREATE FUNCTION pneumo_export(model text, version bigint) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export';
COMMENT ON FUNCTION pneumo_export(text, bigint) IS
	'one version of the model, given by its number within the model, as bytes for pneumo_import; see '
	'pneumo_export(text)';

CREATE FUNCTION pneumo_export(model text, version bigint, manifest boolean) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export';
COMMENT ON FUNCTION pneumo_export(text, bigint, boolean) IS
	'the same with or without the manifest; without it an imported version says with every figure that its '
	'training images are unknown';

CREATE FUNCTION pneumo_import(bytes bytea, name text) RETURNS integer
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_import';
REVOKE ALL ON FUNCTION pneumo_import(bytea, text) FROM PUBLIC;
COMMENT ON FUNCTION pneumo_import(bytea, text) IS
	'stores what pneumo_export gave as a version of the model of that name, created if there is none, and '
	'returns its number within that model; deployed if the model has no deployed version; every byte is '
	'checked (XX001 if damaged); needs manage on an existing model';

CREATE FUNCTION pneumo_import_keras(bytes bytea, name text, config jsonb DEFAULT '{}') RETURNS integer
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_import_keras';
REVOKE ALL ON FUNCTION pneumo_import_keras(bytea, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pneumo_import_keras(bytea, text, jsonb) IS
	'stores a network that Keras trained as a version of the model of that name, created if there is none, and '
	'returns its number within that model; bytes: a .keras file, a whole model as .h5, or a .weights.h5 with '
	'the network''s to_json() as config key layers. Config: classes (names, in the order of the outputs; of '
	'one output, the second is the one it is the probability of), from_logits (sigmoid or softmax is appended), '
	'multi_label (true: the outputs are findings, each with a sigmoid), '
	'preprocessing (tf, torch or caffe, as keras.applications), or rescale, mean, std; image_size, color_mode, '
	'interpolation, threshold (0.5), precision, deploy, comment. Needs manage on an existing model; errors: '
	'22023 and 0A000 with all reasons, XX001 if the bytes are damaged';

CREATE FUNCTION pneumo_export_keras(model text) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export_keras';
COMMENT ON FUNCTION pneumo_export_keras(text) IS
	'the deployed version as a .keras file, which keras.models.load_model of Keras 3 reads; the network takes '
	'what pneumo_preprocess returns, and its outputs are not calibrated; needs export on the model; at most '
	'1 GB';

CREATE FUNCTION pneumo_export_keras(model text, version bigint) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export_keras';
COMMENT ON FUNCTION pneumo_export_keras(text, bigint) IS
	'one version of the model, given by its number, as a .keras file; see pneumo_export_keras(text)';

CREATE FUNCTION pneumo_export_onnx(model text, version bigint DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS bytea
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_export_onnx';
COMMENT ON FUNCTION pneumo_export_onnx(text, bigint, jsonb) IS
	'a version of the model, given by its number, or the deployed one, as an ONNX file (operator set 17): input '
	'"image", float32 [N, channels, height, width], output "probabilities", float32 [N, 1] (of the second class) '
	'or [N, classes or findings]; options: {"preprocessing": true} takes pixels from 0 to 255, with "rescale" '
	'as the first step, {"calibration": true} gives calibrated probabilities; image size, classes and '
	'threshold are in its metadata_props; needs export on the model; at most 1 GB';

CREATE FUNCTION pneumo_import_onnx(bytes bytea, name text, config jsonb DEFAULT '{}') RETURNS integer
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_import_onnx';
REVOKE ALL ON FUNCTION pneumo_import_onnx(bytea, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pneumo_import_onnx(bytea, text, jsonb) IS
	'stores a convolutional classifier from an ONNX file (operator sets 9 to 27, weights within the file) as a '
	'version of the model of that name, created if there is none, and returns its number within that model; '
	'config keys: image_size, color_mode, interpolation, rescale, preprocessing, mean, std, classes, threshold, '
	'from_logits, multi_label, precision, deploy, comment; all that is not supported is named in one error '
	'(0A000); damaged bytes are XX001; deployed if the model has no deployed version; needs manage on an '
	'existing model';

CREATE FUNCTION pneumo_cache_load(model text) RETURNS text
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pneumo_cache_load';
COMMENT ON FUNCTION pneumo_cache_load(text) IS
	'loads the deployed version so that the first prediction need not, for example after a restart; returns '
	'shared if it is in shared memory, local if only this session has a copy; needs predict on the model';

CREATE FUNCTION pneumo_cache_clear() RETURNS integer
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pneumo_cache_clear';
REVOKE ALL ON FUNCTION pneumo_cache_clear() FROM PUBLIC;
COMMENT ON FUNCTION pneumo_cache_clear() IS
	'removes this database''s versions from shared memory and from this session, and returns their number; '
	'running queries keep what they use, the next one loads again';

CREATE FUNCTION pneumo_prepare_table(source regclass, workers integer DEFAULT NULL) RETURNS integer
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_prepare_table';
COMMENT ON FUNCTION pneumo_prepare_table(regclass, integer) IS
	'lets the planner scan an image table and its partitions with up to that many parallel workers (by '
	'default one for each core), although the heap is small; sets the storage parameter parallel_workers, as '
	'the table''s owner; max_parallel_workers_per_gather still bounds each query';

CREATE FUNCTION pneumo_load(directory text, target text DEFAULT 'xrays') RETURNS bigint
	LANGUAGE C VOLATILE
	AS 'MODULE_PATHNAME', 'pneumo_load';
REVOKE ALL ON FUNCTION pneumo_load(text, text) FROM PUBLIC;
COMMENT ON FUNCTION pneumo_load(text, text) IS
	'loads the JPEG, PNG and DICOM files (.jpg, .jpeg, .png, .dcm, .dicom) of a directory of the server, '
	'train|val|validation|test/CLASS/file or CLASS/file, into the columns image, label, split and file of a '
	'table, created if there is none, and returns the number of new images: files that the table has with '
	'the same name and content are left out; needs the '
	'role pg_read_server_files';

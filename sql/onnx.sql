-- ONNX: versions out, networks in.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE onnx_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 60) i) s;
SELECT pneumo_train('onnx_xrays', '{"name": "onnx source", "epochs": 1, "verbose": 0, "image_size": [24, 20], "operating_point": {"threshold": 0.4},
	"layers": [
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}},
	{"class_name": "BatchNormalization", "config": {}},
	{"class_name": "MaxPooling2D", "config": {}},
	{"class_name": "Flatten", "config": {}},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') IS NOT NULL AS trained;

-- out and in again: the same scores, classes and layers
CREATE TABLE onnx_files AS SELECT pneumo_export_onnx('onnx source') AS content;
SELECT substr(content, 1, 2) AS ir_version, length(content) > 1000 AS has_weights,
	content = pneumo_export_onnx('onnx source', 1) AS same_bytes FROM onnx_files;
SELECT pneumo_import_onnx(content, 'onnx copy') FROM onnx_files;
SELECT count(*) AS different FROM onnx_xrays
	WHERE abs(pneumo_predict(image, 'onnx source') - pneumo_predict(image, 'onnx copy')) > 1e-6;
SELECT count(*) AS differently_called FROM onnx_xrays
	WHERE pneumo_classify(image, 'onnx source') <> pneumo_classify(image, 'onnx copy');
SELECT layer, class_name, output_shape, parameters FROM pneumo_summary('onnx copy');
SELECT model, version, provenance->>'format' AS format, provenance->>'producer' LIKE 'pneumo %' AS by_pneumo,
	length(provenance->>'file_sha256') AS digits FROM pneumo.versions WHERE model = 'onnx copy';

-- a version like any other
SELECT length(pneumo_explain(image, 'onnx copy')) > 0 AS explained FROM onnx_xrays WHERE id = 1;
SELECT count(*) > 0 AS evaluated FROM pneumo_evaluate('onnx_xrays', 'onnx copy');
SELECT pneumo_import(pneumo_export('onnx copy'), 'onnx moved');
SELECT pneumo_deployed('onnx moved') = pneumo_deployed('onnx copy') AS same_version;
SELECT pneumo_train('onnx_xrays', '{"name": "onnx tuned", "initial_model": "onnx copy", "epochs": 1, "verbose": 0}') IS NOT NULL AS tuned;
SELECT array_agg(class_name ORDER BY s.ordinality) = (SELECT array_agg(class_name ORDER BY ordinality)
	FROM pneumo_summary('onnx copy') WITH ORDINALITY) AS same_layers FROM pneumo_summary('onnx tuned') WITH ORDINALITY s;

-- trained slopes: of channels, one for all, of a row
SET client_min_messages = error;
SELECT pneumo_train('onnx_xrays', '{"name": "onnx prelu", "epochs": 1, "verbose": 0, "image_size": [16, 16], "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3}}, {"class_name": "PReLU", "config": {"shared_axes": [1, 2], "alpha_initializer": "glorot_uniform"}},
	{"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 3}}, {"class_name": "PReLU", "config": {"shared_axes": [1, 2, 3]}}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 4}}, {"class_name": "PReLU", "config": {"alpha_initializer": "ones"}}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') IS NOT NULL AS trained;
SET client_min_messages = warning;
SELECT pneumo_import_onnx(pneumo_export_onnx('onnx prelu'), 'onnx prelu copy');
SELECT count(*) AS different FROM onnx_xrays WHERE abs(pneumo_predict(image, 'onnx prelu') - pneumo_predict(image, 'onnx prelu copy')) > 1e-6;

-- options
SELECT length(pneumo_export_onnx('onnx source', NULL, '{"preprocessing": true}')) > length(content) AS has_rescaling FROM onnx_files;
SELECT pneumo_import_onnx(pneumo_export_onnx('onnx source', 1, '{"preprocessing": true, "calibration": true}'), 'onnx pixels',
	'{"comment": "takes 0 to 255"}');
SELECT count(*) AS different FROM onnx_xrays
	WHERE abs(pneumo_predict(image, 'onnx source') - pneumo_predict(image, 'onnx pixels')) > 1e-5;
SELECT pneumo_export_onnx('onnx source', NULL, '{"calibratoin": true}');
SELECT pneumo_export_onnx('onnx source', NULL, '{"calibration": 1}');
SELECT pneumo_export_onnx('onnx source', 7);
SELECT pneumo_export_onnx('no such model');
SELECT pneumo_export_onnx(NULL);

-- a file of another program: operator set 9, three classes, a softmax
CREATE TABLE onnx_hand AS SELECT decode(replace('
08043aef070a560a01780a01770a01621201632204436f6e762a190a086175746f5f706164220a53414d455f4c4f574552a001032a150a
0c6b65726e656c5f736861706540034003a001072a100a077374726964657340024002a001070a120a01630a057363616c651201642203
4d756c0a230a01640a01730a017a1201692215496e7374616e63654e6f726d616c697a6174696f6e0a240a0169120168220b4861726453
69676d6f69642a0f0a05616c706861150000803ea001010a2a0a016912016c2204436c69702a0d0a036d6178150000c03fa001012a0d0a
036d696e15000000bfa001010a0c0a016c120165220453656c750a110a01680a01650a0169120174220353756d0a100a01741201702208
536f6674706c75730a150a0170120167220d476c6f62616c4d6178506f6f6c0a110a016712057368617065220553686170650a250a0573
686170650a047a65726f12016e22064761746865722a0b0a04617869731800a001020a1f0a016e12026e312209556e73717565657a652a
0b0a04617865734000a001070a230a026e310a04726573741202746f2206436f6e6361742a0b0a04617869731800a001020a130a01670a
02746f1201722207526573686170650a120a01720a016d1202793022064d61744d756c0a100a0279300a016b1202793122034164640a22
0a02793112027932220744726f706f75742a0f0a05726174696f150000003fa001010a100a0279321201792207536f66746d6178120b68
616e645f6f70736574392aa001080408010803080310014201774a9001614b4dbf9884a9bf82527ebe9944d73ef969913fc0ade03d4b7a
0dbf5ee748bfcead3f3f9240d13f59a88b3eb7dd9dbfde5075bf6dcdcc3f6ac04f3e98b6ddbfe968abbd97e494bf061921bfe6dbf9beb5
9b36bf36aa0d3f383381bdf8e416bf0dbcd13e6671543f974ed2bf227283be42127bbf9a4f31beac0ba5bfe77ea93c142e1bbd28d29bbe
752286bf76d9cabe2a19080410014201624a10aab08bbf7b77adbf3b2e663e2eff8dbf2a3b08040803100142016d4a3043cc953f4a7237
3f75b8ffbf7a548b3e0d058dbf0267073d76b7323dde84febf50066fbee9f682beab45763fa63997bf2a150803100142016b4a0c50f03c
3f24ab8cbff69ea9be2a21080408010801100142057363616c654a1055dd773f3e30473fc1bc1e3fe8e65e3f2a19080410014201734a10
0000803f0000803f0000803f0000803f2a190804100142017a4a10000000000000000000000000000000002a0b10073a010042047a6572
6f2a16080110073a0affffffffffffffffff014204726573745a1c0a017812170a15080112110a0312014e0a0208010a0208070a020808
62140a0179120f0a0d080112090a0312014e0a02080342040a001009
', E'\n', ''), 'hex') AS content;
SELECT pneumo_import_onnx(content, 'onnx hand', '{"rescale": 1, "classes": ["a", "b", "c"], "precision": "float32"}') FROM onnx_hand;
SELECT class, round(probability::numeric, 3) AS probability FROM onnx_xrays, pneumo_predict_proba(image, 'onnx hand') WHERE id = 1;
SELECT layer, class_name FROM pneumo_summary('onnx hand');
SELECT pneumo_import_onnx(content, 'onnx hand', '{"mean": 127.5, "std": 127.5, "rescale": 1, "deploy": false}') FROM onnx_hand;

-- what is refused
\set VERBOSITY default
SELECT pneumo_import_onnx('\x08084202100d3a460a100a01781201791a0170220557726f6e670a100a017912017a1a01712205576f7273655a1b0a017812160a14080112100a0208010a0208010a0208040a02080462030a017a', 'onnx bad');
\set VERBOSITY terse
SELECT pneumo_import_onnx('', 'onnx bad');
SELECT pneumo_import_onnx('not a model', 'onnx bad');
SELECT pneumo_import_onnx(NULL, 'onnx bad');
SELECT pneumo_import_onnx('\x0808', NULL);
SELECT pneumo_import_onnx(substr(content, 1, 500), 'onnx bad') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '[]') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"treshold": 0.5}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"layers": []}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"image_size": [7, 9]}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"color_mode": "rgb"}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"classes": ["a", "b"]}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"from_logits": true}') FROM onnx_hand;
SELECT pneumo_import_onnx(content, 'onnx bad', '{"preprocessing": "torch"}') FROM onnx_hand;
SELECT count(*) AS made FROM pneumo.models WHERE model = 'onnx bad';

-- rights
CREATE ROLE pneumo_onnx_reader;
GRANT SELECT ON onnx_files TO pneumo_onnx_reader;
SET ROLE pneumo_onnx_reader;
SELECT pneumo_import_onnx(content, 'onnx other') FROM onnx_files;
SELECT pneumo_export_onnx('onnx source') IS NULL;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pneumo_import_onnx(bytea, text, jsonb) TO pneumo_onnx_reader;
SELECT pneumo_grant('onnx source', 'pneumo_onnx_reader', 'export');
SET ROLE pneumo_onnx_reader;
SELECT pneumo_import_onnx(content, 'onnx copy') FROM onnx_files;
SELECT pneumo_import_onnx(content, 'onnx other') FROM onnx_files;
SELECT length(pneumo_export_onnx('onnx source')) > 0 AS exported;
SELECT pneumo_drop_model('onnx other');
RESET ROLE;
SELECT pneumo_revoke('onnx source', 'pneumo_onnx_reader', 'export');

SELECT count(pneumo_drop_model(model)) FROM pneumo.models WHERE model LIKE 'onnx %';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'onnx %';
DROP TABLE onnx_xrays, onnx_files, onnx_hand;
REVOKE EXECUTE ON FUNCTION pneumo_import_onnx(bytea, text, jsonb) FROM pneumo_onnx_reader;
DROP ROLE pneumo_onnx_reader;
